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

/* --- events that are to be scheduled --------------------------------------- */

static size_t
length(const struct postq *q, int which)
{
	return __atomic_load_n(&q->lists[which].n, __ATOMIC_RELAXED);
}

static void
list_put(struct postq_list *list, Event *e, int mask)
{
	e->async_mask |= mask;
	link_append(&list->head, &e->link);
	__atomic_store_n(&list->n, list->n + 1, __ATOMIC_RELAXED);
}

/* Return the mask for ${e}, which belongs to nobody then. */
static int
list_take(struct postq_list *list, Event *e)
{
	int mask = e->async_mask;

	link_remove(&e->link);
	__atomic_store_n(&list->n, list->n - 1, __ATOMIC_RELAXED);
	e->async_mask = 0;
	__atomic_store_n(&e->loop, NULL, __ATOMIC_RELEASE);
	return mask;
}

static void
taken_back(Event *e)
{
	postq_recall(e);
}

static struct postq_list *
list_of(const Event *e)
{
	struct event_loop *loop = __atomic_load_n(&e->loop,
	    __ATOMIC_ACQUIRE);

	if (loop == NULL || loop->freeing != taken_back)
		return NULL;
	return (struct postq_list *)loop;
}

bool
postq_is_arriving(const Event *e)
{
	return list_of(e) != NULL;
}

const struct postq *
postq_of(const Event *e)
{
	const struct postq_list *list = list_of(e);

	return list != NULL ? list->postq : NULL;
}

int
postq_recall(Event *e)
{
	struct postq_list *list = list_of(e);
	struct postq *q;
	int mask = 0;

	if (list == NULL)
		return 0;
	q = list->postq;
	pthread_mutex_lock(&q->lock);
	/* the loop may have taken it, or moved it to another list, just now */
	list = list_of(e);
	if (list != NULL && list->postq == q)
		mask = list_take(list, e);
	pthread_mutex_unlock(&q->lock);
	return mask;
}

bool
postq_claim(Event *e, struct event_loop *loop, int *mask_r)
{
	struct event_loop *had = NULL;

	*mask_r = 0;
	while (!__atomic_compare_exchange_n(&e->loop, &had, loop, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		if (had->freeing != taken_back)
			return false;
		*mask_r |= postq_recall(e);
		had = NULL;
	}
	return true;
}

static void
list_init(struct postq_list *list, struct postq *q)
{
	list->loop.fd_closing = list->loop.freeing = taken_back;
	list->postq = q;
	list->head.next = list->head.prev = &list->head;
}

/* --- the queue -------------------------------------------------------------- */

int
postq_init(struct postq *q, bool has_wake)
{
	int i;

	memset(q, 0, sizeof *q);
	q->posted.next = q->posted.prev = &q->posted;
	q->running.next = q->running.prev = &q->running;
	for (i = 0; i < POSTQ_NLISTS; i++)
		list_init(&q->lists[i], q);
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
	if (e->link.next == NULL && e->async_mask != 0)
		link_append(&q->posted, &e->link);
	must_wake = __atomic_exchange_n(&q->may_sleep, false,
	    __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
	if (must_wake)
		postq_wake(q);
	return 0;
}

/* Put ${e} in that list, or join ${mask} to what it has in one of this queue. */
static int
arrive(struct postq *q, int which, Event *e, int mask)
{
	struct event_loop *had = NULL;

	if (__atomic_compare_exchange_n(&e->loop, &had, &q->lists[which].loop,
	    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		list_put(&q->lists[which], e, mask);
	else if (had->freeing == taken_back &&
	    ((struct postq_list *)had)->postq == q)
		e->async_mask |= mask;
	else {
		errno = EBUSY;
		return -1;
	}
	return 0;
}

int
postq_arrive(struct postq *q, Event *e, int mask, bool is_own)
{
	bool must_wake;
	int rc;

	pthread_mutex_lock(&q->lock);
	rc = arrive(q, is_own ? POSTQ_OWN : POSTQ_ARRIVING, e, mask);
	must_wake = rc == 0 && __atomic_exchange_n(&q->may_sleep, false,
	    __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
	if (must_wake)
		postq_wake(q);
	return rc;
}

Event *
postq_arrived(struct postq *q, int *mask_r)
{
	Event *e = NULL;
	int i;

	/* one that comes just now is found before the next wait */
	if (length(q, POSTQ_ARRIVING) == 0 && length(q, POSTQ_OWN) == 0)
		return NULL;
	pthread_mutex_lock(&q->lock);
	for (i = POSTQ_ARRIVING; i <= POSTQ_OWN && e == NULL; i++)
		if (!is_empty(&q->lists[i].head)) {
			e = event_of(q->lists[i].head.next);
			*mask_r = list_take(&q->lists[i], e);
		}
	pthread_mutex_unlock(&q->lock);
	return e;
}

int
postq_stuck(struct postq *q, Event *e, int mask)
{
	int rc;

	pthread_mutex_lock(&q->lock);
	rc = arrive(q, POSTQ_STUCK, e, mask);
	pthread_mutex_unlock(&q->lock);
	return rc;
}

bool
postq_has_stuck(const struct postq *q)
{
	return length(q, POSTQ_STUCK) > 0;
}

bool
postq_has_arrivals(const struct postq *q)
{
	return length(q, POSTQ_STUCK) + length(q, POSTQ_OWN) +
	    length(q, POSTQ_ARRIVING) > 0;
}

static void
retry_stuck(struct postq *q)
{
	struct postq_list *from = &q->lists[POSTQ_STUCK],
	    *to = &q->lists[POSTQ_OWN];
	Event *e;

	pthread_mutex_lock(&q->lock);
	while (!is_empty(&from->head)) {
		e = event_of(from->head.next);
		link_remove(&e->link);
		__atomic_store_n(&e->loop, &to->loop, __ATOMIC_RELEASE);
		link_append(&to->head, &e->link);
	}
	__atomic_store_n(&to->n, to->n + from->n, __ATOMIC_RELAXED);
	__atomic_store_n(&from->n, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&q->lock);
}

void
postq_each_own(struct postq *q, void (*f)(Event *e, int64_t arg), int64_t arg)
{
	struct event_link *link;
	int i;

	pthread_mutex_lock(&q->lock);
	for (i = POSTQ_OWN; i <= POSTQ_STUCK; i++)
		for (link = q->lists[i].head.next; link != &q->lists[i].head;
		    link = link->next)
			f(event_of(link), arg);
	pthread_mutex_unlock(&q->lock);
}

void
postq_hold(struct postq *q, Event *e, int mask)
{
	pthread_mutex_lock(&q->lock);
	link_remove(&e->link);
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
	has_any = !is_empty(&q->posted) || length(q, POSTQ_ARRIVING) +
	    length(q, POSTQ_OWN) > 0;
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
postq_wake_fd(int wake_fd)
{
	const uint64_t one = 1;
	ssize_t n;

	/* fails only when the counter is full, and then it is readable */
	if (wake_fd != -1)
		n = write(wake_fd, &one, sizeof one);
	(void)n;
}

void
postq_wake(const struct postq *q)
{
	postq_wake_fd(q->wake_fd);
}
