/* How long mail waits whose route has times of its own. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_fixture.h"

#define HOUR	3600
#define DAY	86400

static const struct queue_times own = { .retry_s = 600, .max_retry_s = 1200,
	.lifetime_s = 2 * HOUR, .bounce_lifetime_s = HOUR, .warning_s = 1800 };

QF_SUITE(queue_times);

/* Begin with the times ${t} for recipients whose names begin with "own". */
static void
begin(const struct queue_times *t)
{
	unsigned int agent;

	qf_close(&f);
	f.config.times = t;
	f.config.ntimes = 1;
	qf_open(&f);
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &agent), 0);
	qf_segment(&f, &s, 1);
}

static void
send(uint64_t n, const char *sender, const char *rcpt)
{
	qf_append(&s, QF_ID(n), sender, &rcpt, 1, "Subject: x\r\n\r\nhello\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 10);
}

/* All jobs fail.  Return in how many seconds there is the next one; its recipient is
 * written to ${rcpt}. */
static int
next_s(char rcpt[64])
{
	int waited;

	qf_finish(&f, EACCES);
	for (waited = 0; f.njobs == 0; waited++) {
		cr_assert_lt(waited, 10 * DAY);
		qf_pass(&f, 1000);
	}
	qf_rcpt(&f, 0, rcpt, 64);
	return waited;
}

static bool
is_about(int got, int want)
{
	return got >= want - 2 && got <= want + 2;
}

Test(queue_times, intervals_are_those_of_the_route)
{
	struct queue_times quiet = own;
	char rcpt[64];

	quiet.warning_s = 0;
	begin(&quiet);
	send(1, "a@b.test", "own@x.test");
	cr_expect(is_about(next_s(rcpt), 600));
	cr_expect(is_about(next_s(rcpt), 1200));
	cr_expect(is_about(next_s(rcpt), 1200));
	qf_finish(&f, 0);
	send(2, "a@b.test", "joe@x.test");
	cr_expect(is_about(next_s(rcpt), 60));
	cr_expect(is_about(next_s(rcpt), 120));
	cr_expect_str_eq(rcpt, "joe@x.test");
}

/* The configuration's longest interval is shorter. */
Test(queue_times, a_long_interval_is_kept_over_a_restart_and_a_step_of_the_clock)
{
	static const struct queue_times slow = { .retry_s = 2 * HOUR,
		.max_retry_s = 2 * HOUR, .lifetime_s = 9 * DAY };
	char rcpt[64];

	begin(&slow);
	send(1, "a@b.test", "own@x.test");
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	qf_close(&f);
	qf_open(&f);
	f.now.tv_sec += 5 * HOUR;
	qf_pass(&f, 1800 * 1000);
	cr_assert_eq(f.njobs, 0);
	f.now.tv_sec -= 7 * HOUR;
	qf_pass(&f, 1800 * 1000);
	cr_assert_eq(f.njobs, 0);
	cr_assert(is_about(next_s(rcpt), HOUR), "an hour has passed");
}

/* A minute in which all fails but reports.  Return how many of these there are. */
static unsigned int
minute(void)
{
	unsigned int before = f.nreports;
	char rcpt[64];
	size_t i;

	for (i = 0; i < f.njobs; i++) {
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
		qf_done(&f, f.jobs[i].agent, f.jobs[i].job.job,
		    strcmp(rcpt, "a@b.test") == 0 ? 0 : EACCES);
	}
	f.njobs = 0;
	qf_pass(&f, 60 * 1000);
	return f.nreports - before;
}

/* Wait until there is a report.  Return when that is, in minutes. */
static int
next_report(int *minutes)
{
	do
		cr_assert_lt(*minutes, 1000);
	while (++*minutes, minute() == 0);
	return *minutes;
}

/* Of one message, each recipient has its own. */
Test(queue_times, each_recipient_expires_in_its_time)
{
	static const char *const rcpts[] = { "own@x.test", "joe@x.test" };
	int minutes = 0;

	f.config.lifetime_s = 6 * HOUR;
	begin(&own);
	qf_append(&s, QF_ID(1), "a@b.test", rcpts, 2, "Subject: x\r\n\r\nx\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 10);
	/* own's delay, own's failure, and joe's, which has no delay */
	cr_expect(is_about(next_report(&minutes), 30), "%d", minutes);
	cr_expect(is_about(next_report(&minutes), 120), "%d", minutes);
	cr_expect(is_about(next_report(&minutes), 360), "%d", minutes);
	(void)minute();
	cr_expect_eq(qf_listed(&f), 0);
}

Test(queue_times, a_message_without_a_sender_has_its_own)
{
	int minutes;

	begin(&own);
	send(1, "", "own@x.test");
	for (minutes = 0; qf_listed(&f) > 0; minutes++) {
		cr_assert_lt(minutes, 100);
		(void)minute();
	}
	cr_expect(is_about(minutes, 61), "%d", minutes);
}

/* A target rests no longer than the longest interval of what goes there. */
Test(queue_times, a_target_rests_no_longer_than_its_mail_may_wait)
{
	static const struct queue_times quick = { .retry_s = 5,
		.max_retry_s = 5, .lifetime_s = 9 * DAY };
	struct queue_target *t;
	int i;

	begin(&quick);
	for (i = 0; i < 20; i++)
		send((uint64_t)i + 1, "a@b.test", "own@a.hop");
	t = queue_target_find(f.q, "relay a.hop");
	cr_assert_not_null(t);
	t->nrests = 20;
	cr_expect_eq(queue_target_rest_ms(f.q, t), 5000);
	send(30, "a@b.test", "joe@b.hop");
	t = queue_target_find(f.q, "relay b.hop");
	cr_assert_not_null(t);
	t->nrests = 20;
	cr_expect_eq(queue_target_rest_ms(f.q, t), 400 * 1000);
}

/* What is routed otherwise after a restart has other times. */
Test(queue_times, times_that_are_not_there_are_those_of_all)
{
	char rcpt[64];

	begin(&own);
	qf_close(&f);
	f.config.ntimes = 0;
	qf_open(&f);
	send(1, "a@b.test", "own@x.test");
	cr_expect(is_about(next_s(rcpt), 60));
}
