#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "test/unit/core/loop/vloop.h"

static struct scheduler *sched;
static int ncalls, last_type;
static int answer;		/* what the callback returns */
static bool floats;		/* it floats its event */

static int
called(Event *e, int eventtype, void *, struct timeval *)
{
	ncalls++;
	last_type = eventtype;
	if (floats)
		float_event(e);
	floats = false;
	return answer;
}

static void
setup(void)
{
	sched = scheduler_create(NULL);
	answer = E_READ;
}

static void
teardown(void)
{
	scheduler_destroy(sched);
}

TestSuite(event_sets, .init = setup, .fini = teardown, .timeout = 10);

/* A pair of sockets; the event is of the first. */
static Event *
event_on(int fds[2], int mask)
{
	Event *e;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	e = build_fd_event(fds[0], mask, E_AGGRESSIVE_NONE, called, NULL);
	cr_assert_eq(schedule_event(e), 0);
	return e;
}

static int
in_set(void (*get)(Event ***set, int *count), const Event *const *expected,
    int n)
{
	Event **set = (Event **)1;
	int count = -1, i;

	get(&set, &count);
	cr_expect_eq(count, n);
	for (i = 0; i < n && i < count; i++)
		cr_expect_eq(set[i], expected[i], "%d", i);
	if (n == 0)
		cr_expect_null(set);
	free(set);
	return count;
}

Test(event_sets, events_with_a_descriptor_in_its_order)
{
	int a[2], b[2], c[2];
	const Event *x = event_on(a, E_READ), *y = event_on(b, E_ASYNC),
	    *z = event_on(c, E_WRITE);
	Event *timer = build_event_from_now_f(100, -1, called, NULL);
	const Event *const all[] = { x, y, z };

	cr_assert_eq(schedule_event(timer), 0);
	in_set(get_fd_event_set, all, 3);
	in_set(get_floating_event_set, NULL, 0);
	event_free(clear_event_by_fd(b[0]));
	in_set(get_fd_event_set, (const Event *const[]){ x, z }, 2);
	event_free(clear_event_by_fd(a[0]));
	event_free(clear_event_by_fd(c[0]));
	in_set(get_fd_event_set, NULL, 0);
}

Test(event_sets, one_that_floats_is_called_for_nothing_until_it_is_dispatched)
{
	int fds[2];
	Event *e = event_on(fds, E_READ);

	cr_assert_eq(write(fds[1], "x", 1), 1);
	float_event(e);
	in_set(get_fd_event_set, NULL, 0);
	in_set(get_floating_event_set, (const Event *const[]){ e }, 1);
	cr_expect_eq(get_event_by_fd(fds[0]), e);
	cr_expect_eq(scheduler_pass(sched, 10), 0);
	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	cr_expect_eq(scheduler_pass(sched, 10), 1);
	cr_expect_eq(last_type, E_ASYNC);
	in_set(get_floating_event_set, NULL, 0);
	/* it waits for what its callback has returned */
	cr_expect_eq(scheduler_pass(sched, 1000), 1);
	cr_expect_eq(last_type, E_READ);
}

Test(event_sets, a_timer_that_floats_does_not_fire)
{
	Event *timer;

	scheduler_destroy(sched);
	sched = v_create();
	timer = build_event_from_now_f(10, -1, called, NULL);
	answer = 0;
	cr_assert_eq(schedule_event(timer), 0);
	float_event(timer);
	in_set(get_floating_event_set, (const Event *const[]){ timer }, 1);
	v_turn(20000000);
	cr_expect_eq(scheduler_pass(sched, 30), 0);
	cr_assert_eq(schedule_event_and_dispatch(timer, E_ASYNC), 0);
	cr_expect_eq(scheduler_pass(sched, 30), 1);
	cr_expect_eq(scheduler_event_count(sched), 0, "it has returned 0");
}

/* Suspended from within its callback, whose value is ignored then. */
Test(event_sets, a_callback_can_float_its_event)
{
	int fds[2];
	Event *e = event_on(fds, E_READ);

	cr_assert_eq(write(fds[1], "x", 1), 1);
	floats = true;
	answer = 0;
	cr_expect_eq(scheduler_pass(sched, 1000), 1);
	in_set(get_floating_event_set, (const Event *const[]){ e }, 1);
	cr_expect_eq(scheduler_pass(sched, 10), 0);
	/* schedule_event() lets it wait for its mask again */
	e->mask = E_READ;
	cr_assert_eq(schedule_event(e), 0);
	in_set(get_fd_event_set, (const Event *const[]){ e }, 1);
	cr_expect_eq(scheduler_pass(sched, 1000), 1);
	cr_expect_eq(scheduler_event_count(sched), 0);
}

static void *
other_thread(void *closure)
{
	Event *e = closure;
	char c;
	int needmask;

	/* it may work on it meanwhile */
	cr_expect_eq(event_read(e, &c, 1, &needmask), 1);
	cr_expect_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	return NULL;
}

Test(event_sets, another_thread_may_work_on_it_and_give_it_back)
{
	int fds[2];
	Event *e = event_on(fds, E_READ);
	pthread_t thread;

	cr_assert_eq(write(fds[1], "x", 1), 1);
	float_event(e);
	cr_assert_eq(pthread_create(&thread, NULL, other_thread, e), 0);
	while (ncalls == 0)
		cr_assert_geq(scheduler_pass(sched, 1000), 0);
	pthread_join(thread, NULL);
	cr_expect_eq(last_type, E_ASYNC);
	cr_expect_eq(scheduler_pass(sched, 10), 0, "nothing is left to read");
}

Test(event_sets, one_that_floats_can_be_freed_and_cleared)
{
	int a[2], b[2];
	Event *x = event_on(a, E_READ), *y = event_on(b, E_READ);

	float_event(x);
	float_event(y);
	float_event(y);
	event_free(x);
	cr_expect_eq(clear_event_by_fd(b[0]), y);
	in_set(get_floating_event_set, NULL, 0);
	/* it does not float any more */
	y->mask = E_READ;
	cr_assert_eq(schedule_event(y), 0);
	in_set(get_fd_event_set, (const Event *const[]){ y }, 1);
}

Test(event_sets, what_is_not_scheduled_does_not_float)
{
	Event *e = build_event_from_now_f(1, -1, called, NULL);

	float_event(NULL);
	float_event(e);
	in_set(get_floating_event_set, NULL, 0);
	cr_expect_eq(schedule_event(e), 0);
}

static void *
without_scheduler(void *)
{
	in_set(get_fd_event_set, NULL, 0);
	in_set(get_floating_event_set, NULL, 0);
	return NULL;
}

Test(event_sets, a_thread_without_a_scheduler_has_none)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, without_scheduler, NULL),
	    0);
	pthread_join(thread, NULL);
}

Test(event_sets, schedulers_are_registered_by_name)
{
	static char first[] = "one", second[] = "two";
	static ec_scheduler_impl one = { EC_SCHEDULER_INIT(first),
		.init = NULL }, again = { EC_SCHEDULER_INIT(first),
		.init = NULL }, two = { EC_SCHEDULER_INIT(second),
		.init = NULL }, nameless;

	cr_expect_null(scheduler_registered("one"));
	scheduler_register(&one);
	scheduler_register(&two);
	cr_expect_eq(scheduler_registered("one"), &one);
	scheduler_register(&again);
	cr_expect_eq(scheduler_registered("one"), &again);
	cr_expect_eq(scheduler_registered("two"), &two);
	cr_expect_eq(two.sizeof_scheduler_impl, sizeof(two));
	scheduler_register(&nameless);
	scheduler_register(NULL);
	cr_expect_null(scheduler_registered(NULL));
}
