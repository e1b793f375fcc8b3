#include "proto/report/dsn.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char message[] =
    "Received: from client.test\r\n"
    "Subject: hello\r\n"
    "\r\n"
    "body\r\n";

static struct dsn_rcpt rcpts[3];
static struct dsn d;
static char *text;
static size_t len;
static unsigned int needs;

static void
setup(void)
{
	size_t i;

	for (i = 0; i < 3; i++)
		rcpts[i] = (struct dsn_rcpt){ .rcpt = "joe@example.test",
			.enhanced = "", .remote = "", .text = "",
			.last_attempt = 1700000300 };
	rcpts[0].code = 550;
	rcpts[0].enhanced = "5.1.1";
	rcpts[0].remote = "mail.example.test[192.0.2.9]";
	rcpts[0].text = "no such user here";
	d = (struct dsn){ .hostname = "mx.example.org", .id = "06JP0ZDGQ9R47",
		.now = 1700000301, .to = "anna@sender.test",
		.of = "06JP0ZDGQ0000", .sender = "anna@sender.test",
		.arrival = 1700000000, .text = message,
		.len = sizeof(message) - 1, .rcpts = rcpts, .nrcpts = 1 };
	text = NULL;
}

static void
teardown(void)
{
	free(text);
}

TestSuite(dsn, .init = setup, .fini = teardown);

static void
compose(void)
{
	char *p;

	free(text);
	p = dsn_compose(&d, &len, &needs);
	cr_assert_not_null(p);
	text = malloc(len + 1);
	memcpy(text, p, len);
	text[len] = '\0';
	cr_assert_eq(strlen(text), len);
	free(p);
}

static bool
has(const char *what)
{
	return strstr(text, what) != NULL;
}

Test(dsn, a_failure_is_told_to_people_and_to_programs)
{
	static const char want[] =
	    "Received: by mx.example.org (mailmill)\r\n"
	    "\tid 06JP0ZDGQ9R47; Tue, 14 Nov 2023 22:18:21 +0000\r\n"
	    "Date: Tue, 14 Nov 2023 22:18:21 +0000\r\n"
	    "From: Mail server <postmaster@mx.example.org>\r\n"
	    "To: <anna@sender.test>\r\n"
	    "Subject: Your message could not be delivered\r\n"
	    "Message-ID: <06JP0ZDGQ9R47.report@mx.example.org>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"06JP0ZDGQ9R47.0\"\r\n"
	    "\r\n"
	    "--06JP0ZDGQ9R47.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "Content-Description: What has happened\r\n"
	    "\r\n"
	    "This is the mail server mx.example.org.\r\n"
	    "\r\n"
	    "The message could not be delivered to this recipient, and is not tried\r\n"
	    "again:\r\n"
	    "\r\n"
	    "  <joe@example.test>\r\n"
	    "    mail.example.test[192.0.2.9] refused it, and said:\r\n"
	    "    550 5.1.1 no such user here\r\n"
	    "\r\n"
	    "Look for a mistake in the address, then send the message again; or ask the\r\n"
	    "recipient by another way.\r\n"
	    "\r\n"
	    "For help write to <postmaster@mx.example.org>, and send this report.\r\n"
	    "In the server's log the message is 06JP0ZDGQ0000.\r\n"
	    "\r\n"
	    "--06JP0ZDGQ9R47.0\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "Content-Description: Delivery report\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mx.example.org\r\n"
	    "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
	    "X-Mailmill-Message-ID: 06JP0ZDGQ0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; joe@example.test\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mail.example.test\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user here\r\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:18:20 +0000\r\n"
	    "\r\n"
	    "--06JP0ZDGQ9R47.0\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "Content-Description: The header of your message\r\n"
	    "\r\n"
	    "Received: from client.test\r\n"
	    "Subject: hello\r\n"
	    "\r\n"
	    "--06JP0ZDGQ9R47.0--\r\n";

	compose();
	cr_assert_str_eq(text, want);
	cr_assert_eq(needs, 0);
}

Test(dsn, each_action_has_its_words_and_its_fields)
{
	rcpts[0].action = DSN_DELIVERED;
	rcpts[0].code = 0;
	rcpts[0].enhanced = rcpts[0].remote = rcpts[0].text = "";
	rcpts[1].action = DSN_RELAYED;
	rcpts[1].remote = "[192.0.2.1]";
	rcpts[1].code = 250;
	rcpts[1].text = "queued";
	rcpts[2].action = DSN_DELAYED;
	rcpts[2].text = "Disk quota exceeded";
	rcpts[2].retry_until = 1700432000;
	d.nrcpts = 3;
	compose();
	cr_assert(has("Subject: Your message is delayed\r\n"));
	cr_assert(has("is in the mailbox of this recipient:"));
	cr_assert(has("Action: delivered\r\nStatus: 2.0.0\r\nLast-Attempt"));
	cr_assert(has("Action: relayed\r\nStatus: 2.0.0\r\n"
	    "Remote-MTA: dns; [192.0.2.1]\r\n"
	    "Diagnostic-Code: smtp; 250 queued\r\n"));
	cr_assert(has("[192.0.2.1] took it, and said:"));
	cr_assert(has("Action: delayed\r\nStatus: 4.0.0\r\n"
	    "Diagnostic-Code: x-mailmill; Disk quota exceeded\r\n"
	    "Last-Attempt-Date: Tue, 14 Nov 2023 22:18:20 +0000\r\n"
	    "Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000\r\n"));
	cr_assert(has("goes on trying until Sun, 19 Nov 2023"));
	rcpts[0].action = rcpts[1].action = rcpts[2].action = DSN_FAILED;
	compose();
	cr_assert(has("to these recipients"));
	cr_assert_not(has("Will-Retry-Until"));
}

Test(dsn, the_status_says_what_is_known)
{
	static const struct {
		enum dsn_action	 action;
		enum dsn_why	 why;
		const char	*enhanced, *status;
	} cases[] = {
		{ DSN_FAILED, DSN_REFUSED, "", "5.0.0" },
		{ DSN_FAILED, DSN_REFUSED, "5.7.1", "5.7.1" },
		{ DSN_FAILED, DSN_REFUSED, "2.0.0", "5.0.0" },
		{ DSN_FAILED, DSN_EXPIRED, "", "4.4.7" },
		{ DSN_FAILED, DSN_EXPIRED, "4.2.2", "4.2.2" },
		{ DSN_FAILED, DSN_LATE, "4.2.2", "5.4.7" },
		{ DSN_DELAYED, 0, "4.2.2", "4.2.2" },
		{ DSN_DELAYED, 0, "5.2.2", "4.0.0" },
		{ DSN_DELAYED, DSN_LATE, "4.2.2", "4.4.7" },
		{ DSN_RELAYED, 0, "2.1.5", "2.1.5" },
		{ DSN_EXPANDED, 0, "5.1.5", "2.0.0" },
	};
	char line[32];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rcpts[0].action = cases[i].action;
		rcpts[0].why = cases[i].why;
		rcpts[0].enhanced = cases[i].enhanced;
		compose();
		snprintf(line, sizeof(line), "\r\nStatus: %s\r\n",
		    cases[i].status);
		cr_expect(has(line), "%zu", i);
	}
}

Test(dsn, what_the_envelope_has_said_is_in_it)
{
	d.envid = "QQ314159";
	rcpts[0].orcpt = "rfc822;Joe@Example.Test";
	compose();
	cr_assert(has("\r\n\r\nOriginal-Envelope-Id: QQ314159\r\n"
	    "Reporting-MTA:"));
	cr_assert(has("\r\n\r\nOriginal-Recipient: rfc822; Joe@Example.Test\r\n"
	    "Final-Recipient:"));
	rcpts[0].orcpt = "nonsense";
	compose();
	cr_assert(has("Original-Recipient: unknown; nonsense\r\n"));
}

/* A worker that is not honest may have written any ORCPT into the spool. */
Test(dsn, a_long_type_of_an_address_makes_no_long_line)
{
	const char *line, *end;
	char orcpt[2001];

	memset(orcpt, 'x', sizeof(orcpt) - 1);
	orcpt[sizeof(orcpt) - 1] = '\0';
	orcpt[900] = ';';
	rcpts[0].orcpt = orcpt;
	compose();
	line = strstr(text, "Original-Recipient: ");
	cr_assert_not_null(line);
	end = strstr(line, "\r\n");
	cr_assert_leq(end - line, 998);
}

Test(dsn, the_whole_message_is_returned_if_its_octets_allow_it)
{
	d.is_whole = true;
	compose();
	cr_assert(has("Content-Type: message/rfc822\r\n"));
	cr_assert(has("Subject: hello\r\n\r\nbody\r\n\r\n--06JP0ZDGQ9R47.0--\r\n"));
	d.text = "Subject: x\r\n\r\nbare\nline\r\n";
	d.len = strlen(d.text);
	compose();
	cr_assert(has("Content-Type: text/rfc822-headers\r\n"));
	cr_assert_not(has("bare"));
	d.text = "Subject: x\r\n\r\ncaf\xe9\r\n";
	d.len = strlen(d.text);
	compose();
	cr_assert(has("Content-Transfer-Encoding: 8bit\r\n\r\nSubject: x"));
	cr_assert_eq(needs, DSN_NEEDS_8BITMIME);
}

/* RFC 6522 3.  No part of such a message has an encoding, so a server that had to
 * convert the report would drop it. */
Test(dsn, what_cannot_be_converted_to_7_bits_is_returned_as_its_header)
{
	static const struct {
		const char	*text;
		bool		 is_whole;
	} cases[] = {
		/* RFC 2046 5.2.1: a header is ASCII */
		{ "Subject: caf\xe9\r\n\r\ntext\r\n", false },
		{ "Subject: gr\xc3\xbcn\r\n\r\ntext\r\n", false },
		{ "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		    "--b\r\nContent-Description: caf\xe9\r\n\r\ntext\r\n--b--\r\n",
		    false },
		{ "Subject: x\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n"
		    "--b\r\n\r\ncaf\xe9\r\n--b--\r\n", false },
		{ "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		    "--b\r\n\r\ncaf\xe9\r\n--b--\r\n", true },
	};
	unsigned int eight;
	size_t i, k;

	d.is_whole = true;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		d.text = cases[i].text;
		d.len = strlen(d.text);
		compose();
		for (eight = 0, k = 0; k < len; k++)
			eight |= text[k] & 0x80;
		cr_expect_eq(eight != 0, cases[i].is_whole, "%zu", i);
		cr_expect_eq(needs, cases[i].is_whole ? DSN_NEEDS_8BITMIME : 0,
		    "%zu", i);
		cr_expect_eq(has("Content-Type: message/rfc822\r\n"),
		    cases[i].is_whole, "%zu", i);
		cr_expect_eq(has("Content-Type: text/rfc822-headers\r\n"),
		    !cases[i].is_whole, "%zu", i);
		cr_expect(has("Action: failed\r\n"), "%zu", i);
	}
	d.text = cases[0].text;
	d.len = strlen(d.text);
	compose();
	cr_expect(has("\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "Subject: caf=E9\r\n\r\n--06JP0ZDGQ9R47.0--\r\n"));
}

Test(dsn, a_header_that_is_returned_alone_is_encoded_line_by_line)
{
	d.text = "Subject: caf\xe9 = x \r\nX: --06JP0ZDGQ9R47.0\r\n"
	    "--06JP0ZDGQ9R47.0\r\n\r\nbody";
	d.len = strlen(d.text);
	compose();
	cr_expect(has("Subject: caf=E9 =3D x=20\r\nX: --06JP"));
	cr_expect(has("\r\n=2D-06JP0ZDGQ9R47.0\r\n\r\n--06JP0ZDGQ9R47.1--\r\n"));
	cr_expect_eq(needs, 0);
}

Test(dsn, the_boundary_is_one_that_the_message_does_not_have)
{
	d.is_whole = true;
	d.text = "Subject: x\r\n\r\n--06JP0ZDGQ9R47.0--\r\n06JP0ZDGQ9R47.1\r\n";
	d.len = strlen(d.text);
	compose();
	cr_assert(has("boundary=\"06JP0ZDGQ9R47.2\""));
}

Test(dsn, of_a_message_that_cannot_be_read_there_is_no_third_part)
{
	d.text = NULL;
	d.len = 0;
	compose();
	cr_assert_not(has("rfc822-headers"));
	cr_assert(has("Status: 5.1.1"));
}

#define GREEN	"gr\xc3\xbcn@xn--grn-ioa.example"

Test(dsn, utf_8_is_encoded_unless_the_sender_has_it_in_the_address)
{
	static const char utf8[] = "Subject: gr\xc3\xbcn\r\n\r\nbody\r\n";

	d.is_utf8 = true;
	d.text = utf8;
	d.len = strlen(utf8);
	rcpts[0].rcpt = GREEN;
	rcpts[0].orcpt = "utf-8;" GREEN;
	rcpts[0].text = "kein Postfach f\xc3\xbcr gr\xc3\xbcn";
	compose();
	cr_assert_eq(needs, 0);
	cr_assert(has("Content-Type: text/plain; charset=utf-8\r\n"));
	cr_assert(has("Content-Type: message/global-delivery-status\r\n"));
	cr_assert(has("Content-Type: message/global-headers\r\n"));
	cr_assert(has("Content-Transfer-Encoding: base64\r\n"));
	d.to = d.sender = "\xc3\xa4nne@sender.test";
	compose();
	cr_assert_eq(needs, DSN_NEEDS_8BITMIME | DSN_NEEDS_SMTPUTF8);
	cr_assert(has("To: <\xc3\xa4nne@sender.test>\r\n"));
	cr_assert(has("Original-Recipient: utf-8; " GREEN "\r\n"
	    "Final-Recipient: utf-8; " GREEN "\r\n"));
	cr_assert(has("Diagnostic-Code: smtp; 550 5.1.1 kein Postfach "
	    "f\xc3\xbcr gr\xc3\xbcn\r\n"));
	cr_assert(has("\r\n\r\nSubject: gr\xc3\xbcn\r\n"));
	cr_assert_not(has("base64"));
}

/* RFC 6533 3: without SMTPUTF8 an ORCPT may still have such an address. */
Test(dsn, an_address_in_utf_8_has_its_ascii_form_in_a_plain_report)
{
	rcpts[0].orcpt = "utf-8;" GREEN;
	rcpts[0].text = "f\xc3\xbcr";
	compose();
	cr_assert(has("Original-Recipient: utf-8; "
	    "gr\\x{FC}n@xn--grn-ioa.example\r\n"));
	cr_assert(has("Diagnostic-Code: smtp; 550 5.1.1 f??r\r\n"));
	cr_assert_eq(needs, 0);
}

Test(dsn, what_a_next_hop_says_stays_in_its_field)
{
	rcpts[0].text = "no\r\nBcc: all@example.test\r\n\r\n--06JP0ZDGQ9R47.0";
	rcpts[0].remote = "evil\r\nX: y";
	d.envid = "a\nb";
	compose();
	cr_assert_not(has("\nBcc"));
	cr_assert_not(has("\nX:"));
	cr_assert(has("Remote-MTA: dns; evil??X: y\r\n"));
	cr_assert(has("Original-Envelope-Id: a?b\r\n"));
}

Test(dsn, long_words_are_folded)
{
	char words[241];

	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	words[60] = words[120] = words[180] = ' ';
	rcpts[0].text = words;
	compose();
	words[60] = words[120] = words[180] = '\0';
	cr_assert(has(words));
	cr_assert(has("www\r\n wwww"), "of the field");
	cr_assert(has("www\r\n    wwww"), "of the words");
}

Test(dsn, a_failed_report_is_told_to_the_postmaster)
{
	d.to = "postmaster@mx.example.org";
	d.sender = "";
	compose();
	cr_assert(has("To: <postmaster@mx.example.org>\r\n"
	    "Subject: A message without a sender could not be delivered\r\n"));
	cr_assert(has("A message without a sender has failed"));
	cr_assert(!has("our message"));
}

Test(dsn, so_is_one_whose_sender_cannot_be_told)
{
	d.to = "postmaster@mx.example.org";
	d.sender = "gone@example.net";
	compose();
	cr_assert(has("To: <postmaster@mx.example.org>\r\n"
	    "Subject: A message could not be delivered, and its sender cannot be "
	    "told\r\n"));
	cr_assert(has("The sender is:\r\n\r\n  <gone@example.net>\r\n"));
	cr_assert(!has("without a sender"));
	cr_assert(!has("our message"));
	cr_assert(!has("Look for a mistake"));
}

Test(dsn, the_reason_of_a_failure_is_told)
{
	rcpts[0].why = DSN_EXPIRED;
	d.now = d.arrival + 5 * 86400 + 60;
	compose();
	cr_assert(has("The server has tried for 5 days. The last time:"));
	rcpts[0].why = DSN_LATE;
	compose();
	cr_assert(has("The time is over by which"));
}
