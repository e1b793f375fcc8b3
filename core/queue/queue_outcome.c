/* What becomes of a recipient whose attempt is over: tried again, given up, reported.
 * Owns: when a message expires, what its sender has asked to be told (RFC 3461
 * 5.2), when it is tried again.
 * Knows nothing of how a report is made. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <string.h>
#include <strings.h>

#include "core/process/log.h"
#include "core/process/stats.h"

static const char *const names[QUEUE_OUTCOMES] = {
	[QUEUE_WAITS] = "",
	[QUEUE_FAILED] = "failed",
	[QUEUE_EXPIRED] = "expired",
	[QUEUE_LATE] = "late",
	[QUEUE_DELIVERED] = "delivered",
	[QUEUE_RELAYED] = "relayed",
	[QUEUE_EXPANDED] = "expanded",
};

const char *
queue_outcome_name(enum queue_outcome outcome)
{
	return names[outcome];
}

/* A row may have been edited by hand: what is not known waits. */
enum queue_outcome
queue_outcome_parse(const char *name)
{
	unsigned int i;

	for (i = 0; i < QUEUE_OUTCOMES; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum queue_outcome)i;
	return QUEUE_WAITS;
}

/* RFC 3461 5.2.2 (b), 5.2.3 (a) */
enum queue_outcome
queue_outcome_of(const struct queue_message *m, const struct queue_rcpt *r,
    unsigned int flags)
{
	if (m->sender[0] == '\0' || (r->notify &
	    (SPOOL_NOTIFY_SUCCESS | DEFERRED_NOTIFY_UNKNOWN)) == 0)
		return QUEUE_WAITS;
	if ((flags & JOB_NO_DSN) != 0)
		return QUEUE_RELAYED;
	return (flags & JOB_FINAL) != 0 ? QUEUE_DELIVERED : QUEUE_WAITS;
}

/* What is held begins to wait when it is released. */
static int64_t
begin_s(const struct queue_message *m)
{
	return MAX(m->since, m->hold_until);
}

const struct queue_times *
queue_rcpt_times(const struct queue *q, const struct queue_rcpt *r)
{
	return r->times == 0 ? &q->times : &q->config.times[r->times - 1];
}

static int64_t
lifetime_s(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	const struct queue_times *times = queue_rcpt_times(q, r);

	return m->sender[0] == '\0' ? times->bounce_lifetime_s :
	    times->lifetime_s;
}

int64_t
queue_expires_s(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	return begin_s(m) + lifetime_s(q, m, r);
}

/* When what comes to memory again and again is not kept for its turn any more: twice
 * its time is over then. */
static int64_t
long_over_s(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	return queue_expires_s(q, m, r) +
	    MAX(lifetime_s(q, m, r), QUEUE_LAST_LEAST_S);
}

/* Of a failure nobody is told but the postmaster if there is no sender, and nobody
 * at all if the postmaster was to be told: RFC 3464 2 wants no loops. */
static bool
is_reported_to_postmaster(const struct queue *q, const struct queue_rcpt *r)
{
	const char *to = q->config.double_bounce;

	return to != NULL && to[0] != '\0' && strcasecmp(r->rcpt, to) != 0;
}

bool
queue_is_reported(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	unsigned int notify = r->notify, wanted;

	if (q->ops->report == NULL)
		return false;
	switch ((enum queue_outcome)r->outcome) {
	case QUEUE_DELIVERED:
	case QUEUE_RELAYED:
	case QUEUE_EXPANDED:
		return m->sender[0] != '\0' && (notify &
		    (SPOOL_NOTIFY_SUCCESS | DEFERRED_NOTIFY_UNKNOWN)) != 0;
	case QUEUE_WAITS:
		if (m->sender[0] == '\0')
			return false;
		wanted = SPOOL_NOTIFY_DELAY;	/* RFC 3461 5.2.5 */
		break;
	default:
		if (m->sender[0] == '\0')
			return is_reported_to_postmaster(q, r);
		wanted = SPOOL_NOTIFY_FAILURE;	/* RFC 3461 5.2.6 */
	}
	return notify == 0 ||
	    (notify & (wanted | DEFERRED_NOTIFY_UNKNOWN)) != 0;
}

/* By when mode N of BY= wants to be told of a delay, RFC 2852 */
static bool
has_notify_time(const struct queue_message *m)
{
	return m->deliver_by != 0 && (m->env_flags & SPOOL_ENV_BY_RETURN) == 0;
}

unsigned int
queue_warning_passed(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	int64_t now = q->wall_ms / 1000;
	int64_t warning_s = queue_rcpt_times(q, r)->warning_s;
	unsigned int due = 0;

	if (r->is_held || r->is_alias || r->outcome != QUEUE_WAITS)
		return 0;
	if (warning_s != 0 && now >= begin_s(m) + warning_s)
		due |= DEFERRED_WARNED_DELAY;
	if (has_notify_time(m) && now >= m->deliver_by)
		due |= DEFERRED_WARNED_BY;
	return due & ~(unsigned int)r->warned;
}

unsigned int
queue_warning(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	return r->state == RCPT_FAILED && queue_is_reported(q, m, r) ?
	    queue_warning_passed(q, m, r) : 0;
}

/* The next interval, of which some part of jitter_percent is missing: always the
 * same part for the same attempt */
static int64_t
interval_ms(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	const struct queue_times *times = queue_rcpt_times(q, r);
	uint32_t attempts = r->attempts + 1;
	int64_t ms = queue_retry_ms(times->retry_s, times->max_retry_s,
	    attempts);
	uint64_t h = (m->place.id ^ (uint64_t)r->index << 40 ^
	    (uint64_t)attempts << 56) * 0x9e3779b97f4a7c15ULL;

	return ms - ms * q->config.jitter_percent / 100 *
	    (int64_t)(h >> 48) / 65536;
}

/* How long ${r} of ${m} is parked, unless its target takes mail before: nearly the
 * longest interval, and not the same for all that are parked together. */
static int64_t
parked_ms(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	int64_t part = 768 + (int64_t)((m->place.id >> 12) % 256);

	return queue_rcpt_times(q, r)->max_retry_s * 1000 * part / 1024;
}

/* ${at} if it is before *${next}, and still to come */
static void
no_later(int64_t *next, int64_t at, int64_t now)
{
	if (at > now && at < *next)
		*next = at;
}

/* Until when the process is young, unix seconds */
static int64_t
young_s(const struct queue *q)
{
	return (q->wall_ms - q->now_ms + q->start_ms + QUEUE_YOUNG_MS) / 1000 +
	    1;
}

int64_t
queue_next_s(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	int64_t now = q->wall_ms / 1000;
	int64_t warning_s = queue_rcpt_times(q, r)->warning_s;
	int64_t next = (q->wall_ms + (r->is_parked && r->target != NULL ?
	    parked_ms(q, m, r) : interval_ms(q, m, r))) / 1000;

	/* what is to be told of a new one is told when it has its row */
	if (r->is_parked && queue_class(m) == QUEUE_NEW &&
	    queue_warning(q, m, r) != 0)
		return now + QUEUE_GATHER_S;
	/* the last attempt is when it expires; what is to be told is told in
	 * time */
	no_later(&next, queue_expires_s(q, m, r), now);
	if (r->is_parked && now >= queue_expires_s(q, m, r)) {
		no_later(&next, young_s(q), now);
		no_later(&next, long_over_s(q, m, r), now);
	}
	if (warning_s != 0 && (r->warned & DEFERRED_WARNED_DELAY) == 0)
		no_later(&next, begin_s(m) + warning_s, now);
	if (m->deliver_by != 0)
		no_later(&next, m->deliver_by, now);
	return next;
}

/* The time of ${r} is over.  Has it been in memory for long enough to have its
 * turn? */
static bool
has_had_turn(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	int64_t last_s = MIN(lifetime_s(q, m, r) / QUEUE_LAST_PART,
	    QUEUE_LAST_MOST_S);

	if (last_s < QUEUE_LAST_LEAST_S ||
	    long_over_s(q, m, r) <= q->wall_ms / 1000)
		last_s = QUEUE_LAST_LEAST_S;
	return q->now_ms - m->taken_ms >= last_s * 1000;
}

/* The time of ${r} is over.  Is it to have an attempt all the same, since it comes
 * from where it could have none, such as from before the server was started again?
 * One whose target has not answered again and again has had it with those that were
 * tried. */
static bool
is_to_be_tried(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	if (!r->is_parked || long_over_s(q, m, r) <= q->wall_ms / 1000)
		return false;
	return r->target != NULL && queue_target_is_long(r->target) ?
	    q->now_ms - q->start_ms < QUEUE_YOUNG_MS : !has_had_turn(q, m, r);
}

bool
queue_is_overdue(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	if (m->untold_ms != 0 &&
	    q->now_ms - m->untold_ms >= QUEUE_GATHER_MAX_MS)
		return true;
	if (queue_is_reported(q, m, r) && queue_warning_passed(q, m, r) != 0)
		return true;
	return q->wall_ms / 1000 >= queue_expires_s(q, m, r) &&
	    has_had_turn(q, m, r);
}

static enum queue_outcome
verdict(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r)
{
	if (r->is_refused)
		return QUEUE_FAILED;
	if (queue_message_is_late(q, m))
		return QUEUE_LATE;
	return q->wall_ms / 1000 >= queue_expires_s(q, m, r) &&
	    !is_to_be_tried(q, m, r) ? QUEUE_EXPIRED : QUEUE_WAITS;
}

/* Does an agent have any of them, or is to get it?  Then the report waits for the
 * others: what fails in one attempt is in one report.  (If they wait for long they
 * leave the memory, see queue_is_overdue(), and it is told then.) */
static bool
has_others(const struct queue_message *m)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_WAITING ||
		    m->rcpts[i].state == RCPT_SENT)
			return true;
	return false;
}

void
queue_log_bounced(const struct queue_message *m,
    const struct queue_rcpt *r, uint64_t report)
{
	char id[SPOOL_ID_TEXT + 1], rid[SPOOL_ID_TEXT + 1] = "none";

	stats_inc(STATS_BOUNCED);
	if (r->outcome == QUEUE_EXPIRED)
		stats_inc(STATS_EXPIRED);
	spool_id_text(m->place.id, id);
	if (report != 0)
		spool_id_text(report, rid);
	log_event(LOG_LEVEL_WARNING, "bounced",
	    "id=%s rcpt=%s from=%s attempts=%u outcome=%s report=%s "
	    "remote=%s code=%u error=%s", id, r->rcpt, m->sender,
	    r->attempts + !r->is_parked, queue_outcome_name(r->outcome), rid,
	    r->reply != NULL ? r->reply->remote : "",
	    r->reply != NULL ? r->reply->code : 0, queue_rcpt_error(r));
}

/* Is ${r} given up without an attempt in this time, so that what was said in the last
 * one is not in memory? */
static bool
lacks_reason(const struct queue_rcpt *r)
{
	return r->outcome == QUEUE_EXPIRED && r->is_parked &&
	    r->reply == NULL && r->attempts > 0 &&
	    (r->target == NULL || r->target->error == NULL);
}

struct reasons {
	struct queue_rcpt *r, *end;	/* in the order of the rows */
};

static int
take_reason(void *closure, const struct deferred_row *row)
{
	struct reasons *rs = closure;

	while (rs->r < rs->end && rs->r->index < row->rcpt_index)
		rs->r++;
	if (rs->r < rs->end && rs->r->index == row->rcpt_index &&
	    lacks_reason(rs->r))
		rs->r->reply = queue_reply_row(row);
	return 0;
}

/* The rows have it.  If they cannot be read, the report says why it has waited. */
static void
find_reasons(struct queue *q, struct queue_message *m)
{
	const struct deferred_query of = { .what = DEFERRED_OF,
		.id = m->place.id };
	struct reasons rs = { m->rcpts, m->rcpts + m->nrcpts };

	(void)q->store_ops->rows(q->store, &of, take_reason, &rs);
}

void
queue_judge(struct queue *q, struct queue_message *m)
{
	bool is_deferred = m->place.file == NULL, is_over = !has_others(m);
	bool has_reason = true;
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_FAILED && r->state != RCPT_OK)
			continue;
		if (r->state == RCPT_FAILED && !r->is_held && !r->is_alias &&
		    r->outcome == QUEUE_WAITS)
			r->outcome = (unsigned char)verdict(q, m, r);
		if (r->outcome == QUEUE_WAITS)
			continue;
		has_reason = has_reason && !lacks_reason(r);
		if (is_deferred)
			r->state = is_over || r->is_gathered ||
			    !queue_is_reported(q, m, r) ?
			    RCPT_OK : RCPT_FAILED;
		else if (!queue_is_reported(q, m, r)) {
			if (queue_has_failed(r))
				queue_log_bounced(m, r, 0);
			queue_rcpt_done(q, m, r);
		}
	}
	if (is_deferred && !has_reason)
		find_reasons(q, m);
}
