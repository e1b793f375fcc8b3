/* What is known of the quotas of Maildirs that are not open any more: when the
 * messages were counted, and how many there were.
 * Owns: the memory for that, and its bound.
 *
 * An agent keeps some Maildirs open, and closes others.  Without this, whoever has more
 * users than that, one of whom is over his quota, would have the messages of that
 * one counted for each that comes. */

#include "core/maildir/deliver_int.h"

#include <stdlib.h>

#include "core/spool/spool_format.h"

void
deliver_counts_init(struct deliver_counts *c)
{
	size_t i;

	TAILQ_INIT(&c->order);
	for (i = 0; i < sizeof(c->buckets) / sizeof(c->buckets[0]); i++)
		LIST_INIT(&c->buckets[i]);
	c->n = 0;
}

static void
forget(struct deliver_counts *c, struct deliver_count *known)
{
	TAILQ_REMOVE(&c->order, known, order);
	LIST_REMOVE(known, hash);
	c->n--;
	free(known);
}

void
deliver_counts_clear(struct deliver_counts *c)
{
	while (!TAILQ_EMPTY(&c->order))
		forget(c, TAILQ_FIRST(&c->order));
}

static bool
is_old(const struct maildir_quota *q, uint64_t now_ms)
{
	return q->counted_ms == 0 ||
	    now_ms - q->counted_ms >= MAILDIR_QUOTA_COUNT_MS;
}

static size_t
bucket_of(const struct stat *st)
{
	const uint64_t id[] = { (uint64_t)st->st_dev, (uint64_t)st->st_ino };

	return spool_sum(id, sizeof(id)) % 256;
}

void
deliver_counts_keep(struct deliver_counts *c, const struct stat *st,
    const struct maildir_quota *q, uint64_t now_ms)
{
	struct deliver_count *known;

	if (is_old(q, now_ms))
		return;
	while ((known = TAILQ_FIRST(&c->order)) != NULL &&
	    (c->n >= DELIVER_COUNTS || is_old(&known->quota, now_ms)))
		forget(c, known);
	/* without memory it is counted once more */
	if ((known = calloc(1, sizeof(*known))) == NULL)
		return;
	known->dev = st->st_dev;
	known->ino = st->st_ino;
	known->quota = *q;
	TAILQ_INSERT_TAIL(&c->order, known, order);
	LIST_INSERT_HEAD(&c->buckets[bucket_of(st)], known, hash);
	c->n++;
}

void
deliver_counts_take(struct deliver_counts *c, const struct stat *st,
    struct maildir_quota *q_r, uint64_t now_ms)
{
	struct deliver_count *known;

	*q_r = (struct maildir_quota){ .counted_ms = 0 };
	LIST_FOREACH (known, &c->buckets[bucket_of(st)], hash)
		if (known->dev == st->st_dev && known->ino == st->st_ino)
			break;
	if (known == NULL)
		return;
	if (!is_old(&known->quota, now_ms))
		*q_r = known->quota;
	forget(c, known);
}
