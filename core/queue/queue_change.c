/* Requests that change the queue: retry, hold, release, remove, bounce and route.
 * Owns: what each of them does to a recipient, wherever this is; that what was
 * removed does not come back, that what is given up is reported once, and what is on
 * hold stays so, whatever crashes.
 * What is changed in one piece of the answer is one transaction, and a piece has a
 * bound: the queue goes on with its other work between two of them.
 * What an agent has is not removed, given up or led elsewhere: nobody knows whether it
 * is delivered. */

#include "core/queue/queue_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"
#include "core/util/array.h"

static const char busy[] =
    "the message is being delivered right now: try again in a moment";
const char queue_answer_no_disk[] =
    "the queue cannot write to its disk: see the log, make room, try again";
const char queue_answer_no_memory[] = "out of memory: try again";

/* Is it where only the agent's answer decides? */
static bool
is_sent(const struct queue_rcpt *r)
{
	return r->state != RCPT_WAITING && r->state != RCPT_DONE;
}

static void
log_change(const struct queue_answer *a, uint64_t id, const char *rcpt)
{
	char buf[SPOOL_ID_TEXT + 1];

	if (a->is_dry || a->action == ACTION_RETRY)
		return;
	spool_id_text(id, buf);
	if (a->action == ACTION_REMOVE) {
		stats_inc(STATS_REMOVED);
		log_event(LOG_LEVEL_NOTICE, "removed", "id=%s rcpt=%s by=%s",
		    buf, rcpt, "mailmillctl");
	} else if (a->action == ACTION_BOUNCE) {
		log_event(LOG_LEVEL_NOTICE, "given-up",
		    "id=%s rcpt=%s by=%s reason=%s", buf, rcpt, "mailmillctl",
		    a->reason->said);
	} else if (a->action == ACTION_ROUTE) {
		log_event(LOG_LEVEL_NOTICE, "routed",
		    "id=%s rcpt=%s route=%s by=%s", buf, rcpt, a->route,
		    "mailmillctl");
	} else if (a->action == ACTION_HOLD) {
		log_event(LOG_LEVEL_NOTICE, "on-hold", "id=%s rcpt=%s by=%s",
		    buf, rcpt, "mailmillctl");
	} else {
		log_event(LOG_LEVEL_NOTICE, "released", "id=%s rcpt=%s by=%s",
		    buf, rcpt, "mailmillctl");
	}
}

/* --- new messages --------------------------------------------------------- */

/* What is to be done to one recipient of a new message, which is open and meant */
struct part {
	struct queue_answer	*a;
	const struct queue_record *record;
	struct queue_message	*m;	/* in memory, or NULL */
	bool			 is_whole;	/* all that are open are meant */
};

/* Return whether it is changed. */
static bool
hold_part(const struct part *p, struct queue_rcpt *r, const char *rcpt,
    uint32_t i)
{
	struct queue_answer *a = p->a;

	if (r != NULL && r->state == RCPT_STUCK) {
		/* nothing can be stored now: it would be forgotten when its
		 * record is put back */
		a->nbusy++;
		return false;
	}
	if (r != NULL && r->is_on_hold)
		return false;
	if (a->is_dry)
		return true;
	if (r == NULL) {
		if (queue_hold_add(a, p->record, rcpt, i, p->is_whole) == 0)
			return true;
		queue_answer_error(a, queue_answer_no_memory);
		return false;
	}
	if (is_sent(r)) {
		/* if this attempt fails */
		r->is_on_hold = true;
	} else {
		queue_rcpt_hold(a->q, p->m, r);
		a->is_settling = true;
	}
	return true;
}

static bool
remove_part(const struct part *p, struct queue_rcpt *r, uint32_t i)
{
	struct queue_answer *a = p->a;

	if (r != NULL && is_sent(r)) {
		a->nbusy++;
		return false;
	}
	if (a->is_dry)
		return true;
	if (r != NULL)
		queue_rcpt_done(a->q, p->m, r);
	else if (!p->is_whole)
		a->q->store_ops->acknowledge(a->q->store, &p->record->place,
		    i);
	return true;
}

/* As what fails it goes to the deferred store, which knows then that it is to be
 * reported; where nobody is told, it is done. */
static bool
bounce_part(const struct part *p, struct queue_rcpt *r, const char *rcpt,
    uint32_t i)
{
	struct queue_answer *a = p->a;
	struct queue_reply *reply;

	if (r != NULL && is_sent(r)) {
		a->nbusy++;
		return false;
	}
	if (a->is_dry)
		return true;
	if (r == NULL && queue_hold_add(a, p->record, rcpt, i,
	    p->is_whole) == 0)
		return true;
	if (r != NULL && (reply = queue_reply_copy(a->reason)) != NULL) {
		queue_rcpt_give_up(a->q, p->m, r, reply);
		a->is_settling = true;
		return true;
	}
	queue_answer_error(a, queue_answer_no_memory);
	return false;
}

/* Its row in the deferred store says by which section it goes.  New messages go as
 * configured. */
static bool
route_part(const struct part *p, struct queue_rcpt *r, const char *rcpt,
    uint32_t i)
{
	struct queue_answer *a = p->a;

	if (a->route[0] == '\0')
		return false;
	if (r != NULL && is_sent(r)) {
		a->nbusy++;
		return false;
	}
	if (a->is_dry || queue_hold_add(a, p->record, rcpt, i,
	    p->is_whole) == 0)
		return true;
	queue_answer_error(a, queue_answer_no_memory);
	return false;
}

static bool
change_part(const struct part *p, struct queue_rcpt *r, const char *rcpt,
    uint32_t i)
{
	switch (p->a->action) {
	case ACTION_HOLD:
		return hold_part(p, r, rcpt, i);
	case ACTION_REMOVE:
		return remove_part(p, r, i);
	case ACTION_BOUNCE:
		return bounce_part(p, r, rcpt, i);
	case ACTION_ROUTE:
		return route_part(p, r, rcpt, i);
	case ACTION_RELEASE:
		if (r == NULL || !r->is_on_hold)
			return false;
		r->is_on_hold = p->a->is_dry;
		return true;
	default:
		/* retry is of the whole message */
		if (r != NULL && r->target != NULL && !p->a->is_dry)
			queue_target_hurry(p->a->q, r->target);
		return true;
	}
}

/* Some of the recipients were removed: is the message done? */
static void
end_removed(const struct part *p)
{
	struct queue_answer *a = p->a;

	if (p->m != NULL)
		queue_message_check(a->q, p->m);
	else if (p->is_whole)
		a->q->store_ops->acknowledge(a->q->store, &p->record->place,
		    QUEUE_RCPT_ALL);
}

/* How many recipients of ${p} are meant; is_whole: are these all that are open? */
static uint32_t
count_meant(struct part *p)
{
	static const struct queue_filter none;
	struct queue_answer any = { .q = p->a->q, .filter = none,
		.is_done = p->a->is_done };
	const char *cursor = NULL, *rcpt;
	struct queue_rcpt *r;
	uint32_t i, nopen = 0, n = 0;

	for (i = 0; (rcpt = spool_envelope_rcpt_next(p->record->envelope,
	    &cursor)) != NULL; i++) {
		nopen += queue_answer_record_rcpt(&any, p->m, p->record, i,
		    rcpt, &r);
		n += queue_answer_record_rcpt(p->a, p->m, p->record, i, rcpt,
		    &r);
	}
	p->is_whole = n == nopen;
	return n;
}

/* Has an agent any recipient of a message that was named by its id? */
static bool
is_busy(const struct queue_answer *a, const struct queue_message *m)
{
	uint32_t i;

	if (a->id == 0 || m == NULL || (a->action != ACTION_REMOVE &&
	    a->action != ACTION_BOUNCE && a->action != ACTION_ROUTE))
		return false;
	for (i = 0; i < m->nrcpts; i++)
		if (is_sent(&m->rcpts[i]))
			return true;
	return false;
}

int
queue_change_record(struct queue_answer *a, const struct queue_record *record)
{
	struct part p = { .a = a, .record = record };
	const char *cursor = NULL, *rcpt;
	uint64_t before = a->nchanged;
	struct queue_rcpt *r;
	uint32_t i;

	if (queue_answer_find(a, record, &p.m) == -1)
		return -1;
	if (is_busy(a, p.m)) {
		queue_answer_error(a, busy);
		return -1;
	}
	if (count_meant(&p) == 0)
		return 0;
	for (i = 0; a->stage != STAGE_OVER && (rcpt = spool_envelope_rcpt_next(
	    record->envelope, &cursor)) != NULL; i++)
		if (queue_answer_record_rcpt(a, p.m, record, i, rcpt, &r) &&
		    change_part(&p, r, rcpt, i)) {
			log_change(a, record->place.id, rcpt);
			a->nchanged++;
		}
	a->nmessages += a->nchanged > before;
	if (a->action == ACTION_REMOVE && a->nchanged > before && !a->is_dry)
		end_removed(&p);
	else if (a->action == ACTION_RETRY && !a->is_dry)
		/* what was put back is tried again at once */
		a->q->store_ops->again(a->q->store, &record->place);
	return a->nholds >= PIECE_ROWS || a->hold_octets >= PIECE_HOLD ||
	    a->stage == STAGE_OVER ? -1 : 0;
}

/* Store what was taken out of memory to be on hold.  Return 0, or -1: it could not
 * be stored, and is tried again as what has failed. */
static int
settle(struct queue *q)
{
	int64_t before = q->store_ms;
	bool has_failed;

	q->store_ms = 0;
	queue_settle_all(q);
	has_failed = q->store_ms != 0;
	if (!has_failed)
		q->store_ms = before;
	return has_failed ? -1 : 0;
}

void
queue_change_new(struct queue_answer *a)
{
	struct queue *q = a->q;
	size_t n = a->nholds;
	int stored = queue_hold_store(a);
	bool has_failed = stored == -1;

	/* some may be damaged, or have rows already */
	if (stored >= 0)
		a->nchanged -= n - (size_t)stored;
	if (a->is_settling && settle(q) == -1)
		has_failed = true;
	if ((a->action == ACTION_REMOVE || a->action == ACTION_BOUNCE) &&
	    !a->is_dry && q->store_ops->flush(q->store) == -1)
		has_failed = true;
	if (has_failed && a->stage != STAGE_OVER)
		queue_answer_error(a, queue_answer_no_disk);
	a->is_settling = false;
	q->is_held_news = q->is_held_news || n > 0;
	if (a->action != ACTION_HOLD && n > 0)
		q->due_ms = 0;
}

/* --- deferred ones -------------------------------------------------------- */

/* Note the change of ${row} for the transaction of this piece.  Return 0, or -1:
 * no memory. */
static int
note(struct queue_answer *a, const struct deferred_row *row)
{
	static const int kinds[] = { [ACTION_RETRY] = CHANGE_HURRY,
		[ACTION_HOLD] = CHANGE_HOLD, [ACTION_RELEASE] = CHANGE_RELEASE,
		[ACTION_REMOVE] = CHANGE_DROP,
		[ACTION_BOUNCE] = CHANGE_GIVE_UP,
		[ACTION_ROUTE] = CHANGE_ROUTE };
	struct queue_answer_changes *c = &a->changes;
	const char *const texts[] = { row->rcpt, row->sender,
		a->action == ACTION_ROUTE ? a->route : row->route };
	size_t i, len, all = 0;
	struct queue_change *v;
	char *room;

	v = array_fit(c->v, &c->room, c->n + 1, sizeof(*v));
	if (v == NULL)
		return -1;
	c->v = v;
	for (i = 0; i < 3; i++)
		all += strlen(texts[i]) + 1;
	room = array_fit(c->texts, &c->texts_room, c->texts_len + all, 1);
	if (room == NULL)
		return -1;
	c->texts = room;
	for (i = 0; i < 3; i++) {
		len = strlen(texts[i]) + 1;
		memcpy(room + c->texts_len, texts[i], len);
		c->texts_len += len;
	}
	v[c->n].kind = kinds[a->action];
	v[c->n++].row = (struct deferred_row){ .id = row->id,
		.rcpt_index = row->rcpt_index, .next_attempt = a->now_s,
		.hold_until = a->now_s + QUEUE_HOLD_MAX_S, .route = a->route };
	if (a->action == ACTION_BOUNCE)
		queue_bounce_row(a, &v[c->n - 1].row);
	return 0;
}

/* Would the action change it? */
static bool
is_to_change(struct queue_answer *a, const struct deferred_row *row,
    const struct queue_rcpt *r)
{
	switch (a->action) {
	case ACTION_RETRY:
		/* its row is about to say when it is tried again */
		if (r != NULL && r->state == RCPT_FAILED) {
			a->nbusy++;
			return false;
		}
		return !row->is_on_hold && (row->attempts > 0 ||
		    row->hold_until <= a->now_s);
	case ACTION_HOLD:
		return !row->is_on_hold;
	case ACTION_RELEASE:
		return row->is_on_hold;
	case ACTION_ROUTE:
		if (strcmp(row->route, a->route) == 0)
			return false;
		/* FALLTHROUGH */
	case ACTION_BOUNCE:
		if (row->outcome[0] != '\0')
			return false;	/* that is over already */
		/* FALLTHROUGH */
	default:
		a->nbusy += r != NULL && is_sent(r);
		return r == NULL || !is_sent(r);
	}
}

/* Is it a report that came while this request gives messages up?  It may be about one
 * of them, and nobody would be told. */
static bool
is_own_report(const struct queue_answer *a, const struct deferred_row *row)
{
	return a->action == ACTION_BOUNCE && a->id == 0 &&
	    row->sender[0] == '\0' && row->notify == SPOOL_NOTIFY_NEVER &&
	    row->received_us >= a->began_us;
}

static int
take_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;
	struct queue_message *m;
	struct queue_rcpt *r;

	queue_answer_at(a, row);
	if (!queue_answer_has_row(a, row, &m, &r) || is_own_report(a, row))
		return 0;
	a->is_found = true;
	if (is_busy(a, m)) {
		queue_answer_error(a, busy);
		return -1;
	}
	if (!is_to_change(a, row, r))
		return 0;
	if (note(a, row) == -1) {
		queue_answer_error(a, queue_answer_no_memory);
		return -1;
	}
	if (a->action == ACTION_REMOVE && !a->is_dry &&
	    row->origin.segment != 0)
		a->q->store_ops->acknowledge_row(a->q->store, row);
	a->nchanged++;
	a->nmessages += row->id != a->message_id;
	a->message_id = row->id;
	return 0;
}

/* So is ${r} of ${m}, which is in memory. */
static void
follow_rcpt(struct queue_answer *a, struct queue_message *m, struct queue_rcpt *r)
{
	bool is_hold = a->action == ACTION_HOLD;

	if (is_sent(r) && (is_hold || a->action == ACTION_RELEASE))
		/* if its agent gives it back */
		r->is_on_hold = is_hold;
	else if (r->state == RCPT_WAITING && a->action != ACTION_RETRY &&
	    a->action != ACTION_RELEASE)
		queue_rcpt_done(a->q, m, r);
}

/* The rows are changed: so are the messages in memory. */
static void
follow(struct queue_answer *a)
{
	struct queue *q = a->q;
	struct queue_addressee to = { .rcpt = a->changes.texts };
	struct queue_message *m;
	uint32_t k;
	size_t i;

	for (i = 0; i < a->changes.n; i++,
	    to.rcpt = to.section + strlen(to.section) + 1) {
		to.sender = to.rcpt + strlen(to.rcpt) + 1;
		to.section = to.sender + strlen(to.sender) + 1;
		log_change(a, a->changes.v[i].row.id, to.rcpt);
		if (a->action == ACTION_RETRY || a->action == ACTION_RELEASE ||
		    a->action == ACTION_ROUTE)
			queue_target_hurry_to(q, &to);
		m = queue_message_deferred(q, a->changes.v[i].row.id);
		for (k = 0; m != NULL && k < m->nrcpts; k++)
			if (m->rcpts[k].index == a->changes.v[i].row.rcpt_index)
				follow_rcpt(a, m, &m->rcpts[k]);
		if (m != NULL)
			queue_message_check(q, m);
	}
}

/* Before rows are removed, the acknowledgements: without them a new message that has
 * been deferred might be taken again. */
static int
apply(struct queue_answer *a)
{
	struct queue *q = a->q;

	if (a->changes.n == 0 || a->is_dry)
		return 0;
	if ((a->action == ACTION_REMOVE &&
	    q->store_ops->flush(q->store) == -1) ||
	    q->store_ops->change(q->store, a->changes.v, a->changes.n) == -1)
		return -1;
	follow(a);
	q->is_held_news = true;
	q->due_ms = 0;
	return 0;
}

void
queue_change_deferred(struct queue_answer *a)
{
	int rc;

	a->changes.n = a->changes.texts_len = 0;
	rc = queue_answer_rows(a, take_row);
	if (a->stage == STAGE_OVER)
		return;
	if (rc == -1 || apply(a) == -1)
		queue_answer_error(a, queue_answer_no_disk);
	else if (rc == 1)
		a->stage = STAGE_END;
}

void
queue_change_free(struct queue_answer *a)
{
	queue_hold_free(a);
	free(a->holds);
	free(a->changes.v);
	free(a->changes.texts);
	free(a->reason);
	free(a->route);
}
