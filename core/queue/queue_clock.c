/* The wall clock is set.
 * Owns: how that is found out, and the change of all rows that follows; by which clock
 * the queue goes meanwhile.
 * A row says when it is due by the wall clock.  When that is set, in either
 * direction, each row goes on to wait as long as it would have; and never longer
 * than the longest interval, whatever it says.  (One that is held has a longest
 * interval of its own.)  What the sender has said as an interval stays as long as
 * it is, too.
 *
 * There may be a million rows, so some are changed in each pass.  Until all are,
 * nobody takes messages that are due, and mailmillctl changes none.  New messages go
 * to agents as ever, and what becomes of them is stored: a row that is written where
 * those have not been moved yet is written with the times that it would have had
 * before, and is moved with them.  If some cannot be changed now, that is tried again,
 * and all this goes on until then.  If the queue ends before all are changed, the rest
 * of them is as if it had not been there when the clock was set: they wait for the
 * longest interval at most.
 *
 * If the clock is set again before all are changed, that has to wait, and the queue
 * goes by the clock as it was before.  Between two changes of all rows there is a pass
 * in which everything has its turn: a clock may be set every second. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"

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
	return q->shift.is_running && !q->is_stopped &&
	    q->shift.at.seconds != 0;
}

/* Is the row behind those that were looked at? */
static bool
is_to_be_moved(const struct deferred_shift *at, const struct deferred_row *row)
{
	char id[SPOOL_ID_TEXT + 1];
	int order;

	if (!at->has_begun)
		return true;
	spool_id_text(row->id, id);
	order = strcmp(id, at->id);
	return order > 0 || (order == 0 && row->rcpt_index > at->rcpt_index);
}

/* The reverse of deferred_shift(), by ${seconds} */
static void
move_back(struct deferred_row *row, int64_t seconds)
{
	bool is_held = row->hold_until != 0 &&
	    row->next_attempt == row->hold_until;

	if (row->hold_until != 0 && (row->flags & SPOOL_ENV_HOLD_FOR) != 0)
		row->hold_until = MAX(row->hold_until - seconds, 1);
	row->next_attempt = is_held ? row->hold_until :
	    row->next_attempt - seconds;
	if (row->since != 0)
		row->since = MAX(row->since - seconds, 1);
	if (row->deliver_by != 0)
		row->deliver_by = MAX(row->deliver_by - seconds, 1);
}

void
queue_shift_await(const struct queue *q, struct queue_change *changes, size_t n)
{
	const struct deferred_shift *at = &q->shift.at;
	size_t i;

	if (!queue_is_shifting(q))
		return;
	for (i = 0; i < n; i++)
		if ((changes[i].kind == CHANGE_PUT ||
		    changes[i].kind == CHANGE_TOUCH) &&
		    is_to_be_moved(at, &changes[i].row))
			move_back(&changes[i].row, at->seconds);
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
	s->is_resting = s->at.seconds != 0;
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
queue_clock_see(struct queue *q, const struct timeval *now)
{
	struct queue_shift *s = &q->shift;
	int64_t step_ms;

	queue_shift_run(q);
	q->wall_ms = queue_ms(now);
	step_ms = q->wall_ms - q->now_ms - q->ahead_ms;
	s->has_next = false;
	if (llabs(step_ms) <= QUEUE_STEP_MS) {
		q->ahead_ms += step_ms;
	} else if (is_in_part(s) || s->is_resting) {
		s->has_next = true;
		q->wall_ms = q->now_ms + q->ahead_ms;
	} else {
		queue_shift_begin(q, step_ms);
		queue_shift_run(q);
	}
	/* the pass behind this one may begin with the next */
	s->is_resting = false;
}

void
queue_wall_see(struct queue *q, const struct timeval *now)
{
	if (!q->shift.has_next)
		q->wall_ms = queue_ms(now);
}
