/* Schedulers of a process that is forked off; see forked.h. */

#include "core/loop/forked.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/loop/pollset.h"
#include "core/loop/postq.h"

static LIST_HEAD(, forked) all = LIST_HEAD_INITIALIZER(all);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_registered;

/* No thread changes a queue while it is copied: in the child there is only the
 * thread that has called fork(2). */
static void
before_fork(void)
{
	struct forked *f;

	pthread_mutex_lock(&lock);
	LIST_FOREACH (f, &all, link)
		pthread_mutex_lock(&f->postq->lock);
}

static void
after_fork(void)
{
	struct forked *f;

	LIST_FOREACH (f, &all, link)
		pthread_mutex_unlock(&f->postq->lock);
	pthread_mutex_unlock(&lock);
}

static void
in_child(void)
{
	struct forked *f;

	after_fork();
	LIST_FOREACH (f, &all, link)
		pollset_renew(f->pollset, postq_renew(f->postq));
}

int
forked_watch(struct forked *f)
{
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!is_registered)
		error = pthread_atfork(before_fork, after_fork, in_child);
	if (error == 0) {
		is_registered = true;
		LIST_INSERT_HEAD(&all, f, link);
	}
	pthread_mutex_unlock(&lock);
	errno = error;
	return error == 0 ? 0 : -1;
}

void
forked_unwatch(struct forked *f)
{
	pthread_mutex_lock(&lock);
	LIST_REMOVE(f, link);
	pthread_mutex_unlock(&lock);
}
