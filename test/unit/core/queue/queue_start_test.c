/* Starting the queue for a domain (ETRN). */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/queue/queue_mem.h"

QF_SUITE(queue_start);

#define SLOT	1
#define N	20	/* deferred messages */

/* Each has a recipient at a.test and one at b.test, and waits for an hour. */
static void
defer_all(void)
{
	static const char *const rcpts[] = { "joe@a.test", "ann@b.test" };
	uint64_t i;

	f.config.retry_s = f.config.max_retry_s = 3600;
	qf_close(&f);
	qf_open(&f);
	qf_segment(&f, &s, 1);
	for (i = 1; i <= N; i++)
		qf_append(&s, QF_ID(i), "s@x.test", rcpts, 2, "body");
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2 * N);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
}

static void
start(const char *domain, bool has_subdomains)
{
	cr_assert_eq(queue_start(f.q, SLOT, domain, has_subdomains), 0);
}

/* The agents have all of a.test, and nothing else. */
static void
expect_all_of_a(void)
{
	char rcpt[64];
	size_t i;

	cr_assert_eq(f.njobs, N);
	for (i = 0; i < f.njobs; i++) {
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
		cr_expect_str_eq(rcpt, "joe@a.test");
	}
}

Test(queue_start, what_waits_for_the_domain_is_tried_at_once)
{
	defer_all();
	start("a.test", false);
	qf_pass(&f, 10);
	expect_all_of_a();
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_expect_eq(qf_listed(&f), N, "b.test");
	start("test", true);
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, N);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_expect_eq(qf_listed(&f), 0);
}

Test(queue_start, a_domain_of_which_nothing_waits_changes_nothing)
{
	defer_all();
	start("c.test", false);
	start("a.test.b", false);
	start("test", false);
	start("a.tes", true);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
}

/* However often a client or a worker asks: the agents try no more than once in
 * that time.  Who asks meanwhile is not forgotten. */
Test(queue_start, it_begins_once_in_a_while)
{
	unsigned int i, ntries = 0;

	defer_all();
	for (i = 0; i < 4 * 300; i++) {		/* two minutes */
		start("a.test", false);
		(void)queue_start(f.q, SLOT + 1 + i % 3, "a.test", false);
		qf_pass(&f, 100);
		if (f.njobs == 0)
			continue;
		expect_all_of_a();
		qf_finish(&f, EACCES);
		ntries++;
	}
	cr_expect_geq(ntries, 120000 / QUEUE_START_MS);
	cr_expect_leq(ntries, 120000 / QUEUE_START_MS + 1);
}

Test(queue_start, what_was_asked_too_early_is_done_after_that_time)
{
	defer_all();
	start("a.test", false);
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, N);
	qf_finish(&f, EACCES);
	start("a.test", false);
	qf_pass(&f, QUEUE_START_MS - 1000);
	cr_expect_eq(f.njobs, 0);
	qf_pass(&f, 2000);
	cr_expect_eq(f.njobs, N);
	qf_finish(&f, EACCES);
	qf_pass(&f, 3 * QUEUE_START_MS);
	cr_expect_eq(f.njobs, 0, "it was asked once");
}

/* A worker cannot fill the list, nor keep the others from starting. */
Test(queue_start, a_slot_has_its_share)
{
	char domain[32];
	unsigned int i;

	defer_all();
	for (i = 0; i < QUEUE_STARTS_MAX; i++) {
		snprintf(domain, sizeof(domain), "d%u.test", i);
		cr_assert_eq(queue_start(f.q, SLOT, domain, i % 2 != 0), 0);
	}
	cr_expect_eq(queue_start_room(f.q, SLOT), 0);
	cr_expect_eq(queue_start_room(f.q, SLOT + 1), QUEUE_STARTS_MAX);
	cr_expect_eq(queue_start(f.q, SLOT, "a.test", false), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_eq(queue_start(f.q, SLOT, "d7.test", true), 0, "it has it");
	cr_expect_eq(queue_start(f.q, SLOT + 1, "a.test", false), 0);
	qf_pass(&f, 1000);
	expect_all_of_a();
	qf_finish(&f, 0);
	qf_pass(&f, QUEUE_START_MS + 1000);
	cr_expect_eq(queue_start(f.q, SLOT, "b.test", false), 0);
	qf_pass(&f, 10);
	cr_expect_eq(f.njobs, N);
}

/* Nothing else need happen for that: a worker that has no room does not ask. */
Test(queue_start, one_that_is_over_makes_room)
{
	int64_t begin = f.ms;
	int ms;

	start("a.test", false);
	cr_expect_eq(queue_start_room(f.q, SLOT), QUEUE_STARTS_MAX - 1);
	while (queue_start_room(f.q, SLOT) < QUEUE_STARTS_MAX) {
		cr_assert_leq(f.ms - begin, QUEUE_START_MS + 1000);
		ms = queue_pass(f.q, &f.now, f.ms);
		if (queue_start_room(f.q, SLOT) < QUEUE_STARTS_MAX)
			cr_assert_leq(queue_starts_due(f.q),
			    begin + QUEUE_START_MS);
		f.ms += MAX(ms, 1);
	}
	cr_expect_geq(f.ms - begin, QUEUE_START_MS);
}

Test(queue_start, slots_that_there_are_not_share_one)
{
	cr_expect_eq(queue_start(f.q, QUEUE_SLOTS, "a.test", false), 0);
	cr_expect_eq(queue_start(f.q, QUEUE_SLOTS + 1, "b.test", false), 0);
	cr_expect_eq(queue_start(f.q, UINT32_MAX, "c.test", false), 0);
	qf_pass(&f, 10);
}

Test(queue_start, a_name_that_is_none_is_refused)
{
	char longest[LIM_DOMAIN + 2];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[LIM_DOMAIN + 1] = '\0';
	cr_expect_eq(queue_start(f.q, SLOT, longest, false), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(queue_start(f.q, SLOT, "", true), -1);
	cr_expect_eq(queue_start(f.q, SLOT, longest + 1, true), 0);
	qf_pass(&f, 10);
}

/* One that has much to look at goes on in the next passes, and the others have
 * their turns between. */
Test(queue_start, a_large_one_does_not_keep_up_the_others)
{
	struct deferred_row row = { .sender = "a@x", .transport = "near",
		.rcpt = "u@large.test", .attempts = 1 };
	struct deferred *d;

	defer_all();
	qf_close(&f);
	cr_assert_not_null(d = deferred_open(f.path, f.folder));
	row.next_attempt = f.now.tv_sec + 3000;
	cr_assert_eq(deferred_begin(d), 0);
	/* one message, so that there is little to load */
	row.id = QF_ID(N + 1);
	for (; row.rcpt_index < 5000; row.rcpt_index++)
		cr_assert_eq(deferred_put(d, &row), 0);
	cr_assert_eq(deferred_commit(d), 0);
	deferred_free(d);
	qf_open(&f);
	qf_pass(&f, 10);
	start("large.test", false);
	start("a.test", false);
	queue_pass(f.q, &f.now, f.ms);
	queue_pass(f.q, &f.now, f.ms);
	queue_pass(f.q, &f.now, f.ms);
	cr_expect_geq(f.njobs, N);
	/* without a file it cannot be read; what is checked is that it ends */
	qf_pass(&f, 1000);
}

static void
store_setup(void)
{
	mem_setup(&f);
}

static void
store_teardown(void)
{
	mem_teardown(&f);
}

TestSuite(queue_start_store, .init = store_setup, .fini = store_teardown);

Test(queue_start_store, while_the_store_cannot_be_written_it_waits)
{
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 3);
	mem.is_full = true;
	start("x.test", false);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
	mem.is_full = false;
	qf_pass(&f, QUEUE_START_MS / 5);
	cr_expect_eq(f.njobs, 3);
}
