/* The master's state machine: which worker gets the next session, and workers
 * that do not take theirs. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <string.h>

#include "cmd/mailmilld/master/sessions/sessions.h"
#include "cmd/mailmilld/role/ended.h"
#include "core/process/stats.h"

TestSuite(step_late, .init = step_setup_sessions, .fini = step_teardown);

/* ${n} clients connect, one after the other. */
static void
connect_many(int n)
{
	while (n-- > 0)
		step_happens("connect");
}

/* --- who gets the next session -------------------------------------------- */

/* A worker that tells at once that its session has ended, and keeps it. */
static void
lie(const char *name, unsigned int *seen)
{
	struct step_child *c = step_child_of(name);

	for (; *seen < c->nsessions; (*seen)++)
		cr_assert(ended_put(c->ended, c->sessions[*seen].handle));
}

/* It gets a quarter above its share, and no more: of 12 rounds of 16. */
Test(step_late, one_that_ends_all_its_sessions_does_not_get_all)
{
	unsigned int seen = 0, n1;
	int i;

	step_master.worker_sessions_max = STEP_SESSIONS_MAX;
	PLAY(STARTED);
	for (i = 0; i < 192; i++) {
		step_happens("connect");
		lie("w1@1", &seen);
	}
	n1 = step_child_of("w1@1")->nsessions;
	cr_expect_eq(n1 + step_child_of("w2@1")->nsessions, 192);
	cr_expect_eq(n1, 120);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

/* --- sessions that are not taken ------------------------------------------ */

Test(step_late, one_that_hangs_gets_no_more_after_a_while)
{
	PLAY(STARTED, { "stick w1@1; connect", "w1@1<" },
	    { "connect", "w2@1<" }, { "wait 2000", "" }, { "wait 9000", "" },
	    { "connect", "w1@1<" }, { "wait 2000", "" },
	    { "connect", "w2@1<" }, { "connect", "w2@1<" },
	    { "connect", "w2@1<" },
	    /* it has taken them */
	    { "go w1@1", "" }, { "wait 2000", "" }, { "connect", "w1@1<" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 0);
}

Test(step_late, one_that_goes_on_to_hang_is_replaced)
{
	PLAY(STARTED, { "stick w1@1; connect", "w1@1<" }, { "wait 2000", "" },
	    { "wait 10000", "" }, { "wait 28000", "" },
	    { "wait 2000", "!w1@1" },
	    { "exit w1@1", "+w1@1" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 1);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

Test(step_late, one_that_is_debugged_is_kept_when_the_sandbox_is_off)
{
	step_master.config.settings->sandbox = SANDBOX_OFF;
	PLAY(STARTED, { "trace w1@1; stick w1@1; connect", "w1@1<" },
	    { "wait 2000", "" }, { "wait 10000", "" });
	/* a reload that binds its successors changes nothing for it */
	step_master.config.settings->sandbox = SANDBOX_ON;
	PLAY({ "wait 30000", "" }, { "wait 28000", "" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 0);
	PLAY({ "leave w1@1; wait 2000", "!w1@1" }, { "exit w1@1", "+w1@1" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 1);
}

/* Nobody has hold of it by right. */
Test(step_late, one_that_is_debugged_is_not_kept_with_the_sandbox)
{
	step_master.config.settings->sandbox = SANDBOX_ON;
	PLAY(STARTED, { "trace w1@1; stick w1@1; connect", "w1@1<" },
	    { "wait 2000", "" }, { "wait 10000", "" });
	/* nor when its successors would not be bound */
	step_master.config.settings->sandbox = SANDBOX_OFF;
	PLAY({ "wait 30000", "!w1@1" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 1);
}

Test(step_late, one_that_takes_some_is_not_late)
{
	int i;

	PLAY(STARTED, { "stick w1@1", "" });
	for (i = 0; i < 30; i++) {
		connect_many(2);
		PLAY({ "wait 2000", "" });
		/* all but the last */
		if (i % 3 == 2)
			PLAY({ "go w1@1", "" }, { "stick w1@1", "" });
	}
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 0);
	cr_expect_eq(step_child_of("w1@1")->nsessions, 30);
}

/* The clock jumps when a whole machine was stopped. */
Test(step_late, after_a_long_stop_of_all_it_has_time_to_go_on)
{
	PLAY(STARTED, { "stick w1@1; connect", "w1@1<" }, { "wait 2000", "" },
	    { "wait 3600000", "" }, { "go w1@1", "" },
	    { "wait 30000", "" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 0);
}

Test(step_late, so_many_may_wait_and_others_stay_in_the_backlog)
{
	unsigned int i;

	step_master.worker_sessions_max = STEP_SESSIONS_MAX;
	PLAY(STARTED, { "stick w1@1; stick w2@1", "" });
	connect_many(2 * TAKEN_MAX);
	cr_expect_not_null(strstr(step_said, " deaf"), "%s", step_said);
	for (i = 0; i < 3; i++)
		cr_expect_str_eq(step_happens("connect"), "");
	cr_expect_eq(step_child_of("w1@1")->nsessions, TAKEN_MAX);
	cr_expect_eq(step_child_of("w2@1")->nsessions, TAKEN_MAX);
	/* the client that has waited longest is first */
	PLAY({ "go w2@1", "" },
	    { "wait 10", "w2@1< w2@1< w2@1< accept" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
}

/* The first has as many as it can have, and the second has room soon. */
Test(step_late, a_worker_that_is_behind_is_waited_for_when_others_are_full)
{
	step_master.worker_sessions_max = STEP_SESSIONS_MAX;
	PLAY(STARTED, { "stick w2@1", "" });
	connect_many(TAKEN_MAX + STEP_SESSIONS_MAX);
	cr_assert_eq(step_child_of("w1@1")->nsessions, STEP_SESSIONS_MAX);
	cr_assert_eq(step_child_of("w2@1")->nsessions, TAKEN_MAX);
	PLAY({ "connect", "" }, { "go w2@1", "" },
	    { "wait 10", "w2@1< accept" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
	connect_many(STEP_SESSIONS_MAX - TAKEN_MAX - 1);
	cr_assert_eq(step_child_of("w2@1")->nsessions, STEP_SESSIONS_MAX);
	/* now all are full */
	PLAY({ "connect", "" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 1);
}

/* It could leave its sessions until just before it is late, again and again. */
Test(step_late, a_worker_that_stays_behind_is_not_waited_for)
{
	int i;

	step_master.worker_sessions_max = STEP_SESSIONS_MAX;
	PLAY(STARTED, { "stick w2@1", "" });
	connect_many(TAKEN_MAX + STEP_SESSIONS_MAX);
	PLAY({ "connect", "" }, { "wait 990", "" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
	PLAY({ "wait 10", "accept" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 1);
	PLAY({ "connect", "" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 2);
	/* it takes a few, and not the rest */
	for (i = 0; i < 10; i++)
		ended_take(step_child_of("w2@1")->ended);
	step_child_of("w2@1")->nleft -= 10;
	for (i = 0; i < 10; i++)
		PLAY({ "connect", "w2@1<" });
	PLAY({ "connect", "" });
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 3);
	/* all: it is as good as any */
	PLAY({ "go w2@1", "" }, { "connect", "w2@1<" });
	cr_expect_eq(stats_sum(STATS_LATE_KILLS), 0);
}
