/* The master's state machine: how it stops. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

TestSuite(step_stop, .init = step_setup, .fini = step_teardown);

static struct step_who first[] = { { "d1@1" }, { "q1@1" }, { "k1@1" },
	{ "a1@1" }, { "s1@1" }, { "w1@1" } };

/* --- stop ----------------------------------------------------------------- */

Test(step_stop, a_stop_drains_those_that_ask_first)
{
	PLAY(STARTED,
	    { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "exit w1@1", "" },
	    { "exit w2@1", "-k1@1 -q1@1 -a1@1 -s1@1" },
	    { "exit k1@1; exit a1@1; exit s1@1", "" },
	    { "exit q1@1", "-d1@1" },
	    { "exit d1@1", "-l1@1 ended:0" });
}

Test(step_stop, a_stop_has_a_bound)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "wait 29999", "" }, { "wait 1", "!w1@1 !w2@1" },
	    { "wait 100000", "" },
	    { "exit killed", "-k1@1 -q1@1 -a1@1 -s1@1" },
	    { "wait 4999", "" }, { "wait 1", "!k1@1 !q1@1 !a1@1 !s1@1" },
	    { "exit killed", "-d1@1" }, { "wait 4999", "" },
	    { "wait 1", "!d1@1" }, { "exit killed", "-l1@1 ended:0" });
}

/* What is left of drain_time is for the queue process to wait for agents, and it is
 * killed only later. */
Test(step_stop, who_waits_for_others_knows_how_long)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "wait 10000", "" }, { "exit w1@1", "" },
	    { "exit w2@1", "-k1@1 -q1@1 -a1@1 -s1@1" });
	cr_expect_eq(step_limit_ms, 20000);
	PLAY({ "exit k1@1; exit a1@1; exit s1@1", "" }, { "wait 24999", "" },
	    { "exit q1@1", "-d1@1" });
	cr_expect_eq(step_limit_ms, 2000, "what has come last has a chance, too");
}

Test(step_stop, a_stop_that_cannot_be_bounded_kills)
{
	PLAY(STARTED, { "timer fails; term", ALL_KILLED " -w1@1 -w2@1"
	      " stopping deaf" }, { "exit killed", "-l1@1 ended:0" });
}

Test(step_stop, a_stop_at_once_kills)
{
	PLAY(STARTED, { "int", ALL_KILLED " stopping deaf" },
	    { "exit killed", "-l1@1 ended:0" });
}

/* --- what the log says ---------------------------------------------------- */

Test(step_stop, a_stop_says_that_drain_time_has_passed_when_it_has)
{
	PLAY(STARTED);
	step_log_aside();
	PLAY({ "term", "-w1@1 -w2@1 stopping deaf" }, { "wait 29999", "" });
	cr_expect_eq(step_logged("drain_time"), 0);
	PLAY({ "wait 1", "!w1@1 !w2@1" }, { "wait 100000", "" });
	cr_expect_eq(step_logged("drain_time has passed"), 1);
}

/* Some of them do not end yet, as when they wait for a disk. */
Test(step_stop, a_stop_at_once_does_not_say_that_drain_time_has_passed)
{
	PLAY(STARTED);
	step_log_aside();
	PLAY({ "int", ALL_KILLED " stopping deaf" }, { "wait 29999", "" },
	    { "wait 1", "" }, { "wait 100000", "" },
	    { "exit killed", "-l1@1 ended:0" });
	cr_expect_eq(step_logged("drain_time"), 0);
}

Test(step_stop, a_stop_at_once_after_a_slow_one_does_not_say_it_either)
{
	PLAY(STARTED);
	step_log_aside();
	PLAY({ "term", "-w1@1 -w2@1 stopping deaf" },
	    { "wait 10000; int", ALL_KILLED }, { "wait 100000", "" });
	cr_expect_eq(step_logged("drain_time"), 0);
}

/* Those that a reload has told to end have a bound, too. */
Test(step_stop, nor_does_it_of_those_that_a_reload_has_told_to_end)
{
	PLAY(STARTED, CHANGED_OVER);
	step_log_aside();
	step_happens("int");
	PLAY({ "wait 29999", "" }, { "wait 2000", "" }, { "wait 100000", "" });
	cr_expect_eq(step_logged("drain_time"), 0);
}

/* It has five seconds, whatever drain_time is. */
Test(step_stop, a_logger_that_does_not_end_is_not_killed_for_drain_time)
{
	PLAY(STARTED);
	step_log_aside();
	PLAY({ "stick l1@1; int", ALL_KILLED " stopping deaf" },
	    { "exit killed", "-l1@1" }, { "wait 4999", "" },
	    { "wait 1", "!l1@1" }, { "exit l1@1", "ended:0" });
	cr_expect_eq(step_logged("event=process-drain role=logger"), 1);
	cr_expect_eq(step_logged("drain_time"), 0);
}

FOR_EACH(step_stop, a_crash_while_stopping_is_its_end, first)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" });
	step_one("exit", who->name, *who->name == 'q' ? "-d1@1" : "");
	PLAY({ "wait 10000", "" });
}
