/* Requests that change the queue: remove and retry.
 * Owns: that a message that was removed does not come back, whatever crashes.
 * What an agent has is not removed: nobody knows whether it is delivered. */

#include "core/queue/queue_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"

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

/* Take a new message out of the queue: it counts as done. */
void
queue_answer_remove_record(struct queue_answer *a,
    const struct queue_record *record)
{
	const struct queue_place *place = &record->place;
	struct queue *q = a->q;
	struct queue_message *m;
	const struct queue_rcpt *r;
	const char *cursor = NULL, *rcpt;
	uint32_t i;

	m = queue_message_find(q, place->id, false);
	if (m != NULL && is_sent(m)) {
		queue_answer_error(a, busy);
		return;
	}
	for (i = 0; (rcpt = spool_envelope_rcpt_next(record->envelope,
	    &cursor)) != NULL; i++)
		if (queue_answer_rcpt_is_open(a, m, place, i, &r)) {
			log_removed(place->id, rcpt);
			a->nmessages++;
		}
	for (i = 0; m != NULL && i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_WAITING)
			queue_rcpt_done(q, m, &m->rcpts[i]);
	if (m != NULL)
		queue_message_check(q, m);
	else
		q->store_ops->acknowledge(q->store, place, QUEUE_RCPT_ALL);
	if (q->store_ops->flush(q->store) == -1)
		queue_answer_error(a, queue_answer_no_disk);
}

void
queue_answer_retry_deferred(struct queue_answer *a)
{
	int n = a->q->store_ops->hurry(a->q->store, a->is_all ? 0 : a->id,
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

/* The rows of one message, to be removed */
struct removal {
	struct queue_change *changes;
	size_t		 n;
	bool		 is_failed;
};

static int
collect_row(void *closure, const struct deferred_row *row)
{
	struct removal *rm = closure;
	struct queue_change *grown;

	grown = reallocarray(rm->changes, rm->n + 1, sizeof(grown[0]));
	if (grown == NULL) {
		rm->is_failed = true;
		return -1;
	}
	rm->changes = grown;
	grown[rm->n++] = (struct queue_change){ .kind = CHANGE_DROP,
		.row = { .id = row->id, .rcpt_index = row->rcpt_index } };
	return 0;
}

static int
log_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;

	log_removed(row->id, row->rcpt);
	a->nmessages++;
	a->is_found = true;
	return 0;
}

void
queue_answer_remove_deferred(struct queue_answer *a)
{
	struct queue *q = a->q;
	struct queue_message *m = queue_message_find(q, a->id, true);
	struct removal rm = { .changes = NULL };

	a->stage = STAGE_END;
	if (m != NULL && is_sent(m)) {
		queue_answer_error(a, busy);
		return;
	}
	if (q->store_ops->has(q->store, a->id, QUEUE_RCPT_ALL) == 0)
		return;
	/* The acknowledgements first: without them a new message that has been
	 * deferred might be taken again. */
	if (q->store_ops->flush(q->store) == -1 ||
	    q->store_ops->of(q->store, a->id, collect_row, &rm) == -1 ||
	    rm.is_failed || rm.n == 0)
		goto err1;
	q->store_ops->of(q->store, a->id, log_row, a);
	if (q->store_ops->change(q->store, rm.changes, rm.n) == -1)
		goto err1;
	free(rm.changes);
	if (m != NULL)
		queue_message_free(q, m);
	return;
err1:
	free(rm.changes);
	queue_answer_error(a, queue_answer_no_disk);
}
