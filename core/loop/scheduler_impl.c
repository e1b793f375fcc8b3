/* Schedulers by name: see scheduler_impl.h. */

#include "core/scheduler_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ec_scheduler_impl **impls;
static size_t nimpls;

static void
take(void)
{
	pthread_mutex_lock(&lock);
}

static void
release(void)
{
	pthread_mutex_unlock(&lock);
}

/* Nobody holds the lock in a child that is forked off.  If there is no memory for
 * this, a child may wait for ever, if it is forked off at that moment. */
static void
watch_fork(void)
{
	(void)pthread_atfork(take, release, release);
}

static ec_scheduler_impl **
find(const char *name)
{
	size_t i;

	for (i = 0; i < nimpls; i++)
		if (strcmp(impls[i]->name, name) == 0)
			return &impls[i];
	return NULL;
}

void
scheduler_register(ec_scheduler_impl *ascheduler)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	ec_scheduler_impl **at, **grown;

	if (ascheduler == NULL || ascheduler->name == NULL)
		return;
	pthread_once(&once, watch_fork);
	take();
	if ((at = find(ascheduler->name)) == NULL && (grown = reallocarray(
	    impls, nimpls + 1, sizeof(*impls))) != NULL) {
		impls = grown;
		at = &impls[nimpls++];
	}
	if (at != NULL)
		*at = ascheduler;
	release();
}

ec_scheduler_impl *
scheduler_registered(const char *name)
{
	ec_scheduler_impl **at, *found;

	if (name == NULL)
		return NULL;
	take();
	at = find(name);
	found = at != NULL ? *at : NULL;
	release();
	return found;
}
