/* Waiting: what for, and how long.
 * Owns: the only assignment of what a session waits for, the meaning of the
 * timeout options (RFC 5321 4.5.3.2), the times of a session when the clock is
 * set.
 * A session has one Event, so one deadline at a time: the nearest. */

#include "core/lim.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_own.h"

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

enum esmtp_want
esmtp_wait_for(struct esmtp_step *st, enum esmtp_wait what)
{
	message_construct *mc = st->mc;

	st->ac->is_async_done = 0;
	if (mc->wait != what && esmtp_wait_rows[what].since == SINCE_BEGIN)
		mc->wait_since = st->now;
	mc->wait = (uint8_t)what;
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

static void
sooner(struct timeval *when, const char **which, const struct timeval *since,
    int64_t seconds, const char *name)
{
	struct timeval t = *since;

	t.tv_sec += (time_t)seconds;
	if (*which == NULL || timercmp(&t, when, <)) {
		*when = t;
		*which = name;
	}
}

void
esmtp_deadline(const message_construct *mc, struct timeval *when_r,
    const char **which_r)
{
	const struct esmtp_options *o = mc->ac->options;
	const struct esmtp_wait_row *row = esmtp_wait_row(mc);
	int64_t seconds = row->seconds;

	*which_r = NULL;
	if (row->option != 0)
		seconds = *(const int64_t *)(const void *)
		    ((const char *)o + row->option);
	if (esmtp_is_in_body(mc) || (mc->txn != NULL && mc->txn->is_chunked))
		sooner(when_r, which_r, &mc->txn->data_since, o->data_timeout,
		    "data");
	else if (mc->is_in_chunk)
		sooner(when_r, which_r, &mc->wait_since, o->data_timeout,
		    "data");
	if (esmtp_is_reading(mc))
		sooner(when_r, which_r, &mc->reader->since, o->data_timeout,
		    "data");
	if (seconds > 0)
		sooner(when_r, which_r, row->since == SINCE_OCTET ?
		    &mc->idle_since : &mc->wait_since, seconds, row->name);
	if (row->flags & WF_IDLE && o->idle_time > 0)
		sooner(when_r, which_r, &mc->idle_since, o->idle_time, "idle");
}

bool
esmtp_is_expired(const message_construct *mc, const struct timeval *now,
    const char **which_r)
{
	struct timeval when;

	esmtp_deadline(mc, &when, which_r);
	return *which_r != NULL && !timercmp(now, &when, <);
}

/* --- a clock that is set -------------------------------------------------- */

#define SECONDS_MAX	((int64_t)1 << 50)	/* sums of such times do not overflow */

static bool
is_time(const struct timeval *tv)
{
	return tv->tv_usec >= 0 && tv->tv_usec < 1000000 &&
	    tv->tv_sec > -SECONDS_MAX && tv->tv_sec < SECONDS_MAX;
}

/* All times that a session keeps are of the same clock. */
static void
move_times(message_construct *mc, const struct timeval *by)
{
	struct timeval *const times[] = {
		&mc->started, &mc->idle_since, &mc->wait_since, &mc->seen,
		mc->txn != NULL ? &mc->txn->started : NULL,
		mc->txn != NULL ? &mc->txn->data_since : NULL,
		mc->reader != NULL ? &mc->reader->since : NULL
	};
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] != NULL)
			timeradd(times[i], by, times[i]);
}

void
esmtp_follow_clock(message_construct *mc, const Event *event,
    const struct timeval *now)
{
	struct timeval by;

	/* 0: nobody has set it */
	if (timerisset(&mc->trigger) && timerisset(&event->trigger) &&
	    timercmp(&event->trigger, &mc->trigger, !=) &&
	    is_time(&event->trigger)) {
		timersub(&event->trigger, &mc->trigger, &by);
		move_times(mc, &by);
	}
	if (timercmp(now, &mc->seen, <) && is_time(now)) {
		timersub(now, &mc->seen, &by);
		move_times(mc, &by);
	}
	/* what is compared with it later has to be one */
	if (is_time(now))
		mc->seen = *now;
}
