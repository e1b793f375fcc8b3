#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/esmtp_received.h"

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
	r.helo = r.by = r.id = r.rcpt = name;
	cr_assert_leq(format(&r, buf), ESMTP_RECEIVED_MAX);
}
