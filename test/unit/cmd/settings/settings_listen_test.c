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
