/* The schedulers of the process, for threads that have none.
 * Owns: the list of them, and its lock, which keeps a scheduler from being
 * destroyed while another thread posts to it.
 * Knows nothing of what a scheduler does. */

#ifndef CORE_LOOP_REGISTRY_H
#define CORE_LOOP_REGISTRY_H

#include <pthread.h>

#include "core/event.h"
#include "core/loop/postq.h"

/* A scheduler's entry. */
struct registry_entry {
	struct registry_entry	*next;
	pthread_t		 thread;
	struct postq		*postq;
};

/* registry_add(r), registry_remove(r): ${r} is the scheduler's memory.  After
 * the removal nothing more arrives in its queue. */
void registry_add(struct registry_entry *r);
void registry_remove(struct registry_entry *r);

/* registry_arrive(e, mask, otherwise): From any thread: have ${e}, which is not
 * scheduled, scheduled and dispatched with ${mask}, as postq_arrive() does: by
 * the scheduler that it was on last; if that is gone or there was none, by
 * ${otherwise}; if that is NULL, by the first of the process.  Return 0, or -1
 * with errno EINVAL: there is none. */
int registry_arrive(Event *e, int mask, const struct registry_entry *otherwise);

#endif
