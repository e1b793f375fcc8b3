/* What the files of the scheduler share: its state, and which event is
 * scheduled how.  Nobody else includes this.
 *
 * Invariants:
 * 1. An event with e->loop set is in s->all, and its memory is the scheduler's.
 * 2. Every list that a scheduled event can be in (all, pollset, timers, postq)
 *    has room for it from schedule_event() on, and every one is left when it is
 *    unscheduled; so a callback may unschedule or free any other event.
 * 3. s->current is the event whose callback runs, and NULL as soon as that
 *    event is unscheduled or floats.  After a callback it tells whether the
 *    event still exists and goes on with what the callback has returned.
 * 4. The key of an event in the heap is never later than its trigger, once the
 *    callback that changed the trigger has returned. */

#ifndef CORE_LOOP_SCHEDULER_INT_H
#define CORE_LOOP_SCHEDULER_INT_H

#include <pthread.h>
#include <stdbool.h>

#include "core/loop/clock.h"
#include "core/loop/pollset.h"
#include "core/loop/postq.h"
#include "core/loop/registry.h"
#include "core/loop/timers.h"
#include "core/scheduler.h"

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
	Event			*floated;	/* by its callback, which runs */
	Event			*cleared;	/* by its callback, which runs */
	pthread_t		 thread;
	struct registry_entry	 entry;
	int			 ncalls;	/* in this pass */
	bool			 is_in_pass;
	bool			 is_stopping;
	struct recurrent	*recurrents;
	size_t			 nrecurrents;
};

/* The calling thread's; NULL: it has none. */
extern __thread struct scheduler *scheduler_of_thread;

/* The functions of struct event_loop. */
void schedule_fd_closing(Event *e);
void schedule_freeing(Event *e);

/* Where ${e} is scheduled; NULL also if it is to arrive, or is an
 * embedder's. */
static inline struct scheduler *
scheduler_of(const Event *e)
{
	struct event_loop *loop = __atomic_load_n(&e->loop, __ATOMIC_RELAXED);

	if (loop == NULL || loop->freeing != schedule_freeing)
		return NULL;
	return (struct scheduler *)loop;
}

/* The loop's time; it wraps, so use differences of it only. */
static inline uint32_t
scheduler_ms(const struct scheduler *s)
{
	return (uint32_t)(s->now_us / 1000);
}

/* schedule.c */

/* schedule_on(s, e): As schedule_event(), for any mask. */
int schedule_on(struct scheduler *s, Event *e);

/* schedule_follow(s, e): e->mask or trigger has changed: wait for it. */
void schedule_follow(struct scheduler *s, Event *e);

/* schedule_is_waitable(mask, fd): Can ${mask} ever come true on ${fd}? */
bool schedule_is_waitable(int mask, int fd);

#endif
