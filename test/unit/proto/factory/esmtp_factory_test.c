/* Dialogues with a whole session: what is said, what is answered. */

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "core/lim.h"
#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define EHLO	"EHLO client.example\r\n"
#define BARE_LF "421 4.5.2 Lines end with CRLF, not with LF alone " \
    "(RFC2821_Lone_LF_In_Commands), closing the channel\r\n"
#define MAIL	"MAIL FROM:<a@client.example>\r\n"
#define RCPT	"RCPT TO:<alice@example.test>\r\n"
#define OK_MAIL	"250 2.1.0 Sender OK\r\n"
#define OK_RCPT	"250 2.1.5 Recipient OK\r\n"
#define OK_DATA	"354 End data with <CRLF>.<CRLF>\r\n"
#define QUEUED	"250 2.0.0 OK: queued as "

Test(esmtp_factory, the_first_call_sends_the_banner)
{
	struct fake *f = fake_start();

	cr_assert_str_eq(f->reply, "220 mx.example.test ESMTP mailmill\r\n");
	cr_assert_eq(esmtp_session_state(f->s->ac), ES_EHLO);
	fake_end(f);
}

Test(esmtp_factory, a_message_comes_in_and_is_committed_as_sent)
{
	struct fake *f = fake_start();
	const struct spool_msg *m;

	cr_assert_str_eq(fake_say(f, EHLO), "250-mx.example.test\r\n"
	    "250-PIPELINING\r\n250-SIZE 104857600\r\n"
	    "250-LIMITS RCPTMAX=1000\r\n250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	cr_assert_str_eq(fake_say(f, MAIL), OK_MAIL);
	cr_assert_str_eq(fake_say(f, RCPT), OK_RCPT);
	cr_assert_str_eq(fake_say(f, "DATA\r\n"), OK_DATA);
	fake_say(f, "Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n");
	cr_assert_eq(strncmp(f->reply, QUEUED, strlen(QUEUED)), 0, "%s",
	    f->reply);
	m = fake_message(f, 0);
	cr_assert_not_null(m);
	cr_assert_str_eq(m->sender, "a@client.example");
	cr_assert_eq(m->nrcpts, 1);
	cr_assert_str_eq(m->rcpts[0], "alice@example.test");
	cr_assert_str_eq(m->client, "192.0.2.1");
	cr_assert_str_eq(m->helo, "client.example");
	{
		char want[512];
		int n = snprintf(want, sizeof(want),
		    "Received: from client.example ([192.0.2.1])\r\n"
		    "\tby mx.example.test (mailmill) with ESMTP id %s\r\n"
		    "\tfor <alice@example.test>; "
		    "Tue, 14 Nov 2023 22:13:20 +0000\r\n"
		    "Subject: x\r\n\r\n.dot\r\nend\r\n", m->id);

		cr_assert_eq(m->len, n, "%.*s", (int)m->len, m->body);
		cr_assert_eq(memcmp(m->body, want, m->len), 0);
	}
	cr_assert_str_eq(fake_say(f, "QUIT\r\n"), "221 2.0.0 Bye\r\n");
	cr_assert(fake_is_ended(f));
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 1);
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_ABORT], 0);
	fake_end(f);
}

/* One session each: what is said, what all replies together are; NULL at the
 * end of an option list. */
static const struct {
	const char	*said, *answered;
	bool		 is_ended;
} dialogues[] = {
	/* RFC 5321 4.2.4, 4.1.1 */
	{ "FOO\r\n", "500 5.5.2 Command not recognized\r\n", false },
	{ "\r\n", "500 5.5.2 Command not recognized\r\n", false },
	{ "NOOP\r\n", "250 2.0.0 OK\r\n", false },
	{ "noop anything goes\r\n", "250 2.0.0 OK\r\n", false },
	{ "NoOp  \t \r\n", "250 2.0.0 OK\r\n", false },
	{ "NOOPS\r\n", "500 5.5.2 Command not recognized\r\n", false },
	{ "HELO\r\n", "501 5.5.4 Argument required\r\n", false },
	{ "EHLO\r\n", "501 5.5.4 Argument required\r\n", false },
	{ "EHLO a b\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n", false },
	{ "HELO x\r\n", "250 mx.example.test\r\n", false },
	{ "QUIT now\r\n", "501 5.5.4 No argument allowed\r\n", false },
	{ "RSET x\r\n", "501 5.5.4 No argument allowed\r\n", false },
	{ "VRFY alice\r\n", "252 2.5.2 Cannot VRFY user, but will accept a "
	    "message and attempt delivery\r\n", false },
	{ "EXPN list\r\n", "252 2.5.2 Cannot EXPN list, but will accept a "
	    "message and attempt delivery\r\n", false },
	{ "HELP\r\n", "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP "
	    "QUIT VRFY HELP\r\n", false },
	/* order: RFC 5321 4.1.4 */
	{ MAIL, "503 5.5.1 Send EHLO first\r\n", false },
	{ RCPT, "503 5.5.1 Send EHLO first\r\n", false },
	{ "DATA\r\n", "503 5.5.1 Send EHLO first\r\n", false },
	{ "HELO x\r\nMAIL FROM:<>\r\n",
	    "503 5.5.1 Command must be the last of a pipelined group\r\n"
	    "503 5.5.1 Send EHLO first\r\n", false },
	/* what is no text: RFC 5321 2.4 */
	{ "NOOP \x80\r\n", "501 5.5.2 Command holds a NUL, control or 8-bit "
	    "octet\r\n", false },
	{ "NO\tOP\r\n", "501 5.5.2 Command holds a NUL, control or 8-bit "
	    "octet\r\n", false },
	{ "NOOP\r\r\n", "501 5.5.2 Command holds a NUL, control or 8-bit "
	    "octet\r\n", false },
	/* RFC 5321 2.3.8: nothing behind a bare LF is run */
	{ "NOOP\nQUIT\r\nNOOP\r\n", BARE_LF, true },
	{ "NOOP\n\r\nNOOP\r\n", BARE_LF, true },
	{ "\nNOOP\r\n\r\n", BARE_LF, true },
	{ "QUIT\r\nNOOP\r\n", "221 2.0.0 Bye\r\n", true },
};

Test(esmtp_factory, answers_each_line_as_the_table_says)
{
	size_t i;

	for (i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++) {
		struct fake *f = fake_start();

		cr_expect_str_eq(fake_say(f, dialogues[i].said),
		    dialogues[i].answered, "%s: %s", dialogues[i].said,
		    f->reply);
		cr_expect_eq(fake_is_ended(f), dialogues[i].is_ended);
		fake_end(f);
	}
}

/* After EHLO has been answered. */
static const struct {
	const char	*said, *answered;
} greeted[] = {
	{ RCPT, "503 5.5.1 Bad sequence of commands\r\n" },
	{ "DATA\r\n", "503 5.5.1 Bad sequence of commands\r\n" },
	{ MAIL MAIL, OK_MAIL "503 5.5.1 Bad sequence of commands\r\n" },
	{ MAIL "DATA\r\n", OK_MAIL "503 5.5.1 No valid recipients\r\n" },
	{ MAIL "RCPT TO:<nobody@example.test>\r\nDATA\r\n",
	    OK_MAIL "550 5.1.1 Mailbox unknown\r\n"
	    "503 5.5.1 No valid recipients\r\n" },
	{ MAIL RCPT "DATA\r\n", OK_MAIL OK_RCPT OK_DATA },
	{ MAIL RCPT "RSET\r\n" RCPT, OK_MAIL OK_RCPT "250 2.0.0 OK\r\n"
	    "503 5.5.1 Bad sequence of commands\r\n" },
	{ MAIL "HELO x\r\n", OK_MAIL "250 mx.example.test\r\n" },
	{ "MAIL FROM:<>\r\n", OK_MAIL },
	{ "mail from:<A@b.example> size=10 body=8BITMIME\r\n", OK_MAIL },
	{ "MAIL FROM:<a@b.example> SIZE=104857600\r\n", OK_MAIL },
	{ "MAIL FROM:<a@b.example> SIZE=104857601\r\n",
	    "552 5.3.4 Message too big\r\n" },
	{ "MAIL FROM:<a@b.example> SIZE=99999999999999999999\r\n",
	    "552 5.3.4 Message too big\r\n" },
	{ "MAIL FROM:<a@b.example> SIZE=x\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n" },
	{ "MAIL FROM:<a@b.example> SIZE\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n" },
	{ "MAIL FROM:<a@b.example> SIZE=1 SIZE=1\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n" },
	{ "MAIL FROM:<a@b.example>SIZE=1\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n" },
	{ "MAIL FROM:<a@b.example> BODY=9BIT\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n" },
	{ "MAIL FROM:<a@b.example> FOO=1\r\n",
	    "555 5.5.4 Parameter not recognized or not implemented\r\n" },
	{ MAIL "RCPT TO:<alice@example.test> SIZE=1\r\n", OK_MAIL
	    "555 5.5.4 Parameter not recognized or not implemented\r\n" },
	{ "MAIL FROM: <a@b.example>\r\n",
	    "501 5.1.7 Bad sender address syntax\r\n" },
	{ "MAIL FROM:a@b.example\r\n",
	    "501 5.1.7 Bad sender address syntax\r\n" },
	{ "MAIL TO:<a@b.example>\r\n",
	    "501 5.5.4 Syntax error in parameters or arguments\r\n" },
	{ "MAIL\r\n", "501 5.5.4 Argument required\r\n" },
	{ MAIL "RCPT TO:<>\r\n", OK_MAIL
	    "501 5.1.3 Bad recipient address syntax\r\n" },
	{ MAIL "RCPT TO:<Postmaster>\r\n", OK_MAIL OK_RCPT },
	{ MAIL "RCPT TO:<@x.example,@y.example:bob@example.test>\r\n",
	    OK_MAIL OK_RCPT },
	{ MAIL "RCPT TO:<a@other.example>\r\n", OK_MAIL
	    "550 5.7.1 Relaying denied\r\n" },
	{ MAIL "RCPT TO:<later@example.test>\r\n", OK_MAIL
	    "451 4.3.0 Recipient lookup failed, try again later\r\n" },
};

Test(esmtp_factory, answers_what_comes_after_ehlo_as_the_table_says)
{
	size_t i;

	for (i = 0; i < sizeof(greeted) / sizeof(greeted[0]); i++) {
		struct fake *f = fake_start();

		fake_say(f, EHLO);
		cr_expect_str_eq(fake_say(f, greeted[i].said),
		    greeted[i].answered, "%s: %s", greeted[i].said, f->reply);
		fake_end(f);
	}
}

Test(esmtp_factory, parameters_are_unknown_after_helo)
{
	struct fake *f = fake_start();

	fake_say(f, "HELO x\r\n");
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<a@b.example> SIZE=1\r\n"),
	    "555 5.5.4 Parameter not recognized or not implemented\r\n");
	fake_end(f);
}

Test(esmtp_factory, a_nul_in_a_command_is_501)
{
	struct fake *f = fake_start();

	cr_assert_str_eq(fake_say_n(f, "NO\0P\r\n", 6), "501 5.5.2 Command "
	    "holds a NUL, control or 8-bit octet\r\n");
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	fake_end(f);
}

Test(esmtp_factory, a_line_of_4096_octets_is_served_one_more_is_not)
{
	char line[8192];
	struct fake *f = fake_start();

	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	memcpy(line + 4094, "\r\n", 3);
	cr_assert_str_eq(fake_say(f, line), "250 2.0.0 OK\r\n");
	cr_assert_str_eq(fake_say_bytewise(f, line), "250 2.0.0 OK\r\n");
	line[4094] = 'x';
	memcpy(line + 4095, "\r\n", 3);
	cr_assert_str_eq(fake_say(f, line), "500 5.5.6 Line too long\r\n");
	cr_assert_str_eq(fake_say_bytewise(f, line),
	    "500 5.5.6 Line too long\r\n");
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	fake_end(f);
}

Test(esmtp_factory, an_endless_line_is_refused_once_and_never_kept)
{
	char block[1000];
	struct fake *f = fake_start();
	int i;

	memset(block, 'x', sizeof(block));
	for (i = 0; i < LIM_COMMAND_LINE / 1000; i++)
		cr_assert_str_eq(fake_say_n(f, block, sizeof(block)), "");
	cr_assert_str_eq(fake_say_n(f, block, sizeof(block)),
	    "500 5.5.6 Line too long\r\n");
	for (i = 0; i < 100; i++)
		cr_assert_str_eq(fake_say_n(f, block, sizeof(block)), "");
	cr_assert_null(fake_mc(f)->in);
	cr_assert_str_eq(fake_say(f, "\r"), "");
	cr_assert_str_eq(fake_say(f, "\nNOOP\r\n"), "250 2.0.0 OK\r\n");
	fake_end(f);
}

Test(esmtp_factory, a_pipelined_group_is_answered_in_one_write)
{
	struct fake *f = fake_start();
	uint64_t before;

	fake_say(f, EHLO);
	before = f->h.net.wires[0].nwritten;
	cr_assert_str_eq(fake_say(f, MAIL RCPT RCPT "DATA\r\n"),
	    OK_MAIL OK_RCPT OK_RCPT OK_DATA);
	cr_assert_eq(f->h.net.wires[0].nwritten - before, strlen(f->reply));
	fake_say(f, "x\r\n.\r\n" MAIL RCPT "QUIT\r\n");
	cr_assert_not_null(strstr(f->reply, "\r\n" OK_MAIL OK_RCPT
	    "221 2.0.0 Bye\r\n"));
	fake_end(f);
}

Test(esmtp_factory, input_behind_data_is_never_run)
{
	struct fake *f = fake_start();

	fake_say(f, EHLO);
	cr_assert_str_eq(fake_say(f, MAIL RCPT "DATA\r\nRSET\r\n"),
	    OK_MAIL OK_RCPT
	    "503 5.5.1 Command must be the last of a pipelined group\r\n"
	    "421 4.5.1 Data behind a command that was refused, closing "
	    "the channel\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_factory, fragments_make_no_difference)
{
	static const char text[] = EHLO;
	struct fake *f = fake_start();
	const struct spool_msg *m;

	fake_say_bytewise(f, text);
	cr_assert_str_eq(f->reply, "250-mx.example.test\r\n"
	    "250-PIPELINING\r\n250-SIZE 104857600\r\n"
	    "250-LIMITS RCPTMAX=1000\r\n250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	cr_assert_str_eq(fake_say_bytewise(f, MAIL RCPT "DATA\r\n"),
	    OK_MAIL OK_RCPT OK_DATA);
	fake_say_bytewise(f, "a\r\n..\r\n.b\r\n\r\n.\r\nNOOP\r\n");
	cr_assert_not_null(strstr(f->reply, "\r\n250 2.0.0 OK\r\n"));
	m = fake_message(f, 0);
	cr_assert_not_null(m);
	cr_assert_eq(memcmp(m->body + m->len - 11, "a\r\n.\r\nb\r\n\r\n", 11),
	    0, "%.*s", (int)m->len, m->body);
	fake_end(f);
}

Test(esmtp_factory, one_message_may_follow_another)
{
	struct fake *f = fake_start();
	int i;

	fake_say(f, EHLO);
	for (i = 0; i < 3; i++) {
		cr_assert_str_eq(fake_say(f, MAIL RCPT "DATA\r\n"),
		    OK_MAIL OK_RCPT OK_DATA);
		fake_say(f, "x\r\n.\r\n");
		cr_assert_eq(strncmp(f->reply, QUEUED, strlen(QUEUED)), 0);
	}
	cr_assert_not_null(fake_message(f, 2));
	cr_assert_null(fake_mc(f)->txn);
	fake_end(f);
}

Test(esmtp_factory, a_client_that_vanishes_leaves_nothing)
{
	static const char *const parts[] = { EHLO, MAIL, RCPT, "DATA\r\n",
		"x\r\n", ".\r\n" };
	size_t i, j;

	for (i = 0; i <= sizeof(parts) / sizeof(parts[0]); i++) {
		struct fake *f = fake_start();

		f->h.spool.is_held = true;
		for (j = 0; j < i; j++)
			fake_say(f, parts[j]);
		simwire_reset(f->s->wire);
		simhost_settle(&f->h);
		simspool_release(&f->h.spool);
		simhost_settle(&f->h);
		cr_expect(fake_is_ended(f));
		cr_expect_eq(f->s->nreports[ESMTP_REPORT_ABORT], 1);
		cr_expect_eq(f->h.spool.nopen, 0);
		/* it was taken by the spool: it stays */
		cr_expect_eq(fake_message(f, 0) != NULL, i == 6);
		fake_end(f);
	}
}

Test(esmtp_factory, too_many_errors_end_the_session)
{
	struct fake *f = fake_start();
	int i;

	for (i = 0; i < 20; i++)
		cr_assert_str_eq(fake_say(f, "FOO\r\n"),
		    "500 5.5.2 Command not recognized\r\n");
	cr_assert_str_eq(fake_say(f, "FOO\r\n"),
	    "421 4.7.0 Too many errors, closing the channel\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_factory, an_accepted_message_makes_up_for_errors)
{
	struct fake *f = fake_new();

	fake_option(f, "Max_Errors", "2", NULL);
	fake_connect(f);
	fake_say(f, "FOO\r\nFOO\r\n");
	fake_to_data(f);
	fake_say(f, ".\r\n");
	cr_assert_str_eq(fake_say(f, "FOO\r\n"),
	    "500 5.5.2 Command not recognized\r\n");
	fake_end(f);
}

Test(esmtp_factory, a_client_that_does_not_read_is_not_read_from)
{
	struct fake *f = fake_start();
	char group[6 * 500 + 1];
	int i;

	for (i = 0; i < 500; i++)
		memcpy(group + 6 * i, "NOOP\r\n", 7);
	f->s->wire->window = 100;
	fake_say(f, group);
	cr_assert_eq(strlen(f->reply), 100);
	for (i = 0; i < 3; i++)
		simwire_send_now(f->s->wire, group, strlen(group));
	simhost_settle(&f->h);
	cr_assert_leq(f->s->wire->nread, strlen(group));
	cr_assert_leq(fake_mc(f)->out->len, LIM_OUTPUT);
	f->s->wire->window = SIZE_MAX;
	cr_assert_eq(strlen(fake_say(f, "")), 14 * 500 * 4 - 100);
	fake_end(f);
}

Test(esmtp_factory, draining_ends_an_idle_session_at_once)
{
	struct fake *f = fake_start();

	fake_say(f, EHLO);
	simhost_drain(&f->h, false);
	cr_assert_str_eq(fake_say(f, ""), "421 4.3.2 Service closing the "
	    "channel, try again later\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(esmtp_factory, draining_lets_a_running_transaction_finish)
{
	struct fake *f = fake_start();

	fake_to_data(f);
	simhost_drain(&f->h, true);
	cr_assert_str_eq(fake_say(f, "x\r\n"), "");
	fake_say(f, ".\r\n");
	cr_assert_eq(strncmp(f->reply, QUEUED, strlen(QUEUED)), 0);
	cr_assert_not_null(strstr(f->reply,
	    "\r\n421 4.3.2 Reconfiguration in progress\r\n"));
	cr_assert(fake_is_ended(f));
	cr_assert_not_null(fake_message(f, 0));
	fake_end(f);
}

static const struct esmtp_host_ops *real_ops;
static char seen_verb[16], seen_arg[600];

static void
see_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	if (r->kind == ESMTP_REPORT_REJECTED) {
		snprintf(seen_verb, sizeof(seen_verb), "%s", r->verb);
		snprintf(seen_arg, sizeof(seen_arg), "%s", r->arg);
	}
	real_ops->report(host, ac, r);
}

Test(esmtp_factory, a_refusal_is_reported_with_what_was_refused)
{
	static const struct {
		const char *said, *verb, *arg;
	} cases[] = {
		{ "RCPT TO:<nobody@example.test>  \r\n", "RCPT",
		    "TO:<nobody@example.test>" },
		{ "frob x\r\n", "", "frob x" },
		{ "NOOP\n", "", "NOOP\n" },
	};
	struct fake *f = fake_new();
	struct esmtp_host_ops ops;
	size_t i;

	real_ops = f->h.host.ops;
	ops = *real_ops;
	ops.report = see_report;
	f->h.host.ops = &ops;
	fake_connect(f);
	fake_say(f, EHLO);
	fake_say(f, MAIL);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_say(f, cases[i].said);
		cr_expect_str_eq(seen_verb, cases[i].verb);
		cr_expect_str_eq(seen_arg, cases[i].arg);
	}
	fake_end(f);
}

Test(esmtp_factory, an_idle_session_is_small)
{
	struct fake *f = fake_start();

	fake_say(f, EHLO);
	cr_assert_null(fake_mc(f)->in);
	cr_assert_null(fake_mc(f)->out);
	cr_assert_null(fake_mc(f)->txn);
	cr_assert_lt(sizeof(*fake_mc(f)), 320);
	fake_end(f);
}

Test(esmtp_factory, the_state_names_are_the_documented_ones)
{
	static const char *const names[] = { "just connected",
		"sending banner", "awaiting ehlo/helo",
		"sending ehlo/helo response", "awaiting mailfrom",
		"sending mailfrom response", "awaiting rcptto",
		"sending rcptto response", "data phase", "reading body",
		"sending body response", "async body handler",
		"async body response", "relaying denied", "extension 1",
		"extension 2", "extension 3", "extension 4",
		"concurrency limit", "rcptto list response",
		"rcptto list final response", "esmtp setup phase" };
	int i;

	for (i = 0; i < 22; i++)
		cr_assert_str_eq(esmtp_message_factory_state(i), names[i]);
	cr_assert_str_eq(esmtp_message_factory_state(22), "unknown");
	cr_assert_str_eq(esmtp_message_factory_state(-1), "unknown");
}

/* Members and names as documented, for hosts and modules of others. */
Test(esmtp_factory, an_accept_construct_has_the_documented_members)
{
	struct fake *f = fake_start();
	accept_construct *ac = f->s->ac;
	union _accept_construct_closure *closure = &ac->accept_construct_closure;

	cr_expect_eq(ac->protocol, P_ESMTP);
	cr_expect_eq((message_construct *)closure->vptr,
	    accept_construct_get_message_construct(ac));
	cr_expect_eq(ac->remote_addr.sa.sa_family, AF_INET);
	cr_expect_eq(ac->remote_addr.sin.sin_addr.s_addr,
	    inet_addr("192.0.2.1"));
	/* the host's; the factory leaves them */
	cr_expect_null(ac->death);
	cr_expect_null(ac->inst);
	cr_expect_eq(ac->conn_id.slot, 0);
	fake_end(f);
}

Test(esmtp_factory, a_host_of_internet_clients_needs_the_first_part_only)
{
	cr_expect_geq(ACCEPT_CONSTRUCT_INET, offsetof(accept_construct,
	    remote_addr.sin6) + sizeof(struct sockaddr_in6));
	/* remote_addr is the last one */
	cr_expect_leq(sizeof(accept_construct) - sizeof(ec_sockaddr) -
	    offsetof(accept_construct, remote_addr), 4);
}

/* The documented numbers are those of the table of states. */
Test(esmtp_factory, the_constants_are_the_numbers_of_the_states)
{
	static const struct {
		int constant, state;
	} pairs[] = {
		{ MC_STATE_START, ES_CONNECTED },
		{ MC_STATE_START_RESPONSE, ES_BANNER },
		{ MC_STATE_EHLO, ES_EHLO },
		{ MC_STATE_EHLO_RESPONSE, ES_EHLO_REPLY },
		{ MC_STATE_MAILFROM, ES_MAIL },
		{ MC_STATE_MAILFROM_RESPONSE, ES_MAIL_REPLY },
		{ MC_STATE_RCPTTO, ES_RCPT },
		{ MC_STATE_RCPTTO_RESPONSE, ES_RCPT_REPLY },
		{ MC_STATE_DATA, ES_DATA },
		{ MC_STATE_BODY, ES_BODY },
		{ MC_STATE_BODY_RESPONSE, ES_BODY_REPLY },
		{ MC_STATE_ASYNC_BODY_RESPONSE, ES_ASYNC },
		{ MC_STATE_OK, ES_ASYNC_REPLY },
		{ MC_STATE_RELAYING_DENIED, ES_DENIED },
		{ MC_STATE_EXTENSION_1, ES_EXTENSION1 },
		{ MC_STATE_EXTENSION_2, ES_EXTENSION2 },
		{ MC_STATE_EXTENSION_3, ES_EXTENSION3 },
		{ MC_STATE_EXTENSION_4, ES_EXTENSION4 },
		{ MC_STATE_CONCURRENCY_LIMIT, ES_CONCURRENCY },
		{ MC_STATE_RCPTTO_LIST_RESPONSE, ES_RCPT_LIST },
		{ MC_STATE_RCPTTO_LIST_FINAL_RESPONSE, ES_RCPT_LIST_END },
		{ MC_STATE_SETUP, ES_SETUP },
	};
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		cr_expect_eq(pairs[i].constant, (int)i);
		cr_expect_eq(pairs[i].state, (int)i);
	}
	cr_expect_eq(MC_STATE_COUNT, 23);
}
