/* What has become of deferred messages while their rows cannot be written. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/queue/queue_mem.h"

static struct qf f;
static unsigned int nreports;	/* that have a row */

static void
count_report(const char *)
{
	nreports++;
}

static void
setup(void)
{
	mem_setup(&f);
	mem.told = count_report;
}

static void
teardown(void)
{
	mem_teardown(&f);
}

TestSuite(queue_unstored, .init = setup, .fini = teardown);

/* ${n} that have failed once are due, and agents have them. */
static void
begin(size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		mem_put_row(QF_ID(i), f.now.tv_sec - 60);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, n);
}

/* Seconds until there is a job, up to ${max} */
static int
next_s(int max)
{
	int waited;

	for (waited = 0; f.njobs == 0 && waited < max; waited++)
		qf_pass(&f, 1000);
	return waited;
}

static bool
is_about(int got, int want)
{
	/* the store is asked every five seconds */
	return got >= want - 1 && got <= want + QUEUE_TROUBLE_MS / 1000 + 1;
}

/* No agent has it meanwhile. */
Test(queue_unstored, what_fails_is_tried_again_when_that_is_written)
{
	int got;

	begin(1);
	mem.is_full = true;
	qf_finish(&f, EAGAIN);
	cr_expect_eq(next_s(3600), 3600);
	cr_expect_eq(mem.rows[0].row.attempts, 1);
	mem.is_full = false;
	qf_pass(&f, QUEUE_TROUBLE_MS);
	cr_expect_eq(mem.rows[0].row.attempts, 2);
	cr_expect_eq(f.q->held[QUEUE_DUE].nmessages, 0);
	got = next_s(1000);
	cr_expect(is_about(got, 120), "%d", got);
	qf_finish(&f, 0);
	qf_pass(&f, 10);
	cr_expect_eq(mem.nrows, 0);
}

/* What is told of a delay is told, though it could not be at first. */
Test(queue_unstored, a_delay_is_told_when_that_is_written)
{
	begin(1);
	f.q->times.warning_s = 60;
	qf_pass(&f, 60 * 1000);
	mem.is_locked = true;
	qf_finish(&f, EAGAIN);
	qf_pass(&f, 3 * QUEUE_TROUBLE_MS);
	cr_expect_eq(nreports, 0);
	mem.is_locked = false;
	qf_pass(&f, QUEUE_TROUBLE_MS);
	cr_expect_eq(nreports, 1);
	cr_expect_eq(mem.rows[0].row.warned, DEFERRED_WARNED_DELAY);
}

/* Other mail that is due goes on. */
Test(queue_unstored, one_that_fails_keeps_no_other_mail_waiting)
{
	begin(1);
	mem.is_full = true;
	qf_finish(&f, EAGAIN);
	qf_pass(&f, 10 * 1000);
	mem_put_row(QF_ID(1000), f.now.tv_sec + 10);
	f.q->due_ms = f.q->now_ms;
	cr_expect_leq(next_s(60), 10 + QUEUE_TROUBLE_MS / 1000 + 1);
	cr_expect_eq(f.njobs, 1);
}

Test(queue_unstored, there_is_a_bound_on_what_is_kept)
{
	size_t i, n = 0;

	for (i = 0; i < 2 * QUEUE_FILES_MAX; i++)
		mem_put_row(QF_ID(1000 + i), f.now.tv_sec - 60);
	qf_close(&f);
	qf_open(&f);
	mem.is_full = true;
	for (i = 0; i < 600; i++) {
		qf_pass(&f, 1000);
		n += f.njobs;
		cr_assert_leq(f.q->held[QUEUE_DUE].nmessages, QUEUE_FILES_MAX);
		qf_finish(&f, EAGAIN);
	}
	cr_expect_eq(n, QUEUE_FILES_MAX, "%zu", n);
	mem.is_full = false;
	for (i = 0; i < 1000 && mem.nrows > 0; i++) {
		qf_pass(&f, 1000);
		qf_finish(&f, 0);
	}
	cr_expect_eq(mem.nrows, 0);
}

Test(queue_unstored, what_is_refused_is_not_tried_again_and_is_reported_later)
{
	unsigned int i;

	begin(1);
	mem.is_full = true;
	qf_done_with(&f, f.agent, f.jobs[0].job.job, EACCES, JOB_REFUSED);
	f.njobs = 0;
	cr_expect_eq(next_s(3600), 3600);
	cr_expect_eq(nreports, 0);
	mem.is_full = false;
	for (i = 0; i < 3; i++) {
		qf_pass(&f, QUEUE_TROUBLE_MS);
		qf_finish(&f, 0);
	}
	cr_expect_eq(nreports, 1);
	cr_expect_eq(mem.nrows, 0);
}
