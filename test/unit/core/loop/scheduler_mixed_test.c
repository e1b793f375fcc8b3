/* Everything against everything, best run under the address sanitizer; and the
 * same sessions with and without parking. */

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/pollset.h"
#include "core/util/monotonic.h"
#include "test/unit/core/loop/vloop.h"

#define NCHAOS 60

static struct {
	unsigned int	seed;
	uint64_t	trace;
	Event		*events[NCHAOS];	/* NULL: not scheduled */
} chaos;

static unsigned int
chance(unsigned int n)
{
	chaos.seed = chaos.seed * 1103515245 + 12345;
	return (chaos.seed >> 8) % n;
}

static int
chaos_mask(void)
{
	static const int masks[] = { E_READ, E_WRITE, E_READ | E_TIMEOUT,
		E_ASYNC, E_ASYNC | E_TIMEOUT, E_READ | E_WRITE, E_TIMEOUT };

	return masks[chance(sizeof masks / sizeof masks[0])];
}

static int chaos_callback(Event *, int, void *, struct timeval *);

static void
chaos_add(size_t i)
{
	/* the same few descriptor numbers again and again */
	chaos.events[i] = build_fd_event((int)i, chaos_mask(), 0,
	    chaos_callback, NULL);
	chaos.events[i]->trigger = loopclock_tv(
	    loopclock_us(scheduler_now()) + chance(5000));
	cr_assert_eq(schedule_event(chaos.events[i]), 0);
}

static void
chaos_act(size_t i)
{
	Event *e = chaos.events[i];

	if (e == NULL) {
		chaos_add(i);
		return;
	}
	switch (chance(4)) {
	case 0:
		chaos.events[i] = NULL;
		event_free(e);
		break;
	case 1:
		chaos.events[i] = NULL;
		event_unschedule(e);
		event_free(e);
		chaos_add(i);
		break;
	default:
		schedule_event_and_dispatch(e, E_ASYNC);
		break;
	}
}

static int
chaos_callback(Event *event, int eventtype, void *, struct timeval *now)
{
	size_t i, k, self = (size_t)event->fd;

	cr_assert_eq(chaos.events[self], event);
	if (eventtype == E_TIMEOUT)
		cr_assert(!timercmp(now, &event->trigger, <));
	chaos.trace = chaos.trace * 31 + self * 32 + (uint64_t)eventtype;
	for (k = chance(4); k > 0; k--)
		if ((i = chance(NCHAOS)) != self)
			chaos_act(i);
	if (chance(5) == 0) {
		chaos.events[self] = NULL;
		return 0;
	}
	event->trigger = loopclock_tv(loopclock_us(now) + chance(5000));
	return chaos_mask();
}

static uint64_t
chaos_run(unsigned int seed, int npasses)
{
	struct scheduler *s = v_create();
	int i, k, n;

	memset(&chaos, 0, sizeof chaos);
	chaos.seed = seed;
	for (i = 0; i < npasses; i++) {
		for (k = 0; k < NCHAOS; k++)
			v.revents[k] = chance(3) == 0 ?
			    (short)chance(64) : 0;
		chaos_act(chance(NCHAOS));
		v_turn(chance(2000));
		cr_assert_geq(scheduler_pass(s, 10), 0);
		for (k = n = 0; k < NCHAOS; k++) {
			n += chaos.events[k] != NULL;
			cr_assert_eq(get_event_by_fd(k), chaos.events[k]);
		}
		cr_assert_eq(scheduler_event_count(s), n);
	}
	scheduler_destroy(s);
	return chaos.trace;
}

Test(scheduler_mixed, callbacks_may_do_anything_to_any_other_event)
{
	unsigned int seed;

	for (seed = 1; seed <= 40; seed++)
		chaos_run(seed, 300);
}

Test(scheduler_mixed, a_virtual_backend_makes_it_deterministic)
{
	cr_assert_eq(chaos_run(7, 200), chaos_run(7, 200));
	cr_assert_neq(chaos_run(7, 200), chaos_run(8, 200));
}

static int
count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	cr_assert_not_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

Test(scheduler_mixed, a_virtual_backend_opens_no_descriptor)
{
	struct scheduler *s;
	int before = count_descriptors();

	s = v_create();
	cr_assert_eq(count_descriptors(), before);
	scheduler_destroy(s);
	s = scheduler_create(NULL);
	cr_assert_gt(count_descriptors(), before);
	scheduler_destroy(s);
	cr_assert_eq(count_descriptors(), before);
}

static int
v_real_poll(void *, struct pollfd *fds, nfds_t nfds, int)
{
	return poll(fds, nfds, 0);
}

#define NPARKED 100

static int
echo(Event *event, int eventtype, void *, struct timeval *)
{
	int n, needmask = E_READ;
	char c;

	cr_assert_eq(eventtype, E_READ);
	while ((n = event_read(event, &c, 1, &needmask)) == 1)
		cr_assert_eq(event_write(event, &c, 1, &needmask), 1);
	if (n == -1)
		return E_READ;
	event_close(event);
	return 0;
}

/* The same with and without epoll: parked sessions answer, end and are
 * replaced, with the clock turned by hand and real descriptors. */
static void
park_and_answer(bool has_epoll)
{
	const struct scheduler_backend backend = {
		.size = sizeof(struct scheduler_backend), .now = v_now,
		.wait = v_real_poll, .has_epoll = has_epoll };
	static int sv[NPARKED][2];
	struct scheduler *s;
	int i, round;
	char c;

	memset(&v, 0, sizeof v);
	s = scheduler_create(&backend);
	for (i = 0; i < NPARKED; i++) {
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
		    0, sv[i]), 0);
		cr_assert_eq(schedule_event(build_fd_event(sv[i][0], E_READ,
		    0, echo, NULL)), 0);
	}
	for (round = 0; round < 300; round++) {
		v_turn(20000);
		i = (round * 37) % NPARKED;
		if (round % 3 == 0) {
			c = (char)round;
			cr_assert_eq(write(sv[i][1], &c, 1), 1);
		}
		cr_assert_eq(scheduler_pass(s, 0), round % 3 == 0);
		if (round % 3 == 0) {
			cr_assert_eq(read(sv[i][1], &c, 1), 1);
			cr_assert_eq(c, (char)round);
		}
	}
	for (i = 0; i < NPARKED; i++)
		close(sv[i][1]);
	/* 64 at a time come back from epoll */
	for (i = 0; i < 10; i++)
		cr_assert_geq(scheduler_pass(s, 0), 0);
	cr_assert_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

Test(scheduler_mixed, parked_sessions_answer_and_end)
{
	park_and_answer(true);
}

Test(scheduler_mixed, sessions_answer_and_end_without_epoll)
{
	park_and_answer(false);
}

static int
never(Event *, int, void *, struct timeval *)
{
	cr_assert_fail("nothing was written");
	return 0;
}

Test(scheduler_mixed, a_loop_at_rest_parks_who_is_idle_and_then_rests)
{
	enum { N = 2 * POLLSET_PARK_MIN, PASSES = 100 };
	struct scheduler *s = scheduler_create(NULL);
	uint64_t start, ms = 0;
	int sv[2], fds[N], i;

	cr_assert_not_null(s);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	for (i = 0; i < N; i++) {
		fds[i] = dup(sv[0]);
		cr_assert_eq(schedule_event(build_fd_event(fds[i], E_READ, 0,
		    never, NULL)), 0);
	}
	for (i = 0; i < PASSES && ms < 2 * POLLSET_SWEEP_IDLE_MS; i++) {
		start = monotonic_ms();
		cr_assert_eq(scheduler_pass(s, 3 * POLLSET_SWEEP_IDLE_MS), 0);
		ms = monotonic_ms() - start;
	}
	/* cut short until they were idle for long enough, and never again */
	cr_expect_lt(i, PASSES);
	scheduler_destroy(s);
	for (i = 0; i < N; i++)
		close(fds[i]);
	close(sv[0]);
	close(sv[1]);
}
