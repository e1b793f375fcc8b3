/* The master's account of sessions.
 * Owns: handles, counts per worker, listener, service and client.
 * A handle is a random number and an index into its worker's book: nobody can
 * guess that of another session, and one that has ended finds nothing.
 * Clients are in a tree: it has no worst case that clients could bring about by
 * their choice of addresses. */

#include "cmd/mailmilld/master/state/ledger_int.h"

#include <sys/tree.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/msg.h"
#include "core/util/addr.h"

#define NONE		UINT32_MAX
#define ROUND_EACH	8	/* sessions of a round, for each book ... */
#define ROUND_MOST	10	/* ... and for one at most */
#define NO_ROUND	UINT_MAX
#define RANDOMS		64	/* made at once */
#define BLOCK		64	/* sessions */
#define ABOVE_FACTOR	2	/* a worker with twice as many sessions as others */
#define ABOVE_FREE	8	/* ... and twice this number more is well above them */

struct client {
	RB_ENTRY(client)  node;
	struct ledger_key key;
	struct tally	  sessions;
	struct log_bound  refusals;
};

struct ledger {
	RB_HEAD(ledger_clients, client)	 clients;
	unsigned int			 n;
	unsigned int			 round;	/* of book_pick() */
	unsigned int			 picked;	/* sessions of this round */
	uint32_t			 randoms[RANDOMS];	/* for handles */
	unsigned int			 nrandoms;	/* left in it */
};

/* --- clients -------------------------------------------------------------- */

static int
client_cmp(const struct client *a, const struct client *b)
{
	return memcmp(&a->key, &b->key, sizeof(a->key));
}

RB_PROTOTYPE(ledger_clients, client, node, client_cmp)
RB_GENERATE(ledger_clients, client, node, client_cmp)

static struct client *
client_find(struct ledger *l, const struct sockaddr *sa, enum ledger_kind kind)
{
	struct client wanted = { .key.kind = (unsigned char)kind };

	addr_network(sa, wanted.key.network);
	return RB_FIND(ledger_clients, &l->clients, &wanted);
}

/* Whose sessions ${t} counts. */
static struct client *
client_of(struct tally *t)
{
	return (struct client *)(void *)((char *)t -
	    offsetof(struct client, sessions));
}

static void
client_forget(struct ledger *l, struct client *c)
{
	if (c->sessions.n > 0)
		return;
	RB_REMOVE(ledger_clients, &l->clients, c);
	free(c);
}

/* One more session, of the worker of ${b}.  NULL: ENOMEM. */
static struct part *
client_enter(struct book *b, const struct sockaddr *sa, enum ledger_kind kind)
{
	struct client *c = client_find(b->ledger, sa, kind);
	struct part *part;

	if (c == NULL) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			return NULL;
		addr_network(sa, c->key.network);
		c->key.kind = (unsigned char)kind;
		RB_INSERT(ledger_clients, &b->ledger->clients, c);
	}
	if ((part = tally_enter(&c->sessions, b)) == NULL)
		client_forget(b->ledger, c);
	return part;
}

static void
client_leave(struct ledger *l, struct part *part)
{
	client_forget(l, client_of(tally_leave(part)));
}

const struct ledger_key *
ledger_key_of(const struct session *s)
{
	return &client_of(part_tally(s->client))->key;
}

/* --- the ledger ----------------------------------------------------------- */

struct ledger *
ledger_create(void)
{
	return calloc(1, sizeof(struct ledger));
}

void
ledger_free(struct ledger *l)
{
	struct client *c;

	if (l == NULL)
		return;
	while ((c = RB_ROOT(&l->clients)) != NULL) {
		RB_REMOVE(ledger_clients, &l->clients, c);
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
ledger_clients(struct ledger *l, const struct sockaddr *sa,
    enum ledger_kind kind)
{
	const struct tally *t = ledger_tally(l, sa, kind);

	return t == NULL ? 0 : t->n;
}

const struct tally *
ledger_tally(struct ledger *l, const struct sockaddr *sa,
    enum ledger_kind kind)
{
	const struct client *c = client_find(l, sa, kind);

	return c == NULL ? NULL : &c->sessions;
}

struct log_bound *
ledger_refusals(struct ledger *l, const struct sockaddr *sa,
    enum ledger_kind kind)
{
	struct client *c = client_find(l, sa, kind);

	return c == NULL ? NULL : &c->refusals;
}

/* --- books ---------------------------------------------------------------- */

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

static uint64_t
handle_of(const struct session *s, uint32_t i)
{
	return (uint64_t)s->number << 32 | i;
}

static struct session *
session_at(const struct book *b, uint32_t i)
{
	return &b->blocks[i / BLOCK][i % BLOCK];
}

static void
session_drop(struct book *b, uint32_t i)
{
	struct session *s = session_at(b, i);

	vouch_end(b->vouch, handle_of(s, i));
	(void)tally_leave(s->listener);
	(void)tally_leave(s->service);
	client_leave(b->ledger, s->client);
	if (s->is_asked)
		b->peers[s->peer].n--;
	s->client = NULL;
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
		if (session_at(b, i)->client != NULL)
			session_drop(b, i);
	for (i = 0; i < b->size / BLOCK; i++)
		free(b->blocks[i]);
	free(b->blocks);
	free(b->peers);
	vouch_free(b->vouch);
	free(b);
}

int
book_show(struct book *b)
{
	b->vouch = vouch_create(b->max);
	return b->vouch == NULL ? -1 : 0;
}

int
book_vouch_fd(const struct book *b)
{
	if (b->vouch != NULL)
		return vouch_fd(b->vouch);
	errno = ENOENT;
	return -1;
}

unsigned int
book_sessions(const struct book *b)
{
	return b->n;
}

bool
book_is_full(const struct book *b)
{
	return b->n >= b->max;
}

static int
compare(const void *va, const void *vb)
{
	const unsigned int *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

/* The number of sessions up to which a book has not far more than most of the
 * others. */
static unsigned int
common_max(struct book *const *books, size_t n)
{
	unsigned int v[BOOKS_MAX], low = UINT_MAX, high = 0;
	size_t i, m = 0;

	for (i = 0; i < n; i++)
		if (books[i] != NULL) {
			v[m++] = books[i]->n;
			low = books[i]->n < low ? books[i]->n : low;
			high = books[i]->n > high ? books[i]->n : high;
		}
	if (m == 0 || high / ABOVE_FACTOR <= low + ABOVE_FREE)
		return high;
	/* of more than half of them */
	qsort(v, m, sizeof(v[0]), compare);
	return (v[m / 2] + ABOVE_FREE + 1) * ABOVE_FACTOR - 1;
}

/* Has it had all that it may have of this round? */
static bool
is_served(const struct book *b)
{
	return b->round == b->ledger->round && b->picked == ROUND_MOST;
}

/* Find the book with the fewest sessions of those that have room for one more.
 * Unless ${max} is NO_ROUND, only books count that may have one of this round and
 * have at most ${max} sessions. */
static int
fewest(struct book *const *books, size_t n, unsigned int from,
    unsigned int max)
{
	const struct book *b;
	size_t i, at;
	int best = -1;

	for (i = 0; i < n; i++) {
		at = (from + i) % n;
		b = books[at];
		if (b == NULL || b->n >= b->max || (max != NO_ROUND &&
		    (is_served(b) || b->n > max)))
			continue;
		if (best == -1 || b->n < books[best]->n)
			best = (int)at;
	}
	return best;
}

static void
next_round(struct ledger *l)
{
	l->round++;
	l->picked = 0;
}

static void
count_pick(struct book *b, size_t nbooks)
{
	struct ledger *l = b->ledger;

	if (b->round != l->round) {
		b->round = l->round;
		b->picked = 0;
	}
	b->picked++;
	if (++l->picked >= ROUND_EACH * nbooks)
		next_round(l);
}

int
book_pick(struct book *const *books, size_t n, unsigned int *rotor)
{
	unsigned int max = common_max(books, n);
	int best = fewest(books, n, *rotor, max);
	size_t i, nbooks = 0;

	if (best == -1) {
		/* the next round; or all that have room are well above */
		for (i = 0; i < n && books[i] == NULL; i++)
			continue;
		if (i < n)
			next_round(books[i]->ledger);
		best = fewest(books, n, *rotor, max);
		if (best == -1)
			best = fewest(books, n, *rotor, NO_ROUND);
	}
	if (best == -1)
		return -1;
	for (i = 0; i < n; i++)
		nbooks += books[i] != NULL;
	count_pick(books[best], nbooks);
	*rotor = (unsigned int)best + 1;
	return best;
}

static int
book_grow(struct book *b)
{
	uint32_t nblocks = b->size / BLOCK, i;
	struct session **blocks, *block;

	blocks = reallocarray(b->blocks, nblocks + 1, sizeof(*blocks));
	if (blocks == NULL)
		return -1;
	b->blocks = blocks;
	if ((block = calloc(BLOCK, sizeof(*block))) == NULL)
		return -1;
	for (i = BLOCK; i-- > 0;) {
		block[i].next_free = b->free;
		b->free = b->size + i;
	}
	blocks[nblocks] = block;
	b->size += BLOCK;
	return 0;
}

/* Another one than ${last}, which the index had before.  Many are made at once:
 * each call of arc4random(3) asks the kernel whether there was a fork.  No child
 * has a copy of them, since each is a program of its own after exec. */
static uint32_t
random_number(struct ledger *l, uint32_t last)
{
	uint32_t number;

	do {
		if (l->nrandoms == 0) {
			arc4random_buf(l->randoms, sizeof(l->randoms));
			l->nrandoms = RANDOMS;
		}
		number = l->randoms[--l->nrandoms];
	} while (number == 0 || number == last);
	return number;
}

/* Count it for all that it is of, or for none (ENOMEM). */
static int
session_enter(struct book *b, struct session *s, const struct sockaddr *sa,
    enum ledger_kind kind, struct tally *listener, struct tally *service)
{
	if ((s->listener = tally_enter(listener, b)) == NULL)
		goto err1;
	if ((s->service = tally_enter(service, b)) == NULL)
		goto err2;
	if ((s->client = client_enter(b, sa, kind)) == NULL)
		goto err3;
	return 0;
err3:
	(void)tally_leave(s->service);
err2:
	(void)tally_leave(s->listener);
err1:
	return -1;
}

int
book_add(struct book *b, const struct sockaddr *sa, enum ledger_kind kind,
    struct tally *listener, struct tally *service, uint64_t *handle_r)
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
	s = session_at(b, i);
	if (session_enter(b, s, sa, kind, listener, service) == -1)
		return -1;
	b->free = s->next_free;
	s->number = random_number(b->ledger, s->number);
	s->is_asked = s->may_name = false;
	s->peer = BOOK_PEERS;
	b->n++;
	b->ledger->n++;
	*handle_r = handle_of(s, i);
	return 0;
}

struct session *
book_find(struct book *b, uint64_t handle)
{
	uint32_t i = HANDLE_INDEX(handle);
	struct session *s = i < b->size ? session_at(b, i) : NULL;

	if (s != NULL && s->client != NULL &&
	    s->number == (uint32_t)(handle >> 32))
		return s;
	errno = ENOENT;
	return NULL;
}

int
book_remove(struct book *b, uint64_t handle)
{
	if (book_find(b, handle) == NULL)
		return -1;
	session_drop(b, HANDLE_INDEX(handle));
	return 0;
}

int
book_may_name(struct book *b, uint64_t handle, bool may)
{
	struct session *s = book_find(b, handle);

	if (s == NULL)
		return -1;
	s->may_name = may;
	return 0;
}

int
book_proxied(struct book *b, uint64_t handle, const struct sockaddr *sa)
{
	struct session *s = book_find(b, handle);
	struct part *client;

	if (s == NULL)
		return -1;
	if (ledger_key_of(s)->kind != LEDGER_PROXY && !s->may_name) {
		errno = EALREADY;
		return -1;
	}
	/* however it is counted, it is not the peer's any more */
	vouch_name(b->vouch, handle, sa);
	if (!addr_is_known(sa))
		return 0;
	if ((client = client_enter(b, sa, LEDGER_PROXIED)) == NULL)
		return -1;
	client_leave(b->ledger, s->client);
	s->client = client;
	return 0;
}

void
book_vouch(struct book *b, uint64_t handle, size_t listener,
    const struct sockaddr *peer)
{
	const struct session *s = book_find(b, handle);
	struct vouched who = { .listener = (uint32_t)listener };

	if (s == NULL)
		return;
	who.is_proxy = ledger_key_of(s)->kind == LEDGER_PROXY;
	addr_copy(&who.peer.sa, peer);
	vouch_put(b->vouch, handle, &who);
}

struct tally *
book_listener(struct book *b, uint64_t handle)
{
	const struct session *s = book_find(b, handle);

	return s == NULL ? NULL : part_tally(s->listener);
}

bool
book_is_from(struct book *b, uint64_t handle, const struct sockaddr *sa,
    enum ledger_kind kind)
{
	const struct session *s = book_find(b, handle);
	struct ledger_key wanted = { .kind = (unsigned char)kind };

	addr_network(sa, wanted.network);
	return s != NULL && memcmp(ledger_key_of(s), &wanted, sizeof(wanted)) == 0;
}
