/* The master's state machine: two things at once. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <poll.h>
#include <string.h>

TestSuite(step_both, .init = step_setup, .fini = step_teardown);

static struct step_who first[] = { { "d1@1" }, { "q1@1" }, { "k1@1" },
	{ "a1@1" }, { "s1@1" }, { "w1@1" } };

/* --- two at once ---------------------------------------------------------- */

Test(step_both, a_stop_in_the_pass_of_a_reload_wins)
{
	PLAY(STARTED, { "hup; term",
	      "-w1@1 -w2@1 stopping deaf no:" REFUSED });
}

Test(step_both, a_stop_at_once_in_the_pass_of_a_stop_wins)
{
	PLAY(STARTED, { "int; term", ALL_KILLED " stopping deaf" });
}

Test(step_both, a_stop_at_once_ends_a_stop)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "int", ALL_KILLED });
}

Test(step_both, a_crash_in_the_pass_of_a_stop_has_no_successor)
{
	PLAY(STARTED, { "exit w1@1; exit q1@1; term",
	      "-d1@1 -w2@1 stopping deaf" });
}

Test(step_both, a_stop_ends_a_start)
{
	PLAY({ "begin", ALL_START }, { "ready k1@1", "" },
	    { "ready all; term", "-w1@1 -w2@1 stopping" });
}

Test(step_both, a_stop_ends_the_checks)
{
	struct pollfd p = { .events = POLLOUT };

	PLAY(STARTED, { "hup", "?auth ?keys" },
	    { "term", "-w1@1 -w2@1 stopping deaf no:" REFUSED });
	p.fd = step_check_fds[CONFIG_AUTH];
	cr_expect(poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
}

Test(step_both, a_stop_ends_a_reload)
{
	PLAY(STARTED, CHECKED,
	    { "term", ALL_KILLED_2 " -w1@1 -w2@1 stopping deaf no:" REFUSED },
	    { "exit killed; exit drained", "-k1@1 -q1@1 -a1@1 -s1@1" },
	    { "hup", "no:" REFUSED });
}

Test(step_both, a_reload_asked_for_during_the_start_follows_it)
{
	PLAY({ "begin; hup", ALL_START },
	    { "ready all", "?auth ?keys running accept" });
}

Test(step_both, a_reload_takes_the_place_of_one_that_is_being_checked)
{
	PLAY(STARTED, { "hup", "?auth ?keys" }, { "auth good", "" },
	    { "conf workers = x; hup",
	      "no:conf" },
	    { "conf workers = 2; hup", "?auth ?keys" }, { "hup; hup", "?auth ?keys" },
	    { "auth good; keys good", ALL_START_2 },
	    { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_eq(step_master.reload_answered, 5);
}

Test(step_both, a_check_is_replaced_only_once)
{
	PLAY(STARTED, { "hup", "?auth ?keys" }, { "hup", "?auth ?keys" },
	    { "hup", "" }, { "wait 19999; hup", "" },
	    { "auth good; keys good", ALL_START_2 }, { "hup", "" },
	    /* all that wait have their turn together */
	    { "ready all", "?auth ?keys -q1@1 -s1@1 -w1@1 -w2@1 @2 ok" },
	    { "auth good; keys good",
	      "+d1@3 +k1@3 +q1@3 +a1@3 +s1@3 +w1@3 +w2@3" },
	    { "ready all", "-q1@2 -s1@2 -w1@2 -w2@2 @3 ok" });
	cr_expect_eq(step_master.reload_answered, 5);
}

Test(step_both, a_reload_waits_for_one_whose_processes_start)
{
	PLAY(STARTED, CHECKED, { "hup", "" },
	    { "ready all", "?auth ?keys -q1@1 -s1@1 -w1@1 -w2@1 @2 ok" },
	    { "auth good; keys good",
	      "+d1@3 +k1@3 +q1@3 +a1@3 +s1@3 +w1@3 +w2@3" });
}

Test(step_both, a_reload_waits_for_one_that_fails)
{
	PLAY(STARTED, CHECKED, { "hup", "" },
	    { "exit a1@2", "!d1@2 !k1@2 !q1@2 !s1@2 !w1@2 !w2@2 ?auth ?keys "
	      "no:authd 1 does not start: the log says why" },
	    { "auth good; keys good", ALL_START_2 },
	    /* those of the first, which have the same numbers */
	    { "exit killed", "" },
	    { "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" });
}

FOR_EACH(step_both, a_crash_during_a_reload_is_followed_by_a_new_process, first)
{
	PLAY(STARTED, { "hup", "?auth ?keys" });
	step_one("exit", who->name, "+%");
	PLAY({ "auth good; keys good", ALL_START_2 },
	    { "wait 20000", "" });
	step_one("exit", who->name, "+%");
	step_happens("ready all");
	cr_expect_not_null(strstr(step_said, " @2 ok"), "%s", step_said);
}

Test(step_both, ready_and_dead_in_one_pass_is_dead)
{
	PLAY({ "begin", ALL_START },
	    { "ready all; exit w1@1", "+w1@1" },
	    { "ready w1@1", "running accept" });
}
