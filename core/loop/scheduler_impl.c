/* Schedulers by name: see scheduler_impl.h. */

#include "core/scheduler_impl.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/forklock.h"

static struct forklock lock = FORKLOCK_INIT;
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
	forklock_take(&lock);
	if ((at = find(ascheduler->name)) == NULL && (grown = reallocarray(
	    impls, nimpls + 1, sizeof(*impls))) != NULL) {
		impls = grown;
		at = &impls[nimpls++];
	}
	if (at != NULL)
		*at = ascheduler;
	forklock_release(&lock);
}

ec_scheduler_impl *
scheduler_registered(const char *name)
{
	ec_scheduler_impl **at, *found;

	if (name == NULL)
		return NULL;
	forklock_take(&lock);
	at = find(name);
	found = at != NULL ? *at : NULL;
	forklock_release(&lock);
	return found;
}
