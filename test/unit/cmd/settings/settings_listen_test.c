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

/* --- Unix sockets --------------------------------------------------------- */

#define PATH50	"/2345678901234567890123456789012345678901234567890"

static const struct {
	const char	*listen, *options;
	const char	*path, *error;	/* one of them is NULL */
} unix_sockets[] = {
	{ "unix:/run/mailmill/lmtp", "Kind = lmtp", "/run/mailmill/lmtp", NULL },
	{ "/run/x", "", "/run/x", NULL },
	{ "UNIX:/x", "", "/x", NULL },
	{ "unix:/a b/,:25", "", "/a b/,:25", NULL },
	/* unix(7): sun_path has 108 octets, and the last is a NUL */
	{ "unix:" PATH50 PATH50 "/234567", "", PATH50 PATH50 "/234567", NULL },
	{ "unix:" PATH50 PATH50 "/2345678", "", NULL, "a path of at most 107 "
	    "octets" },
	{ "unix:run/x", "", NULL, "or \"unix:\" and an absolute path" },
	{ "unix:", "", NULL, "or \"unix:\" and an absolute path" },
	{ "unix:@x", "", NULL, "or \"unix:\" and an absolute path" },
	{ "unix:/", "", NULL, "a path that ends with the name of the socket" },
	{ "unix:/run/", "", NULL, "a path that ends with the name" },
	{ "unix:/run/\xc3\xa4", "", NULL, "a path of printable ASCII" },
	{ "unix:/run/\x1f", "", NULL, "a path of printable ASCII" },
	{ "/run/..", "", NULL, "a path that ends with the name" },
	{ "unix:/run/mailmill/control", "", NULL, "the path of "
	    "\"unix:/run/mailmill/control\" is that of the option 'control'" },
	{ "unix:/x", "File_Mode = 0666 File_Owner = a File_Group = b", "/x",
	    NULL },
	{ "unix:/x", "File_Mode = rw", NULL, "expected the rights of a file" },
	{ "127.0.0.1:24", "File_Mode = 0666", NULL, "option 'File_Mode': "
	    "expected a Listen \"unix:/path\" section around it, found "
	    "\"127.0.0.1:24\", which is no Unix socket" },
	{ "127.0.0.1:24", "File_Owner = a", NULL, "option 'File_Owner'" },
	/* nobody can listen there: passwords need no TLS */
	{ "unix:/x", "Kind = submission Auth_Backend = \"pam:x\"", "/x", NULL },
	{ "127.0.0.1:24", "Kind = submission Auth_Backend = \"pam:x\"", NULL,
	    "nobody can log in" },
};

Test(settings_listen, a_path_is_that_of_a_unix_socket)
{
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(unix_sockets) / sizeof(unix_sockets[0]); i++) {
		s = load_settings(NULL, "ESMTP_Listener { Listen \"%s\" { %s } "
		    "}", unix_sockets[i].listen, unix_sockets[i].options);
		if (unix_sockets[i].path == NULL) {
			cr_expect_null(s, "%s", unix_sockets[i].listen);
			cr_expect_not_null(strstr(load_error,
			    unix_sockets[i].error), "%s", load_error);
		} else if (s == NULL)
			cr_expect_fail("%s", load_error);
		else {
			cr_expect_str_eq(s->listens[0].path,
			    unix_sockets[i].path);
			cr_expect_eq(s->listens[0].addr.sa.sa_family, AF_UNIX);
		}
		settings_free(s);
	}
	cr_expect(is_good("unix:/x", ":25"), "%s", load_error);
	cr_expect_not(is_good("unix:/x", "/x"));
}

/* What all sections of a service have may stand around them. */
Test(settings_listen, the_rights_of_the_file_are_found_in_both_scopes)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n"
	    "File_Mode = 0600 File_Owner = a Listen \":25\" { }\n"
	    "Listen \"unix:/x\" { File_Mode = 666 }\n"
	    "Listen \"unix:/y\" { File_Group = g } }");

	cr_expect_null(s->listens[0].path);
	cr_expect_eq(s->listens[1].file_mode, 0666);
	cr_expect_str_eq(s->listens[1].file_owner, "a");
	cr_expect_str_eq(s->listens[1].file_group, "");
	cr_expect_eq(s->listens[2].file_mode, 0600);
	cr_expect_str_eq(s->listens[2].file_group, "g");
	settings_free(s);
	s = load_good_settings("ESMTP_Listener { Listen \"/x\" { } }");
	cr_expect_eq(s->listens[0].file_mode, 0660);
	settings_free(s);
}

/* The section of the account before that of all, and both before the listener. */
Test(settings_listen, a_client_of_a_unix_socket_has_peer_sections)
{
	struct settings *s = load_good_settings("ESMTP_Listener {\n"
	    "Max_Message_Size = 1\nListen \"unix:/x\" {\n"
	    "Peer \"unix\" { Max_Message_Size = 2 }\n"
	    "Peer \"unix:1000\" { Max_Message_Size = 3 }\n"
	    "Peer \"0.0.0.0/0\" { Max_Message_Size = 4 }\n"
	    "Peer \"::/0\" { Max_Message_Size = 4 }\n}\n"
	    "Listen \"unix:/y\" { } Listen \":25\" { }\n"
	    "Peer \"unix:1000\" { Max_Message_Size = 5 } }");
	static const struct { size_t listen; uint32_t uid; int64_t size; }
	    rows[] = { { 0, 0, 2 }, { 0, 1000, 3 }, { 0, 1001, 2 },
		{ 1, 0, 1 }, { 1, 1000, 5 } };
	union addr a;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		addr_local(&a, rows[i].uid);
		cr_expect_eq(settings_options_for(s, rows[i].listen,
		    &a.sa)->max_message_size, rows[i].size, "%zu", i);
	}
	settings_free(s);
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
