/* Targets: windows, rests and probes, turns, what is parked. */

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

/* An hour, each second as the target ${rcpt} fails; return the attempts. */
static size_t
hour_of_failures(const char *rcpt)
{
	size_t n = 0;
	unsigned int i;

	for (i = 0; i < 3600; i++) {
		qf_pass(&qt, 1000);
		n += qt_finish_all(rcpt, ECONNREFUSED, JOB_TARGET);
	}
	return n;
}

Test(queue_target, a_dead_target_gets_one_probe_and_what_waits_is_parked)
{
	struct qt_rows r;
	size_t n;

	qt_mail("x@dead.hop", 300);
	qf_pass(&qt, 0);
	n = hour_of_failures("x@dead.hop");
	/* 5 at once, the rests up to 256 s, those of 400 s */
	cr_assert_leq(n, 5 + 9 + 8, "%zu", n);
	r = qt_rows();
	cr_assert_eq(r.n, 300);
	cr_assert_eq(r.nattempts, n, "%u", r.nattempts);
	cr_assert_geq(r.nparked, 280, "%u", r.nparked);
	cr_assert_eq(qt.q->held[QUEUE_NEW].nmessages, 0);
	cr_assert_eq(qt.q->held[QUEUE_DUE].nmessages, 0);
	/* more mail for it waits there at once, that of others does not */
	qt_mail("x@dead.hop", 50);
	qt_mail("x@alive.hop", 50);
	cr_assert_eq(qt_deliver("x@alive.hop"), 50);
	cr_assert_eq(qt_rows().n, 350);
	cr_assert_eq(qt.njobs, 0);
	/* and it is back */
	qf_pass(&qt, QUEUE_REST_MAX_MS);
	cr_assert_eq(qt.njobs, 1);
	n = qt_deliver("x@dead.hop");
	cr_assert_geq(n, 330, "%zu", n);
	qf_pass(&qt, 400 * 1000);
	n += qt_deliver("x@dead.hop");
	cr_assert_eq(n, 350, "%zu", n);
	cr_assert_eq(qt_rows().n, 0);
}

/* The next process does not know that it rests, but which rows wait for it. */
Test(queue_target, what_is_parked_is_found_again_after_a_restart)
{
	qt_mail("x@a.hop", 100);
	qt_mail("x@b.hop", 100);
	qf_pass(&qt, 0);
	hour_of_failures("x@a.hop");
	qt_finish_all("x@b.hop", 0, 0);
	qt_deliver("x@b.hop");
	cr_assert_geq(qt_rows().nparked, 90);
	qt_end_segment();
	qt.config.max_retry_s = 86400;
	qf_close(&qt);
	qt_open_queue();
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), QUEUE_WINDOW_FIRST);
	cr_assert_geq(qt_deliver("x@a.hop"), 90);
}

/* A configuration that sends them elsewhere: the process begins with it. */
Test(queue_target, what_is_parked_takes_the_route_of_today)
{
	qt_mail("x@a.hop", 100);
	qf_pass(&qt, 0);
	hour_of_failures("x@a.hop");
	qt_end_segment();
	qt.config.max_retry_s = 86400;
	qf_close(&qt);
	qt.hop = "new";
	qt_open_queue();
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, QUEUE_WINDOW_FIRST);
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	hour_of_failures("x@a.hop");
	cr_assert_geq(qt_rows().nparked, 90, "for the new one");
	qf_pass(&qt, QUEUE_REST_MAX_MS);
	cr_assert_geq(qt_deliver("x@a.hop"), 90);
}

/* Of a transport that is not there any more */
Test(queue_target, what_is_parked_for_a_transport_that_has_gone_is_tried)
{
	static const struct queue_transport only_near = { .name = "near",
		.max_jobs = 10 };
	unsigned int i;

	qt_mail("x@a.hop", 50);
	qf_pass(&qt, 0);
	hour_of_failures("x@a.hop");
	qt_end_segment();
	qf_close(&qt);
	qt.config.ntransports = 1;
	qt.config.transports = &only_near;
	qt.is_hopless = true;
	qf_open(&qt);
	for (i = 0; i < 20; i++) {
		qf_pass(&qt, 10);
		qt_finish_all("x@a.hop", EACCES, 0);
	}
	cr_assert_eq(qt_rows().nparked, 0);
	cr_assert_eq(qt_rows().n, 50);
}

Test(queue_target, retry_wakes_it)
{
	qt_mail("x@a.hop", 50);
	qf_pass(&qt, 0);
	hour_of_failures("x@a.hop");
	cr_assert_eq(qt.njobs, 0);
	free(qf_ask(&qt, "{\"action\":\"retry\",\"id\":\"all\"}"));
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 1, "the probe");
	cr_assert_eq(qt_deliver("x@a.hop"), 50);
}

/* Two targets that rest for long */
static void
two_rest(void)
{
	qt_mail("x@a.hop", 50);
	qt_mail("x@b.hop", 50);
	qf_pass(&qt, 0);
	while (qt.njobs > 0 || qt.ms < 3600 * 1000) {
		qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
		qt_finish_all("x@b.hop", ECONNREFUSED, JOB_TARGET);
		qf_pass(&qt, 1000);
	}
}

static void
change(const char *action, unsigned int n)
{
	char request[96], id[SPOOL_ID_TEXT + 1];

	spool_id_text(QF_ID(n), id);
	snprintf(request, sizeof(request),
	    "{\"action\":\"%s\",\"id\":\"%s\"}", action, id);
	free(qf_ask(&qt, request));
}

Test(queue_target, retry_of_one_message_wakes_its_own_target_alone)
{
	two_rest();
	change("retry", 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	cr_assert_eq(qt_jobs_for("x@b.hop"), 0);
	cr_assert_geq(qt_deliver("x@a.hop"), 30, "but for what was tried");
	cr_assert_eq(qt.njobs, 0);
}

Test(queue_target, release_of_one_message_wakes_its_own_target_alone)
{
	two_rest();
	change("hold", 20);
	qf_pass(&qt, 10);
	change("release", 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	cr_assert_eq(qt_jobs_for("x@b.hop"), 0);
	qf_finish(&qt, 0);
}

/* It is in memory, and its target has a short rest. */
Test(queue_target, retry_of_a_new_message_wakes_its_target)
{
	qt_mail("x@a.hop", 20);
	qf_pass(&qt, 0);
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 0);
	change("retry", 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 1);
	qf_finish(&qt, 0);
}

static int
see_kept(void *closure, const struct deferred_row *row)
{
	unsigned int *n = closure;

	/* others had an attempt when the target did not answer */
	if (row->waits_for[0] == '\0' || row->attempts > 1)
		return 0;
	cr_expect_eq(row->attempts, 1);
	cr_expect_eq(row->code, 451);
	cr_expect_str_eq(row->enhanced, "4.7.1");
	cr_expect_str_eq(row->remote, "mx.test");
	cr_expect_str_eq(row->last_error, "mx.test said: 451 4.7.1 greylisted");
	cr_expect_gt(row->last_attempt, 0);
	++*n;
	return 0;
}

Test(queue_target, what_is_parked_after_an_attempt_keeps_what_that_has_said)
{
	const struct deferred_query all = { .what = DEFERRED_PAGE,
		.limit = 100 };
	struct job_error error = { .code = 451, .enhanced = "4.7.1",
		.remote = "mx.test", .text = "greylisted" };
	unsigned int n = 0, pass;
	size_t i;

	qt_mail("x@a.hop", 20);
	for (pass = 0; pass < 10; pass++) {
		qf_pass(&qt, 10);
		for (i = 0; i < qt.njobs; i++) {
			error.job = qt.jobs[i].job.job;
			queue_error(qt.q, qt_relay, &error);
			qf_done(&qt, qt_relay, error.job, EAGAIN);
		}
		qt.njobs = 0;
	}
	cr_assert_eq(qt_rows().n, 20);
	for (i = 0; i < 900; i++) {
		qf_pass(&qt, 1000);
		qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	}
	cr_assert_neq(qt.q->store_ops->rows(qt.q->store, &all, see_kept, &n),
	    -1);
	cr_assert_geq(n, 1);
}

Test(queue_target, etrn_wakes_it)
{
	two_rest();
	cr_assert_eq(queue_start(qt.q, 1, "a.hop", false), 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	cr_assert_eq(qt_deliver("x@a.hop"), 50);
	cr_assert_eq(qt.njobs, 0);
}

Test(queue_target, when_the_agent_with_the_probe_dies_there_is_another)
{
	unsigned int other;

	cr_assert_eq(queue_agent_add(qt.q, QF_RELAY, &other), 0);
	qt_mail("x@a.hop", 50);
	qf_pass(&qt, 0);
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	qf_pass(&qt, QUEUE_REST_MS + 10);
	cr_assert_eq(qt.njobs, 1);
	queue_agent_gone(qt.q, qt.jobs[0].agent);
	qt.njobs = 0;
	qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, 1);
	qt_finish_all("x@a.hop", 0, 0);
	qf_pass(&qt, 10);
	cr_assert_gt(qt.njobs, 1);
}

/* It may slow its own targets, and those of Maildirs do not rest at all. */
Test(queue_target, an_agent_that_lies_slows_its_own_targets_alone)
{
	qt_mail("x@near.test", 1000);
	qt_mail("x@a.hop", 20);
	qt_mail("x@b.hop", 20);
	qf_pass(&qt, 0);
	cr_assert_eq(qt_jobs_for("x@near.test"), 1000);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 5);
	qt_finish("x@near.test", 999, EIO,
	    JOB_TARGET | JOB_REFUSED | 0xfffffff8);
	qt_finish("x@near.test", 1, EIO, JOB_TARGET);
	qt_finish_all("x@a.hop", EIO, JOB_TARGET);
	qt_mail("x@near.test", 100);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@near.test"), 100);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 0);
	cr_assert_eq(qt_finish_all("x@b.hop", 0, 0), 5);
	cr_assert_eq(qt_deliver("x@b.hop"), 15);
}

Test(queue_target, a_rate_is_kept)
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
Test(queue_target, what_no_agent_takes_does_not_count_for_the_rate)
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

Test(queue_target, what_an_agent_had_that_is_dead_does)
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
Test(queue_target, what_an_agent_gives_back_does_not)
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
Test(queue_target, an_agent_may_say_that_a_target_gets_nothing_for_some_time)
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
Test(queue_target, what_has_no_target_is_not_put_off)
{
	qt_mail("x@near.test", 1);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@near.test", EAGAIN, JOB_LATER_IN(10)),
	    1);
	qf_pass(&qt, 10);
	cr_expect_eq(qt_rows().n, 1);
}

/* All are in memory before the first has a turn. */
static void
load(void)
{
	unsigned int i;

	qt.is_deaf = true;
	for (i = 0; i < 10; i++)
		qf_pass(&qt, 10);
	qt.is_deaf = false;
}

Test(queue_target, ten_do_not_wait_for_the_thousands_of_another_target)
{
	size_t n;

	qt_mail("x@big.hop", 6000);
	qt_mail("x@small.hop", 10);
	load();
	cr_assert_eq(qt.q->held[QUEUE_NEW].nmessages, 6010);
	qf_pass(&qt, 10);
	n = qt_jobs_for("x@small.hop");
	cr_assert_eq(n, 5);
	cr_assert_eq(qt_jobs_for("x@big.hop"), 5);
	qf_finish(&qt, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(n + qt_jobs_for("x@small.hop"), 10);
	qf_finish(&qt, 0);
}

/* More targets have mail than an agent takes: it makes a connection to each, and
 * not several to some of them first. */
Test(queue_target, each_has_a_message_at_an_agent_before_others_have_several)
{
	enum { N = 600, OF_EACH = 5, JOBS = 2048 };
	static char names[N][32];
	size_t i, n;

	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "x@d%zu.hop", i);
		qt_mail(names[i], OF_EACH);
	}
	load();
	for (i = 0; i < 10; i++)
		qf_pass(&qt, 10);
	cr_assert_eq(qt.njobs, JOBS);
	for (i = 0; i < N; i++) {
		n = qt_jobs_for(names[i]);
		cr_assert(n == JOBS / N || n == JOBS / N + 1, "%s: %zu",
		    names[i], n);
	}
	qf_finish(&qt, 0);
}

/* The agent of QF_FAR has two jobs at a time. */
Test(queue_target, ten_do_not_wait_for_the_thousands_of_another_sender)
{
	unsigned int far;
	size_t i, n = 0, of_list = 0;

	cr_assert_eq(queue_agent_add(qt.q, QF_FAR, &far), 0);
	/* each from another sender, as mailing lists have it */
	for (i = 0; i < 3000; i++) {
		char sender[64];

		snprintf(sender, sizeof(sender), "list-%zu=b.test@a.test", i);
		qt_mail_from(sender, "x@far.test", 1);
	}
	qt_mail_from("somebody@b.test", "y@far.test", 10);
	for (i = 0; i < 3; i++)
		qt_mail_from("list-x=b.test@a.test", "x@far.test", 300);
	load();
	while (n < 10) {
		qf_pass(&qt, 10);
		n += qt_finish_all("y@far.test", 0, 0);
		of_list += qt_finish_all("x@far.test", 0, 0);
		cr_assert_lt(of_list, 2 * QUEUE_QUANTUM);
	}
}

/* It answers, but too slowly: it must not fill the memory. */
Test(queue_target, a_slow_target_does_not_keep_the_mail_of_others_from_being_read)
{
	struct queue_target *t;
	unsigned int i;

	qt_mail("x@slow.hop", 9000);
	qt_mail("x@near.test", 100);
	for (i = 0; i < 30; i++) {
		qf_pass(&qt, 1000);
		(void)qt_finish("x@slow.hop", 1, 0, 0);
	}
	cr_assert_eq(qt_jobs_for("x@near.test"), 100);
	qt_finish_all("x@near.test", 0, 0);
	t = queue_target_named(qt.q, QF_RELAY, "relay slow.hop");
	cr_assert_leq(t->nwaiting[QUEUE_NEW], qt.config.max_messages / 2);
	/* in the end it gets all */
	cr_assert_eq(30 + qt_deliver("x@slow.hop"), 9000);
	cr_assert_eq(qt_rows().n, 0);
}

/* So must not many of them together, of which each has little. */
Test(queue_target, many_slow_targets_do_not_keep_the_mail_of_others_from_being_read)
{
	enum { N = 44, OF_EACH = 250 };
	static char names[N][32];
	size_t n = 0, i;

	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "x@d%zu.hop", i);
		qt_mail(names[i], OF_EACH);
	}
	qt_mail("x@near.test", 100);
	for (i = 0; i < 30; i++)
		qf_pass(&qt, 1000);
	cr_assert_eq(qt_jobs_for("x@near.test"), 100);
	qt_finish_all("x@near.test", 0, 0);
	cr_assert_leq(qt.q->held[QUEUE_NEW].nmessages,
	    qt.config.max_messages / 2);
	/* in the end they get all */
	for (i = 0; i < 1000 && n < N * OF_EACH; i++) {
		n += qt.njobs;
		qf_finish(&qt, 0);
		qf_pass(&qt, 10);
	}
	cr_assert_eq(n, N * OF_EACH);
	cr_assert_eq(qt_rows().n, 0);
}

/* A fast one keeps what it has, also when it had nothing to do before: copies of it
 * would be of no use. */
Test(queue_target, what_is_for_a_fast_target_is_not_parked)
{
	size_t n = 0;
	unsigned int i;

	qt_mail("x@fast.hop", 400);
	cr_assert_eq(qt_deliver("x@fast.hop"), 400);
	qf_pass(&qt, 60 * 1000);
	qt_mail("x@fast.hop", 11600);
	for (i = 0; i < 200 && n < 11600; i++) {
		qf_pass(&qt, 50);
		n += qt_finish_all("x@fast.hop", 0, 0);
		cr_assert_eq(qt_rows().n, 0);
	}
	cr_assert_eq(n, 11600);
}

Test(queue_target, the_number_of_targets_in_memory_is_bounded)
{
	enum { N = 5000 };
	static char names[N][32];
	size_t n = 0, i;

	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "x@d%zu.hop", i);
		qt_mail(names[i], 1);
	}
	for (i = 0; i < 200; i++) {
		qf_pass(&qt, 100);
		cr_assert_leq(qt.q->targets.n, QUEUE_TARGETS_MAX);
		n += qt.njobs;
		qf_finish(&qt, 0);
	}
	/* those for which there was no room come back as if they had failed */
	qf_pass(&qt, 60 * 1000);
	for (i = 0; i < 200; i++) {
		n += qt.njobs;
		qf_finish(&qt, 0);
		qf_pass(&qt, 100);
	}
	cr_assert_eq(n, N);
	cr_assert_eq(qt_rows().n, 0);
}

/* More of them rest than fit in memory: none is forgotten. */
Test(queue_target, backlogs_of_targets_that_were_evicted_are_found_again)
{
	enum { N = 4500 };
	static char names[N][32];
	size_t n = 0, i;

	qt.config.max_retry_s = 3 * 86400;
	qf_close(&qt);
	qt_open_queue();
	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "x@d%zu.hop", i);
		qt_mail(names[i], 2);
	}
	qt.hop_max = 1;
	for (i = 0; i < 600; i++) {
		qf_pass(&qt, 1000);
		for (n = qt.njobs, qt.njobs = 0; n > 0; n--)
			qf_done_with(&qt, qt.jobs[n - 1].agent,
			    qt.jobs[n - 1].job.job, ECONNREFUSED, JOB_TARGET);
	}
	cr_assert_eq(qt_rows().n, 2 * N);
	for (i = 0; i < 3600 && qt_rows().nparked > 0; i++) {
		qf_pass(&qt, 1000);
		qf_finish(&qt, 0);
	}
	cr_assert_eq(qt_rows().nparked, 0);
}

Test(queue_target, a_queue_that_is_stopped_wakes_nobody)
{
	qt_mail("x@a.hop", 50);
	qf_pass(&qt, 0);
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	queue_stop(qt.q);
	qf_pass(&qt, 10 * 1000);
	cr_assert_eq(qt.njobs, 0);
	cr_assert_gt(queue_pass(qt.q, &qt.now, qt.ms), 1);
}

/* More rows are due of it, and in hand, than are looked at at once. */
Test(queue_target, a_message_with_many_that_are_due_hides_no_others)
{
	unsigned int i;

	qt_mail_together("x@near.test", 300, "x@near.test");
	qt_mail("z@near.test", 1);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@near.test", EACCES, 0), 300);
	qt_finish_all("y@near.test", 0, 0);
	qf_pass(&qt, 5000);
	cr_assert_eq(qt_finish_all("z@near.test", EACCES, 0), 1);
	for (i = 0; i < 70; i++)
		qf_pass(&qt, 1000);
	cr_assert_eq(qt_jobs_for("x@near.test"), 300, "which take their time");
	cr_assert_eq(qt_jobs_for("z@near.test"), 1);
	qf_finish(&qt, 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_rows().n, 0);
}

/* What the relay has fails with its target; return of how many messages for
 * ${rcpt}. */
static size_t
fail_hops(const char *rcpt)
{
	size_t i, n = 0, kept = 0, had = qt.njobs;

	for (i = 0; i < had; i++) {
		if (qt.jobs[i].agent != qt_relay) {
			qt.jobs[kept++] = qt.jobs[i];
			continue;
		}
		n += strcmp(qt_rcpt_of(&qt.jobs[i].job), rcpt) == 0;
		qf_done_with(&qt, qt_relay, qt.jobs[i].job.job, ECONNREFUSED,
		    JOB_TARGET);
	}
	qt.njobs = kept;
	return n;
}

/* So it is with those that wait for a target, when an agent has another recipient
 * of the same message. */
Test(queue_target, a_message_in_hand_hides_no_other_that_is_parked)
{
	unsigned int i;
	size_t n = 0;

	qt.config.max_retry_s = 86400;
	qf_close(&qt);
	qt_open_queue();
	qt_mail_together("m@a.hop", 251, "m@near.test");
	qt_mail("x@a.hop", 20);
	for (i = 0; i < 3700; i++) {
		qf_pass(&qt, 1000);
		fail_hops("");
		qt_finish_all("y@near.test", 0, 0);
		qt_finish_all("m@a.hop", EACCES, 0);
	}
	cr_assert_geq(qt_rows().nparked, 260);
	/* until it is due again, and then an agent keeps it */
	while (qt_jobs_for("m@a.hop") == 0 && i++ < 10000) {
		qf_pass(&qt, 1000);
		fail_hops("");
	}
	for (i = 0; i < 2 * QUEUE_REST_MAX_MS / 1000; i++) {
		qf_pass(&qt, 1000);
		n += fail_hops("x@a.hop");
	}
	cr_assert_geq(n, 1);
	cr_assert_eq(qt_jobs_for("m@a.hop"), 1);
}

/* What is in memory of a message is counted, and there are many of them. */
Test(queue_target, a_message_with_one_recipient_takes_no_more_memory_than_it_did)
{
	cr_assert_leq(sizeof(struct queue_message) + sizeof(struct queue_rcpt),
	    344);
	cr_assert_leq(sizeof(struct queue_rcpt), 72);
	cr_assert_leq(sizeof(struct queue_target), 1536);
}

/* New mail that never ends, and some that is due again */
static size_t
due_beside_new(size_t most)
{
	size_t new = 0, due = 0, i;
	unsigned int pass;

	qt_mail("x@a.hop", 20);
	qf_pass(&qt, 10);
	while (qt.njobs > 0) {
		qt_finish_all("x@a.hop", EACCES, 0);
		qf_pass(&qt, 10);
	}
	qt_mail("y@a.hop", 2000);
	for (pass = 0; pass < 400 && due < 20; pass++) {
		qf_pass(&qt, 500);
		for (i = 0; i < qt.njobs; i++)
			cr_assert_leq(qt.njobs, most);
		due += qt_finish_all("x@a.hop", 0, 0);
		new += qt_finish_all("y@a.hop", 0, 0);
		cr_assert_gt(new, 0);
	}
	cr_assert_lt(new, 2000, "new mail was waiting all the time");
	return due;
}

Test(queue_target, new_mail_leaves_a_part_of_the_window_to_what_is_due)
{
	qt.hop_max = 4;
	cr_assert_eq(due_beside_new(4), 20);
}

Test(queue_target, with_a_window_of_one_both_have_their_turns)
{
	qt.hop_max = 1;
	cr_assert_eq(due_beside_new(1), 20);
}
