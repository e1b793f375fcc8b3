/* Options as embedders set and read them. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/options/options.h"

static struct esmtp_options *o;

static void
setup(void)
{
	o = esmtp_options_new("mx.example.test");
	cr_assert_not_null(o);
}

static void
teardown(void)
{
	esmtp_options_free(o);
}

TestSuite(esmtp_options, .init = setup, .fini = teardown);

Test(esmtp_options, a_name_that_cannot_be_said_is_none)
{
	static const char *const bad[] = { NULL, "", "a\r\nb", "m\xfc.test",
	    "m\xe2\x80\x8b.test" };
	char longer[257];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_null(esmtp_options_new(bad[i]));
		cr_expect_eq(errno, EINVAL);
	}
	memset(longer, 'a', 256);
	longer[256] = '\0';
	cr_expect_null(esmtp_options_new(longer));
	esmtp_options_free(NULL);
}

/* RFC 6531 3.7.1: in replies and Received fields it has A-labels. */
Test(esmtp_options, a_name_in_utf8_becomes_one_of_a_labels)
{
	struct esmtp_options *own = esmtp_options_new("mx.gr\xc3\xbcn.example");

	cr_assert_not_null(own);
	cr_expect_str_eq(own->hostname, "mx.xn--grn-ioa.example");
	esmtp_options_free(own);
	cr_assert_eq(esmtp_options_set(o, "Banner_Hostname", "GR\xc3\x9cN.example",
	    NULL, 0), 0);
	cr_expect_str_eq(esmtp_options_text(o, "Banner_Hostname", 0),
	    "xn--grn-ioa.example");
}

static const struct {
	const char	*name, *value;
	int		 errnum;
	const char	*error;
} cases[] = {
	{ "max_errors", "7", 0, "" },
	{ "Max_Errors", "x", EINVAL, "Max_Errors = \"x\": expected a number "
	    "from 0 to 1000000 (replies)" },
	{ "Max_Errors", "1000001", ERANGE, "Max_Errors = \"1000001\": expected "
	    "a number from 0 to 1000000 (replies)" },
	{ "Max_Errors", NULL, EINVAL, "Max_Errors: there is no value" },
	{ "Max_Error", "1", ENOENT, "Max_Error: there is no such option" },
	{ "", "1", ENOENT, ": there is no such option" },
	{ NULL, "1", ENOENT, "NULL: there is no such option" },
	{ "Relay_Hosts", "10.0.0.0/8, bad", EINVAL, "Relay_Hosts = \"10.0.0.0/8,"
	    " bad\": expected an address or network such as 192.0.2.0/24 or "
	    "2001:db8::/32, or \"unix\" or \"unix:1000\" for Unix sockets" },
	{ "Relay_Domains", "a.test,,b.test", ERANGE, "Relay_Domains = \"a.test,"
	    ",b.test\": expected texts of 1 to 255 printable ASCII "
	    "characters, or a domain of IDNA2008 in UTF-8" },
	{ "Relay_Domains", "*.m\xc3\xbc.test, b.test", 0, "" },
	{ "Relay_Domains", "m\xfc.test", EINVAL, "Relay_Domains = \"m\xfc.test"
	    "\": expected texts of 1 to 255 printable ASCII characters, or a "
	    "domain of IDNA2008 in UTF-8" },
	{ "No_Soliciting", "net.example:ADV, a-b_c.1", 0, "" },
	{ "No_Soliciting", "a, 1b", EINVAL, "No_Soliciting = \"a, 1b\": "
	    "expected a class of RFC 3865: a letter, then letters, digits and "
	    ".-_:" },
	{ "Context", "class=device, tier = 1,empty=", 0, "" },
	{ "Context", "class", EINVAL, "Context = \"class\": expected "
	    "\"name=value\", the name of 1 to 64 letters, digits and _-., the "
	    "value of at most 1024 characters" },
	{ "Context", "a:b=1", EINVAL, "Context = \"a:b=1\": expected "
	    "\"name=value\", the name of 1 to 64 letters, digits and _-., the "
	    "value of at most 1024 characters" },
	{ "Context", "a=1, b=2, a = 3", EINVAL, "Context = \"a=1, b=2, a = 3\""
	    ": expected variables with a name each: \"a\" is there twice" },
	{ "No_Soliciting", "a,,b", EINVAL, "No_Soliciting = \"a,,b\": "
	    "expected a class of RFC 3865: a letter, then letters, digits and "
	    ".-_:" },
};

Test(esmtp_options, a_value_is_taken_or_the_error_is_a_sentence)
{
	char error[256];
	size_t i;
	int r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		strcpy(error, "?");
		r = esmtp_options_set(o, cases[i].name, cases[i].value, error,
		    sizeof(error));
		cr_expect_eq(r, cases[i].errnum != 0 ? -1 : 0, "%zu", i);
		cr_expect_eq(errno, cases[i].errnum, "%zu: %d", i, errno);
		cr_expect_str_eq(error, cases[i].error);
		/* a caller without a buffer */
		cr_expect_eq(esmtp_options_set(o, cases[i].name, cases[i].value,
		    NULL, 0), r);
		/* a buffer without room */
		cr_expect_eq(esmtp_options_set(o, cases[i].name, cases[i].value,
		    error, 5), r);
		cr_expect_lt(strlen(error), 5);
	}
	cr_expect_eq(o->max_errors, 7);
	cr_expect_eq(o->relay_hosts.n, 0);
}

Test(esmtp_options, a_list_is_separated_by_commas)
{
	cr_assert_eq(esmtp_options_set(o, "Relay_Domains",
	    " a.test ,\tb.test,c d", NULL, 0), 0);
	cr_assert_eq(o->relay_domains.n, 3);
	cr_expect_str_eq(o->relay_domains.v[0], "a.test");
	cr_expect_str_eq(o->relay_domains.v[1], "b.test");
	cr_expect_str_eq(o->relay_domains.v[2], "c d");
	/* a text is not */
	cr_assert_eq(esmtp_options_set(o, "Static_Banner", "a, b", NULL, 0),
	    0);
	cr_expect_str_eq(o->static_banner, "a, b");
	cr_assert_eq(esmtp_options_set(o, "Relay_Domains", " ", NULL, 0), 0);
	cr_expect_eq(o->relay_domains.n, 0);
}

Test(esmtp_options, every_option_can_be_read)
{
	const char *name;
	int64_t number;
	size_t i;

	for (i = 0; (name = esmtp_options_name(i)) != NULL; i++) {
		errno = 0;
		if (esmtp_options_number(o, name, &number) == 0)
			cr_expect_null(esmtp_options_text(o, name, 0), "%s",
			    name);
		else {
			cr_expect_eq(errno, EINVAL, "%s", name);
			cr_expect_null(esmtp_options_text(o, name, 1), "%s",
			    name);
		}
	}
	cr_expect_gt(i, 40);
	cr_expect_eq(i, options_nrows);
	cr_expect_null(esmtp_options_name(SIZE_MAX));
}

Test(esmtp_options, what_is_read_is_what_was_set)
{
	int64_t n = -1;

	cr_expect_eq(esmtp_options_number(o, "Allow_IP_Literal", &n), 0);
	cr_expect_eq(n, 1);
	cr_expect_eq(esmtp_options_number(o, "max_message_size", &n), 0);
	cr_expect_eq(n, 104857600);
	cr_assert_eq(esmtp_options_set(o, "RFC2822_Lone_LF_In_Body", "fix",
	    NULL, 0), 0);
	cr_expect_eq(esmtp_options_number(o, "RFC2822_Lone_LF_In_Body", &n), 0);
	cr_expect_eq(n, ESMTP_LF_FIX);
	cr_assert_eq(esmtp_options_set(o, "Relay_Domains", "a.test,b.test",
	    NULL, 0), 0);
	cr_expect_str_eq(esmtp_options_text(o, "Relay_Domains", 1), "b.test");
	cr_expect_null(esmtp_options_text(o, "Relay_Domains", 2));
	cr_expect_str_eq(esmtp_options_text(o, "Banner_Hostname", 0), "");
	errno = 0;
	cr_expect_eq(esmtp_options_number(o, "No_Such", &n), -1);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(esmtp_options_number(o, NULL, &n), -1);
	cr_expect_null(esmtp_options_text(o, "No_Such", 0));
	cr_expect_null(esmtp_options_text(o, NULL, 0));
}
