/* Messages to aliases become messages to those who get their mail. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/stats.h"
#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_fixture.h"

#define SUCCESS	SPOOL_NOTIFY_SUCCESS
#define FAILURE	SPOOL_NOTIFY_FAILURE
#define COMMA	,

QF_SUITE(queue_expand);

/* A message for ${rcpts}, up to NULL, with what is ${said} */
static void
arrive(const char *const *rcpts, const struct spool_envelope *said)
{
	struct spool_envelope env = *said;
	size_t n;

	for (n = 0; rcpts[n] != NULL; n++)
		continue;
	env.rcpts = rcpts;
	env.nrcpts = n;
	qf_segment(&f, &s, 1);
	qf_append_said(&s, QF_ID(1), &env);
	qf_committed(&f, &s, true);
	spool_segment_close(&s.file);
}

#define ARRIVE(said, ...) \
	arrive((const char *const []){ __VA_ARGS__, NULL }, \
	    &(struct spool_envelope)said)

/* The number of the job for ${rcpt}, of which there is one */
static size_t
job_of(const char *rcpt)
{
	size_t i, found = 0, n = 0;
	char text[128];

	for (i = 0; i < f.njobs; i++) {
		qf_rcpt(&f, i, text, sizeof(text));
		if (strcmp(text, rcpt) == 0) {
			found = i;
			n++;
		}
	}
	cr_assert_eq(n, 1, "%zu jobs for %s", n, rcpt);
	return found;
}

static void
said(const char *rcpt, const char *expected)
{
	char text[512];

	qf_said(&f, job_of(rcpt), text, sizeof(text));
	cr_expect_str_eq(text, expected, "%s: %s, expected %s", rcpt, text,
	    expected);
}

/* Everybody has what is for him, and nothing is left. */
static void
deliver(void)
{
	qf_finish(&f, 0);
	qf_pass(&f, 3000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_eq(qf_listed(&f), 0);
	cr_expect_eq(qf_count(&f, SPOOL_ENTRY_BODY), 0);
}

/* The text of the report, which is the only job */
static const char *
report(void)
{
	static char text[2048];

	cr_assert_eq(f.njobs, 1);
	qf_text(&f, 0, text, sizeof(text));
	return text;
}

Test(queue_expand, a_single_one_gets_all_that_was_said)
{
	ARRIVE({ .envid = "e1" COMMA .notify = (const uint8_t []){ SUCCESS } },
	    "one@alias.test");
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 1);
	said("one1@x.test", "a@b.test 2 rfc822;one@alias.test e1 400");
	qf_done_with(&f, f.agent, f.jobs[0].job.job, 0, JOB_FINAL);
	f.njobs = 0;
	qf_pass(&f, 2000);
	cr_expect_not_null(strstr(report(), "rcpt=one1@x.test "
	    "orcpt=rfc822;one@alias.test outcome=4"), "%s", report());
	deliver();
}

Test(queue_expand, several_get_it_without_a_report_and_the_alias_has_one)
{
	ARRIVE({ .envid = "e1" COMMA
	    .flags = SPOOL_ENV_RET_FULL COMMA
	    .notify = (const uint8_t []){ SUCCESS | FAILURE } COMMA
	    .orcpts = (const char *const []){ "rfc822;x@y.test" } },
	    "many@alias.test");
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 3);
	said("many1@x.test", "a@b.test 4 rfc822;x@y.test e1 410");
	said("many2@x.test", "a@b.test 4 rfc822;x@y.test e1 410");
	f.jobs[0] = f.jobs[job_of("a@b.test")];
	f.njobs = 1;
	cr_expect_not_null(strstr(report(), "rcpt=many@alias.test "
	    "orcpt=rfc822;x@y.test outcome=6"), "%s", report());
}

Test(queue_expand, nothing_is_told_of_who_was_to_be_told_of_success_alone)
{
	ARRIVE({ .notify = (const uint8_t []){ SUCCESS } }, "many@alias.test");
	qf_pass(&f, 10);
	said("many1@x.test", "a@b.test 1 rfc822;many@alias.test - 400");
	cr_expect_eq(f.njobs, 3);
}

Test(queue_expand, a_list_has_its_own_sender_and_is_told_to_be_delivered)
{
	ARRIVE({ .envid = "e1" COMMA
	    .flags = SPOOL_ENV_RET_FULL | SPOOL_ENV_8BITMIME COMMA
	    .notify = (const uint8_t []){ SUCCESS } }, "list@alias.test");
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 3);
	said("list1@x.test",
	    "owner@alias.test 0 rfc822;list@alias.test - 401");
	f.jobs[0] = f.jobs[job_of("a@b.test")];
	f.njobs = 1;
	cr_expect_not_null(strstr(report(), "rcpt=list@alias.test "
	    "orcpt=(null) outcome=4"), "%s", report());
}

Test(queue_expand, one_that_fails_is_reported_and_the_others_get_it)
{
	ARRIVE({ .flags = 0 }, "loop@alias.test", "a@x.test",
	    "many@alias.test");
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 4);
	(void)job_of("a@x.test");
	(void)job_of("many1@x.test");
	f.jobs[0] = f.jobs[job_of("a@b.test")];
	f.njobs = 1;
	cr_expect_not_null(strstr(report(), "rcpt=loop@alias.test "
	    "orcpt=(null) outcome=1 code=0 enhanced=5.4.6 remote= "
	    "text=a loop"), "%s", report());
}

Test(queue_expand, who_has_it_already_gets_it_once)
{
	ARRIVE({ .flags = 0 }, "many2@x.test", "many@alias.test");
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 2);
	(void)job_of("many1@x.test");
	(void)job_of("many2@x.test");
	deliver();
}

/* The address of a mailbox may be that of an alias, too. */
Test(queue_expand, what_was_expanded_is_not_expanded_again)
{
	ARRIVE({ .flags = SPOOL_ENV_EXPANDED }, "many@alias.test");
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 1);
	(void)job_of("many@alias.test");
	deliver();
}

Test(queue_expand, ten_thousand_have_one_copy_and_each_gets_it_once)
{
	uint64_t expanded = stats_sum(STATS_EXPANDED);
	static bool has[10001];
	size_t i, n = 0, number;
	char rcpt[64];

	f.nmembers = 10000;
	ARRIVE({ .flags = 0 }, "m@alias.test");
	for (i = 0; n < f.nmembers && i < 100; i++) {
		qf_pass(&f, 10);
		for (; f.njobs > 0; f.njobs--) {
			qf_rcpt(&f, f.njobs - 1, rcpt, sizeof(rcpt));
			cr_assert_eq(sscanf(rcpt, "m%zu@x.test", &number), 1);
			cr_assert_not(has[number]);
			has[number] = true;
			n++;
			qf_done(&f, f.agent, f.jobs[f.njobs - 1].job.job, 0);
		}
	}
	cr_expect_eq(n, f.nmembers);
	cr_expect_eq(stats_sum(STATS_EXPANDED), expanded + 1);
	deliver();
}

/* One envelope does not hold them. */
Test(queue_expand, more_than_an_envelope_holds_have_more_than_one_copy)
{
	uint64_t expanded = stats_sum(STATS_EXPANDED);

	f.nmembers = 30000;
	f.is_deaf = true;
	ARRIVE({ .flags = 0 }, "member-of-a-list-with-a-long-name@alias.test");
	qf_pass(&f, 10);
	cr_expect_geq(stats_sum(STATS_EXPANDED), expanded + 3);
}

Test(queue_expand, many_at_once_wait_for_their_turn)
{
	static const char *const rcpts[] = { "m@alias.test" };
	uint64_t expanded = stats_sum(STATS_EXPANDED);
	size_t i;

	f.nmembers = 1500;
	f.is_deaf = true;
	qf_segment(&f, &s, 1);
	for (i = 0; i < 20; i++)
		qf_append(&s, QF_ID(i), "a@b.test", rcpts, 1, "hello\r\n");
	qf_committed(&f, &s, true);
	spool_segment_close(&s.file);
	for (i = 0; i < 10; i++)
		qf_pass(&f, 100);
	cr_expect_eq(stats_sum(STATS_EXPANDED), expanded + 20);
}

Test(queue_expand, what_cannot_be_expanded_now_is_tried_again)
{
	f.is_later = true;
	ARRIVE({ .flags = 0 }, "later@alias.test", "a@x.test");
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 1);
	(void)job_of("a@x.test");
	qf_finish(&f, 0);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 0);
	cr_expect_eq(qf_listed(&f), 1);
	f.is_later = false;
	qf_pass(&f, 70000);
	cr_assert_eq(f.njobs, 2);
	(void)job_of("later1@x.test");
	deliver();
}

Test(queue_expand, it_expires_if_it_can_never_be_expanded)
{
	f.is_later = true;
	f.config.lifetime_s = 200;
	qf_close(&f);
	qf_open(&f);
	ARRIVE({ .flags = 0 }, "later@alias.test");
	qf_pass(&f, 400000);
	cr_expect_not_null(strstr(report(), "rcpt=later@alias.test "
	    "orcpt=(null) outcome=2"), "%s", report());
	deliver();
}

/* Nobody gets it before its time. */
Test(queue_expand, what_is_held_is_expanded_when_it_is_released)
{
	ARRIVE({ .hold_until = 1700000100 COMMA .login = "joe" COMMA
	    .flags = SPOOL_ENV_HOLD_FOR }, "many@alias.test");
	qf_pass(&f, 90000);
	cr_expect_eq(f.njobs, 0);
	qf_pass(&f, 20000);
	cr_assert_eq(f.njobs, 2);
	said("many1@x.test", "a@b.test 0 rfc822;many@alias.test - 400");
	deliver();
}

/* The queue process ends behind the transaction. */
Test(queue_expand, another_queue_goes_on_with_what_was_expanded)
{
	ARRIVE({ .flags = 0 }, "many@alias.test");
	f.is_deaf = true;
	qf_pass(&f, 10);
	f.is_deaf = false;
	qf_close(&f);
	qf_open(&f);
	qf_pass(&f, 10);
	cr_assert_eq(f.njobs, 2);
	deliver();
}
