/* Targets: none keeps the mail of others waiting, and how many are in memory. */

#include "core/queue/queue_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_target_turns, .init = qt_setup, .fini = qt_teardown);

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

Test(queue_target_turns, ten_do_not_wait_for_the_thousands_of_another_target)
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
Test(queue_target_turns, each_has_a_message_at_an_agent_before_others_have_several)
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
Test(queue_target_turns, ten_do_not_wait_for_the_thousands_of_another_sender)
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
Test(queue_target_turns, a_slow_target_does_not_keep_the_mail_of_others_from_being_read)
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
Test(queue_target_turns, many_slow_targets_do_not_keep_the_mail_of_others_from_being_read)
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
Test(queue_target_turns, what_is_for_a_fast_target_is_not_parked)
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

Test(queue_target_turns, the_number_of_targets_in_memory_is_bounded)
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
Test(queue_target_turns, backlogs_of_targets_that_were_evicted_are_found_again)
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

Test(queue_target_turns, a_queue_that_is_stopped_wakes_nobody)
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
Test(queue_target_turns, a_message_with_many_that_are_due_hides_no_others)
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
Test(queue_target_turns, a_message_in_hand_hides_no_other_that_is_parked)
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
Test(queue_target_turns, a_message_with_one_recipient_takes_no_more_memory_than_it_did)
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

Test(queue_target_turns, new_mail_leaves_a_part_of_the_window_to_what_is_due)
{
	qt.hop_max = 4;
	cr_assert_eq(due_beside_new(4), 20);
}

Test(queue_target_turns, with_a_window_of_one_both_have_their_turns)
{
	qt.hop_max = 1;
	cr_assert_eq(due_beside_new(1), 20);
}
