/* The scheduler: passes, dispatch, completions; see scheduler.h.
 *
 * Invariants:
 * 1. An event with e->loop set is in s->all, and its memory is the scheduler's.
 * 2. Every list that a scheduled event can be in (all, pollset, timers, postq)
 *    has room for it from schedule_event() on, and every one is left
 *    by unschedule(); so a callback may unschedule or free any other event.
 * 3. s->current is the event whose callback runs, and NULL as soon as that
 *    event is unscheduled.  After a callback it tells whether the event still
 *    exists.
 * 4. The key of an event in the heap is never later than its trigger, once the
 *    callback that changed the trigger has returned. */

#include "core/scheduler.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "core/loop/clock.h"
#include "core/loop/pollset.h"
#include "core/loop/postq.h"
#include "core/loop/timers.h"
#include "core/util/array.h"

#define E_FD_MASK	(E_READ | E_WRITE | E_EXCEPTION)

/* Posted to an event whose event_pending() says that it need not wait. */
#define E_PENDING	0x40000000

struct recurrent {
	RecurFunc	 func;
	void		*closure;
};

struct scheduler {
	struct event_loop	 loop;		/* first: e->loop points here */
	struct scheduler_backend backend;
	struct loopclock	 clock;
	struct timeval		 now;
	int64_t			 now_us;
	struct pollset		 pollset;
	struct timers		 timers;
	struct postq		 postq;
	Event			**all;
	size_t			 nall;
	size_t			 all_size;
	Event			*current;
	Event			*cleared;	/* by its callback, which runs */
	pthread_t		 thread;
	int			 ncalls;	/* in this pass */
	bool			 is_in_pass;
	bool			 is_stopping;
	struct recurrent	*recurrents;
	size_t			 nrecurrents;
};

static __thread struct scheduler *thread_scheduler;
/* for ping_scheduler() from a thread that has none */
static struct scheduler *process_scheduler;

static struct scheduler *
scheduler_of(const Event *e)
{
	return (struct scheduler *)__atomic_load_n(&e->loop, __ATOMIC_RELAXED);
}

/* The loop's time; it wraps, so use differences of it only. */
static uint32_t
now_ms(const struct scheduler *s)
{
	return (uint32_t)(s->now_us / 1000);
}

/* --- scheduling ------------------------------------------------------- */

static int
reserve_all(struct scheduler *s, size_t n)
{
	Event **all = array_fit(s->all, &s->all_size, n, sizeof(*all));

	if (all == NULL)
		return -1;
	s->all = all;
	return 0;
}

/* Wait for what e->mask says. */
static void
follow(struct scheduler *s, Event *e)
{
	int64_t trigger;

	if (e->fd != -1) {
		pollset_follow(&s->pollset, e);
		if ((event_pending(e) & e->mask) != 0)
			postq_add(&s->postq, &s->loop, e, E_PENDING);
	}
	/* A deadline that moved later, or is no longer waited for, keeps its
	 * place in the heap until its old time: most move again before it. */
	if ((e->mask & E_TIMEOUT) == 0)
		return;
	trigger = loopclock_us(&e->trigger);
	if (e->timer_slot == 0 || timers_key(&s->timers, e) > trigger)
		timers_set(&s->timers, e, trigger);
}

static int
do_schedule(struct scheduler *s, Event *e)
{
	if (e->loop != NULL) {
		errno = EBUSY;
		return -1;
	}
	if (reserve_all(s, s->nall + 1) == -1 ||
	    timers_reserve(&s->timers, s->nall + 1) == -1)
		return -1;
	if (e->fd != -1 && pollset_attach(&s->pollset, e) == -1)
		return -1;
	s->all[s->nall++] = e;
	e->all_slot = (unsigned int)s->nall;
	e->active_ms = now_ms(s);
	e->scheduled_thread = s->thread;
	__atomic_store_n(&e->loop, &s->loop, __ATOMIC_RELAXED);
	follow(s, e);
	return 0;
}

static void
unschedule(struct scheduler *s, Event *e)
{
	Event *last;

	if (s->current == e)
		s->current = NULL;
	if (e->fd != -1)
		pollset_detach(&s->pollset, e);
	timers_remove(&s->timers, e);
	last = s->all[--s->nall];
	s->all[e->all_slot - 1] = last;
	last->all_slot = e->all_slot;
	e->all_slot = 0;
	postq_leave(&s->postq, e);
}

static void
loop_fd_closing(Event *e)
{
	struct scheduler *s = scheduler_of(e);

	if (s->current == e)
		pollset_detach(&s->pollset, e);
	else
		unschedule(s, e);
}

static void
loop_freeing(Event *e)
{
	unschedule(scheduler_of(e), e);
}

/* Can ${mask} ever come true on ${fd}? */
static bool
is_waitable(int mask, int fd)
{
	if (fd == -1)
		mask &= ~E_FD_MASK;
	return (mask & (E_FD_MASK | E_TIMEOUT | E_ASYNC)) != 0;
}

int
schedule_event(Event *e)
{
	if (thread_scheduler == NULL || e == NULL || e->fd < -1 ||
	    !is_waitable(e->mask, e->fd)) {
		errno = EINVAL;
		return -1;
	}
	return do_schedule(thread_scheduler, e);
}

int
schedule_event_and_dispatch(Event *e, int mask)
{
	struct scheduler *s = scheduler_of(e);

	if (s == NULL) {
		s = thread_scheduler;
		if (s == NULL || e->fd < -1) {
			errno = EINVAL;
			return -1;
		}
		if (do_schedule(s, e) == -1)
			return -1;
	}
	return postq_add(&s->postq, &s->loop, e, mask);
}

void
event_unschedule(Event *e)
{
	struct scheduler *s = scheduler_of(e);

	if (s != NULL)
		unschedule(s, e);
}

int
clear_timed_event(Event *e)
{
	if (e == NULL || scheduler_of(e) == NULL)
		return 0;
	event_free(e);
	return 1;
}

Event *
get_event_by_fd(int fd)
{
	if (thread_scheduler == NULL)
		return NULL;
	return pollset_get(&thread_scheduler->pollset, fd);
}

Event *
clear_event_by_fd(int fd)
{
	struct scheduler *s = thread_scheduler;
	Event *e = get_event_by_fd(fd);

	if (e == NULL)
		return NULL;
	if (s->current == e) {
		s->cleared = e;
		e->is_cleared = 1;
	}
	unschedule(s, e);
	return e;
}

/* --- one pass --------------------------------------------------------- */

/* The callback of ${e} has cleared it, and returned ${mask}. */
static void
end_cleared(struct scheduler *s, Event *e, int mask)
{
	bool is_over = e->is_freed || !is_waitable(mask, e->fd);

	s->cleared = NULL;
	e->is_cleared = e->is_freed = 0;
	e->mask = mask;
	if (!is_over && scheduler_of(e) != NULL)
		follow(s, e);
	else if (is_over || do_schedule(s, e) == -1)
		event_free(e);
}

static void
dispatch(struct scheduler *s, Event *e, int eventtype)
{
	struct timeval now = s->now;
	int mask;

	s->current = e;
	s->ncalls++;
	mask = e->callback(e, eventtype, e->closure, &now);
	if (s->cleared != NULL)
		end_cleared(s, e, mask);
	if (s->current != e)
		return;
	s->current = NULL;
	/* An event that waits for nothing would never be called again. */
	if (!is_waitable(mask, e->fd)) {
		event_free(e);
		return;
	}
	e->mask = mask;
	follow(s, e);
}

static void
read_clock(struct scheduler *s)
{
	int64_t step;

	if (s->backend.now != NULL) {
		s->backend.now(s->backend.closure, &s->now);
		s->now_us = loopclock_us(&s->now);
		return;
	}
	step = loopclock_read(&s->clock, &s->now_us);
	s->now = loopclock_tv(s->now_us);
	if (step != 0)
		scheduler_shift(s, step);
}

/* How long poll(2) may wait; rounded up, so that no timer fires early. */
static int
wait_ms(struct scheduler *s, int max_wait_ms)
{
	int64_t key, left;

	if (timers_first(&s->timers, &key) != NULL) {
		left = key <= s->now_us ? 0 : (key - s->now_us + 999) / 1000;
		if (max_wait_ms < 0 || left < max_wait_ms)
			max_wait_ms = left > INT_MAX ? INT_MAX : (int)left;
	}
	/* sweep while the loop is idle, before the next busy time */
	if ((max_wait_ms < 0 || max_wait_ms > POLLSET_SWEEP_IDLE_MS) &&
	    pollset_wants_sweep(&s->pollset))
		max_wait_ms = POLLSET_SWEEP_IDLE_MS;
	return postq_before_wait(&s->postq, max_wait_ms != 0) ? 0 : max_wait_ms;
}

static int
do_wait(struct scheduler *s, int timeout_ms)
{
	int n;

	if (s->backend.wait != NULL)
		n = s->backend.wait(s->backend.closure, s->pollset.fds,
		    s->pollset.n, timeout_ms);
	else
		n = poll(s->pollset.fds, s->pollset.n, timeout_ms);
	/* a short lack of kernel memory must not end the process */
	if (n == -1 && (errno == EINTR || errno == EAGAIN || errno == ENOMEM))
		n = 0;
	return n;
}

static void
dispatch_ready(struct scheduler *s, int nready)
{
	int eventtype;
	Event *e;

	postq_after_wait(&s->postq,
	    pollset_begin(&s->pollset, (size_t)nready));
	while ((e = pollset_next(&s->pollset, now_ms(s), &eventtype)) != NULL)
		dispatch(s, e, eventtype);
}

static void
dispatch_queued(struct scheduler *s)
{
	int eventtype;
	Event *e;

	while ((e = postq_next(&s->postq, &eventtype)) != NULL) {
		/* another callback may have read it, or changed its mask */
		if (eventtype & E_PENDING) {
			eventtype &= ~E_PENDING;
			if (e->fd != -1)
				eventtype |= event_pending(e) & e->mask;
		}
		if (eventtype != 0)
			dispatch(s, e, eventtype);
	}
}

/* Queue the timers that are due, in the order of their triggers.  A timer that
 * a callback sets for now or earlier fires in the next pass. */
static void
collect_due(struct scheduler *s)
{
	int64_t key, trigger;
	Event *e;

	while ((e = timers_first(&s->timers, &key)) != NULL &&
	    key <= s->now_us) {
		trigger = loopclock_us(&e->trigger);
		if ((e->mask & E_TIMEOUT) == 0) {
			timers_remove(&s->timers, e);
			continue;
		}
		if (trigger > key) {
			timers_set(&s->timers, e, trigger);
			continue;
		}
		timers_remove(&s->timers, e);
		postq_due(&s->postq, e);
	}
}

static void
run_recurrents(struct scheduler *s)
{
	struct timeval now = s->now;
	size_t i;

	for (i = 0; i < s->nrecurrents; i++)
		s->recurrents[i].func(s->recurrents[i].closure, &now);
}

int
scheduler_pass(struct scheduler *s, int max_wait_ms)
{
	int nready;

	if (s->is_in_pass) {
		errno = EDEADLK;
		return -1;
	}
	nready = do_wait(s, wait_ms(s, max_wait_ms));
	if (nready == -1)
		return -1;
	s->is_in_pass = true;
	s->ncalls = 0;
	read_clock(s);
	dispatch_ready(s, nready);
	/* What is posted while these are dispatched waits for the next pass,
	 * so that two events that post to each other do not starve others. */
	postq_begin(&s->postq);
	dispatch_queued(s);
	collect_due(s);
	dispatch_queued(s);
	run_recurrents(s);
	pollset_sweep(&s->pollset, now_ms(s));
	s->is_in_pass = false;
	return s->ncalls;
}

int
scheduler_run(struct scheduler *s)
{
	int rc = 0;

	while (!s->is_stopping && s->nall > 0 && rc != -1)
		rc = scheduler_pass(s, -1);
	s->is_stopping = false;
	return rc == -1 ? -1 : 0;
}

void
scheduler_stop(struct scheduler *s)
{
	s->is_stopping = true;
}

void
scheduler_shift(struct scheduler *s, int64_t delta_us)
{
	Event *e;
	size_t i;

	timers_shift(&s->timers, delta_us);
	for (i = 0; i < s->nall; i++) {
		e = s->all[i];
		/* 0: never set */
		if (timerisset(&e->trigger))
			e->trigger = loopclock_tv(
			    loopclock_us(&e->trigger) + delta_us);
	}
}

/* --- a scheduler's life ----------------------------------------------- */

struct scheduler *
scheduler_create(const struct scheduler_backend *backend)
{
	struct scheduler *s;

	if (thread_scheduler != NULL) {
		errno = EEXIST;
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	if (backend != NULL)
		s->backend = *backend;
	else
		s->backend.has_epoll = true;
	s->thread = pthread_self();
	s->loop.fd_closing = loop_fd_closing;
	s->loop.freeing = loop_freeing;
	if (postq_init(&s->postq, s->backend.wait == NULL) == -1)
		goto err1;
	if (pollset_init(&s->pollset, s->postq.wake_fd,
	    s->backend.has_epoll) == -1)
		goto err2;
	if (s->backend.now == NULL)
		loopclock_init(&s->clock, NULL);
	read_clock(s);
	thread_scheduler = s;
	if (__atomic_load_n(&process_scheduler, __ATOMIC_ACQUIRE) == NULL)
		__atomic_store_n(&process_scheduler, s, __ATOMIC_RELEASE);
	return s;

err2:
	postq_free(&s->postq);
err1:
	free(s);
	return NULL;
}

void
scheduler_destroy(struct scheduler *s)
{
	if (s == NULL)
		return;
	while (s->nall > 0)
		event_free(s->all[s->nall - 1]);
	if (thread_scheduler == s)
		thread_scheduler = NULL;
	if (__atomic_load_n(&process_scheduler, __ATOMIC_ACQUIRE) == s)
		__atomic_store_n(&process_scheduler, NULL, __ATOMIC_RELEASE);
	timers_free(&s->timers);
	pollset_free(&s->pollset);
	postq_free(&s->postq);
	free(s->recurrents);
	free(s->all);
	free(s);
}

const struct timeval *
scheduler_now(void)
{
	static __thread struct timeval now;

	if (thread_scheduler != NULL)
		return &thread_scheduler->now;
	gettimeofday(&now, NULL);
	return &now;
}

int
scheduler_event_count(const struct scheduler *s)
{
	return (int)s->nall;
}

int
is_scheduler_thread(void)
{
	return thread_scheduler != NULL;
}

void
ping_scheduler(void)
{
	struct scheduler *s = thread_scheduler;

	if (s == NULL)
		s = __atomic_load_n(&process_scheduler, __ATOMIC_ACQUIRE);
	if (s != NULL)
		postq_wake(&s->postq);
}

int
scheduler_recurrent_func_add(RecurFunc func, void *closure)
{
	struct scheduler *s = thread_scheduler;
	struct recurrent *r;

	if (s == NULL || func == NULL) {
		errno = EINVAL;
		return -1;
	}
	r = reallocarray(s->recurrents, s->nrecurrents + 1, sizeof *r);
	if (r == NULL)
		return -1;
	r[s->nrecurrents].func = func;
	r[s->nrecurrents].closure = closure;
	s->recurrents = r;
	s->nrecurrents++;
	return 0;
}
