/* How often a worker may ask for the client of a session again: book_asked().
 * Owns: the peers of a book, each with the part that it has of BOOK_AGAIN. */

#include "cmd/mailmilld/master/state/ledger_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS	1000	/* a peer that has not asked for so long has no part */

/* Does it ask again, or has it done so just now? */
static bool
is_asking(const struct peer *p, uint64_t now_ms)
{
	return p->is_used && now_ms - p->again.then_ms < AGAIN_MS;
}

/* The index of the peer ${key}.  When there are too many, those that come last
 * have one place together, and so each has a part.  A place is free for another
 * one when its bucket is full again, so that a peer gets no new bucket by
 * connecting again. */
static uint16_t
peer_find(const struct book *b, const struct ledger_key *key, uint64_t now_ms)
{
	uint16_t i, place = BOOK_PEERS;

	for (i = 0; i < BOOK_PEERS; i++) {
		if (memcmp(&b->peers[i].key, key, sizeof(*key)) == 0)
			return i;
		if (place == BOOK_PEERS && b->peers[i].n == 0 &&
		    !is_asking(&b->peers[i], now_ms))
			place = i;
	}
	return place;
}

/* The session asks for the first time: its client is still the peer that has
 * connected.  Return 0, or -1 (ENOMEM). */
static int
peer_enter(struct book *b, struct session *s, uint64_t now_ms)
{
	struct peer *p;

	if (b->peers == NULL && (b->peers = calloc(BOOK_PEERS + 1,
	    sizeof(*b->peers))) == NULL)
		return -1;
	s->peer = peer_find(b, ledger_key_of(s), now_ms);
	p = &b->peers[s->peer];
	if (s->peer < BOOK_PEERS &&
	    memcmp(&p->key, ledger_key_of(s), sizeof(p->key)) != 0)
		*p = (struct peer){ .key = *ledger_key_of(s) };
	p->n++;
	return 0;
}

/* May ${p} ask again?  It has an equal part of what those have that do. */
static bool
peer_asks(const struct book *b, struct peer *p, uint64_t now_ms)
{
	unsigned int i, n = is_asking(p, now_ms) ? 0 : 1;

	for (i = 0; i <= BOOK_PEERS; i++)
		n += is_asking(&b->peers[i], now_ms);
	if (p->is_used)
		bucket_resize(&p->again, BOOK_AGAIN / n, BOOK_AGAIN / n,
		    now_ms);
	else
		bucket_init_room(&p->again, BOOK_AGAIN / n, BOOK_AGAIN / n,
		    now_ms);
	p->is_used = true;
	return bucket_take_n(&p->again, 1, now_ms);
}

int
book_asked(struct book *b, uint64_t handle, uint64_t now_ms)
{
	struct session *s = book_find(b, handle);

	if (s == NULL)
		return -1;
	if (!s->may_name &&
	    (ledger_key_of(s)->kind != LEDGER_PROXY || s->is_asked)) {
		errno = ledger_key_of(s)->kind == LEDGER_PROXIED ||
		    (ledger_key_of(s)->kind == LEDGER_DIRECT && s->is_asked) ?
		    EACCES : EALREADY;
		return -1;
	}
	/* the first time is bounded by the sessions that there are */
	if (s->is_asked ? !peer_asks(b, &b->peers[s->peer], now_ms) :
	    peer_enter(b, s, now_ms) == -1) {
		errno = EAGAIN;
		return -1;
	}
	s->is_asked = true;
	return 0;
}
