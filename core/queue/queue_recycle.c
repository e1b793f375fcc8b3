/* What is left when records are done: segments to be used again, bodies to be
 * removed, a log that has grown.
 * Owns: the order in which these are made durable.
 *
 * A segment of which every record is done needs no log any more: the new
 * generation in its header, flushed, says the same. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"

static bool
is_finished(const struct queue_segment *seg)
{
	return seg->is_present && seg->is_read && seg->nmessages == 0 &&
	    seg->nstuck == 0 && !seg->is_unusable;
}

/* A segment in which committed octets were damaged is kept for somebody to
 * look at, under a name that nobody else uses. */
static int
set_aside(struct queue *q, struct queue_segment *seg)
{
	char from[SPOOL_NAME], to[SPOOL_NAME + 32];

	spool_segment_name("seg", seg->id, from);
	snprintf(to, sizeof(to), "damaged.%016llx.%llu",
	    (unsigned long long)seg->id,
	    (unsigned long long)seg->generation);
	if (renameat(q->config.incoming_dirfd, from, q->config.incoming_dirfd,
	    to) == -1)
		return -1;
	log_errx("segment-kept", "file=%s reason=%s", to,
	    "it had damage where whole records should be; remove it when you "
	    "have looked at it");
	return 0;
}

static int
count_free(void *closure, enum spool_entry kind, uint64_t id, const char *name)
{
	unsigned int *nfree = closure;

	(void)id;
	(void)name;
	if (kind == SPOOL_ENTRY_FREE)
		++*nfree;
	return 0;
}

static int
dispose(struct queue *q, struct queue_segment *seg, unsigned int *nfree)
{
	int dirfd = q->config.incoming_dirfd;

	if (seg->is_damaged)
		return set_aside(q, seg);
	if (*nfree >= QUEUE_FREE_MAX)
		return spool_segment_remove(dirfd, seg->id);
	if (queue_segment_open_file(q, seg) == -1 ||
	    spool_segment_recycle(dirfd, seg->fd, &seg->header,
	    q->config.is_synced) == -1)
		return -1;
	stats_inc(STATS_SEGMENTS_RECYCLED);
	++*nfree;
	return 0;
}

/* When the last segment of the process before this one has gone, so may bodies
 * that it had no time to remove. */
static void
old_one_gone(struct queue *q)
{
	struct queue_segment *seg;

	RB_FOREACH (seg, queue_segments, &q->segments)
		if (seg->is_old && !seg->is_unusable)
			return;
	q->sweep_ms = q->now_ms + QUEUE_DEATH_MS;
}

void
queue_recycle(struct queue *q)
{
	struct queue_segment *seg, *next;
	unsigned int nfree = 0;
	bool is_counted = false, was_old;

	RB_FOREACH_SAFE (seg, queue_segments, &q->segments, next) {
		if (!is_finished(seg) || seg->trouble_ms > q->now_ms)
			continue;
		if (!is_counted)
			spool_scan(q->config.incoming_dirfd, count_free,
			    &nfree);
		is_counted = true;
		if (dispose(q, seg, &nfree) == 0 || errno == ENOENT) {
			was_old = seg->is_old;
			queue_segment_free(q, seg);
			q->recycle_errnum = 0;
			if (was_old)
				old_one_gone(q);
			continue;
		}
		seg->trouble_ms = q->now_ms + QUEUE_TROUBLE_MS;
		if (errno == EWOULDBLOCK || errno == q->recycle_errnum)
			continue;
		q->recycle_errnum = errno;
		log_warn("segment-recycle", "segment=%llu",
		    (unsigned long long)seg->id);
	}
}

/* Runs of done records of one segment */
static int
snapshot_bits(struct acklog *log, const struct queue_segment *seg)
{
	struct acklog_entry e = { .segment = seg->id,
		.generation = seg->generation, .rcpt = ACKLOG_ALL };
	uint32_t seq, end = seg->done_octets * 8;

	for (seq = 0; seq < end; seq++) {
		if (!queue_segment_is_done(seg, seq))
			continue;
		e.seq = seq;
		while (seq + 1 < end && queue_segment_is_done(seg, seq + 1))
			seq++;
		e.last = seq;
		if (acklog_append(log, &e) == -1)
			return -1;
	}
	return 0;
}

static int
snapshot_partials(struct acklog *log, struct queue_segment *seg)
{
	struct acklog_entry e = { .segment = seg->id,
		.generation = seg->generation };
	struct queue_partial *p;
	uint32_t i;

	RB_FOREACH (p, queue_partials, &seg->partials) {
		e.seq = e.last = p->seq;
		for (i = 0; i < p->n; i++) {
			e.rcpt = p->rcpts[i];
			if (acklog_append(log, &e) == -1)
				return -1;
		}
	}
	return 0;
}

static int
snapshot_message(struct acklog *log, const struct queue_message *m)
{
	struct acklog_entry e = { .seq = m->seq, .last = m->seq };
	uint32_t i;

	if (m->segment == NULL)
		return 0;
	e.segment = m->segment->id;
	e.generation = m->segment->generation;
	for (i = 0; m->ndone > 0 && i < m->nrcpts; i++) {
		e.rcpt = m->rcpts[i].index;
		if (m->rcpts[i].state == RCPT_DONE &&
		    acklog_append(log, &e) == -1)
			return -1;
	}
	return 0;
}

static int
snapshot(void *closure, struct acklog *log)
{
	struct queue *q = closure;
	struct queue_segment *seg;
	struct queue_message *m;
	size_t b;

	RB_FOREACH (seg, queue_segments, &q->segments)
		if (snapshot_bits(log, seg) == -1 ||
		    snapshot_partials(log, seg) == -1)
			return -1;
	for (b = 0; b < QUEUE_BUCKETS; b++)
		LIST_FOREACH (m, &q->buckets[b], hash)
			if (snapshot_message(log, m) == -1)
				return -1;
	return 0;
}

static void
log_trouble(struct queue *q, const char *what)
{
	if (q->acklog_errnum != errno)
		log_err(what, "folder=%s", q->config.folder);
	q->acklog_errnum = errno;
}

static void
remove_bodies(struct queue *q)
{
	size_t i;

	for (i = 0; i < q->nbodies; i++)
		if (spool_body_remove(q->config.incoming_dirfd,
		    q->bodies[i]) == -1 && errno != ENOENT)
			log_warn("body-remove", "folder=%s", "incoming");
	q->nbodies = 0;
}

/* Now and then: flush the log, and then what had to wait for that. */
void
queue_maintain_log(struct queue *q)
{
	if (acklog_wants_compaction(q->acklog) &&
	    acklog_compact(q->acklog, snapshot, q) == -1)
		log_trouble(q, "acklog_compact");
	if (q->config.is_synced ? acklog_sync(q->acklog) == -1 :
	    acklog_write(q->acklog) == -1) {
		log_trouble(q, "acklog_sync");
		return;
	}
	q->acklog_errnum = 0;
	remove_bodies(q);
}
