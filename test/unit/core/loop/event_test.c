#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/event.h"
#include "core/scheduler.h"

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

static const struct scheduler_backend fixed_backend = { .now = fixed_now,
	.wait = fixed_wait };

static int
no_callback(Event *, int, void *, struct timeval *)
{
	return 0;
}

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
	e = build_event(offset, EVENT_WHENCE_NOW, -1, no_callback, NULL);
	cr_assert_eq(e->trigger.tv_sec, 1003);
	event_free(e);
	e = build_event(offset, EVENT_WHENCE_ABSOLUTE, -1, no_callback, NULL);
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
	cr_assert_eq(event_close(e), -1);
	cr_assert_eq(errno, EBADF);
	event_free(e);
	event_free(NULL);
	close(sv[1]);
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
	char data;
	int sv[2];

	opset.event_close = counting_close;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	a = build_fd_event(sv[0], E_READ, 0, no_callback, NULL);
	b = build_fd_event(sv[1], E_READ, 0, no_callback, NULL);
	a->io_opset = &opset;
	a->io_data = &data;
	event_post_dup(b, a);
	cr_assert_eq(b->io_data, &data);
	cr_assert_eq(event_close(b), 0);
	cr_assert_eq(event_close(a), 0);
	cr_assert_eq(nclosed, 2);
	event_free(a);
	event_free(b);
}

Test(event, stays_small)
{
	/* malloc(3) of glibc gives 120 octets in a chunk of 128 */
	cr_assert_leq(sizeof(Event), 120);
}
