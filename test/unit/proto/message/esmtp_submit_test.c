/* What is done to the header of a message: the fields that it gets, the addresses
 * for which it is refused. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define DATE		"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
#define QUEUED		"250 2.0.0 OK: queued as "
#define FQDN		"554 5.6.0 An address in the header has no "
#define LOGIN		"550 5.7.1 Your login may not use this address in"
#define MALFORMED	"554 5.6.0 An address in the From field is malformed"
#define TWICE		"554 5.6.0 The header has more than one From field"
#define MISSING		"554 5.6.0 The header has no From field with an"

static struct fake *f;

static void
start(const char *option, const char *value)
{
	f = fake_new();
	fake_option(f, "Kind", "submission", NULL);
	fake_option(f, "Require_Auth", "false", NULL);
	fake_option(f, "RFC2822_Trace_Headers", "false", NULL);
	fake_option(f, option, value, NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
}

/* A message of alice, and what is answered to it. */
static const char *
submit(const char *text, bool is_bytewise)
{
	fake_say(f, "MAIL FROM:<alice@example.test>\r\n"
	    "RCPT TO:<bob@example.test>\r\n");
	cr_assert_eq(strncmp(fake_say(f, "DATA\r\n"), "354 ", 4), 0, "%s",
	    f->reply);
	if (!is_bytewise) {
		fake_say(f, text);
		return fake_say(f, ".\r\n");
	}
	fake_say_bytewise(f, text);
	return fake_say(f, ".\r\n");
}

static void
expect_stored(unsigned int i, const char *want)
{
	const struct spool_msg *m = fake_message(f, i);

	cr_assert_not_null(m);
	cr_expect(m->len == strlen(want) && memcmp(m->body, want, m->len) == 0,
	    "%.*s, not %s", (int)m->len, m->body, want);
}

/* RFC 6409 8.2: what stands before the Date that is added, and behind it; NULL: it
 * is not added */
static const struct { const char *in, *before, *behind; } dates[] = {
	{ "A: b\r\n\r\nx\r\n", "A: b\r\n", "\r\nx\r\n" },
	{ "A: b\r\n c\r\n\r\nDate: x\r\n", "A: b\r\n c\r\n", "\r\nDate: x\r\n" },
	{ "\r\nx\r\n", "", "\r\nx\r\n" },
	{ "A: b\r\n", "A: b\r\n", "" },
	{ "", "", "" },
	{ "hello\r\n", "", "\r\nhello\r\n" },
	{ " hello\r\n", "", "\r\n hello\r\n" },
	{ "Return-Path: <x>\r\n\r\n", "", "\r\n" },
	{ "Return-Path: <x>\r\n", "", "" },
	{ "Return-Path: <x>\r\nhello\r\n", "", "\r\nhello\r\n" },
	{ "A: b\r\nReturn-Path: <x>\r\n y\r\n\r\nz\r\n", "A: b\r\n",
	    "\r\nz\r\n" },
	{ "A: b\r\nnot a field\r\n\r\n", "A: b\r\nnot a field\r\n", "\r\n" },
	{ "A: b\n\nx\r\n", "A: b\n", "\nx\r\n" },
	{ "A: b\r\n\rx\r\n\r\n", "A: b\r\n\rx\r\n", "\r\n" },
	{ "A: b\r\nDat\r\n", "A: b\r\nDat\r\n", "" },
	{ "date:\r\n\r\nx\r\n", NULL, NULL },
	{ "A: b\r\nDATE : x\r\n", NULL, NULL },
};

static void
try_dates(bool is_bytewise)
{
	char want[300];
	size_t i;

	start("RFC2822_MessageID_Header", "ignore");
	for (i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		cr_assert_eq(strncmp(submit(dates[i].in, is_bytewise), QUEUED,
		    strlen(QUEUED)), 0, "%s", f->reply);
		if (dates[i].before == NULL)
			snprintf(want, sizeof(want), "%s", dates[i].in);
		else
			snprintf(want, sizeof(want), "%s" DATE "%s",
			    dates[i].before, dates[i].behind);
		expect_stored((unsigned int)i, want);
	}
	fake_end(f);
}

Test(esmtp_submit, a_date_is_added_at_the_end_of_the_header)
{
	try_dates(false);
	try_dates(true);
}

Test(esmtp_submit, the_message_id_is_that_of_the_spool)
{
	char want[300];

	start("Received_Hostname", "out.example.test");
	submit("A: b\r\n\r\nx\r\n", false);
	snprintf(want, sizeof(want), "A: b\r\n" DATE
	    "Message-ID: <%s@out.example.test>\r\n\r\nx\r\n",
	    fake_message(f, 0)->id);
	expect_stored(0, want);
	submit("Message-Id: <x@y>\r\nDate: z\r\n\r\nx\r\n", false);
	expect_stored(1, "Message-Id: <x@y>\r\nDate: z\r\n\r\nx\r\n");
	fake_end(f);
}

/* What the client sends is measured, not what is added. */
Test(esmtp_submit, what_is_added_does_not_count_for_the_size)
{
	char text[101];

	start("Max_Message_Size", "100");
	memset(text, 'x', 100);
	memcpy(text, "A: b\r\n\r\n", 8);
	memcpy(text + 98, "\r\n", 3);
	cr_expect_eq(strncmp(submit(text, false), QUEUED, strlen(QUEUED)), 0,
	    "%s", f->reply);
	fake_end(f);
}

Test(esmtp_submit, nothing_is_added_elsewhere)
{
	static const char *const kinds[] = { "smtp", "lmtp" };
	size_t i;

	for (i = 0; i < 2; i++) {
		start("Kind", kinds[i]);
		fake_say(f, i == 1 ? "LHLO x\r\n" : "");
		cr_expect_eq(strncmp(submit("From: x\r\n\r\n", false), QUEUED,
		    strlen(QUEUED)), 0, "%s", f->reply);
		cr_expect_null(fake_mc(f)->txn);
		expect_stored(0, "From: x\r\n\r\n");
		fake_end(f);
	}
}

Test(esmtp_submit, a_spool_that_takes_nothing_more_fails_the_message)
{
	start("RFC2822_MessageID_Header", "ignore");
	f->h.spool.append_errno = ENOSPC;
	f->h.spool.append_after = strlen("A: b\r\n");
	cr_expect_eq(strncmp(submit("A: b\r\n", false), "452 4.3.1 ", 10), 0,
	    "%s", f->reply);
	f->h.spool.append_after = strlen("A: b\r\n");
	cr_expect_eq(strncmp(submit("A: b\r\n\r\n", false), "452 4.3.1 ", 10),
	    0, "%s", f->reply);
	f->h.spool.append_errno = 0;
	cr_expect_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

/* --- addresses ------------------------------------------------------------ */

static const struct { const char *in; bool is_good; } qualified[] = {
	{ "From: \"root@localhost\" <a@b.example>", true },
	{ "To: undisclosed-recipients:;", true },
	{ "Cc: a@b.example (at localhost), c@[192.0.2.1]", true },
	{ "Sender: <@a,@b:c@d.example>", true },
	{ "Bcc:", true },
	{ "To: <a@b.example> x, Friends: \"c, d@e\" <f@g.example>;", true },
	{ "X-To: bob\r\nSubject: From: a@b", true },
	{ "To: a@b.example,", true },
	{ "To: \"a b\"@c\r\n .example", true },
	{ "From: a@b.example\r\n\r\nTo: bob", true },
	{ "From: root@localhost", false },
	{ "To: bob", false },
	{ "Cc: bob@example.test,\r\n\tcarol@local", false },
	{ "Reply-To: \"a@b.c\" <x@y>", false },
	{ "Sender: x@", false },
	{ "Bcc: Friends: a@b.example, c@d;", false },
	{ "Resent-To: x@y.", false },
	{ "from : John Doe", false },
	{ "To: a@b.example (c) , (d) e", false },
	{ "CC: <@b.example:x@y>", false },
	{ "To: \"a@b", false },
};

Test(esmtp_submit, an_address_without_a_whole_domain_is_refused)
{
	char text[200];
	const char *want;
	size_t i;
	int k;

	start("Max_Errors", "0");
	for (k = 0; k < 2; k++)
		for (i = 0; i < sizeof(qualified) / sizeof(qualified[0]); i++) {
			want = qualified[i].is_good ? QUEUED : FQDN;
			snprintf(text, sizeof(text), "%s\r\n",
			    qualified[i].in);
			cr_expect_eq(strncmp(submit(text, k == 1), want,
			    strlen(want)), 0, "%s%s", text, f->reply);
		}
	cr_expect_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

/* The rest of what has come at once is thrown away, too, where lines are broken. */
Test(esmtp_submit, a_refusal_before_a_long_line)
{
	static char text[2000] = "To: bob\r\nX: ";
	size_t n = strlen(text);

	start("RFC2822_Max_Line_Length", "fix");
	memset(text + n, 'x', 1500);
	strcpy(text + n + 1500, "\r\n\r\nx\r\n");
	cr_expect_eq(strncmp(submit(text, false), FQDN, strlen(FQDN)), 0, "%s",
	    f->reply);
	cr_expect_eq(f->h.spool.nopen, 0);
	fake_end(f);
}

/* alice may be alice@example.test, and all of client.example */
static int
may_send(void *, accept_construct *, const char *login,
    const struct mailaddr *sender)
{
	char text[300];

	cr_assert_str_eq(login, "alice");
	cr_assert_neq(mailaddr_format(sender, text, sizeof(text)), -1);
	return strcasecmp(text, "alice@example.test") == 0 ||
	    strstr(text, "@client.example") != NULL;
}

#define X100	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct { const char *in, *reply; } from[] = {
	{ "From: alice@example.test", QUEUED },
	{ "From: ALICE@example.TEST (bob@example.test)", QUEUED },
	{ "From: \"bob@example.test\" <x@client.example>", QUEUED },
	{ "From: \"alice\"@example.test", QUEUED },
	{ "From: " X100 X100 X100 " <alice@example.test>", QUEUED },
	{ "Sender: bob@example.test\r\nFrom: alice@example.test", QUEUED },
	{ "From: alice@example.test\r\n\r\nFrom: bob@example.test", QUEUED },
	{ "From: bob@example.test", LOGIN },
	{ "From: alice@example.test, bob@example.test", LOGIN },
	{ "From: alice@example.test\r\nfrom : <bob@example.test>", LOGIN },
	{ "From: Alice <alice@example.test>, Staff: bob@example.test;", LOGIN },
	{ "From: alice@example.test\r\n\t, bob@example.test", LOGIN },
	{ "From: (alice@example.test) bob@example.test", LOGIN },
	{ "From: alice@example.test <bob@example.test>", LOGIN },
	{ "From: alice@example.test\r\nfrom : <x@client.example>", TWICE },
	{ "From: alice@example.test\r\nFrom:", TWICE },
	{ "FROM:\r\nSubject: x\r\nFrom: alice@example.test", TWICE },
	{ "Subject: x", MISSING },
	{ "\r\nFrom: alice@example.test", MISSING },
	{ "From:", MISSING },
	{ "From: <>", MISSING },
	{ "From: (alice@example.test)", MISSING },
	{ "From: Friends:;", MISSING },
	{ "From: alice", MALFORMED },
	{ "From: alice@example..test", MALFORMED },
	{ "From: alice bob@client.example", MALFORMED },
	{ "From: bob@example.test alice@client.example", MALFORMED },
	{ "From: alice . bob @ client (x) .example", QUEUED },
	{ "From: \xe4lice@example.test", MALFORMED },
	{ "From: " X100 X100 X100 "@client.example", MALFORMED },
};

/* A session in which alice has logged in. */
static void
start_as_alice(void)
{
	start("Header_From_Login", "true");
	fake_option(f, "Require_FQDN", "false", NULL);
	fake_option(f, "Max_Errors", "0", NULL);
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	f->h.ops.may_send_as = may_send;
	cr_assert_eq(strncmp(fake_say(f,
	    "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), "235 ", 4), 0, "%s",
	    f->reply);
}

Test(esmtp_submit, a_login_uses_its_own_addresses_in_from)
{
	char text[500];
	size_t i;
	int k;

	start_as_alice();
	for (k = 0; k < 2; k++)
		for (i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
			snprintf(text, sizeof(text), "%s\r\n", from[i].in);
			cr_expect_eq(strncmp(submit(text, k == 1),
			    from[i].reply, strlen(from[i].reply)), 0, "%s%s",
			    text, f->reply);
		}
	fake_end(f);
}

/* A NUL ends no address, wherever it stands. */
Test(esmtp_submit, a_nul_in_from_hides_nothing)
{
	static const struct { const char *text; size_t len; } nul[] = {
#define TEXT(s)	{ s "\r\n.\r\n", sizeof(s "\r\n.\r\n") - 1 }
		TEXT("From: alice@example.test\0 ceo@bank.test"),
		TEXT("From: <alice@example.test\0ceo@bank.test>"),
		TEXT("From: alice@example.test\0"),
		TEXT("From: \0alice@example.test"),
		TEXT("From: alice@example.test, \0"),
	};
	size_t i;

	start_as_alice();
	for (i = 0; i < sizeof(nul) / sizeof(nul[0]); i++) {
		fake_say(f, "MAIL FROM:<alice@example.test>\r\n"
		    "RCPT TO:<bob@example.test>\r\nDATA\r\n");
		fake_say_n(f, nul[i].text, nul[i].len);
		cr_expect_eq(strncmp(f->reply, MALFORMED, strlen(MALFORMED)),
		    0, "%zu %s", i, f->reply);
	}
	fake_end(f);
}

Test(esmtp_submit, who_has_not_logged_in_is_not_asked)
{
	start("Header_From_Login", "true");
	f->h.ops.may_send_as = may_send;
	cr_expect_eq(strncmp(submit("From: bob@example.test\r\n", false),
	    QUEUED, strlen(QUEUED)), 0, "%s", f->reply);
	cr_expect_eq(strncmp(submit("Subject: x\r\n", false), QUEUED,
	    strlen(QUEUED)), 0, "%s", f->reply);
	fake_end(f);
}
