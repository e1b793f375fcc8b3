/* Time: each timeout ends what it is for, and nothing else. */

#include <criterion/criterion.h>
#include <string.h>

#include "proto/server/esmtp_int.h"
#include "test/unit/proto/server/fake.h"

#define LATE	"421 4.4.2 Timeout, closing the channel\r\n"

static struct fake *
start(const char *command, const char *idle)
{
	struct fake *f = fake_new();

	fake_option(f, "Command_Timeout", command, NULL);
	fake_option(f, "Idle_Time", idle, NULL);
	fake_option(f, "Data_Block_Timeout", "20", NULL);
	fake_option(f, "Data_Timeout", "60", NULL);
	fake_connect(f);
	return f;
}

Test(esmtp_timer, a_command_must_be_complete_in_time)
{
	struct fake *f = start("30", "0");
	int i;

	/* octets that trickle in do not help */
	for (i = 0; i < 29; i++) {
		fake_say(f, "N");
		cr_assert_str_eq(fake_wait(f, 1), "");
	}
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	cr_assert(fake_is_ended(f));
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_TIMEOUT], 1);
	fake_end(f);
}

Test(esmtp_timer, a_command_starts_the_time_anew)
{
	struct fake *f = start("30", "0");
	int i;

	for (i = 0; i < 10; i++) {
		cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
		cr_assert_str_eq(fake_wait(f, 29), "");
	}
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_timer, a_silent_client_is_idle)
{
	struct fake *f = start("300", "10");

	cr_assert_str_eq(fake_wait(f, 9), "");
	fake_say(f, "N");
	cr_assert_str_eq(fake_wait(f, 9), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_timer, data_must_keep_coming)
{
	struct fake *f = start("300", "0");

	fake_to_data(f);
	cr_assert_str_eq(fake_wait(f, 19), "");
	fake_say(f, "x");
	cr_assert_str_eq(fake_wait(f, 19), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	cr_assert_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

Test(esmtp_timer, data_must_end_in_time)
{
	struct fake *f = start("300", "0");
	int i;

	fake_to_data(f);
	for (i = 0; i < 59; i++) {
		fake_say(f, "x\r\n");
		cr_assert_str_eq(fake_wait(f, 1), "", "%d", i);
	}
	fake_say(f, "x\r\n");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_timer, a_client_that_does_not_read_is_given_up)
{
	struct fake *f = start("30", "0");

	f->s->wire->window = 5;
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2");
	cr_assert_str_eq(fake_wait(f, 29), "");
	cr_assert_not(fake_is_ended(f));
	fake_wait(f, 2);
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_timer, no_timeout_of_the_client_runs_while_the_spool_works)
{
	struct fake *f = start("5", "5");

	f->h.spool.is_held = true;
	fake_to_data(f);
	fake_say(f, ".\r\n");
	cr_assert_str_eq(fake_wait(f, 500), "");
	simspool_release(&f->h.spool);
	cr_assert_eq(strncmp(fake_say(f, ""), "250 ", 4), 0);
	cr_assert_str_eq(fake_wait(f, 4), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}

Test(esmtp_timer, a_commit_that_never_ends_does_not_hold_the_session_for_ever)
{
	struct fake *f = start("300", "0");

	f->h.spool.is_held = true;
	fake_to_data(f);
	fake_say(f, ".\r\n");
	cr_assert_str_eq(fake_wait(f, LIM_ASYNC_SECONDS + 1),
	    "421 4.3.0 Internal error, closing the channel\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_timer, a_step_too_early_changes_nothing)
{
	struct fake *f = start("30", "10");
	struct timeval now = { .tv_sec = FAKE_START + 5 };
	int mask;

	mask = esmtp_message_factory(f->s->ac->event, E_TIMEOUT, f->s->ac,
	    &now);
	cr_assert_eq(mask, E_READ | E_TIMEOUT);
	cr_assert_eq(f->s->ac->event->trigger.tv_sec, FAKE_START + 10);
	cr_assert_str_eq(fake_wait(f, 9), "");
	cr_assert_str_eq(fake_wait(f, 2), LATE);
	fake_end(f);
}
