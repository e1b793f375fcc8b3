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
	    { "exit w2@1", "-q1@1 -k1@1 -a1@1 -s1@1" },
	    { "exit k1@1; exit a1@1; exit s1@1", "" },
	    { "exit q1@1", "-d1@1" },
	    { "exit d1@1", "-l1@1 ended:0" });
}

Test(step_stop, a_stop_has_a_bound)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "wait 29999", "" }, { "wait 1", ALL_KILLED },
	    { "wait 100000", "" }, { "exit killed", "-l1@1 ended:0" });
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

FOR_EACH(step_stop, a_crash_while_stopping_is_its_end, first)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" });
	step_one("exit", who->name, *who->name == 'q' ? "-d1@1" : "");
	PLAY({ "wait 10000", "" });
}
