/* Places: the messages in memory of which agents have a file open.  Targets that do not
 * answer leave some to the others. */

#include "core/queue/queue_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_places, .init = qt_setup, .fini = qt_teardown);

enum { SILENT = 60 };

/* ${send}, ${n} to each of SILENT targets */
static void
to_silent(void (*send)(const char *, unsigned int), unsigned int n)
{
	static char names[SILENT][32];
	size_t i;

	for (i = 0; i < SILENT; i++) {
		snprintf(names[i], sizeof(names[i]), "x@d%zu.hop", i);
		send(names[i], n);
	}
}

/* All that was sent is tried, and deferred. */
static void
defer_all(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < 500 && qt_rows().n < n; i++) {
		qf_pass(&qt, 10);
		qf_finish(&qt, EAGAIN);
	}
	cr_assert_eq(qt_rows().n, n);
}

/* Deliver what is for ${rcpt}, while the others are silent, for ${seconds}.
 * Return how many. */
static size_t
deliver_beside(const char *rcpt, unsigned int seconds)
{
	size_t n = 0;

	for (; seconds > 0; seconds--) {
		qf_pass(&qt, 1000);
		n += qt_finish_all(rcpt, 0, 0);
	}
	return n;
}

/* Their attempts last for minutes. */
Test(queue_places, many_silent_ones_leave_places_to_what_is_due_of_others)
{
	to_silent(qt_mail, 20);
	qt_mail("x@near.test", 5);
	qt_mail("x@alive.hop", 50);
	defer_all(SILENT * 20 + 55);
	cr_assert_eq(deliver_beside("x@near.test", 90), 5);
	cr_assert_eq(deliver_beside("x@alive.hop", 90), 50);
	cr_assert_lt(qt.q->held[QUEUE_DUE].nfiles, QUEUE_FILES_MAX);
	qf_finish(&qt, 0);
}

/* The same of those that nothing is known of */
Test(queue_places, many_silent_ones_leave_places_after_a_restart)
{
	to_silent(qt_mail, 20);
	qt_mail("x@near.test", 5);
	qt_mail("x@alive.hop", 50);
	defer_all(SILENT * 20 + 55);
	qt_end_segment();
	qf_close(&qt);
	qt_open_queue();
	cr_assert_eq(deliver_beside("x@near.test", 90), 5);
	cr_assert_eq(deliver_beside("x@alive.hop", 90), 50);
	qf_finish(&qt, 0);
}

/* A place is a message, to however many recipients. */
Test(queue_places, new_mail_with_bodies_of_its_own_has_places_beside_silent_ones)
{
	to_silent(qt_mail_large, 5);
	qt_mail("x@near.test", 5);
	qt_mail_large("x@near.test", 5);
	qt_mail_large("x@alive.hop", 20);
	cr_assert_eq(deliver_beside("x@near.test", 60), 10);
	cr_assert_eq(deliver_beside("x@alive.hop", 60), 20);
	cr_assert_lt(qt.q->held[QUEUE_NEW].nfiles, QUEUE_FILES_MAX);
	qf_finish(&qt, 0);
}

Test(queue_places, an_attempt_that_times_out_is_neither_an_answer_nor_a_failure)
{
	struct queue_target *t;

	qt_mail("x@a.hop", 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish("x@a.hop", 1, EAGAIN, JOB_SILENT), 1);
	cr_assert_not_null(t = queue_target_find(qt.q, "relay a.hop"));
	cr_expect(queue_target_is_slow(qt.q, t));
	cr_expect_not(t->is_resting);
	cr_expect_eq(t->window, QUEUE_WINDOW_FIRST);
	cr_assert_eq(qt_finish("x@a.hop", 1, EAGAIN, 0), 1);
	cr_expect_not(queue_target_is_slow(qt.q, t));
	/* but a probe that times out has failed */
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	qf_pass(&qt, QUEUE_REST_MS + 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	cr_expect(t->is_probing);
	qt_finish_all("x@a.hop", EAGAIN, JOB_SILENT);
	cr_expect(t->is_resting);
	cr_expect_not(t->is_probing);
	cr_expect_eq(t->nrests, 2);
	qf_pass(&qt, 2 * QUEUE_REST_MS + 20);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_jobs_for("x@a.hop"), 1);
	qf_finish(&qt, 0);
	cr_expect_not(t->is_resting);
}

/* 600 messages for ${rcpt} are due again.  It takes the first of them, and says
 * nothing more. */
static void
fall_silent(const char *rcpt)
{
	unsigned int n = qt_rows().n, i;
	size_t taken = 0;

	qt_mail(rcpt, 600);
	for (i = 0; i < 1000 && qt_rows().n < n + 600; i++) {
		qf_pass(&qt, 10);
		qt_finish_all(rcpt, EAGAIN, 0);
	}
	for (i = 0; i < 1000 && taken < 100; i++) {
		qf_pass(&qt, 100);
		taken += qt_finish_all(rcpt, 0, 0);
	}
	cr_assert_geq(taken, 100, "%s: %zu", rcpt, taken);
	qf_pass(&qt, QUEUE_SLOW_MS + 1000);
	cr_assert_geq(qt_jobs_for(rcpt), 1, "%s", rcpt);
}

/* Each has answered, and has what it may have of what is left. */
Test(queue_places, several_that_fall_silent_with_their_places_leave_some)
{
	static const char *const others[] = { "x@near.test", "x@c.hop",
		"x@d.hop" };
	size_t i;

	qt.config.max_retry_s = 3600;
	qf_close(&qt);
	qt.hop_first = 100;
	qt_open_queue();
	fall_silent("x@a.hop");
	cr_assert_geq(qt_jobs_for("x@a.hop"), QUEUE_FILES_MAX / 2);
	fall_silent("x@b.hop");
	for (i = 0; i < 3; i++) {
		qt_mail(others[i], 20);
		qf_pass(&qt, 10);
		qt_finish_all(others[i], EAGAIN, 0);
	}
	for (i = 0; i < 3; i++)
		cr_assert_eq(deliver_beside(others[i], 90), 20, "%zu", i);
	/* and none waits in memory that is not at the agent */
	cr_assert_eq(queue_target_find(qt.q, "relay a.hop")->nwaiting[QUEUE_DUE],
	    0);
	qf_finish(&qt, 0);
}

/* What failed in a few ways may come back at the same time, and goes as fast as it
 * is taken. */
Test(queue_places, what_is_due_of_many_that_answer_is_not_held_up)
{
	size_t n = 0;
	unsigned int i;

	to_silent(qt_mail, 20);
	defer_all(SILENT * 20);
	qf_pass(&qt, 58 * 1000);
	for (i = 0; i < 300 && n < SILENT * 20; i++) {
		qf_pass(&qt, 50);
		n += qt.njobs;
		qf_finish(&qt, 0);
	}
	cr_assert_eq(n, SILENT * 20);
}

/* An agent has said that its turn is far off. */
Test(queue_places, targets_that_get_nothing_for_long_have_none)
{
	enum { FAR = 90, EACH = 3 };
	static char names[FAR][32];
	unsigned int i;
	size_t n;

	for (i = 0; i < FAR; i++) {
		snprintf(names[i], sizeof(names[i]), "x@f%u.hop", i);
		qt_mail(names[i], EACH);
	}
	defer_all(FAR * EACH);
	for (i = 0; i < 120; i++) {
		qf_pass(&qt, 1000);
		for (n = qt.njobs, qt.njobs = 0; n > 0; n--)
			qf_done_with(&qt, qt.jobs[n - 1].agent,
			    qt.jobs[n - 1].job.job, EAGAIN,
			    JOB_LATER_IN(600000));
	}
	cr_expect_leq(qt.q->held[QUEUE_DUE].nfiles, QUEUE_PLACES_FEW, "%zu",
	    qt.q->held[QUEUE_DUE].nfiles);
	cr_expect_eq(qt_rows().n, FAR * EACH);
	/* they come back when it is their turn */
	for (n = 0, i = 0; i < 900 && n < FAR * EACH; i++) {
		qf_pass(&qt, 1000);
		n += qt.njobs;
		qf_finish(&qt, 0);
	}
	cr_expect_eq(n, FAR * EACH, "%zu", n);
}
