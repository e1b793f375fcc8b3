/* The master's state machine: the account of each worker. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <string.h>

TestSuite(step_account, .init = step_setup, .fini = step_teardown);

static void
give_ids(unsigned int n)
{
	step_master.ranges[ROLE_WORKER] = (struct account_range){
	    { 70000, 80000 }, n };
}

/* Each living worker has ids of the range, and no two the same. */
static void
expect_unique(unsigned int nworkers)
{
	const struct step_child *c, *o, *end = step_children + step_nchildren;
	unsigned int n = 0;

	for (c = step_children; c < end; c++) {
		if (c->role != ROLE_WORKER || c->has_exited)
			continue;
		n++;
		cr_expect(c->uid >= 70000 && c->uid < 70010, "%u", c->uid);
		cr_expect_eq(c->gid - 80000, c->uid - 70000);
		for (o = c + 1; o < end; o++)
			if (o->role == ROLE_WORKER && !o->has_exited)
				cr_expect_neq(o->uid, c->uid, "%u", c->uid);
	}
	cr_expect_eq(n, nworkers);
}

Test(step_account, no_two_living_workers_have_the_same)
{
	give_ids(4);
	PLAY(STARTED);
	expect_unique(2);
	PLAY({ "exit w1@1", "+w1@1" }, { "ready all", "" });
	expect_unique(2);
	PLAY(CHECKED);
	step_happens("ready all");
	expect_unique(4);
	/* one is free when its process has ended */
	PLAY({ "exit w2@1", "" }, { "exit w1@2", "+w1@2" });
	expect_unique(3);
}

Test(step_account, a_reload_fails_when_there_are_none_left)
{
	give_ids(4);
	PLAY(STARTED, CHANGED_OVER, { "hup", "?auth ?keys" });
	step_happens("auth good; keys good");
	cr_expect_not_null(strstr(step_said, "no:cannot start processes"),
	    "%s", step_said);
	expect_unique(4);
	PLAY({ "connect", "w1@2<" });
}

/* As without root. */
Test(step_account, without_a_range_all_stay_what_they_are)
{
	PLAY(STARTED);
	cr_expect_eq(step_children[0].uid, 0);
	cr_expect_eq(step_children[step_nchildren - 1].uid, 0);
}
