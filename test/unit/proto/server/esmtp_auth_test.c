/* AUTH: what dialogues cannot see. */

#include <criterion/criterion.h>
#include <string.h>

#include "proto/server/esmtp_auth.h"
#include "test/unit/proto/server/fake.h"

#define EHLO_WITH(tls, list) \
	"250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n" \
	"250-LIMITS RCPTMAX=1000\r\n" tls \
	"250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n" \
	"250-BINARYMIME\r\n" \
	"250-ENHANCEDSTATUSCODES\r\n250 AUTH " list "\r\n"
#define EHLO_AUTH(list)		EHLO_WITH("", list)
#define EHLO_AUTH_TLS(list)	EHLO_WITH("250-REQUIRETLS\r\n", list)
#define GOOD	"AGFsaWNlAHNlY3JldA=="		/* alice, secret */
#define OK	"235 2.7.0 Authentication succeeded\r\n"
#define LATER	"454 4.7.0 Temporary authentication failure\r\n"

static struct fake *
start(const char *without_tls)
{
	struct fake *f = fake_new();

	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", without_tls, NULL);
	fake_connect(f);
	return f;
}

Test(esmtp_auth, what_is_offered_depends_on_tls)
{
	struct esmtp_tls tls = { .protocol = "TLSv1.3" };
	struct fake *f = start("false");

	fake_option(f, "Auth_Mechanisms", "EXTERNAL", "plain",
	    "SCRAM-SHA-256-PLUS", NULL);
	fake_say(f, "EHLO x\r\n");
	cr_expect_null(strstr(f->reply, "AUTH"));
	f->s->ac->tls = &tls;
	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"),
	    EHLO_AUTH_TLS("PLAIN SCRAM-SHA-256-PLUS"));
	cr_expect_str_eq(fake_say(f, "AUTH EXTERNAL =\r\n"), "504 5.5.4 "
	    "Authentication mechanism not available\r\n");
	tls.is_verified = 1;
	tls.peer_name = (char[]){ "alice" };
	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"),
	    EHLO_AUTH_TLS("EXTERNAL PLAIN SCRAM-SHA-256-PLUS"));
	cr_expect_str_eq(fake_say(f, "AUTH EXTERNAL =\r\n"), OK);
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "alice");
	f->s->ac->tls = NULL;
	fake_end(f);
}

static const struct esmtp_auth_can *
only_passwords(void *, accept_construct *)
{
	static const struct esmtp_auth_can can = {
		ESMTP_CAN_PASSWORD | ESMTP_CAN_KEYS, ESMTP_CAN_PASSWORD };

	return &can;
}

Test(esmtp_auth, the_host_says_what_an_empty_list_means)
{
	struct fake *f = start("true");
	struct esmtp_host_ops ops = *f->h.host.ops;

	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"),
	    EHLO_AUTH("SCRAM-SHA-256 PLAIN LOGIN"));
	ops.auth_can = only_passwords;
	f->h.host.ops = &ops;
	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"),
	    EHLO_AUTH("PLAIN LOGIN"));
	cr_expect_str_eq(fake_say(f, "AUTH SCRAM-SHA-256\r\n"),
	    "504 5.5.4 Authentication mechanism not available\r\n");
	fake_end(f);
}

Test(esmtp_auth, a_host_may_do_what_we_have_never_heard_of)
{
	struct fake *f = start("true");
	struct esmtp_host_ops ops = *f->h.host.ops;

	ops.auth_can = only_passwords;
	f->h.host.ops = &ops;
	fake_option(f, "Auth_Mechanisms", "PLAIN", "x-two-step", "CRAM-MD5",
	    NULL);
	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"),
	    EHLO_AUTH("PLAIN X-TWO-STEP"));
	cr_expect_str_eq(fake_say(f, "AUTH x-Two-Step\r\n"),
	    "334 Zmlyc3Q=\r\n");
	fake_end(f);
}

/* The line of the EHLO reply has room for 23 names of the greatest length. */
Test(esmtp_auth, names_that_do_not_fit_are_left_out)
{
	struct fake *f = start("true");
	const char *end;

	fake_option(f, "Auth_Mechanisms", "MECHANISM-123456789012345",
	    "MECHANISM-A234567890", "MECHANISM-B234567890", "MECHANISM-C234567890",
	    "MECHANISM-D234567890", "MECHANISM-E234567890", "MECHANISM-F234567890",
	    "MECHANISM-G234567890", "MECHANISM-H234567890", "MECHANISM-I234567890",
	    "MECHANISM-J234567890", "MECHANISM-K234567890", "MECHANISM-L234567890",
	    "MECHANISM-M234567890", "MECHANISM-N234567890", "MECHANISM-O234567890",
	    "MECHANISM-P234567890", "MECHANISM-Q234567890", "MECHANISM-R234567890",
	    "MECHANISM-S234567890", "MECHANISM-T234567890", "MECHANISM-U234567890",
	    "MECHANISM-V234567890", "MECHANISM-W234567890", "MECHANISM-X234567890",
	    "PLAIN", NULL);
	fake_say(f, "EHLO x\r\n");
	end = strstr(f->reply, "AUTH ");
	cr_assert_not_null(end);
	cr_expect_str_eq(end, "AUTH "
	    "MECHANISM-A234567890 MECHANISM-B234567890 MECHANISM-C234567890 "
	    "MECHANISM-D234567890 MECHANISM-E234567890 MECHANISM-F234567890 "
	    "MECHANISM-G234567890 MECHANISM-H234567890 MECHANISM-I234567890 "
	    "MECHANISM-J234567890 MECHANISM-K234567890 MECHANISM-L234567890 "
	    "MECHANISM-M234567890 MECHANISM-N234567890 MECHANISM-O234567890 "
	    "MECHANISM-P234567890 MECHANISM-Q234567890 MECHANISM-R234567890 "
	    "MECHANISM-S234567890 MECHANISM-T234567890 MECHANISM-U234567890 "
	    "MECHANISM-V234567890 MECHANISM-W234567890 "
	    "PLAIN\r\n");
	fake_end(f);
}

/* Is a password in the loop's buffers, or kept by the session? */
static bool
holds_secret(const struct fake *f)
{
	const message_construct *mc = fake_is_ended(f) ? NULL : fake_mc(f);

	return simauth_is_secret(f->h.scratch, sizeof(f->h.scratch)) ||
	    simauth_is_secret(f->h.output, sizeof(f->h.output)) ||
	    (mc != NULL && mc->in != NULL && simauth_is_secret(mc->in->octets, mc->in->len));
}

Test(esmtp_auth, passwords_do_not_stay_in_memory)
{
	static const char *const said[] = {
		"AUTH PLAIN " GOOD "\r\n", "AUTH XYZZY " GOOD "\r\n",
		"AUTH PLAIN " GOOD "=\r\n", GOOD "\r\n",
		"NOOP\r\nAUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
		"AUTH PLAIN " GOOD "\n", "AUTH\tPLAIN " GOOD "\r\n",
	};
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		f = start("true");
		fake_say(f, "EHLO x\r\nAUTH\r\n");
		f->h.auth.mode = SIMAUTH_HOLD;
		fake_say(f, said[i]);
		cr_expect_not(holds_secret(f), "%s", said[i]);
		simauth_release(&f->h);
		fake_say(f, "NOOP\r\n");
		cr_expect_not(holds_secret(f), "%s", said[i]);
		fake_end(f);
	}
}

Test(esmtp_auth, half_a_password_is_gone_when_the_line_is_whole)
{
	struct fake *f = start("true");

	fake_say(f, "EHLO x\r\n");
	fake_say(f, "AUTH PLAIN " GOOD);
	cr_expect_not(simauth_is_secret(f->h.scratch, sizeof(f->h.scratch)));
	cr_expect(holds_secret(f));	/* it has to be kept */
	cr_expect_str_eq(fake_say(f, "\r\n"), OK);
	cr_expect_not(holds_secret(f));
	cr_expect_null(fake_mc(f)->in);
	fake_end(f);
}

Test(esmtp_auth, an_answer_that_nobody_waits_for_is_ignored)
{
	struct fake *f = start("true");
	accept_construct *ac = f->s->ac;

	fake_say(f, "EHLO x\r\n");
	esmtp_auth_done(ac, ESMTP_AUTH_OK, "mallory", 7);
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	cr_expect_null(esmtp_session_login(ac));
	cr_expect_str_eq(fake_say(f, "AUTH PLAIN\r\n"), "334 \r\n");
	esmtp_auth_done(ac, ESMTP_AUTH_OK, "mallory", 7);
	cr_expect_str_eq(fake_say(f, "*\r\n"),
	    "501 5.7.0 Authentication cancelled\r\n");
	cr_expect_null(esmtp_session_login(ac));
	fake_end(f);
}

/* What a host may say that is no answer. */
static const struct {
	enum esmtp_auth_status	 status;
	const char		*octets;
	size_t			 len;
} odd[] = {
	{ ESMTP_AUTH_OK, NULL, 0 },
	{ ESMTP_AUTH_OK, "", 0 },
	{ ESMTP_AUTH_OK, "al\0ice", 6 },
	{ ESMTP_AUTH_OK, "al\r\nice", 7 },
	{ ESMTP_AUTH_OK, "0123456789012345678901234567890123456789012345678901"
	    "23456789012345678901234567890123456789012345678901234567890123456"
	    "78901234567890123456789012345678901234567890123456789012345678901"
	    "23456789012345678901234567890123456789012345678901234567890123456"
	    "789012345678", 256 },
	{ (enum esmtp_auth_status)99, "x", 1 },
};

Test(esmtp_auth, a_host_that_answers_nonsense_cannot_tell)
{
	struct fake *f = start("true");
	accept_construct *ac = f->s->ac;
	size_t i;

	fake_say(f, "EHLO x\r\n");
	f->h.auth.mode = SIMAUTH_MUTE;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		cr_expect_str_eq(fake_say(f, "AUTH PLAIN " GOOD "\r\n"), "");
		esmtp_auth_done(ac, odd[i].status, odd[i].octets, odd[i].len);
		f->s->auth.stage = SIMAUTH_NONE;
		schedule_event_and_dispatch(ac->event, E_ASYNC);
		cr_expect_str_eq(fake_say(f, ""), LATER, "%zu: %s", i,
		    f->reply);
		cr_expect_null(esmtp_session_login(ac));
	}
	fake_end(f);
}

Test(esmtp_auth, a_challenge_too_long_is_cancelled)
{
	static char octets[LIM_AUTH_OCTETS + 1];
	struct fake *f = start("true");
	accept_construct *ac = f->s->ac;

	fake_say(f, "EHLO x\r\n");
	f->h.auth.mode = SIMAUTH_MUTE;
	fake_say(f, "AUTH PLAIN " GOOD "\r\n");
	esmtp_auth_done(ac, ESMTP_AUTH_CHALLENGE, octets, sizeof(octets));
	schedule_event_and_dispatch(ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(f, ""), LATER);
	cr_expect_eq(f->s->auth.ncancels, 1);
	fake_say(f, "AUTH PLAIN " GOOD "\r\n");
	esmtp_auth_done(ac, ESMTP_AUTH_CHALLENGE, octets, LIM_AUTH_OCTETS);
	f->s->auth.stage = SIMAUTH_CLIENT;
	schedule_event_and_dispatch(ac->event, E_ASYNC);
	fake_say(f, "");
	cr_expect_eq(strlen(f->reply), 4 + LIM_AUTH_LINE + 2);
	fake_end(f);
}

Test(esmtp_auth, starttls_and_the_end_forget_the_login)
{
	struct fake *f = start("true");

	fake_say(f, "EHLO x\r\n");
	cr_expect_str_eq(fake_say(f, "AUTH PLAIN " GOOD "\r\n"), OK);
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "alice");
	esmtp_auth_forget(fake_mc(f));
	cr_expect_null(esmtp_session_login(f->s->ac));
	fake_end(f);
}
