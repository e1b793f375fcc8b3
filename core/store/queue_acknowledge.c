/* Which recipients of new messages are done, and which records are to be read again.
 * Owns: what the segments and the log of acknowledgements say of that. */

#include "core/store/queue_spool_int.h"

#include <stdlib.h>
#include <string.h>

static struct queue_segment *
segment_of(const struct queue_place *place)
{
	return (struct queue_segment *)place->file;
}

/* A record of ${seg} has to be read again later. */
static void
read_again(struct queue_spool *sp, const struct queue_place *place)
{
	struct queue_segment *seg = segment_of(place);

	if (place->has_body)
		queue_body_put_back(seg, place->id);
	seg->nback++;
	if (seg->rewind_ms == 0)
		seg->rewind_ms = sp->now_ms +
		    queue_retry_ms(sp->config.retry_s, sp->config.max_retry_s,
		    ++seg->nrewinds);
}

void
queue_put_back(void *store, const struct queue_place *place, const char *error)
{
	struct queue_segment *seg = segment_of(place);

	free(seg->last_error);
	seg->last_error = strdup(error);
	read_again(store, place);
}

void
queue_acknowledge(void *store, const struct queue_place *place, uint32_t rcpt)
{
	struct queue_spool *sp = store;
	struct queue_segment *seg = segment_of(place);
	struct acklog_entry e = { .segment = seg->id,
		.generation = seg->generation, .seq = place->origin.seq,
		.last = place->origin.seq, .rcpt = rcpt };
	int rc;

	seg->nflushes = sp->nflushes;
	sp->nchanges++;
	if (rcpt != QUEUE_RCPT_ALL) {
		/* Without memory it is only in the log.  A record that is read
		 * again is repeated: the agent finds what was delivered, and
		 * take_record() looks for rows. */
		(void)queue_partial_add(seg, place->origin.seq, rcpt);
	} else if (queue_segment_set_done(seg, place->origin.seq, place->origin.seq) == -1) {
		/* no memory for the bit: the agent will find it delivered */
		read_again(sp, place);
		return;
	} else {
		queue_partial_drop(seg, place->origin.seq);
		if (place->has_body)
			queue_body_done(sp, place->id);
	}
	/* An entry that the log does not take is no harm: the record is done
	 * here, and after a crash the agent finds what it has delivered. */
	while ((rc = acklog_append(sp->acklog, &e)) == -1 &&
	    queue_room_make(sp))
		;
	if (rc == -1)
		queue_log_failed(sp, "acklog-append");
}

/* Is recipient ${rcpt} of the record ${seq} done? */
static bool
is_rcpt_done(struct queue_segment *seg, uint32_t seq, uint32_t rcpt)
{
	const struct queue_partial *p = queue_partial_find(seg, seq);
	uint32_t i;

	if (queue_segment_is_done(seg, seq))
		return true;
	for (i = 0; p != NULL && i < p->n; i++)
		if (p->rcpts[i] == rcpt)
			return true;
	return false;
}

/* After a start, which generation a segment has is not known before it is read. */
static void
learn_generation(struct queue_spool *sp, struct queue_segment *seg)
{
	if (!seg->is_known && seg->fd == -1 &&
	    queue_segment_open_file(sp, seg) == 0)
		queue_segment_close_file(sp, seg);
}

bool
queue_acknowledge_row(void *store, const struct deferred_row *row)
{
	struct queue_segment *seg, key = { .id = row->origin.segment };
	struct queue_spool *sp = store;

	seg = RB_FIND(queue_segments, &sp->segments, &key);
	if (seg == NULL)
		return false;		/* all of them are done, on disk */
	learn_generation(sp, seg);
	if (seg->generation != row->origin.generation)
		return false;		/* the same */
	if (!is_rcpt_done(seg, row->origin.seq, row->rcpt_index))
		queue_acknowledge(store, &(struct queue_place){
		    .file = &seg->file, .origin = row->origin },
		    row->rcpt_index);
	return seg->nflushes == sp->nflushes;
}

const uint32_t *
queue_acknowledged(void *, const struct queue_place *place, uint32_t *n_r)
{
	struct queue_partial *p;

	p = queue_partial_find(segment_of(place), place->origin.seq);
	*n_r = p == NULL ? 0 : p->n;
	return p == NULL ? NULL : p->rcpts;
}

/* A second try on a log whose flush has failed begins a new one. */
int
queue_flush(void *store)
{
	struct queue_spool *sp = store;

	if (acklog_is_synced(sp->acklog))
		return 0;
	queue_maintain_log(sp);
	return acklog_is_synced(sp->acklog) || !sp->config.is_synced ? 0 : -1;
}
