/* Private keys that are in another process: an OpenSSL provider whose keys have
 * only a public half and a number, and whose signatures are asked for.
 * Owns: the provider, its key management and signature functions, the pause of
 * the handshake's async job while a signature is made.
 * Knows nothing of how it is made: tls_remote_ops does. */

#ifndef TLS_REMOTE_H
#define TLS_REMOTE_H

#include <openssl/evp.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How to sign: what TLS 1.2 and 1.3 have that is not broken (RFC 8446 4.2.3;
 * PKCS#1 for TLS 1.2 alone).  The number is the TLS SignatureScheme, but for
 * ECDSA of TLS 1.2, which may combine any curve with any hash: there the low
 * octet is 3 and the high one the hash (RFC 5246 7.4.1.4.1), the same form. */
enum tls_scheme {
	TLS_RSA_PKCS1_SHA256 = 0x0401, TLS_RSA_PKCS1_SHA384 = 0x0501,
	TLS_RSA_PKCS1_SHA512 = 0x0601,
	TLS_RSA_PSS_SHA256 = 0x0804, TLS_RSA_PSS_SHA384 = 0x0805,
	TLS_RSA_PSS_SHA512 = 0x0806,
	TLS_ECDSA_SHA256 = 0x0403, TLS_ECDSA_SHA384 = 0x0503,
	TLS_ECDSA_SHA512 = 0x0603,
	TLS_ED25519 = 0x0807
};

/* octets to be signed: CertificateVerify and ServerKeyExchange of ECDHE are
 * shorter */
#define TLS_TBS_MAX	512
#define TLS_SIG_MAX	1024	/* octets of a signature: RSA of 8192 bits */

/* One signature under way; it lives on the stack of the handshake's job. */
struct tls_sign {
	uint32_t	 version, pair;	/* which key */
	enum tls_scheme	 scheme;
	const uint8_t	*tbs;		/* not hashed: the signer checks what it is */
	size_t		 tbs_len;
	void		*session;	/* tls_remote_session() of this handshake */
	/* the answer */
	int		 status;	/* TLS_SIGN_* */
	uint8_t		 sig[TLS_SIG_MAX];
	size_t		 sig_len;
	uint64_t	 id;		/* tls_remote_ops' own */
};
enum { TLS_SIGN_PENDING, TLS_SIGN_DONE, TLS_SIGN_FAILED };

struct tls_remote_ops {
	/* start(s, closure): ask for the signature.  0; or -1: there will be
	 * none.  The answer is given with tls_sign_done(): inside the call, or
	 * later, and then E_ASYNC is to be dispatched to the session's event */
	int	(*start)(struct tls_sign *s, void *closure);
	/* cancel(s, closure): forget ${s}: it must not be answered any more */
	void	(*cancel)(struct tls_sign *s, void *closure);
};

/* tls_remote_open(ops, closure): Load the provider into the default library
 * context, once per process.  Return 0 or -1. */
int tls_remote_open(const struct tls_remote_ops *ops, void *closure);

/* tls_remote_key(public, version, pair): A "private" key for SSL_CTX: the
 * public half of a certificate and the name of the private one.  RSA (RSA-PSS
 * too), EC on P-256, P-384, P-521, Ed25519.  NULL: another kind, or ENOMEM. */
EVP_PKEY *tls_remote_key(EVP_PKEY *public, uint32_t version, uint32_t pair);

/* tls_sign_done(s, sig, len): The answer; NULL: there will be none.  On the
 * thread of the handshake; at most once for each start(). */
void tls_sign_done(struct tls_sign *s, const uint8_t *sig, size_t len);

/* tls_remote_session(session): OpenSSL is now called for the handshake of
 * ${session}, on this thread.  tlsio says so before each call; the signatures
 * that are asked for have it in tls_sign.session. */
void tls_remote_session(void *session);

/* tls_remote_cancel(session): Nobody waits for the handshake of ${session} any
 * more: its pending signature fails (after ops->cancel), so that one more
 * SSL_do_handshake() ends the paused job, which nothing else frees.  Return
 * whether there was one. */
bool tls_remote_cancel(void *session);

/* tls_remote_is_error(error): Does that entry of OpenSSL's error queue say that
 * there was no signature?  It is then the oldest one: ERR_peek_error(). */
bool tls_remote_is_error(unsigned long error);

#endif
