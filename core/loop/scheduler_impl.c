/* Schedulers by name: see scheduler_impl.h. */

#include "core/scheduler_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ec_scheduler_impl **impls;
static size_t nimpls;

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
	ec_scheduler_impl **at, **grown;

	if (ascheduler == NULL || ascheduler->name == NULL)
		return;
	pthread_mutex_lock(&lock);
	if ((at = find(ascheduler->name)) == NULL && (grown = reallocarray(
	    impls, nimpls + 1, sizeof(*impls))) != NULL) {
		impls = grown;
		at = &impls[nimpls++];
	}
	if (at != NULL)
		*at = ascheduler;
	pthread_mutex_unlock(&lock);
}

ec_scheduler_impl *
scheduler_registered(const char *name)
{
	ec_scheduler_impl **at;

	if (name == NULL)
		return NULL;
	pthread_mutex_lock(&lock);
	at = find(name);
	pthread_mutex_unlock(&lock);
	return at == NULL ? NULL : *at;
}
