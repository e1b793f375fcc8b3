/* The schedulers of the process; see registry.h. */

#include "core/loop/registry.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry_entry *first;	/* in the order of their creation */
static bool is_watching;		/* for fork(2) */

/* No thread changes a queue while it is copied: in the child there is only the
 * thread that has called fork(2). */
static void
before_fork(void)
{
	struct registry_entry *r;

	pthread_mutex_lock(&lock);
	for (r = first; r != NULL; r = r->next)
		pthread_mutex_lock(&r->postq->lock);
}

static void
after_fork(void)
{
	struct registry_entry *r;

	for (r = first; r != NULL; r = r->next)
		pthread_mutex_unlock(&r->postq->lock);
	pthread_mutex_unlock(&lock);
}

/* The schedulers of threads that the child does not have run no more. */
static void
in_child(void)
{
	struct registry_entry *r, *own = NULL;

	after_fork();
	for (r = first; r != NULL; r = r->next) {
		pollset_renew(r->pollset, postq_renew(r->postq));
		if (pthread_equal(r->thread, pthread_self()))
			own = r;
	}
	if ((first = own) != NULL)
		own->next = NULL;
}

int
registry_add(struct registry_entry *r)
{
	struct registry_entry **rp;
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!is_watching)
		error = pthread_atfork(before_fork, after_fork, in_child);
	if (error == 0) {
		is_watching = true;
		for (rp = &first; *rp != NULL; rp = &(*rp)->next)
			continue;
		r->next = NULL;
		*rp = r;
	}
	pthread_mutex_unlock(&lock);
	if (error == 0)
		return 0;
	errno = error;
	return -1;
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
