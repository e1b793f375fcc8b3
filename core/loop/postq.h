/* Events that are dispatched for another reason than their descriptor:
 * completions from any thread, and timers that are due; and events that other
 * threads want to be scheduled.
 * Owns: the queues and their lock, Event.link, Event.async_mask, the eventfd
 * that wakes the loop.
 * Combines masks with OR, and does not interpret them; calls no callback. */

#ifndef CORE_LOOP_POSTQ_H
#define CORE_LOOP_POSTQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"

struct postq {
	int			wake_fd;	/* eventfd; -1: none */
	bool			may_sleep;	/* a post must wake the loop */
	pthread_mutex_t		lock;		/* protects what follows */
	struct event_link	posted;		/* to be dispatched */
	struct event_link	running;	/* being dispatched in this pass */
	struct event_link	arriving;	/* to be scheduled */
	size_t			narriving;
	struct event_link	stuck;		/* arrived, cannot be scheduled */
};

/* postq_init(q, has_wake): Return 0, or -1 with errno. */
int postq_init(struct postq *q, bool has_wake);
void postq_free(struct postq *q);

/* postq_renew(q): In a child that was forked off: wake by a descriptor of its own
 * from now on.  Return that, or -1: there is none. */
int postq_renew(struct postq *q);

/* postq_add(q, loop, e, mask): From any thread: queue ${e} for ${mask}, and
 * wake the loop if it sleeps.  Return 0, or -1 with errno EINVAL: e->loop is
 * not ${loop} any more. */
int postq_add(struct postq *q, const struct event_loop *loop, Event *e,
    int mask);

/* postq_arrive(q, e, mask): From any thread: queue ${e}, which is not scheduled,
 * to be scheduled and then dispatched with ${mask} (0: not dispatched), and
 * wake the loop if it sleeps.  Again before that: the masks are or'd. */
void postq_arrive(struct postq *q, Event *e, int mask);

/* postq_unpost(q, e, mask): Take ${mask} out of what was posted to ${e}. */
void postq_unpost(struct postq *q, Event *e, int mask);

/* postq_leave(q, e): ${e} is unscheduled: drop what was posted to it, and set
 * e->loop to NULL. */
void postq_leave(struct postq *q, Event *e);

/* The rest is for the loop's thread. */

/* postq_before_wait(q, would_wait): Return whether something is queued, so
 * that the loop must not wait; if not, posts wake it from now on. */
bool postq_before_wait(struct postq *q, bool would_wait);

/* postq_after_wait(q, is_woken): The loop is awake; ${is_woken}: wake_fd is
 * readable. */
void postq_after_wait(struct postq *q, bool is_woken);

/* postq_arrived(q, &mask): The next one of those that are to be scheduled, no
 * longer queued, and the mask for it; NULL: no more.
 * postq_stuck(q, e, mask): It cannot be scheduled: postq_arrived() returns it
 * again after the next wait.
 * postq_has_stuck(q), postq_has_arrivals(q): Is any queued? */
Event *postq_arrived(struct postq *q, int *mask_r);
void postq_stuck(struct postq *q, Event *e, int mask);
bool postq_has_stuck(const struct postq *q);
bool postq_has_arrivals(const struct postq *q);

/* postq_begin(q): Let postq_next() hand out what is queued now. */
void postq_begin(struct postq *q);

/* postq_due(q, e): Let postq_next() hand out ${e} with E_TIMEOUT, at the end. */
void postq_due(struct postq *q, Event *e);

/* postq_next(q, &mask): The next one, no longer queued; NULL at the end. */
Event *postq_next(struct postq *q, int *mask_r);

/* postq_wake(q): End the wait of the loop; async-signal-safe. */
void postq_wake(const struct postq *q);

#endif
