/* Logins at next hops, of which keyd knows the passwords.  The test is keyd. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/process/log.h"
#include "core/scheduler.h"
#include "proto/auth/esmtp_auth_mech.h"

#define MECHANISMS	0x5a

static struct scheduler *scheduler;
static struct relay_logins *logins;
static struct channel *keyd;
static struct channel_msg msg;

/* What a connection was told last */
static struct said {
	unsigned int	 n;
	bool		 is_begun, has_mechanism, has_response, is_inside;
	char		 mechanism[32], response[64];
	size_t		 len;
} said;

static void
on_say(void *closure, bool is_begun, const char *mechanism,
    const char *response, size_t len)
{
	const struct relay_login *l = closure;

	said = (struct said){ .n = said.n + 1, .is_begun = is_begun,
		.has_mechanism = mechanism != NULL,
		.has_response = response != NULL, .len = len,
		.is_inside = l->is_inside };
	if (mechanism != NULL)
		snprintf(said.mechanism, sizeof(said.mechanism), "%s",
		    mechanism);
	cr_assert_lt(len, sizeof(said.response));
	if (response != NULL)
		memcpy(said.response, response, len);
}

static struct relay_login login = { .domain = 3, .route = 1, .say = on_say,
	.closure = &login };

/* A keyd, in place of the one before */
static void
join_keyd(void)
{
	struct msg_peer who = { .role = ROLE_KEYD, .slot = 1 };
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(relay_logins_peer(logins, &who, fds[0]), 0);
	channel_free(keyd);
	keyd = channel_open(fds[1], msg_rows, NMSGS, ROLE_KEYD, ROLE_RELAY);
	cr_assert_not_null(keyd);
}

static void
setup(void)
{
	scheduler = scheduler_create(NULL);
	logins = relay_logins_new();
	cr_assert_not_null(logins);
	login.logins = logins;
	join_keyd();
}

static void
teardown(void)
{
	relay_logins_free(logins);
	channel_free(keyd);
	scheduler_destroy(scheduler);
}

TestSuite(relay_login, .init = setup, .fini = teardown);

static void
pass(void)
{
	int i;

	for (i = 0; i < 3; i++)
		cr_assert_geq(scheduler_pass(scheduler, 0), 0);
}

/* The number of the exchange of which keyd is told that. */
static uint64_t
hears(enum msg_type type)
{
	uint64_t id;

	cr_assert_eq(channel_recv(keyd, &msg), 1);
	cr_assert_eq(msg.type, type, "%u", msg.type);
	memcpy(&id, msg.base, sizeof(id));
	return id;
}

static bool
hears_nothing(void)
{
	return channel_recv(keyd, &msg) == -1 && errno == EAGAIN;
}

static uint32_t
number_of(const char *mechanism)
{
	uint32_t i;

	for (i = 0; strcmp(esmtp_auth_mech_at(i)->name, mechanism) != 0; i++)
		;
	return i;
}

/* keyd says ${response}, which may be NULL: none. */
static void
answer(uint64_t id, const char *mechanism, const char *response,
    uint32_t flags)
{
	struct msg_hop_auth base = { .id = id,
		.mechanism = number_of(mechanism), .flags = flags |
		(response != NULL ? MSG_HOP_RESPONSE : 0) };

	cr_assert_eq(channel_send(keyd, K_RESPONSE, &base, response,
	    response == NULL ? 0 : (unsigned int)strlen(response), -1), 0);
	pass();
}

static void
offer(struct relay_login *l, bool is_verified)
{
	const struct relay_login_offer o = { .mechanisms = MECHANISMS,
		.is_verified = is_verified };

	relay_login_begin(l, &o);
}

static uint64_t
begin(void)
{
	offer(&login, true);
	return hears(K_LOGIN);
}

Test(relay_login, a_login_of_one_step)
{
	struct msg_hop_login base;
	uint64_t id = begin();

	memcpy(&base, msg.base, sizeof(base));
	cr_expect_eq(base.domain, 3);
	cr_expect_eq(base.route, 1);
	cr_expect_eq(base.mechanisms, MECHANISMS);
	cr_expect_eq(base.is_verified, 1);
	cr_expect_eq(said.n, 0);
	answer(id, "PLAIN", "secret", MSG_HOP_DONE);
	cr_assert_eq(said.n, 1);
	cr_expect_not(said.is_begun);
	cr_expect_not(said.is_inside);
	cr_expect_str_eq(said.mechanism, "PLAIN");
	cr_expect_str_eq(said.response, "secret");
	cr_expect(relay_login_end(&login, true, "mx"));
	cr_expect_eq(hears(K_LOGIN_END), id);
	cr_expect(TAILQ_EMPTY(&logins->list));
}

/* The response of no octets, "=" on the wire (RFC 4954 4), is not the same as
 * none. */
Test(relay_login, a_response_of_no_octets_is_one)
{
	answer(begin(), "SCRAM-SHA-256", "", 0);
	cr_expect(said.has_response);
	cr_expect_eq(said.len, 0);
	(void)relay_login_end(&login, false, "mx");
	(void)hears(K_LOGIN_END);
	answer(begin(), "CRAM-MD5", NULL, 0);
	cr_expect_eq(said.n, 2);
	cr_expect_not(said.has_response);
	(void)relay_login_end(&login, false, "mx");
}

/* RFC 5802 3: a server that has not shown that it knows the password is not
 * believed. */
Test(relay_login, a_success_before_all_is_said_does_not_count)
{
	uint64_t id = begin();

	answer(id, "SCRAM-SHA-256", "n,,n=alice", 0);
	cr_expect_not(relay_login_end(&login, true, "mx"));
	cr_expect_eq(hears(K_LOGIN_END), id);
	/* nor does one after something that keyd has not seen */
	id = begin();
	answer(id, "SCRAM-SHA-256", "n,,n=alice", 0);
	relay_login_step(&login, "r=1", 3);
	cr_expect_eq(hears(K_CHALLENGE), id);
	cr_expect_eq(msg.nentries, 3);
	cr_expect_eq(memcmp(msg.entries, "r=1", 3), 0);
	answer(id, "SCRAM-SHA-256", "p=2", MSG_HOP_DONE);
	cr_expect(said.is_begun);
	cr_expect_str_eq(said.response, "p=2");
	relay_login_step(&login, "v=3", 3);
	cr_expect_not(relay_login_end(&login, true, "mx"));
}

Test(relay_login, a_failure_of_the_server_is_none_of_ours)
{
	answer(begin(), "PLAIN", "secret", MSG_HOP_DONE);
	cr_expect_not(relay_login_end(&login, false, "mx"));
}

Test(relay_login, keyd_may_refuse)
{
	struct msg_hop_auth base = { .id = begin(), .status = EACCES };

	cr_assert_eq(channel_send(keyd, K_RESPONSE, &base, NULL, 0, -1), 0);
	pass();
	cr_assert_eq(said.n, 1);
	cr_expect_not(said.has_mechanism);
	cr_expect(TAILQ_EMPTY(&logins->list));
	cr_expect_not(relay_login_end(&login, true, "mx"));
	/* who has ended it needs not be told */
	cr_expect(hears_nothing());
}

Test(relay_login, without_a_keyd_it_cannot_be_done)
{
	channel_free(keyd);
	keyd = NULL;
	pass();
	offer(&login, false);
	cr_assert_eq(said.n, 1);
	cr_expect_not(said.has_mechanism);
	cr_expect_not(said.is_begun);
	cr_expect(said.is_inside);
	cr_expect_not(login.is_inside);
	cr_expect_not(relay_login_end(&login, true, "mx"));
}

Test(relay_login, a_keyd_that_ends_ends_what_waits_for_it)
{
	(void)begin();
	channel_free(keyd);
	keyd = NULL;
	pass();
	cr_assert_eq(said.n, 1);
	cr_expect_not(said.has_mechanism);
	cr_expect_not(said.is_inside);
}

Test(relay_login, another_keyd_knows_nothing_of_what_has_begun)
{
	uint64_t id = begin();

	answer(id, "CRAM-MD5", NULL, 0);
	join_keyd();
	/* it waits for its server: nothing is said before that answers */
	cr_expect_eq(said.n, 1);
	relay_login_step(&login, "<1@mx>", 6);
	cr_assert_eq(said.n, 2);
	cr_expect_not(said.has_mechanism);
	cr_expect(said.is_begun);
	cr_expect(said.is_inside);
	cr_expect(hears_nothing());
	cr_expect_not(relay_login_end(&login, true, "mx"));
	/* but begins another one */
	cr_expect_neq(begin(), id);
}

/* From a hostile next hop: it is not cut. */
Test(relay_login, a_challenge_that_is_too_long_ends_it)
{
	static char challenge[MSG_HOP_OCTETS + 1];
	uint64_t id = begin();

	answer(id, "SCRAM-SHA-256", "", 0);
	relay_login_step(&login, challenge, sizeof(challenge) - 1);
	cr_expect_eq(hears(K_CHALLENGE), id);
	cr_expect_eq(msg.nentries, MSG_HOP_OCTETS);
	answer(id, "SCRAM-SHA-256", "", 0);
	relay_login_step(&login, challenge, sizeof(challenge));
	cr_expect_eq(said.n, 3);
	cr_expect_not(said.has_mechanism);
	cr_expect(hears_nothing());
}

Test(relay_login, answers_to_nobody_are_left_alone)
{
	struct msg_hop_auth base = { 0 };
	uint64_t id = begin();

	answer(id + 1, "PLAIN", "secret", MSG_HOP_DONE);
	answer(0, "PLAIN", "secret", MSG_HOP_DONE);
	cr_expect_eq(said.n, 0);
	answer(id, "PLAIN", "secret", 0);
	cr_expect_eq(said.n, 1);
	/* a second one, which nobody has asked for */
	answer(id, "PLAIN", "secret", MSG_HOP_DONE);
	cr_expect_eq(said.n, 1);
	cr_expect_not(relay_login_end(&login, true, "mx"));
	cr_expect_eq(hears(K_LOGIN_END), id);
	/* and one when the connection has ended */
	answer(id, "PLAIN", "secret", MSG_HOP_DONE);
	cr_expect_eq(said.n, 1);
	/* a mechanism that there is not */
	base.id = begin();
	base.mechanism = UINT32_MAX;
	cr_assert_eq(channel_send(keyd, K_RESPONSE, &base, NULL, 0, -1), 0);
	pass();
	cr_expect_eq(said.n, 2);
	cr_expect_not(said.has_mechanism);
}

Test(relay_login, two_connections_have_exchanges_of_their_own)
{
	struct relay_login other = { .logins = logins, .say = on_say,
		.closure = &other };
	uint64_t id = begin(), others;

	offer(&other, false);
	others = hears(K_LOGIN);
	cr_expect_neq(id, others);
	answer(others, "LOGIN", NULL, 0);
	cr_expect_not(other.is_waiting);
	cr_expect(login.is_waiting);
	(void)relay_login_end(&other, false, "mx");
	(void)relay_login_end(&login, false, "mx");
	cr_expect(TAILQ_EMPTY(&logins->list));
}

/* A server that does not know the binding refuses when it hears its name. */
static bool
refused(const char *mechanism, bool has_other, bool is_verified)
{
	bool is_again;

	answer(begin(), mechanism, "p=tls-exporter,,n=alice,r=1", 0);
	is_again = relay_login_refused(&login, has_other, is_verified);
	cr_expect_not(relay_login_end(&login, false, "mx"));
	(void)hears(K_LOGIN_END);
	return is_again;
}

Test(relay_login, another_binding_is_tried_and_none_only_if_the_server_is_verified)
{
	login.nrefused = 0;
	cr_expect(refused("SCRAM-SHA-256-PLUS", true, false));
	cr_expect_eq(login.nrefused, 1);
	cr_expect_not(refused("SCRAM-SHA-256-PLUS", false, false));
	cr_expect_eq(login.nrefused, 1);
	cr_expect(refused("SCRAM-SHA-256-PLUS", false, true));
	cr_expect_eq(login.nrefused, 2);
	/* and that is the last one */
	cr_expect_not(refused("SCRAM-SHA-256", true, true));
	cr_expect_not(refused("PLAIN", true, true));
	cr_expect_eq(login.nrefused, 2);
}

/* The password is wrong, or somebody stands in the middle. */
Test(relay_login, a_server_that_refuses_the_proof_is_believed)
{
	uint64_t id = begin();

	answer(id, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=alice,r=1", 0);
	relay_login_step(&login, "r=12,s=3,i=4096", 15);
	(void)hears(K_CHALLENGE);
	answer(id, "SCRAM-SHA-256-PLUS", "c=4,r=12,p=5", 0);
	cr_expect_not(relay_login_refused(&login, true, true));
	cr_expect_not(relay_login_end(&login, false, "mx"));
}

/* RFC 5802 7: "e=..." instead of its first message */
Test(relay_login, a_server_may_refuse_the_binding_with_a_challenge)
{
	struct msg_hop_auth base = { .id = begin(), .status = EPROTO };

	answer(base.id, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=alice,r=1", 0);
	relay_login_step(&login, "e=unsupported-channel-binding-type", 34);
	(void)hears(K_CHALLENGE);
	cr_assert_eq(channel_send(keyd, K_RESPONSE, &base, NULL, 0, -1), 0);
	pass();
	cr_expect_not(said.has_mechanism);
	cr_expect(relay_login_refused(&login, true, false));
	cr_expect_not(relay_login_end(&login, false, "mx"));
}

Test(relay_login, without_a_binding_nothing_is_told_to_a_server_that_is_not_verified)
{
	struct relay_login_offer o = { .mechanisms = MECHANISMS,
		.is_tls = true };
	struct msg_hop_login base;
	size_t i;

	for (i = 0; i < 3; i++) {
		o.is_verified = i == 1;
		o.is_tls = i != 2;
		relay_login_begin(&login, &o);
		(void)hears(K_LOGIN);
		memcpy(&base, msg.base, sizeof(base));
		cr_expect_eq(base.mechanisms, i == 0 ? 0 : MECHANISMS, "%zu", i);
		(void)relay_login_end(&login, false, "mx");
		(void)hears(K_LOGIN_END);
	}
}

static unsigned int
lines_with(FILE *fp, const char *text)
{
	char line[LOG_LINE_MAX + 1];
	unsigned int n = 0;

	log_flush();
	rewind(fp);
	while (fgets(line, sizeof(line), fp) != NULL)
		n += strstr(line, text) != NULL;
	return n;
}

/* A line in ten seconds, however many connections have that password. */
Test(relay_login, failures_are_logged_at_times)
{
	FILE *fp = tmpfile();
	int i;

	cr_assert_not_null(fp);
	log_init("mailmilld/relay-1", LOG_TO_FILE, fileno(fp), LOG_LEVEL_INFO);
	/* of a server that has heard of none nothing is said */
	(void)begin();
	(void)relay_login_end(&login, false, "mx");
	(void)hears(K_LOGIN_END);
	cr_expect_eq(lines_with(fp, "event=hop-login-failed"), 0);
	for (i = 0; i < 5; i++) {
		answer(begin(), "PLAIN", "secret", MSG_HOP_DONE);
		cr_expect_not(relay_login_end(&login, false, "mx"));
		(void)hears(K_LOGIN_END);
	}
	cr_expect_eq(lines_with(fp, "event=hop-login-failed"), 1);
	cr_expect_eq(lines_with(fp, "remote=mx failed=1 "), 1);
	cr_expect_eq(lines_with(fp, "secret"), 0);
	fclose(fp);
}

Test(relay_login, freeing_none_does_nothing)
{
	relay_logins_free(NULL);
}
