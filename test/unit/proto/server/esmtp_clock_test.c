/* A clock that is set while sessions are under way. */

#include <criterion/criterion.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define LATE	"421 4.4.2 Timeout, closing the channel\r\n"
#define DAY	INT64_C(86400)

static const int64_t steps[] = { 1, -1, 3601, -3601, DAY, -DAY,
	30 * 365 * DAY, -30 * 365 * DAY };
#define NSTEPS	(sizeof(steps) / sizeof(steps[0]))

static struct esmtp_report last;
static void (*report)(void *, accept_construct *, const struct esmtp_report *);

static void
keep_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	last = *r;
	report(host, ac, r);
}

static struct fake *
start(void)
{
	struct fake *f = fake_new();

	report = f->h.ops.report;
	f->h.ops.report = keep_report;
	fake_option(f, "Command_Timeout", "30", NULL);
	fake_option(f, "Idle_Time", "40", NULL);
	fake_option(f, "Data_Block_Timeout", "20", NULL);
	fake_option(f, "Data_Timeout", "60", NULL);
	fake_connect(f);
	return f;
}

static void
set_clock(struct fake *f, int64_t seconds)
{
	simhost_set_clock(&f->h, seconds * 1000000);
}

/* What a client has said when the clock is set, and after how many seconds of
 * silence it is given up. */
static const struct {
	const char	*said;
	unsigned int	 limit;
} silences[] = {
	{ "", 30 }, { "EHLO x\r\n", 30 }, { "EHLO x\r\nNOO", 30 },
	{ "EHLO x\r\n" "MAIL FROM:<a@client.example>\r\n", 30 },
};

Test(esmtp_clock, a_silent_client_is_given_up_in_its_time)
{
	struct fake *f;
	size_t i, k;

	for (i = 0; i < NSTEPS; i++)
		for (k = 0; k < sizeof(silences) / sizeof(silences[0]); k++) {
			f = start();
			fake_say(f, silences[k].said);
			cr_expect_str_eq(fake_wait(f, 10), "");
			set_clock(f, steps[i]);
			cr_expect_str_eq(fake_wait(f, silences[k].limit - 11),
			    "", "%lld", (long long)steps[i]);
			cr_expect_str_eq(fake_wait(f, 2), LATE, "%lld",
			    (long long)steps[i]);
			cr_expect_eq(last.kind, ESMTP_REPORT_END);
			cr_expect_eq(last.elapsed.tv_sec, silences[k].limit,
			    "%lld: %lld", (long long)steps[i],
			    (long long)last.elapsed.tv_sec);
			fake_end(f);
		}
}

Test(esmtp_clock, a_message_under_way_goes_on)
{
	struct fake *f;
	size_t i;

	for (i = 0; i < NSTEPS; i++) {
		f = start();
		fake_to_data(f);
		cr_expect_str_eq(fake_say(f, "Subject: x\r\n"), "");
		cr_expect_str_eq(fake_wait(f, 10), "");
		set_clock(f, steps[i]);
		cr_expect_str_eq(fake_say(f, "rest\r\n"), "");
		cr_expect_str_eq(fake_wait(f, 10), "", "%lld",
		    (long long)steps[i]);
		fake_say(f, ".\r\n");
		cr_expect_eq(strncmp(f->reply, "250 2.0.0 OK: queued", 20), 0,
		    "%lld: %s", (long long)steps[i], f->reply);
		cr_expect_eq(last.kind, ESMTP_REPORT_ACCEPTED);
		cr_expect_eq(last.elapsed.tv_sec, 20);
		cr_expect_eq(last.now.tv_sec, FAKE_START + 20 + steps[i]);
		fake_end(f);
	}
}

Test(esmtp_clock, data_that_never_ends_is_given_up_in_its_time)
{
	struct fake *f;
	size_t i;
	int k;

	for (i = 0; i < NSTEPS; i++) {
		f = start();
		fake_to_data(f);
		for (k = 0; k < 59; k++) {
			cr_expect_str_eq(fake_say(f, "x\r\n"), "");
			cr_expect_str_eq(fake_wait(f, 1), "", "%lld: %d",
			    (long long)steps[i], k);
			if (k == 30)
				set_clock(f, steps[i]);
		}
		fake_say(f, "x\r\n");
		cr_expect_str_eq(fake_wait(f, 2), LATE);
		fake_end(f);
	}
}

/* The answer of a spool comes, or does not. */
Test(esmtp_clock, a_commit_is_waited_for_in_its_time)
{
	struct fake *f;
	size_t i;

	for (i = 0; i < NSTEPS; i++) {
		f = start();
		f->h.spool.is_held = true;
		fake_to_data(f);
		cr_expect_str_eq(fake_say(f, ".\r\n"), "");
		set_clock(f, steps[i]);
		cr_expect_str_eq(fake_wait(f, LIM_ASYNC_SECONDS - 1), "");
		cr_expect_not(fake_is_ended(f), "%lld", (long long)steps[i]);
		fake_wait(f, 2);
		cr_expect(fake_is_ended(f), "%lld", (long long)steps[i]);
		fake_end(f);
	}
}

Test(esmtp_clock, several_steps_are_followed)
{
	struct fake *f = start();
	size_t i;

	for (i = 0; i < NSTEPS; i++) {
		set_clock(f, steps[i]);
		cr_assert_str_eq(fake_wait(f, 1), "");
		set_clock(f, steps[i]);
		set_clock(f, steps[i]);
		cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	}
	cr_assert_str_eq(fake_wait(f, 29), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	cr_assert_eq(last.elapsed.tv_sec, NSTEPS + 30);
	fake_end(f);
}

/* --- a clock whose owner does not tell ------------------------------------ */

/* One call at ${seconds} of the caller's clock. */
static int
call(struct fake *f, int64_t seconds)
{
	struct timeval now = { .tv_sec = seconds };
	accept_construct *ac = f->s->ac;

	return esmtp_message_factory(ac->event, E_READ, ac, &now);
}

/* The next call notices, and counts from there. */
Test(esmtp_clock, a_step_back_that_nobody_tells_is_noticed)
{
	struct fake *f = start();

	cr_assert_neq(call(f, FAKE_START + 10), 0);
	cr_assert_eq(f->s->ac->event->trigger.tv_sec, FAKE_START + 30);
	cr_assert_neq(call(f, FAKE_START - DAY), 0);
	/* ten of thirty seconds had passed before */
	cr_assert_eq(f->s->ac->event->trigger.tv_sec, FAKE_START - DAY + 20);
	simwire_send_now(f->s->wire, "QUIT\r\n", 6);
	simhost_settle(&f->h);
	cr_assert(fake_is_ended(f));
	cr_assert_eq(last.kind, ESMTP_REPORT_END);
	cr_assert_geq(last.elapsed.tv_sec, 0);
	fake_end(f);
}

/* What is not a time moves nothing. */
Test(esmtp_clock, a_trigger_that_is_no_time_is_ignored)
{
	static const struct timeval odd[] = { { 0, 0 }, { INT64_MAX, 0 },
		{ INT64_MIN, 999999 }, { FAKE_START, 1000000 },
		{ FAKE_START, -1 } };
	struct fake *f = start();
	size_t i;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		f->s->ac->event->trigger = odd[i];
		cr_expect_eq(call(f, FAKE_START), E_READ | E_TIMEOUT);
		cr_expect_eq(f->s->ac->event->trigger.tv_sec, FAKE_START + 30,
		    "%zu", i);
	}
	fake_end(f);
}
