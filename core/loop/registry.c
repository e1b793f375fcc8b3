/* The schedulers of the process; see registry.h. */

#include "core/loop/registry.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry_entry *first;	/* in the order of their creation */
static uint64_t nentries;		/* so far */
static bool is_watching;		/* for fork(2) */
static int first_wake_fd = -1;		/* that of the first; no lock */
static unsigned int nthreads;
static __thread unsigned int thread_number;

unsigned int
registry_thread(void)
{
	if (thread_number == 0)
		thread_number = __atomic_add_fetch(&nthreads, 1,
		    __ATOMIC_RELAXED);
	return thread_number;
}

void
registry_wake(void)
{
	postq_wake_fd(__atomic_load_n(&first_wake_fd, __ATOMIC_ACQUIRE));
}

/* The list has changed. */
static void
note_first(void)
{
	__atomic_store_n(&first_wake_fd, first != NULL ?
	    first->postq->wake_fd : -1, __ATOMIC_RELEASE);
}

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

/* The schedulers of threads that the child does not have run no more, and what
 * such a thread was changing just then is as it was at that moment. */
static void
in_child(void)
{
	struct registry_entry *r, *own = NULL;

	after_fork();
	for (r = first; r != NULL; r = r->next)
		if (r->thread == thread_number) {
			pollset_renew(r->pollset, postq_renew(r->postq));
			own = r;
		} else {
			pollset_abandon(r->pollset);
			postq_renew(r->postq);
		}
	/* nor do threads that would bring something back */
	if ((first = own) != NULL) {
		own->next = NULL;
		own->nholds = 0;
	}
	note_first();
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
		r->number = ++nentries;
		r->nholds = 0;
		*rp = r;
		note_first();
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
	note_first();
	pthread_mutex_unlock(&lock);
}

/* Where ${e} is, or, if it is nowhere, where it is to go; NULL: there is none. */
static struct registry_entry *
entry_for(const Event *e, const struct event_loop *loop,
    struct registry_entry *otherwise)
{
	const struct postq *q = postq_of(e);
	struct registry_entry *r;

	for (r = first; r != NULL; r = r->next)
		if (r->loop == loop || r->postq == q)
			return r;
	if (loop != NULL)
		return NULL;
	for (r = first; r != NULL; r = r->next)
		if (r->thread == e->scheduled_number)
			return r;
	return otherwise != NULL ? otherwise : first;
}

int
registry_arrive(Event *e, int mask, struct registry_entry *otherwise)
{
	const struct registry_entry *r;
	const struct event_loop *loop;
	int rc = -1;

	pthread_mutex_lock(&lock);
	/* again if it has been taken or unscheduled in between */
	do {
		loop = __atomic_load_n(&e->loop, __ATOMIC_ACQUIRE);
		r = entry_for(e, loop, otherwise);
		if (r != NULL && r->loop == loop)
			rc = postq_add(r->postq, loop, e, mask);
		else if (r != NULL)
			rc = postq_arrive(r->postq, e, mask, r == otherwise);
	} while (r != NULL && rc == -1);
	pthread_mutex_unlock(&lock);
	if (r == NULL)
		errno = EINVAL;
	return rc;
}

static struct registry_entry *
find_number(uint64_t number)
{
	struct registry_entry *r;

	for (r = first; r != NULL; r = r->next)
		if (r->number == number)
			break;
	return r;
}

/* That of the calling thread, or NULL. */
static struct registry_entry *
find_own(void)
{
	struct registry_entry *r;

	for (r = first; r != NULL; r = r->next)
		if (r->thread == thread_number)
			break;
	return r;
}

uint64_t
registry_own(void)
{
	const struct registry_entry *r;
	uint64_t number;

	pthread_mutex_lock(&lock);
	r = find_own();
	number = r != NULL ? r->number : 0;
	pthread_mutex_unlock(&lock);
	return number;
}

uint64_t
registry_hold(Event *e)
{
	const struct event_loop *loop;
	struct registry_entry *r;
	uint64_t number = 0;

	pthread_mutex_lock(&lock);
	loop = __atomic_load_n(&e->loop, __ATOMIC_ACQUIRE);
	if ((r = entry_for(e, loop, find_own())) != NULL) {
		if (loop == NULL)
			e->scheduled_number = r->thread;
		number = r->number;
		__atomic_store_n(&r->nholds, r->nholds + 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&lock);
	return number;
}

int
registry_send(uint64_t number, Event *e, int mask)
{
	struct registry_entry *r;
	int rc = -1;

	pthread_mutex_lock(&lock);
	if ((r = find_number(number)) != NULL)
		rc = postq_arrive(r->postq, e, mask,
		    r->thread == thread_number);
	pthread_mutex_unlock(&lock);
	return rc;
}

/* Wake the loop when the last hold is released: it may have no other event. */
void
registry_release(uint64_t number)
{
	struct registry_entry *r;

	if (number == 0)
		return;
	pthread_mutex_lock(&lock);
	if ((r = find_number(number)) != NULL) {
		/* a thread that reads 0 also sees what this thread has written
		 * before */
		__atomic_store_n(&r->nholds, r->nholds - 1, __ATOMIC_RELEASE);
		if (r->nholds == 0)
			postq_wake(r->postq);
	}
	pthread_mutex_unlock(&lock);
}

bool
registry_is_held(const struct registry_entry *r)
{
	return __atomic_load_n(&r->nholds, __ATOMIC_ACQUIRE) > 0;
}
