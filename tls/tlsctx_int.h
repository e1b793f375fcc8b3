/* What the files of tlsctx.h share: tlsctx.c (contexts), tlsctx_suite.c
 * (protocols, ciphers, groups), tlsctx_pem.c (certificates as octets),
 * tlsctx_cert.c (those of a context), tlsctx_host.c (which of them a client
 * gets), tlsctx_ocsp.c and tlsctx_staple.c, tlsctx_ticket.c, tlsctx_info.c and
 * tlsctx_failure.c (what has come of a handshake). */

#ifndef TLS_TLSCTX_INT_H
#define TLS_TLSCTX_INT_H

#include "tls/tlsctx.h"

/* One certificate, ready for use. */
struct tlsctx_cert {
	X509		*cert;
	STACK_OF(X509)	*chain;		/* what is sent behind it */
	EVP_PKEY	*key;		/* of tls/remote.h */
	char		 kind[16];	/* of its key: tlsctx_kind() */
	uint8_t		 end_point[64];	/* RFC 5929 4.1 */
	size_t		 end_point_len;
	unsigned char	*ocsp;		/* NULL: none */
	size_t		 ocsp_len;
	time_t		 this_update, next_update;
};

/* All certificates of a configuration: the app data of its SSL_CTXs. */
struct tlsctx_certs {
	size_t			 n;
	struct tlsctx_cert	 v[];
};

/* The SSL_CTXs of a configuration, one for each set of names, and the
 * certificates; owned by the first of them, which is where every session
 * begins, and which an SSL object holds until it is freed. */
struct tlsctx_host {
	SSL_CTX	*ctx;
	X509	*leader;	/* whose names they are */
	size_t	 nkinds;	/* of certificates in ctx */
};
struct tlsctx_hosts {
	struct tlsctx_certs	*certs;
	size_t			 n;
	struct tlsctx_host	 v[];
};

/* tlsctx_end_point(cert, out_r): The binding tls-server-end-point of a server that
 * has ${cert} (RFC 5929 4.1).  Return octets; 0: there is none. */
size_t tlsctx_end_point(const X509 *cert, uint8_t out_r[64]);

/* tlsctx_error(err_r, errlen, what): The message "what: OpenSSL's reason". */
void tlsctx_error(char *err_r, size_t errlen, const char *what);

/* tlsctx_suite_set(ctx, c, which_r, err_r, errlen): As tlsctx_check().
 * tlsctx_protocols_set(ctx, list, err_r, errlen): c->protocols alone, for a
 * client's context, too. */
int tlsctx_suite_set(SSL_CTX *ctx, const struct tlsctx_config *c,
    char *which_r, char *err_r, size_t errlen);
int tlsctx_protocols_set(SSL_CTX *ctx, const char *list, char *err_r,
    size_t errlen);

/* tlsctx_pem_read(pem, chain_r, err_r, errlen): The certificates of a PEM
 * text, which has nothing else and at least one.  Return 0, or -1 with a
 * message. */
int tlsctx_pem_read(struct tlsctx_octets pem, STACK_OF(X509) **chain_r,
    char *err_r, size_t errlen);

/* tlsctx_kind(key, buf, len): "RSA-2048", "EC-P-256", "Ed25519". */
void tlsctx_kind(EVP_PKEY *key, char *buf, size_t len);

/* tlsctx_time(t): Seconds since the epoch; -1: not a time. */
time_t tlsctx_time(const ASN1_TIME *t);

/* tlsctx_certs_new(c, pair_r, err_r, errlen): As tlsctx_new().
 * _add(ctx, certs, i): ${ctx} sends certificate ${i} to clients that its key
 * suits. */
struct tlsctx_certs *tlsctx_certs_new(const struct tlsctx_config *c,
    int *pair_r, char *err_r, size_t errlen);
void tlsctx_certs_free(struct tlsctx_certs *certs);
int tlsctx_certs_add(SSL_CTX *ctx, const struct tlsctx_certs *certs, size_t i);
/* tlsctx_cert_of(ssl): What ${ssl} sends, or has sent; NULL: none. */
const struct tlsctx_cert *tlsctx_cert_of(SSL *ssl);

/* tlsctx_hosts_new(certs, make, closure): The contexts for ${certs}, which it
 * takes, each made by make(closure) and still without certificates.  NULL: an
 * error is in OpenSSL's queue.  Return the first, which owns the others. */
SSL_CTX *tlsctx_hosts_new(struct tlsctx_certs *certs,
    SSL_CTX *(*make)(void *closure), void *closure);

/* tlsctx_ocsp_load(cert, ocsp): Keep ${ocsp} for ${cert} if it says that the
 * certificate is good.  tlsctx_staple_attach(ctx): Send it to clients that
 * ask. */
void tlsctx_ocsp_load(struct tlsctx_cert *cert, struct tlsctx_octets ocsp);
void tlsctx_staple_attach(SSL_CTX *ctx);

/* tlsctx_ticket_attach(ctx): Tickets with the keys of the process.
 * _session(ssl): whether there are any now. */
void tlsctx_ticket_attach(SSL_CTX *ctx);
void tlsctx_ticket_session(SSL *ssl);

#endif
