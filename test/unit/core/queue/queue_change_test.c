/* Requests of mailmillctl that choose messages by a filter, and change them: retry,
 * hold, release and remove. */

#include "core/queue/queue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/core/queue/queue_change_fixture.h"

QF_CHANGE_SUITE(queue_change);

Test(queue_change, a_list_has_what_the_filter_says)
{
	make_three();
	cr_expect_str_eq(listed("{\"recipient\":\"a@x.test\"}"),
	    "2:a@x.test=waiting 3:a@x.test=waiting 1:a@x.test=deferred ");
	cr_expect_str_eq(listed("{\"domain\":\"y.test\"}"),
	    "2:b@y.test=waiting 3:b@y.test=waiting 1:b@y.test=deferred ");
	cr_expect_str_eq(listed("{\"sender\":\"one@*\",\"recipient\":\"c@*\"}"),
	    "3:c@x.test=waiting 1:c@x.test=deferred ");
	cr_expect_str_eq(listed("{\"larger\":8,\"domain\":\"*y.test\"}"),
	    "2:b@y.test=waiting ");
	cr_expect_str_eq(listed("{\"state\":\"deferred\"}"),
	    "1:a@x.test=deferred 1:b@y.test=deferred 1:c@x.test=deferred ");
	cr_expect_str_eq(listed("{\"error\":\"of the TEST\",\"domain\":"
	    "\"y.test\"}"), "1:b@y.test=deferred ");
	cr_expect_str_eq(listed("{\"newer\":3600,\"domain\":\"y.test\"}"),
	    "2:b@y.test=waiting 3:b@y.test=waiting 1:b@y.test=deferred ");
	f.now.tv_sec += 7200;
	cr_expect_str_eq(listed("{\"newer\":3600}"), "");
	cr_expect_str_eq(listed("{\"older\":3600,\"state\":\"deferred\","
	    "\"recipient\":\"c*\"}"), "1:c@x.test=deferred ");
	cr_expect_str_eq(listed("{\"domain\":\"none.test\"}"), "");
}

Test(queue_change, a_request_says_once_what_it_is_about)
{
	static const char *const requests[][2] = {
		{ "remove", "" }, { "hold", "" }, { "release", "" },
		{ "retry", "" }, { "remove", "\"filter\":{}" },
		{ "remove", "\"id\":\"all\",\"filter\":{\"larger\":1}" },
		{ "remove", "\"filter\":{\"sendr\":\"x\"}" },
		{ "remove", "\"fliter\":{\"sender\":\"x\"},\"id\":\"all\"" },
		{ "remove", "\"id\":\"all\",\"dry_run\":1" },
		{ "bounce", "" }, { "bounce", "\"reason\":\"x\"" },
		{ "bounce", "\"id\":\"all\",\"reason\":\"\"" },
		{ "bounce", "\"id\":\"all\",\"reason\":1" },
		{ "remove", "\"id\":\"all\",\"reason\":\"x\"" },
		{ "route", "" }, { "route", "\"id\":\"all\"" },
		{ "route", "\"to\":\"b.hop\"" },
		{ "route", "\"id\":\"all\",\"to\":1" },
		{ "route", "\"id\":\"all\",\"to\":\"\"" },
		{ "remove", "\"id\":\"all\",\"to\":\"b.hop\"" },
		{ "show", "\"id\":\"all\"" },
		{ "show", "\"filter\":{\"larger\":1}" },
		{ "list", "\"id\":\"all\"" },
		{ "list", "\"limit\":0" }, { "list", "\"limit\":\"x\"" },
	};
	size_t i;

	make_three();
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		cr_expect_not_null(strstr(asked(requests[i][0],
		    requests[i][1]), "{\"error\":"), "%s %s: %s",
		    requests[i][0], requests[i][1], asked(requests[i][0],
		    requests[i][1]));
	cr_expect_eq(qf_listed(&f), 3);
}

Test(queue_change, what_a_filter_removes_is_gone_and_the_rest_is_not)
{
	make_three();
	cr_expect_str_eq(asked("remove", "\"filter\":{\"domain\":\"x.test\","
	    "\"sender\":\"one@s.test\"}"), "{\"removed\":4,\"messages\":2}");
	cr_expect_str_eq(listed(""), "2:a@x.test=waiting 2:b@y.test=waiting "
	    "2:c@x.test=waiting 3:b@y.test=waiting 1:b@y.test=deferred ");
	cr_expect_str_eq(asked("remove", "\"filter\":{\"recipient\":"
	    "\"*@x.test\"}"), "{\"removed\":2,\"messages\":1}");
	restart();
	qf_pass(&f, 100000);
	cr_expect_eq(f.njobs, 3, "of each message one");
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_str_eq(listed(""), "");
	cr_expect_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

Test(queue_change, a_dry_run_counts_and_changes_nothing)
{
	static const char *const actions[] = { "retry", "hold", "remove",
		"bounce" };
	char want[128], before[1024];
	size_t i;

	make_three();
	strlcpy(before, listed(""), sizeof(before));
	for (i = 0; i < 4; i++) {
		snprintf(want, sizeof(want), "\"messages\":3,"
		    "\"dry_run\":true}");
		cr_expect_not_null(strstr(asked(actions[i], "\"id\":\"all\","
		    "\"dry_run\":true"), want), "%s", actions[i]);
		cr_expect_not_null(strstr(asked(actions[i], "\"filter\":"
		    "{\"recipient\":\"b@*\"},\"dry_run\":true"), "\":3,"),
		    "%s", actions[i]);
		cr_expect_str_eq(listed(""), before, "%s", actions[i]);
	}
	cr_expect_str_eq(asked("hold", "\"id\":\"all\",\"dry_run\":false"),
	    "{\"held\":9,\"messages\":3}");
	cr_expect_str_eq(asked("release", "\"id\":\"all\",\"dry_run\":true"),
	    "{\"released\":9,\"messages\":3,\"dry_run\":true}");
	cr_expect_null(strstr(listed(""), "deferred"));
}

Test(queue_change, what_is_on_hold_is_tried_by_nobody)
{
	make_three();
	cr_assert_str_eq(asked("hold", "\"id\":\"all\""),
	    "{\"held\":9,\"messages\":3}");
	cr_expect_str_eq(asked("hold", "\"id\":\"all\""),
	    "{\"held\":0,\"messages\":0}");
	cr_expect_str_eq(asked("retry", "\"id\":\"all\""),
	    "{\"retried\":0,\"messages\":0}");
	f.is_deaf = false;
	cr_assert_eq(queue_start(f.q, 1, "x.test", false), 0);
	qf_pass(&f, 100000);
	cr_expect_eq(f.njobs, 0);
	restart();
	qf_pass(&f, 10000000);
	cr_expect_eq(f.njobs, 0, "after a restart neither");
	cr_expect_null(strstr(listed(""), "=deferred"), "%s", listed(""));
	cr_expect_null(strstr(listed(""), "=waiting"), "%s", listed(""));
	cr_expect_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1,
	    "the segment has nothing any more");
	cr_expect_str_eq(asked("release", "\"id\":\"all\""),
	    "{\"released\":9,\"messages\":3}");
	qf_pass(&f, 0);
	cr_expect_eq(f.njobs, 9);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_expect_str_eq(listed(""), "");
}

/* One that was not in memory when it was put on hold: its row says when it came, and
 * the file what NOTIFY was. */
Test(queue_change, what_was_on_hold_expires_and_is_reported_as_any_other)
{
	const struct spool_envelope said = { .envid = "x",
		.notify = (const uint8_t[]){ SPOOL_NOTIFY_NEVER,
		    SPOOL_NOTIFY_FAILURE, 0 } };

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	cr_assert_str_eq(asked("hold", "\"id\":\"all\""),
	    "{\"held\":3,\"messages\":1}");
	cr_assert_str_eq(asked("release", "\"id\":\"all\""),
	    "{\"released\":3,\"messages\":1}");
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, EAGAIN);
	qf_pass(&f, 2000);
	cr_expect_eq(f.nreports, 0);
	cr_expect_str_eq(listed(""), "1:a@x.test=deferred "
	    "1:b@x.test=deferred 1:c@x.test=deferred ");
	qf_pass(&f, 61000);
	cr_assert_eq(f.njobs, 3);
	qf_done_with(&f, f.agent, f.jobs[0].job.job, EACCES, JOB_REFUSED);
	qf_done_with(&f, f.agent, f.jobs[1].job.job, 0, 0);
	qf_done_with(&f, f.agent, f.jobs[2].job.job, 0, 0);
	qf_pass(&f, 2000);
	cr_expect_eq(f.nreports, 0, "NOTIFY=NEVER");
	cr_expect_str_eq(listed(""), "");
}

/* --- no memory ------------------------------------------------------------- */

/* The array of what is to be on hold has room for 16, and then for 24. */
Test(queue_change, without_memory_to_hold_all_recipients_none_is_lost)
{
	static char names[20][16];
	const char *rcpts[20];
	size_t i;

	for (i = 0; i < 20; i++) {
		snprintf(names[i], sizeof(names[i]), "u%02zu@x.test", i);
		rcpts[i] = names[i];
	}
	qf_segment(&f, &s, 1);
	f.is_deaf = true;
	qf_append(&s, QF_ID(1), "one@s.test", qf_abc, 3, "body\r\n");
	qf_append(&s, QF_ID(2), "two@s.test", rcpts, 20, "body\r\n");
	qf_committed(&f, &s, true);
	qf_no_memory_for = 24;
	cr_expect_not_null(strstr(asked("hold", "\"id\":\"all\""),
	    "out of memory"));
	qf_no_memory_for = 0;
	restart();
	for (i = 0; i < 20; i++)
		cr_expect_not_null(strstr(listed(""), names[i]), "%s in %s",
		    names[i], listed(""));
	cr_expect_not_null(strstr(asked("hold", "\"id\":\"all\""),
	    "\"held\":"));
	restart();
	cr_expect_str_eq(asked("release", "\"id\":\"all\""),
	    "{\"released\":23,\"messages\":2}");
	qf_pass(&f, 0);
	cr_expect_eq(f.njobs, 23, "each once");
}

/* A message of which one recipient is on hold: the others go on. */
Test(queue_change, one_recipient_is_on_hold_wherever_its_message_is)
{
	make_three();
	cr_assert_str_eq(asked("hold", "\"filter\":{\"domain\":\"y.test\"}"),
	    "{\"held\":3,\"messages\":3}");
	cr_expect_str_eq(listed("{\"state\":\"hold\"}"),
	    "1:b@y.test=hold 2:b@y.test=hold 3:b@y.test=hold ");
	f.is_deaf = false;
	qf_pass(&f, 100000);
	cr_expect_eq(f.njobs, 6);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_str_eq(listed(""),
	    "1:b@y.test=hold 2:b@y.test=hold 3:b@y.test=hold ");
	restart();
	qf_pass(&f, 100000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_str_eq(asked("remove", "\"filter\":{\"state\":\"hold\"}"),
	    "{\"removed\":3,\"messages\":3}");
	cr_expect_eq(qf_listed(&f), 0);
}

Test(queue_change, what_an_agent_has_is_on_hold_if_it_fails)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "one@s.test", qf_abc, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	cr_expect_str_eq(asked("hold", "\"id\":\"all\""),
	    "{\"held\":3,\"messages\":1}");
	qf_done(&f, f.agent, f.jobs[0].job.job, 0);
	qf_done(&f, f.agent, f.jobs[1].job.job, EACCES);
	qf_pass(&f, 0);
	cr_expect_str_eq(listed(""),
	    "1:c@x.test=delivering 1:b@y.test=hold ");
	cr_expect_str_eq(asked("release", "\"filter\":{\"recipient\":\"c@*\"}"),
	    "{\"released\":1,\"messages\":1}");
	qf_done(&f, f.agent, f.jobs[2].job.job, EACCES);
	f.njobs = 0;
	qf_pass(&f, 61000);
	cr_expect_eq(f.njobs, 1, "the one that was released");
	/* and once more, when it is deferred: its row is on hold already */
	cr_expect_str_eq(asked("hold", "\"filter\":{\"recipient\":\"c@*\"}"),
	    "{\"held\":1,\"messages\":1}");
	cr_expect_str_eq(listed(""),
	    "1:b@y.test=hold 1:c@x.test=delivering ");
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_str_eq(listed(""), "1:b@y.test=hold 1:c@x.test=hold ");
}

/* New or deferred: it has not been tried. */
Test(queue_change, what_an_agent_gives_back_is_on_hold)
{
	static const char all[] =
	    "1:a@x.test=hold 1:b@y.test=hold 1:c@x.test=hold ";
	int i;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "one@s.test", qf_abc, 3, "body\r\n");
	qf_committed(&f, &s, false);
	for (i = 0; i < 2; i++) {
		qf_pass(&f, 0);
		cr_assert_eq(f.njobs, 3);
		cr_expect_str_eq(asked("hold", "\"id\":\"all\""),
		    "{\"held\":3,\"messages\":1}");
		qf_finish(&f, ESTALE);
		qf_pass(&f, 0);
		qf_pass(&f, 1000000);
		cr_expect_eq(f.njobs, 0);
		cr_expect_str_eq(listed(""), all);
		cr_expect_str_eq(asked("release", "\"id\":\"all\""),
		    "{\"released\":3,\"messages\":1}");
	}
	/* and one that is released before it comes back is tried again */
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 3);
	(void)asked("hold", "\"id\":\"all\"");
	(void)asked("release", "\"id\":\"all\"");
	qf_finish(&f, ESTALE);
	qf_pass(&f, 0);
	cr_expect_eq(f.njobs, 3);
}

Test(queue_change, a_filter_leaves_alone_what_an_agent_has)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "one@s.test", qf_abc, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_done(&f, f.agent, f.jobs[0].job.job, EACCES);
	qf_pass(&f, 0);
	cr_expect_str_eq(asked("remove", "\"id\":\"all\""),
	    "{\"removed\":1,\"messages\":1,\"busy\":2}");
	cr_expect_str_eq(listed(""),
	    "1:b@y.test=delivering 1:c@x.test=delivering ");
}

/* Deferred messages whose recipients wait in memory for an agent */
Test(queue_change, a_deferred_message_in_memory_is_changed_too)
{
	make_three();
	f.is_deaf = false;
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 0);
	f.is_deaf = true;
	qf_pass(&f, 500000);
	cr_assert_eq(f.njobs, 0);
	cr_expect_str_eq(asked("hold", "\"filter\":{\"recipient\":\"a@*\"}"),
	    "{\"held\":3,\"messages\":3}");
	cr_expect_str_eq(asked("remove", "\"filter\":{\"recipient\":\"b@*\"}"),
	    "{\"removed\":3,\"messages\":3}");
	f.is_deaf = false;
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 3);
	qf_finish(&f, 0);
	qf_pass(&f, 0);
	cr_expect_str_eq(listed(""),
	    "1:a@x.test=hold 2:a@x.test=hold 3:a@x.test=hold ");
}

/* --- after a crash -------------------------------------------------------- */

/* The message 1 has a row for each of qf_abc, and its record is open again, since the
 * log was lost; it is not read yet. */
static void
lose_log(void)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "one@s.test", qf_abc, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "ack.1", 0), 0);
	spool_segment_close(&s.file);
	qf_open(&f);
}

Test(queue_change, what_has_a_row_is_not_listed_and_removed_as_new)
{
	lose_log();
	cr_expect_str_eq(listed(""),
	    "1:a@x.test=deferred 1:b@y.test=deferred 1:c@x.test=deferred ");
	cr_expect_eq(qf_listed(&f), 1);
	cr_expect_str_eq(asked("remove", "\"filter\":{\"state\":"
	    "\"waiting\"}"), "{\"removed\":0,\"messages\":0}");
	cr_expect_str_eq(asked("remove", "\"filter\":{\"recipient\":"
	    "\"b@*\"}"), "{\"removed\":1,\"messages\":1}");
	cr_expect_not_null(strstr(asked("top", ""), "\"recipients\":2"));
	qf_pass(&f, 100000);
	cr_expect_eq(f.njobs, 2, "%zu", f.njobs);
}

Test(queue_change, what_was_removed_by_its_row_does_not_come_back)
{
	static const char *const filters[] = {
		"\"filter\":{\"state\":\"deferred\"}",
		"\"filter\":{\"sender\":\"one@*\"}", "\"id\":\"all\"" };
	size_t i;

	for (i = 0; i < 3; i++) {
		lose_log();
		cr_expect_str_eq(asked("remove", filters[i]),
		    "{\"removed\":3,\"messages\":1}");
		if (i == 1)
			restart();
		qf_pass(&f, 100000);
		cr_expect_eq(f.njobs, 0, "%s: %zu", filters[i], f.njobs);
		cr_expect_str_eq(listed(""), "");
		qf_free(&f);
		qf_init(&f);
		qf_open(&f);
	}
}

/* --- ids of others -------------------------------------------------------- */

/* A worker that has been taken over writes a record with the id of another message,
 * which is in memory; its own is there, too, if ${is_read}. */
static void
make_two_with_one_id(bool is_read)
{
	qf_segment(&f, &s, 1);
	f.is_deaf = true;
	qf_append(&s, QF_ID(1), "victim@s.test", qf_abc, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_append(&s, QF_ID(1), "hostile@s.test", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, true);
	if (is_read)
		qf_pass(&f, 0);
}

static void
expect_jobs(const char *const *rcpts)
{
	char rcpt[64];
	size_t i;

	f.is_deaf = false;
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 3);
	for (i = 0; i < 3; i++) {
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
		cr_expect_str_eq(rcpt, rcpts[i]);
	}
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_str_eq(listed(""), "");
}

Test(queue_change, a_message_with_the_id_of_another_is_not_taken_for_it)
{
	int i;

	for (i = 0; i < 2; i++) {
		make_two_with_one_id(i == 1);
		cr_expect_str_eq(asked("remove", "\"filter\":{\"sender\":"
		    "\"hostile@s.test\"}"), "{\"removed\":3,\"messages\":1}");
		cr_expect_str_eq(listed(""), "1:a@x.test=waiting "
		    "1:b@y.test=waiting 1:c@x.test=waiting ");
		expect_jobs(qf_abc);
		spool_segment_close(&s.file);
		qf_pass(&f, 10000);
	}
}

Test(queue_change, nor_is_the_other_taken_for_that_message)
{
	make_two_with_one_id(true);
	cr_expect_str_eq(asked("remove", "\"filter\":{\"sender\":"
	    "\"victim@s.test\"}"), "{\"removed\":3,\"messages\":1}");
	expect_jobs(qf_three);
}
