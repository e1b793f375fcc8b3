/* Targets that are dead: what waits for them is parked, and who wakes it. */

#include "core/queue/queue_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_target_park, .init = qt_setup, .fini = qt_teardown);

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

Test(queue_target_park, a_dead_target_gets_one_probe_and_what_waits_is_parked)
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
Test(queue_target_park, what_is_parked_is_found_again_after_a_restart)
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
Test(queue_target_park, what_is_parked_takes_the_route_of_today)
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
Test(queue_target_park, what_is_parked_for_a_transport_that_has_gone_is_tried)
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

Test(queue_target_park, retry_wakes_it)
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

Test(queue_target_park, retry_of_one_message_wakes_its_own_target_alone)
{
	two_rest();
	change("retry", 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	cr_assert_eq(qt_jobs_for("x@b.hop"), 0);
	cr_assert_geq(qt_deliver("x@a.hop"), 30, "but for what was tried");
	cr_assert_eq(qt.njobs, 0);
}

Test(queue_target_park, release_of_one_message_wakes_its_own_target_alone)
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
Test(queue_target_park, retry_of_a_new_message_wakes_its_target)
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

Test(queue_target_park, what_is_parked_after_an_attempt_keeps_what_that_has_said)
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

Test(queue_target_park, etrn_wakes_it)
{
	two_rest();
	cr_assert_eq(queue_start(qt.q, 1, "a.hop", false), 0);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	cr_assert_eq(qt_deliver("x@a.hop"), 50);
	cr_assert_eq(qt.njobs, 0);
}

Test(queue_target_park, when_the_agent_with_the_probe_dies_there_is_another)
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
Test(queue_target_park, an_agent_that_lies_slows_its_own_targets_alone)
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
