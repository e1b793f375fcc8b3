/* The wall clock is set.
 * Owns: how that is found out, and the change of all rows that follows.
 * A row says when it is due by the wall clock.  When that is set, in either
 * direction, each row goes on to wait as long as it would have; and never longer
 * than the longest interval, whatever it says.  (One that is held has a longest
 * interval of its own.)  What the sender has said as an interval stays as long as
 * it is, too.
 *
 * There may be a million rows, so some are changed in each pass.  Until all are,
 * nothing else changes rows, or takes messages that are due: one that was written
 * meanwhile would be moved as well.  New messages go to agents as ever.  If the queue
 * ends before all are changed, the rest of them is as if it had not been there when
 * the clock was set: they wait for the longest interval at most. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <stdlib.h>

#include "core/process/log.h"

/* The messages in memory have copies of what their rows say, or are to get
 * rows. */
static void
shift_messages(struct queue *q, int64_t seconds)
{
	struct queue_message *m;
	size_t i;

	for (i = 0; i < QUEUE_BUCKETS; i++)
		LIST_FOREACH (m, &q->buckets[i], hash) {
			if (m->hold_until != 0 &&
			    (m->env_flags & SPOOL_ENV_HOLD_FOR) != 0)
				m->hold_until = MAX(m->hold_until + seconds, 1);
			if (m->deliver_by != 0)
				m->deliver_by = MAX(m->deliver_by + seconds, 1);
			m->since = MAX(m->since + seconds, 1);
		}
}

void
queue_shift_begin(struct queue *q, int64_t step_ms)
{
	struct queue_shift *s = &q->shift;
	int64_t wall_s = q->wall_ms / 1000, seconds = step_ms / 1000;

	if (seconds != 0)
		shift_messages(q, seconds);
	/* one that has changed nothing yet is part of this one */
	if (s->is_running)
		seconds += s->at.seconds;
	*s = (struct queue_shift){ .is_running = true, .at = {
	    .seconds = seconds, .latest = wall_s + q->longest_retry_s,
	    .held = wall_s + QUEUE_HOLD_MAX_S } };
	q->ahead_ms += step_ms;
}

bool
queue_shift_may_run(const struct queue *q)
{
	return q->shift.is_running && !q->is_stopped &&
	    q->store_ms <= q->now_ms;
}

bool
queue_is_shifting(const struct queue *q)
{
	return queue_shift_may_run(q) && q->shift.at.seconds != 0;
}

void
queue_shift_run(struct queue *q)
{
	struct queue_shift *s = &q->shift;
	int n;

	if (!queue_shift_may_run(q))
		return;
	n = q->store_ops->shift(q->store, &s->at, QUEUE_SHIFT_ROWS);
	if (n == -1) {
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
		return;
	}
	s->nrcpts += (unsigned int)n;
	if (!s->at.is_over)
		return;
	s->is_running = false;
	if (s->nrcpts > 0)
		log_event(LOG_LEVEL_NOTICE, "clock-set",
		    "step_s=%lld recipients=%u", (long long)s->at.seconds,
		    s->nrcpts);
	q->due_ms = q->now_ms;
}

/* Are the rows changed in part?  Then what comes has to wait. */
static bool
is_in_part(const struct queue_shift *s)
{
	return s->is_running && s->at.seconds != 0 && s->at.has_begun;
}

void
queue_clock_see(struct queue *q)
{
	int64_t step_ms;

	queue_shift_run(q);
	step_ms = q->wall_ms - q->now_ms - q->ahead_ms;
	if (llabs(step_ms) <= QUEUE_STEP_MS) {
		q->ahead_ms += step_ms;
	} else if (!is_in_part(&q->shift)) {
		queue_shift_begin(q, step_ms);
		queue_shift_run(q);
	}
}
