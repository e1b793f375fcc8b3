/* Targets: their windows and rests. */

#include "core/queue/queue_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_target, .init = qt_setup, .fini = qt_teardown);

Test(queue_target, the_window_doubles_while_it_is_used_up)
{
	static const size_t want[] = { 5, 10, 20, 40, 80, 100, 100 };
	size_t i;

	qt_mail("x@a.hop", 500);
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		qf_pass(&qt, 10);
		cr_assert_eq(qt.njobs, want[i], "%zu: %zu", i, qt.njobs);
		qt_finish_all("x@a.hop", 0, 0);
	}
}

Test(queue_target, a_window_that_is_not_used_up_stays_as_it_is)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		qt_mail("x@a.hop", 2);
		cr_assert_eq(qt_deliver("x@a.hop"), 2);
	}
	qt_mail("x@a.hop", 100);
	qf_pass(&qt, 0);
	cr_assert_eq(qt.njobs, QUEUE_WINDOW_FIRST);
}

/* Refused is an answer; deferred is one, too, but no reason for more. */
Test(queue_target, what_is_refused_makes_it_larger_and_what_is_deferred_does_not)
{
	qt_mail("x@a.hop", 100);
	qf_pass(&qt, 0);
	qt_finish_all("x@a.hop", EACCES, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, QUEUE_WINDOW_FIRST);
	qt_finish_all("x@a.hop", EACCES, JOB_REFUSED);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 2 * QUEUE_WINDOW_FIRST);
}

Test(queue_target, the_window_is_no_larger_than_the_route_says)
{
	unsigned int i;

	qt.hop_max = 3;
	qt_mail("x@a.hop", 100);
	for (i = 0; i < 5; i++) {
		qf_pass(&qt, 10);
		cr_assert_eq(qt.njobs, 3);
		qt_finish_all("x@a.hop", 0, 0);
	}
}

Test(queue_target, the_window_begins_with_what_the_route_says)
{
	qt.hop_first = 30;
	qt_mail("x@a.hop", 100);
	qt.hop_max = 20;
	qt_mail("x@b.hop", 100);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 20, "but no more than it allows");
	cr_assert_eq(qt_jobs_for("x@b.hop"), 20);
	qf_finish(&qt, 0);
	qt.hop_max = 0;
	qt_mail("x@c.hop", 100);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@c.hop"), 30);
	qf_finish(&qt, 0);
}

static void
mail_many(size_t n)
{
	qt_mail_together("x@a.hop", n, "x@a.hop");
}

Test(queue_target, recipients_that_are_sent_together_count_as_one_message)
{
	mail_many(250);
	qt_mail("x@a.hop", 100);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 250 + 2, "a window of 5: 100, 100, "
	    "50, and 2 others");
	/* the first has its result, and there is room for two */
	qt_finish("x@a.hop", 1, 0, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 251 + 2);
	/* the others of those 100 make no room */
	qt_finish("x@a.hop", 99, 0, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 152 + 2);
	cr_assert_eq(qt_deliver("x@a.hop"), 350 - 100);
}

Test(queue_target, the_probe_is_one_recipient_of_a_message_for_many)
{
	mail_many(250);
	qf_pass(&qt, 10);
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	mail_many(250);
	qf_pass(&qt, QUEUE_REST_MS + 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	qf_finish(&qt, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 200, "half of the window of 5");
	qf_finish(&qt, 0);
}

static void
grow_to_100(void)
{
	unsigned int i;

	for (i = 0; i < 5; i++) {
		qf_pass(&qt, 10);
		qt_finish_all("x@a.hop", 0, 0);
	}
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 100);
}

Test(queue_target, a_failure_of_the_target_halves_it_and_it_grows_slowly_from_there)
{
	qt_mail("x@a.hop", 2000);
	grow_to_100();
	qt_finish("x@a.hop", 99, 0, 0);
	qt_finish("x@a.hop", 1, ECONNREFUSED, JOB_TARGET);
	qf_pass(&qt, QUEUE_REST_MS - 10);
	cr_assert_eq(qt.njobs, 0, "it rests");
	qf_pass(&qt, 20);
	cr_assert_eq(qt.njobs, 1, "the probe");
	qf_pass(&qt, 10000);
	cr_assert_eq(qt.njobs, 1, "alone");
	qt_finish_all("x@a.hop", 0, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 50);
	qt_finish_all("x@a.hop", 0, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 51);
}

/* Fail it ${n} times, and answer; return in how many rounds it has 80 at a
 * time. */
static unsigned int
rounds_after(const char *rcpt, unsigned int n)
{
	unsigned int i;

	for (i = 0; i <= n; i++) {
		while (qt_jobs_for(rcpt) == 0)
			qf_pass(&qt, 100);
		qt_finish_all(rcpt, i < n ? ECONNREFUSED : 0,
		    i < n ? JOB_TARGET : 0);
	}
	for (i = 0; i < 1000; i++) {
		qf_pass(&qt, 10);
		if (qt_jobs_for(rcpt) >= 80)
			break;
		qt_finish_all(rcpt, 0, 0);
	}
	return i;
}

/* A server was started while the other one was away: that this refused the first
 * five says nothing of how much it takes. */
Test(queue_target, one_that_had_not_answered_yet_gets_as_many_as_a_new_one)
{
	unsigned int n;

	qt_mail("x@a.hop", 500);
	n = rounds_after("x@a.hop", 1);
	cr_assert_leq(n, 7, "%u", n);
}

Test(queue_target, the_same_after_an_outage_in_which_its_mail_was_parked)
{
	unsigned int n;

	qt_mail("x@a.hop", 1000);
	n = rounds_after("x@a.hop", 8);
	cr_assert_leq(n, 7, "%u", n);
	cr_assert_gt(qt_rows().nparked, 500);
}

/* Those that were sent before the rest began say nothing new. */
Test(queue_target, the_failures_of_one_outage_count_once)
{
	qt_mail("x@a.hop", 2000);
	grow_to_100();
	qt_finish("x@a.hop", 60, ECONNREFUSED, JOB_TARGET);
	qf_pass(&qt, QUEUE_REST_MS + 10);
	cr_assert_eq(qt.njobs, 41, "one is the probe");
	qt_finish("x@a.hop", 40, ECONNREFUSED, JOB_TARGET);
	qf_pass(&qt, 10);
	qt_finish_all("x@a.hop", 0, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 50);
}

Test(queue_target, each_rest_is_twice_as_long_up_to_the_bound)
{
	int64_t ms = QUEUE_REST_MS, waited = 0;
	unsigned int i;

	qt.config.max_retry_s = 86400;
	qf_close(&qt);
	qt_open_queue();
	qt_mail("x@a.hop", 100);
	qf_pass(&qt, 0);
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	for (i = 0; i < 13; i++) {
		qf_pass(&qt, (int)ms - 10);
		cr_assert_eq(qt.njobs, 0, "%u", i);
		qf_pass(&qt, 20);
		cr_assert_eq(qt.njobs, 1, "%u", i);
		cr_assert_leq(qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET),
		    1);
		waited += ms;
		ms = 2 * ms < QUEUE_REST_MAX_MS ? 2 * ms : QUEUE_REST_MAX_MS;
	}
	cr_assert_eq(ms, QUEUE_REST_MAX_MS);
	/* any answer ends it */
	qf_pass(&qt, QUEUE_REST_MAX_MS);
	cr_assert_eq(qt_finish_all("x@a.hop", EAGAIN, 0), 1);
	qf_pass(&qt, 10);
	cr_assert_geq(qt.njobs, 1);
	cr_assert_gt(qt_deliver("x@a.hop"), 50);
}

static void
probe(const char *rcpt, int errnum, unsigned int flags)
{
	while (qt_jobs_for(rcpt) == 0)
		qf_pass(&qt, 100);
	cr_assert_eq(qt_finish_all(rcpt, errnum, flags), 1);
	qf_pass(&qt, 10);
}

/* Such as a message that cannot be read from the spool */
Test(queue_target, a_failure_of_this_machine_says_nothing_of_the_target)
{
	const struct queue_target *t;
	uint32_t nrests;

	qt_mail("x@a.hop", 100);
	qf_pass(&qt, 0);
	cr_assert_eq(qt_finish_all("x@a.hop", EIO, JOB_UNASKED), 5);
	t = queue_target_find(qt.q, "relay a.hop");
	cr_assert(!t->is_resting);
	cr_assert_eq(t->window, QUEUE_WINDOW_FIRST);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET), 5);
	probe("x@a.hop", ECONNREFUSED, JOB_TARGET);
	nrests = t->nrests;
	/* it rests on, and there is another probe */
	probe("x@a.hop", EIO, JOB_UNASKED);
	cr_assert(t->is_resting);
	cr_assert_eq(t->nrests, nrests);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	probe("x@a.hop", EIO, JOB_UNASKED);
	cr_assert(t->is_resting);
	probe("x@a.hop", EAGAIN, 0);
	cr_assert(!t->is_resting);
	qf_finish(&qt, 0);
}
