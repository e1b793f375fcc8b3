/* Requests that change the queue: remove and retry.
 * Owns: that a message that was removed does not come back, whatever crashes.
 * What an agent has is not removed: nobody knows whether it is delivered. */

#include "core/queue/queue_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/process/stats.h"

/* Whether an agent has any recipient of ${m} */
static bool
is_sent(const struct queue_message *m)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state != RCPT_WAITING &&
		    m->rcpts[i].state != RCPT_DONE)
			return true;
	return false;
}

static const char busy[] =
    "the message is being delivered right now: try again in a moment";
const char queue_answer_no_disk[] =
    "the queue cannot write to its disk: see the log, make room, try again";

static void
log_removed(uint64_t id, const char *rcpt)
{
	char buf[SPOOL_ID_TEXT + 1];

	spool_id_text(id, buf);
	stats_inc(STATS_REMOVED);
	log_event(LOG_LEVEL_NOTICE, "removed", "id=%s rcpt=%s by=%s", buf, rcpt,
	    "mailmillctl");
}

/* Make what the log says durable.  A second try on a log whose flush has
 * failed begins a new one. */
static bool
flush_log(struct queue *q)
{
	if (acklog_is_synced(q->acklog))
		return true;
	queue_maintain_log(q);
	return acklog_is_synced(q->acklog) || !q->config.is_synced;
}

/* Take a record out of its segment: it counts as done. */
void
queue_answer_remove_record(struct queue_answer *a, struct queue_segment *seg,
    const struct spool_view *view)
{
	struct queue_message *m;
	const struct queue_rcpt *r;
	const char *cursor = NULL, *rcpt;
	uint64_t n = 0;
	uint32_t i;

	m = queue_message_find(a->q, view->record.id, false);
	if (m != NULL && is_sent(m)) {
		queue_answer_error(a, busy);
		return;
	}
	for (i = 0; (rcpt = spool_envelope_rcpt_next(&view->envelope,
	    &cursor)) != NULL; i++)
		if (queue_answer_rcpt_is_open(seg, m, view->record.seq, i, &r)) {
			log_removed(view->record.id, rcpt);
			n++;
		}
	if (m != NULL) {
		for (i = 0; i < m->nrcpts; i++)
			if (m->rcpts[i].state == RCPT_WAITING)
				queue_rcpt_done(a->q, m, &m->rcpts[i]);
		queue_message_check(a->q, m);
	} else {
		queue_segment_set_done(seg, view->record.seq,
		    view->record.seq);
		queue_partial_drop(seg, view->record.seq);
		queue_ack(a->q, seg, view->record.seq, view->record.seq,
		    ACKLOG_ALL);
	}
	a->nmessages += n;
	if (!flush_log(a->q))
		queue_answer_error(a, queue_answer_no_disk);
}

void
queue_answer_retry_deferred(struct queue_answer *a)
{
	int n = deferred_hurry(a->q->deferred, a->is_all ? 0 : a->id,
	    a->now_s);

	if (n == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	a->nmessages += (uint64_t)n;
	a->q->due_ms = a->q->now_ms;
	a->is_found = a->is_found || n > 0 || a->is_all;
	a->stage = STAGE_END;
}

static int
remove_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;

	if (deferred_drop(a->q->deferred, row->id, row->rcpt_index) == -1)
		return -1;
	log_removed(row->id, row->rcpt);
	a->nmessages++;
	a->is_found = true;
	return 0;
}

void
queue_answer_remove_deferred(struct queue_answer *a)
{
	struct queue_message *m = queue_message_find(a->q, a->id, true);
	uint64_t before = a->nmessages;

	a->stage = STAGE_END;
	if (m != NULL && is_sent(m)) {
		queue_answer_error(a, busy);
		return;
	}
	if (deferred_has(a->q->deferred, a->id, DEFERRED_ANY) == 0)
		return;
	/* The log first: without it the record might come back. */
	if (!flush_log(a->q) || deferred_begin(a->q->deferred) == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	if (deferred_of(a->q->deferred, a->id, remove_row, a) == -1 ||
	    a->nmessages == before) {
		deferred_rollback(a->q->deferred);
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	if (deferred_commit(a->q->deferred) == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	if (m != NULL)
		queue_message_free(a->q, m);
	deferred_file_remove(a->q->deferred, a->id);
}
