/* Descriptors that events wait for; see pollset.h.
 *
 * A slot is removed by moving the last slot into its place.  Dispatching goes
 * from the last slot to the first, and clears a slot's revents before its
 * callback runs.  So a slot that is moved down has been dispatched already, and
 * a new slot has no revents.  Whatever a callback does, no slot is dispatched
 * twice, and each is dispatched to the event that poll(2) reported. */

#include "core/loop/pollset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"

#define E_FD_MASK	(E_READ | E_WRITE | E_EXCEPTION)

enum { SLOT_WAKE, SLOT_PARK, NFIXED };

static int
grow_slots(struct pollset *ps, size_t n)
{
	struct pollfd *fds = array_fit(ps->fds, &ps->size, n, sizeof(*fds));

	if (fds == NULL)
		return -1;
	ps->fds = fds;
	return 0;
}

static int
grow_table(struct pollset *ps, size_t n)
{
	Event **table = array_fit(ps->by_fd, &ps->by_fd_size, n,
	    sizeof(*table));

	if (table == NULL)
		return -1;
	ps->by_fd = table;
	return 0;
}

int
pollset_init(struct pollset *ps, int wake_fd, bool has_epoll)
{
	memset(ps, 0, sizeof *ps);
	park_init(&ps->park);
	ps->has_epoll = has_epoll;
	if (wake_fd == -1 && !has_epoll)
		return 0;
	if (grow_slots(ps, NFIXED) == -1)
		return -1;
	/* poll(2) ignores a negative descriptor */
	ps->fds[SLOT_WAKE] = (struct pollfd) { .fd = wake_fd,
		.events = POLLIN };
	ps->fds[SLOT_PARK] = (struct pollfd) { .fd = -1, .events = POLLIN };
	ps->n = ps->nfixed = NFIXED;
	return 0;
}

void
pollset_free(struct pollset *ps)
{
	park_free(&ps->park);
	free(ps->fds);
	free(ps->by_fd);
	memset(ps, 0, sizeof *ps);
	park_init(&ps->park);
}

static short
wanted(const Event *e)
{
	short events = 0;

	if (e->mask & E_READ)
		events |= POLLIN;
	if (e->mask & E_WRITE)
		events |= POLLOUT;
	if (e->mask & E_EXCEPTION)
		events |= POLLPRI;
	return events;
}

static struct pollfd *
add_slot(struct pollset *ps, Event *e)
{
	struct pollfd *p;

	assert(ps->n < ps->size);
	p = &ps->fds[ps->n++];
	p->fd = e->fd;
	p->events = wanted(e);
	p->revents = 0;
	e->poll_slot = (unsigned int)ps->n;
	return p;
}

static void
remove_slot(struct pollset *ps, Event *e)
{
	struct pollfd *p = &ps->fds[e->poll_slot - 1], *last;

	if (p->revents != 0)
		ps->nready--;
	last = &ps->fds[--ps->n];
	if (p != last) {
		*p = *last;
		ps->by_fd[p->fd]->poll_slot = e->poll_slot;
	}
	e->poll_slot = 0;
}

static void
unpark(struct pollset *ps, Event *e)
{
	park_remove(&ps->park, e->fd);
	e->is_parked = 0;
}

int
pollset_attach(struct pollset *ps, Event *e)
{
	if (e->fd >= POLLSET_FD_MAX) {
		errno = EBADF;
		return -1;
	}
	if (pollset_get(ps, e->fd) != NULL) {
		errno = EEXIST;
		return -1;
	}
	/* room for a slot of each event, also of one that is not polled now:
	 * polling it again later cannot fail */
	if (grow_table(ps, (size_t)e->fd + 1) == -1 ||
	    grow_slots(ps, ps->nfixed + ps->nattached + 1) == -1)
		return -1;
	ps->by_fd[e->fd] = e;
	ps->nattached++;
	return 0;
}

void
pollset_detach(struct pollset *ps, Event *e)
{
	if (pollset_get(ps, e->fd) != e)
		return;
	if (e->is_parked)
		unpark(ps, e);
	if (e->poll_slot != 0)
		remove_slot(ps, e);
	ps->by_fd[e->fd] = NULL;
	ps->nattached--;
}

void
pollset_follow(struct pollset *ps, Event *e)
{
	short events = wanted(e);

	if (e->is_parked) {
		if (events == POLLIN)
			return;
		unpark(ps, e);
	}
	/* Nothing to wait for: not polled at all.  POLLHUP and POLLERR cannot
	 * be masked, and would make poll(2) return at once, every time. */
	if (events == 0) {
		if (e->poll_slot != 0)
			remove_slot(ps, e);
		return;
	}
	ps->nunfit = 0;
	if (e->poll_slot != 0)
		ps->fds[e->poll_slot - 1].events = events;
	else
		add_slot(ps, e);
}

Event *
pollset_get(const struct pollset *ps, int fd)
{
	if (fd < 0 || (size_t)fd >= ps->by_fd_size)
		return NULL;
	return ps->by_fd[fd];
}

/* A descriptor that was closed while parked may have a duplicate, here or in
 * another process.  Then it stays in the epoll set, cannot be removed from it,
 * and wakes the loop for ever.  So all events go back to poll(2), and a new
 * epoll set is begun. */
static void
unpark_all(struct pollset *ps)
{
	Event *e;
	size_t i;

	for (i = 0; i < ps->by_fd_size; i++) {
		e = ps->by_fd[i];
		if (e != NULL && e->is_parked) {
			e->is_parked = 0;
			add_slot(ps, e);
		}
	}
	park_free(&ps->park);
	ps->fds[SLOT_PARK].fd = -1;
}

void
pollset_renew(struct pollset *ps, int wake_fd)
{
	if (ps->nfixed == 0)
		return;
	ps->fds[SLOT_WAKE] = (struct pollfd) { .fd = wake_fd,
		.events = POLLIN };
	unpark_all(ps);
}

void
pollset_abandon(struct pollset *ps)
{
	park_abandon(&ps->park);
}

static void
unpark_ready(struct pollset *ps)
{
	struct park_ready ready[PARK_BATCH];
	bool is_stale = false;
	size_t i, n;
	Event *e;

	n = park_collect(&ps->park, ready, PARK_BATCH);
	for (i = 0; i < n; i++) {
		e = pollset_get(ps, ready[i].fd);
		if (e == NULL || !e->is_parked) {
			is_stale = true;
			continue;
		}
		unpark(ps, e);
		ps->nunfit = 0;
		add_slot(ps, e)->revents = ready[i].revents;
		ps->nready++;
	}
	if (is_stale)
		unpark_all(ps);
}

bool
pollset_begin(struct pollset *ps, size_t nready)
{
	bool is_woken = false;

	ps->nready = nready;
	if (ps->nfixed != 0 && nready != 0) {
		if (ps->fds[SLOT_WAKE].revents != 0) {
			ps->nready--;
			is_woken = true;
		}
		if (ps->fds[SLOT_PARK].revents != 0) {
			ps->nready--;
			unpark_ready(ps);
		}
		ps->fds[SLOT_WAKE].revents = ps->fds[SLOT_PARK].revents = 0;
	}
	ps->hand = ps->n;
	return is_woken;
}

/* On an error or a hang-up the event gets every bit that it waits for: the
 * read or write that follows reports the error. */
static int
type_of(short revents, int mask)
{
	int type = 0;

	if (revents & POLLIN)
		type |= E_READ;
	if (revents & POLLOUT)
		type |= E_WRITE;
	if (revents & POLLPRI)
		type |= E_EXCEPTION;
	if (revents & (POLLERR | POLLHUP | POLLNVAL))
		type |= E_FD_MASK;
	return type & mask;
}

Event *
pollset_next(struct pollset *ps, uint32_t now_ms, int *eventtype_r)
{
	struct pollfd *p;
	short revents;
	Event *e;

	if (ps->hand > ps->n)
		ps->hand = ps->n;
	while (ps->nready > 0 && ps->hand > ps->nfixed) {
		p = &ps->fds[--ps->hand];
		if (p->revents == 0)
			continue;
		ps->nready--;
		revents = p->revents;
		p->revents = 0;
		e = ps->by_fd[p->fd];
		e->active_ms = now_ms;
		*eventtype_r = type_of(revents, e->mask);
		if (*eventtype_r != 0)
			return e;
	}
	return NULL;
}

enum fitness { PARKED, TOO_YOUNG, UNFIT };

/* Park the event of slot ${i} if it has been idle.  After PARKED the slot holds
 * another event. */
static enum fitness
park_slot(struct pollset *ps, size_t i, uint32_t now_ms)
{
	Event *e = ps->by_fd[ps->fds[i].fd];

	if (ps->fds[i].events != POLLIN)
		return UNFIT;
	if (now_ms - e->active_ms < POLLSET_PARK_IDLE_MS)
		return TOO_YOUNG;
	if (park_add(&ps->park, e->fd) == -1) {
		/* epoll cannot watch it, or a limit is reached: try later */
		e->active_ms = now_ms;
		return UNFIT;
	}
	e->is_parked = 1;
	remove_slot(ps, e);
	event_rest(e);
	return PARKED;
}

bool
pollset_wants_sweep(const struct pollset *ps)
{
	return ps->has_epoll && ps->n >= ps->nfixed + POLLSET_PARK_MIN &&
	    ps->nunfit < ps->n - ps->nfixed;
}

void
pollset_sweep(struct pollset *ps, uint32_t now_ms)
{
	size_t n, more = POLLSET_SWEEP_MAX;

	if (!ps->has_epoll || now_ms - ps->sweep_ms < POLLSET_SWEEP_MS)
		return;
	/* with an epoll set, each descriptor moved into it saves time */
	if (ps->park.count == 0 && ps->n < ps->nfixed + POLLSET_PARK_MIN)
		return;
	ps->sweep_ms = now_ms;
	n = ps->n / 8;
	if (n < POLLSET_SWEEP_MIN)
		n = POLLSET_SWEEP_MIN;
	if (n > POLLSET_SWEEP_MAX)
		n = POLLSET_SWEEP_MAX;
	if (n > ps->n - ps->nfixed)
		n = ps->n - ps->nfixed;
	while (n-- > 0) {
		if (ps->sweep_hand < ps->nfixed || ps->sweep_hand >= ps->n) {
			ps->sweep_hand = ps->nfixed;
			if (ps->n == ps->nfixed)
				break;
		}
		switch (park_slot(ps, ps->sweep_hand, now_ms)) {
		case PARKED:
			/* others became idle at the same time: go on */
			if (more > 0) {
				more--;
				n++;
			}
			break;
		case TOO_YOUNG:
			ps->sweep_hand++;
			ps->nunfit = 0;
			break;
		case UNFIT:
			ps->sweep_hand++;
			ps->nunfit++;
			break;
		}
	}
	ps->fds[SLOT_PARK].fd = ps->park.epfd;
}
