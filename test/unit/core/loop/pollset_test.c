#include <sys/resource.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/pollset.h"

#define NPAIRS (2 * POLLSET_PARK_MIN)

static struct pollset ps;
static Event events[NPAIRS];
static int peers[NPAIRS];
static size_t nrested;

static void
count_rest(Event *e)
{
	cr_assert(e->is_parked);
	nrested++;
}

static const event_io_opset resting_opset = { .event_rest = count_rest };

static void
setup(void)
{
	int sv[2];
	size_t i;

	cr_assert_eq(pollset_init(&ps, -1, true), 0);
	for (i = 0; i < NPAIRS; i++) {
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
		    0, sv), 0);
		memset(&events[i], 0, sizeof events[i]);
		events[i].fd = sv[0];
		events[i].mask = E_READ;
		events[i].io_opset = &resting_opset;
		peers[i] = sv[1];
		cr_assert_eq(pollset_attach(&ps, &events[i]), 0);
		pollset_follow(&ps, &events[i]);
	}
}

static void
teardown(void)
{
	size_t i;

	for (i = 0; i < NPAIRS; i++) {
		if (events[i].fd != -1) {
			pollset_detach(&ps, &events[i]);
			close(events[i].fd);
		}
		close(peers[i]);
	}
	cr_assert_eq(ps.nattached, 0);
	cr_assert_eq(ps.n, ps.nfixed);
	cr_assert_eq(ps.park.count, 0);
	pollset_free(&ps);
}

/* Park all: the hand goes round in steps. */
static void
park_all(uint32_t *now_ms)
{
	size_t i;

	*now_ms += POLLSET_PARK_IDLE_MS;
	for (i = 0; i < 10; i++) {
		*now_ms += POLLSET_SWEEP_MS;
		pollset_sweep(&ps, *now_ms);
	}
}

static Event *
poll_next(uint32_t now_ms, int *type_r)
{
	pollset_begin(&ps, (size_t)poll(ps.fds, ps.n, 0));
	return pollset_next(&ps, now_ms, type_r);
}

TestSuite(pollset, .init = setup, .fini = teardown);

Test(pollset, parks_idle_readers)
{
	uint32_t now_ms = UINT32_MAX - 700;	/* wraps meanwhile */
	size_t i;

	for (i = 0; i < NPAIRS; i++)
		events[i].active_ms = now_ms;
	pollset_sweep(&ps, now_ms + POLLSET_PARK_IDLE_MS - 1);
	cr_assert_eq(ps.park.count, 0);
	park_all(&now_ms);
	cr_assert_eq(ps.park.count, NPAIRS);
	cr_assert_eq(ps.n, ps.nfixed);
	cr_assert_eq(nrested, NPAIRS);
}

/* A crowd of ${n} beside the pairs, all on one socket. */
static Event *
crowd_attach(size_t n)
{
	Event *crowd = calloc(n, sizeof *crowd);
	size_t i;

	cr_assert_not_null(crowd);
	for (i = 0; i < n; i++) {
		crowd[i].fd = dup(events[0].fd);
		cr_assert_neq(crowd[i].fd, -1);
		crowd[i].mask = E_READ;
		crowd[i].io_opset = &resting_opset;
		cr_assert_eq(pollset_attach(&ps, &crowd[i]), 0);
		pollset_follow(&ps, &crowd[i]);
	}
	return crowd;
}

static void
crowd_detach(Event *crowd, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		pollset_detach(&ps, &crowd[i]);
		close(crowd[i].fd);
	}
	free(crowd);
}

/* A part of them is looked at in one step, but for a crowd. */
Test(pollset, a_crowd_that_fell_silent_is_parked_at_once)
{
	enum { CROWD = 4 * POLLSET_SWEEP_MIN };
	Event *crowd = crowd_attach(CROWD);

	cr_assert(pollset_wants_sweep(&ps));
	pollset_sweep(&ps, POLLSET_PARK_IDLE_MS);
	cr_expect_eq(ps.park.count, CROWD + NPAIRS);
	cr_expect(!pollset_wants_sweep(&ps));
	crowd_detach(crowd, CROWD);
}

Test(pollset, a_huge_crowd_does_not_hold_up_a_pass)
{
	enum { CROWD = 4 * POLLSET_SWEEP_MAX };
	struct rlimit rl;
	Event *crowd;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = rl.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
	crowd = crowd_attach(CROWD);
	pollset_sweep(&ps, POLLSET_PARK_IDLE_MS);
	cr_expect_gt(ps.park.count, POLLSET_SWEEP_MAX);
	cr_expect_leq(ps.park.count, 2 * POLLSET_SWEEP_MAX);
	cr_expect(pollset_wants_sweep(&ps));
	crowd_detach(crowd, CROWD);
}

Test(pollset, wants_no_sweep_for_what_cannot_be_parked)
{
	uint32_t now_ms = 0;
	size_t i;

	for (i = 0; i < NPAIRS; i++) {
		events[i].mask = E_WRITE;
		pollset_follow(&ps, &events[i]);
	}
	cr_assert(pollset_wants_sweep(&ps));
	park_all(&now_ms);
	cr_assert(!pollset_wants_sweep(&ps));
	events[3].mask = E_READ;
	pollset_follow(&ps, &events[3]);
	cr_assert(pollset_wants_sweep(&ps));
}

Test(pollset, does_not_begin_to_park_while_there_are_few)
{
	uint32_t now_ms = 0;
	size_t i;

	for (i = POLLSET_PARK_MIN - 1; i < NPAIRS; i++) {
		events[i].mask = E_ASYNC;
		pollset_follow(&ps, &events[i]);
	}
	park_all(&now_ms);
	cr_assert_eq(ps.park.count, 0);
}

Test(pollset, brings_an_active_one_back)
{
	uint32_t now_ms = 0;
	Event *e = NULL;
	size_t i;
	int type;

	park_all(&now_ms);
	for (i = 0; i < NPAIRS && e == NULL; i++)
		if (events[i].is_parked) {
			e = &events[i];
			cr_assert_eq(write(peers[i], "x", 1), 1);
		}
	cr_assert_eq(poll_next(now_ms, &type), e);
	cr_assert_eq(type, E_READ);
	cr_assert_eq(e->is_parked, 0);
	cr_assert_neq(e->poll_slot, 0);
	cr_assert_null(pollset_next(&ps, now_ms, &type));
}

Test(pollset, a_parked_one_that_waits_for_something_else_is_polled_again)
{
	static const int masks[] = { E_WRITE, E_READ | E_WRITE, E_ASYNC,
		E_TIMEOUT };
	uint32_t now_ms = 0;
	size_t i, k;

	for (k = 0; k < sizeof masks / sizeof masks[0]; k++) {
		park_all(&now_ms);
		for (i = 0; i < NPAIRS && !events[i].is_parked; i++)
			;
		cr_assert_lt(i, NPAIRS);
		events[i].mask = masks[k];
		pollset_follow(&ps, &events[i]);
		cr_assert_eq(events[i].is_parked, 0);
		cr_assert_eq(events[i].poll_slot != 0,
		    (masks[k] & (E_READ | E_WRITE)) != 0);
	}
}

Test(pollset, a_parked_one_can_be_taken_off_and_its_descriptor_reused)
{
	uint32_t now_ms = 0;
	int type, keep;
	size_t i;

	park_all(&now_ms);
	for (i = 0; i < NPAIRS && !events[i].is_parked; i++)
		;
	cr_assert_lt(i, NPAIRS);
	/* as if it had been handed to another process */
	keep = dup(events[i].fd);
	pollset_detach(&ps, &events[i]);
	cr_assert_null(pollset_get(&ps, events[i].fd));
	close(events[i].fd);
	events[i].fd = -1;
	cr_assert_eq(write(peers[i], "x", 1), 1);
	cr_assert_null(poll_next(now_ms, &type));
	close(keep);
}

Test(pollset, one_closed_behind_its_back_wakes_it_once_at_most)
{
	uint32_t now_ms = 0;
	int type, keep;
	size_t i;

	park_all(&now_ms);
	for (i = 0; i < NPAIRS && !events[i].is_parked; i++)
		;
	cr_assert_lt(i, NPAIRS);
	keep = dup(events[i].fd);
	close(events[i].fd);
	pollset_detach(&ps, &events[i]);
	events[i].fd = -1;
	cr_assert_eq(write(peers[i], "x", 1), 1);
	cr_assert_null(poll_next(now_ms, &type));
	cr_assert_eq(ps.park.count, 0);
	cr_assert_eq(poll(ps.fds, ps.n, 0), 0);
	/* and the others are still heard, and parked again */
	i = (i + 1) % NPAIRS;
	cr_assert_eq(write(peers[i], "x", 1), 1);
	cr_assert_eq(poll_next(now_ms, &type), &events[i]);
	park_all(&now_ms);
	cr_assert_gt(ps.park.count, 0);
	close(keep);
}

Test(pollset, does_not_park_writers)
{
	uint32_t now_ms = 0;
	size_t i;

	for (i = 0; i < NPAIRS; i++) {
		events[i].mask = E_READ | E_WRITE;
		pollset_follow(&ps, &events[i]);
	}
	park_all(&now_ms);
	cr_assert_eq(ps.park.count, 0);
}

Test(pollset, without_epoll_all_stay_in_the_set)
{
	uint32_t now_ms = 0;

	ps.has_epoll = false;
	park_all(&now_ms);
	cr_assert_eq(ps.park.count, 0);
	cr_assert_eq(ps.n, ps.nfixed + NPAIRS);
}

Test(pollset, polls_on_when_no_descriptor_is_left_for_epoll)
{
	struct rlimit limit;
	uint32_t now_ms = 0;
	int type;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 3;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	park_all(&now_ms);
	cr_assert_eq(ps.park.count, 0);
	limit.rlim_cur = limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(write(peers[3], "x", 1), 1);
	cr_assert_eq(poll_next(now_ms, &type), &events[3]);
	park_all(&now_ms);
	cr_assert_gt(ps.park.count, 0);
}

Test(pollset, refuses_absurd_descriptors_and_second_events)
{
	Event e;

	memset(&e, 0, sizeof e);
	e.fd = INT32_MAX;
	cr_assert_eq(pollset_attach(&ps, &e), -1);
	cr_assert_eq(errno, EBADF);
	e.fd = events[0].fd;
	cr_assert_eq(pollset_attach(&ps, &e), -1);
	cr_assert_eq(errno, EEXIST);
	/* taking off one that is not on must not hurt the one that is */
	pollset_detach(&ps, &e);
	cr_assert_eq(pollset_get(&ps, e.fd), &events[0]);
}
