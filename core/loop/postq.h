/* Events that are dispatched for another reason than their descriptor:
 * completions from any thread, and timers that are due.
 * Owns: the queues and their lock, Event.link, Event.async_mask, the eventfd
 * that wakes the loop.
 * Combines masks with OR, and does not interpret them; calls no callback. */

#ifndef CORE_LOOP_POSTQ_H
#define CORE_LOOP_POSTQ_H

#include <pthread.h>
#include <stdbool.h>

#include "core/event.h"

struct postq {
	int			wake_fd;	/* eventfd; -1: none */
	bool			may_sleep;	/* a post must wake the loop */
	pthread_mutex_t		lock;		/* protects what follows */
	struct event_link	posted;		/* to be dispatched */
	struct event_link	running;	/* being dispatched in this pass */
};

/* postq_init(q, has_wake): Return 0, or -1 with errno. */
int postq_init(struct postq *q, bool has_wake);
void postq_free(struct postq *q);

/* postq_add(q, loop, e, mask): From any thread: queue ${e} for ${mask}, and
 * wake the loop if it sleeps.  Return 0, or -1 with errno EINVAL: e->loop is
 * not ${loop} any more. */
int postq_add(struct postq *q, const struct event_loop *loop, Event *e,
    int mask);

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

/* postq_begin(q): Let postq_next() hand out what is queued now. */
void postq_begin(struct postq *q);

/* postq_due(q, e): Let postq_next() hand out ${e} with E_TIMEOUT, at the end. */
void postq_due(struct postq *q, Event *e);

/* postq_next(q, &mask): The next one, no longer queued; NULL at the end. */
Event *postq_next(struct postq *q, int *mask_r);

/* postq_wake(q): End the wait of the loop; async-signal-safe. */
void postq_wake(const struct postq *q);

#endif
