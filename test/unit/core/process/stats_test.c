#include <sys/mman.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/process/stats.h"

Test(stats, counts_alone_before_it_is_attached)
{
	stats_inc(STATS_SESSIONS);
	stats_add(STATS_SESSIONS, 2);
	cr_expect_eq(stats_sum(STATS_SESSIONS), 3);
	cr_expect_eq(stats_sum(STATS_DELIVERED), 0);
}

Test(stats, what_was_counted_before_moves_into_the_slot)
{
	int fd = stats_create();

	cr_assert_neq(fd, -1);
	stats_add(STATS_DELIVERED, 5);
	cr_assert_eq(stats_attach(fd), 0);
	cr_expect_eq(stats_sum(STATS_DELIVERED), 5);
	stats_inc(STATS_DELIVERED);
	cr_expect_eq(stats_sum(STATS_DELIVERED), 6);
	close(fd);
}

/* A child that counts ${n} commits, and, as its parent never does, ${n} kills. */
static void
child_counts(int fd, unsigned int n)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		if (stats_attach(fd) == -1)
			_exit(1);
		stats_add(STATS_COMMITS, n);
		stats_add(STATS_HOSTILE_KILLS, n);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	cr_assert_eq(status, 0);
	close(fd);
}

Test(stats, sums_the_counters_of_all_processes_dead_ones_too)
{
	struct stats_child *children[3];
	unsigned int i;
	int fd;

	cr_assert_eq(stats_attach(stats_create()), 0);
	for (i = 0; i < 3; i++) {
		fd = stats_create();
		cr_assert_not_null(children[i] = stats_watch(fd));
		child_counts(fd, i + 1);
	}
	stats_inc(STATS_COMMITS);
	cr_expect_eq(stats_sum(STATS_COMMITS), 7);
	stats_unwatch(children[1]);
	stats_unwatch(children[0]);
	cr_expect_eq(stats_sum(STATS_COMMITS), 7);
	/* these are the parent's */
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
	stats_inc(STATS_HOSTILE_KILLS);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
	stats_unwatch(children[2]);
	stats_unwatch(NULL);
	cr_expect_eq(stats_sum(STATS_COMMITS), 7);
}

/* The memory that a child writes to. */
static uint64_t *
child(struct stats_child **sc_r)
{
	int fd = stats_create();
	uint64_t *v = mmap(NULL, sizeof(*v) * STATS_NCOUNTERS,
	    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	cr_assert_neq(v, MAP_FAILED);
	cr_assert_not_null(*sc_r = stats_watch(fd));
	close(fd);
	return v;
}

Test(stats, one_that_counts_what_it_likes_does_not_hide_the_others)
{
	static const uint64_t lies[] = { STATS_CHILD_MAX + 1, 1ULL << 63,
		UINT64_MAX, UINT64_MAX - 7, INT64_MAX };
	struct stats_child *honest, *liar;
	uint64_t *h = child(&honest), *v, n = 0;
	size_t i;

	h[STATS_COMMITS] = 7;
	h[STATS_DELIVERED] = 3;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		v = child(&liar);
		v[STATS_COMMITS] = 10;
		n += 10;
		cr_expect_not(stats_is_left_out(liar));
		v[STATS_COMMITS] = lies[i];
		/* with it, all that is new in the others is in doubt */
		v[STATS_DELIVERED] = 1000;
		cr_expect(stats_is_left_out(liar));
		cr_expect_not(stats_is_left_out(honest));
		cr_expect_eq(stats_sum(STATS_COMMITS), 7 + n);
		cr_expect_eq(stats_sum(STATS_DELIVERED), 3);
		/* it is too late to be modest */
		v[STATS_COMMITS] = 11;
		cr_expect_eq(stats_sum(STATS_COMMITS), 7 + n);
		stats_unwatch(liar);
		cr_expect_eq(stats_sum(STATS_COMMITS), 7 + n);
		cr_expect_eq(stats_sum(STATS_LEFT_OUT), i + 1);
	}
	cr_expect_eq(stats_sum(STATS_COMMITS), 7 + 5 * 10);
}

Test(stats, a_sum_does_not_overflow)
{
	struct stats_child *liars[300];
	size_t i;

	for (i = 0; i < 300; i++)
		child(&liars[i])[STATS_COMMITS] = STATS_CHILD_MAX;
	cr_expect_eq(stats_sum(STATS_COMMITS), INT64_MAX);
	cr_expect_eq(stats_sum(STATS_LEFT_OUT), 0);
	for (i = 0; i < 300; i++)
		stats_unwatch(liars[i]);
	cr_expect_eq(stats_sum(STATS_COMMITS), INT64_MAX);
	stats_add(STATS_RESPAWNS, UINT64_MAX);
	cr_expect_eq(stats_sum(STATS_RESPAWNS), INT64_MAX);
}

Test(stats, a_sum_does_not_decrease)
{
	struct stats_child *sc;
	uint64_t *v = child(&sc);

	v[STATS_COMMITS] = 10;
	cr_expect_eq(stats_sum(STATS_COMMITS), 10);
	v[STATS_COMMITS] = 2;
	cr_expect_eq(stats_sum(STATS_COMMITS), 10);
	v[STATS_COMMITS] = 12;
	stats_unwatch(sc);
	cr_expect_eq(stats_sum(STATS_COMMITS), 12);
}

/* What it writes where the parent alone counts is nothing. */
Test(stats, what_is_the_parent_s_is_no_matter_in_a_child)
{
	struct stats_child *sc;
	uint64_t *v = child(&sc);

	v[STATS_HOSTILE_KILLS] = v[STATS_LEFT_OUT] = UINT64_MAX;
	cr_expect_not(stats_is_left_out(sc));
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
	cr_expect_eq(stats_sum(STATS_LEFT_OUT), 0);
}

static void *
count_to_10000(void *)
{
	int i;

	for (i = 0; i < 10000; i++)
		stats_inc(STATS_COMMITS);
	return NULL;
}

Test(stats, threads_of_one_process_lose_nothing)
{
	pthread_t a, b;

	pthread_create(&a, NULL, count_to_10000, NULL);
	pthread_create(&b, NULL, count_to_10000, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	cr_expect_eq(stats_sum(STATS_COMMITS), 20000);
}

Test(stats, a_wrong_file_is_refused)
{
	int other = memfd_create("x", MFD_CLOEXEC);

	cr_expect_eq(stats_attach(other), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_null(stats_watch(other));
	cr_expect_eq(errno, EINVAL);
	close(other);
}

Test(stats, nobody_can_shrink_the_shared_memory)
{
	int fd = stats_create();

	cr_expect_eq(ftruncate(fd, 0), -1);
	cr_expect_eq(errno, EPERM);
	close(fd);
}

Test(stats, every_counter_has_a_name_of_its_own)
{
	int i, j;

	for (i = 0; i < STATS_NCOUNTERS; i++)
		for (j = 0; j < i; j++)
			cr_expect_str_neq(stats_name((enum stats_id)i),
			    stats_name((enum stats_id)j));
	cr_expect_str_eq(stats_name(STATS_NCOUNTERS), "unknown");
}
