/* TLS as a client: what the server of a next hop has to show, and what has come
 * of it.
 * Owns: contexts of clients, the check of the server's certificate by
 * authorities and name or by TLSA records (DANE), the sessions that are kept
 * for resumption.
 * Knows nothing of SMTP, of the look-up of TLSA records, and of when TLS must
 * be used.  It has no key: a server that asks for a certificate gets none.
 *
 * Certificates of authorities come as octets; tls_authorities_read() is for who
 * starts, and is the only function here that opens a file or may block.
 *
 * As the functions of struct smtp_client_ops do it: tls_client_new() when the
 * connection is made, tls_client_start() and tls_client_handshake() for those
 * of these names, then tls_client_facts(), and tls_client_free() when the
 * connection has ended. */

#ifndef TLS_TLS_CLIENT_H
#define TLS_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "tls/tlsctx.h"

/* --- contexts ------------------------------------------------------------- */

struct tls_client_config {
	/* PEM, nothing but certificates, each of which is trusted to issue
	 * others; len 0: none, so that only TLSA records can verify a server */
	struct tlsctx_octets authorities;
	/* as in tlsctx_config: "TLSv1.2 TLSv1.3", "TLSv1.3" */
	const char	*protocols;
};

struct tls_client_ctx;

/* tls_client_ctx_new(config, err_r, errlen): NULL with a message.  All octets
 * are copied.  A context keeps LIM_TLS_SESSIONS sessions at most.
 * tls_client_ctx_free(ctx): Handshakes and connections that began under it go
 * on.  NULL does nothing. */
struct tls_client_ctx *tls_client_ctx_new(
    const struct tls_client_config *config, char *err_r, size_t errlen);
void tls_client_ctx_free(struct tls_client_ctx *ctx);

/* tls_authorities_read(path, pem_r, err_r, errlen): The certificates in a file
 * in PEM; in a folder, those files whose names are a hash of the subject and a
 * number ("0a775a30.0": openssl-rehash(1)); or, ${path} "", those that OpenSSL
 * trusts on this system.  At most LIM_TLS_AUTHORITIES octets; pem_r->v is
 * malloced.  Return 0, or -1 with a message that names the file.  It blocks. */
int tls_authorities_read(const char *path, struct tlsctx_octets *pem_r,
    char *err_r, size_t errlen);

/* --- what a server has to show -------------------------------------------- */

/* A TLSA record (RFC 6698 2.1), from DNS that DNSSEC has validated. */
struct tls_client_tlsa {
	uint8_t		 usage;		/* enum tls_client_usage */
	uint8_t		 selector;	/* 0: certificate, 1: its public key */
	uint8_t		 matching;	/* 0: that, 1: its SHA-256, 2: SHA-512 */
	const uint8_t	*data;
	size_t		 len;
};
enum tls_client_usage { TLS_CLIENT_USAGE_TA = 2, TLS_CLIENT_USAGE_EE = 3 };

/* tls_client_tlsa_usable(r): Can the record verify a server of mail?  Usages 0
 * and 1 cannot (RFC 7672 3.1.3), nor can what no RFC has.  Of the octets of a
 * record with matching type 0 only the handshake tells what they are. */
bool tls_client_tlsa_usable(const struct tls_client_tlsa *r);

/* Texts, records and their octets are copied. */
struct tls_client_server {
	/* what the connection is to: sessions are resumed with the same one,
	 * and with the same other members; "unix:/run/lmtp", "192.0.2.1:25 of
	 * mx.example.test"; NULL: no session is resumed or kept */
	const char	*hop;
	/* what the server is told as its name (SNI), and what its certificate
	 * has to be for: a domain in ASCII, or the text of an address, which is
	 * not told; with TLSA records, their base domain (RFC 7672 3.2.2).
	 * NULL or "": none */
	const char	*name;
	/* other names that the certificate may be for instead */
	const char	*const *names;
	size_t		 nnames;
	/* n 0: the authorities of the context and the name verify the server;
	 * else these records do, and nothing else */
	const struct tls_client_tlsa *tlsa;
	size_t		 ntlsa;
	/* the handshake fails if the server is not verified; else it goes on,
	 * and the facts tell */
	bool		 must_verify;
};

#define TLS_CLIENT_NAMES_MAX	8	/* nnames */
#define TLS_CLIENT_TLSA_MAX	64	/* records */

/* --- one connection ------------------------------------------------------- */

/* Whether the server is verified, and what it is that it has not shown.  In
 * brackets, the result types of RFC 8460 4.3. */
enum tls_client_verdict {
	TLS_CLIENT_NOTHING,	/* there was no handshake yet, or nothing to verify the server with */
	TLS_CLIENT_VERIFIED,	/* by an authority and the name */
	TLS_CLIENT_DANE_TA,	/* by a TLSA record of usage 2, and the name */
	TLS_CLIENT_DANE_EE,	/* by a TLSA record of usage 3 */
	TLS_CLIENT_MISMATCH,	/* the certificate is for another name [certificate-host-mismatch] */
	TLS_CLIENT_EXPIRED,	/* or is not valid yet [certificate-expired] */
	TLS_CLIENT_UNTRUSTED,	/* no authority of ours has issued it [certificate-not-trusted] */
	TLS_CLIENT_NO_TLSA,	/* no TLSA record matches [validation-failure] */
	TLS_CLIENT_INVALID,	/* something else is wrong with it [validation-failure] */
	TLS_CLIENT_BROKEN,	/* the handshake has failed, whatever the certificate [validation-failure] */
	TLS_CLIENT_CLOSED	/* the connection ended in it */
};

#define TLS_CLIENT_WHY_MAX	256	/* octets of a text, with its NUL */

struct tls_client_facts {
	bool		 is_done;	/* the handshake, well */
	bool		 is_verified;	/* VERIFIED, DANE_TA or DANE_EE */
	bool		 is_resumed;	/* then, what its first handshake has shown */
	enum tls_client_verdict verdict;
	const char	*protocol;	/* "TLSv1.3"; NULL: not done */
	const char	*cipher;	/* NULL: not done */
	int		 bits;		/* of the cipher */
	char		 name[TLS_CLIENT_WHY_MAX]; /* that of its names which the certificate is for; "": none was looked at */
	char		 why[TLS_CLIENT_WHY_MAX]; /* it is not done or not verified, in words: "the server's certificate has expired"; "": it is both */
};

struct tls_client;

/* tls_client_new(ctx, server): What a connection to ${server} needs; NULL with
 * errno: EINVAL, a name that is no domain or address, other names than that of
 * an address, TLSA records without a domain, must_verify without anything to
 * verify it by, or more names or records than may be; ENOTSUP, must_verify, and
 * none of the TLSA records can be used (RFC 7672 2.2: then the server gets mail
 * with TLS, unless a policy wants more, and is not verified); ENOMEM.
 * tls_client_free(t): Before or after its event is closed.  NULL does nothing. */
struct tls_client *tls_client_new(struct tls_client_ctx *ctx,
    const struct tls_client_server *server);
void tls_client_free(struct tls_client *t);

/* tls_client_start(t, e): Put TLS under ${e}, once.  Return 0, or -1 with errno
 * ENOMEM.
 * tls_client_handshake(t, needmask_r): Begin or go on: 1: it is done; 0: call
 * again when *needmask_r has come true, E_READ or E_WRITE; -1: it has failed,
 * errno as of tlsio_handshake().  After 1 and -1 the facts tell more. */
int tls_client_start(struct tls_client *t, Event *e);
int tls_client_handshake(struct tls_client *t, int *needmask_r);

/* tls_client_facts(t): As long as ${t} is there. */
const struct tls_client_facts *tls_client_facts(const struct tls_client *t);

/* What a login inside the connection can be bound to (RFC 5056). */
enum tls_client_binding {
	TLS_CLIENT_UNBOUND,
	TLS_CLIENT_EXPORTER,	/* "tls-exporter", RFC 9266 */
	TLS_CLIENT_END_POINT,	/* "tls-server-end-point", RFC 5929 4 */
	TLS_CLIENT_UNIQUE	/* "tls-unique", RFC 5929 3: TLS 1.3 has none (RFC 9266), and TLS 1.2 only with the extended master secret (RFC 7627) */
};

#define TLS_CLIENT_BINDING_MAX	64	/* octets */

/* tls_client_binding(t, n, octets_r, len_r): After the handshake, until the event is
 * closed: the ${n}th of those that the connection has, from 0 on, and its octets;
 * TLS_CLIENT_UNBOUND: there are not so many.  First is what most servers know: of TLS
 * 1.3 the exporter, of TLS 1.2 the end point.
 * tls_client_binding_name(binding): As SASL has it; NULL: of none. */
enum tls_client_binding tls_client_binding(const struct tls_client *t,
    unsigned int n, uint8_t octets_r[TLS_CLIENT_BINDING_MAX], size_t *len_r);
const char *tls_client_binding_name(enum tls_client_binding binding);

#endif
