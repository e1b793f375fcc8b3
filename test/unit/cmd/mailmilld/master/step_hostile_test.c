/* The master's state machine: processes that send what no honest one sends. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <sys/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/role/ended.h"
#include "core/process/stats.h"

TestSuite(step_hostile, .init = step_setup_sessions, .fini = step_teardown);

static void
tell(const char *name, enum msg_type type, const void *base,
    const void *entries, unsigned int n, int fd)
{
	cr_assert_eq(channel_send(step_child_of(name)->ch, type, base, entries,
	    n, fd), 0);
}

/* What ${name} has sent last: is it taken as what an honest process sends? */
static void
expect_peace(void)
{
	step_happens("wait 1");
	cr_expect_str_eq(step_said, "");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

static void
expect_killed(const char *name)
{
	char follows[32];

	step_happens("wait 1");
	snprintf(follows, sizeof(follows), "!%s", name);
	cr_expect_str_eq(step_said, follows);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

static void
expect_end(const char *name)
{
	char line[32], follows[32];

	expect_killed(name);
	/* it is replaced */
	snprintf(line, sizeof(line), "exit %s", name);
	snprintf(follows, sizeof(follows), "+%s", name);
	cr_expect_str_eq(step_happens(line), follows);
}

static uint64_t
handle_of(const char *name)
{
	struct step_child *c = step_child_of(name);

	cr_assert_gt(c->nsessions, 0);
	return c->sessions[0].handle;
}

static void
start_with_sessions(void)
{
	PLAY(STARTED, { "connect", "w1@1<" }, { "connect", "w2@1<" });
}

/* --- keys of session tickets ---------------------------------------------- */

/* ${name} has one key, and ${old} does not open what it makes. */
static void
expect_new_key(const char *name, const struct msg_tickets *old)
{
	const struct msg_tickets *t = &step_child_of(name)->tickets;
	unsigned int i;

	cr_expect_eq(t->nkeys, 1, "%s: %u", name, t->nkeys);
	for (i = 0; i < old->nkeys; i++)
		cr_expect_neq(memcmp(&t->keys[0], &old->keys[i],
		    sizeof(t->keys[0])), 0);
}

Test(step_hostile, keys_of_tickets_end_with_a_worker_in_bad_hands)
{
	struct msg_empty empty = { 0 };
	struct msg_tickets had;
	uint64_t handle = 1;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	cr_assert_eq(had.nkeys, 1);
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	expect_end("w1@1");
	expect_new_key("w2@1", &had);
	expect_new_key("w1@1", &had);
	cr_expect_eq(memcmp(&step_child_of("w1@1")->tickets,
	    &step_child_of("w2@1")->tickets, sizeof(had)), 0);
}

/* The system calls that it was refused kill it, too: a crash like any other. */
Test(step_hostile, keys_of_tickets_end_with_a_worker_that_crashes)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	cr_expect_str_eq(step_happens("crash w1@1"), "+w1@1");
	expect_new_key("w2@1", &had);
	expect_new_key("w1@1", &had);
}

/* Its channel closes before its status is there, and the master kills it. */
Test(step_hostile, keys_of_tickets_end_with_a_worker_whose_crash_is_seen_late)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	cr_expect_str_eq(step_happens("close w1@1"), "!w1@1");
	/* too late */
	step_child_of("w1@1")->is_killed = false;
	cr_expect_str_eq(step_happens("crash w1@1"), "+w1@1");
	expect_new_key("w2@1", &had);
}

/* An attacker who controls the worker chooses how it ends.  Status 0 is that of a
 * worker that was told to end; this one was not. */
static struct step_who ends[] = { { "exit" }, { "quit" }, { "fail" },
	{ "crash" } };

FOR_EACH(step_hostile, keys_of_tickets_end_with_a_worker_that_just_ends, ends)
{
	struct msg_tickets had;
	char line[32];

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	snprintf(line, sizeof(line), "%s w1@1", who->name);
	cr_expect_str_eq(step_happens(line), "+w1@1");
	expect_new_key("w2@1", &had);
	expect_new_key("w1@1", &had);
}

static bool
has_key(const char *name, const struct msg_tickets *had)
{
	return memcmp(&step_child_of(name)->tickets, had, sizeof(*had)) == 0;
}

/* No attacker could reach it. */
Test(step_hostile, keys_of_tickets_outlive_a_worker_that_had_no_client)
{
	struct msg_tickets had;

	PLAY(STARTED);
	had = step_child_of("w1@1")->tickets;
	PLAY({ "exit w1@1", "+w1@1" });
	cr_expect(has_key("w2@1", &had));
	cr_expect(has_key("w1@1", &had));
}

Test(step_hostile, keys_of_tickets_end_with_a_worker_that_is_stuck)
{
	struct msg_tickets had;

	PLAY(STARTED, { "stick w1@1; connect", "w1@1<" });
	had = step_child_of("w1@1")->tickets;
	PLAY({ "wait 2000", "" }, { "wait 10000", "" },
	    { "wait 30000", "!w1@1" });
	cr_expect(has_key("w2@1", &had));
	PLAY({ "exit w1@1", "+w1@1" });
	expect_new_key("w2@1", &had);
}

/* Nothing more can be sent to ${name}: it reads nothing. */
static void
fill_channel(const char *name)
{
	const pid_t pid = 1000 + (pid_t)(step_child_of(name) - step_children);
	const struct msg_hold hold = { 0 };
	struct proc *p;
	int rc = 0;

	TAILQ_FOREACH(p, &step_master.procs, link)
		while (p->pid == pid && (rc = chanev_send(p->ce, M_HOLD, &hold,
		    NULL, 0, -1)) == 0)
			continue;
	cr_assert_eq(rc, -1);
}

Test(step_hostile, keys_of_tickets_end_with_a_worker_that_cannot_be_told_to_end)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	PLAY(CHECKED);
	fill_channel("w1@1");
	PLAY({ "ready all", "!w1@1 -q1@1 -s1@1 -w2@1 @2 ok" });
	cr_expect(has_key("w1@2", &had));
	step_happens("exit w1@1");
	expect_new_key("w1@2", &had);
	expect_new_key("w2@1", &had);
}

/* It would go on to open tickets that an attacker can make. */
Test(step_hostile, a_worker_that_cannot_be_sent_new_keys_is_killed)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	fill_channel("w2@1");
	PLAY({ "crash w1@1", "!w2@1 +w1@1" });
	expect_new_key("w1@1", &had);
	had = step_child_of("w1@1")->tickets;
	PLAY({ "exit w2@1", "+w2@1" });
	expect_new_key("w1@1", &had);
}

Test(step_hostile, keys_of_tickets_end_with_a_worker_that_fails_as_it_drains)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	PLAY(CHANGED_OVER);
	step_happens("fail w1@1");
	expect_new_key("w1@2", &had);
}

Test(step_hostile, keys_of_tickets_outlive_workers_that_a_reload_replaces)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	PLAY(CHANGED_OVER, { "exit w1@1; exit w2@1", "-k1@1 -a1@1" });
	cr_expect(has_key("w1@2", &had));
}

/* Their clients are slow. */
Test(step_hostile, keys_of_tickets_outlive_workers_that_take_long_to_drain)
{
	struct msg_tickets had;

	start_with_sessions();
	had = step_child_of("w1@1")->tickets;
	PLAY({ "conf reload_drain_time = 10m", "" }, CHANGED_OVER,
	    { "exit q1@1; exit s1@1", "-d1@1" }, { "exit d1@1", "" },
	    { "wait 600000", "!w1@1 !w2@1" });
	step_happens("exit w1@1; exit w2@1");
	cr_expect(has_key("w1@2", &had));
}

/* --- sessions ------------------------------------------------------------- */

Test(step_hostile, the_end_of_another_worker_s_session)
{
	struct msg_empty empty = { 0 };
	uint64_t handle;

	start_with_sessions();
	handle = handle_of("w2@1");
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	expect_end("w1@1");
	/* that one goes on */
	tell("w2@1", M_CLOSED, &empty, &handle, 1, -1);
	step_happens("wait 1");
	cr_expect_str_eq(step_said, "");
}

Test(step_hostile, the_end_of_a_session_twice)
{
	struct msg_empty empty = { 0 };
	uint64_t handle;

	start_with_sessions();
	handle = handle_of("w1@1");
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	expect_peace();
	cr_assert(ended_put(step_child_of("w1@1")->ended, handle));
	/* the master looks there when somebody connects */
	cr_expect_str_eq(step_happens("connect"), "!w1@1 w2@1<");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

Test(step_hostile, handles_that_are_guessed)
{
	struct msg_empty empty = { 0 };
	uint64_t handles[MSG_CLOSED_MAX];
	unsigned int i;

	start_with_sessions();
	for (i = 0; i < MSG_CLOSED_MAX; i++)
		handles[i] = (uint64_t)(i + 1) << 32;
	tell("w1@1", M_CLOSED, &empty, handles, MSG_CLOSED_MAX, -1);
	expect_end("w1@1");
}

Test(step_hostile, garbage_in_the_shared_memory)
{
	unsigned int i;

	start_with_sessions();
	for (i = 0; i < ENDED_MAX; i++)
		cr_assert(ended_put(step_child_of("w1@1")->ended, i));
	cr_expect_str_eq(step_happens("connect"), "!w1@1 w2@1<");
}

Test(step_hostile, more_sessions_taken_than_were_sent)
{
	start_with_sessions();
	ended_take(step_child_of("w1@1")->ended);
	cr_expect_str_eq(step_happens("connect"), "!w1@1 w2@1<");
}

/* With that it would have had the fewest sessions. */
Test(step_hostile, who_has_taken_more_than_was_sent_gets_none)
{
	PLAY(STARTED, { "connect", "w1@1<" });
	ended_take(step_child_of("w2@1")->ended);
	cr_expect_str_eq(step_happens("connect"), "!w2@1 w1@1<");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

Test(step_hostile, a_client_of_another_worker_s_session)
{
	struct msg_proxied mp = { .peer.in.sin_family = AF_INET };

	start_with_sessions();
	mp.handle = handle_of("w2@1");
	tell("w1@1", M_PROXIED, &mp, NULL, 0, -1);
	expect_end("w1@1");
}

Test(step_hostile, a_client_of_a_session_without_a_proxy)
{
	struct msg_proxied mp = { .peer.in.sin_family = AF_INET };

	start_with_sessions();
	mp.handle = handle_of("w1@1");
	tell("w1@1", M_PROXIED, &mp, NULL, 0, -1);
	expect_end("w1@1");
}

/* The worker may be honest: a client repeats XCLIENT as fast as it can. */
Test(step_hostile, a_client_named_more_often_than_any_could)
{
	struct msg_proxied mp = { .peer.in.sin_family = AF_INET };
	unsigned int i;

	PLAY(STARTED, { "conf workers = 2\nAllow_XCLIENT = true", "" },
	    CHANGED_OVER, { "connect", "w1@2<" });
	mp.handle = handle_of("w1@2");
	for (i = 0; i < 1 + BOOK_AGAIN; i++) {
		tell("w1@2", M_PROXIED, &mp, NULL, 0, -1);
		if (i % 20 == 0)
			step_happens("wait 0");
	}
	step_happens("wait 0");
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 0);
	tell("w1@2", M_PROXIED, &mp, NULL, 0, -1);
	step_happens("wait 0");
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 1);
	step_happens("wait 1");
	tell("w1@2", M_PROXIED, &mp, NULL, 0, -1);
	expect_peace();
	cr_expect_eq(stats_sum(STATS_CONNECTIONS_REFUSED), 1);
}

static void
give_away(const char *name, uint64_t handle, int fd)
{
	struct msg_move move = { .session.handle = handle, .moved.id = "0" };

	tell(name, M_MOVE, &move, NULL, 0, fd);
}

Test(step_hostile, a_session_given_away_without_a_reload)
{
	struct step_child *c;

	start_with_sessions();
	c = step_child_of("w1@1");
	give_away("w1@1", c->sessions[0].handle, c->sessions[0].fd);
	expect_end("w1@1");
}

/* Return the first worker, which has been told to end by a reload. */
static struct step_child *
draining(void)
{
	start_with_sessions();
	PLAY(CHANGED_OVER);
	return step_child_of("w1@1");
}

static void
expect_end_of_old(void)
{
	step_happens("wait 1");
	cr_expect_str_eq(step_said, "!w1@1");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

Test(step_hostile, another_worker_s_session_given_away)
{
	struct step_child *c = draining();

	give_away("w1@1", handle_of("w2@1"), c->sessions[0].fd);
	expect_end_of_old();
}

Test(step_hostile, a_file_in_place_of_a_client)
{
	struct step_child *c = draining();
	int fd = open("/dev/null", O_RDWR);

	give_away("w1@1", c->sessions[0].handle, fd);
	expect_end_of_old();
}

Test(step_hostile, the_client_of_another_session)
{
	struct step_child *c = draining();

	give_away("w1@1", c->sessions[0].handle,
	    step_child_of("w2@1")->sessions[0].fd);
	expect_end_of_old();
}

/* A connection that mptcpize(8) has made of our own is as good. */
Test(step_hostile, a_client_of_multipath_tcp)
{
	struct step_child *c = draining();
	union addr peer, at = { .in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(peer);
	int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), client, fd;

	if (listener == -1)
		cr_skip_test("the kernel has no MPTCP");
	cr_assert_eq(getpeername(c->sessions[0].fd, &peer.sa, &len), 0);
	peer.in.sin_port = 0;
	cr_assert_eq(bind(listener, &at.sa, sizeof(at.in)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	len = sizeof(at);
	cr_assert_eq(getsockname(listener, &at.sa, &len), 0);
	client = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	cr_assert_eq(bind(client, &peer.sa, sizeof(peer.in)), 0);
	cr_assert_eq(connect(client, &at.sa, sizeof(at.in)), 0);
	fd = accept(listener, NULL, NULL);
	cr_assert_neq(fd, -1);
	give_away("w1@1", c->sessions[0].handle, fd);
	cr_expect_str_eq(step_happens("wait 1"), "1 moved");
	close(listener);
	close(client);
}

Test(step_hostile, a_session_given_away_and_ended)
{
	struct step_child *c = draining();
	struct msg_empty empty = { 0 };
	uint64_t handle = c->sessions[0].handle;

	give_away("w1@1", handle, c->sessions[0].fd);
	cr_expect_str_eq(step_happens("wait 1"), "1 moved");
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	expect_end_of_old();
}

/* --- of one that ends ------------------------------------------------------ */

Test(step_hostile, what_it_sends_before_it_ends_is_counted)
{
	struct msg_empty empty = { 0 };
	uint64_t handle = 1;

	start_with_sessions();
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	PLAY({ "exit w1@1", "+w1@1" });
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
	/* found only when it has ended: nobody has connected meanwhile */
	cr_assert(ended_put(step_child_of("w2@1")->ended, handle));
	PLAY({ "exit w2@1", "+w2@1" });
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 2);
}

Test(step_hostile, what_it_sends_when_it_is_killed_for_something_else_is_counted)
{
	struct msg_empty empty = { 0 };
	uint64_t handle = 1;

	PLAY(STARTED, { "stick w1@1; connect", "w1@1<" }, { "wait 2000", "" },
	    { "wait 10000", "" }, { "wait 30000", "!w1@1" });
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	tell("w1@1", M_CLOSED, &empty, &handle, 1, -1);
	PLAY({ "wait 1", "" });
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
	PLAY({ "exit w1@1", "+w1@1" });
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

/* --- the spool ------------------------------------------------------------ */

static uint32_t
instance_of(const char *name)
{
	const pid_t pid = 1000 + (pid_t)(step_child_of(name) - step_children);
	struct proc *p;

	TAILQ_FOREACH(p, &step_master.procs, link)
		if (p->pid == pid)
			return p->instance;
	return 0;
}

Test(step_hostile, a_worker_that_writes_beyond_its_share_of_the_spool)
{
	struct msg_beyond beyond;
	struct msg_tickets had;

	PLAY(STARTED);
	had = step_child_of("w1@1")->tickets;
	beyond = (struct msg_beyond){ .instance = instance_of("w1@1") };
	tell("s1@1", M_BEYOND, &beyond, NULL, 0, -1);
	tell("s1@1", M_BEYOND, &beyond, NULL, 0, -1);
	expect_end("w1@1");
	expect_new_key("w2@1", &had);
	/* it has ended, or is none */
	tell("s1@1", M_BEYOND, &beyond, NULL, 0, -1);
	beyond.instance = instance_of("q1@1");
	tell("s1@1", M_BEYOND, &beyond, NULL, 0, -1);
	cr_expect_str_eq(step_happens("wait 1"), "");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

Test(step_hostile, a_spoold_that_says_that_of_too_many)
{
	struct msg_beyond beyond = { .instance = 1000000 };
	int i;

	start_with_sessions();
	for (i = 0; i < 90; i++)
		tell("s1@1", M_BEYOND, &beyond, NULL, 0, -1);
	expect_peace();
	for (i = 0; i < 20; i++)
		tell("s1@1", M_BEYOND, &beyond, NULL, 0, -1);
	expect_end("s1@1");
}

/* --- other messages ------------------------------------------------------- */

Test(step_hostile, ready_twice)
{
	struct msg_ready ready = { 0 };

	start_with_sessions();
	tell("q1@1", M_READY, &ready, NULL, 0, -1);
	expect_end("q1@1");
}

static void
answer_keys(uint32_t version)
{
	const struct msg_keys_ready answer = { .version = version,
		.is_good = 1 };

	tell("k1@1", M_KEYS_READY, &answer, NULL, 0, -1);
}

Test(step_hostile, keys_that_were_never_sent)
{
	start_with_sessions();
	answer_keys(9);
	expect_end("k1@1");
}

Test(step_hostile, keys_of_before_those_that_were_sent)
{
	start_with_sessions();
	answer_keys(0);
	expect_end("k1@1");
}

Test(step_hostile, keys_answered_twice)
{
	start_with_sessions();
	answer_keys(1);
	expect_peace();
	answer_keys(1);
	expect_end("k1@1");
}

#define RENEWED(version) \
	{ "renew 50; wait 60000", "?keys" }, { "keys good", "k1@1=" version }

Test(step_hostile, changed_keys_answered_twice)
{
	start_with_sessions();
	answer_keys(1);
	PLAY(RENEWED("2"), { "usable k1@1", "w1@1=2 w2@1=2" });
	expect_peace();
	answer_keys(2);
	expect_killed("k1@1");
}

Test(step_hostile, keys_answered_in_another_order)
{
	start_with_sessions();
	PLAY(RENEWED("2"), { "usable k1@1", "w1@1=2 w2@1=2" });
	expect_peace();
	answer_keys(1);
	expect_killed("k1@1");
}

/* A new keyd gets the first version and the third. */
Test(step_hostile, more_keys_answered_than_were_sent)
{
	start_with_sessions();
	PLAY(RENEWED("2"), { "unusable k1@1", "" },
	    { "renew 40; wait 60000", "?keys" }, { "keys good", "k1@1=3" },
	    { "exit k1@1", "k1@1=3 +k1@1" }, { "ready k1@1", "" });
	answer_keys(1);
	answer_keys(2);
	expect_peace();
	answer_keys(3);
	expect_killed("k1@1");
}

Test(step_hostile, trouble_without_end)
{
	struct msg_empty empty = { 0 };
	int i;

	start_with_sessions();
	for (i = 0; i < 90; i++)
		tell("d1@1", M_TROUBLE, &empty, "none", 4, -1);
	expect_peace();
	/* later there may be some more */
	step_happens("wait 50000");
	for (i = 0; i < 40; i++)
		tell("d1@1", M_TROUBLE, &empty, "none", 4, -1);
	step_happens("wait 1");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
	for (i = 0; i < 30; i++)
		tell("d1@1", M_TROUBLE, &empty, "none", 4, -1);
	expect_end("d1@1");
}

Test(step_hostile, sums_of_a_reload_without_end)
{
	struct msg_drained md = { .nsessions = 1 };
	int i;

	start_with_sessions();
	for (i = 0; i < 90; i++)
		tell("w1@1", M_DRAINED, &md, NULL, 0, -1);
	expect_peace();
	for (i = 0; i < 20; i++)
		tell("w1@1", M_DRAINED, &md, NULL, 0, -1);
	expect_end("w1@1");
}

/* The last words of a process that dies are one. */
Test(step_hostile, last_words_without_end)
{
	const struct msg_refused refused = { .call = 41 };
	int i;

	start_with_sessions();
	for (i = 0; i < 90; i++)
		tell("q1@1", M_REFUSED, &refused, NULL, 0, -1);
	expect_peace();
	for (i = 0; i < 20; i++)
		tell("q1@1", M_REFUSED, &refused, NULL, 0, -1);
	expect_end("q1@1");
}

Test(step_hostile, the_end_of_no_session)
{
	struct msg_empty empty = { 0 };

	start_with_sessions();
	tell("w1@1", M_CLOSED, &empty, NULL, 0, -1);
	expect_end("w1@1");
}

Test(step_hostile, wishes_for_another_log_without_end)
{
	struct msg_empty empty = { 0 };
	int i;

	start_with_sessions();
	for (i = 0; i < 90; i++)
		tell("l1@1", M_RELOG, &empty, NULL, 0, -1);
	expect_peace();
	for (i = 0; i < 20; i++)
		tell("l1@1", M_RELOG, &empty, NULL, 0, -1);
	expect_end("l1@1");
}

/* Each socket of lines that it was given ends once. */
Test(step_hostile, the_end_of_more_lines_than_it_was_given)
{
	struct msg_writer_end end = { .instance = 1000000 };
	unsigned int i;

	start_with_sessions();
	cr_assert_gt(step_child_of("l1@1")->nwriters, 0);
	for (i = 0; i < step_child_of("l1@1")->nwriters; i++)
		tell("l1@1", M_WRITER_END, &end, NULL, 0, -1);
	expect_peace();
	tell("l1@1", M_WRITER_END, &end, NULL, 0, -1);
	expect_end("l1@1");
}

/* Its log takes nothing for long, and the master forgets those that have died
 * first. */
Test(step_hostile, a_logger_that_has_waited_says_the_end_of_many)
{
	struct msg_writer_end end = { .instance = 1000000 };
	unsigned int i;

	PLAY(STARTED);
	for (i = 0; i < 110; i++) {
		step_happens("exit w1@1");
		step_happens("wait 30000");
		PLAY({ "ready w1@1", "" });
	}
	cr_assert_gt(step_child_of("l1@1")->nwriters, 110);
	for (i = 0; i < step_child_of("l1@1")->nwriters; i++) {
		tell("l1@1", M_WRITER_END, &end, NULL, 0, -1);
		if (i % 50 == 0)
			expect_peace();
	}
	expect_peace();
}

static struct step_who every[] = { { "d1@1" }, { "q1@1" }, { "k1@1" },
	{ "a1@1" }, { "w1@1" } };

FOR_EACH(step_hostile, what_is_no_message, every)
{
	PLAY(STARTED);
	cr_assert_eq(send(channel_fd(step_child_of(who->name)->ch), "x", 1, 0),
	    1);
	expect_end(who->name);
}

/* A message that the table gives to another role. */
FOR_EACH(step_hostile, a_message_of_the_master, every)
{
	const struct msg_drain drain = { 0 };
	struct {
		uint32_t type, n;
	} header = { M_DRAIN, 0 };
	char packet[sizeof(header) + sizeof(drain)] = { 0 };

	memcpy(packet, &header, sizeof(header));
	PLAY(STARTED);
	cr_assert_eq(send(channel_fd(step_child_of(who->name)->ch), packet,
	    sizeof(packet), 0), (ssize_t)sizeof(packet));
	expect_end(who->name);
}

Test(step_hostile, its_successor_waits_longer_each_time)
{
	PLAY(STARTED);
	send(channel_fd(step_child_of("w1@1")->ch), "x", 1, 0);
	PLAY({ "wait 1", "!w1@1" }, { "exit w1@1", "+w1@1" });
	send(channel_fd(step_child_of("w1@1")->ch), "x", 1, 0);
	PLAY({ "wait 1", "!w1@1" }, { "exit w1@1", "" },
	    { "wait 10000", "+w1@1" });
}

/* --- last words ------------------------------------------------------------ */

#define WITH_MODULE	\
	STARTED, { "conf workers = 2\nModule \"/m/x.so\" { }", "" }, \
	{ "hup", "?auth ?keys ?modules" }, \
	{ "auth good; keys good; modules good", ALL_START_2 }, \
	{ "ready all", "-q1@1 -s1@1 -w1@1 -w2@1 @2 ok" }

static const struct msg_crashed x_so = { .module = "/m/x.so" };

/* The kernel says that it has crashed; which module it was, only the worker. */
Test(step_hostile, the_module_that_has_crashed_a_worker_is_named)
{
	PLAY(WITH_MODULE);
	step_log_aside();
	tell("w1@2", M_CRASHED, &x_so, NULL, 0, -1);
	expect_peace();
	cr_expect_eq(step_logged("module-crashed"), 0);
	step_happens("crash w1@2");
	cr_expect_eq(step_logged("event=module-crashed role=worker slot=1"), 1);
	cr_expect_eq(step_logged("module=/m/x.so signal="), 1);
}

Test(step_hostile, no_module_has_crashed_what_ends_otherwise)
{
	PLAY(WITH_MODULE);
	step_log_aside();
	tell("w1@2", M_CRASHED, &x_so, NULL, 0, -1);
	tell("w2@2", M_CRASHED, &x_so, NULL, 0, -1);
	expect_peace();
	step_happens("exit w1@2");
	step_happens("kill w2@2");
	cr_expect_eq(step_logged("event=process-end role=worker"), 2);
	cr_expect_eq(step_logged("module-crashed"), 0);
}

/* Of a configuration that others have no longer: the worker has it. */
Test(step_hostile, an_older_worker_has_its_own_modules)
{
	PLAY(WITH_MODULE, { "conf workers = 2", "" },
	    { "hup", "?auth ?keys" });
	step_happens("auth good; keys good");
	step_happens("ready all");
	cr_assert_not_null(strstr(step_said, "@3 ok"), "%s", step_said);
	tell("w1@2", M_CRASHED, &x_so, NULL, 0, -1);
	expect_peace();
	tell("w1@3", M_CRASHED, &x_so, NULL, 0, -1);
	expect_end("w1@3");
}

Test(step_hostile, a_module_that_the_worker_does_not_have)
{
	struct msg_crashed says = { .module = "/m/y.so" };

	PLAY(WITH_MODULE);
	tell("w1@2", M_CRASHED, &says, NULL, 0, -1);
	expect_end("w1@2");
}

Test(step_hostile, a_module_without_an_end)
{
	struct msg_crashed says;

	memset(&says, 'x', sizeof(says));
	PLAY(WITH_MODULE);
	tell("w1@2", M_CRASHED, &says, NULL, 0, -1);
	expect_end("w1@2");
}

Test(step_hostile, a_module_where_there_is_none)
{
	start_with_sessions();
	tell("w1@1", M_CRASHED, &x_so, NULL, 0, -1);
	expect_end("w1@1");
}
