/* Recipients that have failed are deferred; those that are held wait there, too.
 * They come back when they are due: queue_due.c.
 * Owns: one transaction for all that have gathered, what happens when the store
 * cannot be written.
 * A new message is done only when its deferred copy and its rows are on disk. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"

static void
log_unreported(const struct queue_message *m, const struct queue_rcpt *r)
{
	char id[SPOOL_ID_TEXT + 1];

	spool_id_text(m->place.id, id);
	log_errx("report-lost", "id=%s rcpt=%s outcome=%s effect=%s", id, r->rcpt,
	    queue_outcome_name(r->outcome),
	    "it is delivered, but its sender gets no report of that");
}

/* ${m} cannot be read any more: log it, keep its files, count it as done. */
static void
give_up(struct queue *q, struct queue_message *m)
{
	struct queue_rcpt *r;
	char id[SPOOL_ID_TEXT + 1];
	uint32_t i;

	spool_id_text(m->place.id, id);
	q->store_ops->damaged(q->store, &m->place, m->octets);
	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_FAILED)
			continue;
		if (queue_has_succeeded(r))
			log_unreported(m, r);
		else
			log_errx("lost", "id=%s rcpt=%s error=%s", id, r->rcpt,
			    queue_rcpt_error(r));
		queue_rcpt_done(q, m, r);
	}
}

/* What was said in the attempt, and is to be told to the sender */
static void
fill_told(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r, struct queue_change *c)
{
	if (!queue_has_succeeded(r))
		c->row.last_error = queue_rcpt_error(r);
	c->row.outcome = queue_outcome_name(r->outcome);
	if (r->outcome != QUEUE_WAITS) {
		c->row.next_attempt = q->wall_ms / 1000;
		if (m->place.file != NULL)
			c->row.next_attempt += QUEUE_GATHER_S;
	}
	c->row.last_attempt = r->is_parked ? 0 : q->wall_ms / 1000;
	if (r->reply == NULL)
		return;
	c->row.last_attempt = r->reply->when;
	c->row.code = r->reply->code;
	c->row.enhanced = r->reply->enhanced;
	c->row.remote = r->reply->remote;
	if (c->row.last_error == NULL)
		c->row.last_error = r->reply->said;
}

/* What is to be stored of ${r} */
static void
fill_change(struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r, struct queue_change *c)
{
	c->row = (struct deferred_row){
		.id = m->place.file != NULL ? m->place.kept_id : m->place.id,
		.rcpt_index = r->index,
	};
	c->place = &m->place;
	c->kind = CHANGE_DROP;
	if (r->state == RCPT_OK)
		return;
	c->kind = m->place.file != NULL ? CHANGE_PUT : CHANGE_TOUCH;
	c->row.sender = m->sender;
	c->row.rcpt = r->rcpt;
	c->row.transport = r->transport == QUEUE_NO_TRANSPORT ? "" :
	    q->config.transports[r->transport].name;
	c->row.received_us = m->received_us;
	c->row.octets = m->octets;
	if (r->is_parked && r->outcome == QUEUE_WAITS) {
		c->row.attempts = r->attempts;
		c->row.next_attempt = queue_next_s(q, m, r);
		c->row.last_error = queue_rcpt_error(r);
		c->row.waits_for = r->target != NULL ? r->target->name : "";
	} else if (queue_rcpt_is_held(r)) {
		/* none, however often it was put back into its segment: one with
		 * an attempt has been released */
		c->row.attempts = 0;
		c->row.next_attempt = m->hold_until;
	} else if (r->is_alias) {
		c->row.attempts = m->place.file != NULL ? 0 : r->attempts;
		c->row.next_attempt = q->wall_ms / 1000;
	} else {
		c->row.attempts = r->attempts + !r->is_parked;
		c->row.next_attempt = queue_next_s(q, m, r);
		fill_told(q, m, r, c);
	}
	c->row.since = m->since;
	c->row.notify = r->notify;
	c->row.warned = r->warned | r->telling;
	c->row.hold_until = m->hold_until;
	c->row.deliver_by = m->deliver_by;
	c->row.priority = m->priority;
	c->row.flags = m->env_flags;
	c->row.holder = m->holder;
	c->row.is_on_hold = r->is_on_hold;
}

/* The rows of ${batch} that are about to go.  A crash may have lost the
 * acknowledgements that new messages got when they were deferred; without them and
 * without their rows these would be taken for new again.  Return whether they are
 * to be flushed. */
static bool
acknowledge_dropped(struct queue *q, const struct queue_messages *batch)
{
	const struct queue_message *m;
	struct deferred_row row;
	bool is_lost = false;
	uint32_t i;

	TAILQ_FOREACH (m, batch, settle) {
		if (m->place.file != NULL || m->place.origin.segment == 0)
			continue;
		row = (struct deferred_row){ .origin = m->place.origin };
		for (i = 0; i < m->nrcpts; i++) {
			row.rcpt_index = m->rcpts[i].index;
			if (m->rcpts[i].state == RCPT_OK &&
			    q->store_ops->acknowledge_row(q->store, &row))
				is_lost = true;
		}
	}
	return is_lost;
}

/* Everything that is to be stored of ${batch}, in one transaction */
static int
store_rows(struct queue *q, const struct queue_messages *batch,
    const struct queue_reports *reports, const struct queue_children *children)
{
	struct queue_change *changes;
	struct queue_message *m;
	size_t own = reports->n + children->nrcpts, n = own;
	uint32_t i;
	int rc;

	TAILQ_FOREACH (m, batch, settle)
		n += m->nopen;
	if (n == 0)
		return 0;
	if ((changes = reallocarray(NULL, n, sizeof(changes[0]))) == NULL)
		return -1;
	queue_reports_change(q, reports, changes);
	queue_children_change(q, children, changes + reports->n);
	n = own;
	TAILQ_FOREACH (m, batch, settle)
		for (i = 0; i < m->nrcpts; i++)
			if (m->rcpts[i].state == RCPT_FAILED ||
			    m->rcpts[i].state == RCPT_OK)
				fill_change(q, m, &m->rcpts[i], &changes[n++]);
	rc = !acknowledge_dropped(q, batch) && own == 0 ? 0 :
	    q->store_ops->flush(q->store);
	/* what was delivered goes in any case: it would be delivered again */
	if (own == 0)
		rc = 0;
	if (rc == 0 && n > 0) {
		queue_shift_await(q, changes, n);
		rc = q->store_ops->change(q->store, changes, n);
	}
	TAILQ_FOREACH (m, batch, settle)
		q->is_held_news = q->is_held_news || m->hold_until != 0;
	free(changes);
	return rc;
}

static void
log_deferred(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r, bool is_stuck)
{
	char id[SPOOL_ID_TEXT + 1];
	bool is_new = queue_class(m) == QUEUE_NEW;
	int64_t wait_s = is_stuck && is_new ? queue_retry_ms(q->config.retry_s,
	    q->config.max_retry_s, r->attempts + 1) / 1000 :
	    queue_next_s(q, m, r) - q->wall_ms / 1000;

	stats_inc(STATS_DEFERRED);
	spool_id_text(m->place.id, id);
	log_event(LOG_LEVEL_WARNING, "deferred",
	    "id=%s rcpt=%s attempts=%u next_s=%lld kept_in=%s error=%s", id,
	    r->rcpt, r->attempts + 1, (long long)wait_s,
	    !is_stuck ? "deferred" : is_new ? "segment" : "memory",
	    queue_rcpt_error(r));
}

/* One that is due was parked before: that is no news. */
static void
log_parked(struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	char id[SPOOL_ID_TEXT + 1];

	if (r->target != NULL)
		queue_target_parked(q, r->target);
	if (queue_class(m) == QUEUE_DUE)
		return;
	spool_id_text(m->place.id, id);
	log_event(LOG_LEVEL_INFO, "parked",
	    "id=%s rcpt=%s transport=%s target=%s reason=%s", id, r->rcpt,
	    q->config.transports[r->transport].name,
	    r->target != NULL ? r->target->text : "", queue_rcpt_error(r));
}

static void
log_held(const struct queue_message *m, const struct queue_rcpt *r)
{
	char id[SPOOL_ID_TEXT + 1];

	stats_inc(STATS_HELD);
	spool_id_text(m->place.id, id);
	log_event(LOG_LEVEL_INFO, "held", "id=%s rcpt=%s until=%lld", id,
	    r->rcpt, (long long)m->hold_until);
}

/* The transaction of ${m} is on disk. */
static void
stored(struct queue *q, struct queue_message *m,
    const struct queue_reports *reports)
{
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (queue_rcpt_is_held(r) && !r->is_on_hold)
			log_held(m, r);
		else if (r->state == RCPT_FAILED && r->is_parked &&
		    r->outcome == QUEUE_WAITS)
			log_parked(q, m, r);
		else if (r->state == RCPT_FAILED && !r->is_held &&
		    !r->is_alias && r->outcome == QUEUE_WAITS && !r->is_logged)
			log_deferred(q, m, r, false);
		else if (r->state == RCPT_OK && queue_has_failed(r))
			queue_log_bounced(m, r, queue_is_reported(q, m, r) ?
			    queue_reports_find(reports, m, i) : 0);
		/* that of a new one waits for none of it */
		if (r->state == RCPT_FAILED && r->outcome != QUEUE_WAITS &&
		    m->place.file == NULL && m->untold_ms == 0)
			m->untold_ms = MAX(q->now_ms, 1);
		if (r->state == RCPT_FAILED || r->state == RCPT_OK)
			queue_rcpt_done(q, m, r);
	}
}

/* An administrator has put ${r} on hold while an agent had it. */
static void
log_hold_lost(const struct queue_message *m, const struct queue_rcpt *r)
{
	char id[SPOOL_ID_TEXT + 1];

	spool_id_text(m->place.id, id);
	log_warnx("on-hold-lost", "id=%s rcpt=%s effect=%s", id, r->rcpt,
	    "it is on hold no more, since this cannot be stored: make room, "
	    "then put it on hold again");
}

/* Was ${r}, of a deferred message, tried, but the store does not know what has become
 * of that?  One that was parked, or has no target, was not. */
static bool
is_to_be_noted(const struct queue_message *m, const struct queue_rcpt *r)
{
	if (m->place.file != NULL || r->is_alias || r->is_held)
		return false;
	return r->state == RCPT_OK || r->outcome != QUEUE_WAITS ||
	    (r->target != NULL && !r->is_parked);
}

/* Say that ${r} has failed, unless that was said when it could not be stored before. */
static void
log_stuck(const struct queue *q, const struct queue_message *m,
    struct queue_rcpt *r)
{
	if (r->state != RCPT_FAILED || r->is_held || r->is_parked ||
	    r->is_logged || queue_has_succeeded(r) ||
	    (queue_class(m) == QUEUE_DUE && r->outcome != QUEUE_WAITS))
		return;
	log_deferred(q, m, r, true);
	r->is_logged = true;
}

/* The store cannot be written.  A record stays where it is, and is tried again
 * from there; a row stays as it was, and is due soon.  But it would bring the message
 * again to one that has it, and to one that has just said that it does not take it:
 * what has become of an attempt stays in memory until it can be noted. */
static void
not_stored(struct queue *q, struct queue_message *m)
{
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_FAILED && r->state != RCPT_OK)
			continue;
		log_stuck(q, m, r);
		r->telling = 0;
		if (is_to_be_noted(m, r)) {
			m->is_unstored = true;
			continue;
		}
		/* one that is delivered is not given to an agent again */
		if (m->place.file != NULL && queue_has_succeeded(r))
			log_unreported(m, r);
		if (m->place.file == NULL || queue_has_succeeded(r)) {
			queue_rcpt_done(q, m, r);
			continue;
		}
		if (r->is_on_hold)
			log_hold_lost(m, r);
		r->state = RCPT_STUCK;
		m->nopen--;
		m->nstuck++;
	}
}

/* Would ${errnum} fail all messages of a batch, or only the one that cannot be
 * read from its segment? */
static bool
is_of_store(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ||
	    errnum == EROFS || errnum == EMFILE || errnum == ENFILE ||
	    errnum == ENOMEM;
}

/* Has ${m} recipients that are to get rows? */
static bool
has_rows(const struct queue_message *m)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts && m->rcpts[i].state != RCPT_FAILED; i++)
		continue;
	return i < m->nrcpts;
}

/* ${m} cannot be stored, and keeps the others of ${batch} from nothing: the row of
 * one that was delivered would bring it to an agent again. */
static void
take_out(struct queue *q, struct queue_messages *batch,
    struct queue_message *m)
{
	TAILQ_REMOVE(batch, m, settle);
	m->is_settling = false;
	not_stored(q, m);
	queue_message_check(q, m);
}

/* It is tried again after some time, however much gathers meanwhile. */
static void
store_failed(struct queue *q)
{
	if (q->store_ms <= q->now_ms)
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
	q->is_failing = true;
}

/* Files first, flushed, then the rows.  Without room for files, the rows that
 * need none are written all the same. */
static int
store_all(struct queue *q, struct queue_messages *batch,
    struct queue_reports *reports, struct queue_children *children)
{
	struct queue_message *m, *next;
	bool is_full = false;

	TAILQ_FOREACH_SAFE (m, batch, settle, next) {
		if (m->place.file == NULL || !has_rows(m) || (!is_full &&
		    q->store_ops->keep(q->store, &m->place) == 0))
			continue;
		if (!is_full && errno == EBADMSG) {
			give_up(q, m);
			continue;
		}
		is_full = is_full || is_of_store(errno);
		take_out(q, batch, m);
	}
	/* before the reports, which tell of the aliases */
	queue_children_make(q, batch, children);
	if (queue_reports_make(q, batch, reports) == -1)
		is_full = true;
	if (store_rows(q, batch, reports, children) == -1)
		return -1;
	q->is_failing = false;
	if (is_full)
		store_failed(q);
	return 0;
}

static void
settle_batch(struct queue *q, struct queue_messages *batch)
{
	struct queue_reports reports = { .n = 0 };
	struct queue_children children = { .n = 0 };
	struct queue_message *m;
	bool is_stored = store_all(q, batch, &reports, &children) == 0;

	if (!is_stored)
		store_failed(q);
	TAILQ_FOREACH (m, batch, settle) {
		if (is_stored)
			stored(q, m, &reports);
		else
			not_stored(q, m);
	}
	queue_reports_end(q, &reports, is_stored);
	queue_children_end(q, &children, is_stored);
	while ((m = TAILQ_FIRST(batch)) != NULL) {
		TAILQ_REMOVE(batch, m, settle);
		m->is_settling = false;
		if (m->is_unstored)
			TAILQ_INSERT_TAIL(&q->unstored, m, settle);
		queue_message_check(q, m);
	}
}

/* How many rows are to be written for ${m}, or to go? */
static unsigned int
nrows(const struct queue_message *m)
{
	unsigned int n = 0;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		n += m->rcpts[i].state == RCPT_FAILED ||
		    m->rcpts[i].state == RCPT_OK;
	return n;
}

/* One transaction.  Messages whose reports are too many for this pass go to
 * ${later}. */
static void
settle_some(struct queue *q, struct queue_messages *later)
{
	struct queue_messages batch;
	struct queue_message *m;
	size_t octets = 0, report;
	unsigned int n, rows = 0;

	TAILQ_INIT(&batch);
	for (n = 0; n < QUEUE_SETTLE_MAX && rows < QUEUE_SETTLE_ROWS &&
	    octets < QUEUE_REPORT_BATCH &&
	    (m = TAILQ_FIRST(&q->settle)) != NULL; n++) {
		TAILQ_REMOVE(&q->settle, m, settle);
		queue_judge(q, m);
		report = queue_report_octets(q, m);
		if (report > 0 && q->report_octets >= QUEUE_REPORT_PASS) {
			TAILQ_INSERT_TAIL(later, m, settle);
			continue;
		}
		TAILQ_INSERT_TAIL(&batch, m, settle);
		octets += report;
		rows += nrows(m);
	}
	settle_batch(q, &batch);
	queue_due_again(q);
}

static void
settle(struct queue *q, bool is_all)
{
	struct queue_messages later;

	TAILQ_INIT(&later);
	while (!TAILQ_EMPTY(&q->settle)) {
		settle_some(q, &later);
		if (!is_all)
			break;
	}
	/* in front, or others would go first in each pass */
	TAILQ_CONCAT(&later, &q->settle, settle);
	TAILQ_CONCAT(&q->settle, &later, settle);
}

/* Try again what could not be stored. */
static void
settle_again(struct queue *q)
{
	struct queue_message *m;

	while (q->store_ms <= q->now_ms &&
	    (m = TAILQ_FIRST(&q->unstored)) != NULL)
		queue_message_settle(q, m);
}

void
queue_settle(struct queue *q)
{
	settle_again(q);
	settle(q, q->is_stopped);
}

void
queue_settle_all(struct queue *q)
{
	settle_again(q);
	settle(q, true);
}
