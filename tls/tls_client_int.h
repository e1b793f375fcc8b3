/* What the files of tls_client.h share: tls_client.c (contexts, connections),
 * tls_client_server.c (what a server has to show), tls_client_facts.c (what it
 * has shown), tls_client_cache.c (sessions that are kept),
 * tls_client_authorities.c (certificates in files). */

#ifndef TLS_TLS_CLIENT_INT_H
#define TLS_TLS_CLIENT_INT_H

#include <openssl/ssl.h>

#include "tls/tls_client.h"

/* What sessions are kept under: a hash of all that decides whether the server
 * is verified. */
#define TLS_CLIENT_KEY	32	/* octets */

/* What a session was verified by, when it had its full handshake: a resumed one
 * shows no certificate. */
struct tls_client_shown {
	enum tls_client_verdict verdict;
	int64_t	since;		/* tls_client_now() */
	char	name[TLS_CLIENT_WHY_MAX];
	char	why[TLS_CLIENT_WHY_MAX];
};

struct tls_client_cache;

struct tls_client {
	SSL			*ssl;		/* until tls_client_start() */
	Event			*event;		/* that has TLS; NULL: not yet, or no more */
	struct tls_client_cache	*cache;		/* the SSL object's context has it */
	struct tls_client_facts	 facts;
	struct tls_client_shown	 offered;	/* with the session that was offered */
	int			 error;		/* X509_V_ERR_* that was found first */
	uint8_t			 key[TLS_CLIENT_KEY];
	bool			 has_key;	/* sessions are kept */
	bool			 has_offered;
	bool			 has_name, has_tlsa; /* to verify it with */
	bool			 has_unusable;	/* there are records, and none can be used */
	bool			 must_verify;
};

/* tls_client_own(ssl, t): From now on ${ssl} is of ${t}, or of none: NULL; when
 * it is freed, t->ssl and t->event become NULL.  Return 0 or -1 (ENOMEM).
 * tls_client_of(ssl): Whose it is; NULL: of none that is still there. */
int tls_client_own(SSL *ssl, struct tls_client *t);
struct tls_client *tls_client_of(SSL *ssl);

/* tls_client_require(t, server): Make t->ssl ask for what ${server} has to
 * show.  Return 0, or -1 with errno as of tls_client_new().
 * tls_client_key(t, server): Set t->key. */
int tls_client_require(struct tls_client *t,
    const struct tls_client_server *server);
int tls_client_key(struct tls_client *t,
    const struct tls_client_server *server);

/* tls_client_shown(t, ssl, shown_r): What the server has shown, as soon as its
 * certificate is checked, or the session is known to be resumed.
 * tls_client_learn(t, ssl): The handshake is done: set the facts.
 * tls_client_failed(t, errnum): It has failed with that errno, and OpenSSL's
 * queue of errors is as it was left. */
void tls_client_shown(const struct tls_client *t, SSL *ssl,
    struct tls_client_shown *shown_r);
void tls_client_learn(struct tls_client *t, SSL *ssl);
void tls_client_failed(struct tls_client *t, int errnum);

/* tls_client_now(): Seconds of a clock that does not step. */
int64_t tls_client_now(void);

/* tls_client_cache_new(ctx): A cache that ${ctx} owns; NULL: ENOMEM.
 * tls_client_cache_of(ctx): That.
 * tls_client_cache_put(cache, key, session, shown, now): Keep a copy in place of
 * what was kept under ${key}; if it is too old or too large, or there is no
 * memory, nothing is kept.
 * tls_client_cache_get(cache, key, now, shown_r): A session to be offered, or
 * NULL.
 * tls_client_cache_drop(cache, key): Forget it. */
struct tls_client_cache *tls_client_cache_new(SSL_CTX *ctx);
struct tls_client_cache *tls_client_cache_of(SSL_CTX *ctx);
void tls_client_cache_put(struct tls_client_cache *cache,
    const uint8_t key[TLS_CLIENT_KEY], SSL_SESSION *session,
    const struct tls_client_shown *shown, int64_t now);
SSL_SESSION *tls_client_cache_get(struct tls_client_cache *cache,
    const uint8_t key[TLS_CLIENT_KEY], int64_t now,
    struct tls_client_shown *shown_r);
void tls_client_cache_drop(struct tls_client_cache *cache,
    const uint8_t key[TLS_CLIENT_KEY]);

#endif
