#include <sys/socket.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
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

/* Two threads would be in one event. */
Test(event_sets, what_was_posted_before_waits)
{
	int fds[2];
	Event *e = event_on(fds, E_READ);

	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	float_event(e);
	cr_expect_eq(scheduler_pass(sched, 0), 0);
	cr_assert_eq(schedule_event_and_dispatch(e, E_WRITE), 0);
	cr_expect_eq(scheduler_pass(sched, 0), 1);
	cr_expect_eq(last_type, E_ASYNC | E_WRITE);
	/* also if its own thread goes on */
	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	float_event(e);
	cr_expect_eq(scheduler_pass(sched, 0), 0);
	e->mask = E_READ;
	cr_assert_eq(schedule_event(e), 0);
	cr_expect_eq(scheduler_pass(sched, 0), 1);
	cr_expect_eq(last_type, E_ASYNC);
	cr_expect_eq(scheduler_pass(sched, 0), 0);
}

/* Its trigger may be the other thread's. */
Test(event_sets, a_stepped_clock_does_not_change_one_that_floats)
{
	Event *timer = build_event_from_now_f(5, -1, called, NULL);
	struct timeval trigger = timer->trigger;

	cr_assert_eq(schedule_event(timer), 0);
	float_event(timer);
	scheduler_shift(sched, 1000000);
	cr_expect(timercmp(&timer->trigger, &trigger, ==));
}

static void (*ends)(Event *e);

static int
floats_and_ends(Event *e, int, void *, struct timeval *)
{
	ncalls++;
	float_event(e);
	ends(e);
	return answer;
}

static void
by_clearing(Event *e)
{
	cr_expect_eq(clear_event_by_fd(e->fd), e);
}

static void
by_closing(Event *e)
{
	event_close(e);
}

/* One that floats and then is closed or taken off is the dispatcher's: what it
 * returns counts.  LeakSanitizer sees one that nobody frees. */
Test(event_sets, a_callback_can_end_its_event_that_floats)
{
	static void (*const ways[])(Event *) = { by_clearing, by_closing };
	struct mallinfo2 before = mallinfo2();
	int fds[2], i;

	for (i = 0; i < 1000; i++) {
		if (i == 10)
			before = mallinfo2();
		ends = ways[i % 2];
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
		    0, fds), 0);
		cr_assert_eq(schedule_event(build_fd_event(fds[0], E_READ,
		    E_AGGRESSIVE_NONE, floats_and_ends, NULL)), 0);
		cr_assert_eq(write(fds[1], "x", 1), 1);
		answer = 0;
		cr_assert_eq(scheduler_pass(sched, 1000), 1);
		cr_assert_eq(scheduler_event_count(sched), 0);
		in_set(get_floating_event_set, NULL, 0);
		if (ends == by_clearing)
			close(fds[0]);
		close(fds[1]);
	}
	cr_expect_lt(mallinfo2().uordblks, before.uordblks +
	    500 * sizeof(Event) / 2);
}

/* It may go on, too. */
Test(event_sets, a_callback_can_close_its_event_that_floats_and_go_on)
{
	int fds[2];
	Event *e = event_on(fds, E_READ);

	e->callback = floats_and_ends;
	ends = by_closing;
	answer = E_ASYNC;
	cr_assert_eq(write(fds[1], "x", 1), 1);
	cr_assert_eq(scheduler_pass(sched, 1000), 1);
	in_set(get_floating_event_set, NULL, 0);
	cr_expect_eq(scheduler_event_count(sched), 1);
	answer = 0;
	e->callback = called;
	cr_assert_eq(schedule_event_and_dispatch(e, E_ASYNC), 0);
	cr_expect_eq(scheduler_pass(sched, 0), 1);
	cr_expect_eq(scheduler_event_count(sched), 0);
}

Test(event_sets, what_is_not_scheduled_does_not_float)
{
	Event *e = build_event_from_now_f(1, -1, called, NULL);

	float_event(NULL);
	float_event(e);
	in_set(get_floating_event_set, NULL, 0);
	cr_expect_eq(schedule_event(e), 0);
}

#define NIMPLS	400

static ec_scheduler_impl impls[NIMPLS];
static char names[NIMPLS][16];

static void *
look_up(void *)
{
	ec_scheduler_impl *found;

	do {
		found = scheduler_registered(names[0]);
		cr_assert(found == NULL || found == &impls[0]);
	} while (scheduler_registered(names[NIMPLS - 1]) == NULL);
	return NULL;
}

/* The list grows, and moves, meanwhile: AddressSanitizer and ThreadSanitizer see
 * what is read too late. */
Test(event_sets, a_scheduler_is_looked_up_while_others_are_registered)
{
	pthread_t thread;
	int i;

	for (i = 0; i < NIMPLS; i++) {
		snprintf(names[i], sizeof names[i], "s%d", i);
		impls[i].name = names[i];
	}
	cr_assert_eq(pthread_create(&thread, NULL, look_up, NULL), 0);
	for (i = 0; i < NIMPLS; i++)
		scheduler_register(&impls[i]);
	pthread_join(thread, NULL);
}

static void *
register_always(void *is_over)
{
	while (!__atomic_load_n((bool *)is_over, __ATOMIC_RELAXED))
		scheduler_register(&impls[0]);
	return NULL;
}

/* The lock is free in the child. */
Test(event_sets, a_scheduler_is_looked_up_in_a_child, .timeout = 60)
{
	bool is_over = false;
	pthread_t thread;
	int i, status;
	pid_t pid;

	snprintf(names[0], sizeof names[0], "s0");
	impls[0].name = names[0];
	cr_assert_eq(pthread_create(&thread, NULL, register_always, &is_over),
	    0);
	for (i = 0; i < 200; i++) {
		if ((pid = fork()) == 0) {
			alarm(5);
			(void)scheduler_registered("s0");
			_exit(0);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
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
