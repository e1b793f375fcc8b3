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
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <mailmill/api.h>
#include <mailmill/event.h>
#include <mailmill/scheduler_impl.h>

MAILMILL_BEGIN

struct scheduler;

/* Where time and readiness come from.  The real backend is poll(2) over a
 * monotonic clock anchored to the wall clock; tests and the simulator bring a
 * virtual one, whose wait() may advance the clock instead of sleeping.
 * A NULL function is the real one.  With a virtual wait() the scheduler opens
 * no descriptor of its own (unless has_epoll) and depends on the backend alone;
 * completions from other threads do not interrupt the wait, and are dispatched
 * in the next pass. */
struct scheduler_backend {
	size_t	size;		/* sizeof(struct scheduler_backend) */
	/* now: read the clock */
	void	(*now)(void *closure, struct timeval *now_r);
	/* wait: as poll(2), timeout in milliseconds, -1 for ever; sets every
	 * revents, and returns how many are not 0 */
	int	(*wait)(void *closure, struct pollfd *fds, nfds_t nfds,
		    int timeout_ms);
	void	*closure;
	bool	 has_epoll;	/* idle descriptors may be parked behind epoll */
};

/* scheduler_create(backend): A scheduler for the calling thread, which becomes
 * its scheduler thread.  NULL ${backend}: poll(2), epoll(7) for idle
 * descriptors and the real clock; else ${backend} is copied.  NULL with errno
 * on failure (EEXIST: the thread has one; EINVAL: ${backend} has no size). */
struct scheduler *scheduler_create(const struct scheduler_backend *backend);

/* scheduler_destroy(s): Frees every event that is still scheduled (without
 * closing descriptors) and ${s}.  Not inside one of its callbacks, which ends
 * the process.  NULL does nothing. */
void scheduler_destroy(struct scheduler *s);

/* scheduler_run(s): Passes until scheduler_stop() or until no event is left, and
 * none will come from a job (ec_thread_pool.h).
 * Return 0, or -1 with errno when poll(2) failed. */
int scheduler_run(struct scheduler *s);

/* scheduler_pass(s, max_wait_ms): One pass: wait (at most ${max_wait_ms}, -1
 * for ever; less when a timer is nearer, and while idle descriptors wait to be
 * parked), dispatch what is ready, then completions, then timers, then the
 * recurrent functions.  Return the number of callbacks made, or -1 with errno
 * (EDEADLK: called from a callback). */
int scheduler_pass(struct scheduler *s, int max_wait_ms);

/* scheduler_stop(s): Make scheduler_run() return after this pass, or, if it is
 * not running, as soon as it is called.  Scheduler thread only. */
void scheduler_stop(struct scheduler *s);

/* scheduler_shift(s, delta_us): The clock of ${s} was stepped by ${delta_us}
 * microseconds: move every trigger along, so that no timer fires early or
 * late, but those of events that float or that another thread has sent and that
 * are not scheduled yet.  The real clock does this by itself. */
void scheduler_shift(struct scheduler *s, int64_t delta_us);

/* scheduler_now(): The worker clock of the calling thread's scheduler, read
 * once per pass.  Valid until the next pass.  In a thread without a scheduler:
 * the system's time. */
const struct timeval *scheduler_now(void);

/* get_now(toset), get_now_ts(): scheduler_now() into ${toset}, and its seconds,
 * as documented. */
void get_now(struct timeval *toset);
time_t get_now_ts(void);

/* scheduler_event_count(s): Events scheduled, without the scheduler's own; for
 * tests that look for leaks. */
int scheduler_event_count(const struct scheduler *s);

/* schedule_event(e): Takes ${e}, which waits for e->mask.  Scheduler thread
 * only (the reference says "any thread" in one place and denies it in another;
 * this is the safe reading).  At most one event per descriptor is scheduled: a
 * second one is refused with EEXIST.
 * Return 0, or -1 with errno (then the caller still owns ${e}): EEXIST, EBADF,
 * EBUSY (it is scheduled already), EINVAL (its mask can never come true, not a
 * scheduler thread, or ${e} is NULL), ENOMEM.  Once scheduled, an event never
 * fails for want of memory. */
int schedule_event(Event *e);

/* schedule_event_and_dispatch(e, mask): From any thread: make the loop call the
 * callback of ${e} with ${mask} (E_ASYNC for a completion; 0: no call) in this
 * pass or the next one, never before the running callback has returned.  Masks
 * posted meanwhile are or'd into one call.
 * An ${e} that is not scheduled is scheduled first, and is the scheduler's from
 * then on: at once if this is the thread that it was scheduled in last (or it
 * never was); else by that thread, in its next pass.  If that thread's
 * scheduler is gone, by the calling thread's or the first of the process.  If
 * the descriptor has another event still or there is no memory, that pass and
 * the following ones try again.  Until it is scheduled, event_free(),
 * event_unschedule(), clear_timed_event() and event_close() take it back, in
 * the thread that it was sent to.
 * An ${e} that is scheduled must not be freed or unscheduled by the other
 * thread meanwhile.  Unscheduling ${e} drops what was posted.
 * Return 0, or -1 with errno: as schedule_event(); EINVAL: ${e} is NULL, or is
 * not scheduled and the process has no scheduler, or would never be called:
 * with a ${mask} of 0 its own can never come true. */
int schedule_event_and_dispatch(Event *e, int mask);

/* sp_async_schedule_event(e, mask): The same, but an ${e} that is not scheduled
 * is never scheduled before the running callback has returned. */
int sp_async_schedule_event(Event *e, int mask);

/* clear_timed_event(e): Unschedule and free a timed event.  Return 1; or 0 if
 * ${e} is neither scheduled nor sent (or NULL), and the caller still owns it.
 * A timed event whose callback has returned 0 is freed already: do not keep a
 * pointer to it.  Its own callback may call this: what it returns is ignored
 * then. */
int clear_timed_event(Event *e);

/* clear_event_by_fd(fd): Unschedule the event of ${fd} and return it: it is the
 * caller's.  NULL if there is none.
 * From the event's own callback: the dispatcher still frees it when that
 * returns 0, and schedules it again when it returns a mask (or frees it, if
 * another event has the descriptor meanwhile); so a callback can hand its
 * connection to a duplicate (event_post_dup()).  To keep the event itself, use
 * event_unschedule().
 * get_event_by_fd(fd) only returns it. */
Event *clear_event_by_fd(int fd);
Event *get_event_by_fd(int fd);

/* event_unschedule(e): Unschedule ${e}, of either kind, or take it back before
 * it is scheduled; no effect if it is neither scheduled nor sent (or NULL).
 * The caller owns it again.  An event may unschedule itself: then what its
 * callback returns is ignored. */
void mailmill_event_unschedule(Event *e);

/* float_event(event): Suspend an event of the calling thread's scheduler, so
 * that another thread may work on it: neither its descriptor nor its trigger is
 * looked at until somebody dispatches to it with a mask
 * (schedule_event_and_dispatch(), from any thread), or it is scheduled again in
 * this thread.  float_event() sets the mask to E_ASYNC.  To go on in its own
 * thread, set the mask and call schedule_event().  What was posted before is
 * dispatched with what ends the suspension, so let the event float before the
 * other thread learns of it.  Its trigger does not move when the clock is
 * stepped.
 * If its own callback calls this, what that returns is ignored, unless it goes
 * on to call event_close() or clear_event_by_fd().  No effect on an event that
 * is not scheduled.
 * get_fd_event_set(&set, &count): The events of the calling thread's scheduler
 * that have a descriptor and do not float, in the order of descriptors.
 * get_floating_event_set(&set, &count): Those that float.  *set is the
 * caller's, to be freed with free(3); it is NULL, and *count 0, if there is
 * none, and without memory. */
void float_event(Event *event);
void get_fd_event_set(Event ***set, int *count);
void get_floating_event_set(Event ***set, int *count);

/* is_scheduler_thread(), ping_scheduler(): as documented; the latter wakes the
 * loop of the calling thread, or, in a thread that has none, that of the first
 * scheduler of the process that was made and still is there; not while that one
 * is being destroyed. */
int is_scheduler_thread(void);
void ping_scheduler(void);

/* scheduler_recurrent_func_add(func, closure): Call ${func} at the end of
 * every pass: the place to flush what the pass has gathered.  What it returns
 * is ignored.  Return 0, or -1 with errno: ENOMEM; EINVAL without ${func} or a
 * scheduler. */
int scheduler_recurrent_func_add(RecurFunc func, void *closure);

MAILMILL_END

#endif
