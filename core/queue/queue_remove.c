/* Requests that change the queue: remove and retry.
 * Owns: that a message that was removed does not come back, whatever crashes.
 * What an agent has is not removed: nobody knows whether it is delivered. */

#include "core/queue/queue_answer.h"

#include <stdio.h>
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
	a->q->due_ms = 0;
	/* one that is held is there, and stays so */
	a->is_found = a->is_found || n > 0 || a->is_all ||
	    a->q->store_ops->has(a->q->store, a->id, QUEUE_RCPT_ALL) == 1;
	a->stage = STAGE_END;
}

/* The recipient's address with its NUL, for the log when it is removed */
static int
note_rcpt(void *closure, const struct deferred_row *row)
{
	return fwrite(row->rcpt, strlen(row->rcpt) + 1, 1, closure) == 1 ? 0 :
	    -1;
}

/* The acknowledgements first: without them a new message that has been
 * deferred might be taken again. */
static int
drop_rows(struct queue *q, uint64_t id, FILE *rcpts)
{
	const struct deferred_query of = { .what = DEFERRED_OF, .id = id };
	const struct queue_change drop = { .kind = CHANGE_DROP,
		.row = { .id = id, .rcpt_index = QUEUE_RCPT_ALL } };

	if (q->store_ops->flush(q->store) == -1 ||
	    q->store_ops->rows(q->store, &of, note_rcpt, rcpts) == -1 ||
	    fflush(rcpts) == EOF)
		return -1;
	return q->store_ops->change(q->store, &drop, 1);
}

void
queue_answer_remove_deferred(struct queue_answer *a)
{
	struct queue *q = a->q;
	struct queue_message *m = queue_message_find(q, a->id, true);
	char *buf = NULL, *p;
	size_t len = 0;
	FILE *rcpts;

	a->stage = STAGE_END;
	if (m != NULL && is_sent(m)) {
		queue_answer_error(a, busy);
		return;
	}
	if (q->store_ops->has(q->store, a->id, QUEUE_RCPT_ALL) == 0)
		return;
	rcpts = open_memstream(&buf, &len);
	if (rcpts == NULL || drop_rows(q, a->id, rcpts) == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		goto out;
	}
	q->is_held_news = true;
	for (p = buf; p < buf + len; p += strlen(p) + 1) {
		log_removed(a->id, p);
		a->nmessages++;
		a->is_found = true;
	}
	if (m != NULL)
		queue_message_free(q, m);
out:
	if (rcpts != NULL)
		fclose(rcpts);
	free(buf);
}
