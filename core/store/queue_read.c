/* Reading segments, as far as the queue has room for their messages.
 * Owns: the turns of the segments, the bounds on what is in memory, going back
 * to what was left behind. */

#include "core/store/queue_spool_int.h"

#include <sys/param.h>

#include <errno.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/fileio.h"

static bool
has_room(const struct queue_spool *sp)
{
	return acklog_pending(sp->acklog) < ACKLOG_PENDING_MAX / 2 &&
	    sp->user->has_room(sp->queue);
}

int
queue_segment_open_reader(struct queue_spool *sp, struct queue_segment *seg)
{
	/* in a sealed segment the last batch is whole; else it may be torn */
	unsigned int flags = seg->state == SEGMENT_DEAD && !seg->is_sealed ?
	    0 : SPOOL_READ_TRUST_BODY;

	if (queue_segment_open_file(sp, seg) == -1)
		return -1;
	if (seg->reader != NULL)
		return 0;
	seg->reader = spool_reader_new(seg->fd, sp->readbuf, flags);
	if (seg->reader == NULL)
		return -1;
	if (spool_reader_header(seg->reader)->generation !=
	    seg->header_generation) {
		/* or the next call would take it for the right one */
		spool_reader_free(seg->reader);
		seg->reader = NULL;
		errno = ESTALE;
		return -1;
	}
	spool_reader_seek(seg->reader, seg->resume);
	spool_reader_durable(seg->reader, seg->durable);
	return 0;
}

/* ${seg} cannot be read now. */
static void
trouble(struct queue_spool *sp, struct queue_segment *seg)
{
	if (!seg->is_unusable)
		queue_segment_trouble(sp, seg, true);
	seg->trouble_ms = sp->now_ms + QUEUE_TROUBLE_MS;
}

/* Log the damage that was found.  ${is_last}: no whole record follows it.
 * In the segment of a dead writer that is usually what a power cut leaves of
 * the batch that was being written, and none of that batch was acknowledged.
 * But if the writer has told this process that the batch is durable, it is
 * damage.  If the writer has told this process nothing, it may be either: on
 * disk both look the same. */
static void
tell_damage(struct queue_spool *sp, struct queue_segment *seg, bool is_last)
{
	const struct spool_damage *d;
	unsigned int i;
	bool is_torn;

	for (i = 0; i < seg->npending; i++) {
		d = &seg->pending[i];
		is_torn = is_last && seg->state == SEGMENT_DEAD &&
		    d->offset >= seg->durable;
		queue_segment_damage(sp, seg, d, is_torn);
		if (seg->state != SEGMENT_DEAD || d->offset < seg->durable ||
		    (seg->durable == 0 && !is_last))
			seg->is_damaged = true;
		else if (seg->durable == 0)
			seg->is_doubtful = true;
	}
	if (seg->npending > 0 && seg->state == SEGMENT_ACTIVE)
		seg->has_skipped = true;
	seg->npending = 0;
}

static void
found_damage(struct queue_spool *sp, struct queue_segment *seg,
    const struct spool_damage *damage)
{
	struct spool_damage *last = &seg->pending[MAX(seg->npending, 1) - 1];

	/* reported once, however often the segment is read */
	if (damage->offset + damage->octets <= seg->told_damage)
		return;
	seg->told_damage = damage->offset + damage->octets;
	/* one line for long damage, which comes in pieces */
	if (seg->npending > 0 && (damage->id == 0 ||
	    seg->npending == QUEUE_PENDING_MAX) &&
	    (last->offset < seg->durable) == (damage->offset < seg->durable)) {
		last->octets = seg->told_damage - last->offset;
		return;
	}
	if (seg->npending == QUEUE_PENDING_MAX)
		tell_damage(sp, seg, false);
	seg->pending[seg->npending++] = *damage;
}

/* There is nothing more to read in ${seg}, whose reader was at ${at}. */
static void
found_end(struct queue_spool *sp, struct queue_segment *seg, uint64_t at)
{
	if (seg->state == SEGMENT_ACTIVE && seg->npending > 0) {
		/* The writer has called more durable than there is.  Read from
		 * there again later, since it may write there; but not at each
		 * of its messages, for the part may be long. */
		seg->told_damage = seg->pending[0].offset;
		spool_reader_seek(seg->reader, seg->pending[0].offset);
		seg->npending = 0;
		seg->trouble_ms = sp->now_ms + QUEUE_TROUBLE_MS;
		return;
	}
	tell_damage(sp, seg, true);
	seg->is_at_end = seg->is_at_end || seg->is_reading_on;
	seg->is_reading_on = false;
	seg->is_read = seg->state == SEGMENT_DEAD;
	seg->read_end = at;
}

static struct queue_record
record_of(struct queue_segment *seg, const struct spool_view *view)
{
	return (struct queue_record){
		.place = {
			.id = view->record.id,
			.file = &seg->file,
			.offset = view->record.offset,
			.origin = {
				.segment = seg->id,
				.generation = seg->generation,
				.seq = view->record.seq,
				.is_early = seg->is_early,
			},
			.has_body =
			    (view->record.flags & SPOOL_RECORD_LARGE) != 0,
		},
		.received_us = view->record.received_us,
		.octets = view->record.body_octets,
		.body_at = (view->record.flags & SPOOL_RECORD_LARGE) != 0 ?
		    0 : view->record.body_offset,
		.envelope = &view->envelope,
		.attempts = seg->nrewinds,
		/* after a rewind a failed attempt, never a delivered one, but
		 * an agent may have died over it */
		.is_repeated = view->record.offset < seg->old_end ||
		    seg->nrewinds > 0,
		.may_have_rows = seg->may_have_rows || seg->nrewinds > 0 ||
		    view->record.offset < seg->old_end,
		.again_ms = seg->rewind_ms,
		.last_error = seg->last_error,
	};
}

/* Is the sequence number of the record possible at its offset?  So the length
 * of the segment bounds the number, and with it the memory for the bitmap. */
static bool
is_seq_possible(const struct queue_segment *seg, const struct spool_record *r)
{
	return r->seq <= QUEUE_SEQ_MAX && (seg->is_early ||
	    r->seq <= (r->offset - SPOOL_PAGE) / SPOOL_ALIGN + 1);
}

/* Is there something in the record that no honest writer writes?  Return what
 * is wrong, or NULL. */
static const char *
wrong_with(const struct queue_segment *seg, const struct spool_view *view)
{
	const struct spool_record *r = &view->record;

	if (!is_seq_possible(seg, r))
		return "sequence number";
	if (!queue_segment_owns(seg, r->id))
		return "id of another writer";
	return NULL;
}

static int
take_record(struct queue_spool *sp, struct queue_segment *seg,
    const struct spool_view *view)
{
	struct queue_record record = record_of(seg, view);
	struct spool_damage damage = { .offset = view->record.offset,
		.octets = view->record.end - view->record.offset,
		.id = view->record.id };
	int rc = 0;

	if ((damage.what = wrong_with(seg, view)) != NULL) {
		if (damage.offset >= seg->told_damage) {
			seg->told_damage = view->record.end;
			queue_segment_damage(sp, seg, &damage, false);
		}
		seg->is_damaged = true;
		return 0;
	}
	if (queue_segment_is_done(seg, view->record.seq))
		return 0;
	/* Only some records can have recipients that are deferred already:
	 * those from before this process, and those that were put back when
	 * there was no memory to note which recipients are.  To look in the
	 * store for every record would cost too much. */
	if (record.may_have_rows &&
	    (rc = queue_find_rows(sp, &record.place)) == -1)
		return -1;
	record.has_rows = rc == 1;
	seg->nheld++;
	sp->nheld++;
	if (sp->user->take(sp->queue, &record) == 0)
		return 0;
	seg->nheld--;
	sp->nheld--;
	return -1;
}

/* Read up to ${max} records.  Return how many; *is_more_r says whether there
 * may be more. */
static unsigned int
read_some(struct queue_spool *sp, struct queue_segment *seg, unsigned int max,
    bool *is_more_r)
{
	struct spool_damage damage;
	struct spool_view view;
	unsigned int n;
	uint64_t at;
	int rc;

	*is_more_r = false;
	if (queue_segment_open_reader(sp, seg) == -1) {
		trouble(sp, seg);
		return 0;
	}
	for (n = 0; n < max && has_room(sp); n++) {
		at = spool_reader_tell(seg->reader);
		rc = spool_reader_next(seg->reader, seg->limit, &view,
		    &damage);
		if (rc == 0) {
			found_end(sp, seg, at);
			queue_body_all_read(seg);
			/* records that were put back wait without an open
			 * file */
			if (seg->is_read && seg->nheld == 0 && seg->nback > 0)
				queue_segment_close_file(sp, seg);
			return n;
		}
		if (rc == -1 && errno == EBADMSG) {
			found_damage(sp, seg, &damage);
			n += (unsigned int)MIN(max - n - 1,
			    damage.octets / QUEUE_DAMAGE_OCTETS);
			continue;
		}
		if (rc == 1) {
			tell_damage(sp, seg, false);
			seg->is_reading_on = false;
		}
		if (rc == 1 && take_record(sp, seg, &view) == 0)
			continue;
		if (rc == 1)	/* no memory: this one again, later */
			spool_reader_seek(seg->reader, view.record.offset);
		trouble(sp, seg);
		return n;
	}
	*is_more_r = true;
	return n;
}

/* Start again with what was left behind, when nothing of it is in hand. */
static void
rewind_segment(struct queue_spool *sp, struct queue_segment *seg)
{
	if (seg->rewind_ms == 0 || seg->rewind_ms > sp->now_ms ||
	    seg->nheld > 0)
		return;
	seg->rewind_ms = 0;
	seg->nback = 0;
	queue_body_rewind(seg);
	seg->is_read = false;
	seg->trouble_ms = 0;
	seg->resume = SPOOL_PAGE;
	if (seg->reader != NULL)
		spool_reader_seek(seg->reader, SPOOL_PAGE);
	queue_segment_ready(sp, seg);
}

void
queue_rewind(struct queue_spool *sp)
{
	struct queue_segment *seg;

	RB_FOREACH (seg, queue_segments, &sp->segments)
		rewind_segment(sp, seg);
}

/* May ${seg} have a descriptor?  What is open already stays so and goes on, or
 * many of them would stop each other for ever; the segments of live writers
 * are as many as there are workers, and do not count. */
static bool
may_open(const struct queue_spool *sp, const struct queue_segment *seg)
{
	return seg->fd != -1 || sp->nopen < QUEUE_SEGMENTS_OPEN;
}

/* Segments that cannot be read now wait in the list; those that must finish
 * what is in hand before they are read again, too. */
static bool
is_readable(const struct queue_spool *sp, const struct queue_segment *seg)
{
	return seg->trouble_ms <= sp->now_ms && may_open(sp, seg) &&
	    (seg->rewind_ms == 0 || seg->rewind_ms > sp->now_ms);
}

bool
queue_read(void *store)
{
	struct queue_spool *sp = store;
	struct queue_segment *seg, *last;
	unsigned int left = QUEUE_READ_PASS;
	bool is_more, is_any = false;

	last = TAILQ_LAST(&sp->ready, queue_ready);
	while ((seg = TAILQ_FIRST(&sp->ready)) != NULL && left > 0 &&
	    has_room(sp)) {
		TAILQ_REMOVE(&sp->ready, seg, ready);
		seg->is_ready = false;
		is_more = false;
		if (is_readable(sp, seg))
			left -= read_some(sp, seg, left < QUEUE_READ_QUANTUM ?
			    left : QUEUE_READ_QUANTUM, &is_more);
		else
			queue_segment_ready(sp, seg);
		if (is_more || seg->trouble_ms > sp->now_ms)
			queue_segment_ready(sp, seg);
		is_any = is_any || is_more;
		if (seg == last && !is_any)
			break;
		if (seg == last) {
			is_any = false;
			last = TAILQ_LAST(&sp->ready, queue_ready);
		}
	}
	return (left == 0 || is_any) && has_room(sp);
}

/* Look at records of ${seg} from *${offset} on.  Return whether it is through:
 * 1; 0: not yet, or ${each} has had enough. */
static int
search_segment(struct queue_spool *sp, struct queue_segment *seg,
    uint64_t *offset, queue_record_func each, void *closure)
{
	struct spool_reader *r = NULL;
	struct queue_record record;
	struct spool_header header;
	struct spool_damage damage;
	struct spool_view view;
	int fd, rc, is_through = 1;
	unsigned int i;

	if (seg->is_unusable || !seg->is_present)
		return 1;
	fd = spool_segment_open(sp->config.incoming_dirfd, seg->id, &header);
	if (fd == -1 || header.generation != seg->header_generation)
		goto out;
	r = spool_reader_new(fd, sp->readbuf, SPOOL_READ_TRUST_BODY);
	if (r == NULL)
		goto out;
	spool_reader_seek(r, *offset);
	for (i = 0; i < QUEUE_SEARCH_RECORDS && is_through; i++) {
		rc = spool_reader_next(r, seg->limit, &view, &damage);
		if (rc == -1 && errno == EBADMSG) {
			i += (unsigned int)MIN(QUEUE_SEARCH_RECORDS - 1 - i,
			    damage.octets / QUEUE_DAMAGE_OCTETS);
			continue;
		}
		if (rc != 1)
			goto out;
		if (!is_seq_possible(seg, &view.record) ||
		    !queue_segment_owns(seg, view.record.id) ||
		    queue_segment_is_done(seg, view.record.seq))
			continue;
		record = record_of(seg, &view);
		is_through = each(closure, &record) == 0;
	}
	is_through = is_through && i < QUEUE_SEARCH_RECORDS;
	*offset = spool_reader_tell(r);
out:
	spool_reader_free(r);
	if (fd != -1)
		close(fd);
	return is_through;
}

int
queue_read_search(void *store, struct queue_cursor *cursor,
    queue_record_func each, void *closure)
{
	struct queue_segment *seg, key = { .id = cursor->file };
	struct queue_spool *sp = store;

	/* the segment the search is in; the next one when it is gone */
	seg = RB_NFIND(queue_segments, &sp->segments, &key);
	if (seg == NULL)
		return 1;
	if (seg->id != cursor->file || seg->generation != cursor->generation) {
		cursor->file = seg->id;
		cursor->generation = seg->generation;
		cursor->offset = SPOOL_PAGE;
	}
	if (!search_segment(sp, seg, &cursor->offset, each, closure))
		return 0;
	if (cursor->file == UINT64_MAX)
		return 1;
	cursor->file++;
	cursor->generation = 0;
	return 0;
}

/* The file that ${body} is in.  It is this process that uses a segment again, when
 * all of its records are done: so as long as this one is not, its octets are
 * there. */
static int
open_body(struct queue_spool *sp, const struct queue_body *body)
{
	const struct queue_place *place = &body->place;
	struct queue_segment *seg, key = { .id = place->origin.segment };

	if (!body->is_new)
		return deferred_file_open(sp->deferred, place->id);
	seg = RB_FIND(queue_segments, &sp->segments, &key);
	if (seg == NULL || seg->generation != place->origin.generation ||
	    queue_segment_is_done(seg, place->origin.seq)) {
		errno = ESTALE;
		return -1;
	}
	return place->has_body ?
	    spool_body_open(sp->config.incoming_dirfd, place->id) :
	    spool_segment_reader(sp->config.incoming_dirfd, seg->id);
}

ssize_t
queue_read_body(void *store, const struct queue_body *body, uint64_t offset,
    char *buf, size_t len)
{
	int fd;
	ssize_t n;

	if (offset >= body->octets)
		return 0;
	if ((fd = open_body(store, body)) == -1)
		return -1;
	n = fileio_pread(fd, buf, (size_t)MIN(len, body->octets - offset),
	    (off_t)(body->at + offset));
	fileio_close(fd);
	if (n != 0)
		return n;
	errno = EBADMSG;	/* it was cut short */
	return -1;
}
