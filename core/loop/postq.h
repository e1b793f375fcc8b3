/* Events that are dispatched for another reason than their descriptor:
 * completions from any thread, and timers that are due; and events that other
 * threads want to be scheduled.
 * Owns: the queues and their lock, Event.link, Event.async_mask, the eventfd
 * that wakes the loop.
 * Combines masks with OR, and does not interpret them; calls no callback.
 *
 * Event.loop tells where an event is: that of its scheduler, or that of the
 * list that it is in until it is scheduled, or NULL.  From NULL it is changed
 * by compare-and-exchange, since two threads may want the same event; back to
 * NULL under the lock of the queue. */

#ifndef CORE_LOOP_POSTQ_H
#define CORE_LOOP_POSTQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"

/* Events that are to be scheduled.  event_free() and event_close() take an
 * event out through e->loop. */
struct postq_list {
	struct event_loop	 loop;		/* first: e->loop points here */
	struct postq		*postq;
	struct event_link	 head;
	size_t			 n;
};

enum {
	POSTQ_ARRIVING,		/* sent by other threads */
	POSTQ_OWN,		/* sent by the loop's thread */
	POSTQ_STUCK,		/* arrived, cannot be scheduled */
	POSTQ_NLISTS
};

struct postq {
	int			wake_fd;	/* eventfd; -1: none */
	bool			may_sleep;	/* a post must wake the loop */
	pthread_mutex_t		lock;		/* protects what follows */
	struct event_link	posted;		/* to be dispatched */
	struct event_link	running;	/* being dispatched in this pass */
	struct postq_list	lists[POSTQ_NLISTS];	/* to be scheduled */
};

/* postq_init(q, has_wake): Return 0, or -1 with errno. */
int postq_init(struct postq *q, bool has_wake);
void postq_free(struct postq *q);

/* postq_renew(q): In a child that was forked off: wake by a descriptor of its
 * own from now on.  Return that, or -1: there is none. */
int postq_renew(struct postq *q);

/* postq_add(q, loop, e, mask): From any thread: queue ${e} for ${mask} and what
 * is held for it, if any, and wake the loop if it sleeps.  Return 0, or -1 with
 * errno EINVAL: e->loop is not ${loop} any more. */
int postq_add(struct postq *q, const struct event_loop *loop, Event *e,
    int mask);

/* postq_arrive(q, e, mask, is_own): From any thread: queue ${e}, which is not
 * scheduled, to be scheduled and then dispatched with ${mask} (0: not
 * dispatched), and wake the loop if it sleeps.  Again before that: the masks
 * are or'd.  ${is_own}: this is the loop's thread.  Return 0, or -1 with errno
 * EBUSY: ${e} is somewhere else. */
int postq_arrive(struct postq *q, Event *e, int mask, bool is_own);

/* postq_is_arriving(e): Is ${e} in a list of events that are to be scheduled?
 * postq_of(e): Whose list that is; or NULL.
 * postq_recall(e): Take it out.  Return the mask that it was to be dispatched
 * with; 0 if it is in none. */
bool postq_is_arriving(const Event *e);
const struct postq *postq_of(const Event *e);
int postq_recall(Event *e);

/* postq_claim(e, loop, &mask): ${e} is scheduled by ${loop} from now on: take
 * it out of the list that it is in, and set e->loop.  *mask_r is what it was to
 * be dispatched with.  Return false if it is scheduled by another one. */
bool postq_claim(Event *e, struct event_loop *loop, int *mask_r);

/* postq_hold(q, e, mask): Take ${mask} out, and keep the rest until the next
 * postq_add(). */
void postq_hold(struct postq *q, Event *e, int mask);

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
 * again after the next wait.  Return 0, or -1 as postq_arrive().
 * postq_has_stuck(q), postq_has_arrivals(q): Is any queued? */
Event *postq_arrived(struct postq *q, int *mask_r);
int postq_stuck(struct postq *q, Event *e, int mask);
bool postq_has_stuck(const struct postq *q);
bool postq_has_arrivals(const struct postq *q);

/* postq_each_own(q, f, arg): Call ${f} with each event that is to be scheduled
 * and that the loop's thread has sent or has tried already. */
void postq_each_own(struct postq *q, void (*f)(Event *e, int64_t arg),
    int64_t arg);

/* postq_begin(q): Let postq_next() hand out what is queued now. */
void postq_begin(struct postq *q);

/* postq_due(q, e): Let postq_next() hand out ${e} with E_TIMEOUT, at the
 * end. */
void postq_due(struct postq *q, Event *e);

/* postq_next(q, &mask): The next one, no longer queued; NULL at the end. */
Event *postq_next(struct postq *q, int *mask_r);

/* postq_wake(q), postq_wake_fd(q->wake_fd): End the wait of the loop;
 * async-signal-safe. */
void postq_wake(const struct postq *q);
void postq_wake_fd(int wake_fd);

#endif
