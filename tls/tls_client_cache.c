/* Sessions that a client's context keeps to resume them; see tls_client.h.
 * Owns: how many and how large they are, and how long they are kept.
 *
 * They are kept as octets, which are a tenth of what OpenSSL's objects are: a
 * session holds the whole chain of certificates. */

#include "tls/tls_client_int.h"

#include <sys/queue.h>
#include <sys/tree.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/lim.h"
#include "core/util/wipe.h"

struct kept {
	RB_ENTRY(kept)		 node;
	TAILQ_ENTRY(kept)	 used;
	uint8_t			 key[TLS_CLIENT_KEY];
	struct tls_client_shown	*shown;
	size_t			 len;
	unsigned char		 der[];	/* of the session: it has secrets */
};

RB_HEAD(tls_client_tree, kept);

struct tls_client_cache {
	struct tls_client_tree	 tree;
	TAILQ_HEAD(kept_list, kept) used; /* the one used last is the first */
	size_t			 n;
};

static int cache_index = -1;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static int
compare(const struct kept *a, const struct kept *b)
{
	return memcmp(a->key, b->key, sizeof(a->key));
}

RB_PROTOTYPE(tls_client_tree, kept, node, compare)
RB_GENERATE(tls_client_tree, kept, node, compare)

static void
drop(struct tls_client_cache *cache, struct kept *k)
{
	RB_REMOVE(tls_client_tree, &cache->tree, k);
	TAILQ_REMOVE(&cache->used, k, used);
	cache->n--;
	free(k->shown);
	wipe_free(k, sizeof(*k) + k->len);
}

static struct kept *
find(struct tls_client_cache *cache, const uint8_t key[TLS_CLIENT_KEY])
{
	struct kept wanted;

	memcpy(wanted.key, key, sizeof(wanted.key));
	return RB_FIND(tls_client_tree, &cache->tree, &wanted);
}

int64_t
tls_client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static bool
is_old(const struct tls_client_shown *shown, int64_t now)
{
	return now - shown->since >= LIM_TLS_SESSION_SECONDS;
}

/* --- the context's -------------------------------------------------------- */

static void
ctx_gone(void *, void *ptr, CRYPTO_EX_DATA *, int, long, void *)
{
	struct tls_client_cache *cache = ptr;

	if (cache == NULL)
		return;
	while (!TAILQ_EMPTY(&cache->used))
		drop(cache, TAILQ_FIRST(&cache->used));
	free(cache);
}

static void
make_index(void)
{
	cache_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, ctx_gone);
}

struct tls_client_cache *
tls_client_cache_new(SSL_CTX *ctx)
{
	struct tls_client_cache *cache;

	pthread_once(&cache_once, make_index);
	if (cache_index == -1 || (cache = calloc(1, sizeof(*cache))) == NULL)
		return NULL;
	RB_INIT(&cache->tree);
	TAILQ_INIT(&cache->used);
	if (SSL_CTX_set_ex_data(ctx, cache_index, cache) == 1)
		return cache;
	free(cache);
	return NULL;
}

struct tls_client_cache *
tls_client_cache_of(SSL_CTX *ctx)
{
	return SSL_CTX_get_ex_data(ctx, cache_index);
}

/* --- sessions ------------------------------------------------------------- */

static struct kept *
pack(const uint8_t key[TLS_CLIENT_KEY], SSL_SESSION *session,
    const struct tls_client_shown *shown)
{
	int len = i2d_SSL_SESSION(session, NULL);
	unsigned char *at;
	struct kept *k;

	if (len <= 0 || len > LIM_TLS_SESSION ||
	    (k = calloc(1, sizeof(*k) + (size_t)len)) == NULL)
		return NULL;
	if ((k->shown = malloc(sizeof(*k->shown))) == NULL) {
		free(k);
		return NULL;
	}
	*k->shown = *shown;
	memcpy(k->key, key, sizeof(k->key));
	at = k->der;
	k->len = (size_t)i2d_SSL_SESSION(session, &at);
	return k;
}

void
tls_client_cache_put(struct tls_client_cache *cache,
    const uint8_t key[TLS_CLIENT_KEY], SSL_SESSION *session,
    const struct tls_client_shown *shown, int64_t now)
{
	struct kept *k;

	tls_client_cache_drop(cache, key);
	if (is_old(shown, now) || (k = pack(key, session, shown)) == NULL)
		return;
	if (cache->n == LIM_TLS_SESSIONS)
		drop(cache, TAILQ_LAST(&cache->used, kept_list));
	RB_INSERT(tls_client_tree, &cache->tree, k);
	TAILQ_INSERT_HEAD(&cache->used, k, used);
	cache->n++;
}

SSL_SESSION *
tls_client_cache_get(struct tls_client_cache *cache,
    const uint8_t key[TLS_CLIENT_KEY], int64_t now,
    struct tls_client_shown *shown_r)
{
	struct kept *k = find(cache, key);
	const unsigned char *at;

	if (k == NULL)
		return NULL;
	if (is_old(k->shown, now)) {
		drop(cache, k);
		return NULL;
	}
	TAILQ_REMOVE(&cache->used, k, used);
	TAILQ_INSERT_HEAD(&cache->used, k, used);
	*shown_r = *k->shown;
	at = k->der;
	return d2i_SSL_SESSION(NULL, &at, (long)k->len);
}

void
tls_client_cache_drop(struct tls_client_cache *cache,
    const uint8_t key[TLS_CLIENT_KEY])
{
	struct kept *k = find(cache, key);

	if (k != NULL)
		drop(cache, k);
}
