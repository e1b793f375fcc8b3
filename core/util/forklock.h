/* Locks of the process that no child of fork(2) finds held, whichever thread held
 * them at that moment.
 * A thread holds one of them at a time. */

#ifndef CORE_UTIL_FORKLOCK_H
#define CORE_UTIL_FORKLOCK_H

#include <pthread.h>
#include <stdbool.h>

struct forklock {
	pthread_mutex_t		 mutex;
	struct forklock		*next;		/* of all */
	bool			 is_listed;
};

/* Of a lock that is there as long as the process. */
#define FORKLOCK_INIT	{ .mutex = PTHREAD_MUTEX_INITIALIZER }

/* forklock_take(l), forklock_release(l): As of any lock.  If there is no memory
 * to watch fork(2), a child may wait for ever, if it is forked off while another
 * thread holds one. */
void forklock_take(struct forklock *l);
void forklock_release(struct forklock *l);

#endif
