/* A process that is forked off while it has schedulers.
 * The child has copies of the descriptors, and behind them are the parent's epoll
 * set and eventfd: the parent would not be told any more of what the child takes
 * out of the set, and would not be woken when the child reads what was meant for
 * it.  So in the child, before fork(2) returns, each scheduler gets its own.
 * Owns: the list of the process's schedulers. */

#ifndef CORE_LOOP_FORKED_H
#define CORE_LOOP_FORKED_H

#include <sys/queue.h>

struct pollset;
struct postq;

struct forked {
	LIST_ENTRY(forked)	 link;
	struct pollset		*pollset;
	struct postq		*postq;
};

/* forked_watch(f): See to these two in each child from now on.  Return 0, or -1
 * with errno ENOMEM.
 * forked_unwatch(f): They are about to be freed. */
int forked_watch(struct forked *f);
void forked_unwatch(struct forked *f);

#endif
