/* Answers of the host that come inside the call that asks for them, and answers
 * that nobody waits for: the first one counts, and it counts at once. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/util/base64.h"
#include "proto/server/esmtp_auth.h"
#include "test/unit/proto/server/fake.h"

#define QUEUED	"250 2.0.0 OK: queued as "
#define FAILED	"451 4.3.0 Local error, try again later\r\n"
#define OK	"250 2.0.0 OK\r\n"
#define LOGIN	"235 2.7.0 Authentication succeeded\r\n"
#define LATER	"454 4.7.0 Temporary authentication failure\r\n"

static struct fake *fake;

/* --- commit() ------------------------------------------------------------- */

static int first, second;	/* what commit() says; -1: nothing */
static bool is_refused;		/* it returns -1 after that */

static int
commit(struct spool_msg *m, const struct spool_envelope *env)
{
	if (first != -1)
		cr_expect_eq(esmtp_answer(&fake->h.host, env->ticket, first),
		    0);
	if (second != -1)
		cr_expect_eq(esmtp_answer(&fake->h.host, env->ticket, second),
		    -1);
	if (is_refused) {
		errno = ENOMEM;
		return -1;
	}
	/* which decides on its own, later: it finds nobody */
	return simspool_ops.commit(m, env);
}

static const char *
message(int says_first, int says_second, bool refuses)
{
	static struct spool_ops ops;

	fake = fake_new();
	ops = simspool_ops;
	ops.commit = commit;
	first = says_first;
	second = says_second;
	is_refused = refuses;
	fake->h.host.spool = &ops;
	fake_connect(fake);
	fake_to_data(fake);
	return fake_say(fake, "x\r\n.\r\nNOOP\r\n");
}

Test(esmtp_inside, a_commit_that_is_done_inside_commit_is_answered_at_once)
{
	message(0, -1, false);
	cr_assert_eq(strncmp(fake->reply, QUEUED, strlen(QUEUED)), 0, "%s",
	    fake->reply);
	cr_assert_not_null(strstr(fake->reply, "\r\n" OK));
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_ACCEPTED], 1);
	/* and the session has nothing left of it */
	cr_assert_str_eq(fake_say(fake, "NOOP\r\n"), OK);
	fake_to_data(fake);
	fake_say(fake, ".\r\n");
	cr_assert_eq(strncmp(fake->reply, QUEUED, strlen(QUEUED)), 0);
	fake_end(fake);
}

Test(esmtp_inside, a_commit_that_fails_inside_commit_is_answered_at_once)
{
	cr_assert_str_eq(message(EIO, -1, false), FAILED OK);
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_ACCEPTED], 0);
	fake_end(fake);
}

Test(esmtp_inside, the_first_completion_of_a_commit_counts)
{
	message(0, EIO, false);
	cr_assert_eq(strncmp(fake->reply, QUEUED, strlen(QUEUED)), 0, "%s",
	    fake->reply);
	fake_end(fake);
	cr_assert_str_eq(message(EIO, 0, false), FAILED OK);
	fake_end(fake);
}

Test(esmtp_inside, the_first_completion_counts_outside_of_commit_too)
{
	esmtp_ticket ticket;

	fake = fake_start();
	fake->h.spool.is_held = true;
	fake_to_data(fake);
	cr_assert_str_eq(fake_say(fake, "x\r\n.\r\n"), "");
	ticket = fake->h.spool.msgs->ticket;
	cr_assert_eq(esmtp_answer(&fake->h.host, ticket, EIO), 0);
	errno = 0;
	cr_assert_eq(esmtp_answer(&fake->h.host, ticket, 0), -1);
	cr_assert_eq(errno, ENOENT);
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(fake, ""), FAILED);
	/* nor does it count for the next message, before or in its commit */
	cr_assert_eq(esmtp_answer(&fake->h.host, ticket, 0), -1);
	fake_to_data(fake);
	cr_assert_str_eq(fake_say(fake, "x\r\n.\r\n"), "");
	cr_assert_eq(esmtp_answer(&fake->h.host, ticket, 0), -1);
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(fake, ""), "");
	simspool_release(&fake->h.spool);
	fake_end(fake);
}

Test(esmtp_inside, a_commit_that_returns_minus_1_has_taken_nothing)
{
	cr_assert_str_eq(message(0, -1, true),
	    "451 4.3.0 Out of memory, try again later\r\n" OK);
	cr_assert_eq(fake->h.spool.nopen, 0);
	cr_assert_eq(fake->s->nreports[ESMTP_REPORT_ACCEPTED], 0);
	fake_end(fake);
}

static int can_modify;

static int
at_rcptto(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	can_modify = validate_context_can_modify_rcpts(vctx);
	return VALIDATE_CONT;
}

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "test", .phase[VALIDATE_PHASE_RCPTTO] = at_rcptto,
};

/* What the client has sent behind the message is no longer part of it. */
Test(esmtp_inside, the_commit_is_over_when_commit_has_returned_minus_1)
{
	cr_assert_eq(validate_module_register(&module), 0);
	message(-1, -1, true);
	fake_to_data(fake);
	can_modify = -1;
	fake_say(fake, "x\r\n.\r\nMAIL FROM:<a@client.example>\r\n"
	    "RCPT TO:<alice@example.test>\r\n");
	cr_assert_not_null(strstr(fake->reply, "250 2.1.5"), "%s",
	    fake->reply);
	cr_assert_eq(can_modify, 1);
	fake_end(fake);
}

/* --- auth_start(), auth_step() -------------------------------------------- */

static size_t challenge_len;
static bool is_second, has_failed;
static unsigned int ncancels;

static int
verdict(accept_construct *ac)
{
	struct fake *f = fake;

	f->s->auth.is_right = true;
	strcpy(f->s->auth.login, "alice");
	esmtp_auth_done(ac, ESMTP_AUTH_OK, "alice", 5);
	/* the first answer counts */
	esmtp_auth_done(ac, ESMTP_AUTH_FAILED, NULL, 0);
	errno = ECONNREFUSED;
	return has_failed ? -1 : 0;
}

static int
auth_start(void *, accept_construct *ac, const char *, const char *, size_t)
{
	static char challenge[LIM_AUTH_CHALLENGE];

	if (!is_second)
		return verdict(ac);
	memset(challenge, 'x', sizeof(challenge));
	esmtp_auth_done(ac, ESMTP_AUTH_CHALLENGE, challenge, challenge_len);
	return 0;
}

static int
auth_step(void *, accept_construct *ac, const char *, size_t)
{
	return verdict(ac);
}

static void
auth_cancel(void *, accept_construct *)
{
	ncancels++;
}

static void
start_auth(size_t octets, bool fails)
{
	fake = fake_new();
	fake->h.ops.auth_start = auth_start;
	fake->h.ops.auth_step = auth_step;
	fake->h.ops.auth_cancel = auth_cancel;
	challenge_len = octets;
	is_second = octets > 0;
	has_failed = fails;
	ncancels = 0;
	fake_option(fake, "Auth_Backend", "passwd:users", NULL);
	fake_option(fake, "Auth_Without_TLS", "true", NULL);
	fake_option(fake, "Auth_Mechanisms", "PLAIN", "X-ANY", NULL);
	fake_connect(fake);
	fake_say(fake, "EHLO x\r\n");
}

Test(esmtp_inside, a_login_inside_auth_start_is_answered_at_once)
{
	start_auth(0, false);
	cr_assert_str_eq(fake_say(fake, "NOOP\r\nAUTH PLAIN AAAA\r\nNOOP\r\n"),
	    OK LOGIN OK);
	cr_assert_str_eq(esmtp_session_login(fake->s->ac), "alice");
	cr_assert_eq(ncancels, 0);
	fake_end(fake);
}

Test(esmtp_inside, challenge_and_login_inside_the_calls)
{
	start_auth(3, false);
	cr_assert_str_eq(fake_say(fake, "AUTH X-ANY\r\n"), "334 eHh4\r\n");
	cr_assert_str_eq(fake_say(fake, "AAAA\r\nNOOP\r\n"), LOGIN OK);
	cr_assert_eq(ncancels, 0);
	fake_end(fake);
}

/* It has room, whatever was answered before it in the same step. */
Test(esmtp_inside, the_longest_challenge_follows_other_replies)
{
	char said[400 * 6 + 32], *p = said;
	const char *at;
	int i;

	start_auth(LIM_AUTH_CHALLENGE, false);
	for (i = 0; i < 400; i++)
		p = stpcpy(p, "NOOP\r\n");
	strcpy(p, "AUTH X-ANY\r\n");
	fake_say(fake, said);
	at = strstr(fake->reply, "334 ");
	cr_assert_not_null(at, "%.80s", fake->reply);
	cr_assert_eq(at - fake->reply, 400 * (long)strlen(OK));
	cr_assert_eq(strlen(at), 4 + base64_octets(LIM_AUTH_CHALLENGE) + 2);
	cr_assert_str_eq(fake_say(fake, "AAAA\r\n"), LOGIN);
	fake_end(fake);
}

/* The client takes the replies in front of it one by one. */
Test(esmtp_inside, an_answer_waits_for_a_client_that_does_not_read)
{
	start_auth(3, false);
	fake->s->wire->window = 5;
	cr_assert_str_eq(fake_say(fake, "NOOP\r\nAUTH X-ANY\r\n"), "250 2");
	cr_assert_str_eq(fake_wait(fake, 1), "");
	fake->s->wire->window = SIZE_MAX;
	cr_assert_str_eq(fake_wait(fake, 1), ".0.0 OK\r\n334 eHh4\r\n");
	cr_assert_str_eq(fake_say(fake, "AAAA\r\n"), LOGIN);
	fake_end(fake);
}

/* Takes no more, once; and then all. */
static int
write_once(Event *e, const char *buf, int len, int *needmask)
{
	int n = simwire_opset.event_write(e, buf, len, needmask);

	if (n == -1)
		fake->s->wire->window = SIZE_MAX;
	return n;
}

/* The replies in front of the answer are taken by the second attempt of the same
 * step: then nothing else calls the session. */
Test(esmtp_inside, an_answer_follows_what_the_client_takes_meanwhile)
{
	event_io_opset opset = simwire_opset;

	start_auth(3, false);
	opset.event_write = write_once;
	fake->s->ac->event->io_opset = &opset;
	fake->s->wire->window = 5;
	cr_assert_str_eq(fake_say(fake, "NOOP\r\nAUTH X-ANY\r\n"),
	    "250 2.0.0 OK\r\n334 eHh4\r\n");
	fake->s->wire->window = 5;
	cr_assert_str_eq(fake_say(fake, "AAAA\r\n"), LOGIN);
	fake_end(fake);
}

Test(esmtp_inside, a_function_that_returns_minus_1_has_not_answered)
{
	start_auth(0, true);
	cr_assert_str_eq(fake_say(fake, "AUTH PLAIN AAAA\r\nNOOP\r\n"),
	    LATER OK);
	cr_assert_null(esmtp_session_login(fake->s->ac));
	cr_assert_eq(ncancels, 0);
	fake_end(fake);
	start_auth(3, true);
	cr_assert_str_eq(fake_say(fake, "AUTH X-ANY\r\n"), "334 eHh4\r\n");
	cr_assert_str_eq(fake_say(fake, "AAAA\r\nNOOP\r\n"), LATER OK);
	cr_assert_null(esmtp_session_login(fake->s->ac));
	cr_assert_eq(ncancels, 1);
	fake_end(fake);
}

/* --- peer_changed() ------------------------------------------------------- */

static int welcome[2];

static int
peer_changed(void *, accept_construct *ac)
{
	esmtp_peer_done(ac, welcome[0]);
	esmtp_peer_done(ac, welcome[1]);
	return 0;
}

Test(esmtp_inside, a_client_is_judged_inside_peer_changed)
{
	int i;

	for (i = 0; i < 2; i++) {
		fake = fake_new();
		fake->h.ops.peer_changed = peer_changed;
		welcome[i] = 1;
		welcome[!i] = 0;
		fake_option(fake, "Proxy_Protocol", "true", NULL);
		fake_connect(fake);
		cr_expect_str_eq(fake_say(fake, "PROXY UNKNOWN\r\n"), i == 0 ?
		    "220 mx.example.test ESMTP mailmill\r\n" :
		    "421 4.7.0 Too many concurrent sessions from your "
		    "address, try again later\r\n");
		cr_expect_eq(fake_is_ended(fake), i == 1);
		fake_end(fake);
	}
}
