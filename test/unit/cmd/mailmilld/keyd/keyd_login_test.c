#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/keyd/keyd_int.h"
#include "core/scheduler.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "tls/tls_client.h"

#define CONFIG								\
	"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"		\
	"Domain \"a.test\" { Delivery = smtp Route = { \"192.0.2.1\", "	\
	    "\"192.0.2.2\" } Login = \"%s\" }\n"			\
	"Domain \"b.test\" { Delivery = smtp Route = \"192.0.2.1\" }\n"	\
	"Domain \"c.test\" { Delivery = smtp Route = \"192.0.2.3\" "	\
	    "Login = \"%s\" }\n"

static char path[] = "/tmp/keyd-logins-XXXXXX";
static char token_path[] = "/tmp/keyd-token-XXXXXX";
static int token_fd;
static struct scheduler *sched;
static struct settings *settings;
static struct keyd kd;
static bool is_done;

/* What relay sees. */
static struct chanev *relay;
static struct msg_hop_auth last;
static unsigned int nanswers;
static char text[MSG_HOP_OCTETS + 1];
static size_t len;

static void
on_response(void *, struct channel_msg *msg)
{
	memcpy(&last, msg->base, sizeof(last));
	len = msg->nentries;
	memcpy(text, msg->entries, len);
	text[len] = '\0';
	nanswers++;
}

static void
on_gone(void *)
{
	relay = NULL;
}

static const struct chanev_ops ops = {
	.on = { [K_RESPONSE] = on_response },
	.gone = on_gone
};

static void
done(void *)
{
	is_done = true;
}

static void
setup(void)
{
	struct msg_peer who = { ROLE_RELAY, 1, 7 };
	char err[SETTINGS_ERROR_MAX];
	int fds[2], fd = mkstemp(path);
	FILE *fp = tmpfile();

	token_fd = mkstemp(token_path);
	dprintf(token_fd, "first\n");
	dprintf(fd, "192.0.2.1 alice:pencil\n192.0.2.2 bob:secret\n"
	    "192.0.2.3 carol token:%s\n", token_path);
	close(fd);
	fprintf(fp, CONFIG, path, path);
	rewind(fp);
	settings = settings_load(fp, "m.conf", NULL, 0, err, sizeof(err));
	fclose(fp);
	cr_assert_not_null(settings, "%s", err);
	sched = scheduler_create(NULL);
	TAILQ_INIT(&kd.workers);
	TAILQ_INIT(&kd.relays);
	TAILQ_INIT(&kd.working);
	kd.settings = settings;
	kd.creds = hop_creds_load(settings, err, sizeof(err));
	cr_assert_not_null(kd.creds, "%s", err);
	kd.done = done;
	unlink(path);
	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(keyd_relay_open(&kd, &who, fds[0]), 0);
	relay = chanev_open(fds[1], ROLE_RELAY, ROLE_KEYD, &ops, NULL);
	cr_assert_not_null(relay);
}

static void
teardown(void)
{
	chanev_free(relay);
	keyd_relays_close(&kd);
	hop_creds_free(kd.creds);
	settings_free(settings);
	scheduler_destroy(sched);
	close(token_fd);
	unlink(token_path);
}

TestSuite(keyd_login, .init = setup, .fini = teardown);

static void
pass(unsigned int n)
{
	while (n-- > 0)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
}

static uint32_t
bit(const char *name)
{
	uint32_t i;

	for (i = 0; esmtp_auth_mech_at(i) != NULL; i++)
		if (strcmp(esmtp_auth_mech_at(i)->name, name) == 0)
			break;
	cr_assert_not_null(esmtp_auth_mech_at(i), "no %s", name);
	return 1u << i;
}

static void
begin_bound(uint64_t id, uint32_t domain, uint32_t route, uint32_t mechanisms,
    bool is_verified, uint32_t binding, const char *octets)
{
	struct msg_hop_login ask = { id, domain, route, mechanisms,
		is_verified, binding, 0 };

	cr_assert_eq(chanev_send(relay, K_LOGIN, &ask, octets,
	    (unsigned int)strlen(octets), -1), 0);
	pass(3);
}

static void
begin(uint64_t id, uint32_t domain, uint32_t route, uint32_t mechanisms,
    bool is_verified)
{
	begin_bound(id, domain, route, mechanisms, is_verified,
	    TLS_CLIENT_UNBOUND, "");
}

static void
challenge(uint64_t id, const char *s)
{
	struct msg_hop_auth base = { .id = id };

	cr_assert_eq(chanev_send(relay, K_CHALLENGE, &base, s,
	    (unsigned int)strlen(s), -1), 0);
	pass(3);
}

static void
expect(unsigned int n, uint64_t id, uint32_t status)
{
	cr_assert_eq(nanswers, n);
	cr_assert_eq(last.id, id);
	cr_assert_eq(last.status, status, "%s", strerror((int)last.status));
	cr_assert(status == 0 || len == 0);
}

Test(keyd_login, plain_is_said_at_once)
{
	begin(1, 0, 0, bit("PLAIN") | bit("LOGIN"), true);
	expect(1, 1, 0);
	cr_assert_eq(1u << last.mechanism, bit("PLAIN"));
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE | MSG_HOP_DONE);
	cr_assert_eq(len, 13);
	cr_assert_eq(memcmp(text, "\0alice\0pencil", 13), 0);
}

Test(keyd_login, login_is_asked_for_both)
{
	begin(1, 0, 1, bit("LOGIN"), true);
	expect(1, 1, 0);
	cr_assert_eq(last.flags, 0);
	challenge(1, "Username:");
	expect(2, 1, 0);
	cr_assert_str_eq(text, "bob");
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE);
	challenge(1, "Password:");
	expect(3, 1, 0);
	cr_assert_str_eq(text, "secret");
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE | MSG_HOP_DONE);
	/* and then there is nothing more to say */
	challenge(1, "Really?");
	expect(4, 1, EPROTO);
	cr_assert(TAILQ_EMPTY(&TAILQ_FIRST(&kd.relays)->exchanges));
}

Test(keyd_login, no_password_is_for_a_server_that_is_not_verified)
{
	begin(1, 0, 0, bit("PLAIN") | bit("LOGIN") | bit("XOAUTH2"), false);
	expect(1, 1, ENOTSUP);
	begin(2, 0, 0, bit("PLAIN") | bit("SCRAM-SHA-1"), false);
	expect(2, 2, 0);
	cr_assert_eq(1u << last.mechanism, bit("SCRAM-SHA-1"));
	cr_assert_eq(strncmp(text, "n,,n=alice,r=", 13), 0, "%s", text);
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE);
}

/* RFC 7628, and what Google and Microsoft have: inside TLS, with a server that is
 * verified, the token that the file has at that time. */
Test(keyd_login, a_token_is_read_when_it_is_told)
{
	uint32_t both = bit("OAUTHBEARER") | bit("XOAUTH2");

	begin(1, 2, 0, both | bit("PLAIN") | bit("SCRAM-SHA-256"), false);
	expect(1, 1, ENOTSUP);
	begin(2, 2, 0, bit("PLAIN") | bit("SCRAM-SHA-256"), true);
	expect(2, 2, ENOTSUP);
	begin(3, 2, 0, bit("XOAUTH2"), true);
	expect(3, 3, 0);
	cr_assert_str_eq(text, "user=carol\1auth=Bearer first\1\1");
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE | MSG_HOP_DONE);
	/* a server that refuses it says why first, and is answered nothing */
	challenge(3, "{\"status\":\"401\",\"schemes\":\"bearer\"}");
	expect(4, 3, 0);
	cr_assert_eq(len, 0);
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE);
	cr_assert_eq(pwrite(token_fd, "other\n", 6, 0), 6);
	begin(4, 2, 0, both, true);
	expect(5, 4, 0);
	cr_assert_str_eq(text, "n,a=carol,\1auth=Bearer other\1\1");
	challenge(4, "{\"status\":\"invalid_token\"}");
	expect(6, 4, 0);
	cr_assert_str_eq(text, "\1");
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE);
	/* it is being written, and then not written into any more */
	cr_assert_eq(ftruncate(token_fd, 3), 0);
	begin(5, 2, 0, both, true);
	expect(7, 5, EBADMSG);
	unlink(token_path);
	begin(6, 2, 0, both, true);
	expect(8, 6, ESTALE);
}

static void
server_first(uint64_t id, unsigned int iterations)
{
	char first[MSG_HOP_OCTETS];

	snprintf(first, sizeof(first), "r=%smore,s=c2FsdHNhbHQ=,i=%u",
	    strstr(text, "r=") + 2, iterations);
	challenge(id, first);
}

/* Return the number of passes until there are ${n} answers. */
static unsigned int
wait_for(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < 20000 && nanswers < n; i++)
		pass(1);
	cr_assert_eq(nanswers, n);
	return i;
}

Test(keyd_login, scram_tells_a_proof_and_no_password)
{
	begin(1, 0, 0, bit("SCRAM-SHA-256") | bit("PLAIN"), true);
	expect(1, 1, 0);
	cr_assert_eq(1u << last.mechanism, bit("SCRAM-SHA-256"));
	server_first(1, 4096);
	wait_for(2);
	expect(2, 1, 0);
	cr_assert_eq(strncmp(text, "c=biws,r=", 9), 0, "%s", text);
	cr_assert_not_null(strstr(text, ",p="));
	cr_assert_null(strstr(text, "pencil"));
	cr_assert_eq(last.flags, MSG_HOP_RESPONSE);
	/* a server that does not know the password */
	challenge(1, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	expect(3, 1, EPROTO);
}

/* RFC 5802 6: bound where the server can be; "y" where it seems that it cannot;
 * else "n". */
Test(keyd_login, scram_is_bound_to_what_relay_tells)
{
	uint32_t all = bit("SCRAM-SHA-256-PLUS") | bit("SCRAM-SHA-256");

	begin_bound(1, 0, 0, all, false, TLS_CLIENT_EXPORTER, "12345678");
	expect(1, 1, 0);
	cr_assert_eq(1u << last.mechanism, bit("SCRAM-SHA-256-PLUS"));
	cr_assert_eq(strncmp(text, "p=tls-exporter,,n=alice,r=", 26), 0, "%s",
	    text);
	server_first(1, 4096);
	wait_for(2);
	cr_assert_eq(strncmp(text, "c=cD10bHMtZXhwb3J0ZXIsLDEyMzQ1Njc4,r=",
	    37), 0, "%s", text);
	begin_bound(2, 0, 0, all, false, TLS_CLIENT_END_POINT, "1234");
	expect(3, 2, 0);
	cr_assert_eq(strncmp(text, "p=tls-server-end-point,,n=", 26), 0, "%s",
	    text);
	begin_bound(3, 0, 0, bit("SCRAM-SHA-256"), false, TLS_CLIENT_EXPORTER,
	    "12345678");
	expect(4, 3, 0);
	cr_assert_eq(strncmp(text, "y,,n=", 5), 0, "%s", text);
	/* nothing to bind to, and a kind that there is not */
	begin_bound(4, 0, 0, all, false, TLS_CLIENT_EXPORTER, "");
	expect(5, 4, 0);
	cr_assert_eq(1u << last.mechanism, bit("SCRAM-SHA-256"));
	cr_assert_eq(strncmp(text, "n,,n=", 5), 0, "%s", text);
	begin_bound(5, 0, 0, all, false, 77, "12345678");
	expect(6, 5, 0);
	cr_assert_eq(strncmp(text, "n,,n=", 5), 0, "%s", text);
}

Test(keyd_login, iterations_have_bounds)
{
	static const unsigned int bad[] = { 1, 4095, 1000001 };
	size_t i;

	for (i = 0; i < 3; i++) {
		begin(i + 1, 0, 0, bit("SCRAM-SHA-256"), false);
		server_first(i + 1, bad[i]);
		expect(2 * (unsigned int)i + 2, i + 1, EPROTO);
	}
}

Test(keyd_login, a_long_proof_does_not_hold_up_others)
{
	begin(1, 0, 0, bit("SCRAM-SHA-256"), false);
	server_first(1, 1000000);
	expect(1, 1, 0);
	begin(2, 0, 1, bit("PLAIN"), true);
	expect(2, 2, 0);
	/* what comes while the proof is made is out of turn */
	challenge(1, "r=x,s=c2FsdA==,i=4096");
	expect(3, 1, EPROTO);
	/* and the end of the exchange ends the work */
	cr_assert(!TAILQ_EMPTY(&kd.working));
	cr_assert_eq(chanev_send(relay, K_LOGIN_END,
	    &(struct msg_hop_auth){ .id = 1 }, NULL, 0, -1), 0);
	pass(3);
	cr_assert(TAILQ_EMPTY(&kd.working));
}

/* Relay may be anybody's: what it must not have it does not get. */
Test(keyd_login, what_is_not_there_is_refused)
{
	static const struct {
		uint32_t	domain, route;
	} bad[] = {
		{ 0, 2 }, { 1, 0 }, { 3, 0 }, { UINT32_MAX, 0 },
		{ 0, UINT32_MAX }
	};
	unsigned int i;

	for (i = 0; i < 5; i++) {
		begin(i + 1, bad[i].domain, bad[i].route, UINT32_MAX, true);
		expect(i + 1, i + 1, ENOENT);
	}
	begin(9, 0, 0, 0, true);
	expect(6, 9, ENOTSUP);
	challenge(10, "of nobody");
	expect(7, 10, EPROTO);
	/* a number that is in use */
	begin(11, 0, 0, bit("LOGIN"), true);
	begin(11, 0, 0, bit("LOGIN"), true);
	expect(9, 11, EAGAIN);
}

Test(keyd_login, so_many_in_a_second_and_no_more)
{
	unsigned int i;

	for (i = 1; i <= 300; i++)
		begin(i, 0, 0, bit("PLAIN"), true);
	pass(10);
	cr_assert_geq(nanswers, 100);
	cr_assert_lt(nanswers, 200);
}

Test(keyd_login, the_end_of_relay_ends_its_exchanges)
{
	begin(1, 0, 0, bit("SCRAM-SHA-256"), false);
	server_first(1, 1000000);
	cr_assert(!TAILQ_EMPTY(&kd.working));
	chanev_free(relay);
	relay = NULL;
	pass(3);
	cr_assert(is_done);
	cr_assert(TAILQ_EMPTY(&kd.relays));
	cr_assert(TAILQ_EMPTY(&kd.working));
}
