/* Events with a deadline: see event.h.
 * Apart from event.c, because they ask the scheduler for the time: an embedder
 * with a loop and a clock of its own need not link the scheduler. */

#include "core/event.h"

#include <math.h>

#include "core/loop/clock.h"
#include "core/scheduler.h"

/* The furthest time, in microseconds: 73000 years.  Each double up to this can
 * be cast to int64_t. */
#define MOST_US	2.3e18

Event *
build_event(struct timeval when, int whence, int fd, EventFunc callback,
    void *closure)
{
	Event *e;

	e = build_fd_event(fd, E_TIMEOUT, E_AGGRESSIVE_NONE, callback,
	    closure);
	if (e == NULL)
		return NULL;
	e->trigger = when;
	/* loopclock_us() is bounded, so the sum does not overflow */
	if (whence == E_FROM_NOW)
		e->trigger = loopclock_tv(loopclock_us(scheduler_now()) +
		    loopclock_us(&when));
	return e;
}

Event *
build_event_from_now_f(float offset_seconds, int fd, EventFunc callback,
    void *closure)
{
	/* double: a float has 24 bits, which microseconds of a day exceed */
	double us = isnan(offset_seconds) ? 0 : (double)offset_seconds * 1e6;

	if (us > MOST_US)
		us = MOST_US;
	if (us < -MOST_US)
		us = -MOST_US;
	return build_event_from_now(loopclock_tv((int64_t)us), fd, callback,
	    closure);
}
