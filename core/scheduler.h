/* The scheduler: a poll(2) loop that dispatches Events on a clock of its own.
 * Owns: the pollfd array, the timer heap, the parking of idle descriptors, the
 * queue of completions from other threads, the worker clock.
 * One scheduler per thread that runs one; the documented functions act on the
 * scheduler of the calling thread (schedule_event_and_dispatch() on the one
 * that the event is scheduled on). */

#ifndef CORE_SCHEDULER_H
#define CORE_SCHEDULER_H

#include <poll.h>
#include <stdbool.h>

#include "core/event.h"

struct scheduler;

/* Where time and readiness come from.  The real one is poll(2) over a
 * monotonic clock anchored to the wall clock; tests and the simulator bring a
 * virtual one, whose wait() may turn the clock forward instead of sleeping. */
struct scheduler_backend {
	/* now: read the clock */
	void	(*now)(void *closure, struct timeval *now_r);
	/* wait: as poll(2), timeout in milliseconds, -1 for ever */
	int	(*wait)(void *closure, struct pollfd *fds, nfds_t nfds,
		    int timeout_ms);
	void	*closure;
	bool	 has_epoll;	/* idle descriptors may be parked behind epoll */
};

/* scheduler_create(backend): A scheduler for the calling thread, which becomes
 * its scheduler thread.  NULL ${backend}: poll(2) and the real clock.  NULL
 * with errno on failure. */
struct scheduler *scheduler_create(const struct scheduler_backend *backend);

/* scheduler_destroy(s): Frees every event that is still scheduled (without
 * closing descriptors) and ${s}.  Not from a callback. */
void scheduler_destroy(struct scheduler *s);

/* scheduler_run(s): Passes until scheduler_stop() or until no event is left.
 * Return 0, or -1 with errno when poll(2) failed. */
int scheduler_run(struct scheduler *s);

/* scheduler_pass(s, max_wait_ms): One pass: wait (at most ${max_wait_ms}, -1
 * for ever, less when a timer is nearer), dispatch what is ready, then
 * completions, then timers, then the recurrent functions.  Return the number
 * of callbacks made, or -1 with errno. */
int scheduler_pass(struct scheduler *s, int max_wait_ms);

void scheduler_stop(struct scheduler *s);

/* scheduler_now(): The worker clock of the calling thread's scheduler, read
 * once per pass.  Valid until the next pass. */
const struct timeval *scheduler_now(void);

/* scheduler_event_count(s): Events scheduled, the scheduler's own not counted
 * (a test for leaks). */
int scheduler_event_count(const struct scheduler *s);

/* schedule_event(e): Takes ${e}.  Scheduler thread only (the reference says
 * "any thread" in one place and denies it in another; this is the safe one).
 * Replaces no other event: at most one event per descriptor is scheduled, and
 * a second one for the same descriptor is refused with EEXIST.
 * Return 0, or -1 with errno (then the caller still owns ${e}). */
int schedule_event(Event *e);

/* schedule_event_and_dispatch(e, mask): From any thread: have the callback of
 * ${e} called with ${mask} in the next pass (E_ASYNC for a completion).  From
 * another thread than the scheduler's, ${e} must be one that cannot be freed
 * meanwhile.  An ${e} that is not scheduled is scheduled first (scheduler
 * thread only).  Never calls the callback itself. */
void schedule_event_and_dispatch(Event *e, int mask);

/* clear_timed_event(e): Unschedule a timed event; the caller owns it again. */
void clear_timed_event(Event *e);

/* clear_event_by_fd(fd): Unschedule the event of ${fd} and return it, the
 * caller's now; NULL if there is none.  get_event_by_fd only looks. */
Event *clear_event_by_fd(int fd);
Event *get_event_by_fd(int fd);

/* event_unschedule(e): Unschedule ${e}, of either kind; no effect if it is not
 * scheduled.  The caller owns it again. */
void event_unschedule(Event *e);

/* is_scheduler_thread(), ping_scheduler(): as documented; the latter wakes the
 * loop from any thread of the process that has one scheduler. */
int is_scheduler_thread(void);
void ping_scheduler(void);

/* scheduler_recurrent_func_add(func, closure): Call ${func} at the end of
 * every pass: the place to flush what the pass has gathered. */
typedef void (*RecurFunc)(struct timeval *now, void *closure);
void scheduler_recurrent_func_add(RecurFunc func, void *closure);

#endif
