/* The master's account of sessions.
 * Owns: handles, counts per worker, listener, service and client address.
 * A handle is a generation and an index into its worker's book, so that a
 * report that comes late, or twice, finds nothing. */

#include "cmd/mailmilld/master/ledger.h"

#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/util/addr.h"

#define NONE		UINT32_MAX

struct client {
	RB_ENTRY(client) node;
	unsigned char	 addr[16];	/* IPv4 mapped into IPv6 */
	unsigned int	 n;
};
RB_HEAD(clients, client);

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
	struct clients	clients;
	unsigned int	n;
};

static int
client_cmp(const struct client *a, const struct client *b)
{
	return memcmp(a->addr, b->addr, sizeof(a->addr));
}

RB_PROTOTYPE(clients, client, node, client_cmp)
RB_GENERATE(clients, client, node, client_cmp)

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

struct ledger *
ledger_create(void)
{
	return calloc(1, sizeof(struct ledger));
}

void
ledger_free(struct ledger *l)
{
	struct client *c, *next;

	if (l == NULL)
		return;
	RB_FOREACH_SAFE(c, clients, &l->clients, next) {
		RB_REMOVE(clients, &l->clients, c);
		free(c);
	}
	free(l);
}

unsigned int
ledger_sessions(const struct ledger *l)
{
	return l->n;
}

unsigned int
ledger_clients(struct ledger *l, const struct sockaddr *sa)
{
	struct client wanted, *c;

	addr_key(sa, wanted.addr);
	c = RB_FIND(clients, &l->clients, &wanted);
	return c == NULL ? 0 : c->n;
}

static struct client *
client_enter(struct ledger *l, const struct sockaddr *sa)
{
	struct client *c, *old;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	addr_key(sa, c->addr);
	if ((old = RB_INSERT(clients, &l->clients, c)) != NULL) {
		free(c);
		c = old;
	}
	c->n++;
	return c;
}

static void
client_leave(struct ledger *l, struct client *c)
{
	if (--c->n > 0)
		return;
	RB_REMOVE(clients, &l->clients, c);
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
