/* Reading segments, as far as there is room for their messages.
 * Owns: the turns of the segments, the bounds on what is in memory, going back
 * to what was left behind. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <stdlib.h>

#include "core/process/log.h"

static bool
has_room(const struct queue *q)
{
	return q->nmessages < QUEUE_MESSAGES_MAX &&
	    q->memory < QUEUE_ENVELOPES_MAX && q->nfiles < QUEUE_FILES_MAX &&
	    acklog_pending(q->acklog) < ACKLOG_PENDING_MAX / 2;
}

int
queue_segment_open_reader(struct queue *q, struct queue_segment *seg)
{
	unsigned int flags = seg->state == SEGMENT_DEAD ? 0 :
	    SPOOL_READ_TRUST_BODY;

	if (queue_segment_open_file(q, seg) == -1)
		return -1;
	if (seg->reader != NULL)
		return 0;
	seg->reader = spool_reader_new(seg->fd, q->readbuf, flags);
	if (seg->reader == NULL)
		return -1;
	if (spool_reader_header(seg->reader)->generation != seg->generation) {
		/* or the next call would take it for the right one */
		spool_reader_free(seg->reader);
		seg->reader = NULL;
		errno = ESTALE;
		return -1;
	}
	spool_reader_seek(seg->reader, seg->resume);
	return 0;
}

/* ${seg} cannot be read now. */
static void
trouble(struct queue *q, struct queue_segment *seg)
{
	if (!seg->is_unusable)
		log_warn("segment-read", "segment=%llu",
		    (unsigned long long)seg->id);
	seg->trouble_ms = q->now_ms + QUEUE_TROUBLE_MS;
}

static void
found_damage(struct queue_segment *seg, const struct spool_damage *damage)
{
	/* reported once, however often the segment is read */
	if (damage->offset + damage->octets <= seg->told_damage)
		return;
	queue_segment_damage(seg, damage->offset, damage->octets, damage->id,
	    damage->what);
	seg->told_damage = damage->offset + damage->octets;
	if (seg->state != SEGMENT_DEAD)
		seg->is_damaged = true;
}

static int
take_record(struct queue *q, struct queue_segment *seg,
    const struct spool_view *view)
{
	uint32_t seq = view->record.seq;

	if (seq > QUEUE_SEQ_MAX) {
		queue_segment_damage(seg, view->record.offset,
		    view->record.end - view->record.offset, view->record.id,
		    "sequence number");
		return 0;
	}
	if (queue_segment_is_done(seg, seq))
		return 0;
	return queue_take(q, seg, view);
}

/* Read up to ${max} records.  Return how many; *is_more_r says whether there
 * may be more. */
static unsigned int
read_some(struct queue *q, struct queue_segment *seg, unsigned int max,
    bool *is_more_r)
{
	struct spool_damage damage;
	struct spool_view view;
	unsigned int n;
	int rc;

	*is_more_r = false;
	if (queue_segment_open_reader(q, seg) == -1) {
		trouble(q, seg);
		return 0;
	}
	for (n = 0; n < max && has_room(q); n++) {
		rc = spool_reader_next(seg->reader, seg->limit, &view,
		    &damage);
		if (rc == 0) {
			seg->is_read = seg->state != SEGMENT_ACTIVE;
			return n;
		}
		if (rc == -1 && errno == EBADMSG) {
			found_damage(seg, &damage);
			continue;
		}
		if (rc == 1 && take_record(q, seg, &view) == 0)
			continue;
		if (rc == 1)	/* no memory: this one again, later */
			spool_reader_seek(seg->reader, view.record.offset);
		trouble(q, seg);
		return n;
	}
	*is_more_r = true;
	return n;
}

/* Start again with what was left behind, when nothing of it is in hand. */
static void
rewind_segment(struct queue *q, struct queue_segment *seg)
{
	if (seg->rewind_ms == 0 || seg->rewind_ms > q->now_ms ||
	    seg->nmessages > 0)
		return;
	seg->rewind_ms = 0;
	seg->nstuck = 0;
	seg->is_read = false;
	seg->trouble_ms = 0;
	seg->resume = SPOOL_PAGE;
	if (seg->reader != NULL)
		spool_reader_seek(seg->reader, SPOOL_PAGE);
	queue_segment_ready(q, seg);
}

void
queue_rewind(struct queue *q)
{
	struct queue_segment *seg;

	RB_FOREACH (seg, queue_segments, &q->segments)
		rewind_segment(q, seg);
}

/* May ${seg} have a descriptor?  What is open already stays so and goes on, or
 * many of them would stop each other for ever; the segments of live writers
 * are as many as there are workers, and do not count. */
static bool
may_open(const struct queue *q, const struct queue_segment *seg)
{
	return seg->fd != -1 ||
	    q->nopen - q->nopen_active < QUEUE_SEGMENTS_OPEN;
}

/* Segments that cannot be read now wait in the list; those that must finish
 * what is in hand before they are read again, too. */
static bool
is_readable(const struct queue *q, const struct queue_segment *seg)
{
	return seg->trouble_ms <= q->now_ms && may_open(q, seg) &&
	    (seg->rewind_ms == 0 || seg->rewind_ms > q->now_ms);
}

bool
queue_read(struct queue *q)
{
	struct queue_segment *seg, *last;
	unsigned int left = QUEUE_READ_PASS;
	bool is_more, is_any = false;

	last = TAILQ_LAST(&q->ready, queue_ready);
	while ((seg = TAILQ_FIRST(&q->ready)) != NULL && left > 0 &&
	    has_room(q)) {
		TAILQ_REMOVE(&q->ready, seg, ready);
		seg->is_ready = false;
		is_more = false;
		if (is_readable(q, seg))
			left -= read_some(q, seg, left < QUEUE_READ_QUANTUM ?
			    left : QUEUE_READ_QUANTUM, &is_more);
		else
			queue_segment_ready(q, seg);
		if (is_more || seg->trouble_ms > q->now_ms)
			queue_segment_ready(q, seg);
		is_any = is_any || is_more;
		if (seg == last && !is_any)
			break;
		if (seg == last) {
			is_any = false;
			last = TAILQ_LAST(&q->ready, queue_ready);
		}
	}
	return (left == 0 || is_any) && has_room(q);
}
