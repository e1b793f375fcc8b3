/* What "show" and "top" say of targets: how much each has, and what it waits for. */

#include "core/queue/queue_answer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/core/queue/queue_target_fixture.h"

TestSuite(queue_answer_target, .init = qt_setup, .fini = qt_teardown);

static void
expect_answer(const char *request, const char *want)
{
	char *answer = qf_ask(&qt, request);

	cr_expect_not_null(strstr(answer, want), "%s: %s", want, answer);
	free(answer);
}

#define SHOW	"{\"action\":\"show\",\"id\":\"%s\"}"
#define TOP	"{\"action\":\"top\",\"by\":\"target\"}"

Test(queue_answer_target, show_and_top_say_what_mail_waits_for)
{
	char show[64], id[SPOOL_ID_TEXT + 1];

	qt_mail("x@a.hop", 10);
	qt_mail("x@near.test", 1);
	spool_id_text(QF_ID(10), id);
	snprintf(show, sizeof(show), SHOW, id);
	/* before it is read, too */
	expect_answer(TOP, "\"name\":\"relay a.hop\"}");
	qf_pass(&qt, 10);
	expect_answer(show, "\"target\":{\"name\":\"relay a.hop\","
	    "\"window\":5,\"sent\":5}");
	expect_answer(TOP, "\"name\":\"relay a.hop\",\"window\":5,"
	    "\"sent\":5}");
	expect_answer(TOP, "\"name\":\"near\"}");
	qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET);
	expect_answer(show, "\"window\":2,\"sent\":0,\"rest\":1,"
	    "\"error\":\"the destination does not answer, and is tried again "
	    "at times: because of the test\"}");
	qf_pass(&qt, QUEUE_REST_MS + 10);
	cr_assert_eq(qt_finish_all("x@a.hop", ECONNREFUSED, JOB_TARGET), 1);
	qf_pass(&qt, 500);
	expect_answer(TOP, "\"rest\":2,");
	qf_pass(&qt, 1000);
	expect_answer(TOP, "\"rest\":1,");
	qf_finish(&qt, 0);
}

/* "top" says ${want} of "relay ${target}", and nothing else. */
static void
expect_target(const char *target, const char *want)
{
	char text[128];

	snprintf(text, sizeof(text), "\"name\":\"relay %s\",%s}", target, want);
	expect_answer(TOP, text);
}

/* Let ${ms} pass without a pass of the queue. */
static void
idle(int ms)
{
	qt.ms += ms;
	qt.now.tv_sec += (qt.now.tv_usec + ms * 1000) / 1000000;
	qt.now.tv_usec = (qt.now.tv_usec + ms * 1000) % 1000000;
}

Test(queue_answer_target, one_that_has_got_what_its_rate_gives_says_until_when)
{
	qt.hop_rate = 20;		/* a minute */
	qt_mail("x@a.hop", 10);
	qf_pass(&qt, 10);
	expect_target("a.hop", "\"window\":5,\"sent\":1,\"rate_wait\":3");
	qf_pass(&qt, 1000);
	expect_target("a.hop", "\"window\":5,\"sent\":1,\"rate_wait\":2");
	/* it is the time of the question that counts */
	idle(1000);
	expect_target("a.hop", "\"window\":5,\"sent\":1,\"rate_wait\":1");
	idle(1000);
	expect_target("a.hop", "\"window\":5,\"sent\":1");
	qf_pass(&qt, 10);
	expect_target("a.hop", "\"window\":5,\"sent\":2,\"rate_wait\":3");
	qf_finish(&qt, 0);
}

Test(queue_answer_target, one_that_an_agent_has_put_off_says_until_when)
{
	qt_mail("x@a.hop", 10);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@a.hop", EAGAIN, JOB_LATER_IN(3000)), 5);
	/* before the next pass, and behind it */
	expect_target("a.hop", "\"window\":2,\"sent\":0,\"mx_rate_wait\":3");
	qf_pass(&qt, 1010);
	expect_target("a.hop", "\"window\":2,\"sent\":0,\"mx_rate_wait\":2");
	qf_pass(&qt, 2000);
	expect_target("a.hop", "\"window\":2,\"sent\":2");
	qf_finish(&qt, 0);
}

/* What came back untried has used up none of its rate; what is sent again has. */
Test(queue_answer_target, each_reason_is_told_by_itself)
{
	qt.hop_rate = 20;
	qt_mail("x@a.hop", 10);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@a.hop", EAGAIN, JOB_LATER_IN(9000)), 1);
	expect_target("a.hop", "\"window\":2,\"sent\":0,\"mx_rate_wait\":9");
	qf_pass(&qt, 8000);
	expect_target("a.hop", "\"window\":2,\"sent\":0,\"mx_rate_wait\":1");
	qf_pass(&qt, 1100);
	expect_target("a.hop", "\"window\":2,\"sent\":1,\"rate_wait\":3");
	qf_finish(&qt, 0);
}

Test(queue_answer_target, those_of_one_source_say_when_its_rate_lets_one_have_mail)
{
	qt.stream_rate = 20;
	qt_mail("x@a1.hop", 5);
	qt_mail("x@a2.hop", 5);
	qt_mail("x@b.hop", 1);
	qf_pass(&qt, 10);
	cr_assert_eq(qt_finish_all("x@a1.hop", 0, 0), 1);
	expect_target("a1.hop",
	    "\"window\":5,\"sent\":0,\"source_rate_wait\":3");
	expect_target("a2.hop",
	    "\"window\":5,\"sent\":0,\"source_rate_wait\":3");
	/* the time of the question, again */
	idle(2000);
	expect_target("a2.hop",
	    "\"window\":5,\"sent\":0,\"source_rate_wait\":1");
	qf_finish(&qt, 0);
}

Test(queue_answer_target, those_of_one_source_say_that_agents_have_all_of_it)
{
	qt.stream_window = 2;
	qt_mail("x@a1.hop", 5);
	qt_mail("x@a2.hop", 5);
	qt_mail("x@b.hop", 1);
	qf_pass(&qt, 10);
	expect_target("a1.hop", "\"window\":5,\"sent\":1,\"source_full\":true");
	expect_target("a2.hop", "\"window\":5,\"sent\":1,\"source_full\":true");
	qf_finish(&qt, 0);
	expect_target("a1.hop", "\"window\":5,\"sent\":0");
}

/* There is room for others, but not for one that does not answer. */
Test(queue_answer_target, one_says_that_agents_have_its_part_of_a_source)
{
	qt.stream_window = 20;
	qt_mail("x@a1.hop", 10);
	qf_pass(&qt, 10);
	expect_target("a1.hop", "\"window\":5,\"sent\":4,\"source_full\":true");
	qt_mail("x@a2.hop", 1);
	qf_pass(&qt, 10);
	cr_expect_eq(qt_jobs_for("x@a2.hop"), 1);
	qf_finish(&qt, 0);
}
