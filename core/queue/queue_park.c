/* What waits for a target for too long goes to the deferred store.
 * Owns: what each pass does with the targets: which of them rest on, and what is
 * parked.
 * How much a target may have: core/queue/queue_window.c. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>

/* The one to be parked first: the last of the longest lane */
static struct queue_rcpt *
last_of(struct queue_target *t, enum queue_class class)
{
	struct queue_waiting *bands = t->due;
	size_t lane, longest = 0, band;
	struct queue_rcpt *r = NULL;

	if (class == QUEUE_NEW) {
		for (lane = 1; lane < QUEUE_LANES; lane++)
			if (t->nlane[lane] > t->nlane[longest])
				longest = lane;
		bands = t->lanes[longest];
	}
	for (band = QUEUE_BANDS; r == NULL && band > 0; band--)
		r = TAILQ_LAST(&bands[band - 1], queue_waiting);
	return r;
}

/* Park what waits for ${t} beyond ${max}.  Return false: not all of it in this
 * pass. */
static bool
park(struct queue *q, struct queue_target *t, enum queue_class class,
    uint32_t max)
{
	struct queue_rcpt *r;

	while (t->nwaiting[class] > max) {
		if (q->targets.nparked++ >= QUEUE_PARK_PASS)
			return false;
		r = last_of(t, class);
		queue_rcpt_park(q, queue_rcpt_message(r), r);
	}
	return true;
}

/* Park what has a place and waits in ${list}, but for *${left}. */
static void
park_waiting(struct queue *q, struct queue_waiting *list, size_t *left)
{
	struct queue_rcpt *r, *next;

	TAILQ_FOREACH_SAFE (r, list, link, next) {
		if (!queue_message_has_place(queue_rcpt_message(r)))
			continue;
		if (*left > 0) {
			--*left;
			continue;
		}
		if (q->targets.nparked++ >= QUEUE_PARK_PASS)
			return;
		queue_rcpt_park(q, queue_rcpt_message(r), r);
	}
}

/* ${t} does not answer, or has nothing for long, and places are short: what an agent
 * has keeps its places in any case, or what is to be tried first, and soon. */
static void
park_places(struct queue *q, struct queue_target *t, enum queue_class class)
{
	size_t left = t->nsent[QUEUE_NEW] + t->nsent[QUEUE_DUE] == 0 &&
	    !queue_target_is_far(q, t);
	size_t band, lane;

	for (band = 0; band < QUEUE_BANDS; band++) {
		if (class == QUEUE_DUE)
			park_waiting(q, &t->due[band], &left);
		for (lane = 0; class == QUEUE_NEW && lane < QUEUE_LANES; lane++)
			park_waiting(q, &t->lanes[lane][band], &left);
	}
}

/* Of what waits in ${list}: what was to be done about it by now is done in the deferred
 * store, as after an attempt that has failed. */
static void
park_overdue(struct queue *q, struct queue_waiting *list)
{
	struct queue_rcpt *r, *next;
	struct queue_message *m;
	bool is_late;

	TAILQ_FOREACH_SAFE (r, list, link, next) {
		m = queue_rcpt_message(r);
		is_late = queue_message_is_late(q, m);
		if (!is_late && !queue_is_overdue(q, m, r))
			continue;
		if (q->targets.nparked++ >= QUEUE_PARK_PASS) {
			q->targets.is_behind = true;
			return;
		}
		if (is_late)
			queue_rcpt_fail(q, m, r, ETIMEDOUT, queue_late_text);
		else
			queue_rcpt_park(q, m, r);
	}
}

/* The same of all that waits for ${t}.  An agent takes what waits for all of its
 * transport as soon as it can. */
static void
see_overdue(struct queue *q, struct queue_target *t)
{
	size_t band, lane;

	if (queue_target_is_plain(t) ||
	    t->nwaiting[QUEUE_NEW] + t->nwaiting[QUEUE_DUE] == 0)
		return;
	for (band = 0; band < QUEUE_BANDS; band++) {
		park_overdue(q, &t->due[band]);
		for (lane = 0; lane < QUEUE_LANES; lane++)
			park_overdue(q, &t->lanes[lane][band]);
	}
}

/* The same of all targets.  While something cannot be stored, each message keeps its
 * turn: what is new would have to be read again, and would be as overdue then. */
static void
see_all_overdue(struct queue *q)
{
	struct queue_target *t;
	size_t i;

	q->targets.is_behind = false;
	if (q->is_failing && q->store_ms + QUEUE_SLOW_MS > q->now_ms)
		return;
	for (i = 0; i < QUEUE_TARGET_BUCKETS; i++)
		LIST_FOREACH (t, &q->targets.buckets[i], hash)
			see_overdue(q, t);
}

/* ${t} waits for a time.  Return when to see it again; INT64_MAX: not by the
 * time. */
static int64_t
see_timed(struct queue *q, struct queue_target *t)
{
	int64_t next = INT64_MAX;

	if (t->is_resting && t->rest_ms == 0)
		t->rest_ms = q->now_ms + queue_target_rest_ms(q, t);
	if (queue_target_is_long(t) && t->rest_ms > q->now_ms &&
	    !(park(q, t, QUEUE_NEW, 0) && park(q, t, QUEUE_DUE, 0)))
		next = q->now_ms;
	if (t->later_ms > 0)
		t->off_ms = MAX(t->off_ms, q->now_ms + t->later_ms);
	t->later_ms = 0;
	if (t->rate_ms <= q->now_ms)
		t->rate_ms = 0;
	if (t->off_ms <= q->now_ms)
		t->off_ms = 0;
	if (queue_target_begins_ms(t) != 0)
		next = MIN(next, queue_target_begins_ms(t));
	if (t->is_resting && t->rest_ms > q->now_ms)
		next = MIN(next, t->rest_ms);
	queue_target_see(q, t);
	if (t->is_resting || queue_target_begins_ms(t) != 0)
		return next;
	TAILQ_REMOVE(&q->targets.timed, t, timed);
	t->is_timed = false;
	return next;
}

/* The end of QUEUE_SLOW_MS: of ${t} */
static void
look_at(struct queue *q, struct queue_target *t)
{
	enum queue_class class;

	t->nlast = t->nresults;
	t->nresults = 0;
	t->nlooks = (unsigned char)MIN(t->nlooks + 1, 2);
	if (!queue_target_is_slow(q, t) && !queue_target_is_far(q, t))
		return;
	for (class = 0; class < QUEUE_CLASSES; class++)
		if (t->nplaces[class] > 0 && queue_places_are_short(q, class))
			park_places(q, t, class);
}

static bool
are_places_short(const struct queue *q)
{
	return queue_places_are_short(q, QUEUE_NEW) ||
	    queue_places_are_short(q, QUEUE_DUE);
}

/* The end of QUEUE_SLOW_MS, or memory is short: of each target */
static void
look(struct queue *q, bool is_end)
{
	struct queue_target *t;
	size_t i;

	if (is_end && are_places_short(q))
		queue_jobs_look(q);
	for (i = 0; i < QUEUE_TARGET_BUCKETS; i++)
		LIST_FOREACH (t, &q->targets.buckets[i], hash) {
			if (is_end)
				look_at(q, t);
			if (queue_memory_is_short(q))
				(void)park(q, t, QUEUE_NEW,
				    queue_target_bound(q, t));
		}
}

void
queue_targets_run(struct queue *q)
{
	struct queue_targets *ts = &q->targets;
	struct queue_target *t, *next;
	bool is_end = ts->look_ms <= q->now_ms;

	ts->nparked = 0;
	ts->nleaving = 0;
	if (ts->wake_ms <= q->now_ms) {
		ts->wake_ms = INT64_MAX;
		TAILQ_FOREACH_SAFE (t, &ts->timed, timed, next)
			ts->wake_ms = MIN(ts->wake_ms, see_timed(q, t));
	}
	if (ts->n > 0 && (is_end || queue_memory_is_short(q)))
		look(q, is_end);
	if (is_end || ts->is_behind)
		see_all_overdue(q);
	if (is_end)
		ts->look_ms = q->now_ms + QUEUE_SLOW_MS;
	queue_streams_run(q);
	queue_backlogs_scan(q);
}

int64_t
queue_targets_due(const struct queue *q)
{
	int64_t due = MIN(MIN(q->targets.wake_ms, queue_streams_due(q)),
	    queue_backlogs_due(q));

	if (q->is_stopped)
		return INT64_MAX;
	if (q->targets.is_behind)
		return q->now_ms;
	/* what waits is looked at from time to time */
	return q->targets.nnew > 0 || q->targets.nholding[QUEUE_DUE] > 0 ||
	    (q->targets.n > 0 && (queue_memory_is_short(q) ||
	    are_places_short(q))) ? MIN(due, q->targets.look_ms) : due;
}
