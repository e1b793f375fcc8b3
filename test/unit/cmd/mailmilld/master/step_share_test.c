/* The master's state machine: a worker that keeps what it has of a limit on
 * sessions. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

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

/* --- alone ---------------------------------------------------------------- */

static void
connect_times(const char *how, unsigned int n)
{
	while (n-- > 0)
		step_happens(how);
}

static uint64_t
refused(void)
{
	return stats_sum(STATS_CONNECTIONS_REFUSED);
}

/* The last of ${n} refusals: the client has heard ${reply}. */
static void
expect_refused(uint64_t n, const char *reply)
{
	const char *heard = step_heard();

	cr_expect_eq(refused(), n, "%llu", (unsigned long long)refused());
	cr_expect(strncmp(heard, reply, strlen(reply)) == 0, "%s, not %s", heard,
	    reply);
}

/* The second worker has died.  The first has all 20 sessions of the ${limit} then,
 * and keeps them; the next second one has a quarter again. */
static void
expect_all_alone(const char *limit, const char *how, const char *reply)
{
	char line[128];

	snprintf(line, sizeof(line), "conf workers = 2\n%s = 20", limit);
	PLAY(STARTED, { line, "" }, CHANGED_OVER,
	    { "exit w2@2", "+w2@2" });
	step_log_aside();
	connect_times(how, 20);
	cr_expect_eq(refused(), 0, "%s", limit);
	cr_expect_eq(step_child_of("w1@2")->nsessions, 20);
	step_happens(how);
	expect_refused(1, reply);
	snprintf(line, sizeof(line), " limit=%s refused=1\n", limit);
	cr_expect_eq(step_logged(line), 1, "%s", limit);
	PLAY({ "ready w2@2", "" });
	connect_and_leave(how, 60);
	cr_expect_eq(refused(), 1, "%s", limit);
	cr_expect_eq(step_child_of("w2@2")->nsessions, 60);
	/* and no more than a quarter at once */
	connect_times(how, 5);
	cr_expect_eq(refused(), 1, "%s", limit);
	connect_times(how, 2);
	expect_refused(3, reply);
	cr_expect_eq(step_child_of("w1@2")->nsessions, 20);
	/* nor is there more for the first one when it is alone again */
	PLAY({ "exit w2@2", "" });
	step_happens(how);
	expect_refused(4, reply);
	cr_expect_eq(step_logged(" limit=workers "), 0, "%s", limit);
}

Test(step_share, one_that_is_alone_has_all_of_a_client_s_sessions)
{
	expect_all_alone("Client_Sessions", "connect 7", "421 4.7.0 ");
}

Test(step_share, one_that_is_alone_has_all_of_a_listener)
{
	expect_all_alone("Listener_Sessions", "connect", "421 4.4.5 ");
}

Test(step_share, one_that_is_alone_has_all_of_a_service)
{
	expect_all_alone("Service_Sessions", "connect", "421 4.4.5 ");
}

/* The other one is there, and takes nothing. */
Test(step_share, one_is_alone_while_the_other_one_hangs)
{
	PLAY(STARTED, { "conf workers = 2\nClient_Sessions = 20", "" },
	    CHANGED_OVER, { "stick w1@2; connect", "w1@2<" },
	    { "wait 2000", "" }, { "wait 10000", "" });
	connect_times("connect 7", 20);
	cr_expect_eq(refused(), 0);
	cr_expect_eq(step_child_of("w2@2")->nsessions, 20);
	step_happens("connect 7");
	cr_expect_eq(refused(), 1);
}

/* --- clients that a worker names ------------------------------------------ */

/* ${name} says of ${n} of its sessions, from the ${first}th on, that their client is
 * 192.0.2.1. */
static void
name_client(const char *name, unsigned int first, unsigned int n)
{
	struct msg_proxied mp = { .peer.in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000201) } };
	struct step_child *c = step_child_of(name);
	unsigned int i;

	cr_assert_geq(c->nsessions, first + n);
	for (i = first; i < first + n; i++) {
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
	name_client("w1@2", 0, 40);
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 10);
	name_client("w2@2", 0, 10);
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 10);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

Test(step_share, one_that_is_alone_may_name_a_client_for_all_its_sessions)
{
	PLAY(STARTED, { "conf workers = 2\nClient_Sessions = 40\n"
	    "Proxy_Protocol = true", "" }, CHANGED_OVER,
	    { "exit w2@2", "+w2@2" });
	connect_times("connect", 41);
	name_client("w1@2", 0, 40);
	cr_expect_eq(refused(), 0);
	name_client("w1@2", 40, 1);
	cr_expect_eq(refused(), 1);
	PLAY({ "ready w2@2", "" });
	connect_times("connect", 20);
	name_client("w2@2", 0, 10);
	cr_expect_eq(refused(), 1);
	name_client("w2@2", 10, 1);
	cr_expect_eq(refused(), 2);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}
