#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/cmd/settings/load.h"

/* Of a file with these two Listen sections, in lines 1 and 2. */
static bool
is_good(const char *one, const char *other)
{
	struct settings *s = load_settings(NULL, "ESMTP_Listener { "
	    "Listen \"%s\" { }\nListen \"%s\" { } }\n", one, other);

	settings_free(s);
	return s != NULL;
}

Test(settings_listen, sections_without_an_address_in_common)
{
	static const struct { const char *one, *other; } rows[] = {
		{ ":25", ":26" },
		{ ":0", "127.0.0.1:0" },
		{ "127.0.0.1:25", "127.0.0.2:25" },
		{ "127.0.0.1:25", "[::1]:25" },
		{ "0.0.0.0:25", "[::1]:25" },
		/* of IPv6 alone */
		{ "0.0.0.0:25", "[::]:25" },
		{ "127.0.0.1:25", "[::]:25" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect(is_good(rows[i].one, rows[i].other), "%s", load_error);
		cr_expect(is_good(rows[i].other, rows[i].one), "%s", load_error);
	}
}

Test(settings_listen, sections_with_an_address_in_common_are_refused)
{
	static const struct { const char *one, *other; } rows[] = {
		{ ":25", "*:25" },
		{ "*:25", "127.0.0.1:25" },
		{ "*:25", "0.0.0.0:25" },
		{ "*:25", "[::]:25" },
		{ "*:25", "[::1]:25" },
		{ "0.0.0.0:25", "127.0.0.1:25" },
		{ "[::]:25", "[::1]:25" },
		{ "[::1]:25", "[0:0::1]:25" },
		{ "127.0.0.1:25", "127.0.0.1:025" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_not(is_good(rows[i].one, rows[i].other), "%s %s",
		    rows[i].one, rows[i].other);
		cr_expect_eq(strncmp(load_error, "m.conf:2:1: ", 12), 0, "%s", load_error);
		cr_expect_not_null(strstr(load_error, "line 1"), "%s", load_error);
		cr_expect_not(is_good(rows[i].other, rows[i].one), "%s %s",
		    rows[i].one, rows[i].other);
	}
}

Test(settings_listen, ipv4_mapped_into_ipv6_is_refused)
{
	static const char *const rows[] = { "[::ffff:127.0.0.1]:25",
		"[::FFFF:7f00:1]:25", "[0:0:0:0:0:ffff:192.0.2.1]:587" };
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_not(is_good("127.0.0.2:26", rows[i]), "%s", rows[i]);
		cr_expect_not_null(strstr(load_error, "an IPv4 address without"), "%s",
		    load_error);
	}
	/* the old form of 96 zeros is no mapped one */
	cr_expect(is_good("127.0.0.2:26", "[::7f00:1]:25"), "%s", load_error);
}

/* --- kinds ---------------------------------------------------------------- */

#define LISTEN(address, options) \
	"ESMTP_Listener {\nListen \"" address "\" {\n" options "\n}\n}\n"

static const struct {
	const char	*text;
	const char	*at, *error;	/* NULL: the file is good */
} kinds[] = {
	{ LISTEN("127.0.0.1:24", "Kind = lmtp"), NULL, NULL },
	{ LISTEN("[::1]:2424", "Kind = LMTP"), NULL, NULL },
	{ LISTEN("127.0.0.1:25", "Kind = smtp"), NULL, NULL },
	{ LISTEN(":25", "Kind = lmtp"), "m.conf:3:", "option 'Kind': expected "
	    "smtp on port 25, where RFC 2033 forbids LMTP" },
	{ LISTEN("[::1]:25", "Kind = lmtp"), "m.conf:3:", "option 'Kind': " },
	/* for some of its clients */
	{ LISTEN(":25", "Peer \"127.0.0.0/8\" {\nKind = lmtp }"),
	    "m.conf:4:", "option 'Kind': " },
	{ LISTEN(":24", "Kind = esmtp"), "m.conf:3:",
	    "option 'Kind': expected smtp, lmtp or submission" },
	/* RFC 2033 5 */
	{ LISTEN(":24", "Kind = lmtp\nSMTP_Extensions = { \"SIZE\", "
	    "\"PIPELINING\" }"), "m.conf:4:", "option 'SMTP_Extensions': "
	    "expected a list with ENHANCEDSTATUSCODES, which RFC 2033 wants" },
	{ LISTEN(":24", "Kind = lmtp\nSMTP_Extensions = { \"SIZE\", "
	    "\"PIPELINING\", \"ENHANCEDSTATUSCODES\" }"), NULL, NULL },
	/* RFC 6409 4.3: a login is needed, unless it is said not to be */
	{ LISTEN(":587", "Kind = submission"), "m.conf:2:",
	    "option 'Require_Auth': nobody can log in without Auth_Backend: "
	    "set it, or Require_Auth = false, since Kind makes it true" },
	{ LISTEN(":587", "Kind = submission Require_Auth = false"), NULL,
	    NULL },
	{ "Require_Auth = false\n" LISTEN(":587", "Kind = submission"), NULL,
	    NULL },
	{ LISTEN(":587", "Header_From_Login = true"), "m.conf:3:",
	    "option 'Header_From_Login': expected false without Sender_Login" },
};

Test(settings_listen, a_kind_keeps_to_its_rfc)
{
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		s = load_settings(NULL, "%s", kinds[i].text);
		if (kinds[i].error == NULL)
			cr_expect_not_null(s, "%s: %s", kinds[i].text,
			    load_error);
		else {
			cr_expect_null(s, "%s", kinds[i].text);
			cr_expect_eq(strncmp(load_error, kinds[i].at,
			    strlen(kinds[i].at)), 0, "%s", load_error);
			cr_expect_not_null(strstr(load_error, kinds[i].error),
			    "%s", load_error);
		}
		settings_free(s);
	}
	s = load_settings("Kind=lmtp", "ESMTP_Listener { Listen \":25\" { } }");
	cr_expect_null(s);
	cr_expect_eq(strncmp(load_error, "-D: option 'Kind': ", 19), 0, "%s",
	    load_error);
}

/* What is set in any section stays, wherever Kind is. */
Test(settings_listen, a_kind_changes_defaults_alone)
{
	struct settings *s = load_good_settings("Kind = submission\n"
	    "RFC2822_Date_Header = ignore\nESMTP_Listener {\n"
	    "Auth_Backend = \"pam:x\" Auth_Without_TLS = true\n"
	    "Listen \":587\" { }\nListen \":25\" { Kind = smtp }\n"
	    "Listen \":26\" { Require_FQDN = false }\n}\n");
	const struct esmtp_options *o = s->listens[0].options;

	cr_expect(o->require_auth);
	cr_expect(o->require_fqdn);
	cr_expect_eq(o->date_header, ESMTP_HEADER_IGNORE);
	cr_expect_eq(o->messageid_header, ESMTP_HEADER_IF_NEEDED);
	o = s->listens[1].options;
	cr_expect_not(o->require_auth);
	cr_expect_not(o->require_fqdn);
	cr_expect_eq(o->messageid_header, ESMTP_HEADER_IGNORE);
	o = s->listens[2].options;
	cr_expect(o->require_auth);
	cr_expect_not(o->require_fqdn);
	settings_free(s);
}
