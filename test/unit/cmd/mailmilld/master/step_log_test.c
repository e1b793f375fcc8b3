/* The master's state machine: the log, and the logger. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <string.h>

TestSuite(step_log, .init = step_setup, .fini = step_teardown);

/* --- opening it again ----------------------------------------------------- */

/* How many logs the logger is given when ${line} happens. */
static int
logs(const char *line)
{
	int before = step_nlogs;

	step_happens(line);
	return step_nlogs - before;
}

Test(step_log, it_is_opened_again_but_not_each_time_that_the_logger_asks)
{
	PLAY(STARTED);
	cr_expect_eq(logs("usr1"), 1);
	cr_expect_eq(logs("usr1"), 1);
	/* the logger may have asked before it got it, and waits for a moment */
	cr_expect_eq(logs("relog l1@1"), 0);
	cr_expect_eq(logs("wait 1999; relog l1@1"), 1);
	cr_expect_eq(logs("relog l1@1"), 0);
	cr_expect_eq(logs("wait 1999"), 0);
	cr_expect_eq(logs("wait 1"), 1);
	cr_expect_eq(logs("wait 1000; relog l1@1"), 1);
	cr_expect_eq(logs("wait 10000"), 0);
}

/* --- the logger's life ---------------------------------------------------- */

Test(step_log, a_start_fails_without_a_logger)
{
	PLAY({ "begin", ALL_START },
	    { "exit l1@1", "+l1@1" }, { "exit l1@1", "" },
	    { "wait 250", "+l1@1" },
	    { "exit l1@1", ALL_KILLED " stopping" },
	    { "exit killed", "ended:1" });
}

Test(step_log, the_logger_stays_at_a_reload)
{
	PLAY(STARTED, CHANGED_OVER, { "exit drained", "-d1@1 -k1@1 -a1@1" },
	    { "exit drained", "" },
	    /* and has a successor */
	    { "exit l1@1", "+l1@2" }, { "ready l1@2", "" },
	    { "connect", "w1@2<" });
}

Test(step_log, a_logger_that_dies_during_a_reload_is_started_again)
{
	PLAY(STARTED, CHECKED, { "exit l1@1", "+l1@1" }, { "ready w1@2; "
	      "ready w2@2; ready d1@2; ready q1@2; ready k1@2; ready a1@2; ready s1@2", "" },
	    { "ready l1@1", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" },
	    /* a reload does not make its deaths forgotten */
	    { "exit l1@1", "" }, { "wait 250", "+l1@2" });
}

Test(step_log, a_reload_that_fails_leaves_the_logger)
{
	PLAY(STARTED, CHECKED, { "trouble q1@2; exit q1@2", "!d1@2 !k1@2 "
	      "!a1@2 !s1@2 !w1@2 !w2@2 no:queue 1 does not start: it is locked??" },
	    { "exit killed", "" }, { "connect", "w1@1<" });
}

Test(step_log, a_logger_that_dies_during_a_stop_is_started_again)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "exit l1@1", "+l1@1" }, { "exit w1@1", "" },
	    { "exit w2@1", "-k1@1 -q1@1 -a1@1 -s1@1" },
	    { "exit q1@1; exit k1@1; exit a1@1; exit s1@1", "-d1@1" },
	    { "exit d1@1", "-l1@1 ended:0" });
}

Test(step_log, one_that_waits_for_its_start_is_started_in_a_stop)
{
	PLAY(STARTED, { "exit l1@1", "+l1@1" }, { "exit l1@1", "" },
	    { "int", ALL_KILLED " stopping deaf" },
	    { "exit killed", "+l1@1 -l1@1 ended:0" });
}

/* The workers have no time at all, and the others none to wait, but what they have
 * sent is written. */
Test(step_log, one_that_waits_for_its_start_is_started_in_a_stop_without_time)
{
	PLAY(STARTED, { "exit l1@1", "+l1@1" }, { "exit l1@1", "" });
	step_master.config.settings->drain_time = 0;
	PLAY({ "term", "!w1@1 !w2@1 stopping deaf" },
	    { "exit killed", "-k1@1 -q1@1 -a1@1 -s1@1" },
	    { "exit k1@1; exit a1@1; exit s1@1; exit q1@1", "-d1@1" },
	    { "exit d1@1", "+l1@1 -l1@1 ended:0" });
}

Test(step_log, a_stop_goes_on_without_a_logger_that_cannot_be_started)
{
	PLAY(STARTED, { "exit l1@1", "+l1@1" }, { "exit l1@1", "" },
	    { "int", ALL_KILLED " stopping deaf" },
	    { "fork fails; exit killed", "" }, { "wait 1999", "" },
	    { "wait 1", "ended:0" });
}

Test(step_log, a_stop_tries_a_few_times_to_start_the_logger)
{
	PLAY(STARTED, { "exit l1@1", "+l1@1" }, { "fork fails; wait 1000; "
	      "exit l1@1", "" }, { "wait 250", "" },
	    /* it would be tried again in ten seconds */
	    { "int", ALL_KILLED " stopping deaf" }, { "exit killed", "" },
	    { "wait 1000", "" },
	    { "fork works; wait 250", "+l1@1 -l1@1 ended:0" });
}

Test(step_log, a_stop_goes_on_without_a_logger_that_does_not_start)
{
	PLAY(STARTED, { "int", ALL_KILLED " stopping deaf" },
	    { "exit l1@1", "+l1@1" }, { "exit l1@1", "" },
	    { "wait 250", "+l1@1" }, { "exit l1@1", "" },
	    { "exit killed", "ended:0" });
}

Test(step_log, a_stop_does_not_wait_for_ever_for_the_logger)
{
	PLAY(STARTED, { "int", ALL_KILLED " stopping deaf" });
	/* it neither hears nor ends */
	channel_free(step_children[0].ch);
	step_children[0].ch = NULL;
	cr_assert_not_null(strstr(step_happens("exit killed"), "!l1@1"));
}

/* --- whose lines it gets -------------------------------------------------- */

static const struct step_child *
logger(void)
{
	int i, last = -1;

	for (i = 0; i < step_nchildren; i++)
		if (step_children[i].role == ROLE_LOGGER)
			last = i;
	cr_assert_neq(last, -1);
	return &step_children[last];
}

static void
say_written(uint32_t instance)
{
	struct msg_writer_end end = { .instance = instance };

	cr_assert_eq(channel_send(logger()->ch, M_WRITER_END, &end, NULL, 0,
	    -1), 0);
	step_happens("wait 1");
}

Test(step_log, the_logger_gets_the_lines_of_each_process)
{
	PLAY(STARTED);
	cr_expect_eq(logger()->nwriters, 7);
	PLAY({ "exit w1@1", "+w1@1" }, { "ready w1@1", "" });
	cr_expect_eq(logger()->nwriters, 8);
}

Test(step_log, a_new_logger_gets_what_the_old_one_has_not_written)
{
	uint32_t dead;

	PLAY(STARTED, { "exit w1@1", "+w1@1" }, { "ready w1@1", "" });
	/* its last lines may still be in its socket */
	PLAY({ "exit l1@1", "+l1@1" });
	cr_expect_eq(logger()->nwriters, 8);
	dead = 0;
	say_written(dead);		/* there is none */
	PLAY({ "wait 30000", "" }, { "exit l1@1", "+l1@1" });
	cr_expect_eq(logger()->nwriters, 8);
	dead = 7;		/* w1 is the seventh, after l d q k a s */
	say_written(dead);
	PLAY({ "wait 30000", "" }, { "exit l1@1", "+l1@1" });
	cr_expect_eq(logger()->nwriters, 7);
}

Test(step_log, lines_of_dead_processes_are_kept_within_a_bound)
{
	int i;

	PLAY(STARTED);
	/* nobody says that they are written */
	for (i = 0; i < 80; i++) {
		step_happens("wait 30000");
		step_happens("exit k1@1");
	}
	PLAY({ "wait 30000", "" }, { "exit l1@1", "+l1@1" });
	cr_expect_geq(logger()->nwriters, 6 + 64);
	cr_expect_leq(logger()->nwriters, 6 + 65);
}
