/* What an administrator gives up: messages that are chosen by a filter, and their
 * reports. */

#include "core/queue/queue.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_id.h"
#include "test/unit/core/queue/queue_change_fixture.h"

QF_CHANGE_SUITE(queue_bounce);

#define GIVEN_UP(rcpt, reason)	"rcpt=" rcpt " orcpt=(null) outcome=1 code=0 " \
				"enhanced=5.0.0 remote= text=" reason " until=0\n"
#define BY_DEFAULT	"the postmaster of this server has given it up"

/* The texts of all reports that are in the queue, one behind the other */
static const char *
reports(void)
{
	static char text[16384];
	char one[4096], rcpt[64];
	size_t i;

	text[0] = '\0';
	f.is_deaf = false;
	f.njobs = 0;
	qf_pass(&f, 3000);
	for (i = 0; i < f.njobs; i++) {
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
		if (strstr(rcpt, "@s.test") == NULL)
			continue;
		qf_text(&f, i, one, sizeof(one));
		strlcat(text, one, sizeof(text));
	}
	return text;
}

static bool
is_told(const char *what, unsigned int times)
{
	return qf_times(reports(), what) == times;
}

/* Wherever its message is: deferred, in memory, or not read yet */
Test(queue_bounce, what_is_given_up_is_reported_once)
{
	make_three();
	cr_expect_str_eq(asked("bounce", "\"filter\":{\"domain\":\"y.test\"}"),
	    "{\"bounced\":3,\"messages\":3}");
	cr_expect(is_told(GIVEN_UP("b@y.test", BY_DEFAULT), 3));
	cr_expect_eq(f.nreports, 3);
	cr_expect_str_eq(listed("{\"domain\":\"y.test\"}"), "");
	spool_segment_close(&s.file);
	qf_finish(&f, 0);
	qf_pass(&f, 1000000);
	qf_finish(&f, 0);
	qf_pass(&f, 2000);
	cr_expect_str_eq(listed(""), "");
	cr_expect_eq(f.nreports, 3);
	cr_expect_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
}

/* Before it was reported */
Test(queue_bounce, what_is_given_up_stays_so_after_a_restart)
{
	make_three();
	cr_expect_str_eq(asked("bounce", "\"id\":\"all\","
	    "\"reason\":\"no such\\u0007 host\""),
	    "{\"bounced\":9,\"messages\":3}");
	cr_expect_eq(f.nreports, 0, "not before the next pass");
	restart();
	cr_expect(is_told(GIVEN_UP("a@x.test", "no such  host")
	    GIVEN_UP("b@y.test", "no such  host")
	    GIVEN_UP("c@x.test", "no such  host"), 3), "%s", reports());
	cr_expect_eq(f.njobs, 3, "nobody gets the messages");
	qf_finish(&f, 0);
	qf_pass(&f, 1000000);
	cr_expect_eq(f.nreports, 3);
	cr_expect_str_eq(listed(""), "");
}

Test(queue_bounce, what_is_on_hold_is_given_up_too)
{
	make_three();
	cr_assert_str_eq(asked("hold", "\"id\":\"all\""),
	    "{\"held\":9,\"messages\":3}");
	cr_expect_str_eq(asked("bounce", "\"filter\":{\"state\":\"hold\","
	    "\"recipient\":\"a@*\"}"), "{\"bounced\":3,\"messages\":3}");
	cr_expect(is_told("rcpt=a@x.test", 3));
	cr_expect_str_eq(listed("{\"recipient\":\"a@*\"}"), "");
	cr_expect_eq(f.nreports, 3);
}

Test(queue_bounce, nobody_is_told_who_has_not_asked_or_cannot_be)
{
	const struct spool_envelope said = { .envid = "x",
		.notify = (const uint8_t[]){ SPOOL_NOTIFY_NEVER,
		    SPOOL_NOTIFY_NEVER, SPOOL_NOTIFY_NEVER } };
	unsigned int i;

	/* deferred, in memory, and not read: of each one without a sender, and
	 * one that wants to hear nothing */
	qf_segment(&f, &s, 1);
	for (i = 0; i < 3; i++) {
		qf_append(&s, QF_ID(2 * i), "", qf_abc, 3, "body\r\n");
		qf_append_said(&s, QF_ID(2 * i + 1), &said);
		if (i == 2)
			break;
		qf_committed(&f, &s, false);
		qf_pass(&f, 0);
		qf_finish(&f, EAGAIN);
		qf_pass(&f, 0);
		f.is_deaf = true;
	}
	qf_committed(&f, &s, true);
	cr_expect_str_eq(asked("bounce", "\"id\":\"all\""),
	    "{\"bounced\":18,\"messages\":6}");
	cr_expect_str_eq(reports(), "");
	cr_expect_eq(f.nreports, 0);
	cr_expect_eq(f.njobs, 0);
	cr_expect_str_eq(listed(""), "");
	restart();
	qf_pass(&f, 1000000);
	cr_expect_eq(f.njobs, 0);
}

/* What is delivered and about to be reported has not failed, and what an agent has
 * may be delivered. */
Test(queue_bounce, what_may_be_delivered_is_not_given_up)
{
	const struct spool_envelope said = { .envid = "x",
		.notify = (const uint8_t[]){ SPOOL_NOTIFY_SUCCESS,
		    SPOOL_NOTIFY_SUCCESS, SPOOL_NOTIFY_SUCCESS } };
	char id[SPOOL_ID_TEXT + 1], rest[64];

	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, true);
	qf_pass(&f, 0);
	f.has_no_reports = true;
	qf_done_with(&f, f.agent, f.jobs[0].job.job, 0, JOB_FINAL);
	qf_done_with(&f, f.agent, f.jobs[1].job.job, 0, JOB_FINAL);
	qf_pass(&f, 0);
	cr_expect_str_eq(asked("bounce", "\"filter\":{\"recipient\":\"*\"}"),
	    "{\"bounced\":0,\"messages\":0,\"busy\":1}");
	spool_id_text(QF_ID(1), id);
	snprintf(rest, sizeof(rest), "\"id\":\"%s\"", id);
	cr_expect_not_null(strstr(asked("bounce", rest), "delivered right"));
	qf_done_with(&f, f.agent, f.jobs[2].job.job, 0, JOB_FINAL);
	f.has_no_reports = false;
	qf_pass(&f, 10000);
	f.njobs = 0;
	qf_pass(&f, 1000000);
	cr_expect_eq(f.nreports, 1);
	cr_expect_null(strstr(listed(""), "x.test"));
}

/* The queue goes on between two pieces of a long answer, and reports what it has given
 * up until then: these reports are rows like those that are to come. */
Test(queue_bounce, reports_of_what_is_given_up_are_not_given_up_with_it)
{
	static const char request[] = "{\"action\":\"bounce\",\"id\":\"all\"}";
	const unsigned int n = 600;
	const char *piece;
	char rcpt[64];
	struct queue_answer *a;
	size_t len, i, told = 0;

	qf_segment(&f, &s, 1);
	for (i = 0; i < n; i++)
		qf_append(&s, QF_ID(i), "one@s.test", qf_abc, 1, "body\r\n");
	qf_committed(&f, &s, true);
	for (i = 0; i < 10; i++) {
		qf_pass(&f, 0);
		qf_finish(&f, EAGAIN);
	}
	f.is_deaf = true;
	a = queue_control(f.q, request, strlen(request));
	cr_assert_not_null(a);
	while (queue_answer_next(a, &f.now, &piece, &len) == 1)
		qf_pass(&f, 100);
	queue_answer_free(a);
	f.is_deaf = false;
	f.njobs = 0;
	for (i = 0; i < 100; i++) {
		qf_pass(&f, 100);
		while (f.njobs > 0) {
			qf_rcpt(&f, f.njobs - 1, rcpt, sizeof(rcpt));
			told += strcmp(rcpt, "one@s.test") == 0;
			qf_done(&f, f.agent, f.jobs[f.njobs - 1].job.job, 0);
			f.njobs--;
		}
	}
	cr_expect_eq(f.nreports, n);
	cr_expect_eq(told, n, "%zu", told);
	cr_expect_str_eq(listed(""), "");
}

Test(queue_bounce, without_room_nothing_is_given_up)
{
	make_three();
	qf_fill_disk();
	cr_expect_not_null(strstr(asked("bounce", "\"id\":\"all\""),
	    "cannot write to its disk"));
	qf_free_disk();
	cr_expect_eq(f.nreports, 0);
	restart();
	qf_pass(&f, 1000000);
	cr_expect_eq(f.nreports, 0);
	cr_expect_eq(f.njobs, 9, "%zu", f.njobs);
}
