/* Targets: what they get in a minute, and what an agent says of that. */

#include "core/queue/queue_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_target_rate, .init = qt_setup, .fini = qt_teardown);

Test(queue_target_rate, a_rate_is_kept)
{
	size_t n = 0;
	unsigned int i;

	qt.hop_rate = 30;		/* a minute */
	qt_mail("x@a.hop", 200);
	for (i = 0; i < 600; i++) {
		qf_pass(&qt, 100);
		n += qt_finish_all("x@a.hop", 0, 0);
	}
	cr_assert_geq(n, 29, "%zu", n);
	cr_assert_leq(n, 31, "%zu", n);
	qt.hop_rate = 6000;
	qt_mail("x@b.hop", 2000);
	for (n = 0, i = 0; i < 1000; i++) {
		qf_pass(&qt, 10);
		n += qt_finish_all("x@b.hop", 0, 0);
		(void)qt_finish_all("x@a.hop", 0, 0);
	}
	cr_assert_geq(n, 950, "%zu", n);
	cr_assert_leq(n, 1110, "%zu", n);
}

/* One message a minute; the next is not sent yet. */
static void
begin_slow_rate(void)
{
	qt.hop_rate = 1;
	qt_mail("x@a.hop", 3);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@a.hop", 0, 0), 1);
	qf_pass(&qt, 50 * 1000);
	cr_assert_eq(qt.njobs, 0);
}

/* There was no room for it in the channel. */
Test(queue_target_rate, what_no_agent_takes_does_not_count_for_the_rate)
{
	begin_slow_rate();
	qt.is_deaf = true;
	qf_pass(&qt, 15 * 1000);
	cr_assert_eq(qt.njobs, 0);
	qt.is_deaf = false;
	qf_pass(&qt, 2 * QUEUE_AGAIN_MS);
	cr_expect_eq(qt.njobs, 1);
	qf_pass(&qt, 50 * 1000);
	cr_expect_eq(qt.njobs, 1, "but what was taken does");
}

Test(queue_target_rate, what_an_agent_had_that_is_dead_does)
{
	begin_slow_rate();
	qf_pass(&qt, 15 * 1000);
	cr_assert_eq(qt.njobs, 1);
	queue_agent_gone(qt.q, qt_relay);
	qt.njobs = 0;
	cr_assert_eq(queue_agent_add(qt.q, QF_RELAY, &qt_relay), 0);
	qf_pass(&qt, 50 * 1000);
	cr_expect_eq(qt.njobs, 0, "it may have been sent");
	qf_pass(&qt, 15 * 1000);
	cr_expect_eq(qt.njobs, 1);
}

/* The time that it has said counts all the same. */
Test(queue_target_rate, what_an_agent_gives_back_does_not)
{
	begin_slow_rate();
	qf_pass(&qt, 15 * 1000);
	cr_assert_eq(qt_finish_all("x@a.hop", EAGAIN, JOB_LATER_IN(5000)), 1);
	qf_pass(&qt, 4900);
	cr_expect_eq(qt.njobs, 0);
	qf_pass(&qt, 200);
	cr_expect_eq(qt.njobs, 1);
}

/* It is no attempt: nothing is written down, and what comes first goes first. */
Test(queue_target_rate, an_agent_may_say_that_a_target_gets_nothing_for_some_time)
{
	const struct job *job;
	unsigned int i;

	qt_mail("x@a.hop", 10);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, QUEUE_WINDOW_FIRST);
	/* the last first, as the relay process does it */
	for (i = QUEUE_WINDOW_FIRST; i > 1; i--)
		qf_done_with(&qt, qt_relay, qt.jobs[i - 1].job.job, EAGAIN,
		    JOB_LATER_IN(3000));
	qt.njobs = 1;
	qf_pass(&qt, 2000);
	cr_expect_eq(qt_finish("x@a.hop", 1, 0, 0), 1, "the first is sent");
	qf_pass(&qt, 990);
	cr_expect_eq(qt.njobs, 0);
	cr_expect_eq(qt_rows().n, 0);
	qf_pass(&qt, 20);
	cr_assert_geq(qt.njobs, 2, "half of the window");
	cr_assert_leq(qt.njobs, 3);
	job = &qt.jobs[0].job;
	cr_expect_eq(job->origin.seq, 2);
	cr_expect_eq(job->is_repeated, 0);
	qf_done_with(&qt, qt_relay, job->job, EAGAIN,
	    JOB_LATER_IN(UINT64_MAX));
	/* of the other, the result comes all the same */
	qt_finish_all("x@a.hop", 0, 0);
	qf_pass(&qt, JOB_MS_MAX - 10);
	cr_expect_eq(qt.njobs, 0, "up to a bound");
	qf_pass(&qt, 20);
	cr_expect_geq(qt.njobs, 1);
	while (qt.njobs > 0) {
		qf_finish(&qt, 0);
		qf_pass(&qt, 10);
	}
	cr_expect_eq(qt_rows().n, 0);
}

/* Such an answer for what has no target is a failure as any other. */
Test(queue_target_rate, what_has_no_target_is_not_put_off)
{
	qt_mail("x@near.test", 1);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@near.test", EAGAIN, JOB_LATER_IN(10)),
	    1);
	qf_pass(&qt, 10);
	cr_expect_eq(qt_rows().n, 1);
}
