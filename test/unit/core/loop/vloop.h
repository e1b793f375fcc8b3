/* For the tests of the scheduler: a clock turned by hand, readiness as a test
 * dictates, and a callback that notes its calls and returns what it is told. */

#ifndef TEST_UNIT_CORE_LOOP_VLOOP_H
#define TEST_UNIT_CORE_LOOP_VLOOP_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop/clock.h"
#include "core/scheduler.h"

#define MAX_FD 256

static struct {
	struct timeval	now;
	short		revents[MAX_FD];
	int		last_timeout_ms;
	bool		is_polled[MAX_FD];
	bool		turns;		/* waiting turns the clock */
} v;

static inline void
v_now(void *, struct timeval *now_r)
{
	*now_r = v.now;
}

static inline void
v_turn(int64_t us)
{
	v.now = loopclock_tv(loopclock_us(&v.now) + us);
}

static inline int
v_wait(void *, struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	int n = 0;
	nfds_t i;

	v.last_timeout_ms = timeout_ms;
	memset(v.is_polled, 0, sizeof v.is_polled);
	for (i = 0; i < nfds; i++) {
		v.is_polled[fds[i].fd] = true;
		fds[i].revents = v.revents[fds[i].fd] &
		    (fds[i].events | POLLERR | POLLHUP | POLLNVAL);
		if (fds[i].revents != 0)
			n++;
	}
	if (n == 0 && v.turns && timeout_ms > 0)
		v_turn((int64_t)timeout_ms * 1000);
	return n;
}

static const struct scheduler_backend v_backend = {
	.size = sizeof(struct scheduler_backend), .now = v_now,
	.wait = v_wait };

static inline struct scheduler *
v_create(void)
{
	struct scheduler *s;

	memset(&v, 0, sizeof v);
	v.now.tv_sec = 1700000000;
	s = scheduler_create(&v_backend);
	cr_assert_not_null(s);
	return s;
}

struct note {
	int		ncalls;
	int		type;		/* of the last call */
	int		next_mask;	/* returned */
	struct timeval	now;
	int64_t		rearm_us;	/* trigger = now + this; -1: leave */
	void		(*act)(Event *e, struct note *n);
	struct note	*other_note;
	Event		*other;
};

static inline int
noting(Event *event, int eventtype, void *closure, struct timeval *now)
{
	struct note *n = closure;

	n->ncalls++;
	n->type = eventtype;
	n->now = *now;
	if (n->rearm_us >= 0)
		event->trigger = loopclock_tv(loopclock_us(now) +
		    n->rearm_us);
	if (n->act != NULL)
		n->act(event, n);
	return n->next_mask;
}

static inline Event *
schedule_note(int fd, int mask, struct note *n, int next_mask)
{
	Event *e;

	memset(n, 0, sizeof *n);
	n->next_mask = next_mask;
	n->rearm_us = -1;
	e = build_fd_event(fd, mask, 0, noting, n);
	cr_assert_not_null(e);
	cr_assert_eq(schedule_event(e), 0);
	return e;
}

static inline Event *
schedule_timer(int64_t offset_us, struct note *n, int next_mask)
{
	Event *e;

	memset(n, 0, sizeof *n);
	n->next_mask = next_mask;
	n->rearm_us = -1;
	e = build_event_from_now(loopclock_tv(offset_us), -1, noting, n);
	cr_assert_not_null(e);
	cr_assert_eq(schedule_event(e), 0);
	return e;
}

#endif
