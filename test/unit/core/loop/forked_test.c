/* A process that is forked off: neither takes the other's events. */

#include <sys/socket.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "core/loop/pollset.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define N	(POLLSET_PARK_MIN + 8)

static struct scheduler *sched;
static Event *events[N];
static int peers[N];
static unsigned int ncalls[N];

static int
on_ready(Event *e, int, void *closure, struct timeval *)
{
	char c;
	int need;

	ncalls[(intptr_t)closure]++;
	(void)event_read(e, &c, 1, &need);
	return E_READ;
}

/* Events that are parked. */
static void
start(void)
{
	uint64_t end = monotonic_ms() + 30000;
	size_t i, nparked = 0;
	int fds[2];

	sched = scheduler_create(NULL);
	cr_assert_not_null(sched);
	for (i = 0; i < N; i++) {
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
		    0, fds), 0);
		peers[i] = fds[1];
		events[i] = build_fd_event(fds[0], E_READ, E_AGGRESSIVE_NONE,
		    on_ready, (void *)(intptr_t)i);
		cr_assert_eq(schedule_event(events[i]), 0);
	}
	while (nparked < N && monotonic_ms() < end) {
		cr_assert_geq(scheduler_pass(sched, 20), 0);
		for (i = nparked = 0; i < N; i++)
			nparked += events[i]->is_parked;
	}
	cr_assert_eq(nparked, N);
}

/* Each event hears what its peer sends. */
static bool
all_hear(void)
{
	uint64_t end = monotonic_ms() + 5000;
	size_t i, n = 0;

	for (i = 0; i < N; i++) {
		ncalls[i] = 0;
		if (write(peers[i], "x", 1) != 1)
			return false;
	}
	while (n < N && monotonic_ms() < end) {
		if (scheduler_pass(sched, 100) == -1)
			return false;
		for (i = n = 0; i < N; i++)
			n += ncalls[i] == 1;
	}
	return n == N;
}

static void
end(void)
{
	size_t i;

	for (i = 0; i < N; i++) {
		event_close(events[i]);
		event_free(events[i]);
		close(peers[i]);
	}
	scheduler_destroy(sched);
}

/* What the child does, its status 0 if all is well. */
static int
in_child(int (*f)(void))
{
	int status;
	pid_t pid = fork();

	cr_assert_neq(pid, -1);
	if (pid == 0) {
		/* one that waits for ever must not be left behind */
		alarm(30);
		_exit(f());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int
close_all(void)
{
	end();
	return 0;
}

Test(forked, what_a_child_closes_stays_parked_in_the_parent)
{
	start();
	cr_assert_eq(in_child(close_all), 0);
	cr_assert(all_hear());
	end();
}

static int
unschedule_all(void)
{
	size_t i;

	for (i = 0; i < N; i++)
		event_unschedule(events[i]);
	return 0;
}

Test(forked, what_a_child_unschedules_stays_parked_in_the_parent)
{
	start();
	cr_assert_eq(in_child(unschedule_all), 0);
	cr_assert(all_hear());
	end();
}

static int
hear_all(void)
{
	return !all_hear();
}

Test(forked, the_loop_goes_on_in_the_child_and_then_in_the_parent)
{
	start();
	cr_assert_eq(in_child(hear_all), 0);
	cr_assert(all_hear());
	end();
}

static int
make_passes(void)
{
	return scheduler_pass(sched, 0) == -1 || scheduler_pass(sched, 0) == -1;
}

Test(forked, a_child_does_not_take_what_wakes_the_parent)
{
	uint64_t began;

	start();
	ping_scheduler();
	cr_assert_eq(in_child(make_passes), 0);
	began = monotonic_ms();
	cr_assert_geq(scheduler_pass(sched, 20000), 0);
	cr_assert_lt(monotonic_ms() - began, 10000);
	end();
}

static int
wake(void)
{
	ping_scheduler();
	return 0;
}

Test(forked, a_child_does_not_wake_the_parent)
{
	uint64_t began;

	start();
	cr_assert_eq(in_child(wake), 0);
	began = monotonic_ms();
	cr_assert_eq(scheduler_pass(sched, 200), 0);
	cr_assert_geq(monotonic_ms() - began, 100);
	end();
}

/* --- other threads --------------------------------------------------------- */

static bool is_stopping;

static void *
post(void *e)
{
	while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED))
		(void)schedule_event_and_dispatch(e, E_ASYNC);
	return NULL;
}

/* The queue that the child gets is whole, and its lock free. */
Test(forked, a_thread_may_post_meanwhile)
{
	pthread_t thread;
	int i;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, post, events[0]), 0);
	for (i = 0; i < 100; i++)
		cr_assert_eq(in_child(close_all), 0);
	__atomic_store_n(&is_stopping, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	cr_assert_geq(scheduler_pass(sched, 0), 0);
	end();
}

static void *
schedule(void *e)
{
	while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED))
		(void)schedule_event_and_dispatch(e, E_ASYNC);
	return NULL;
}

/* It holds the lock of the list of schedulers for most of the time. */
Test(forked, a_thread_may_have_an_event_scheduled_meanwhile, .timeout = 60)
{
	pthread_t thread;
	Event *e;
	int i;

	start();
	e = build_fd_event(-1, E_ASYNC, E_AGGRESSIVE_NONE, on_ready, NULL);
	cr_assert_eq(pthread_create(&thread, NULL, schedule, e), 0);
	for (i = 0; i < 200; i++)
		cr_assert_eq(in_child(close_all), 0);
	__atomic_store_n(&is_stopping, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	end();
}

static void *
fork_elsewhere(void *status)
{
	*(int *)status = in_child(close_all);
	return NULL;
}

/* The child's events are those of a thread that it does not have. */
Test(forked, another_thread_may_fork)
{
	pthread_t thread;
	int status = -1;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, fork_elsewhere, &status),
	    0);
	pthread_join(thread, NULL);
	cr_assert_eq(status, 0);
	cr_assert(all_hear());
	end();
}

static int
are_left_alone(void)
{
	size_t i;

	for (i = 0; i < N; i++)
		if (!events[i]->is_parked)
			return 1;
	return 0;
}

static void *
fork_and_look(void *status)
{
	*(int *)status = in_child(are_left_alone);
	return NULL;
}

/* What belongs to a thread that the child does not have may be in the middle of
 * a change. */
Test(forked, the_events_of_another_thread_are_not_touched)
{
	pthread_t thread;
	int status = -1;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, fork_and_look, &status), 0);
	pthread_join(thread, NULL);
	cr_assert_eq(status, 0);
	cr_assert(all_hear());
	end();
}

static void virtual_now(void *, struct timeval *now_r);
static int virtual_wait(void *, struct pollfd *, nfds_t, int);

/* Its table of descriptors grows for most of the time: the number is far, and no
 * descriptor. */
static void *
grow(void *)
{
	const struct scheduler_backend parking = { .size = sizeof(parking),
		.now = virtual_now, .wait = virtual_wait, .has_epoll = true };
	struct scheduler *s;
	int fds[] = { 3, 1 << 21 };
	size_t i;

	while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED)) {
		s = scheduler_create(&parking);
		cr_assert_not_null(s);
		for (i = 0; i < 2; i++)
			cr_assert_eq(schedule_event(build_fd_event(fds[i],
			    E_READ, E_AGGRESSIVE_NONE, on_ready, NULL)), 0);
		scheduler_destroy(s);
	}
	return NULL;
}

static int
do_nothing(void)
{
	return 0;
}

Test(forked, while_another_thread_changes_its_scheduler, .timeout = 120)
{
	pthread_t thread;
	int i;

	cr_assert_eq(pthread_create(&thread, NULL, grow, NULL), 0);
	for (i = 0; i < 100; i++)
		cr_assert_eq(in_child(do_nothing), 0, "fork %d", i);
	__atomic_store_n(&is_stopping, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* --- the first scheduler of the process ------------------------------------- */

static void *
ping(void *)
{
	while (!__atomic_load_n(&is_stopping, __ATOMIC_RELAXED)) {
		usleep(1000);
		ping_scheduler();
	}
	return NULL;
}

/* Does a thread that has no scheduler wake this thread's? */
static int
is_not_woken(void)
{
	uint64_t began;
	pthread_t thread;
	int rc;

	sched = scheduler_create(NULL);
	if (sched == NULL || pthread_create(&thread, NULL, ping, NULL) != 0)
		return 1;
	began = monotonic_ms();
	rc = scheduler_pass(sched, 20000);
	__atomic_store_n(&is_stopping, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	scheduler_destroy(sched);
	return rc != 0 || monotonic_ms() - began >= 10000;
}

static void *
fork_with_own(void *status)
{
	*(int *)status = in_child(is_not_woken);
	return NULL;
}

Test(forked, in_the_child_of_another_thread_the_first_is_the_childs)
{
	pthread_t thread;
	int status = -1;

	start();
	cr_assert_eq(pthread_create(&thread, NULL, fork_with_own, &status), 0);
	pthread_join(thread, NULL);
	cr_assert_eq(status, 0);
	end();
}

static pthread_barrier_t at;

static void *
wait_to_be_woken(void *took_ms)
{
	struct scheduler *s = scheduler_create(NULL);
	uint64_t began;

	pthread_barrier_wait(&at);
	pthread_barrier_wait(&at);
	began = monotonic_ms();
	cr_assert_eq(scheduler_pass(s, 20000), 0);
	*(uint64_t *)took_ms = monotonic_ms() - began;
	scheduler_destroy(s);
	return NULL;
}

Test(forked, the_next_one_is_the_first_when_the_first_is_gone)
{
	struct scheduler *s = scheduler_create(NULL);
	uint64_t took_ms = 20000;
	pthread_t thread;

	pthread_barrier_init(&at, NULL, 2);
	cr_assert_eq(pthread_create(&thread, NULL, wait_to_be_woken,
	    &took_ms), 0);
	pthread_barrier_wait(&at);
	scheduler_destroy(s);
	/* it is kept until the wait begins */
	ping_scheduler();
	pthread_barrier_wait(&at);
	pthread_join(thread, NULL);
	cr_assert_lt(took_ms, 10000);
}

/* --- a scheduler that has no descriptors ------------------------------------ */

static void
virtual_now(void *, struct timeval *now_r)
{
	now_r->tv_sec = 1000;
	now_r->tv_usec = 0;
}

static int
virtual_wait(void *, struct pollfd *, nfds_t, int)
{
	return 0;
}

static int
pass(void)
{
	return scheduler_pass(sched, 0) == -1;
}

Test(forked, a_virtual_loop_goes_on)
{
	const struct scheduler_backend virtual = {
		.size = sizeof(struct scheduler_backend), .now = virtual_now,
		.wait = virtual_wait };

	sched = scheduler_create(&virtual);
	cr_assert_not_null(sched);
	cr_assert_eq(in_child(pass), 0);
	cr_assert_eq(pass(), 0);
	scheduler_destroy(sched);
}
