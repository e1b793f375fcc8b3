/* See forklock.h.
 * Owns: the list of these locks. */

#include "core/util/forklock.h"

#include <stddef.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct forklock *all;

static void
before_fork(void)
{
	struct forklock *l;

	pthread_mutex_lock(&list_lock);
	for (l = all; l != NULL; l = l->next)
		pthread_mutex_lock(&l->mutex);
}

/* In the parent and in the child */
static void
after_fork(void)
{
	struct forklock *l;

	for (l = all; l != NULL; l = l->next)
		pthread_mutex_unlock(&l->mutex);
	pthread_mutex_unlock(&list_lock);
}

/* A constructor, so that there is no other thread yet.  If another thread
 * forked meanwhile, its child would register the functions a second time, and
 * fork(2) in the child would take the locks twice. */
__attribute__((constructor)) static void
watch_fork(void)
{
	(void)pthread_atfork(before_fork, after_fork, after_fork);
}

static void
list(struct forklock *l)
{
	pthread_mutex_lock(&list_lock);
	if (!l->is_listed) {
		l->next = all;
		all = l;
		__atomic_store_n(&l->is_listed, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&list_lock);
}

void
forklock_take(struct forklock *l)
{
	if (!__atomic_load_n(&l->is_listed, __ATOMIC_ACQUIRE))
		list(l);
	pthread_mutex_lock(&l->mutex);
}

void
forklock_release(struct forklock *l)
{
	pthread_mutex_unlock(&l->mutex);
}
