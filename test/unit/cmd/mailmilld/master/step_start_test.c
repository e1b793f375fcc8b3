/* The master's state machine: its start, and the death of a process. */

#include "cmd/mailmilld/master/procs/procs.h"
#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <stdio.h>
#include <string.h>

#include <criterion/redirect.h>

TestSuite(step_start, .init = step_setup, .fini = step_teardown);

static struct step_who first[] = { { "d1@1" }, { "q1@1" }, { "k1@1" },
	{ "a1@1" }, { "s1@1" }, { "w1@1" } };

/* --- start ---------------------------------------------------------------- */

Test(step_start, a_start_waits_for_all_processes)
{
	PLAY({ "begin", ALL_START },
	    { "ready d1@1; ready k1@1; ready w1@1", "" },
	    { "ready l1@1", "" },
	    { "ready a1@1; ready s1@1", "" },
	    { "connect", "" },
	    { "ready w2@1", "" },
	    { "ready q1@1", "w1@1< running accept" },
	    { "connect", "w2@1<" });
}

FOR_EACH(step_start, a_crash_at_the_start_is_tried_again, first)
{
	PLAY({ "begin", ALL_START });
	step_one("exit", who->name, "+%");
	PLAY({ "ready all", "running accept" });
}

FOR_EACH(step_start, a_start_fails_when_a_process_does_not_start, first)
{
	PLAY({ "begin", ALL_START });
	step_one("exit", who->name, "+%");
	step_one("exit", who->name, "");
	PLAY({ "wait 249", "" });
	step_happens("wait 1");
	step_one("close", who->name, "!%");
	step_happens("exit killed");
	cr_expect_not_null(strstr(step_said, "!w2@1 stopping"), "%s", step_said);
	PLAY({ "exit killed", "-l1@1 ended:1" });
}

Test(step_start, a_start_that_cannot_fork_ends)
{
	PLAY({ "fork fails; begin", "stopping ended:1" });
}

Test(step_start, a_start_has_a_bound)
{
	PLAY({ "begin", ALL_START },
	    { "ready w1@1; ready w2@1; ready a1@1; ready s1@1", "" },
	    { "wait 59999", "" },
	    { "wait 1", ALL_KILLED " stopping" }, { "exit killed", "-l1@1 ended:1" });
}

Test(step_start, the_bound_of_a_start_ends_with_it)
{
	PLAY(STARTED, { "wait 60000", "" }, { "connect", "w1@1<" });
}

Test(step_start, a_keyd_without_its_keys_does_not_count)
{
	PLAY({ "begin", ALL_START },
	    { "unusable k1@1; ready all", "!k1@1" }, { "exit k1@1", "+k1@1" },
	    { "ready k1@1", "running accept" });
}

Test(step_start, a_start_that_fails_says_what_the_process_said)
{
	PLAY({ "begin", ALL_START }, { "trouble q1@1; exit q1@1", "+q1@1" },
	    { "trouble q1@1; exit q1@1", "" }, { "wait 250", "+q1@1" });
	cr_redirect_stderr();
	step_master.log_kind = LOG_TO_FILE;
	PLAY({ "trouble q1@1; exit q1@1",
	      "!d1@1 !k1@1 !a1@1 !s1@1 !w1@1 !w2@1 stopping" });
	fflush(stderr);
	cr_assert_stderr_eq_str("mailmilld: queue 1 does not start: it is "
	    "locked??\n");
}

/* --- a crash of one that is ready ----------------------------------------- */

FOR_EACH(step_start, a_crash_is_followed_by_a_new_process, first)
{
	PLAY(STARTED);
	step_one("exit", who->name, "+%");
	step_one("ready", who->name, "");
	/* again: it waits a little; there is another worker */
	step_one("exit", who->name, "");
	PLAY({ "connect; wait 249", *who->name == 'w' ? "w2@1<" : "w1@1<" });
	step_happens("wait 1");
	step_one("ready", who->name, "");
}

Test(step_start, successors_wait_longer_and_longer_until_one_lives_for_long)
{
	PLAY(STARTED,
	    { "exit k1@1", "+k1@1" }, { "exit k1@1", "" },
	    { "wait 249", "" }, { "wait 1", "+k1@1" }, { "exit k1@1", "" },
	    { "wait 499", "" }, { "wait 1", "+k1@1" }, { "exit k1@1", "" },
	    { "wait 999", "" }, { "wait 1", "+k1@1" },
	    { "ready k1@1; wait 20000", "" }, { "exit k1@1", "+k1@1" });
}

/* It may hang in code of others, which nothing else would notice. */
Test(step_start, a_successor_that_does_not_get_ready_is_replaced)
{
	PLAY(STARTED, { "exit w1@1", "+w1@1" }, { "wait 59999", "" },
	    { "wait 1", "!w1@1" }, { "exit w1@1", "+w1@1" },
	    { "wait 59999", "" }, { "ready w1@1", "" }, { "wait 60000", "" },
	    { "connect", "w2@1<" }, { "connect", "w1@1<" });
}

/* It is spoold that it waits for, then. */
Test(step_start, a_successor_without_spoold_has_its_time_later)
{
	PLAY(STARTED, { "exit s1@1", "+s1@1" }, { "exit w1@1", "+w1@1" },
	    { "wait 60000", "" }, { "ready s1@1", "" }, { "wait 59999", "" },
	    { "wait 1", "!w1@1" });
}

/* Others may have to wait for a lock. */
Test(step_start, a_queue_may_take_its_time)
{
	PLAY(STARTED, { "exit q1@1", "+q1@1" }, { "wait 59999", "" });
	step_happens("wait 60000");
	cr_expect_null(strchr(step_said, '!'), "%s", step_said);
}

Test(step_start, one_that_is_debugged_may_take_its_time)
{
	step_master.config.settings->sandbox = SANDBOX_OFF;
	PLAY(STARTED, { "exit w1@1", "+w1@1" },
	    { "trace w1@1; wait 60000", "" },
	    { "leave w1@1; wait 59999", "" }, { "wait 1", "!w1@1" });
}

Test(step_start, one_that_cannot_be_forked_is_tried_again_later)
{
	PLAY(STARTED,
	    { "fork fails; exit q1@1", "" },
	    { "wait 9999; fork works", "" },
	    { "wait 1", "+q1@1" });
}

Test(step_start, deadlines_are_kept_when_a_timer_could_not_be_set)
{
	PLAY(STARTED, { "exit k1@1", "+k1@1" },
	    { "timer fails; exit k1@1", "" },
	    /* no timer ends this wait, but there is a pass */
	    { "timer works; wait 249", "" }, { "wait 1", "+k1@1" });
}

Test(step_start, without_a_worker_connections_wait)
{
	PLAY(STARTED,
	    { "exit w1@1; exit w2@1", "+w1@1 +w2@1" },
	    { "connect", "deaf" },
	    { "ready w2@1", "w2@1< accept" });
}

Test(step_start, one_that_closes_its_channel_is_killed)
{
	PLAY(STARTED, { "close a1@1", "!a1@1" }, { "connect", "w1@1<" },
	    { "exit a1@1", "+a1@1" });
}

/* --- without a queue ------------------------------------------------------ */

Test(step_start, mail_is_refused_when_the_queue_is_down_for_long)
{
	PLAY(STARTED, { "exit q1@1", "+q1@1" }, { "wait 59999", "" },
	    { "wait 1", "w1@1:held w2@1:held" },
	    { "exit w1@1", "w1@1:held +w1@1" },
	    { "ready w1@1", "" },
	    { "ready q1@1", "w2@1:free w1@1:free" },
	    { "wait 100000", "" });
}

Test(step_start, a_queue_that_is_back_soon_is_no_outage)
{
	PLAY(STARTED, { "exit q1@1", "+q1@1" },
	    { "wait 59999; ready q1@1", "" }, { "wait 10000", "" },
	    { "exit q1@1", "+q1@1" }, { "wait 59999; ready q1@1", "" });
}

Test(step_start, a_queue_that_waits_for_its_lock_does_not_work)
{
	PLAY({ "begin", ALL_START }, { "trouble q1@1; ready all",
	      "running accept" },
	    { "wait 60000", "w1@1:held w2@1:held" });
	cr_expect_str_eq(outage_reason(&step_master), "it is locked??");
	PLAY({ "well q1@1", "w1@1:free w2@1:free" });
}

Test(step_start, the_queue_of_a_reload_takes_over)
{
	int i;

	PLAY(STARTED, CHANGED_OVER, { "wait 1000", "" },
	    { "exit q1@1", "-d1@1" });
	for (i = 0; i < step_nchildren; i++)
		cr_expect_eq(step_children[i].is_successor,
		    strcmp(step_name_of(&step_children[i]), "q1@2") == 0 ||
		    strcmp(step_name_of(&step_children[i]), "s1@2") == 0, "%d",
		    i);
	PLAY({ "exit q1@2", "+q1@2" });
	cr_expect_not(step_children[step_nchildren - 1].is_successor);
}
