/* Streams: a rate, and messages at agents, that several targets have together. */

#include "core/queue/queue_target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_stream, .init = qt_setup, .fini = qt_teardown);

static const char *const rcpts[] = { "x@a1.hop", "x@a2.hop", "x@a3.hop",
	"x@b.hop" };

/* Deliver what comes for ${seconds}, and add to ${n} how much that is of each; of
 * the target ${silent} nothing. */
static void
deliver_all(unsigned int seconds, size_t silent, size_t n[4])
{
	unsigned int i;
	size_t j;

	for (i = 0; i < seconds * 10; i++) {
		qf_pass(&qt, 100);
		for (j = 0; j < 4; j++)
			n[j] += j == silent ? 0 :
			    qt_finish_all(rcpts[j], 0, 0);
	}
}

#define expect_between(n, least, most) \
	cr_expect((n) >= (least) && (n) <= (most), "%zu", (size_t)(n))

/* Whatever each has to send; another stream has its own. */
Test(queue_stream, targets_have_equal_parts_of_the_rate)
{
	size_t n[4] = { 0 }, j;

	qt.stream_rate = 60;		/* a minute */
	qt_mail(rcpts[0], 600);
	qt_mail(rcpts[1], 150);
	qt_mail(rcpts[2], 25);
	qt_mail(rcpts[3], 200);
	deliver_all(60, SIZE_MAX, n);
	expect_between(n[0] + n[1] + n[2], 60, 62);
	for (j = 0; j < 3; j++)
		expect_between(n[j], 20, 21);
	expect_between(n[3], 60, 62);
	/* the third has no more, and its part is the others' */
	deliver_all(60, SIZE_MAX, n);
	cr_expect_eq(n[2], 25);
	expect_between(n[0], 47, 49);
	expect_between(n[1], 47, 49);
}

Test(queue_stream, many_messages_a_minute_are_kept_too)
{
	size_t n[4] = { 0 };

	qt.stream_rate = 6000;
	qt_mail(rcpts[0], 1800);
	qt_mail(rcpts[1], 1800);
	deliver_all(20, SIZE_MAX, n);
	expect_between(n[0] + n[1], 1950, 2110);
	expect_between(n[0], 960, 1060);
}

/* One that fails has its probes, one that does not answer what its window is. */
Test(queue_stream, what_others_cannot_use_is_for_those_that_answer)
{
	size_t n[4] = { 0 };
	unsigned int i, nfailed = 0;

	qt.stream_rate = 60;
	qt_mail(rcpts[0], 100);
	qt_mail(rcpts[1], 100);
	qt_mail(rcpts[2], 100);
	for (i = 0; i < 60; i++) {
		deliver_all(1, 1, n);
		/* before it is delivered */
		nfailed += (unsigned int)n[0];
		n[0] = 0;
		qf_pass(&qt, 0);
		nfailed += (unsigned int)qt_finish_all(rcpts[0], ECONNREFUSED,
		    JOB_TARGET);
	}
	cr_expect_eq(qt_jobs_for(rcpts[1]), QUEUE_WINDOW_FIRST);
	expect_between(n[2] + nfailed, 54, 57);
}

/* The same of one that refuses each connection */
Test(queue_stream, a_target_that_rests_keeps_nobody_waiting)
{
	size_t good = 0, bad = 0;
	unsigned int i;

	qt.stream_rate = 60;
	qt_mail(rcpts[0], 100);
	qt_mail(rcpts[2], 100);
	for (i = 0; i < 600; i++) {
		qf_pass(&qt, 100);
		bad += qt_finish_all(rcpts[0], ECONNREFUSED, JOB_TARGET);
		good += qt_finish_all(rcpts[2], 0, 0);
	}
	expect_between(bad, 5, 7);	/* after 1 s, 2 s, 4 s and so on */
	expect_between(good + bad, 60, 62);
}

/* Three do not answer, and the fourth has turns all the same. */
Test(queue_stream, targets_that_do_not_answer_do_not_get_all_that_agents_may_have)
{
	size_t n = 0, i;
	unsigned int pass;

	qt.stream_window = 20;
	for (i = 0; i < 3; i++)
		qt_mail(rcpts[i], 100);
	qt_mail("x@a4.hop", 1);
	cr_expect_eq(qt_deliver("x@a4.hop"), 1);
	qf_pass(&qt, 60 * 1000);
	cr_expect_leq(qt.njobs, 15, "%zu", qt.njobs);
	/* for one that answers there is a quarter */
	qt_mail("x@a4.hop", 1000);
	for (pass = 0; pass < 200; pass++) {
		qf_pass(&qt, 100);
		cr_expect_leq(qt.njobs, 20);
		n += qt_finish_all("x@a4.hop", 0, 0);
	}
	cr_expect_eq(n, 1000);
	for (i = 0; i < 3; i++)
		cr_expect_geq(qt_jobs_for(rcpts[i]), 1);
	/* and what they have kept is free when they answer */
	qf_finish(&qt, 0);
	for (i = 0; i < 3; i++)
		n += qt_deliver(rcpts[i]);
	cr_expect_geq(n, 1280);
}

Test(queue_stream, agents_never_have_more_than_the_window)
{
	size_t n[3] = { 0 }, i;
	unsigned int pass;

	qt.stream_window = 5;
	for (i = 0; i < 3; i++)
		qt_mail(rcpts[i], 300);
	for (pass = 0; pass < 100; pass++) {
		qf_pass(&qt, 100);
		cr_assert_leq(qt.njobs, 5);
		/* before they have answered, they have one each */
		cr_assert_geq(qt.njobs, pass == 0 ? 3 : 4, "%zu", qt.njobs);
		for (i = 0; i < 3; i++)
			n[i] += qt_finish_all(rcpts[i], 0, 0);
	}
	for (i = 0; i < 3; i++)
		expect_between(n[i], 130, 170);
}

/* A message that no agent takes, and one that comes back, is not sent. */
Test(queue_stream, what_is_not_sent_uses_up_nothing)
{
	size_t n[4] = { 0 };

	qt.stream_rate = 60;
	qt_mail(rcpts[0], 100);
	qt.is_deaf = true;
	qf_pass(&qt, 10 * 1000);
	qt.is_deaf = false;
	qf_pass(&qt, 100);
	cr_expect_eq(qt.njobs, 1);
	qt_finish_all(rcpts[0], EAGAIN, JOB_UNASKED);
	qf_pass(&qt, 100);
	cr_expect_eq(qt.njobs, 1, "at once");
	deliver_all(60, SIZE_MAX, n);
	expect_between(n[0], 60, 61);
}

/* The same when it is not the message's source that the agent does not take: it is
 * asked again in a later pass. */
Test(queue_stream, an_agent_that_takes_no_jobs_ends_the_pass, .timeout = 60)
{
	size_t n = 0, i;

	qt.stream_window = 5;
	/* it is told of the source of all */
	qt_mail(rcpts[0], 20);
	qf_pass(&qt, 100);
	n += qt_finish_all(rcpts[0], 0, 0);
	cr_assert_gt(n, 0);
	qt.is_deaf = true;
	for (i = 0; i < 5; i++) {
		qf_pass(&qt, 100);
		cr_expect_eq(qt.njobs, 0);
	}
	qt.is_deaf = false;
	for (i = 0; i < 100 && n < 20; i++) {
		qf_pass(&qt, 100);
		n += qt_finish_all(rcpts[0], 0, 0);
	}
	cr_expect_eq(n, 20);
}

/* ${n} messages for ${rcpt} are deferred, and due again. */
static void
defer(const char *rcpt, unsigned int n)
{
	unsigned int i;

	qt_mail(rcpt, n);
	for (i = 0; i < 100 && qt_rows().n < n; i++) {
		qf_pass(&qt, 10);
		qt_finish_all(rcpt, EAGAIN, 0);
	}
	cr_assert_eq(qt_rows().n, n);
	qf_pass(&qt, 60 * 1000);
}

/* New mail that never ends does not keep the other waiting, nor the other way round. */
Test(queue_stream, new_mail_and_what_is_due_again_have_turns)
{
	size_t new = 0, due = 0;
	unsigned int i;

	defer(rcpts[0], 20);
	qf_close(&qt);
	qt.stream_rate = 60;
	qt_open_queue();
	qf_pass(&qt, 600 * 1000);
	qf_finish(&qt, 0);
	qt_mail(rcpts[1], 500);
	for (i = 0; i < 200; i++) {
		qf_pass(&qt, 100);
		due += qt_finish_all(rcpts[0], 0, 0);
		new += qt_finish_all(rcpts[1], 0, 0);
	}
	expect_between(new + due, 20, 22);
	expect_between(due, 9, 11);
}

/* --- what those cost that wait --------------------------------------------- */

enum { MANY = 1000 };

static const struct queue_store_ops *real_ops;
static struct queue_store_ops counting_ops;
static unsigned int nqueries;

static int
count_rows(void *store, const struct deferred_query *query,
    int (*each)(void *closure, const struct deferred_row *row), void *closure)
{
	nqueries++;
	return real_ops->rows(store, query, each, closure);
}

static void
count_queries(void)
{
	real_ops = qt.q->store_ops;
	counting_ops = *real_ops;
	counting_ops.rows = count_rows;
	qt.q->store_ops = &counting_ops;
	nqueries = 0;
}

/* Let ${ms} pass, and deliver what comes.  Return how many passes were due. */
static unsigned int
count_passes(int ms, size_t *n)
{
	unsigned int npasses = 0;
	int due;

	while (ms > 0) {
		due = queue_pass(qt.q, &qt.now, qt.ms);
		npasses++;
		*n += qt.njobs;
		if (qt.njobs > 0) {
			qf_finish(&qt, 0);
			continue;
		}
		due = due < 1 ? 1 : due > ms ? ms : due;
		ms -= due;
		qt.ms += due;
		qt.now.tv_sec += (qt.now.tv_usec + due * 1000) / 1000000;
		qt.now.tv_usec = (qt.now.tv_usec + due * 1000) % 1000000;
	}
	return npasses;
}

static void
mail_many(unsigned int each)
{
	static char names[MANY][32];
	size_t i;

	for (i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "x@a%zu.hop", i);
		qt_mail(names[i], each);
	}
}

Test(queue_stream, targets_that_wait_for_their_turn_make_no_passes)
{
	unsigned int npasses;
	size_t n = 0;

	qt.stream_rate = 30;
	mail_many(3);
	(void)count_passes(5000, &n);
	n = 0;
	count_queries();
	npasses = count_passes(60 * 1000, &n);
	expect_between(n, 29, 31);
	/* one for each message, one for its result, and ten in a second, in which the
	 * store looks for segments that are done */
	cr_expect_leq(npasses, 700, "%u", npasses);
	cr_expect_leq(nqueries, 200, "%u", nqueries);
	qt.q->store_ops = real_ops;
}

/* So it is with mail in the store: it is read when it can be sent. */
Test(queue_stream, rows_of_targets_that_wait_for_their_turn_are_not_read)
{
	unsigned int npasses, i;
	size_t n = 0;

	mail_many(1);
	for (i = 0; i < 300 && qt_rows().n < MANY; i++) {
		qf_pass(&qt, 10);
		qf_finish(&qt, EAGAIN);
	}
	cr_assert_eq(qt_rows().n, MANY);
	qf_close(&qt);
	qt.stream_rate = 30;
	qt_open_queue();
	/* all are due, and those for which there is no room are parked */
	(void)count_passes(300 * 1000, &n);
	n = 0;
	count_queries();
	npasses = count_passes(60 * 1000, &n);
	expect_between(n, 29, 31);
	cr_expect_leq(npasses, 300, "%u", npasses);
	cr_expect_leq(nqueries, 300, "%u", nqueries);
	/* in memory is what can be sent soon */
	cr_expect_leq(qt.q->held[QUEUE_DUE].nfiles, 2 * QUEUE_PLACES_LEAST,
	    "%zu", qt.q->held[QUEUE_DUE].nfiles);
	qt.q->store_ops = real_ops;
	/* others have places */
	qt_mail("x@b.hop", 20);
	for (i = 0; i < 100 && qt_jobs_for("x@b.hop") < 20; i++)
		qf_pass(&qt, 10);
	qt_finish_all("x@b.hop", EAGAIN, 0);
}

Test(queue_stream, each_of_many_has_its_turn_before_any_has_its_second)
{
	enum { N = 50 };
	static char names[N][32];
	size_t n[N] = { 0 }, had = 0, i;

	qt.stream_rate = N * 60;
	for (i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "x@a%zu.hop", i);
		qt_mail(names[i], 1 + (unsigned int)i);
	}
	while (had < N) {
		qf_pass(&qt, 10);
		had += qt.njobs;
		for (i = 0; i < N; i++)
			n[i] += qt_finish_all(names[i], 0, 0);
	}
	for (i = 0; i < N; i++)
		cr_expect_eq(n[i], 1, "%zu: %zu", i, n[i]);
	/* and so it goes on */
	while (had < 11 * N) {
		qf_pass(&qt, 10);
		had += qt.njobs;
		for (i = 0; i < N; i++)
			n[i] += qt_finish_all(names[i], 0, 0);
	}
	for (i = 15; i < N; i++)
		expect_between(n[i], 11, 13);
}
