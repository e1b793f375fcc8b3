/* A server's context with keys at a keeper, and clients of it: what both sides
 * have come to.  The signatures are made when the test says so. */

#ifndef TEST_UNIT_TLS_TLS_FIXTURE_H
#define TEST_UNIT_TLS_TLS_FIXTURE_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"
#include "keys_fixture.h"
#include "tls/tlsctx.h"

#define TLS_PAIRS_MAX	8

/* How signatures are made: inside start(), one step of tls_shake() later, not
 * at all, not at all for any number of sessions, or badly. */
enum tls_manner { SIGN_AT_ONCE, SIGN_LATER, SIGN_NEVER, SIGN_NEVER_ANY,
	SIGN_FAILS };
extern enum tls_manner tls_manner;
extern bool tls_has_errors;	/* they leave some in OpenSSL's queue */
extern unsigned int tls_nsigned, tls_ncancelled;

/* A configuration whose pairs are filled in by tls_pair(). */
extern struct tlsctx_config tls_config;
extern X509 *tls_certs[TLS_PAIRS_MAX];

void tls_setup(void);		/* also the provider and the keeper */
void tls_teardown(void);

/* tls_pair(kind, names): One more pair for the DNS names, mail addresses and IPv4
 * addresses in ${names}, comma separated.
 * tls_make(kind, names, issuer, issuer_key, key_r): A certificate; NULL ${issuer}:
 * signed by itself; without names: an issuer. */
void tls_pair(enum keys_kind kind, const char *names);
X509 *tls_make(enum keys_kind kind, const char *names, X509 *issuer,
    EVP_PKEY *issuer_key, EVP_PKEY **key_r);

/* tls_context(): A context of tls_config; fails the test when it cannot be. */
struct tlsctx *tls_context(void);

/* One connection.  A test may set up the client's side before it shakes. */
struct tls_link {
	Event	*event;		/* the server's */
	SSL	*server, *client;
	int	 client_fd;
	int	 rc, error;	/* of the server's last tlsio_handshake() */
	int	 needmask;
	int	 client_rc;
};
extern SSL_CTX *tls_client_ctx;

void tls_open(struct tls_link *l, struct tlsctx *t);
void tls_close(struct tls_link *l);
/* tls_step(l): Each side once.  tls_shake(l): until the server has done, and
 * the client has read what comes behind.  Return whether it has. */
void tls_step(struct tls_link *l);
bool tls_shake(struct tls_link *l);

#endif
