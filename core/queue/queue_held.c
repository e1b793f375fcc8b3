/* How much each login has held (RFC 4865).
 * Owns: the list of those that have the most, how much more each may have held.
 * Such a login is served as others are, but has no more held than its quota.  So
 * none can fill the spool with mail that does not leave it for a year.
 * The sums are the store's, which keeps them as rows come and go.
 * A worker is believed, when it says whose a message is, for a share of that
 * login's quota only, and takes no more than this share: somebody who controls
 * one worker cannot use up what others may have held.  Each process has a number
 * of its own, which is in its files; the share is that of all in its slot, so
 * that one which dies and is started again gets no more.  Those of which the
 * slot is not known, since they ended before the queue was opened, have one share
 * together.
 * The workers are told how much is left, and refuse.  They are also told what has
 * come through them: of what they have accepted, that is what the sums have.
 * What they accept before they hear of each other's messages is at most what
 * clients can send until these were read, and QUEUE_HELD_MS after that. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/array.h"

#define LEAST	(LIM_HELD_MESSAGE + LIM_HELD_RCPT)	/* what a message counts for */
#define NO_SLOT	(QUEUE_SLOTS + 1)

static void
holders_free(struct queue_holders *h)
{
	while (h->n > 0)
		free(h->v[--h->n].login);
	free(h->v);
	*h = (struct queue_holders){ .n = 0 };
}

struct look {
	struct queue_holders holders;
	bool	 has_failed;
};

static int
collect(void *closure, const char *login, unsigned int writer, uint64_t octets,
    uint64_t came)
{
	struct look *look = closure;
	struct queue_holders *h = &look->holders;
	struct queue_holder *v;

	v = array_fit(h->v, &h->room, h->n + 1, sizeof(*v));
	if (v != NULL) {
		h->v = v;
		v += h->n;
		/* the database may have been edited */
		writer &= (1u << SPOOL_NUMBER_BITS) - 1;
		*v = (struct queue_holder){ .login = strdup(login),
			.writer = writer, .octets = octets, .came = came };
	}
	look->has_failed = v == NULL || v->login == NULL;
	h->n += !look->has_failed;
	return look->has_failed ? -1 : 0;
}

static int
compare(const void *a, const void *b)
{
	const struct queue_holder *x = a, *y = b;
	int order = strcmp(x->login, y->login);

	return order != 0 ? order : (x->writer > y->writer) -
	    (x->writer < y->writer);
}

/* The first entry of ${login}, or of the next one there is */
static size_t
find(const struct queue_holders *h, const char *login)
{
	size_t low = 0, high = h->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(h->v[mid].login, login) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ${slot} may be NO_SLOT: through one of which nothing has come. */
static uint64_t
left(const struct queue *q, const struct queue_holders *h, const char *login,
    unsigned int slot)
{
	uint64_t sums[NO_SLOT + 1] = { 0 }, total = 0;
	size_t i;

	for (i = find(h, login); i < h->n && strcmp(h->v[i].login, login) == 0;
	    i++)
		sums[q->held_slots[h->v[i].writer]] += h->v[i].octets;
	for (i = 0; i < NO_SLOT; i++)
		total += MIN(sums[i], q->config.held_share);
	return MIN(q->config.held_octets - MIN(total, q->config.held_octets),
	    q->config.held_share - MIN(sums[slot], q->config.held_share));
}

uint64_t
queue_held_left(const struct queue *q, const char *login, unsigned int writer)
{
	return q->config.held_octets == 0 ? UINT64_MAX :
	    left(q, &q->holders, login, q->held_slots[writer]);
}

void
queue_held_slot(struct queue *q, unsigned int writer, unsigned int slot)
{
	const struct queue_holder *v = q->holders.v;
	size_t i;

	if (slot > QUEUE_SLOTS)
		slot = 0;
	if (q->held_slots[writer] == slot)
		return;
	q->held_slots[writer] = (uint16_t)slot;
	/* what has come through others of that slot counts for all of them */
	for (i = 0; i < q->holders.n && q->ops->held != NULL; i++)
		if (v[i].writer == writer)
			q->ops->held(q->closure, v[i].login);
}

uint64_t
queue_held_came(const struct queue *q, const char *login, unsigned int writer,
    uint64_t *held_r)
{
	const struct queue_holders *h = &q->holders;
	size_t i;

	for (i = find(h, login); i < h->n && strcmp(h->v[i].login, login) == 0;
	    i++)
		if (h->v[i].writer == writer) {
			*held_r = h->v[i].octets;
			return h->v[i].came;
		}
	return *held_r = 0;
}

/* Have the entries from ${i} on and those from ${k} on of one login the same
 * sums?  Both are moved behind them. */
static bool
is_same(const struct queue_holders *a, size_t *i, const struct queue_holders *b,
    size_t *k, const char *login)
{
	bool is = true, has_a, has_b;

	for (;; (*i) += has_a, (*k) += has_b) {
		has_a = *i < a->n && strcmp(a->v[*i].login, login) == 0;
		has_b = *k < b->n && strcmp(b->v[*k].login, login) == 0;
		if (!has_a && !has_b)
			return is;
		is = is && has_a && has_b &&
		    a->v[*i].writer == b->v[*k].writer &&
		    a->v[*i].octets == b->v[*k].octets &&
		    a->v[*i].came == b->v[*k].came;
	}
}

static void
tell(struct queue *q, const struct queue_holders *before, const char *login)
{
	if (left(q, &q->holders, login, NO_SLOT) < LEAST &&
	    left(q, before, login, NO_SLOT) >= LEAST)
		log_warnx("held-full", "login=%s octets=%llu effect=%s", login,
		    (unsigned long long)q->config.held_octets,
		    "nothing more is held for it until some of that has been "
		    "released");
	if (q->ops->held != NULL)
		q->ops->held(q->closure, login);
}

/* Tell of the logins whose sums have changed.  Both lists are sorted. */
static void
tell_changes(struct queue *q, const struct queue_holders *before)
{
	const struct queue_holders *now = &q->holders;
	size_t i = 0, k = 0;
	const char *login;

	while (i < before->n || k < now->n) {
		if (k == now->n || (i < before->n &&
		    strcmp(before->v[i].login, now->v[k].login) < 0))
			login = before->v[i].login;
		else
			login = now->v[k].login;
		if (!is_same(before, &i, now, &k, login))
			tell(q, before, login);
	}
}

void
queue_held_look(struct queue *q)
{
	struct look look = { .has_failed = false };
	struct queue_holders before = q->holders;

	if (q->config.held_octets == 0 || !q->is_held_news ||
	    q->held_ms > q->now_ms)
		return;
	q->held_ms = q->now_ms + QUEUE_HELD_MS;
	if (q->store_ops->holders(q->store, QUEUE_HOLDERS_MAX, collect,
	    &look) == -1 || look.has_failed) {
		holders_free(&look.holders);
		return;
	}
	q->is_held_news = false;
	if (look.holders.n > 0)
		qsort(look.holders.v, look.holders.n,
		    sizeof(look.holders.v[0]), compare);
	q->holders = look.holders;
	tell_changes(q, &before);
	holders_free(&before);
}

int64_t
queue_held_due(const struct queue *q)
{
	return q->config.held_octets != 0 && q->is_held_news ? q->held_ms :
	    INT64_MAX;
}

const char *
queue_held_login(const struct queue *q, const char *behind)
{
	const struct queue_holders *h = &q->holders;
	size_t i = behind == NULL ? 0 : find(h, behind);

	while (i < h->n && (h->v[i].octets == 0 ||
	    (behind != NULL && strcmp(h->v[i].login, behind) == 0)))
		i++;
	return i < h->n ? h->v[i].login : NULL;
}

void
queue_held_free(struct queue *q)
{
	holders_free(&q->holders);
}
