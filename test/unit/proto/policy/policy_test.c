/* The policy modules, through a session. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.1.5 Recipient OK\r\n"
#define RELAY	"550 5.7.1 Relaying denied\r\n"
#define ROUTE	"550 5.4.4 No route to the domain\r\n"
#define USER	"550 5.1.1 Mailbox unknown\r\n"

/* one option, a recipient, the answer; the client is 192.0.2.1 and the sender
 * a@sender.example */
static const struct {
	const char	*option, *value, *rcpt, *reply;
} cases[] = {
	{ NULL, NULL, "alice@example.test", OK },
	{ NULL, NULL, "nobody@example.test", USER },
	{ NULL, NULL, "x@other.example", RELAY },
	{ NULL, NULL, "postmaster", OK },
	{ "Relay_Domains", "example.test", "alice@EXAMPLE.test", OK },
	{ "Relay_Domains", "*.test", "alice@example.test", OK },
	{ "Relay_Domains", "other.example", "alice@example.test", RELAY },
	{ "Relay_Domains", "other.example", "x@other.example", ROUTE },
	{ "Relay_Domains", "other.example", "postmaster@example.test", OK },
	{ "Relay_Domains", "other.example", "Postmaster", OK },
	{ "Relay_Domains", "other.example", "postmaster@b.example", RELAY },
	{ "Open_Relay", "true", "x@other.example", ROUTE },
	{ "Open_Relay", "true", "nobody@example.test", USER },
	/* can be delivered, but is not ours */
	{ NULL, NULL, "x@next.test", RELAY },
	{ NULL, NULL, "postmaster@next.test", RELAY },
	{ "Relay_Domains", "other.example", "x@next.test", RELAY },
	{ "Relay_Domains", "next.test", "x@next.test", OK },
	{ "Open_Relay", "true", "x@next.test", OK },
	{ "Relay_Hosts", "192.0.2.0/24", "x@next.test", OK },
	{ "Relay_Hosts", "192.0.2.0/24", "x@other.example", ROUTE },
	{ "Relay_Hosts", "192.0.2.1", "x@other.example", ROUTE },
	{ "Relay_Hosts", "198.51.100.0/24", "x@other.example", RELAY },
	{ "Relay_For_Sending_Domains", "sender.*", "x@other.example", ROUTE },
	{ "Relay_For_Sending_Domains", "b.example", "x@other.example", RELAY },
	{ "Allow_IP_Literal", "true", "x@[192.0.2.9]", RELAY },
	{ "Allow_IP_Literal", "false", "x@[192.0.2.9]",
	    "501 5.1.3 Address literals are not accepted here\r\n" },
	{ "Max_Recipients_Per_Message", "1", "alice@example.test", OK },
};

Test(policy_relay, decides_as_the_table_says)
{
	char line[300];
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = fake_new();
		if (cases[i].option != NULL)
			fake_option(f, cases[i].option, cases[i].value, NULL);
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
		fake_say(f, "MAIL FROM:<a@sender.example>\r\n");
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n",
		    cases[i].rcpt);
		cr_expect_str_eq(fake_say(f, line), cases[i].reply,
		    "%s=%s %s: %s", cases[i].option, cases[i].value,
		    cases[i].rcpt, f->reply);
		fake_end(f);
	}
}

/* RFC 6409 4.2 */
Test(policy_fqdn, domains_of_one_label_are_554)
{
	static const struct { const char *mail, *rcpt; int code; } rows[] = {
		{ "", "", 250 }, { "a@localhost", NULL, 554 },
		{ "a@b.example", "", 250 }, { "a@[192.0.2.1]", "", 250 },
		{ "", "alice@localhost", 554 }, { "", "Postmaster", 250 },
		{ "", "alice@example.test", 250 }, { "", "x@[::1]", 501 },
		{ "", "x@[192.0.2.9]", 550 },
	};
	struct fake *f = fake_new();
	char line[300];
	size_t i;

	fake_option(f, "Require_FQDN", "true", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(line, sizeof(line), "MAIL FROM:<%s>\r\n",
		    rows[i].mail);
		fake_say(f, line);
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n",
		    rows[i].rcpt != NULL ? rows[i].rcpt : "");
		if (rows[i].rcpt != NULL && rows[i].rcpt[0] != '\0')
			fake_say(f, line);
		cr_expect_eq(atoi(f->reply), rows[i].code, "%s %s: %s",
		    rows[i].mail, line, f->reply);
		fake_say(f, "RSET\r\n");
	}
	fake_end(f);
}

/* RFC 5321 4.1.1.3: <postmaster> is of the default domain, even if that has one
 * label. */
static const char *
local(void *, accept_construct *, const struct sockaddr *)
{
	return "localhost";
}

Test(policy_fqdn, postmaster_is_accepted_whatever_the_default_domain_is)
{
	struct fake *f = fake_new();

	fake_option(f, "Require_FQDN", "true", NULL);
	f->h.ops.lookup_rcpt = NULL;	/* each is a mailbox */
	f->h.ops.postmaster_domain = local;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(fake_say(f, "RCPT TO:<Postmaster>\r\n"), OK);
	cr_expect_eq(atoi(fake_say(f, "RCPT TO:<x@localhost>\r\n")), 554);
	fake_say(f, "RSET\r\n");
	cr_expect_eq(atoi(fake_say(f, "MAIL FROM:<postmaster@localhost>\r\n")),
	    554);
	fake_end(f);
}

Test(policy_limits, recipients_per_message_are_452)
{
	struct fake *f = fake_new();

	fake_option(f, "Max_Recipients_Per_Message", "2", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_assert_str_eq(fake_say(f, "RCPT TO:<user1@example.test>\r\n"
	    "RCPT TO:<user2@example.test>\r\nRCPT TO:<user3@example.test>"
	    "\r\n"), OK OK "452 4.5.3 Too many recipients\r\n");
	/* RFC 5321 4.5.3.1.10: those that were accepted stay */
	cr_assert_eq(strncmp(fake_say(f, "DATA\r\n"), "354 ", 4), 0);
	fake_end(f);
}

Test(policy_limits, recipients_per_session_are_421)
{
	struct fake *f = fake_new();

	fake_option(f, "Max_Recipients_Per_Connection", "1", NULL);
	fake_connect(f);
	fake_to_data(f);
	fake_say(f, ".\r\nMAIL FROM:<>\r\n");
	cr_assert_str_eq(fake_say(f, "RCPT TO:<alice@example.test>\r\n"),
	    "421 4.7.0 Too many recipients in this session, reconnect to "
	    "send more\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

Test(policy_limits, messages_per_session_are_421)
{
	struct fake *f = fake_new();

	fake_option(f, "Max_Receptions_Per_Connection", "1", NULL);
	fake_connect(f);
	fake_to_data(f);
	fake_say(f, ".\r\n");
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<>\r\n"),
	    "421 4.7.0 Too many messages in this session, reconnect to send "
	    "more\r\n");
	cr_assert(fake_is_ended(f));
	fake_end(f);
}

/* One option, one command after EHLO. */
static const struct {
	const char	*option, *value, *said, *reply;
} options[] = {
	{ "Allow_Null_Envelope_Sender", "false", "MAIL FROM:<>\r\n",
	    "550 5.7.1 The null sender is not accepted here\r\n" },
	{ "Allow_Trailing_Whitespace_In_Commands", "true",
	    "MAIL FROM: < a@b.example >\r\n", "250 2.1.0 Sender OK\r\n" },
	{ "SMTP_Extensions", "PIPELINING", "NOOP\r\n", "250 OK\r\n" },
	{ "SMTP_Extensions", "enhancedstatuscodes", "EHLO x\r\n",
	    "250-mx.example.test\r\n250 ENHANCEDSTATUSCODES\r\n" },
	{ "SMTP_Extensions", "ENHANCEDSTATUSCODES",
	    "MAIL FROM:<a@b.example> SIZE=1\r\n",
	    "555 5.5.4 Parameter not recognized or not implemented\r\n" },
	{ "SMTP_Extensions", "NONE", "EHLO x\r\n", "250 mx.example.test\r\n" },
	{ "Max_Message_Size", "0", "EHLO x\r\n", "250-mx.example.test\r\n"
	    "250-PIPELINING\r\n250-SIZE 0\r\n"
	    "250-LIMITS RCPTMAX=1000\r\n250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 ENHANCEDSTATUSCODES\r\n" },
	{ "Max_Message_Size", "0", "MAIL FROM:<> SIZE=99999999999\r\n",
	    "250 2.1.0 Sender OK\r\n" },
	{ "Banner_Hostname", "other.test", "HELO x\r\n", "250 other.test\r\n" },
};

Test(esmtp_options, shape_the_session)
{
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		f = fake_new();
		fake_option(f, options[i].option, options[i].value, NULL);
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
		cr_expect_str_eq(fake_say(f, options[i].said),
		    options[i].reply, "%s: %s", options[i].option, f->reply);
		fake_end(f);
	}
}

Test(esmtp_options, mail_without_hello_where_that_is_allowed)
{
	struct fake *f = fake_new();

	fake_option(f, "Require_EHLO", "false", NULL);
	fake_connect(f);
	cr_assert_str_eq(fake_say(f, "MAIL FROM:<>\r\n"),
	    "250 2.1.0 Sender OK\r\n");
	fake_say(f, "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n");
	fake_say(f, "DATA\r\n");
	cr_assert_eq(strncmp(fake_say(f, ".\r\n"), "250 ", 4), 0);
	cr_assert_not_null(memmem(fake_message(f, 0)->body,
	    fake_message(f, 0)->len, "from unknown (", 14));
	fake_end(f);
}

Test(esmtp_options, the_banner_may_be_given)
{
	static const char *const given[] = { "220 hi there", "hi there" };
	struct fake *f;
	int i;

	for (i = 0; i < 2; i++) {
		f = fake_new();
		fake_option(f, "Static_Banner", given[i], NULL);
		fake_connect(f);
		cr_assert_str_eq(f->reply, "220 hi there\r\n");
		fake_end(f);
	}
}

/* --- logins --------------------------------------------------------------- */

#define GOOD	"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"	/* alice */
#define LOGGED_IN "235 2.7.0 Authentication succeeded\r\n"

static struct fake *
with_auth(void)
{
	struct fake *f = fake_new();

	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	return f;
}

/* an option, said after a login or not, the answer */
static const struct {
	const char	*option, *value;
	bool		 is_auth;
	const char	*said, *reply;
} logins[] = {
	{ NULL, NULL, false, "x@other.example", RELAY },
	{ NULL, NULL, true, "x@other.example", ROUTE },
	{ NULL, NULL, true, "nobody@example.test", USER },
	{ "Auth_Can_Relay", "false", true, "x@other.example", RELAY },
	{ "Auth_Can_Relay", "false", true, "alice@example.test", OK },
	{ "Relay_Domains", "example.test", true, "x@other.example", ROUTE },
	{ "Require_Auth", "true", true, "x@other.example", ROUTE },
	{ "Require_Auth", "true", false, "alice@example.test",
	    "530 5.7.0 Authentication required\r\n" },
};

Test(policy_relay, knows_who_has_logged_in)
{
	char line[300];
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		f = with_auth();
		if (logins[i].option != NULL)
			fake_option(f, logins[i].option, logins[i].value,
			    NULL);
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
		if (logins[i].is_auth)
			cr_assert_str_eq(fake_say(f, GOOD), LOGGED_IN);
		fake_say(f, "MAIL FROM:<a@sender.example>\r\n");
		snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n",
		    logins[i].said);
		cr_expect_str_eq(fake_say(f, line), logins[i].reply,
		    "%s=%s %s: %s", logins[i].option, logins[i].value,
		    logins[i].said, f->reply);
		fake_end(f);
	}
}

#define SENDER	"250 2.1.0 Sender OK\r\n"
#define NOT_YOURS "553 5.7.1 Your login may not use this sender address\r\n"

/* alice is alice@example.test and all of client.example: simauth.c */
static const struct {
	const char	*option;
	bool		 is_auth;
	const char	*sender, *reply;
} senders[] = {
	{ "file:/x", true, "alice@example.test", SENDER },
	{ "file:/x", true, "bob@example.test", NOT_YOURS },
	{ "file:/x", true, "alice@client.example", SENDER },
	{ "file:/x", true, "alice@other.example", NOT_YOURS },
	{ "file:/x", true, "", SENDER },
	{ "file:/x", false, "bob@example.test", SENDER },
	{ "", true, "bob@example.test", SENDER },
};

Test(policy_sender, is_asked_of_who_has_logged_in)
{
	char line[300];
	struct fake *f;
	size_t i;

	for (i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		f = with_auth();
		fake_option(f, "Sender_Login", senders[i].option, NULL);
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
		if (senders[i].is_auth)
			cr_assert_str_eq(fake_say(f, GOOD), LOGGED_IN);
		snprintf(line, sizeof(line), "MAIL FROM:<%s>\r\n",
		    senders[i].sender);
		cr_expect_str_eq(fake_say(f, line), senders[i].reply,
		    "%s: %s", senders[i].sender, f->reply);
		fake_end(f);
	}
}
