/* The master's state machine: what authd is shown of the sessions of workers. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <netinet/in.h>

#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/vouch.h"
#include "core/process/stats.h"

TestSuite(step_vouch, .init = step_setup_sessions, .fini = step_teardown);

#define CLIENT	"127.0.0.8"	/* of "connect 7" */

static struct vouched who;	/* of the last shown() */

/* What ${authd} finds of the first session of ${worker} among those of ${slot}. */
static enum vouch_answer
shown(const char *authd, const char *worker, unsigned int slot)
{
	const struct step_child *w = step_child_of(worker);

	cr_assert_gt(w->nsessions, 0);
	return vouch_find(step_child_of(authd)->vouches[slot],
	    w->sessions[0].handle, &who);
}

static const char *
text(const struct sockaddr *sa)
{
	static char buf[ADDR_TEXT];

	return addr_text(sa, buf);
}

Test(step_vouch, authd_is_shown_each_session_of_each_worker_until_it_ends)
{
	PLAY(STARTED, { "connect 7", "w1@1<" }, { "connect", "w2@1<" });
	cr_expect_eq(shown("a1@1", "w1@1", 1), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), CLIENT);
	cr_expect_null(vouched_via(&who));
	cr_expect_eq(who.listener, 0);
	cr_expect_neq(addr_port(&who.peer.sa), 0);
	cr_expect_eq(shown("a1@1", "w2@1", 2), VOUCH_FOUND);
	/* as its worker's alone */
	cr_expect_eq(shown("a1@1", "w1@1", 2), VOUCH_NONE);
	cr_expect_eq(shown("a1@1", "w2@1", 1), VOUCH_NONE);
	cr_assert(ended_put(step_child_of("w1@1")->ended,
	    step_child_of("w1@1")->sessions[0].handle));
	step_happens("connect");
	cr_expect_eq(shown("a1@1", "w1@1", 1), VOUCH_ENDED);
	cr_expect_eq(shown("a1@1", "w2@1", 2), VOUCH_FOUND);
}

Test(step_vouch, an_authd_that_is_started_again_is_shown_them_too)
{
	PLAY(STARTED, { "connect 7", "w1@1<" }, { "exit a1@1", "+a1@1" },
	    { "ready a1@1", "" });
	cr_expect_eq(shown("a1@1", "w1@1", 1), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), CLIENT);
	PLAY({ "connect", "w2@1<" });
	cr_expect_eq(shown("a1@1", "w2@1", 2), VOUCH_FOUND);
}

Test(step_vouch, a_worker_that_is_started_again_has_none_of_before)
{
	struct vouch *before;
	uint64_t handle;

	PLAY(STARTED, { "connect 7", "w1@1<" });
	handle = step_child_of("w1@1")->sessions[0].handle;
	before = step_child_of("a1@1")->vouches[1];
	step_child_of("a1@1")->vouches[1] = NULL;
	PLAY({ "exit w1@1", "+w1@1" }, { "ready w1@1", "" });
	cr_expect_eq(vouch_find(before, handle, &who), VOUCH_ENDED);
	cr_assert_not_null(step_child_of("a1@1")->vouches[1]);
	cr_expect_eq(vouch_find(step_child_of("a1@1")->vouches[1], handle,
	    &who), VOUCH_NONE);
	vouch_free(before);
}

Test(step_vouch, at_a_reload_each_authd_keeps_its_workers)
{
	PLAY(STARTED, { "connect 7", "w1@1<" }, CHANGED_OVER,
	    { "connect 7", "w2@2<" });
	cr_expect_eq(shown("a1@1", "w1@1", 1), VOUCH_FOUND);
	cr_expect_eq(shown("a1@2", "w2@2", 2), VOUCH_FOUND);
	cr_expect_eq(shown("a1@2", "w1@1", 1), VOUCH_NONE);
	cr_expect_eq(shown("a1@1", "w2@2", 2), VOUCH_NONE);
	/* a session that goes on in a new worker is one of its own */
	PLAY({ "move w1@1", "1 moved" });
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

/* The first session of ${worker} is said to be of that client. */
static void
name_client(const char *worker, const union addr *client)
{
	struct step_child *c = step_child_of(worker);
	struct msg_proxied mp = { .handle = c->sessions[0].handle,
		.peer = *client };

	cr_assert_eq(channel_send(c->ch, M_PROXIED, &mp, NULL, 0, -1), 0);
	step_happens("wait 1");
}

Test(step_vouch, a_client_that_was_named_is_shown_with_who_has_connected)
{
	const union addr client = { .in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000201) } };
	const union addr unknown = { .sa.sa_family = AF_UNSPEC };

	PLAY(STARTED, { "conf workers = 2\nAllow_XCLIENT = true", "" },
	    CHANGED_OVER, { "connect 7", "w1@2<" });
	name_client("w1@2", &client);
	cr_expect_eq(shown("a1@2", "w1@2", 1), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), "192.0.2.1");
	cr_expect_str_eq(text(vouched_via(&who)), CLIENT);
	name_client("w1@2", &unknown);
	cr_expect_eq(shown("a1@2", "w1@2", 1), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), "unknown");
	cr_expect_str_eq(text(vouched_via(&who)), CLIENT);
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

/* It could choose the account whose Peer section allows most. */
Test(step_vouch, a_worker_names_no_account)
{
	union addr root;

	addr_local(&root, 0);
	PLAY(STARTED, { "conf workers = 2\nAllow_XCLIENT = true", "" },
	    CHANGED_OVER, { "connect 7", "w1@2<" });
	name_client("w1@2", &root);
	cr_expect_eq(shown("a1@2", "w1@2", 1), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), CLIENT);
	cr_expect_null(vouched_via(&who));
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}

Test(step_vouch, a_worker_names_no_client_of_a_session_that_may_not)
{
	const union addr client = { .in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000201) } };

	PLAY(STARTED, { "connect 7", "w1@1<" });
	name_client("w1@1", &client);
	cr_expect_eq(shown("a1@1", "w1@1", 1), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), CLIENT);
	cr_expect_null(vouched_via(&who));
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
}
