#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/options/options.h"

static const struct conf_field *
row(const char *name)
{
	const struct conf_field *found = options_row(name);

	cr_assert_not_null(found, "%s", name);
	return found;
}

Test(options, defaults_are_those_of_the_table)
{
	struct esmtp_options o;

	cr_assert_eq(options_init(&o, "mx"), 0);
	cr_expect_str_eq(o.hostname, "mx");
	cr_expect_str_eq(o.banner_hostname, "");
	cr_expect_eq(o.command_timeout, 300);
	cr_expect_eq(o.max_message_size, 104857600);
	cr_expect(o.allow_ip_literal);
	cr_expect_not(o.open_relay);
	cr_expect_eq(o.relay_domains.n, 0);
	cr_expect_eq(o.lone_lf_in_body, ESMTP_LF_IGNORE);
	options_clear(&o);
	options_clear(&o);
}

static const struct {
	const char	*name, *value;
	int		 errnum;
	const char	*expected;
} cases[] = {
	{ "open_relay", "TRUE", 0, NULL },
	{ "open_relay", "yes", 0, NULL },
	{ "open_relay", "maybe", EINVAL, "true or false" },
	{ "Command_Timeout", "86400", 0, NULL },
	{ "Command_Timeout", "86401", ERANGE,
	    "a time from 1s to 1d (seconds, or such as 5m or 1h30m)" },
	{ "Command_Timeout", "0", ERANGE,
	    "a time from 1s to 1d (seconds, or such as 5m or 1h30m)" },
	{ "Command_Timeout", "5m", 0, NULL },
	{ "Command_Timeout", "1h30", EINVAL,
	    "a time from 1s to 1d (seconds, or such as 5m or 1h30m)" },
	{ "Command_Timeout", "86400", 0, NULL },
	{ "Command_Timeout", "", EINVAL,
	    "a time from 1s to 1d (seconds, or such as 5m or 1h30m)" },
	{ "Command_Timeout", "99999999999999999999", ERANGE,
	    "a time from 1s to 1d (seconds, or such as 5m or 1h30m)" },
	{ "RFC2822_Lone_LF_In_Body", "Fix", 0, NULL },
	{ "RFC2822_Lone_LF_In_Body", "fi", EINVAL,
	    "ignore, pedantic (or: reject), fix (or: normalize) or note" },
	{ "RFC2822_Lone_LF_In_Body", "", EINVAL,
	    "ignore, pedantic (or: reject), fix (or: normalize) or note" },
	{ "Banner_Hostname", "mx.example.test", 0, NULL },
	{ "Banner_Hostname", "a\r\nb", EINVAL,
	    "a text of at most 255 printable ASCII characters, or a domain of "
	    "IDNA2008 in UTF-8" },
	{ "Relay_Domains", "*.example.test", 0, NULL },
	{ "Relay_Domains", "", ERANGE,
	    "texts of 1 to 255 printable ASCII characters, or a domain of "
	    "IDNA2008 in UTF-8" },
	{ "Relay_Hosts", "10.0.0.0/8", 0, NULL },
	{ "Relay_Hosts", "10.0.0.0/33", ERANGE, "an address or network such "
	    "as 192.0.2.0/24 or 2001:db8::/32, or \"unix\" or "
	    "\"unix:1000\" for Unix sockets" },
	{ "Relay_Hosts", "unix:1000", 0, NULL },
};

Test(options, set_takes_what_fits_and_says_what_was_expected)
{
	struct esmtp_options o;
	char expected[256];
	size_t i;
	int r;

	options_init(&o, "mx");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		r = options_set(&o, row(cases[i].name), &cases[i].value,
		    1, expected, sizeof(expected));
		cr_expect_eq(r, cases[i].errnum != 0 ? -1 : 0, "%s = %s",
		    cases[i].name, cases[i].value);
		if (r == -1) {
			cr_expect_eq(errno, cases[i].errnum);
			cr_expect_str_eq(expected, cases[i].expected);
		}
	}
	cr_expect(o.open_relay);
	cr_expect_eq(o.command_timeout, 86400);
	cr_expect_eq(o.lone_lf_in_body, ESMTP_LF_FIX);
	cr_expect_str_eq(o.banner_hostname, "mx.example.test");
	options_clear(&o);
}

Test(options, a_list_takes_any_number_of_values_others_one)
{
	static const char *const values[] = { "a.example", "b.example" };
	struct esmtp_options o;
	char expected[256];

	options_init(&o, "mx");
	cr_expect_eq(options_set(&o, row("Relay_Domains"), values, 2,
	    expected, sizeof(expected)), 0);
	cr_assert_eq(o.relay_domains.n, 2);
	cr_expect_str_eq(o.relay_domains.v[1], "b.example");
	cr_expect_eq(options_set(&o, row("Relay_Domains"), NULL, 0,
	    expected, sizeof(expected)), 0);
	cr_expect_eq(o.relay_domains.n, 0);
	cr_expect_eq(options_set(&o, row("Static_Banner"), values, 2,
	    expected, sizeof(expected)), -1);
	options_clear(&o);
}

static void
set_extensions(struct esmtp_options *o, const char *first, const char *second)
{
	const char *v[2] = { first, second };
	char expected[256];

	cr_assert_eq(options_set(o, row("SMTP_Extensions"), v,
	    second != NULL ? 2 : 1, expected, sizeof(expected)), 0);
}

/* RFC 2033 5 */
Test(options, lmtp_needs_two_extensions)
{
	static const char *const lmtp = "lmtp";
	struct esmtp_options o;
	char expected[256];

	options_init(&o, "mx");
	set_extensions(&o, "SIZE", NULL);
	cr_expect_null(options_missing(&o));
	cr_expect_not(options_needs(&o, "PIPELINING"));
	options_set(&o, row("Kind"), &lmtp, 1, expected, sizeof(expected));
	cr_expect(options_is_lmtp(&o));
	cr_expect(options_needs(&o, "pipelining"));
	cr_expect(options_needs(&o, "ENHANCEDSTATUSCODES"));
	cr_expect_not(options_needs(&o, "SIZE"));
	cr_expect_str_eq(options_missing(&o), "PIPELINING");
	set_extensions(&o, "Pipelining", NULL);
	cr_expect_str_eq(options_missing(&o), "ENHANCEDSTATUSCODES");
	set_extensions(&o, "enhancedstatuscodes", "Pipelining");
	cr_expect_null(options_missing(&o));
	options_clear(&o);
}

static void
set(struct esmtp_options *o, const char *name, const char *value)
{
	char expected[256];

	cr_assert_eq(options_set(o, row(name), &value, 1, expected,
	    sizeof(expected)), 0, "%s", expected);
}

Test(options, a_kind_changes_the_defaults_of_what_is_not_set)
{
	struct esmtp_options o;

	options_init(&o, "mx");
	cr_expect_null(options_kind_default(&o, OPTION_require_auth));
	set(&o, "Require_FQDN", "false");
	set(&o, "Kind", "submission");
	cr_expect(o.require_auth);
	cr_expect_not(o.require_fqdn);
	cr_expect_eq(o.date_header, ESMTP_HEADER_IF_NEEDED);
	cr_expect_str_eq(options_kind_default(&o, OPTION_require_auth), "true");
	cr_expect_null(options_kind_default(&o, OPTION_require_fqdn));
	cr_expect_null(options_kind_default(&o, OPTION_kind));
	set(&o, "Require_Auth", "true");
	set(&o, "Kind", "lmtp");
	cr_expect(o.require_auth);
	cr_expect_eq(o.date_header, ESMTP_HEADER_IGNORE);
	set(&o, "Kind", "submission");
	set(&o, "Kind", "smtp");
	cr_expect_eq(o.messageid_header, ESMTP_HEADER_IGNORE);
	options_clear(&o);
}

/* A list of ETRN_Domains, a domain: is it in the list, and all below it, too? */
static const struct {
	const char	*first, *second, *domain;
	bool		 is, is_all;
} lists[] = {
	{ "example.test", NULL, "example.test", true, false },
	{ "example.test", NULL, "Example.TEST", true, false },
	{ "example.test", NULL, "a.example.test", false, false },
	{ "example.test", NULL, "example.tes", false, false },
	{ "*.example.test", NULL, "example.test", false, false },
	{ "*.example.test", NULL, "a.example.test", true, true },
	{ "*.Example.test", NULL, "a.b.eXample.test", true, true },
	{ "*.example.test", NULL, "anexample.test", false, false },
	{ "*.example.test", NULL, "test", false, false },
	{ "example.test", "*.example.test", "example.test", true, true },
	{ "example.test", "*.a.example.test", "example.test", true, false },
	{ "*", NULL, "example.test", true, true },
	{ "*.*.test", NULL, "a.example.test", true, false },
	{ "*.?xample.test", NULL, "example.test", false, false },
	{ "*.", NULL, "example.test", false, false },
	{ NULL, NULL, "example.test", false, false },
	{ "*", NULL, "", false, false },
};

Test(options, a_list_of_domains_has_those_below_one_or_not)
{
	const char *values[2];
	struct esmtp_options o;
	char expected[256], longest[LIM_DOMAIN + 2];
	size_t i, n, len;

	options_init(&o, "mx");
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		values[0] = lists[i].first;
		values[1] = lists[i].second;
		n = (values[0] != NULL) + (values[1] != NULL);
		cr_assert_eq(options_set(&o, row("ETRN_Domains"), values, n,
		    expected, sizeof(expected)), 0);
		len = strlen(lists[i].domain);
		cr_expect_eq(options_lists(&o.etrn_domains, lists[i].domain,
		    len), lists[i].is, "%zu", i);
		cr_expect_eq(options_may_etrn(&o, lists[i].domain, len, false),
		    lists[i].is, "%zu", i);
		cr_expect_eq(options_may_etrn(&o, lists[i].domain, len, true),
		    lists[i].is_all, "%zu", i);
	}
	memset(longest, 'a', sizeof(longest));
	cr_expect(options_lists(&o.etrn_domains, longest, LIM_DOMAIN));
	cr_expect_not(options_lists(&o.etrn_domains, longest, LIM_DOMAIN + 1));
	options_clear(&o);
}
