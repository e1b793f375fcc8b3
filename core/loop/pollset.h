/* Descriptors that events wait for: the array that poll(2) gets.
 * Owns: pollfd array, table of events by descriptor, Event.poll_slot and
 * Event.is_parked, the choice of what is parked.
 * Reads no clock and calls no callback. */

#ifndef CORE_LOOP_POLLSET_H
#define CORE_LOOP_POLLSET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/loop/park.h"

/* A descriptor number from this on is refused: the table would be too large. */
#define POLLSET_FD_MAX		(1 << 24)
/* With fewer polled descriptors than this, parking costs more than it saves. */
#define POLLSET_PARK_MIN	16
/* A descriptor that has been idle for so long is parked. */
#define POLLSET_PARK_IDLE_MS	500
/* A sweep examines some slots, beginning where the last one ended: how often,
 * and how many slots at least and at most. */
#define POLLSET_SWEEP_MS	10
#define POLLSET_SWEEP_MIN	64
#define POLLSET_SWEEP_MAX	1024

/* How often an idle loop sweeps. */
#define POLLSET_SWEEP_IDLE_MS	100

struct pollset {
	struct pollfd	 *fds;		/* [0, nfixed): the loop's own */
	size_t		  n;
	size_t		  size;
	size_t		  nfixed;
	Event		**by_fd;	/* NULL: no event has the descriptor */
	size_t		  by_fd_size;
	size_t		  nattached;	/* events in by_fd */
	size_t		  nready;	/* revents yet to be handled */
	size_t		  hand;		/* slots from here on are dispatched */
	size_t		  sweep_hand;
	uint32_t	  sweep_ms;	/* time of the last sweep */
	size_t		  nunfit;	/* unfit slots since the last fit one */
	bool		  has_epoll;
	struct park	  park;
};

/* pollset_init(ps, wake_fd, has_epoll): ${wake_fd}, if it is not -1, is always
 * waited for, in slot 0.  Return 0, or -1 with errno ENOMEM. */
int pollset_init(struct pollset *ps, int wake_fd, bool has_epoll);
void pollset_free(struct pollset *ps);

/* pollset_renew(ps, wake_fd): In a child that the thread of ${ps} has forked
 * off: begin an epoll set of its own, and wait for ${wake_fd} in place of the
 * parent's.
 * pollset_abandon(ps): In a child that another thread has forked off: ${ps} may
 * be in the middle of a change.  Nothing of it is used but the copy of the
 * epoll descriptor, which is closed. */
void pollset_renew(struct pollset *ps, int wake_fd);
void pollset_abandon(struct pollset *ps);

/* pollset_attach(ps, e): ${e} becomes the event of e->fd.  Return 0, or -1
 * with errno EBADF, EEXIST, ENOMEM.  After this nothing can fail. */
int pollset_attach(struct pollset *ps, Event *e);

/* pollset_detach(ps, e): Stop watching e->fd. */
void pollset_detach(struct pollset *ps, Event *e);

/* pollset_follow(ps, e): e->mask has changed: wait for what it says. */
void pollset_follow(struct pollset *ps, Event *e);

Event *pollset_get(const struct pollset *ps, int fd);

/* pollset_begin(ps, nready): poll(2) has returned ${nready}: take the parked
 * events that have something to report back, and start with the last slot.
 * Return whether the wake descriptor is readable. */
bool pollset_begin(struct pollset *ps, size_t nready);

/* pollset_next(ps, now_ms, &eventtype): The next event to dispatch and its
 * eventtype; NULL at the end.  Events may be attached, changed and detached
 * between calls; those attached are not returned before the next
 * pollset_begin(). */
Event *pollset_next(struct pollset *ps, uint32_t now_ms, int *eventtype_r);

/* pollset_sweep(ps, now_ms): Park some of the idle ones.
 * pollset_wants_sweep(ps): There may be more to park: a loop that is idle
 * should sweep again in POLLSET_SWEEP_IDLE_MS. */
void pollset_sweep(struct pollset *ps, uint32_t now_ms);
bool pollset_wants_sweep(const struct pollset *ps);

#endif
