/* Which events are scheduled; see scheduler.h.
 * Owns: the list of all of them, and that the pollset, the timers and the queue
 * of posts know the same ones. */

#include <errno.h>

#include "core/loop/scheduler_int.h"
#include "core/util/array.h"

#define E_FD_MASK	(E_READ | E_WRITE | E_EXCEPTION)

static int
reserve_all(struct scheduler *s, size_t n)
{
	Event **all = array_fit(s->all, &s->all_size, n, sizeof(*all));

	if (all == NULL)
		return -1;
	s->all = all;
	return 0;
}

void
schedule_follow(struct scheduler *s, Event *e)
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

int
schedule_on(struct scheduler *s, Event *e)
{
	int mask;

	if (e->loop != NULL && !postq_is_arriving(e)) {
		errno = EBUSY;
		return -1;
	}
	if (reserve_all(s, s->nall + 1) == -1 ||
	    timers_reserve(&s->timers, s->nall + 1) == -1)
		return -1;
	if (e->fd != -1 && pollset_attach(&s->pollset, e) == -1)
		return -1;
	if (!postq_claim(e, &s->loop, &mask)) {
		if (e->fd != -1)
			pollset_detach(&s->pollset, e);
		errno = EBUSY;
		return -1;
	}
	s->all[s->nall++] = e;
	e->all_slot = (unsigned int)s->nall;
	e->active_ms = scheduler_ms(s);
	e->scheduled_thread = s->thread;
	e->scheduled_number = s->entry.thread;
	schedule_follow(s, e);
	if (mask != 0)
		postq_add(&s->postq, &s->loop, e, mask);
	return 0;
}

static void
unschedule(struct scheduler *s, Event *e)
{
	Event *last;

	if (s->current == e)
		s->current = NULL;
	if (s->floated == e)
		s->floated = NULL;
	if (e->fd != -1)
		pollset_detach(&s->pollset, e);
	timers_remove(&s->timers, e);
	last = s->all[--s->nall];
	s->all[e->all_slot - 1] = last;
	last->all_slot = e->all_slot;
	e->all_slot = 0;
	e->is_floating = 0;
	postq_leave(&s->postq, e);
}

/* ${e} floats no more: what was held for it is dispatched. */
static void
sink(struct scheduler *s, Event *e)
{
	s->floated = NULL;
	e->is_floating = 0;
	postq_add(&s->postq, &s->loop, e, 0);
}

void
schedule_fd_closing(Event *e)
{
	struct scheduler *s = scheduler_of(e);

	/* its callback has called float_event() and now closes it: so what the
	 * callback returns counts again */
	if (s->floated == e) {
		s->current = e;
		sink(s, e);
	}
	if (s->current == e)
		pollset_detach(&s->pollset, e);
	else
		unschedule(s, e);
}

void
schedule_freeing(Event *e)
{
	unschedule(scheduler_of(e), e);
}

bool
schedule_is_waitable(int mask, int fd)
{
	if (fd == -1)
		mask &= ~E_FD_MASK;
	return (mask & (E_FD_MASK | E_TIMEOUT | E_ASYNC)) != 0;
}

int
schedule_event(Event *e)
{
	if (scheduler_of_thread == NULL || e == NULL || e->fd < -1 ||
	    !schedule_is_waitable(e->mask, e->fd)) {
		errno = EINVAL;
		return -1;
	}
	if (e->is_floating && scheduler_of(e) == scheduler_of_thread) {
		sink(scheduler_of_thread, e);
		schedule_follow(scheduler_of_thread, e);
		return 0;
	}
	return schedule_on(scheduler_of_thread, e);
}

/* Was ${e} on ${s} last, or on none? */
static bool
is_of_thread(const Event *e, const struct scheduler *s)
{
	return e->scheduled_number == 0 ||
	    e->scheduled_number == s->entry.thread;
}

/* Would ${e} never be called, or is it none? */
static bool
is_hopeless(const Event *e, int mask)
{
	return e == NULL || e->fd < -1 || (e->loop == NULL && mask == 0 &&
	    !schedule_is_waitable(e->mask, e->fd));
}

int
schedule_event_and_dispatch(Event *e, int mask)
{
	struct scheduler *s;

	if (e == NULL || (s = scheduler_of(e)) == NULL) {
		s = scheduler_of_thread;
		if (s == NULL || is_hopeless(e, mask) || !is_of_thread(e, s))
			return sp_async_schedule_event(e, mask);
		if (schedule_on(s, e) == -1)
			return -1;
	}
	return postq_add(&s->postq, &s->loop, e, mask);
}

int
sp_async_schedule_event(Event *e, int mask)
{
	struct scheduler *s = e != NULL ? scheduler_of(e) : NULL;

	if (s != NULL)
		return postq_add(&s->postq, &s->loop, e, mask);
	if (is_hopeless(e, mask) || e->fd >= POLLSET_FD_MAX) {
		errno = is_hopeless(e, mask) ? EINVAL : EBADF;
		return -1;
	}
	s = scheduler_of_thread;
	return registry_arrive(e, mask, s != NULL ? &s->entry : NULL);
}

void
event_unschedule(Event *e)
{
	struct scheduler *s;

	if (e == NULL)
		return;
	if ((s = scheduler_of(e)) != NULL)
		unschedule(s, e);
	else
		postq_recall(e);
}

int
clear_timed_event(Event *e)
{
	if (e == NULL || e->loop == NULL)
		return 0;
	event_free(e);
	return 1;
}

Event *
get_event_by_fd(int fd)
{
	if (scheduler_of_thread == NULL)
		return NULL;
	return pollset_get(&scheduler_of_thread->pollset, fd);
}

Event *
clear_event_by_fd(int fd)
{
	struct scheduler *s = scheduler_of_thread;
	Event *e = get_event_by_fd(fd);

	if (e == NULL)
		return NULL;
	if (s->current == e || s->floated == e) {
		s->cleared = e;
		e->is_cleared = 1;
	}
	unschedule(s, e);
	return e;
}
