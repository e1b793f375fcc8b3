/* What a server's TLS is made of: the SSL_CTXs of one configuration of a
 * listener.
 * Owns: protocols, ciphers, groups, certificates and which of them a client
 * gets (SNI, key type), stapled OCSP responses, tickets, the verification of
 * clients.
 * Certificates come as octets: it opens no file.  The server's private keys are
 * in another process (tls/remote.h); an embedder may give one with its
 * certificate. */

#ifndef TLS_TLSCTX_H
#define TLS_TLSCTX_H

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define TLSCTX_ERROR_MAX 256

enum tlsctx_verify { TLSCTX_VERIFY_NONE, TLSCTX_VERIFY_OPTIONAL,
	TLSCTX_VERIFY_REQUIRE };

struct tlsctx_octets {
	const char	*v;
	size_t		 len;
};

struct tlsctx_pair {
	uint32_t		 pair;		/* its number, for signing */
	struct tlsctx_octets	 cert;		/* PEM: the server's, then its chain */
	struct tlsctx_octets	 ocsp;		/* DER; len 0: none */
	struct tlsctx_octets	 key;		/* PEM; len 0: in another process */
};

struct tlsctx_config {
	const char	*protocols;	/* "TLSv1.2 TLSv1.3", "+ALL -TLSv1.2" */
	const char	*ciphers;	/* of TLS 1.2; "": ours */
	const char	*ciphersuites;	/* of TLS 1.3; "": OpenSSL's */
	const char	*groups;	/* "": ours */
	enum tlsctx_verify verify;
	struct tlsctx_octets client_ca;	/* PEM; len 0: none */
	uint32_t	 version;	/* of the pairs */
	const struct tlsctx_pair *pairs; /* the first: for clients that name no host of ours */
	size_t		 npairs;
};

struct tlsctx;

/* tlsctx_check(c, which_r, err_r, errlen): Can protocols, ciphers, ciphersuites
 * and groups be used?  Certificates are not looked at.  Return 0; or -1 with a
 * message, and with 'p', 'c', 's' or 'g' in *${which_r}. */
int tlsctx_check(const struct tlsctx_config *c, char *which_r, char *err_r,
    size_t errlen);

/* tlsctx_new(c, pair_r, err_r, errlen): NULL with a message; then *${pair_r} is
 * the index in c->pairs that it is about, or -1; one about its key begins with
 * TLSCTX_OF_KEY.  All octets are copied.
 * Sessions that began under a context keep what they need of it after
 * tlsctx_free(). */
#define TLSCTX_OF_KEY	"its private key "
struct tlsctx *tlsctx_new(const struct tlsctx_config *c, int *pair_r,
    char *err_r, size_t errlen);
void tlsctx_free(struct tlsctx *t);	/* NULL does nothing */

/* tlsctx_session(t): A server's SSL object without BIO, for tlsio_attach();
 * NULL: ENOMEM. */
SSL *tlsctx_session(struct tlsctx *t);

/* Session tickets: keys that all workers share (RFC 5077, RFC 8446 4.6.1).
 * tls_tickets_set(keys, n, lifetime): For all contexts of the process; the
 * first makes new tickets, the others still open theirs; n 0: no tickets. */
struct tls_ticket_key {
	uint8_t	name[16], aes[32], hmac[32];
};
void tls_tickets_set(const struct tls_ticket_key *keys, size_t n,
    unsigned int lifetime);

/* tls_cert_info(cert, info_r, err_r, errlen): Read the first certificate of a
 * PEM text, and check that the text has nothing else than certificates.
 * Return 0, or -1 with a message. */
struct tls_cert_info {
	time_t	 not_before, not_after;
	char	 name[256];		/* first DNS name, or common name */
	char	 kind[16];		/* "RSA-2048", "EC-P-256", "Ed25519" */
};
int tls_cert_info(struct tlsctx_octets cert, struct tls_cert_info *info_r,
    char *err_r, size_t errlen);

/* tls_ocsp_check(ocsp, cert, err_r, errlen): Does this OCSP response say that
 * the first certificate of a PEM text is good now?  Return 0, or -1 with a
 * message.  tlsctx_new() does not fail for a bad response: it is not sent. */
int tls_ocsp_check(struct tlsctx_octets ocsp, struct tlsctx_octets cert,
    char *err_r, size_t errlen);

/* tls_describe(ssl, ...): What a finished handshake has come to.  The names
 * are malloced or NULL.  Return 0 or -1 (ENOMEM). */
struct tls_description {
	const char	*protocol, *cipher;
	int		 bits;
	bool		 is_resumed, is_verified;
	char		*peer_name, *server_name;
};
int tls_describe(SSL *ssl, struct tls_description *d_r);

/* Channel bindings (RFC 9266, RFC 5929 4).  Return octets, 0: there is none. */
size_t tls_exporter(SSL *ssl, uint8_t out_r[32]);
size_t tls_server_end_point(SSL *ssl, uint8_t out_r[64]);

/* tls_failure(ssl, kind_r): Why the last call on this thread failed, as a
 * static text ("no protocol version in common", "the client's certificate:
 * expired") and as a kind. */
enum tls_failure_kind { TLS_FAILURE_PROTOCOL, TLS_FAILURE_CLOSED,
	TLS_FAILURE_VERIFY, TLS_FAILURE_KEY, TLS_FAILURE_OTHER };
const char *tls_failure(SSL *ssl, enum tls_failure_kind *kind_r);

#endif
