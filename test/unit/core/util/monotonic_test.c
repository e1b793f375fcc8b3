#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/util/monotonic.h"

static uint64_t
ns_of(struct timespec ts)
{
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

Test(monotonic, both_units_are_of_the_system_s_clock)
{
	struct timespec before, after;
	uint64_t ns, ms;

	clock_gettime(CLOCK_MONOTONIC, &before);
	ns = monotonic_ns();
	ms = monotonic_ms();
	clock_gettime(CLOCK_MONOTONIC, &after);
	cr_expect_geq(ns, ns_of(before));
	cr_expect_leq(ns, ns_of(after));
	cr_expect_geq(ms, ns_of(before) / 1000000);
	cr_expect_leq(ms, ns_of(after) / 1000000);
}

Test(monotonic, a_time_to_come_is_normalised)
{
	static const uint64_t ns[] = { 0, 1, 999999999, 1000000000,
		1000000001, 59999999999, 4294967295000000 };
	uint64_t before, after, then;
	struct timespec ts;
	size_t i;

	for (i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		before = monotonic_ns();
		ts = monotonic_in(ns[i]);
		after = monotonic_ns();
		then = ns_of(ts) - ns[i];
		cr_expect(ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
		cr_expect_geq(then, before);
		cr_expect_leq(then, after);
	}
}

Test(monotonic, a_condition_waits_by_this_clock)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	uint64_t end_ms = monotonic_ms() + 20;
	struct timespec end = monotonic_at(end_ms);
	pthread_cond_t cond;
	int rc;

	cr_assert_eq(ns_of(end), end_ms * 1000000);
	cr_assert_eq(monotonic_cond_init(&cond), 0);
	pthread_mutex_lock(&lock);
	while ((rc = pthread_cond_timedwait(&cond, &lock, &end)) == 0)
		continue;
	pthread_mutex_unlock(&lock);
	/* that of the wall clock would end at once: it is ahead of this one */
	cr_expect_eq(rc, ETIMEDOUT);
	cr_expect_geq(monotonic_ms(), end_ms);
	pthread_cond_destroy(&cond);
}

static atomic_uint nsignals;

static void
on_signal(int)
{
	nsignals++;
}

/* Signals the waiting thread until it has had many; then makes the pipe ready. */
struct nuisance { pthread_t waiting; int fd; };

static void *
annoy(void *closure)
{
	const struct nuisance *n = closure;

	while (nsignals < 20) {
		pthread_kill(n->waiting, SIGUSR1);
		(void)poll(NULL, 0, 1);
	}
	cr_assert_eq(write(n->fd, "x", 1), 1);
	return NULL;
}

Test(monotonic, a_wait_goes_on_after_a_signal, .timeout = 60)
{
	const struct sigaction sa = { .sa_handler = on_signal };
	struct nuisance n = { .waiting = pthread_self() };
	pthread_t thread;
	int fds[2];

	sigaction(SIGUSR1, &sa, NULL);
	cr_assert_eq(pipe(fds), 0);
	n.fd = fds[1];
	cr_assert_eq(pthread_create(&thread, NULL, annoy, &n), 0);
	cr_expect_eq(monotonic_poll(fds[0], POLLIN, UINT64_MAX), 1);
	pthread_join(thread, NULL);
	cr_expect_geq(nsignals, 20);
	close(fds[0]);
	close(fds[1]);
}

Test(monotonic, a_wait_ends_in_time_and_tells_of_an_end)
{
	uint64_t end_ms = monotonic_ms() + 20;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_expect_eq(monotonic_poll(fds[0], POLLIN, end_ms), 0);
	cr_expect_geq(monotonic_ms(), end_ms);
	close(fds[1]);
	cr_expect_eq(monotonic_poll(fds[0], POLLIN, UINT64_MAX), 1);
	/* too late, whatever there is */
	cr_expect_eq(monotonic_poll(fds[0], POLLIN, monotonic_ms()), 0);
	close(fds[0]);
}
