/* The master's account of sessions.
 * Owns: handles, counts per worker, listener, service and client address.
 * A handle is a generation and an index into its worker's book, so that a
 * report that comes late, or twice, finds nothing. */

#include "cmd/mailmilld/master/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/util/addr.h"

#define NONE		UINT32_MAX
#define BUCKETS_FIRST	64	/* a power of two */

struct client {
	struct client	*next;
	unsigned char	 addr[16];	/* IPv4 mapped into IPv6 */
	unsigned int	 n;
};

struct session {
	uint32_t	 generation;	/* odd while in use */
	uint32_t	 next_free;
	struct tally	*listener;
	struct tally	*service;
	struct client	*client;
};

struct book {
	struct ledger	*ledger;
	struct session	*v;
	uint32_t	 size;
	uint32_t	 free;		/* NONE: all in use */
	unsigned int	 n;
	unsigned int	 max;
};

struct ledger {
	struct client	**bucket;
	size_t		  nbuckets;
	size_t		  nclients;
	unsigned int	  n;
};

static void
addr_key(const struct sockaddr *sa, unsigned char key_r[16])
{
	const unsigned char *octets;
	int family;

	memset(key_r, 0, 16);
	if ((octets = addr_octets(sa, &family)) == NULL)
		return;
	if (family == AF_INET6) {
		memcpy(key_r, octets, 16);
	} else {
		key_r[10] = key_r[11] = 0xff;
		memcpy(key_r + 12, octets, 4);
	}
}

static size_t
bucket_of(const unsigned char key[16], size_t nbuckets)
{
	uint64_t a, b;

	memcpy(&a, key, 8);
	memcpy(&b, key + 8, 8);
	a = (a ^ (b * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
	return (size_t)(a >> 32) & (nbuckets - 1);
}

struct ledger *
ledger_create(void)
{
	struct ledger *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->nbuckets = BUCKETS_FIRST;
	if ((l->bucket = calloc(l->nbuckets, sizeof(*l->bucket))) == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

void
ledger_free(struct ledger *l)
{
	struct client *c;
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < l->nbuckets; i++)
		while ((c = l->bucket[i]) != NULL) {
			l->bucket[i] = c->next;
			free(c);
		}
	free(l->bucket);
	free(l);
}

unsigned int
ledger_sessions(const struct ledger *l)
{
	return l->n;
}

static struct client **
client_find(const struct ledger *l, const unsigned char key[16])
{
	struct client **cp = &l->bucket[bucket_of(key, l->nbuckets)];

	while (*cp != NULL && memcmp((*cp)->addr, key, 16) != 0)
		cp = &(*cp)->next;
	return cp;
}

unsigned int
ledger_clients(const struct ledger *l, const struct sockaddr *sa)
{
	unsigned char key[16];
	struct client *c;

	addr_key(sa, key);
	c = *client_find(l, key);
	return c == NULL ? 0 : c->n;
}

/* Double the number of buckets.  Without memory for them it stays as it is, and
 * a look-up takes longer. */
static void
clients_rehash(struct ledger *l)
{
	size_t nbuckets = l->nbuckets * 2, i, to;
	struct client **bucket, *c;

	if ((bucket = calloc(nbuckets, sizeof(*bucket))) == NULL)
		return;
	for (i = 0; i < l->nbuckets; i++)
		while ((c = l->bucket[i]) != NULL) {
			l->bucket[i] = c->next;
			to = bucket_of(c->addr, nbuckets);
			c->next = bucket[to];
			bucket[to] = c;
		}
	free(l->bucket);
	l->bucket = bucket;
	l->nbuckets = nbuckets;
}

static struct client *
client_enter(struct ledger *l, const struct sockaddr *sa)
{
	unsigned char key[16];
	struct client **cp, *c;

	addr_key(sa, key);
	cp = client_find(l, key);
	if (*cp == NULL) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			return NULL;
		memcpy(c->addr, key, sizeof(c->addr));
		*cp = c;
		if (++l->nclients > l->nbuckets)
			clients_rehash(l);
	} else
		c = *cp;
	c->n++;
	return c;
}

static void
client_leave(struct ledger *l, struct client *c)
{
	if (--c->n > 0)
		return;
	*client_find(l, c->addr) = c->next;
	l->nclients--;
	free(c);
}

struct book *
book_open(struct ledger *l, unsigned int max)
{
	struct book *b;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return NULL;
	b->ledger = l;
	b->free = NONE;
	b->max = max;
	return b;
}

static void
session_drop(struct book *b, uint32_t i)
{
	struct session *s = &b->v[i];

	s->generation++;
	s->listener->n--;
	s->service->n--;
	client_leave(b->ledger, s->client);
	s->next_free = b->free;
	b->free = i;
	b->n--;
	b->ledger->n--;
}

void
book_close(struct book *b)
{
	uint32_t i;

	if (b == NULL)
		return;
	for (i = 0; i < b->size; i++)
		if ((b->v[i].generation & 1) != 0)
			session_drop(b, i);
	free(b->v);
	free(b);
}

unsigned int
book_sessions(const struct book *b)
{
	return b->n;
}

int
book_pick(struct book *const *books, size_t n, unsigned int *rotor)
{
	size_t i, at;
	int best = -1;

	for (i = 0; i < n; i++) {
		at = (*rotor + i) % n;
		if (books[at] == NULL || books[at]->n >= books[at]->max)
			continue;
		if (best == -1 || books[at]->n < books[best]->n)
			best = (int)at;
	}
	if (best != -1)
		*rotor = (unsigned int)best + 1;
	return best;
}

static int
book_grow(struct book *b)
{
	uint32_t size = b->size == 0 ? 64 : b->size * 2, i;
	struct session *v;

	if ((v = reallocarray(b->v, size, sizeof(*v))) == NULL)
		return -1;
	memset(v + b->size, 0, (size - b->size) * sizeof(*v));
	for (i = size; i-- > b->size;) {
		v[i].next_free = b->free;
		b->free = i;
	}
	b->v = v;
	b->size = size;
	return 0;
}

int
book_add(struct book *b, const struct sockaddr *sa, struct tally *listener,
    struct tally *service, uint64_t *handle_r)
{
	struct session *s;
	uint32_t i;

	if (b->n >= b->max) {
		errno = ENFILE;
		return -1;
	}
	if (b->free == NONE && book_grow(b) == -1)
		return -1;
	i = b->free;
	s = &b->v[i];
	if ((s->client = client_enter(b->ledger, sa)) == NULL)
		return -1;
	b->free = s->next_free;
	s->generation++;
	s->listener = listener;
	s->service = service;
	listener->n++;
	service->n++;
	b->n++;
	b->ledger->n++;
	*handle_r = (uint64_t)s->generation << 32 | i;
	return 0;
}

int
book_remove(struct book *b, uint64_t handle)
{
	uint32_t i = HANDLE_INDEX(handle);

	if (i >= b->size || (b->v[i].generation & 1) == 0 ||
	    b->v[i].generation != (uint32_t)(handle >> 32)) {
		errno = ENOENT;
		return -1;
	}
	session_drop(b, i);
	return 0;
}
