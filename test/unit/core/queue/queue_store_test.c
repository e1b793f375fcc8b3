/* The queue's logic on a store in memory.  The queue calls a store only through
 * the table of functions in queue_store.h. */

#include "core/queue/queue_store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/queue/queue_mem.h"

static struct qf f;

static void
setup(void)
{
	mem_setup(&f);
}

static void
teardown(void)
{
	mem_teardown(&f);
}

TestSuite(queue_store, .init = setup, .fini = teardown);

Test(queue_store, a_message_is_read_delivered_and_acknowledged)
{
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	cr_assert_eq(f.jobs[1].job.offset, 64);
	cr_assert_not(f.jobs[1].job.is_repeated);
	qf_done(&f, f.agent, f.jobs[1].job.job, 0);
	cr_assert_eq(mem.messages[0]->ndone, 1);
	cr_assert_eq(mem.messages[0]->done[0], 1);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	cr_assert_not(mem.messages[0]->is_done);
	qf_done(&f, f.agent, f.jobs[2].job.job, 0);
	cr_assert(mem.messages[0]->is_done);
	cr_assert_eq(mem.nreleased, 1);
	f.njobs = 0;
	qf_pass(&f, 10000);
	cr_assert_eq(f.njobs, 0, "once");
}

Test(queue_store, what_fails_is_deferred_and_retried_when_it_is_due)
{
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
	qf_done(&f, f.agent, f.jobs[2].job.job, EACCES);
	f.njobs = 0;
	qf_pass(&f, 0);
	cr_assert(mem.messages[0]->is_done, "the rows have it now");
	cr_assert(mem.messages[0]->is_kept);
	cr_assert_eq(mem.nrows, 2);
	cr_assert_str_eq(mem.rows[0].texts[1], "b@x.test");
	cr_assert_str_eq(mem.rows[0].texts[2], "near");
	qf_pass(&f, 55000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 6000);
	cr_assert_eq(f.njobs, 2);
	cr_assert(f.jobs[0].job.is_repeated);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
	f.njobs = 0;
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 1);
	cr_assert_eq(mem.rows[0].row.attempts, 2);
	qf_pass(&f, 121000);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 0);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_store, what_can_be_neither_delivered_nor_deferred_is_put_back)
{
	mem.is_full = true;
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
	qf_done(&f, f.agent, f.jobs[2].job.job, 0);
	f.njobs = 0;
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
	cr_assert_not(mem.messages[0]->is_done);
	cr_assert_not(mem.messages[0]->is_held);
	cr_assert_eq(mem.nrows, 0);
	cr_assert_eq(qf_listed(&f), 1);
	mem.is_full = false;
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 1, "who has it is known");
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 1);
	qf_finish(&f, 0);
	cr_assert(mem.messages[0]->is_done);
}

Test(queue_store, after_a_crash_what_was_not_flushed_is_repeated)
{
	mem_arrive(QF_ID(1));
	mem_arrive(QF_ID(2));
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 6);
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	mem_flush(&mem);
	qf_done(&f, f.agent, f.jobs[1].job.job, 0);
	qf_done(&f, f.agent, f.jobs[4].job.job, EACCES);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 1);
	qf_close(&f);
	mem_arrive(QF_ID(3));
	qf_open(&f);
	qf_pass(&f, 0);
	/* of the first the two that were not flushed, of the second the two
	 * that are not deferred, and all of the new one */
	cr_assert_eq(f.njobs, 7);
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 1);
	cr_assert_eq(f.jobs[1].job.origin.rcpt, 2);
	cr_assert_eq(f.jobs[2].job.origin.rcpt, 0);
	cr_assert_eq(f.jobs[3].job.origin.rcpt, 2);
	cr_assert(f.jobs[3].job.is_repeated);
	cr_assert_not(f.jobs[4].job.is_repeated);
	qf_finish(&f, 0);
	cr_assert(mem.messages[0]->is_done);
	cr_assert(mem.messages[1]->is_done);
	cr_assert_eq(mem.nrows, 1);
}

Test(queue_store, requests_are_answered_from_it)
{
	char *answer;

	f.is_deaf = true;
	mem_arrive(QF_ID(1));
	mem_arrive(QF_ID(2));
	qf_pass(&f, 0);
	cr_assert_eq(qf_listed(&f), 2);
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"618J1G7J00401\"}");
	cr_assert_str_eq(answer, "{\"removed\":3,\"messages\":1}\n");
	free(answer);
	cr_assert(mem.messages[0]->flushed.is_all);
	f.is_deaf = false;
	qf_pass(&f, 500);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 3);
	answer = qf_ask(&f, "{\"action\":\"retry\",\"id\":\"all\"}");
	cr_assert_str_eq(answer, "{\"retried\":3,\"messages\":1}\n");
	free(answer);
	answer = qf_ask(&f, "{\"action\":\"show\",\"id\":\"618J1G7J00801\"}");
	cr_assert_not_null(strstr(answer, "\"helo\":\"client.test\""), "%s",
	    answer);
	free(answer);
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"618J1G7J00801\"}");
	cr_assert_str_eq(answer, "{\"removed\":3,\"messages\":1}\n");
	free(answer);
	cr_assert_eq(mem.nrows, 0);
	cr_assert_eq(qf_listed(&f), 0);
}

/* What has failed and cannot be stored is put back, and would be tried again. */
Test(queue_store, what_cannot_be_stored_is_not_said_to_be_on_hold)
{
	char *answer;

	mem.is_full = true;
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[0].job.job, EACCES);
	qf_pass(&f, 1000);
	answer = qf_ask(&f, "{\"action\":\"hold\",\"id\":\"all\"}");
	cr_expect_str_eq(answer,
	    "{\"held\":2,\"messages\":1,\"busy\":1}\n");
	free(answer);
	mem.is_full = false;
	qf_done(&f, f.agent, f.jobs[1].job.job, 0);
	qf_done(&f, f.agent, f.jobs[2].job.job, 0);
	f.njobs = 0;
	qf_pass(&f, 61000);
	cr_expect_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
}

/* An agent has it when it is put on hold, fails, and there is no room for its row. */
Test(queue_store, a_hold_that_is_lost_is_logged)
{
	FILE *lines = tmpfile();
	char *answer, text[8192] = "";

	cr_assert_not_null(lines);
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	answer = qf_ask(&f, "{\"action\":\"hold\",\"id\":\"all\"}");
	cr_expect_str_eq(answer, "{\"held\":3,\"messages\":1}\n");
	free(answer);
	mem.is_full = true;
	log_init("test", LOG_TO_FILE, fileno(lines), LOG_LEVEL_WARNING);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	log_init("test", LOG_TO_STDERR, STDERR_FILENO, LOG_LEVEL_NOTICE);
	cr_assert_geq(pread(fileno(lines), text, sizeof(text) - 1, 0), 0);
	cr_expect(strstr(text, "event=on-hold-lost id=618J1G7J00401 "
	    "rcpt=a@x.test ") != NULL, "%s", text);
	fclose(lines);
	mem.is_full = false;
	qf_pass(&f, 61000);
	cr_expect_eq(f.njobs, 3);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
}

Test(queue_store, what_could_not_be_removed_is_not_logged_as_removed)
{
	uint64_t before;
	char *answer;

	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	before = stats_sum(STATS_REMOVED);
	mem.is_full = true;
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"618J1G7J00401\"}");
	cr_assert_not_null(strstr(answer, "\"error\""), "%s", answer);
	free(answer);
	cr_assert_eq(stats_sum(STATS_REMOVED), before);
	cr_assert_eq(mem.nrows, 3);
	mem.is_full = false;
	answer = qf_ask(&f, "{\"action\":\"remove\",\"id\":\"618J1G7J00401\"}");
	cr_assert_str_eq(answer, "{\"removed\":3,\"messages\":1}\n");
	free(answer);
	cr_assert_eq(stats_sum(STATS_REMOVED), before + 3);
}

/* Add ${n} messages with one recipient each.  Each has failed once, and is to
 * be tried again at ${due}. */
static void
put_rows(size_t n, int64_t due)
{
	size_t i;

	for (i = 0; i < n; i++)
		mem_put_row(QF_ID(1000 + i), due);
}

Test(queue_store, a_new_message_does_not_wait_for_those_that_are_due)
{
	size_t i, ndue = 0;

	put_rows(100000, f.now.tv_sec - 60);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_gt(f.njobs, 100, "they are tried");
	mem_arrive(QF_ID(1));
	queue_pass(f.q, &f.now, f.ms);
	for (i = 0; i < f.njobs && f.jobs[i].job.offset != 64; i++)
		ndue++;
	cr_assert_lt(i, f.njobs, "not after the next pass");
	cr_assert_leq(ndue, 128, "%zu jobs in front of it", ndue);
	/* and it takes nothing from them */
	qf_finish(&f, 0);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_geq(f.njobs, 128);
}

Test(queue_store, a_backlog_drains_as_fast_beside_new_mail_as_without)
{
	unsigned int with_new, passes[2];

	for (with_new = 0; with_new < 2; with_new++) {
		put_rows(1280, f.now.tv_sec - 60);
		qf_close(&f);
		qf_open(&f);
		for (passes[with_new] = 0; mem.nrows > 0; passes[with_new]++) {
			if (with_new)
				mem_arrive(QF_ID(passes[1]));
			queue_pass(f.q, &f.now, f.ms);
			qf_finish(&f, 0);
		}
	}
	cr_assert_eq(passes[0], 1280 / 128 + 1, "%u", passes[0]);
	cr_assert_eq(passes[1], passes[0], "%u", passes[1]);
}

static unsigned int nstored;	/* reports that have a row */

static void
count_report(const char *)
{
	nstored++;
}

/* Of two that are due the first is delivered, and the other is to be tried again,
 * when nothing can be stored; with ${notify} its sender wants a report. */
static void
deliver_to_full_store(unsigned int notify)
{
	unsigned int i;

	put_rows(2, f.now.tv_sec - 60);
	mem.rows[0].row.notify = mem.rows[1].row.notify = notify;
	mem.told = count_report;
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	mem.is_full = true;
	qf_done_with(&f, f.agent, f.jobs[0].job.job, 0, JOB_FINAL);
	qf_done(&f, f.agent, f.jobs[1].job.job, EAGAIN);
	f.njobs = 0;
	for (i = 0; i < 10; i++) {
		cr_assert_gt(queue_pass(f.q, &f.now, f.ms), 0, "not at once");
		qf_pass(&f, QUEUE_TROUBLE_MS);
		cr_assert_leq(f.njobs, 1, "twice");
		qf_finish(&f, EAGAIN);
	}
	cr_assert_eq(mem.nrows, 2);
	mem.is_full = false;
	qf_pass(&f, QUEUE_TROUBLE_MS);
	/* that of the other, and that of the report */
	cr_assert_eq(mem.nrows, 1 + nstored);
}

Test(queue_store, what_is_delivered_stays_so_while_its_row_cannot_go)
{
	deliver_to_full_store(0);
	cr_assert_eq(nstored, 0);
}

Test(queue_store, so_does_what_is_delivered_and_cannot_be_reported)
{
	deliver_to_full_store(SPOOL_NOTIFY_SUCCESS);
	cr_assert_eq(nstored, 1);
}

Test(queue_store, large_ones_that_are_due_do_not_fill_an_agent)
{
	size_t i;

	put_rows(100, f.now.tv_sec - 60);
	for (i = 0; i < mem.nrows; i++)
		mem.rows[i].row.octets = 10 << 20;
	qf_close(&f);
	qf_open(&f);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_eq(f.njobs, 4, "%zu", f.njobs);
	qf_finish(&f, 0);
	queue_pass(f.q, &f.now, f.ms);
	cr_assert_eq(f.njobs, 4);
}

Test(queue_store, new_messages_do_not_keep_those_that_are_due_waiting)
{
	size_t i, ndue = 0, nnew = 0;
	int rounds;

	for (i = 0; i < 1500; i++)
		mem_arrive(QF_ID(200000 + i));
	put_rows(1000, f.now.tv_sec - 60);
	qf_close(&f);
	qf_open(&f);
	for (rounds = 0; rounds < 2; rounds++) {
		queue_pass(f.q, &f.now, f.ms);
		for (i = 0; i < f.njobs; i++) {
			ndue += f.jobs[i].job.offset != 64;
			nnew += f.jobs[i].job.offset == 64;
		}
		qf_finish(&f, 0);
	}
	cr_assert_eq(ndue, 2 * 128);
	cr_assert_geq(nnew, 2 * 1536, "%zu new", nnew);
}

Test(queue_store, a_clock_that_is_set_changes_no_wait)
{
	static const int steps[] = { -86400, 86400, -3, 3 };
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		put_rows(1, f.now.tv_sec + 60);
		qf_close(&f);
		qf_open(&f);
		qf_pass(&f, 1000);
		f.now.tv_sec += steps[i];
		qf_pass(&f, 57000);
		cr_assert_eq(f.njobs, 0, "%d: too early", steps[i]);
		qf_pass(&f, 4000);
		cr_assert_eq(f.njobs, 1, "%d: too late", steps[i]);
		qf_finish(&f, 0);
		qf_pass(&f, 0);
		cr_assert_eq(mem.nrows, 0);
	}
}

Test(queue_store, nothing_waits_longer_than_the_longest_interval)
{
	/* written while the clock was a year ahead, or by hand */
	put_rows(1, f.now.tv_sec + 365 * 86400);
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 390000);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 11000);
	cr_assert_eq(f.njobs, 1);
}

/* The store could not be written when the queue was opened. */
Test(queue_store, nor_does_it_when_the_disk_was_full)
{
	put_rows(1, f.now.tv_sec + 365 * 86400);
	qf_close(&f);
	mem.is_full = true;
	qf_open(&f);
	qf_pass(&f, 1000);
	mem.is_full = false;
	/* the next pass that may write, and the longest interval from there */
	qf_pass(&f, QUEUE_TROUBLE_MS);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 401000);
	cr_assert_eq(f.njobs, 1);
}

/* Nor does a step of the clock that comes while it is full. */
Test(queue_store, nor_does_it_when_the_clock_is_set_meanwhile)
{
	put_rows(1, f.now.tv_sec + 60);
	qf_close(&f);
	qf_open(&f);
	mem.is_full = true;
	f.now.tv_sec -= 365 * 86400;
	qf_pass(&f, 1000);
	mem.is_full = false;
	qf_pass(&f, QUEUE_TROUBLE_MS);
	cr_assert_eq(f.njobs, 0);
	qf_pass(&f, 60000);
	cr_assert_eq(f.njobs, 1);
}

Test(queue_store, what_the_store_cannot_say_now_is_asked_again)
{
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
	qf_pass(&f, 0);
	cr_assert_eq(mem.nrows, 1);
	qf_close(&f);
	mem.is_unreadable = true;
	qf_open(&f);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 0, "one of them may be deferred");
	mem.is_unreadable = false;
	qf_pass(&f, QUEUE_TROUBLE_MS + 1000);
	cr_assert_eq(f.njobs, 2);
	cr_assert_eq(f.jobs[0].job.origin.rcpt, 0);
	cr_assert_eq(f.jobs[1].job.origin.rcpt, 2);
	qf_finish(&f, 0);
	cr_assert(mem.messages[0]->is_done);
}

/* What is to be on hold, and cannot be stored, is not lost and goes on. */
Test(queue_store, a_full_store_says_that_nothing_is_on_hold)
{
	const char *hold = "{\"action\":\"hold\",\"id\":\"all\"}";
	char *answer;

	f.is_deaf = true;
	mem_arrive(QF_ID(1));
	qf_pass(&f, 0);
	mem_arrive(QF_ID(2));			/* it is not read yet */
	mem.is_full = true;
	answer = qf_ask(&f, hold);
	cr_expect_not_null(strstr(answer, "make room"), "%s", answer);
	free(answer);
	cr_expect_eq(mem.nrows, 0);
	cr_expect_eq(qf_listed(&f), 2);
	f.is_deaf = mem.is_full = false;
	qf_pass(&f, 61000);
	cr_expect_eq(f.njobs, 6);
	f.njobs = 0;
	mem_arrive(QF_ID(3));
	answer = qf_ask(&f, hold);
	cr_expect_str_eq(answer, "{\"held\":9,\"messages\":3}\n", "%s",
	    answer);
	free(answer);
	cr_expect_eq(mem.nrows, 3, "the others if they fail");
}
