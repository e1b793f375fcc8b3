#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/parse/esmtp_received.h"

Test(esmtp_received, dates_are_those_of_the_c_library)
{
	char buf[ESMTP_DATE_MAX], want[64];
	struct tm tm;
	time_t t;

	/* every 9 hours and some, 1970 to 2400 */
	for (t = 0; t < INT64_C(13569465600); t += 33333) {
		gmtime_r(&t, &tm);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S +0000",
		    &tm);
		esmtp_date_format(t, buf);
		cr_assert_str_eq(buf, want, "%lld", (long long)t);
	}
}

static size_t
format(const struct esmtp_received *r, char *buf)
{
	size_t n = esmtp_received_format(r, buf);

	buf[n] = '\0';
	return n;
}

Test(esmtp_received, has_the_form_of_rfc_5321_4_4)
{
	struct esmtp_received r = { .helo = "client.example",
	    .peer = "2001:db8::1", .by = "mx.example.test", .id = "0ABC",
	    .rcpt = "\"a b\"@example.test", .seconds = 1700000000 };
	char buf[ESMTP_RECEIVED_MAX + 1];

	format(&r, buf);
	cr_assert_str_eq(buf,
	    "Received: from client.example ([IPv6:2001:db8::1])\r\n"
	    "\tby mx.example.test (mailmill) with SMTP id 0ABC\r\n"
	    "\tfor <\"a b\"@example.test>; Tue, 14 Nov 2023 22:13:20 +0000"
	    "\r\n");
	r.rcpt = NULL;
	r.helo = NULL;
	r.is_esmtp = true;
	r.peer = "192.0.2.1";
	format(&r, buf);
	cr_assert_str_eq(buf, "Received: from unknown ([192.0.2.1])\r\n"
	    "\tby mx.example.test (mailmill) with ESMTP id 0ABC;\r\n"
	    "\tTue, 14 Nov 2023 22:13:20 +0000\r\n");
}

/* RFC 5321 4.4: From-domain is a Domain alone, and CFWS stands before "by". */
Test(esmtp_received, a_client_of_a_unix_socket_is_a_comment)
{
	struct esmtp_received r = { .helo = "client.example",
	    .peer = "unix:4294967294", .is_local = true, .uid = 4294967294u,
	    .by = "mx.example.test", .id = "0ABC", .is_lmtp = true,
	    .seconds = 1700000000 };
	char buf[ESMTP_RECEIVED_MAX + 1];

	format(&r, buf);
	cr_assert_str_eq(buf,
	    "Received: from client.example (local uid 4294967294)\r\n"
	    "\tby mx.example.test (mailmill) with LMTP id 0ABC;\r\n"
	    "\tTue, 14 Nov 2023 22:13:20 +0000\r\n");
	r.uid = 0;
	r.peer_name = "a(b";
	format(&r, buf);
	cr_assert_eq(strstr(buf, "from client.example (a?b local uid 0)\r\n"),
	    buf + strlen("Received: "), "%s", buf);
}

/* RFC 6710 7 */
Test(esmtp_received, tells_the_priority_that_was_said)
{
	static const struct {
		int		 priority;
		const char	*clause;
	} cases[] = {
		{ 0, "PRIORITY 0; " }, { 9, "PRIORITY 9; " },
		{ -9, "PRIORITY -9; " }, { -1, "PRIORITY -1; " },
	};
	struct esmtp_received r = { .peer = "192.0.2.1", .by = "mx",
	    .id = "I", .is_esmtp = true, .seconds = 1700000000 };
	char buf[ESMTP_RECEIVED_MAX + 1], want[128];
	size_t i;

	format(&r, buf);
	cr_expect_null(strstr(buf, "PRIORITY"));
	r.has_priority = true;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r.priority = cases[i].priority;
		r.rcpt = NULL;
		snprintf(want, sizeof(want), "id I\r\n\t%sTue, 14 Nov 2023 "
		    "22:13:20 +0000\r\n", cases[i].clause);
		format(&r, buf);
		cr_expect_not_null(strstr(buf, want), "%s", buf);
		r.rcpt = "a@b";
		snprintf(want, sizeof(want), "for <a@b>\r\n\t%sTue, ",
		    cases[i].clause);
		format(&r, buf);
		cr_expect_not_null(strstr(buf, want), "%s", buf);
	}
}

/* RFC 3865 2.6 */
Test(esmtp_received, names_the_classes_of_a_solicitation)
{
	struct esmtp_received r = { .peer = "192.0.2.1", .by = "mx",
	    .id = "I", .is_esmtp = true, .seconds = 1700000000,
	    .solicit = "net.example:ADV,org.example:ADV:ADLT" };
	char buf[ESMTP_RECEIVED_MAX + 1], list[1001], *p;
	size_t i;

	format(&r, buf);
	cr_assert_str_eq(buf, "Received: from unknown ([192.0.2.1])\r\n"
	    "\tby mx (mailmill) with ESMTP\r\n"
	    "\t(SOLICIT=net.example:ADV,org.example:ADV:ADLT)\r\n"
	    "\tid I;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n");
	/* RFC 5322 2.1.1: 998 octets in a line, also of the longest list */
	r.solicit = list;
	for (i = 1; i < 1000; i++) {
		memset(list, 'a', 1000);
		list[1000] = '\0';
		list[i] = ',';
		format(&r, buf);
		for (p = buf; *p != '\0'; p += strcspn(p, "\n") + 1)
			cr_assert_leq(strcspn(p, "\r"), 998, "%zu: %s", i,
			    buf);
		cr_assert_not_null(strstr(buf, ")\r\n\tid I;"));
	}
}

Test(esmtp_received, a_hostile_name_cannot_leave_its_place)
{
	struct esmtp_received r = { .peer = "192.0.2.1", .by = "mx", .id = "I",
	    .rcpt = "a@b", .is_esmtp = true };
	char buf[ESMTP_RECEIVED_MAX + 1], name[2000];

	r.helo = "x) by evil (y; \"\\\r\nX: \x80";
	format(&r, buf);
	cr_assert_eq(strncmp(buf, "Received: from x??by?evil??y????"
	    "??X:??", 38), 0, "%s", buf);
	memset(name, ')', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	r.helo = r.by = r.id = r.rcpt = r.login = r.tls_peer = name;
	r.tls_protocol = r.tls_cipher = name;
	r.tls_bits = 9999;
	r.tls_is_resumed = true;
	r.has_priority = true;
	r.priority = -9;
	r.solicit = name + sizeof(name) - 1001;
	cr_assert_leq(format(&r, buf), ESMTP_RECEIVED_MAX);
}

/* RFC 3848: ESMTPS, ESMTPA, ESMTPSA, and the same of LMTP */
Test(esmtp_received, says_with_which_protocol_it_came)
{
	static const struct {
		bool		 is_esmtp, is_tls, is_auth, is_lmtp;
		const char	*with;
	} cases[] = {
		{ false, false, false, false, " with SMTP id " },
		{ false, true, false, false, " with SMTP id " },
		{ true, false, false, false, " with ESMTP id " },
		{ true, true, false, false, " with ESMTPS id " },
		{ true, false, true, false, " with ESMTPA id " },
		{ true, true, true, false, " with ESMTPSA id " },
		{ true, false, false, true, " with LMTP id " },
		{ true, true, false, true, " with LMTPS id " },
		{ true, false, true, true, " with LMTPA id " },
		{ true, true, true, true, " with LMTPSA id " },
		/* who has not said LHLO, where that is allowed */
		{ false, true, false, true, " with LMTPS id " },
	};
	char buf[ESMTP_RECEIVED_MAX + 1];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct esmtp_received r = { .peer = "192.0.2.1", .by = "mx",
		    .id = "I", .tls_cipher = "X", .tls_bits = 128 };

		r.is_esmtp = cases[i].is_esmtp;
		r.is_auth = cases[i].is_auth;
		r.is_lmtp = cases[i].is_lmtp;
		r.tls_protocol = cases[i].is_tls ? "TLSv1.3" : NULL;
		format(&r, buf);
		cr_expect_not_null(strstr(buf, cases[i].with), "%s", buf);
	}
}

/* RFC 6531 4.3: UTF8SMTP and its variants; 3.7.3: the recipient may be UTF-8. */
Test(esmtp_received, says_that_the_message_is_utf8)
{
	static const struct {
		bool		 is_tls, is_auth;
		const char	*with;
	} cases[] = {
		{ false, false, " with UTF8SMTP id " },
		{ true, false, " with UTF8SMTPS id " },
		{ false, true, " with UTF8SMTPA id " },
		{ true, true, " with UTF8SMTPSA id " },
	};
	struct esmtp_received r = { .peer = "192.0.2.1", .by = "mx", .id = "I",
	    .tls_cipher = "X", .tls_bits = 128, .is_esmtp = true,
	    .rcpt = "gr\xc3\xbcn@x" };
	char buf[ESMTP_RECEIVED_MAX + 1], name[2000];
	size_t i;

	format(&r, buf);
	cr_expect_not_null(strstr(buf, "for <gr??n@x>;"), "%s", buf);
	r.is_utf8 = true;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r.is_auth = cases[i].is_auth;
		r.tls_protocol = cases[i].is_tls ? "TLSv1.3" : NULL;
		format(&r, buf);
		cr_expect_not_null(strstr(buf, cases[i].with), "%s", buf);
		cr_expect_not_null(strstr(buf, "for <gr\xc3\xbcn@x>;"), "%s",
		    buf);
	}
	/* 3.7.3: domains have U-labels, if they stand for any */
	r.rcpt = "x@xn--grn-ioa.example";
	r.by = "mx.xn--grn-ioa.example";
	format(&r, buf);
	cr_expect_not_null(strstr(buf, "for <x@gr\xc3\xbcn.example>;"), "%s",
	    buf);
	cr_expect_not_null(strstr(buf, "by mx.gr\xc3\xbcn.example (mailmill)"),
	    "%s", buf);
	r.rcpt = "x@xn--a.xn--zzzzzzz-.example";
	format(&r, buf);
	cr_expect_not_null(strstr(buf, "for <x@xn--a.xn--zzzzzzz-.example>;"),
	    "%s", buf);
	r.is_utf8 = false;
	r.rcpt = "x@xn--grn-ioa.example";
	format(&r, buf);
	cr_expect_not_null(strstr(buf, "for <x@xn--grn-ioa.example>;"));
	r.is_utf8 = true;
	r.rcpt = "a\xe2\x80\xae\xff\r\n\xc3";
	format(&r, buf);
	cr_expect_not_null(strstr(buf, "for <a???????" ">;"), "%s", buf);
	for (i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xbc", 2);
	name[i] = '\0';
	r.rcpt = name + 1;
	cr_assert_leq(format(&r, buf), ESMTP_RECEIVED_MAX);
}

Test(esmtp_received, tells_of_tls_and_of_the_login)
{
	struct esmtp_received r = { .helo = "client.example",
	    .peer = "192.0.2.1", .by = "mx.example.test", .id = "0ABC",
	    .is_esmtp = true, .seconds = 1700000000,
	    .tls_protocol = "TLSv1.2", .tls_bits = 56,
	    .tls_cipher = "ECDHE-ECDSA-AES128-GCM-SHA256" };
	char buf[ESMTP_RECEIVED_MAX + 1];

	format(&r, buf);
	cr_assert_str_eq(buf,
	    "Received: from client.example ([192.0.2.1])\r\n"
	    "\t(TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 56 bits)\r\n"
	    "\tby mx.example.test (mailmill) with ESMTPS id 0ABC;\r\n"
	    "\tTue, 14 Nov 2023 22:13:20 +0000\r\n");
	r.is_auth = r.tls_is_resumed = true;
	r.login = "al(ice) x@example.test";
	r.tls_peer = "b\\ob)@\r\nexample.test";
	r.tls_bits = 1024;
	format(&r, buf);
	cr_assert_str_eq(buf,
	    "Received: from client.example ([192.0.2.1])\r\n"
	    "\t(TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 1024 bits, resumed, "
	    "client b?ob?@??example.test)\r\n"
	    "\t(authenticated as al?ice? x@example.test)\r\n"
	    "\tby mx.example.test (mailmill) with ESMTPSA id 0ABC;\r\n"
	    "\tTue, 14 Nov 2023 22:13:20 +0000\r\n");
}

Test(esmtp_received, a_text_of_somebody_else_stays_one_field)
{
	static const struct {
		const char	*text, *field;
	} rows[] = {
		{ "from x", "Received: from x\r\n" },
		{ "Received: from x", "Received: from x\r\n" },
		{ "RECEIVED:from x\r\n", "Received: from x\r\n" },
		{ "a\nb\r\rc\r\n\r\n \td", "Received: a\r\n\tb\r\n\tc"
		    "\r\n\td\r\n" },
		{ "a \r\n", "Received: a\r\n" },
		{ "a\001b\177c\303\244", "Received: a?b?c??\r\n" },
		{ "", "" }, { " \r\n\t", "" }, { "Received:", "" },
		{ "Received: ", "" },
	};
	char buf[ESMTP_RECEIVED_OWN_MAX + 1];
	size_t i, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = esmtp_received_own(rows[i].text, strlen(rows[i].text),
		    buf);
		buf[n] = '\0';
		cr_expect_str_eq(buf, rows[i].field, "%zu: %s", i, buf);
	}
}

Test(esmtp_received, a_text_that_is_too_long_is_none)
{
	char text[ESMTP_RECEIVED_OWN_MAX * 2], *buf;
	size_t len, n, fold;

	buf = malloc(ESMTP_RECEIVED_OWN_MAX);
	for (fold = 1; fold <= 1100; fold += 99)
		for (len = 0; len < sizeof(text); len += 61) {
			for (n = 0; n < len; n++)
				text[n] = n % fold == fold - 1 ? '\n' : 'x';
			n = esmtp_received_own(text, len, buf);
			cr_assert_leq(n, ESMTP_RECEIVED_OWN_MAX);
			if (n > 0)
				cr_assert_eq(memcmp(buf + n - 2, "\r\n", 2),
				    0);
		}
	memset(text, 'x', 2000);
	/* "Received: " and 988 are 998 octets */
	cr_assert_eq(esmtp_received_own(text, 988, buf), 1000);
	cr_assert_eq(esmtp_received_own(text, 989, buf), 0);
	free(buf);
}
