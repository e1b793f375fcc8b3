/* The scheduler: its life, its passes, dispatch; see scheduler.h. */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "core/loop/scheduler_int.h"
#include "core/util/require.h"
#include "core/util/sized.h"

/* An event that another thread has sent, and that cannot be scheduled, is tried
 * again after so long at the latest. */
#define STUCK_MS	100

__thread struct scheduler *scheduler_of_thread;

/* --- one pass --------------------------------------------------------- */

/* The callback of ${e} has cleared it, and returned ${mask}. */
static void
end_cleared(struct scheduler *s, Event *e, int mask)
{
	bool is_over = e->is_freed || !schedule_is_waitable(mask, e->fd);

	s->cleared = NULL;
	e->is_cleared = e->is_freed = 0;
	e->mask = mask;
	if (!is_over && scheduler_of(e) != NULL)
		schedule_follow(s, e);
	else if (is_over || schedule_on(s, e) == -1)
		event_free(e);
}

static void
dispatch(struct scheduler *s, Event *e, int eventtype)
{
	struct timeval now = s->now;
	int mask;

	s->current = e;
	s->floated = NULL;
	s->ncalls++;
	mask = e->callback(e, eventtype, e->closure, &now);
	s->floated = NULL;
	if (s->cleared != NULL)
		end_cleared(s, e, mask);
	if (s->current != e)
		return;
	s->current = NULL;
	/* An event that waits for nothing would never be called again. */
	if (!schedule_is_waitable(mask, e->fd)) {
		event_free(e);
		return;
	}
	e->mask = mask;
	schedule_follow(s, e);
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
	if (postq_has_stuck(&s->postq) &&
	    (max_wait_ms < 0 || max_wait_ms > STUCK_MS))
		max_wait_ms = STUCK_MS;
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
	while ((e = pollset_next(&s->pollset, scheduler_ms(s),
	    &eventtype)) != NULL)
		dispatch(s, e, eventtype);
}

/* Schedule what other threads have sent.  What cannot be scheduled, because
 * there is no memory or the descriptor has another event still, is tried again:
 * nobody else knows of it. */
static void
take_arrivals(struct scheduler *s)
{
	Event *e;
	int mask;

	while ((e = postq_arrived(&s->postq, &mask)) != NULL) {
		if (mask == 0 && !schedule_is_waitable(e->mask, e->fd))
			event_free(e);
		else if (schedule_on(s, e) == 0)
			postq_add(&s->postq, &s->loop, e, mask);
		else if (postq_stuck(&s->postq, e, mask) == -1)
			/* another thread has sent it once more meanwhile */
			registry_arrive(e, mask, &s->entry);
	}
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
		if (eventtype == 0)
			continue;
		e->is_floating = 0;
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
	s->is_in_pass = true;
	s->ncalls = 0;
	nready = do_wait(s, wait_ms(s, max_wait_ms));
	if (nready == -1) {
		s->is_in_pass = false;
		return -1;
	}
	read_clock(s);
	dispatch_ready(s, nready);
	take_arrivals(s);
	/* What is posted while these are dispatched waits for the next pass,
	 * so that two events that post to each other do not starve others. */
	postq_begin(&s->postq);
	dispatch_queued(s);
	collect_due(s);
	dispatch_queued(s);
	run_recurrents(s);
	pollset_sweep(&s->pollset, scheduler_ms(s));
	s->is_in_pass = false;
	return s->ncalls;
}

int
scheduler_run(struct scheduler *s)
{
	int rc = 0;

	while (!s->is_stopping && rc != -1 &&
	    (s->nall > 0 || registry_is_held(&s->entry) ||
	    postq_has_arrivals(&s->postq)))
		rc = scheduler_pass(s, -1);
	s->is_stopping = false;
	return rc == -1 ? -1 : 0;
}

void
scheduler_stop(struct scheduler *s)
{
	s->is_stopping = true;
}

static void
shift_trigger(Event *e, int64_t delta_us)
{
	/* 0: never set */
	if (timerisset(&e->trigger))
		e->trigger = loopclock_tv(loopclock_us(&e->trigger) +
		    delta_us);
}

/* An event that another thread has sent has a trigger by that thread's clock;
 * one that floats may be another thread's. */
void
scheduler_shift(struct scheduler *s, int64_t delta_us)
{
	size_t i;

	timers_shift(&s->timers, delta_us);
	for (i = 0; i < s->nall; i++)
		if (!s->all[i]->is_floating)
			shift_trigger(s->all[i], delta_us);
	postq_each_own(&s->postq, shift_trigger, delta_us);
}

/* --- a scheduler's life ----------------------------------------------- */

struct scheduler *
scheduler_create(const struct scheduler_backend *backend)
{
	struct scheduler *s;

	if (scheduler_of_thread != NULL) {
		errno = EEXIST;
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	if (backend == NULL)
		s->backend.has_epoll = true;
	else if (sized_copy(&s->backend, sizeof(s->backend), backend) == -1)
		goto err1;
	s->loop.fd_closing = schedule_fd_closing;
	s->loop.freeing = schedule_freeing;
	if (postq_init(&s->postq, s->backend.wait == NULL) == -1)
		goto err1;
	if (pollset_init(&s->pollset, s->postq.wake_fd,
	    s->backend.has_epoll) == -1)
		goto err2;
	if (s->backend.now == NULL)
		loopclock_init(&s->clock, NULL);
	read_clock(s);
	s->thread = pthread_self();
	s->entry.thread = registry_thread();
	s->entry.loop = &s->loop;
	s->entry.postq = &s->postq;
	s->entry.pollset = &s->pollset;
	if (registry_add(&s->entry) == -1)
		goto err3;
	scheduler_of_thread = s;
	return s;

err3:
	pollset_free(&s->pollset);
err2:
	postq_free(&s->postq);
err1:
	free(s);
	return NULL;
}

void
scheduler_destroy(struct scheduler *s)
{
	Event *e;
	int mask;

	if (s == NULL)
		return;
	REQUIRE_OUTSIDE("scheduler_destroy", s->is_in_pass,
	    "a callback of the scheduler",
	    "scheduler_stop(), and when scheduler_run() has returned");
	registry_remove(&s->entry);
	while (s->nall > 0)
		event_free(s->all[s->nall - 1]);
	/* also what is stuck */
	postq_after_wait(&s->postq, false);
	while ((e = postq_arrived(&s->postq, &mask)) != NULL)
		event_free(e);
	if (scheduler_of_thread == s)
		scheduler_of_thread = NULL;
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

	if (scheduler_of_thread != NULL)
		return &scheduler_of_thread->now;
	gettimeofday(&now, NULL);
	return &now;
}

void
get_now(struct timeval *toset)
{
	*toset = *scheduler_now();
}

time_t
get_now_ts(void)
{
	return scheduler_now()->tv_sec;
}

int
scheduler_event_count(const struct scheduler *s)
{
	return (int)s->nall;
}

int
is_scheduler_thread(void)
{
	return scheduler_of_thread != NULL;
}

void
ping_scheduler(void)
{
	if (scheduler_of_thread != NULL)
		postq_wake(&scheduler_of_thread->postq);
	else
		registry_wake();
}

int
scheduler_recurrent_func_add(RecurFunc func, void *closure)
{
	struct scheduler *s = scheduler_of_thread;
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
