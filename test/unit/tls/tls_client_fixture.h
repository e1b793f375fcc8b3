/* A server that a client of tls/tls_client.h visits: OpenSSL on the other end of
 * a socket pair. */

#ifndef TEST_UNIT_TLS_TLS_CLIENT_FIXTURE_H
#define TEST_UNIT_TLS_TLS_CLIENT_FIXTURE_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdbool.h>
#include <stdint.h>

#include "core/event.h"
#include "keys_fixture.h"
#include "tls/tls_client.h"

/* A certificate and its key. */
struct shop_pair {
	X509		*cert;
	EVP_PKEY	*key;
};

extern struct shop_pair shop_ca;	/* that the contexts trust */
extern struct shop_pair shop_good;	/* of it, for mx.example.test */
extern struct tls_client_ctx *shop_ctx;
extern SSL_CTX *shop_server;		/* has shop_good */

void shop_setup(void);
void shop_teardown(void);

/* shop_make(names, issuer): A certificate, freed by shop_teardown().  NULL:
 * signed by itself.
 * shop_times(p, issuer, from, to): Make it valid between those seconds from now.
 * shop_use(p): The server has it from now on, and its issuer in its chain:
 * NULL, it has none.
 * shop_version(version): Of TLS, that the server speaks.
 * shop_context(protocols): One that trusts shop_ca. */
struct shop_pair shop_make(const char *names, const struct shop_pair *issuer);
void shop_times(struct shop_pair *p, const struct shop_pair *issuer, long from,
    long to);
void shop_use(const struct shop_pair *p, const struct shop_pair *issuer);
void shop_version(int version);
struct tls_client_ctx *shop_context(const char *protocols);

/* shop_tlsa(r, p, usage, selector, matching): A record that matches; its octets
 * are valid until the next call for another ${r}. */
struct shop_record {
	struct tls_client_tlsa	 r;
	uint8_t			 octets[2048];
};
void shop_tlsa(struct shop_record *r, const struct shop_pair *p, int usage,
    int selector, int matching);

/* A connection. */
struct shop_visit {
	Event			*event;		/* the client's */
	struct tls_client	*client;
	SSL			*server;
	int			 fd;		/* the server's */
	int			 rc, error;	/* of tls_client_handshake() */
	int			 needmask;
	struct tls_client_facts	 facts;		/* after shop_leave() */
};

/* shop_enter(v, ctx, server): Connect.
 * shop_shake(v): Until the client has done, and has read what comes behind.
 * Return whether it has.
 * shop_leave(v): The connection is over.
 * shop_visit(v, server): All of it with shop_ctx: return whether the handshake
 * went well. */
void shop_enter(struct shop_visit *v, struct tls_client_ctx *ctx,
    const struct tls_client_server *server);
bool shop_shake(struct shop_visit *v);
void shop_leave(struct shop_visit *v);
bool shop_visit(struct shop_visit *v, const struct tls_client_server *server);

#endif
