/* Events with a deadline: see event.h.
 * Apart from event.c, because they ask the scheduler for the time: an embedder
 * with a loop and a clock of its own need not link the scheduler. */

#include "core/event.h"

#include "core/loop/clock.h"
#include "core/scheduler.h"

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
	if (whence == EVENT_WHENCE_NOW)
		timeradd(scheduler_now(), &when, &e->trigger);
	return e;
}

Event *
build_event_from_now(struct timeval offset, int fd, EventFunc callback,
    void *closure)
{
	return build_event(offset, EVENT_WHENCE_NOW, fd, callback, closure);
}

Event *
build_event_from_now_f(float offset_seconds, int fd, EventFunc callback,
    void *closure)
{
	/* double: a float has 24 bits, which microseconds of a day exceed */
	return build_event_from_now(
	    loopclock_tv((int64_t)((double)offset_seconds * 1e6)), fd,
	    callback, closure);
}
