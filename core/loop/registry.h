/* The schedulers of the process, for threads that have none, and for fork(2).
 * Owns: the list of them, and its lock, which keeps a scheduler from being
 * destroyed while another thread posts to it.
 * Knows nothing of what a scheduler does.
 *
 * A child that is forked off has copies of the descriptors, and behind them are
 * the parent's epoll set and eventfd: the parent would not be told any more of
 * what the child takes out of the set, and would not be woken when the child
 * reads what was meant for it.  So in the child, before fork(2) returns, the
 * scheduler of its thread gets its own, and the copies of the others are
 * closed: they are of no use there, since a thread may have been changing
 * them. */

#ifndef CORE_LOOP_REGISTRY_H
#define CORE_LOOP_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/loop/pollset.h"
#include "core/loop/postq.h"

/* A scheduler's entry. */
struct registry_entry {
	struct registry_entry	*next;
	unsigned int		 thread;	/* registry_thread() */
	const struct event_loop	*loop;		/* of events that are scheduled */
	uint64_t		 number;	/* of the scheduler in the process, from 1 */
	size_t			 nholds;
	struct postq		*postq;
	struct pollset		*pollset;
};

/* registry_own(): The number of the calling thread's scheduler, 0: it has none.
 * Whoever keeps an event that is scheduled finds out so that the scheduler was
 * destroyed, and the event with it.
 * registry_thread(): The number of the calling thread.  Other than a pthread_t
 * it is never that of a later thread; and never 0. */
uint64_t registry_own(void);
unsigned int registry_thread(void);

/* registry_wake(): End the wait of the first of the process; async-signal-safe,
 * but not while that scheduler is destroyed. */
void registry_wake(void);

/* registry_add(r), registry_remove(r): ${r} is the scheduler's memory.  After
 * the removal nothing more arrives in its queue.  Return 0, or -1 with errno
 * ENOMEM. */
int registry_add(struct registry_entry *r);
void registry_remove(struct registry_entry *r);

/* registry_arrive(e, mask, otherwise): From any thread: have ${e}, which is not
 * scheduled, scheduled and dispatched with ${mask}, as postq_arrive() does: by
 * the scheduler that it was on last; if that is gone or there was none, by
 * ${otherwise}; if that is NULL, by the first of the process.  Return 0, or -1
 * with errno EINVAL: there is none, or ${e} is an embedder's.  If it is
 * scheduled or was sent somewhere already, it is dispatched there. */
int registry_arrive(Event *e, int mask, struct registry_entry *otherwise);

/* Something that is not scheduled will come back to a scheduler, which goes on
 * until then.
 * registry_hold(e): ${e} will, to the one that it was on last, or of the calling
 * thread, or the first of the process; note that in ${e}.  Return its number, or
 * 0: there is none.
 * registry_send(number, e, mask): As registry_arrive(), to that one.  Return 0, or
 * -1: it is gone.
 * registry_release(number): It need not go on.  0, and one that is gone, are
 * ignored.
 * registry_is_held(r): Does it have to go on?  All from any thread. */
uint64_t registry_hold(Event *e);
int registry_send(uint64_t number, Event *e, int mask);
void registry_release(uint64_t number);
bool registry_is_held(const struct registry_entry *r);

#endif
