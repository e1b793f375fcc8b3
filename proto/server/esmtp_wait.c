/* Waiting: what for, and how long.
 * Owns: the only assignment of what a session waits for, the meaning of the
 * timeout options (RFC 5321 4.5.3.2), the times of a session when the clock is
 * set.
 * A session has one Event, so one deadline at a time: the nearest. */

#include "core/lim.h"
#include "proto/server/esmtp_wait.h"

#define OPTION(field)	.option = offsetof(struct esmtp_options, field)
#define SECONDS(n)	.seconds = (n)
#define NO_LIMIT	.seconds = 0
#define NOTHING		ESMTP_NREPLIES

const struct esmtp_wait_row esmtp_wait_rows[ESMTP_NWAITS] = {
#define ESMTP_WAIT(id, ev, begin, limit, text, tell, f, go_on) \
	[WAIT_##id] = { .events = ev, .since = begin, limit, .name = text, \
	    .reply = tell, .flags = f, .resume = go_on },
#include "proto/server/esmtp_wait.def"
#undef ESMTP_WAIT
};

/* Does the time of a wait for ${what} begin now? */
static bool
is_begun(message_construct *mc, enum esmtp_wait what)
{
	bool was_timed = mc->is_timed;

	switch (esmtp_wait_rows[what].since) {
	case SINCE_COMMAND:
		/* a message has its own limit; of it, a look-up has its own time */
		if (mc->state == ES_ASYNC)
			return mc->wait != what;
		mc->is_timed = 1;
		return !was_timed;
	case SINCE_BEGIN:
		mc->is_timed = 0;
		return mc->wait != what;
	default:
		if (what != WAIT_WRITE)
			mc->is_timed = 0;
		return false;
	}
}

enum esmtp_want
esmtp_wait_for(struct esmtp_step *st, enum esmtp_wait what)
{
	message_construct *mc = st->mc;

	st->ac->is_async_done = 0;
	if (is_begun(mc, what))
		mc->wait_since = moment_of(&st->now);
	mc->wait = what;
	return W_WAIT;
}

bool
esmtp_is_waiting(const message_construct *mc)
{
	return esmtp_wait_rows[mc->wait].events == E_ASYNC &&
	    !mc->ac->is_async_done;
}

const struct esmtp_wait_row *
esmtp_wait_row(const message_construct *mc)
{
	if (mc->is_closing || (mc->out != NULL && !esmtp_is_waiting(mc)))
		return &esmtp_wait_rows[WAIT_WRITE];
	return &esmtp_wait_rows[mc->wait];
}

int
esmtp_wait_mask(const message_construct *mc)
{
	int events = esmtp_wait_row(mc)->events;

	if (events == E_READ)
		events = mc->need_read != 0 ? mc->need_read : E_READ;
	else if (events == E_WRITE)
		events = mc->need_write;
	if (mc->out != NULL)
		events |= mc->need_write;
	return events | E_TIMEOUT;
}

/* The time limit that passes first. */
struct nearest {
	int64_t		 when;
	const char	*which;		/* its name; NULL: there is no limit */
};

static void
sooner(struct nearest *n, int64_t since, int64_t seconds, const char *name)
{
	int64_t when = since + moment_in(seconds);

	if (n->which == NULL || when < n->when)
		*n = (struct nearest){ when, name };
}

bool
esmtp_is_answer_late(const message_construct *mc, int64_t now)
{
	return mc->state == ES_ASYNC && mc->txn != NULL &&
	    now >= mc->txn->data_since + moment_in(LIM_MESSAGE_SECONDS);
}

bool
esmtp_is_command_late(const message_construct *mc, int64_t now)
{
	return mc->is_timed && mc->state != ES_ASYNC &&
	    now >= mc->wait_since + moment_in(LIM_POLICY_SECONDS);
}

/* When the wait of ${row} has begun. */
static int64_t
since(const message_construct *mc, const struct esmtp_wait_row *row)
{
	if (row->since == SINCE_DATA && mc->txn != NULL)
		return mc->txn->data_since;
	return row->since == SINCE_OCTET ? mc->idle_since : mc->wait_since;
}

static struct nearest
nearest(const message_construct *mc)
{
	const struct esmtp_options *o = mc->ac->options;
	const struct esmtp_wait_row *row = esmtp_wait_row(mc);
	struct nearest n = { .which = NULL };
	int64_t seconds = row->seconds;

	if (row->option != 0)
		seconds = *(const int64_t *)(const void *)
		    ((const char *)o + row->option);
	if (esmtp_is_in_body(mc) || (mc->txn != NULL && mc->txn->is_chunked))
		sooner(&n, mc->txn->data_since, o->data_timeout, "data");
	else if (mc->is_in_chunk)
		/* a chunk of no message is part of its command */
		sooner(&n, mc->wait_since, o->command_timeout, "command");
	if (esmtp_is_reading(mc))
		sooner(&n, mc->reader->since, o->data_timeout, "data");
	if (seconds > 0)
		sooner(&n, since(mc, row), seconds, row->name);
	/* a module that is asked about a message looks up an address */
	if (row == &esmtp_wait_rows[WAIT_RCPT] && mc->state == ES_ASYNC &&
	    mc->txn != NULL)
		sooner(&n, mc->txn->data_since, LIM_MESSAGE_SECONDS, row->name);
	if (row->flags & WF_IDLE && o->idle_time > 0)
		sooner(&n, mc->idle_since, o->idle_time, "idle");
	return n;
}

void
esmtp_deadline(const message_construct *mc, struct timeval *when_r,
    const char **which_r)
{
	struct nearest n = nearest(mc);

	*when_r = moment_tv(n.when);
	*which_r = n.which;
}

bool
esmtp_is_expired(const message_construct *mc, const struct timeval *now,
    const char **which_r)
{
	struct nearest n = nearest(mc);

	*which_r = n.which;
	return n.which != NULL && moment_of(now) >= n.when;
}

/* --- a clock that is set -------------------------------------------------- */

static bool
is_time(const struct timeval *tv)
{
	return tv->tv_usec >= 0 && tv->tv_usec < MOMENT_S &&
	    tv->tv_sec > -MOMENT_MAX_S && tv->tv_sec < MOMENT_MAX_S;
}

/* All times that a session keeps are of the same clock. */
static void
move_times(message_construct *mc, int64_t by)
{
	int64_t *const times[] = {
		&mc->started, &mc->idle_since, &mc->wait_since, &mc->seen,
		mc->txn != NULL ? &mc->txn->started : NULL,
		mc->txn != NULL ? &mc->txn->data_since : NULL,
		mc->reader != NULL ? &mc->reader->since : NULL
	};
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] != NULL)
			*times[i] += by;
}

void
esmtp_follow_clock(message_construct *mc, const Event *event,
    const struct timeval *now)
{
	int64_t trigger = moment_of(&event->trigger), t = moment_of(now);

	/* 0: nobody has set it */
	if (mc->trigger != 0 && trigger != 0 && is_time(&event->trigger))
		move_times(mc, trigger - mc->trigger);
	/* what is compared with it later has to be one */
	if (!is_time(now))
		return;
	if (t < mc->seen)
		move_times(mc, t - mc->seen);
	mc->seen = t;
}
