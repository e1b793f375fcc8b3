/* What verbs of a program may do with the session: reset it, log a user in. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/embed/own.h"

#define OK	"250 2.0.0 OK\r\n"
#define LOGGED_IN "235 2.7.0 Authentication succeeded\r\n"

static struct fake *f;

/* --- the transaction ------------------------------------------------------ */

Test(embed_verb_login, the_transaction_is_reset)
{
	f = own_begin("XRESET");
	fake_say(f, "MAIL FROM:<a@x.test>\r\n");
	own.is_reset = true;
	cr_expect_str_eq(fake_say(f, "XRESET\r\n"), OK);
	own_expect(f, "RCPT TO:<alice@example.test>\r\n", "503 5.5.1 ");
	own_expect(f, "MAIL FROM:<a@x.test>\r\n", "250 2.1.0 ");
	/* there is nothing to reset */
	fake_say(f, "RSET\r\n");
	cr_expect_str_eq(fake_say(f, "XRESET\r\n"), OK);
	fake_end(f);
}

Test(embed_verb_login, outside_of_a_verb_nothing_can_be_done)
{
	message_construct *mc;

	f = own_begin("XTEST");
	mc = fake_mc(f);
	errno = 0;
	cr_expect_eq(esmtp_verb_reset(mc), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_verb_login(mc, ESMTP_AUTH_OK, "x"), -1);
	cr_expect_eq(esmtp_verb_read_octets(mc, 1, NULL, NULL), -1);
	cr_expect_eq(esmtp_extension_reply(mc, 250, NULL, "x"), -1);
	cr_expect_eq(esmtp_verb_reset(NULL), -1);
	cr_expect_eq(esmtp_verb_login(NULL, ESMTP_AUTH_OK, "x"), -1);
	cr_expect_eq(esmtp_verb_read_octets(NULL, 1, NULL, NULL), -1);
	fake_end(f);
}

/* --- logins --------------------------------------------------------------- */

Test(embed_verb_login, a_user_logs_in_as_with_auth)
{
	f = own_begin("XLOGIN");
	own_believe(f, "alice");
	own.login = "alice";
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\nNOOP\r\n"), LOGGED_IN OK);
	cr_expect_eq(own.login_rc, 0);
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "alice");
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_AUTH], 1);
	/* RFC 4954 4: once */
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\n"), OK);
	cr_expect_eq(own.login_rc, -1);
	cr_expect_eq(own.login_errno, EALREADY);
	own_expect(f, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "503 5.5.1 ");
	fake_end(f);
}

Test(embed_verb_login, failures_are_told_and_reported_as_with_auth)
{
	static const struct {
		enum esmtp_auth_status status;
		const char *reply;
	} c[] = {
		{ ESMTP_AUTH_FAILED, "535 5.7.8 " },
		{ ESMTP_AUTH_LATER, "454 4.7.0 " },
		{ ESMTP_AUTH_BLOCKED, "454 4.7.0 " },
		{ ESMTP_AUTH_MALFORMED, "501 5.5.2 " },
	};
	size_t i;

	f = own_begin("XLOGIN");
	own_believe(f, "eve");
	own.login = "eve";
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		own.login_status = c[i].status;
		own_expect(f, "XLOGIN x\r\n", c[i].reply);
		cr_expect_eq(own.login_rc, 0);
		cr_expect_eq(f->s->nreports[ESMTP_REPORT_AUTH_FAILED], i + 1);
	}
	cr_expect_null(esmtp_session_login(f->s->ac));
	own.login_status = ESMTP_AUTH_OK;
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\n"), LOGGED_IN);
	fake_end(f);
}

Test(embed_verb_login, what_is_no_login_is_refused)
{
	static const char *const bad[] = { "", "a\r\nb", "a\x7f" };
	char longer[LIM_LOGIN + 2];
	size_t i;

	f = own_begin("XLOGIN");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		own.login = bad[i];
		cr_expect_str_eq(fake_say(f, "XLOGIN x\r\n"), OK);
		cr_expect_eq(own.login_rc, -1);
		cr_expect_eq(own.login_errno, EINVAL);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	own.login = longer;
	fake_say(f, "XLOGIN x\r\n");
	cr_expect_eq(own.login_rc, -1);
	/* these are no outcome */
	own.login = "alice";
	own.login_status = ESMTP_AUTH_CHALLENGE;
	fake_say(f, "XLOGIN x\r\n");
	cr_expect_eq(own.login_rc, -1);
	own.login_status = ESMTP_AUTH_MALFORMED + 1;
	fake_say(f, "XLOGIN x\r\n");
	cr_expect_eq(own.login_rc, -1);
	cr_expect_null(esmtp_session_login(f->s->ac));
	fake_end(f);
}

Test(embed_verb_login, one_that_has_failed_or_answered_logs_nobody_in)
{
	f = own_begin("XLOGIN");
	own.login = "alice";
	own.result = ESMTP_VERB_SYNTAX;
	own_expect(f, "XLOGIN x\r\n", "501 5.5.4 ");
	cr_expect_eq(own.login_rc, 0);
	cr_expect_null(esmtp_session_login(f->s->ac));
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_AUTH], 0);
	own.result = ESMTP_VERB_DONE;
	own.reply = "235 2.7.0 Welcome";
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\n"), "235 2.7.0 Welcome\r\n");
	cr_expect_eq(own.login_rc, -1);
	cr_expect_eq(own.login_errno, EINVAL);
	cr_expect_null(esmtp_session_login(f->s->ac));
	fake_end(f);
}

Test(embed_verb_login, nobody_logs_in_during_a_transaction)
{
	f = own_begin("XLOGIN");
	own_believe(f, "alice");
	fake_say(f, "MAIL FROM:<a@x.test>\r\n");
	own.login = "alice";
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\n"), OK);
	cr_expect_eq(own.login_rc, -1);
	cr_expect_eq(own.login_errno, EBUSY);
	/* a verb may end it */
	own.is_reset = true;
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\n"), LOGGED_IN);
	fake_end(f);
}

Test(embed_verb_login, mail_logs_nobody_in)
{
	f = own_begin("MAIL");
	own.login = "alice";
	own.result = ESMTP_VERB_BUILTIN;
	own_expect(f, "MAIL FROM:<a@x.test>\r\n", "250 2.1.0 ");
	cr_expect_eq(own.login_rc, -1);
	cr_expect_eq(own.login_errno, EINVAL);
	cr_expect_null(esmtp_session_login(f->s->ac));
	fake_end(f);
}

static bool is_ready;

static int
refuse_login(const char *str, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	cr_expect_str_eq(str, "alice");
	if (!is_ready)
		return VALIDATE_AGAIN;
	validate_context_set_code(vctx, 535, "5.7.8 Not on Sundays");
	return VALIDATE_DONE;
}

Test(embed_verb_login, policy_is_asked_about_a_login)
{
	static const struct validate_module m = { .size = sizeof(m),
		.name = "sundays", .phase[VALIDATE_PHASE_AUTH] = refuse_login };

	cr_assert_eq(validate_module_register(&m), 0);
	f = own_begin("XLOGIN");
	own.login = "alice";
	cr_expect_str_eq(fake_say(f, "XLOGIN x\r\nNOOP\r\n"), "");
	is_ready = true;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(f, ""), "535 5.7.8 Not on Sundays\r\n" OK);
	cr_expect_null(esmtp_session_login(f->s->ac));
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_AUTH_FAILED], 1);
	fake_end(f);
}

Test(embed_verb_login, auth_is_done_by_the_program_where_it_could_begin)
{
	f = own_begin("AUTH");
	own_believe(f, "alice");
	own.login = "alice";
	/* what the built-in verb refuses, it still does */
	own_expect(f, "AUTH XYZZY\r\n", "504 5.5.4 ");
	own_expect(f, "AUTH PLAIN !\r\n", "501 5.5.2 ");
	own_expect(f, "AUTH LOGIN\r\nNOOP\r\n", "503 5.5.1 ");
	fake_option(f, "Auth_Without_TLS", "false", NULL);
	own_expect(f, "AUTH PLAIN\r\n", "538 5.7.11 ");
	cr_expect_eq(own.ncalls, 0);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	cr_expect_str_eq(fake_say(f, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"),
	    LOGGED_IN);
	cr_expect_str_eq(own.arg, "PLAIN AGFsaWNlAHNlY3JldA==");
	cr_expect_str_eq(esmtp_session_login(f->s->ac), "alice");
	own_expect(f, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "503 5.5.1 ");
	cr_expect_eq(own.ncalls, 1);
	fake_end(f);
}
