/* The attributes of XCLIENT and XFORWARD. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/parse/xattr.h"

static const struct xattr_row rows[] = {
	{ .name = "NAME", .form = XATTR_HOST },
	{ .name = "ADDR", .form = XATTR_ADDR },
	{ .name = "PORT", .form = XATTR_PORT },
	{ .name = "PROTO", .form = XATTR_WORD, .words = "SMTP|ESMTP" },
	{ .name = "HELO", .form = XATTR_TEXT, .max = 64 },
	{ .name = "LOGIN", .form = XATTR_LOGIN },
	{ .name = "PLACE", .form = XATTR_PLACE }
};
#define NROWS	(sizeof(rows) / sizeof(rows[0]))

static struct xattr v[NROWS];
static struct xattr_bad bad;

static int
parse(const char *s)
{
	char *exact = malloc(strlen(s) + 1);	/* for ASan: no NUL behind it */
	int rc;

	memcpy(exact, s, strlen(s));
	rc = xattr_parse(exact, strlen(s), rows, NROWS, v, &bad);
	bad.name = s + (bad.name - exact);
	free(exact);
	return rc;
}

/* One attribute: what is kept; "-": unavailable; NULL: refused. */
static const struct { const char *text, *kept; size_t row; } values[] = {
	{ "NAME=mx.example.net", "mx.example.net", 0 },
	{ "name=a_b.example", "a_b.example", 0 },
	{ "NAME=[UNAVAILABLE]", "-", 0 },
	{ "NAME=[tempUnavail]", "-", 0 },
	{ "NAME=-x", NULL, 0 },
	{ "NAME=[192.0.2.1]", NULL, 0 },
	{ "NAME=a+20b", NULL, 0 },
	{ "NAME=", NULL, 0 },
	{ "NAME", NULL, 0 },
	{ "=x", NULL, 0 },
	{ "NAM=x", NULL, 0 },
	{ "NAMES=x", NULL, 0 },
	{ "ADDR=192.0.2.7", "192.0.2.7", 1 },
	{ "ADDR=192.0.2.007", NULL, 1 },
	{ "ADDR=192.0.2", NULL, 1 },
	{ "ADDR=192.0.2.256", NULL, 1 },
	{ "ADDR=[192.0.2.7]", NULL, 1 },
	{ "ADDR=IPV6:2001:DB8:0::7", "2001:db8::7", 1 },
	{ "ADDR=ipv6:2001:db8::7", "2001:db8::7", 1 },
	{ "ADDR=2001:db8::7", NULL, 1 },
	{ "ADDR=IPV6:::ffff:192.0.2.7", "192.0.2.7", 1 },
	{ "ADDR=IPV6:192.0.2.7", NULL, 1 },
	{ "ADDR=IPV6:", NULL, 1 },
	{ "ADDR=fe80::1%eth0", NULL, 1 },
	{ "ADDR=[unavailable]", "-", 1 },
	{ "ADDR=[TEMPUNAVAIL]", NULL, 1 },
	{ "PORT=0", "0", 2 },
	{ "PORT=65535", "65535", 2 },
	{ "PORT=65536", NULL, 2 },
	{ "PORT=000001", NULL, 2 },
	{ "PORT=-1", NULL, 2 },
	{ "PORT=+2B1", NULL, 2 },
	{ "PORT=18446744073709551617", NULL, 2 },
	{ "PORT=[UNAVAILABLE]", "-", 2 },
	{ "PROTO=esmtp", "ESMTP", 3 },
	{ "PROTO=SMTP", "SMTP", 3 },
	{ "PROTO=SMT", NULL, 3 },
	{ "PROTO=SMTP|ESMTP", NULL, 3 },
	{ "PROTO=SMTPS", NULL, 3 },
	{ "HELO=[192.0.2.7]", "[192.0.2.7]", 4 },
	{ "HELO=a+20<b>+28c+29@+22\\;", "a??b??c?????", 4 },
	{ "HELO=a+0D+0Ab", NULL, 4 },
	{ "HELO=a+00", NULL, 4 },
	{ "HELO=a+7F", NULL, 4 },
	{ "HELO=a+C3+A4", NULL, 4 },
	{ "HELO=a+", NULL, 4 },
	{ "HELO=a+2", NULL, 4 },
	{ "HELO=a+2g", NULL, 4 },
	{ "HELO=a=b", NULL, 4 },
	{ "LOGIN=a+20b+3Dc@example.net", "a b=c@example.net", 5 },
	{ "LOGIN=[UNAVAILABLE]", "-", 5 },
	{ "PLACE=192.0.2.7", "192.0.2.7", 6 },
	{ "PLACE=IPV6:2001:DB8:0::7", "2001:db8::7", 6 },
	{ "PLACE=2001:DB8:0::7", "2001:db8::7", 6 },
	{ "PLACE=node!user+20(x)", "node!user??x?", 6 },
	{ "PLACE=192.0.2.7+00", NULL, 6 },
	{ "PLACE=[UNAVAILABLE]", "-", 6 },
};

Test(xattr, values_have_the_form_of_their_attribute)
{
	const char *kept;
	size_t i, j, r;
	int rc;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		kept = values[i].kept;
		r = values[i].row;
		errno = 0;
		rc = parse(values[i].text);
		cr_expect_eq(rc, kept != NULL ? 0 : -1, "%s",
		    values[i].text);
		if (kept == NULL || rc == -1) {
			cr_expect_eq(errno, EINVAL, "%s", values[i].text);
			continue;
		}
		for (j = 0; j < NROWS; j++)
			cr_expect_eq(v[j].is_given, j == r, "%s",
			    values[i].text);
		cr_expect_eq(v[r].is_known, strcmp(kept, "-") != 0);
		cr_expect_str_eq(v[r].text, v[r].is_known ? kept : "", "%s",
		    values[i].text);
	}
}

static void
refused(const char *s, const char *name)
{
	cr_expect_eq(parse(s), -1, "%s", s);
	cr_expect_eq(bad.len, strlen(name), "%s", s);
	cr_expect_eq(memcmp(bad.name, name, strlen(name)), 0, "%s", s);
}

Test(xattr, what_is_refused_is_named)
{
	refused("", "");
	refused("   ", "");
	refused("NAME=a ADDR=x PORT=1", "ADDR");
	refused("NAME=a WHAT=x", "WHAT");
	refused("NAME=a what", "what");
	refused("NAME=a  =", "");
	refused("PORT=1 HELO=a port=2", "port");
	refused("PORT=1\tHELO=a", "PORT");
}

Test(xattr, several_may_stand_in_any_order)
{
	cr_assert_eq(parse("  port=25   NAME=a.example ADDR=192.0.2.7 "), 0);
	cr_expect_str_eq(v[0].text, "a.example");
	cr_expect_str_eq(v[1].text, "192.0.2.7");
	cr_expect_str_eq(v[2].text, "25");
	cr_expect(!v[3].is_given && !v[4].is_given && !v[5].is_given);
	/* nothing stays of the command before it */
	cr_assert_eq(parse("HELO=x"), 0);
	cr_expect(!v[0].is_given && v[4].is_given);
}

Test(xattr, a_value_has_at_most_so_many_octets)
{
	char text[2048];

	snprintf(text, sizeof(text), "LOGIN=%0255d", 7);
	cr_expect_eq(parse(text), 0);
	cr_expect_eq(strlen(v[5].text), 255);
	snprintf(text, sizeof(text), "LOGIN=%0256d", 7);
	cr_expect_eq(parse(text), -1);
	snprintf(text, sizeof(text), "HELO=%064d", 7);
	cr_expect_eq(parse(text), 0);
	snprintf(text, sizeof(text), "HELO=%065d", 7);
	cr_expect_eq(parse(text), -1);
	snprintf(text, sizeof(text), "HELO=%02000d", 7);
	cr_expect_eq(parse(text), -1);
}

/* Any octets: nothing is read behind them, and what is kept is printable. */
Test(xattr, any_octets_are_survived)
{
	static const char part[] = "NAMEADDRPORTHELO==  +[]UNAVAILABLE.:0123fF";
	unsigned int seed = 1, i, j, len;
	char text[80];

	for (i = 0; i < 200000; i++) {
		len = (unsigned int)rand_r(&seed) % (sizeof(text) - 1);
		for (j = 0; j < len; j++)
			text[j] = rand_r(&seed) % 8 != 0 ?
			    part[(size_t)rand_r(&seed) % (sizeof(part) - 1)] :
			    (char)(rand_r(&seed) % 255 + 1);
		text[len] = '\0';
		if (parse(text) == -1)
			continue;
		for (j = 0; j < NROWS; j++)
			for (len = 0; v[j].is_given && v[j].text[len] != '\0';
			    len++)
				cr_assert(v[j].text[len] >= ' ' &&
				    v[j].text[len] <= '~', "%s", text);
	}
}

Test(xattr, an_address_needs_no_prefix_by_itself)
{
	char buf[ADDR_TEXT];
	union addr a;

	cr_assert_eq(xattr_address("2001:db8::7", &a), 0);
	cr_expect_str_eq(addr_text(&a.sa, buf), "2001:db8::7");
	cr_assert_eq(xattr_address("ipv6:2001:db8::7", &a), 0);
	cr_expect_str_eq(addr_text(&a.sa, buf), "2001:db8::7");
	cr_assert_eq(xattr_address("::ffff:192.0.2.7", &a), 0);
	cr_expect_str_eq(addr_text(&a.sa, buf), "192.0.2.7");
	cr_expect_eq(addr_port(&a.sa), 0);
	cr_expect_eq(xattr_address("", &a), -1);
	cr_expect_eq(xattr_address("localhost", &a), -1);
	cr_expect_eq(xattr_address("192.0.2.7 ", &a), -1);
}

Test(xattr, names_are_listed_as_far_as_there_is_room)
{
	char buf[64];

	xattr_names(rows, NROWS, buf, sizeof(buf));
	cr_expect_str_eq(buf, "NAME ADDR PORT PROTO HELO LOGIN PLACE");
	xattr_names(rows, NROWS, buf, 8);
	cr_expect_str_eq(buf, "NAME AD");
}
