#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "core/scheduler.h"
#include "test/lib/eventpair.h"

static const struct timeval start = { .tv_sec = 1000, .tv_usec = 900000 };

static void
fixed_now(void *, struct timeval *now_r)
{
	*now_r = start;
}

static int
fixed_wait(void *, struct pollfd *, nfds_t, int)
{
	return 0;
}

static const struct scheduler_backend fixed_backend = {
	.size = sizeof(struct scheduler_backend), .now = fixed_now,
	.wait = fixed_wait };

Test(event, offsets_count_from_the_worker_clock)
{
	struct timeval offset = { .tv_sec = 2, .tv_usec = 200000 };
	struct scheduler *s;
	Event *e;

	s = scheduler_create(&fixed_backend);
	cr_assert_not_null(s);
	e = build_event_from_now(offset, -1, no_callback, NULL);
	cr_assert_eq(e->trigger.tv_sec, 1003);
	cr_assert_eq(e->trigger.tv_usec, 100000);
	event_free(e);
	e = build_event(offset, E_FROM_NOW, -1, no_callback, NULL);
	cr_assert_eq(e->trigger.tv_sec, 1003);
	event_free(e);
	e = build_event(offset, E_FROM_EPOCH, -1, no_callback, NULL);
	cr_assert_eq(e->trigger.tv_sec, 2);
	event_free(e);
	e = build_event_from_epoch(offset, -1, no_callback, NULL);
	cr_assert_eq(e->trigger.tv_sec, 2);
	event_free(e);
	e = build_event_from_now_f(30.5f, -1, no_callback, NULL);
	cr_assert_eq(e->trigger.tv_sec, 1031);
	cr_assert_eq(e->trigger.tv_usec, 400000);
	cr_assert_eq(e->mask, E_TIMEOUT);
	cr_assert_eq(e->fd, -1);
	event_free(e);
	scheduler_destroy(s);
}

Test(event, a_time_out_of_range_is_the_furthest_one)
{
	static const float offsets[] = { 1e30f, INFINITY, -1e30f, -INFINITY,
		NAN };
	struct timeval most = { .tv_sec = LONG_MAX, .tv_usec = 999999 };
	struct scheduler *s;
	Event *e;
	size_t i;

	s = scheduler_create(&fixed_backend);
	cr_assert_not_null(s);
	for (i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
		e = build_event_from_now_f(offsets[i], -1, no_callback, NULL);
		if (isnan(offsets[i]))
			cr_expect_eq(e->trigger.tv_sec, start.tv_sec);
		else if (offsets[i] > 0)
			cr_expect_gt(e->trigger.tv_sec, 2000000000000);
		else
			cr_expect_lt(e->trigger.tv_sec, -2000000000000);
		event_free(e);
	}
	e = build_event_from_now(most, -1, no_callback, NULL);
	cr_expect_gt(e->trigger.tv_sec, 2000000000000);
	event_free(e);
	scheduler_destroy(s);
}

Test(event, a_descriptor_event_has_what_it_was_built_with)
{
	char closure;
	Event *e;

	e = build_fd_event(7, E_READ | E_TIMEOUT, E_AGGRESSIVE_MED,
	    no_callback, &closure);
	cr_assert_not_null(e);
	cr_assert_eq(e->fd, 7);
	cr_assert_eq(e->mask, E_READ | E_TIMEOUT);
	cr_assert_eq(e->aggressive, E_AGGRESSIVE_MED);
	cr_assert_eq(e->callback, no_callback);
	cr_assert_eq(e->closure, &closure);
	cr_assert_eq(e->io_opset, &event_plain_opset);
	event_free(e);
}

Test(event, freeing_leaves_the_descriptor_open_and_closing_the_event_alive)
{
	int fd, sv[2];
	Event *e;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	e = build_fd_event(sv[0], E_READ, 0, no_callback, NULL);
	event_free(e);
	cr_assert_neq(fcntl(sv[0], F_GETFD), -1);
	e = build_fd_event(sv[0], E_READ, 0, no_callback, NULL);
	fd = sv[0];
	cr_assert_eq(event_close(e), 0);
	cr_assert_eq(e->fd, -1);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	/* nothing to close */
	cr_assert_eq(event_close(e), 0);
	cr_assert_eq(event_close(NULL), 0);
	event_free(e);
	event_free(NULL);
	close(sv[1]);
}

Test(event, close_returns_what_close_does)
{
	Event *e;
	int fd;

	cr_assert_neq(fd = dup(0), -1);
	e = build_fd_event(fd, E_READ, 0, no_callback, NULL);
	cr_assert_eq(close(fd), 0);
	cr_assert_eq(event_close(e), -1);
	cr_assert_eq(errno, EBADF);
	cr_assert_eq(e->fd, -1);
	event_free(e);
}

static int nclosed;

static int
counting_close(Event *e)
{
	nclosed++;
	return close(e->fd);
}

Test(event, close_goes_through_the_opset_which_a_duplicate_shares)
{
	event_io_opset opset = event_plain_opset;
	Event *a, *b;
	char data, closure;
	int sv[2];

	opset.event_close = counting_close;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	a = build_fd_event(sv[0], E_READ, 0, no_callback, &closure);
	a->io_opset = &opset;
	a->io_data = &data;
	b = malloc(sizeof(*b));
	cr_assert_not_null(b);
	memset(b, 0xa5, sizeof(*b));
	event_post_dup(b, a);
	cr_assert_eq(b->io_data, &data);
	cr_assert_eq(b->fd, sv[0]);
	cr_assert_eq(b->callback, no_callback);
	cr_assert_eq(b->closure, &closure);
	event_free(a);
	cr_assert_eq(event_close(b), 0);
	cr_assert_eq(nclosed, 1);
	event_free(b);
	close(sv[1]);
}

/* What a program that was compiled against the documented struct relies on. */
Test(event, has_the_documented_members_in_their_order)
{
	struct _Event e = { .aggressive = E_AGGRESSIVE_HIGH, .trace = 1 };
	struct ec_event_io_opset opset = { .event_close = counting_close };
	static const size_t at[] = {
		offsetof(Event, trigger), offsetof(Event, io_data),
		offsetof(Event, io_opset), offsetof(Event, mask),
		offsetof(Event, fd), offsetof(Event, callback),
		offsetof(Event, closure), offsetof(Event, scheduled_thread),
		offsetof(Event, loop)
	};
	size_t i;

	for (i = 1; i < sizeof at / sizeof at[0]; i++)
		cr_expect_lt(at[i - 1], at[i]);
	cr_expect(e.trace);
	cr_expect_eq(e.aggressive, E_AGGRESSIVE_HIGH);
	cr_expect_eq(opset.event_close, counting_close);
}

Test(event, stays_small)
{
	/* malloc(3) of glibc gives 120 octets in a chunk of 128 */
	cr_assert_leq(sizeof(Event), 120);
}
