/* Input that follows a verb of a program which was refused, and arguments that
 * may be secret. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_embed.h"
#include "test/unit/proto/embed/own.h"

#define OK	"250 2.0.0 OK\r\n"
#define LEFT	"421 4.5.1 Data behind a command that was refused"
#define INPUT	"hello\r\nMAIL FROM:<evil@x.test>\r\n.\r\n"

static struct fake *f;
static char reported[256];	/* the arguments of all reports */
static void (*host_report)(void *, accept_construct *,
    const struct esmtp_report *);

static void
report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	if (r->arg != NULL)
		strncat(reported, r->arg, sizeof(reported) - strlen(reported) -
		    1);
	host_report(host, ac, r);
}

static int
read_dot(message_construct *mc, const char *octets, size_t len, void *)
{
	(void)mc;
	return octets != NULL && (len != 1 || *octets != '.') ?
	    ESMTP_VERB_MORE : ESMTP_VERB_DONE;
}

static void
read_to_a_dot(message_construct *mc)
{
	cr_expect_eq(esmtp_verb_read_lines(mc, 100, 1000, read_dot, NULL), 0);
}

/* A program with the verb ${name}, which input follows.  fake_connect() is
 * next. */
static void
new(const char *name)
{
	f = fake_new();
	host_report = f->h.ops.report;
	f->h.ops.report = report;
	cr_assert_eq(name[0] == 'X' ? esmtp_extensions_register(name, NULL,
	    own_verb, &own) : esmtp_verb_replace(name, own_verb, &own), 1);
	cr_assert_eq(esmtp_verb_has_input(name), 1);
	own = (struct own){ .result = ESMTP_VERB_SYNTAX };
}

/* ${command} is refused, and nothing behind it is run, whether it comes with
 * it or later. */
static void
expect_unread(const char *command, const char *begins)
{
	char both[4096];
	size_t n = strlen(begins);
	int is_later;

	snprintf(both, sizeof(both), "%s" INPUT, command);
	for (is_later = 0; is_later < 3; is_later++) {
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
		if (is_later == 1)
			cr_expect_eq(strncmp(fake_say(f, command), begins, n),
			    0, "%s: %s", command, f->reply);
		if (is_later == 0)
			fake_say(f, both);
		else if (is_later == 1)
			fake_say(f, INPUT);
		else
			fake_say_bytewise(f, both);
		cr_expect_not_null(strstr(f->reply, LEFT), "%s: %s", command,
		    f->reply);
		cr_expect_null(strstr(f->reply, "250 "), "%s: %s", command,
		    f->reply);
		cr_expect(fake_is_ended(f), "%s", command);
	}
}

Test(embed_verb_input, is_not_run_where_the_function_refuses)
{
	new("XTEST");
	expect_unread("XTEST 5\r\n", "501 5.5.4 ");
	own.reply = "550 5.7.1 No";
	own.result = ESMTP_VERB_DONE;
	expect_unread("XTEST 5\r\n", "550 5.7.1 No\r\n");
	own.reply = NULL;
	own.result = ESMTP_VERB_BUILTIN;
	expect_unread("xtest\r\n", "502 5.5.1 ");
	fake_end(f);
}

Test(embed_verb_input, is_not_run_where_the_command_is_refused)
{
	static char longer[LIM_COMMAND_LINE + 2];

	new("XTEST");
	expect_unread("XTEST \t5\r\n", "501 5.5.2 ");
	expect_unread("XTEST\t5\r\n", "501 5.5.2 ");
	expect_unread(" XTEST 5\r\n", "500 5.5.2 ");
	expect_unread("XTEST5\r\n", "500 5.5.2 ");
	memset(longer, 'x', LIM_COMMAND_LINE - 2);
	memcpy(longer, "XTEST ", 6);
	memcpy(longer + LIM_COMMAND_LINE - 2, "x\r\n", 3);
	cr_expect_eq(own.ncalls, 0);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, longer);
	cr_expect_eq(strncmp(f->reply, "500 5.5.6 Line too long\r\n" LEFT,
	    strlen("500 5.5.6 Line too long\r\n" LEFT)), 0, "%s", f->reply);
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}

Test(embed_verb_input, is_not_run_before_a_login)
{
	new("XTEST");
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_option(f, "Require_Auth", "true", NULL);
	expect_unread("XTEST 5\r\n", "530 5.7.0 ");
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}

Test(embed_verb_input, is_not_run_where_the_verb_is_left_out)
{
	new("XTEST");
	fake_option(f, "SMTP_Extensions", "ENHANCEDSTATUSCODES", NULL);
	expect_unread("XTEST 5\r\n", "502 5.5.1 ");
	cr_expect_eq(own.ncalls, 0);
	fake_end(f);
}

Test(embed_verb_input, is_not_run_behind_a_replaced_verb)
{
	new("NOOP");
	expect_unread("NOOP 5\r\n", "501 5.5.4 ");
	fake_end(f);
}

Test(embed_verb_input, is_not_run_where_the_refusal_comes_later)
{
	new("XTEST");
	own.result = ESMTP_VERB_LATER;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	cr_expect_str_eq(fake_say(f, "XTEST 5\r\n"), "");
	fake_say(f, INPUT);
	cr_expect_eq(own_answer_reply(f, 550, "5.7.1", "No"), 0);
	own_told(f);
	own_expect_reply(f, "550 5.7.1 No\r\n" LEFT);
	fake_end(f);
}

/* RFC 4954 4: a client that does not wait for 334. */
Test(embed_verb_input, is_not_run_where_an_answer_to_auth_is_due)
{
	new("XTEST");
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	own_expect(f, "AUTH LOGIN\r\n", "334 ");
	own_expect(f, "XTEST 5\r\n" INPUT, "501 5.5.2 ");
	cr_expect_not_null(strstr(f->reply, LEFT), "%s", f->reply);
	fake_end(f);
}

Test(embed_verb_input, is_read_where_the_verb_reads_and_commands_follow)
{
	new("XTEST");
	own.result = ESMTP_VERB_MORE;
	own.more = read_to_a_dot;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	cr_expect_str_eq(fake_say(f, "XTEST\r\n" INPUT "NOOP\r\n"), OK OK);
	/* also if it has refused: the octets are thrown away */
	own.reply = "550 5.7.1 No";
	cr_expect_str_eq(fake_say(f, "XTEST\r\n" INPUT "NOOP\r\n"),
	    "550 5.7.1 No\r\n" OK);
	/* and a success needs no reading */
	own = (struct own){ .result = ESMTP_VERB_DONE };
	cr_expect_str_eq(fake_say(f, "XTEST\r\nNOOP\r\n"), OK OK);
	/* a client that has waited goes on */
	own.result = ESMTP_VERB_SYNTAX;
	own_expect(f, "XTEST\r\n", "501 5.5.4 ");
	cr_expect_str_eq(fake_say(f, "NOOP\r\n"), OK);
	own_expect(f, "XYZZY\r\n", "500 5.5.2 ");
	fake_end(f);
}

/* The neighbour: what is meant as DATA. */
Test(embed_verb_input, of_a_line_that_is_meant_as_data_is_not_run)
{
	new("XTEST");
	expect_unread("DATA\t.\r\n", "501 5.5.2 ");
	expect_unread(" DATA\r\n", "500 5.5.2 ");
	fake_end(f);
}

Test(embed_verb_input, is_said_of_a_verb_of_the_program_only)
{
	static const char *const others[] = { "", "XYZZY", "RSET", "DATA",
		"NOOP", "MAIL", "XKEY" };
	size_t i;

	cr_expect_eq(esmtp_verb_replace("MAIL", own_verb, &own), 1);
	cr_expect_eq(esmtp_extensions_register("XKEY", NULL, NULL, NULL), 1);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		cr_expect_eq(esmtp_verb_has_input(others[i]), 0, "%s",
		    others[i]);
	cr_expect_eq(esmtp_verb_has_input(NULL), 0);
	new("XTEST");
	cr_expect_eq(esmtp_verb_has_input("xtest"), 1);
	fake_connect(f);
	cr_expect_eq(esmtp_verb_has_input("XTEST"), 0);
	fake_end(f);
}

/* --- secrets -------------------------------------------------------------- */

/* No report has it, and no memory that the host owns. */
static void
expect_secret(const char *command, const char *begins)
{
	reported[0] = '\0';
	f->h.scratch[sizeof(f->h.scratch) - 1] = 'x';
	own_expect(f, command, begins);
	cr_expect_null(strstr(reported, "secret"), "%.20s: %s", command,
	    reported);
	cr_expect_null(memmem(f->h.scratch, sizeof(f->h.scratch), "secret",
	    6), "%.20s", command);
	/* the rest has never held any input: to wipe it would cost time */
	cr_expect_eq(f->h.scratch[sizeof(f->h.scratch) - 1], 'x');
}

static void
expect_secrets(const char *command)
{
	char longer[LIM_COMMAND_LINE + 2];

	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	own.result = ESMTP_VERB_SYNTAX;
	expect_secret(command, "501 5.5.4 ");
	own.reply = "535 5.7.8 No";
	expect_secret(command, "535 5.7.8 No\r\n");
	own.reply = NULL;
	own.result = ESMTP_VERB_DONE;
	expect_secret(command, OK);
	/* a line that is refused before it is looked at */
	memset(longer, 'x', LIM_COMMAND_LINE);
	memcpy(longer, command, strlen(command) - 2);
	memcpy(longer + LIM_COMMAND_LINE - 1, "\r\n", 3);
	expect_secret(longer, "500 5.5.6 ");
}

Test(embed_verb_input, an_argument_of_a_registered_verb_may_be_secret)
{
	f = fake_new();
	cr_assert_eq(esmtp_extensions_register("XLOGIN", NULL, own_verb, &own),
	    1);
	host_report = f->h.ops.report;
	f->h.ops.report = report;
	expect_secrets("XLOGIN user secret\r\n");
	fake_option(f, "SMTP_Extensions", "ENHANCEDSTATUSCODES", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	expect_secret("XLOGIN user secret\r\n", "502 5.5.1 ");
	expect_secret("XLOGIN user\tsecret\r\n", "501 5.5.2 ");
	expect_secret("XLOGIN\tuser secret\r\n", "501 5.5.2 ");
	fake_end(f);
}

Test(embed_verb_input, an_argument_of_a_replaced_verb_may_be_secret)
{
	f = fake_new();
	cr_assert_eq(esmtp_verb_replace("VRFY", own_verb, &own), 1);
	host_report = f->h.ops.report;
	f->h.ops.report = report;
	expect_secrets("VRFY user secret\r\n");
	fake_end(f);
}

/* A client that takes the refusal for a question. */
Test(embed_verb_input, what_follows_a_refused_verb_may_be_secret)
{
	new("XLOGIN");
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	own_expect(f, "XLOGIN\r\n", "501 5.5.4 ");
	expect_secret("secret\r\n", "421 4.5.1 ");
	fake_end(f);
}

/* The arguments of the others are reported as ever. */
Test(embed_verb_input, other_arguments_are_reported)
{
	new("XTEST");
	cr_assert_eq(esmtp_verb_replace("MAIL", own_verb, &own), 1);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	own.reply = "550 5.7.1 No";
	own_expect(f, "MAIL FROM:<a@x.test>\r\n", "550 5.7.1 ");
	own_expect(f, "XYZZY plugh\r\n", "500 5.5.2 ");
	cr_expect_str_eq(reported, "FROM:<a@x.test>XYZZY plugh");
	fake_end(f);
}
