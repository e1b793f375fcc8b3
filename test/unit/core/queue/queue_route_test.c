/* Requests of mailmillctl that lead recipients elsewhere than the configuration says. */

#include "core/queue/queue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_target.h"
#include "core/spool/spool_id.h"
#include "test/unit/core/process/logged.h"
#include "test/unit/core/queue/queue_change_fixture.h"

QF_CHANGE_SUITE(queue_route);

static unsigned int relay;	/* the agent of QF_RELAY */

#define TO_B		"\"to\":\"b.hop\","
#define TO_NEAR		"\"to\":\"near.test\","
#define AS_CONFIGURED	"\"to\":null,"
#define ALL		"\"id\":\"all\""
#define OF_Y		"\"filter\":{\"domain\":\"y.test\"}"

static const char *
routed(const char *rest)
{
	return asked("route", rest);
}

static void
add_relay(void)
{
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
}

static void
restart_with_relay(void)
{
	restart();
	add_relay();
}

/* How many jobs of ${agent} are for ${rcpt}, NULL: for anybody, and have ${section} */
static size_t
jobs(unsigned int agent, const char *rcpt, uint32_t section)
{
	char who[64];
	size_t i, n = 0;

	for (i = 0; i < f.njobs; i++) {
		qf_rcpt(&f, i, who, sizeof(who));
		n += f.jobs[i].agent == agent &&
		    f.jobs[i].job.section == section &&
		    (rcpt == NULL || strcmp(who, rcpt) == 0);
	}
	return n;
}

/* How many recipients of ${action}, list or export, have ${route} */
static size_t
nrouted(const char *action, const char *route)
{
	char request[64], want[64], *answer;
	size_t n;

	snprintf(request, sizeof(request), "{\"action\":\"%s\"}", action);
	snprintf(want, sizeof(want), "\"route\":\"%s\"", route);
	answer = qf_ask(&f, request);
	n = qf_times(answer, want);
	free(answer);
	return n;
}

/* Wherever its message is: deferred, in memory, or not read yet */
Test(queue_route, what_is_led_elsewhere_goes_there_and_the_rest_does_not)
{
	add_relay();
	make_three();
	cr_expect_str_eq(routed("\"to\":\"B.hop\"," OF_Y),
	    "{\"routed\":3,\"messages\":3}");
	cr_expect_str_eq(listed("{\"domain\":\"y.test\"}"),
	    "1:b@y.test=deferred 2:b@y.test=deferred 3:b@y.test=deferred ");
	cr_expect_eq(nrouted("list", "b.hop"), 3);
	cr_expect_str_eq(routed(TO_B OF_Y), "{\"routed\":0,\"messages\":0}");
	f.is_deaf = false;
	qf_pass(&f, 100);
	cr_expect_eq(jobs(relay, "b@y.test", QF_SECTION), 3);
	cr_expect_eq(jobs(f.agent, "a@x.test", 0), 2);
	cr_expect_eq(jobs(f.agent, "c@x.test", 0), 2);
	cr_expect_eq(f.njobs, 7, "%zu", f.njobs);
	qf_finish(&f, 0);
	qf_pass(&f, 1000000);
	cr_expect_eq(jobs(f.agent, NULL, 0), 2, "of the deferred message");
	cr_expect_eq(f.njobs, 2);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_str_eq(listed(""), "");
	spool_segment_close(&s.file);
	qf_pass(&f, 2000);
	cr_expect_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

Test(queue_route, it_goes_there_after_a_restart_and_each_failure)
{
	unsigned int i;

	make_three();
	cr_assert_str_eq(routed(TO_B ALL), "{\"routed\":9,\"messages\":3}");
	restart_with_relay();
	for (i = 0; i < 3; i++) {
		qf_pass(&f, 1000000);
		cr_expect_eq(jobs(relay, NULL, QF_SECTION), 9);
		cr_expect_eq(f.njobs, 9, "%zu", f.njobs);
		qf_finish(&f, EAGAIN);
	}
	qf_pass(&f, 100);
	restart_with_relay();
	qf_pass(&f, 1000000);
	cr_expect_eq(jobs(relay, NULL, QF_SECTION), 9);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_str_eq(listed(""), "");
}

Test(queue_route, it_goes_again_where_the_configuration_says)
{
	add_relay();
	make_three();
	cr_expect_str_eq(routed(AS_CONFIGURED ALL),
	    "{\"routed\":0,\"messages\":0}");
	cr_expect_null(strstr(listed(""), "2:a@x.test=deferred"),
	    "what is new stays where it is");
	cr_assert_str_eq(routed(TO_B ALL), "{\"routed\":9,\"messages\":3}");
	cr_expect_str_eq(routed(AS_CONFIGURED OF_Y),
	    "{\"routed\":3,\"messages\":3}");
	f.is_deaf = false;
	qf_pass(&f, 100);
	cr_expect_eq(jobs(f.agent, "b@y.test", 0), 3);
	cr_expect_eq(jobs(relay, NULL, QF_SECTION), 6);
	cr_expect_eq(f.njobs, 9);
	qf_finish(&f, 0);
}

Test(queue_route, a_dry_run_or_a_section_that_is_not_there_changes_nothing)
{
	char before[1024];

	make_three();
	strlcpy(before, listed(""), sizeof(before));
	cr_expect_str_eq(routed(TO_B ALL ",\"dry_run\":true"),
	    "{\"routed\":9,\"messages\":3,\"dry_run\":true}");
	cr_expect_str_eq(routed("\"to\":\"c.hop\"," ALL),
	    "{\"error\":\"there is no such section\"}");
	cr_expect_str_eq(routed("\"to\":\"c.hop\",\"dry_run\":true," ALL),
	    "{\"error\":\"there is no such section\"}");
	cr_expect_str_eq(listed(""), before);
	cr_expect_eq(nrouted("list", "b.hop"), 0);
}

/* A reload has removed it, and another brings it back. */
Test(queue_route, without_its_section_it_goes_as_configured)
{
	add_relay();
	make_three();
	cr_assert_str_eq(routed(TO_B ALL), "{\"routed\":9,\"messages\":3}");
	f.has_no_sections = true;
	logged_open("queue");
	restart_with_relay();
	qf_pass(&f, 100);
	cr_expect_eq(jobs(f.agent, NULL, 0), 9);
	cr_expect_eq(f.njobs, 9);
	cr_expect_eq(qf_times(logged(), "event=route-lost"), 9);
	cr_expect_eq(qf_times(logged_text, "rcpt=b@y.test route=b.hop effect="), 3);
	cr_expect_eq(nrouted("list", "b.hop"), 9);
	qf_finish(&f, EAGAIN);
	f.has_no_sections = false;
	qf_pass(&f, 1000000);
	cr_expect_eq(jobs(relay, NULL, QF_SECTION), 9);
	cr_expect_eq(f.njobs, 9);
	cr_expect_eq(qf_times(logged(), "event=route-lost"), 0);
	logged_close();
	qf_finish(&f, 0);
}

Test(queue_route, what_is_on_hold_or_held_goes_when_its_time_has_come)
{
	const struct spool_envelope said = {
		.hold_until = f.now.tv_sec + 5000 };

	add_relay();
	qf_segment(&f, &s, 1);
	f.is_deaf = true;
	qf_append(&s, QF_ID(1), "one@s.test", qf_three, 3, "body\r\n");
	qf_append_said(&s, QF_ID(2), &said);
	qf_committed(&f, &s, false);
	cr_assert_str_eq(asked("hold",
	    "\"filter\":{\"sender\":\"one@s.test\"}"),
	    "{\"held\":3,\"messages\":1}");
	qf_pass(&f, 0);
	/* held, and not read */
	qf_append_said(&s, QF_ID(3), &said);
	qf_committed(&f, &s, true);
	cr_expect_str_eq(routed(TO_B ALL), "{\"routed\":9,\"messages\":3}");
	f.is_deaf = false;
	qf_pass(&f, 4000 * 1000);
	cr_expect_eq(f.njobs, 0, "%zu", f.njobs);
	cr_expect_eq(qf_times(listed(""), "=hold"), 3);
	cr_expect_eq(qf_times(listed(""), "=held"), 6);
	cr_assert_str_eq(asked("release", ALL),
	    "{\"released\":3,\"messages\":1}");
	qf_pass(&f, 100);
	cr_expect_eq(jobs(relay, NULL, QF_SECTION), 3);
	qf_pass(&f, 1001 * 1000);
	cr_expect_eq(jobs(relay, NULL, QF_SECTION), 9);
	cr_expect_eq(f.njobs, 9);
	qf_finish(&f, 0);
}

/* What an agent has may be delivered; what has an outcome is over. */
Test(queue_route, what_is_being_delivered_or_over_is_left_alone)
{
	const struct spool_envelope said = { .envid = "x",
		.notify = (const uint8_t[]){ SPOOL_NOTIFY_SUCCESS, 0, 0 } };
	char id[SPOOL_ID_TEXT + 1], rest[64];

	add_relay();
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	f.has_no_reports = true;
	qf_done_with(&f, f.agent, f.jobs[0].job.job, 0, JOB_FINAL);
	qf_pass(&f, 0);
	spool_id_text(QF_ID(1), id);
	snprintf(rest, sizeof(rest), TO_B "\"id\":\"%s\"", id);
	cr_expect_not_null(strstr(routed(rest), "delivered right now"));
	qf_done(&f, f.agent, f.jobs[1].job.job, EAGAIN);
	qf_pass(&f, 0);
	cr_expect_str_eq(routed(TO_B ALL),
	    "{\"routed\":1,\"messages\":1,\"busy\":1}");
	qf_done(&f, f.agent, f.jobs[2].job.job, 0);
	f.njobs = 0;
	f.has_no_reports = false;
	qf_pass(&f, 1000000);
	cr_expect_eq(jobs(relay, "b@x.test", QF_SECTION), 1);
	cr_expect_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_eq(jobs(f.agent, "a@b.test", 0), 1, "the report");
	cr_expect_eq(f.njobs, 1);
	qf_finish(&f, 0);
}

static void
mail(const char *rcpt, unsigned int n)
{
	static unsigned int last;
	unsigned int i;

	qf_segment(&f, &s, ++last);
	for (i = 0; i < n; i++)
		qf_append(&s, QF_ID(100 * last + i), "one@s.test", &rcpt, 1,
		    "body\r\n");
	qf_committed(&f, &s, true);
	spool_segment_close(&s.file);
}

/* The target of each job of ${relay} does not answer, for an hour. */
static void
fail_for_long(void)
{
	int64_t end = f.ms + 3600 * 1000;
	size_t i;

	while (f.njobs > 0 || f.ms < end) {
		for (i = 0; i < f.njobs; i++)
			qf_done_with(&f, relay, f.jobs[i].job.job,
			    ECONNREFUSED, JOB_TARGET);
		f.njobs = 0;
		qf_pass(&f, 1000);
	}
}

/* The whole backlog of a next hop that is gone; some of it is in memory. */
Test(queue_route, what_waits_for_a_target_is_tried_elsewhere_at_once)
{
	char *list;

	add_relay();
	mail("x@a.hop", 50);
	qf_pass(&f, 0);
	fail_for_long();
	cr_expect_str_eq(routed(TO_NEAR ALL),
	    "{\"routed\":50,\"messages\":50}");
	qf_pass(&f, 10);
	cr_expect_eq(jobs(f.agent, "x@a.hop", QF_SECTION), 50);
	cr_expect_eq(f.njobs, 50, "%zu", f.njobs);
	list = qf_ask(&f, "{\"action\":\"top\",\"by\":\"target\"}");
	cr_expect_not_null(strstr(list, "\"name\":\"near\""), "%s", list);
	cr_expect_null(strstr(list, "relay a.hop"), "%s", list);
	free(list);
	qf_finish(&f, 0);
	qf_pass(&f, 10);
	cr_expect_eq(qf_listed(&f), 0);
}

/* One that rests: route, retry and show mean the target that the row leads to. */
Test(queue_route, the_target_is_that_of_the_section)
{
	char show[64], id[SPOOL_ID_TEXT + 1], *answer;

	add_relay();
	mail("x@b.hop", 1);
	qf_pass(&f, 0);
	fail_for_long();
	mail("x@near.test", 1);
	qf_pass(&f, 0);
	cr_assert_eq(jobs(f.agent, "x@near.test", 0), 1);
	qf_finish(&f, EAGAIN);
	qf_pass(&f, 10);
	cr_assert_str_eq(routed(TO_B "\"filter\":{\"recipient\":\"x@near.test\"}"),
	    "{\"routed\":1,\"messages\":1}");
	spool_id_text(QF_ID(200), id);
	snprintf(show, sizeof(show), "{\"action\":\"show\",\"id\":\"%s\"}", id);
	answer = qf_ask(&f, show);
	cr_expect_not_null(strstr(answer, "\"name\":\"relay b.hop\""), "%s",
	    answer);
	cr_expect_not_null(strstr(answer, "\"route\":\"b.hop\""), "%s", answer);
	free(answer);
	qf_pass(&f, 10);
	cr_expect_eq(f.njobs, 1, "a probe, with either message");
	fail_for_long();
	cr_assert_str_eq(asked("retry",
	    "\"filter\":{\"recipient\":\"x@near.test\"}"),
	    "{\"retried\":1,\"messages\":1}");
	qf_pass(&f, 10);
	cr_expect_eq(f.njobs, 1, "another");
	qf_finish(&f, 0);
}

Test(queue_route, without_room_all_goes_as_configured)
{
	make_three();
	qf_fill_disk();
	cr_expect_not_null(strstr(routed(TO_B ALL),
	    "cannot write to its disk"));
	qf_free_disk();
	restart_with_relay();
	qf_pass(&f, 1000000);
	cr_expect_eq(jobs(f.agent, NULL, 0), 9);
	cr_expect_eq(f.njobs, 9, "%zu", f.njobs);
	qf_finish(&f, 0);
}

/* Where mail of an alias goes is looked up when it is there. */
Test(queue_route, an_alias_is_expanded_whatever_its_route)
{
	static const char *const rcpts[] = { "many@alias.test" };

	add_relay();
	qf_segment(&f, &s, 1);
	f.is_deaf = true;
	qf_append(&s, QF_ID(1), "one@s.test", rcpts, 1, "body\r\n");
	qf_committed(&f, &s, true);
	cr_assert_str_eq(routed(TO_B ALL), "{\"routed\":1,\"messages\":1}");
	f.is_deaf = false;
	qf_pass(&f, 5000);
	cr_expect_eq(jobs(f.agent, "many1@x.test", 0), 1);
	cr_expect_eq(jobs(f.agent, "many2@x.test", 0), 1);
	cr_expect_eq(f.njobs, 2);
	qf_finish(&f, 0);
}

static void
take(struct queue_answer *a, const char *stream)
{
	size_t len = strlen(stream);
	const char *piece;
	size_t n;

	while (queue_answer_next(a, &f.now, &piece, &n) == 1) {
		if (!queue_answer_wants(a))
			continue;
		queue_answer_feed(a, &f.now, stream, len);
		len = 0;
	}
	queue_answer_free(a);
}

Test(queue_route, what_is_exported_and_imported_goes_the_same_way)
{
	static const char import[] = "{\"action\":\"import\"}";
	char *stream;

	add_relay();
	make_three();
	cr_assert_str_eq(routed(TO_B OF_Y), "{\"routed\":3,\"messages\":3}");
	cr_expect_eq(nrouted("export", "b.hop"), 3);
	stream = qf_ask(&f, "{\"action\":\"export\","
	    "\"filter\":{\"domain\":\"y.test\"}}");
	free(qf_ask(&f, "{\"action\":\"remove\",\"id\":\"all\"}"));
	cr_assert_str_eq(listed(""), "");
	take(queue_control(f.q, import, strlen(import)), stream);
	free(stream);
	f.is_deaf = false;
	qf_pass(&f, 100);
	cr_expect_eq(jobs(relay, "b@y.test", QF_SECTION), 3);
	cr_expect_eq(f.njobs, 3, "%zu", f.njobs);
	qf_finish(&f, 0);
}
