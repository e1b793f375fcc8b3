/* The master's state machine: a worker that keeps what it has of a limit on
 * sessions. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <netinet/in.h>
#include <stdio.h>

#include "cmd/mailmilld/master/sessions/sessions.h"
#include "cmd/mailmilld/role/ended.h"
#include "core/process/stats.h"

TestSuite(step_share, .init = step_setup_sessions, .fini = step_teardown);

/* ${n} times somebody connects: "connect" or "connect NUMBER".  The second worker
 * tells that its session has ended, the first never does. */
static void
connect_and_leave(const char *how, unsigned int n)
{
	struct step_child *c = step_child_of("w2@2");
	unsigned int seen = c->nsessions;

	while (n-- > 0) {
		step_happens(how);
		for (; seen < c->nsessions; seen++)
			cr_assert(ended_put(c->ended,
			    c->sessions[seen].handle));
	}
}

/* With ${conf}, which sets a limit, the first worker gets ${share} sessions, and
 * the second one all others of ${n}. */
static void
expect_share(const char *conf, const char *how, unsigned int share,
    unsigned int n)
{
	char line[128];

	snprintf(line, sizeof(line), "conf workers = 2\n%s", conf);
	PLAY(STARTED, { line, "" }, CHANGED_OVER);
	connect_and_leave(how, n);
	cr_expect_eq(step_child_of("w1@2")->nsessions, share, "%s: %u", conf,
	    step_child_of("w1@2")->nsessions);
	cr_expect_eq(step_child_of("w2@2")->nsessions, n - share);
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

Test(step_share, one_that_tells_no_end_leaves_a_part_of_a_client_s_sessions)
{
	expect_share("Client_Sessions = 20", "connect 7", 15, 90);
}

Test(step_share, one_that_tells_no_end_leaves_a_part_of_a_listener)
{
	expect_share("Listener_Sessions = 8", "connect", 6, 60);
}

Test(step_share, one_that_tells_no_end_leaves_a_part_of_a_service)
{
	expect_share("Service_Sessions = 8", "connect", 6, 60);
}

Test(step_share, one_that_tells_no_end_leaves_one_of_two)
{
	expect_share("Listener_Sessions = 2", "connect", 1, 30);
}

/* All the sessions of a limit can be had while workers are honest. */
Test(step_share, a_share_takes_nothing_from_a_limit)
{
	unsigned int i;

	PLAY(STARTED, { "conf workers = 2\nClient_Sessions = 21", "" },
	    CHANGED_OVER);
	for (i = 0; i < 21; i++) {
		/* others in between, so that turns do not part them evenly */
		step_happens("connect 7");
		step_happens(i % 4 == 0 ? "wait 0" : "connect");
	}
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
	step_happens("connect 7");
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 1);
}

/* The other worker is behind: that is no reason to refuse. */
Test(step_share, a_share_is_no_reason_to_refuse)
{
	unsigned int i;

	step_master.worker_sessions_max = STEP_SESSIONS_MAX;
	PLAY(STARTED, { "conf workers = 2\nClient_Sessions = 20", "" },
	    CHANGED_OVER, { "stick w2@2", "" });
	for (i = 0; i < 2 * TAKEN_MAX; i++)
		step_happens("connect");
	cr_assert_eq(step_child_of("w2@2")->nsessions, TAKEN_MAX);
	for (i = 0; i < 20; i++)
		step_happens("connect 7");
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
	cr_expect_eq(step_child_of("w1@2")->nsessions, TAKEN_MAX + 15);
	cr_expect_eq(step_child_of("w2@2")->nsessions, TAKEN_MAX + 5);
}

/* ${name} says of ${n} of its sessions that their client is 192.0.2.1. */
static void
name_client(const char *name, unsigned int n)
{
	struct msg_proxied mp = { .peer.in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000201) } };
	struct step_child *c = step_child_of(name);
	unsigned int i;

	cr_assert_geq(c->nsessions, n);
	for (i = 0; i < n; i++) {
		mp.handle = c->sessions[i].handle;
		cr_assert_eq(channel_send(c->ch, M_PROXIED, &mp, NULL, 0, -1),
		    0);
		step_happens("wait 0");
	}
}

Test(step_share, one_that_names_a_client_often_leaves_a_part_of_its_sessions)
{
	unsigned int i;

	PLAY(STARTED, { "conf workers = 2\nClient_Sessions = 40\n"
	    "Proxy_Protocol = true", "" }, CHANGED_OVER);
	for (i = 0; i < 80; i++)
		step_happens("connect");
	name_client("w1@2", 40);
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 10);
	name_client("w2@2", 10);
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 10);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}
