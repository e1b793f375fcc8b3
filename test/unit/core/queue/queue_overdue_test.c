/* What waits in memory for longer than it may. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_int.h"
#include "test/unit/core/queue/queue_fixture.h"

#define START	1700000000	/* the fixture's clock */
#define HOUR	3600
#define SENDER	"a@b.test"
#define BACK	JOB_LATER_IN(10)
#define SOON_S	(5 + QUEUE_SLOW_MS / 1000)	/* within which a sender is told */
#define LAST_S	(HOUR / QUEUE_LAST_PART)	/* for which there may be a last attempt */
#define LATEST_S (HOUR + LAST_S + SOON_S)	/* of the end of a lifetime of an hour */

QF_SUITE(queue_overdue);

static unsigned int relay;
static uint64_t nmails;

static void
begin(void)
{
	qf_close(&f);
	f.config.is_synced = false;
	f.config.lifetime_s = HOUR;
	qf_open(&f);
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
	qf_segment(&f, &s, 1);
	nmails = 0;
}

static void
send(const char *const *rcpts, size_t n)
{
	qf_append(&s, QF_ID(nmails++), SENDER, rcpts, n, "Subject: x\r\n\r\nx\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 10);
}

static void
send_to(const char *rcpt)
{
	send(&rcpt, 1);
}

static int64_t
passed(void)
{
	return f.now.tv_sec - START;
}

/* What the relay agent does with its jobs */
enum does { KEEPS, GIVES_BACK, SAYS_WHY };

static void
relay_does(enum does does)
{
	struct job_error why = { .code = 450, .enhanced = "4.7.1",
		.remote = "mx.hop", .text = "come again" };
	size_t i, n = f.njobs, kept = 0;

	for (i = 0; i < n; i++) {
		if (f.jobs[i].agent != relay || does == KEEPS) {
			f.jobs[kept++] = f.jobs[i];
			continue;
		}
		why.job = f.jobs[i].job.job;
		if (does == SAYS_WHY)
			queue_error(f.q, relay, &why);
		qf_done_with(&f, relay, f.jobs[i].job.job, EAGAIN, BACK);
	}
	f.njobs = kept;
}

/* The sender gets a report: its text, once in each of these calls; NULL: there is
 * none. */
static const char *
report(void)
{
	static char text[1024];
	char rcpt[64];
	size_t i;

	for (i = 0; i < f.njobs; i++) {
		if (f.jobs[i].agent == relay)
			continue;
		qf_rcpt(&f, i, rcpt, sizeof(rcpt));
		cr_assert_str_eq(rcpt, SENDER);
		qf_text(&f, i, text, sizeof(text));
		qf_done(&f, f.jobs[i].agent, f.jobs[i].job.job, 0);
		f.jobs[i] = f.jobs[--f.njobs];
		return text;
	}
	return NULL;
}

/* Wait for a report while the relay agent does so, until ${last_s} after the start.
 * NULL: there is none. */
static const char *
wait_for(enum does does, int64_t last_s)
{
	const char *text;

	do {
		relay_does(does);
		qf_pass(&f, 1000);
	} while ((text = report()) == NULL && passed() < last_s);
	return text;
}

static void
expect_over(const char *text, const char *what)
{
	cr_assert_not_null(text, "nobody is told");
	cr_expect_geq(passed(), HOUR);
	cr_expect_not_null(strstr(text, "outcome=2"), "%s", text);
	cr_expect_not_null(strstr(text, what), "%s", text);
}

/* An agent that lies, or a stream whose rate is far less than what comes. */
Test(queue_overdue, what_is_given_back_each_time_expires)
{
	begin();
	send_to("x@a.hop");
	expect_over(wait_for(GIVES_BACK, LATEST_S), "waits until its destination");
	qf_pass(&f, 2000);
	cr_expect_eq(qf_listed(&f), 0);
	cr_expect_null(report());
}

/* It was tried, and then never again. */
Test(queue_overdue, with_what_the_last_attempt_has_said)
{
	const char *const two[] = { "x@a.hop", "y@a.hop" };
	struct job_error why = { .code = 451, .enhanced = "4.3.0",
		.remote = "mx.hop", .text = "not now" };
	const char *text;

	begin();
	send(two, 2);
	cr_assert_eq(f.njobs, 2);
	why.job = f.jobs[1].job.job;
	queue_error(f.q, relay, &why);
	qf_done(&f, relay, why.job, EAGAIN);
	qf_done_with(&f, relay, f.jobs[0].job.job, EACCES, JOB_REFUSED);
	f.njobs = 0;
	cr_assert_not_null(wait_for(KEEPS, 10));
	text = wait_for(GIVES_BACK, LATEST_S);
	expect_over(text, "code=451 enhanced=4.3.0 remote=mx.hop text=not now");
}

/* What an agent says of a job that it gives back is not said of an attempt. */
Test(queue_overdue, what_was_said_of_a_job_that_came_back_is_not_of_the_next)
{
	begin();
	send_to("x@a.hop");
	relay_does(SAYS_WHY);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 1);
	qf_done_with(&f, relay, f.jobs[0].job.job, EACCES, JOB_REFUSED);
	f.njobs = 0;
	cr_expect_null(strstr(wait_for(KEEPS, 10), "come again"));
}

/* The agent keeps what it has for the one target, which is all that it may have. */
Test(queue_overdue, what_waits_for_its_stream_expires)
{
	begin();
	f.stream_window = 1;
	send_to("x@a1.hop");
	send_to("x@a2.hop");
	cr_assert_eq(f.njobs, 1);
	expect_over(wait_for(KEEPS, LATEST_S), "rcpt=x@a2.hop");
	qf_pass(&f, 2000);
	cr_expect_eq(qf_listed(&f), 1, "the agent has the other");
}

Test(queue_overdue, what_waits_for_the_window_of_its_target_expires)
{
	begin();
	f.hop_first = f.hop_max = 1;
	send_to("x@a.hop");
	send_to("y@a.hop");
	expect_over(wait_for(KEEPS, LATEST_S), "rcpt=y@a.hop");
}

/* So many a minute */
Test(queue_overdue, what_is_beyond_the_rate_of_its_target_expires)
{
	unsigned int i, ntold = 0, ndone = 0;

	begin();
	f.hop_rate = 1;
	for (i = 0; i < 70; i++)
		send_to("x@a.hop");
	while (passed() < LATEST_S + 60) {
		while (report() != NULL)
			ntold++;
		ndone += (unsigned int)f.njobs;
		qf_finish(&f, 0);
		qf_pass(&f, 1000);
	}
	cr_expect_geq(ndone, 58, "%u", ndone);
	cr_expect_eq(ndone + ntold, 70, "%u and %u", ndone, ntold);
	cr_expect_eq(qf_listed(&f), 0);
}

/* It may crash each time because of the message. */
Test(queue_overdue, what_agents_die_of_expires)
{
	const char *text;

	begin();
	send_to("x@a.hop");
	do {
		queue_agent_gone(f.q, relay);
		relay_does(GIVES_BACK);
		cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
		qf_pass(&f, 1000);
	} while ((text = report()) == NULL && passed() < LATEST_S);
	expect_over(text, "rcpt=x@a.hop");
}

/* The server was not there for all that time. */
Test(queue_overdue, what_is_read_when_its_time_is_over_has_an_attempt)
{
	begin();
	f.now.tv_sec += 2 * HOUR;
	qf_close(&f);
	qf_open(&f);
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
	send_to("x@a.hop");
	cr_assert_eq(f.njobs, 1);
	relay_does(GIVES_BACK);
	qf_pass(&f, 1000);
	cr_expect_eq(f.njobs, 1, "and is not given up since it came back once");
	relay_does(KEEPS);
	qf_pass(&f, 2000 * LAST_S);
	cr_expect_null(report(), "nor while an agent has it");
	relay_does(GIVES_BACK);
	qf_pass(&f, 2000);
	cr_expect_not_null(report());
}

#define BACKLOG	((size_t)3 * QUEUE_FILES_MAX)	/* more than has places at a time */

/* So many messages for one hop have failed, and their time is over when a server is
 * there again. */
static void
begin_with_backlog(void)
{
	size_t i;

	begin();
	for (i = 0; i < BACKLOG; i++)
		send_to("x@a.hop");
	while (f.njobs > 0) {
		qf_finish(&f, EAGAIN);
		qf_pass(&f, 10);
	}
	cr_assert_eq(qf_listed(&f), BACKLOG);
	qf_close(&f);
	f.now.tv_sec += HOUR * 3 / 2;
	f.ms += 1500 * HOUR;
	qf_open(&f);
	cr_assert_eq(queue_agent_add(f.q, QF_RELAY, &relay), 0);
}

/* The server was not there for longer than the lifetime: mail for a hop that takes it
 * goes there, however much of it waits. */
Test(queue_overdue, a_backlog_whose_time_is_over_has_its_last_attempts)
{
	size_t i, n = 0;

	begin_with_backlog();
	for (i = 0; i < 600 && n < BACKLOG; i++) {
		qf_pass(&f, 1000);
		cr_assert_null(report());
		n += f.njobs;
		qf_finish(&f, 0);
	}
	qf_pass(&f, 1000);
	cr_expect_eq(n, BACKLOG, "%zu", n);
	cr_expect_eq(qf_listed(&f), 0);
}

/* Also if one connection fails meanwhile. */
Test(queue_overdue, that_has_failed_once_is_not_dead)
{
	size_t i, n = 0;

	begin_with_backlog();
	f.q->start_ms -= QUEUE_YOUNG_MS;
	/* the next passes look at the others that are due, while it rests */
	cr_assert_geq(queue_pass(f.q, &f.now, f.ms), 0);
	cr_assert_geq(f.njobs, 1);
	qf_done_with(&f, relay, f.jobs[0].job.job, ECONNREFUSED, JOB_TARGET);
	f.jobs[0] = f.jobs[--f.njobs];
	qf_pass(&f, 500);
	for (i = 0; i < f.njobs; i++)
		if (f.jobs[i].agent == relay)
			qf_done_with(&f, relay, f.jobs[i].job.job, 0, 0);
		else {
			n++;
			qf_done(&f, f.jobs[i].agent, f.jobs[i].job.job, 0);
		}
	f.njobs = 0;
	for (i = 0; i < 600 && n < BACKLOG; i++) {
		qf_pass(&f, 1000);
		n += report() != NULL;
		cr_assert_leq(n, 1);
		qf_finish(&f, 0);
	}
	cr_expect_eq(n, 1, "that which was tried");
	cr_expect_eq(qf_listed(&f), 0);
}

/* But one that does not answer has had its attempt for all of it, if the process is
 * not so young that the network may not be there yet. */
Test(queue_overdue, a_backlog_for_a_dead_hop_comes_back)
{
	size_t i, n = 0, ntold = 0;

	begin_with_backlog();
	for (i = 0; i < 600 && ntold < BACKLOG; i++) {
		qf_pass(&f, 1000);
		while (report() != NULL)
			ntold++;
		n += f.njobs;
		/* what was tried comes back at once */
		cr_assert(i + 1 >= QUEUE_YOUNG_MS / 1000 || ntold <= n,
		    "%zu told, %zu tried after %zu s", ntold, n, i);
		while (f.njobs > 0)
			qf_done_with(&f, relay, f.jobs[--f.njobs].job.job,
			    ECONNREFUSED, JOB_TARGET);
	}
	cr_expect_eq(ntold, BACKLOG, "%zu", ntold);
	cr_expect_lt(n, BACKLOG / 2, "%zu", n);
	cr_expect_lt(i, 200, "%zu", i);
}

static void
warn_after(int64_t seconds)
{
	f.config.warning_s = seconds;
	begin();
}

Test(queue_overdue, the_sender_of_what_waits_is_told_once_that_it_is_delayed)
{
	const char *text;

	warn_after(600);
	send_to("x@a.hop");
	text = wait_for(GIVES_BACK, 600 + SOON_S);
	cr_assert_not_null(text);
	cr_expect_geq(passed(), 600);
	cr_expect_not_null(strstr(text, "outcome=0"), "%s", text);
	/* it goes on to wait */
	expect_over(wait_for(GIVES_BACK, LATEST_S), "rcpt=x@a.hop");
}

Test(queue_overdue, and_it_is_still_delivered)
{
	warn_after(600);
	f.stream_window = 1;
	send_to("x@a1.hop");
	send_to("x@a2.hop");
	cr_assert_eq(f.njobs, 1);
	cr_assert_not_null(wait_for(KEEPS, 600 + SOON_S));
	qf_done(&f, relay, f.jobs[0].job.job, 0);
	f.njobs = 0;
	qf_pass(&f, 2000);
	cr_assert_eq(f.njobs, 1);
	qf_finish(&f, 0);
	qf_pass(&f, 10);
	cr_expect_eq(qf_listed(&f), 0);
}

static void
deliver_by(int64_t seconds, unsigned int flags)
{
	static const char *const rcpt = "x@a.hop";
	const struct spool_envelope said = { .deliver_by = START + seconds,
		.flags = flags, .rcpts = &rcpt, .nrcpts = 1 };

	begin();
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, false);
	qf_pass(&f, 10);
}

/* RFC 2852 4.1.5: in mode N the sender is told. */
Test(queue_overdue, that_the_time_of_mode_n_is_over_is_told_of_what_waits)
{
	const char *text;

	deliver_by(300, 0);
	text = wait_for(GIVES_BACK, 300 + SOON_S);
	cr_assert_not_null(text);
	cr_expect_geq(passed(), 300);
	cr_expect_not_null(strstr(text, "outcome=0"), "%s", text);
	cr_expect_not_null(strstr(text, " late"), "%s", text);
	expect_over(wait_for(GIVES_BACK, LATEST_S), "rcpt=x@a.hop");
}

/* RFC 2852 4: in mode R it comes back. */
Test(queue_overdue, what_waits_comes_back_at_the_time_of_mode_r)
{
	const char *text;

	f.hop_first = f.hop_max = 1;
	deliver_by(300, SPOOL_ENV_BY_RETURN);
	qf_done_with(&f, relay, f.jobs[0].job.job, EAGAIN,
	    JOB_LATER_IN(JOB_MS_MAX));
	f.njobs = 0;
	text = wait_for(KEEPS, 305);
	cr_assert_not_null(text);
	cr_expect_geq(passed(), 300);
	cr_expect_not_null(strstr(text, "outcome=3"), "%s", text);
}

/* RFC 4865: its lifetime begins when it is released. */
Test(queue_overdue, what_was_held_expires_after_its_release)
{
	static const char *const rcpt = "x@a.hop";
	const struct spool_envelope said = { .hold_until = START + HOUR,
		.rcpts = &rcpt, .nrcpts = 1 };

	begin();
	qf_append_said(&s, QF_ID(1), &said);
	qf_committed(&f, &s, false);
	cr_assert_null(wait_for(GIVES_BACK, 2 * HOUR - 1));
	cr_expect_not_null(wait_for(GIVES_BACK, HOUR + LATEST_S));
}

Test(queue_overdue, what_is_on_hold_does_not_expire)
{
	begin();
	f.hop_first = f.hop_max = 1;
	send_to("x@a.hop");
	send_to("y@a.hop");
	cr_assert_str_eq(qf_asked(&f, "hold", "\"filter\":{\"recipient\":"
	    "\"y@a.hop\"}"), "{\"held\":1,\"messages\":1}");
	cr_expect_null(wait_for(KEEPS, LATEST_S + HOUR));
	cr_expect_eq(qf_listed(&f), 2);
}

/* Another recipient of the same message waits for its own, longer time. */
Test(queue_overdue, a_report_waits_for_others_that_wait_not_for_long)
{
	static const struct queue_times own = { .retry_s = 60,
		.max_retry_s = 400, .lifetime_s = 400 * 86400 };
	const char *const two[] = { "own@a.hop", "x@b.hop" };

	f.config.times = &own;
	f.config.ntimes = 1;
	begin();
	send(two, 2);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 2);
	expect_over(wait_for(GIVES_BACK, LATEST_S + QUEUE_GATHER_MAX_MS /
	    1000), "rcpt=x@b.hop");
	cr_expect_null(wait_for(GIVES_BACK, 3 * HOUR));
	cr_expect_eq(qf_listed(&f), 1);
}

/* The one is refused while the other waits, and the message is in memory. */
Test(queue_overdue, nor_does_that_of_a_refusal)
{
	const char *const two[] = { "x@a.hop", "x@b.hop" };
	size_t i;

	begin();
	f.q->times.lifetime_s = 400 * 86400;
	send(two, 2);
	qf_finish(&f, EACCES);
	qf_pass(&f, 61 * 1000);
	cr_assert_eq(f.njobs, 2);
	i = f.jobs[1].job.origin.rcpt == 1;
	qf_done_with(&f, relay, f.jobs[i].job.job, EACCES, JOB_REFUSED);
	f.jobs[i] = f.jobs[--f.njobs];
	cr_expect_not_null(wait_for(GIVES_BACK, 70 +
	    QUEUE_GATHER_MAX_MS / 1000));
}

/* Times that a clock says which is set are as long as they were. */
Test(queue_overdue, a_clock_that_is_set_gives_nothing_up)
{
	begin();
	send_to("x@a.hop");
	cr_assert_null(wait_for(GIVES_BACK, 1000));
	f.now.tv_sec += 10 * HOUR;
	cr_assert_null(wait_for(GIVES_BACK, 11 * HOUR - 1));
	cr_expect_not_null(wait_for(GIVES_BACK, 10 * HOUR + LATEST_S));
}
