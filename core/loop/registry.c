/* The schedulers of the process; see registry.h. */

#include "core/loop/registry.h"

#include <errno.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry_entry *first;	/* in the order of their creation */

void
registry_add(struct registry_entry *r)
{
	struct registry_entry **rp;

	pthread_mutex_lock(&lock);
	for (rp = &first; *rp != NULL; rp = &(*rp)->next)
		continue;
	r->next = NULL;
	*rp = r;
	pthread_mutex_unlock(&lock);
}

void
registry_remove(struct registry_entry *r)
{
	struct registry_entry **rp;

	pthread_mutex_lock(&lock);
	for (rp = &first; *rp != NULL; rp = &(*rp)->next)
		if (*rp == r) {
			*rp = r->next;
			break;
		}
	pthread_mutex_unlock(&lock);
}

int
registry_arrive(Event *e, int mask, const struct registry_entry *otherwise)
{
	const struct registry_entry *r;

	pthread_mutex_lock(&lock);
	for (r = first; r != NULL; r = r->next)
		if (pthread_equal(r->thread, e->scheduled_thread))
			break;
	if (r == NULL)
		r = otherwise != NULL ? otherwise : first;
	if (r != NULL)
		postq_arrive(r->postq, e, mask);
	pthread_mutex_unlock(&lock);
	if (r != NULL)
		return 0;
	errno = EINVAL;
	return -1;
}
