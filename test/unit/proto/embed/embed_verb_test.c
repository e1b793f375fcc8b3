/* Functions of a program in the place of built-in verbs. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "test/lib/simtls.h"
#include "test/unit/proto/embed/own.h"

#define OK	"250 2.0.0 OK\r\n"

static struct fake *f;

/* --- in place of a built-in verb ------------------------------------------ */

Test(embed_verb, a_function_is_called_in_place_of_vrfy)
{
	f = own_begin("vrfy");
	cr_expect_str_eq(fake_say(f, "vrfy  an argument \r\n"), OK);
	cr_expect_str_eq(own.arg, "an argument");
	own.reply = "550 5.1.1 Nobody";
	cr_expect_str_eq(fake_say(f, "VRFY x\r\n"), "550 5.1.1 Nobody\r\n");
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 1);
	own.reply = NULL;
	own.result = ESMTP_VERB_SYNTAX;
	own_expect(f, "VRFY x\r\n", "501 5.5.4 ");
	cr_expect_eq(own.ncalls, 3);
	/* what the verb needs is checked before */
	own_expect(f, "VRFY\r\n", "501 5.5.4 ");
	own_expect(f, "VRFY \x01\r\n", "501 5.5.2 ");
	cr_expect_eq(own.ncalls, 3);
	own.result = ESMTP_VERB_BUILTIN;
	own_expect(f, "VRFY x\r\n", "252 2.5.2 ");
	/* it has answered: nobody else does */
	own.reply = "251 2.1.5 Moved";
	cr_expect_str_eq(fake_say(f, "VRFY x\r\n"), "251 2.1.5 Moved\r\n");
	/* nothing is known of these */
	own.reply = NULL;
	own.result = ESMTP_VERB_LATER + 100;
	cr_expect_str_eq(fake_say(f, "VRFY x\r\n"), OK);
	own.result = ESMTP_VERB_MORE;
	own_expect(f, "VRFY x\r\n", "451 4.3.0 ");
	fake_end(f);
}

Test(embed_verb, tls_and_login_come_first_as_for_the_built_in_verb)
{
	f = own_begin("VRFY");
	fake_option(f, "Require_TLS", "true", NULL);
	own_expect(f, "VRFY x\r\n", "530 5.7.0 ");
	fake_option(f, "Require_TLS", "false", NULL);
	fake_option(f, "Require_Auth", "true", NULL);
	own_expect(f, "VRFY x\r\n", "530 5.7.0 ");
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}

/* Each of these can be refused, but not answered with success. */
static const struct {
	const char *name, *before, *command, *ok;
} firsts[] = {
	{ "EHLO", "", "EHLO y\r\n", "250-" },
	{ "HELO", "", "HELO y\r\n", "250 " },
	{ "MAIL", "", "MAIL FROM:<a@x.test>\r\n", "250 2.1.0 " },
	{ "RCPT", "MAIL FROM:<a@x.test>\r\n",
	    "RCPT TO:<alice@example.test>\r\n", "250 2.1.5 " },
	{ "DATA", "MAIL FROM:<a@x.test>\r\n"
	    "RCPT TO:<alice@example.test>\r\n", "DATA\r\n", "354 " },
	{ "AUTH", "", "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n", "235 " },
};
static const char *const successes[] = { "250 2.0.0 Done", "235 2.7.0 In",
	"354 2.0.0 Go on" };

static void
try_first(size_t i)
{
	size_t k;

	f = own_begin(firsts[i].name);
	own.result = ESMTP_VERB_BUILTIN;
	fake_say(f, firsts[i].before);
	own.result = ESMTP_VERB_DONE;
	own.ncalls = 0;
	for (k = 0; k < sizeof(successes) / sizeof(successes[0]); k++) {
		/* AUTH may ask something */
		if (strcmp(firsts[i].name, "AUTH") == 0 && k == 2)
			break;
		own.reply = successes[k];
		errno = 0;
		own_expect(f, firsts[i].command, "451 4.3.0 ");
		cr_expect_eq(own.reply_rc, -1);
		cr_expect_eq(errno, EINVAL);
		cr_expect_eq(own.ncalls, k + 1);
	}
	own.reply = "550 5.7.1 Not you";
	cr_expect_str_eq(fake_say(f, firsts[i].command),
	    "550 5.7.1 Not you\r\n");
	cr_expect_eq(own.reply_rc, 0);
	own.reply = NULL;
	own.result = ESMTP_VERB_BUILTIN;
	own_expect(f, firsts[i].command, firsts[i].ok);
	fake_end(f);
}

Test(embed_verb, ehlo_is_refused_or_left_to_the_built_in_verb)
{
	try_first(0);
}

Test(embed_verb, helo_is_refused_or_left_to_the_built_in_verb)
{
	try_first(1);
}

Test(embed_verb, mail_is_refused_or_left_to_the_built_in_verb)
{
	try_first(2);
}

Test(embed_verb, rcpt_is_refused_or_left_to_the_built_in_verb)
{
	try_first(3);
}

Test(embed_verb, data_is_refused_or_left_to_the_built_in_verb)
{
	try_first(4);
}

Test(embed_verb, auth_is_refused_or_left_to_the_built_in_verb)
{
	try_first(5);
}

/* As when the built-in verb refuses it. */
Test(embed_verb, what_follows_a_data_that_is_refused_is_not_run)
{
	f = own_begin("DATA");
	fake_say(f, "MAIL FROM:<a@x.test>\r\nRCPT TO:<alice@example.test>\r\n");
	own.reply = "451 4.7.1 Not now";
	own_expect(f, "DATA\r\n", "451 4.7.1 Not now");
	own_expect(f, "Subject: x\r\n\r\nMAIL FROM:<evil@x.test>\r\n",
	    "421 4.5.1 ");
	cr_expect(fake_is_ended(f));
	fake_end(f);
}

Test(embed_verb, nor_of_one_that_is_refused_later)
{
	f = own_begin("DATA");
	fake_say(f, "MAIL FROM:<a@x.test>\r\nRCPT TO:<alice@example.test>\r\n");
	own.result = ESMTP_VERB_LATER;
	cr_expect_str_eq(fake_say(f, "DATA\r\n"), "");
	fake_say(f, "Subject: x\r\nRSET\r\n");
	cr_expect_eq(own_answer_reply(f, 550, NULL, "No"), 0);
	cr_expect_eq(strncmp(own_told(f), "550 5.7.1 No\r\n421 4.5.1 ", 24), 0,
	    "%s", f->reply);
	cr_expect(fake_is_ended(f));
	fake_end(f);
}

Test(embed_verb, a_group_ends_with_data_whatever_the_program_says)
{
	f = own_begin("DATA");
	own.result = ESMTP_VERB_BUILTIN;
	own_expect(f, "MAIL FROM:<a@x.test>\r\nRCPT TO:<alice@example.test>\r\n"
	    "DATA\r\nRSET\r\n", "250 2.1.0 ");
	cr_expect_not_null(strstr(f->reply, "\r\n503 5.5.1 "));
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}

Test(embed_verb, starttls_is_refused_or_left_to_the_built_in_verb)
{
	unsigned int i;

	cr_assert_eq(simtls_setup(), 0);
	f = own_begin("STARTTLS");
	simtls_use(&f->h);
	fake_option(f, "TLS_Certificate", "server.pem", NULL);
	own.reply = "454 4.7.0 Not now";
	cr_expect_str_eq(fake_say(f, "STARTTLS\r\n"), "454 4.7.0 Not now\r\n");
	own.reply = "220 2.0.0 Go";
	own_expect(f, "STARTTLS\r\n", "451 4.3.0 ");
	cr_expect_eq(own.reply_rc, -1);
	/* the client takes its replies slowly: the command is run again */
	own.reply = NULL;
	own.result = ESMTP_VERB_BUILTIN;
	own.ncalls = 0;
	f->s->wire->window = 0;
	fake_say(f, "NOOP\r\n");
	simwire_send_now(f->s->wire, "STARTTLS\r\n", 10);
	for (i = 0; i < 8; i++) {
		f->s->wire->window = 1;
		fake_say(f, "");
	}
	f->s->wire->window = 4096;
	fake_say(f, "");
	cr_expect_not_null(strstr(f->reply, "220 2.0.0 "), "%s", f->reply);
	cr_expect_eq(own.ncalls, 1);
	fake_end(f);
}

/* What it would be asked about may be an attacker's. */
Test(embed_verb, what_has_come_behind_starttls_is_not_asked_about)
{
	cr_assert_eq(simtls_setup(), 0);
	f = own_begin("STARTTLS");
	simtls_use(&f->h);
	fake_option(f, "TLS_Certificate", "server.pem", NULL);
	fake_option(f, "Starttls_Injection_Policy", "reject", NULL);
	own.reply = "454 4.7.0 Not now";
	own_expect(f, "STARTTLS\r\nMAIL FROM:<evil@x.test>\r\n", "503 5.5.1 ");
	cr_expect(fake_is_ended(f));
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}

/* A module suspends MAIL: the command is run again, its function not called. */
static bool is_ready;

static int
phase(const char *, const struct mailaddr *, accept_construct *,
    validate_context *, void *)
{
	return is_ready ? VALIDATE_CONT : VALIDATE_AGAIN;
}

Test(embed_verb, the_function_is_called_once_for_each_command)
{
	static const struct validate_module m = { .size = sizeof(m),
		.name = "again", .phase[VALIDATE_PHASE_MAILFROM] = phase };

	cr_assert_eq(validate_module_register(&m), 0);
	f = own_begin("MAIL");
	own.result = ESMTP_VERB_BUILTIN;
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<a@x.test>\r\nNOOP\r\n"), "");
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "");
	is_ready = true;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "250 2.1.0 Sender OK\r\n" OK);
	cr_expect_eq(own.ncalls, 1);
	/* and so if its answer came later */
	is_ready = false;
	fake_say(f, "RSET\r\n");
	own.result = ESMTP_VERB_LATER;
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<a@x.test>\r\nNOOP\r\n"), "");
	cr_expect_eq(own_answer(f, ESMTP_VERB_BUILTIN), 0);
	cr_assert_str_eq(own_told(f), "");
	is_ready = true;
	schedule_event_and_dispatch(f->s->ac->event, E_ASYNC);
	cr_assert_str_eq(fake_say(f, ""), "250 2.1.0 Sender OK\r\n" OK);
	cr_expect_eq(own.ncalls, 2);
	fake_end(f);
}

/* The state is looked at again: there is no transaction any more. */
Test(embed_verb, a_rcpt_whose_function_resets_is_out_of_sequence)
{
	f = own_begin("RCPT");
	fake_say(f, "MAIL FROM:<a@x.test>\r\n");
	own.is_reset = true;
	own.result = ESMTP_VERB_BUILTIN;
	own_expect(f, "RCPT TO:<alice@example.test>\r\n", "503 5.5.1 ");
	cr_expect_eq(own.ncalls, 1);
	own_expect(f, "MAIL FROM:<a@x.test>\r\n", "250 2.1.0 ");
	fake_end(f);
}

Test(embed_verb, what_cannot_be_replaced_is_refused)
{
	static const char *const names[] = { "XYZZY", "RSET", "QUIT", "",
		"NOO", "NOOPX" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect_eq(esmtp_verb_replace(names[i], own_verb, NULL), 0,
		    "%s", names[i]);
	cr_expect_eq(esmtp_verb_replace(NULL, own_verb, NULL), 0);
	cr_expect_eq(esmtp_verb_replace("NOOP", NULL, NULL), 0);
	cr_expect_eq(esmtp_verb_replace("NOOP", own_verb, &own), 1);
	cr_expect_eq(esmtp_verb_replace("noop", own_verb, NULL), 0);
	f = fake_start();
	cr_expect_eq(esmtp_verb_replace("HELP", own_verb, NULL), 0);
	fake_end(f);
}

Test(embed_verb, help_lists_expn_when_there_is_one)
{
	f = own_begin("EXPN");
	fake_say(f, "HELP\r\n");
	cr_expect_not_null(strstr(f->reply, " EXPN "), "%s", f->reply);
	fake_end(f);
}

/* QUIT is all that is left in such a session. */
static int
deny(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	return validate_refuse(vctx, RPL_POLICY);
}

Test(embed_verb, a_session_that_was_refused_calls_no_function)
{
	static const struct validate_module m = { .size = sizeof(m),
		.name = "deny", .phase[VALIDATE_PHASE_CONNECT] = deny };

	cr_assert_eq(validate_module_register(&m), 0);
	f = own_begin("NOOP");
	own_expect(f, "NOOP\r\n", "503 5.5.1 ");
	own_expect(f, "QUIT\r\n", "221 2.0.0 ");
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}
