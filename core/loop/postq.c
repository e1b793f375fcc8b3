/* Completions and due timers; see postq.h. */

#include "core/loop/postq.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static Event *
event_of(struct event_link *link)
{
	return (Event *)((char *)link - offsetof(Event, link));
}

static void
link_append(struct event_link *head, struct event_link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static void
link_remove(struct event_link *link)
{
	if (link->next == NULL)
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = NULL;
}

static bool
is_empty(const struct event_link *head)
{
	return head->next == head;
}

int
postq_init(struct postq *q, bool has_wake)
{
	memset(q, 0, sizeof *q);
	q->posted.next = q->posted.prev = &q->posted;
	q->running.next = q->running.prev = &q->running;
	q->arriving.next = q->arriving.prev = &q->arriving;
	q->stuck.next = q->stuck.prev = &q->stuck;
	q->wake_fd = -1;
	if ((errno = pthread_mutex_init(&q->lock, NULL)) != 0)
		return -1;
	if (!has_wake)
		return 0;
	q->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->wake_fd == -1) {
		pthread_mutex_destroy(&q->lock);
		return -1;
	}
	return 0;
}

void
postq_free(struct postq *q)
{
	pthread_mutex_destroy(&q->lock);
	if (q->wake_fd != -1)
		close(q->wake_fd);
}

int
postq_renew(struct postq *q)
{
	if (q->wake_fd == -1)
		return -1;
	close(q->wake_fd);
	/* if this fails, only other threads of this process miss it, and it has
	 * none yet */
	q->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return q->wake_fd;
}

int
postq_add(struct postq *q, const struct event_loop *loop, Event *e, int mask)
{
	bool must_wake;

	pthread_mutex_lock(&q->lock);
	/* the loop may have unscheduled it just now */
	if (__atomic_load_n(&e->loop, __ATOMIC_RELAXED) != loop) {
		pthread_mutex_unlock(&q->lock);
		errno = EINVAL;
		return -1;
	}
	e->async_mask |= mask;
	if (e->link.next == NULL)
		link_append(&q->posted, &e->link);
	must_wake = __atomic_exchange_n(&q->may_sleep, false,
	    __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
	if (must_wake)
		postq_wake(q);
	return 0;
}

static void
set_arriving(struct postq *q, size_t n)
{
	__atomic_store_n(&q->narriving, n, __ATOMIC_RELAXED);
}

void
postq_arrive(struct postq *q, Event *e, int mask)
{
	bool must_wake;

	pthread_mutex_lock(&q->lock);
	e->async_mask |= mask;
	if (e->link.next == NULL) {
		link_append(&q->arriving, &e->link);
		set_arriving(q, q->narriving + 1);
	}
	must_wake = __atomic_exchange_n(&q->may_sleep, false,
	    __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
	if (must_wake)
		postq_wake(q);
}

Event *
postq_arrived(struct postq *q, int *mask_r)
{
	Event *e = NULL;

	/* one that comes just now is found before the next wait */
	if (__atomic_load_n(&q->narriving, __ATOMIC_RELAXED) == 0)
		return NULL;
	pthread_mutex_lock(&q->lock);
	if (!is_empty(&q->arriving)) {
		e = event_of(q->arriving.next);
		link_remove(&e->link);
		set_arriving(q, q->narriving - 1);
		*mask_r = e->async_mask;
		e->async_mask = 0;
	} else
		/* postq_leave() has taken one out */
		set_arriving(q, 0);
	pthread_mutex_unlock(&q->lock);
	return e;
}

void
postq_stuck(struct postq *q, Event *e, int mask)
{
	pthread_mutex_lock(&q->lock);
	e->async_mask |= mask;
	/* not if it has arrived once more meanwhile */
	if (e->link.next == NULL)
		link_append(&q->stuck, &e->link);
	pthread_mutex_unlock(&q->lock);
}

/* Only the loop's thread puts events there. */
bool
postq_has_stuck(const struct postq *q)
{
	return !is_empty(&q->stuck);
}

bool
postq_has_arrivals(const struct postq *q)
{
	return postq_has_stuck(q) ||
	    __atomic_load_n(&q->narriving, __ATOMIC_RELAXED) > 0;
}

static void
retry_stuck(struct postq *q)
{
	struct event_link *link;

	pthread_mutex_lock(&q->lock);
	while (!is_empty(&q->stuck)) {
		link = q->stuck.next;
		link_remove(link);
		link_append(&q->arriving, link);
		set_arriving(q, q->narriving + 1);
	}
	pthread_mutex_unlock(&q->lock);
}

void
postq_unpost(struct postq *q, Event *e, int mask)
{
	pthread_mutex_lock(&q->lock);
	e->async_mask &= ~mask;
	pthread_mutex_unlock(&q->lock);
}

void
postq_leave(struct postq *q, Event *e)
{
	pthread_mutex_lock(&q->lock);
	link_remove(&e->link);
	e->async_mask = 0;
	__atomic_store_n(&e->loop, NULL, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
}

bool
postq_before_wait(struct postq *q, bool would_wait)
{
	bool has_any;

	pthread_mutex_lock(&q->lock);
	has_any = !is_empty(&q->posted) || !is_empty(&q->arriving);
	__atomic_store_n(&q->may_sleep, !has_any && would_wait,
	    __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
	return has_any;
}

void
postq_after_wait(struct postq *q, bool is_woken)
{
	uint64_t count;
	ssize_t n;

	__atomic_store_n(&q->may_sleep, false, __ATOMIC_RELAXED);
	if (postq_has_stuck(q))
		retry_stuck(q);
	if (is_woken)
		n = read(q->wake_fd, &count, sizeof count);
	(void)n;
}

void
postq_begin(struct postq *q)
{
	pthread_mutex_lock(&q->lock);
	if (!is_empty(&q->posted)) {
		q->running = q->posted;
		q->running.next->prev = q->running.prev->next = &q->running;
		q->posted.next = q->posted.prev = &q->posted;
	}
	pthread_mutex_unlock(&q->lock);
}

void
postq_due(struct postq *q, Event *e)
{
	pthread_mutex_lock(&q->lock);
	e->async_mask |= E_TIMEOUT;
	link_remove(&e->link);
	link_append(&q->running, &e->link);
	pthread_mutex_unlock(&q->lock);
}

Event *
postq_next(struct postq *q, int *mask_r)
{
	Event *e;

	/* other threads change masks of queued events, but not this queue */
	if (is_empty(&q->running))
		return NULL;
	pthread_mutex_lock(&q->lock);
	e = event_of(q->running.next);
	link_remove(&e->link);
	*mask_r = e->async_mask;
	e->async_mask = 0;
	pthread_mutex_unlock(&q->lock);
	return e;
}

void
postq_wake(const struct postq *q)
{
	const uint64_t one = 1;
	ssize_t n;

	/* fails only when the counter is full, and then it is readable */
	if (q->wake_fd != -1)
		n = write(q->wake_fd, &one, sizeof one);
	(void)n;
}
