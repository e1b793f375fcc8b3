#include <criterion/criterion.h>

#include "test/unit/cmd/settings/load.h"

#define LISTEN	"hostname = \"MX.example.test\"\n" \
	"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"

static void
expect(const char *options, const char *organization, const char *contact,
    const char *sender)
{
	struct settings *s = load_good_settings(LISTEN "%s", options);
	char buf[SETTINGS_REPORT_ADDRESS];

	cr_expect_str_eq(settings_report_organization(s), organization);
	cr_expect_str_eq(settings_report_contact(s, buf), contact);
	cr_expect_str_eq(settings_report_sender(s, buf), sender);
	settings_free(s);
}

Test(settings_report, there_are_none_unless_they_are_wanted)
{
	struct settings *s = load_good_settings(LISTEN);

	cr_expect_not(s->tls_reports);
	settings_free(s);
	s = load_good_settings(LISTEN "TLS_Reports = yes\n");
	cr_expect(s->tls_reports);
	settings_free(s);
}

Test(settings_report, what_is_not_set_is_made_of_what_is)
{
	expect("", "MX.example.test", "postmaster@mx.example.test",
	    "postmaster@mx.example.test");
	expect("TLS_Report_Contact = \"\\\"tls\\\"@Example.test\"\n"
	    "TLS_Report_Organization = \"Gr\xc3\xbcn Ltd\"\n",
	    "Gr\xc3\xbcn Ltd", "tls@example.test", "tls@example.test");
	expect("TLS_Report_Sender = \"no-reply@Example.test\"\n",
	    "MX.example.test", "postmaster@mx.example.test",
	    "no-reply@example.test");
}

Test(settings_report, what_is_wrong_is_named)
{
	static const struct {
		const char *options, *message;
	} c[] = {
		{ "TLS_Report_Contact = \"tls\"\n", "m.conf:3:22: option "
		    "'TLS_Report_Contact': expected an address, such as "
		    "\"postmaster@example.org\", found \"tls\"" },
		{ "TLS_Report_Sender = \"gr\xc3\xbcn@a.test\"\n",
		    "m.conf:3:21: option 'TLS_Report_Sender': expected an "
		    "address, such as \"postmaster@example.org\", found "
		    "\"gr\xc3\xbcn@a.test\"" },
		/* RFC 5322 3.4.1 allows it, but no report has it in a header */
		{ "TLS_Report_Sender = \"\\\"a b\\\"@a.test\"\n",
		    "m.conf:3:21: option 'TLS_Report_Sender': expected an "
		    "address without white space, found \"\"a b\"@a.test\"" },
		{ "TLS_Report_Contact = \"\\\"a b\\\"@a.test\"\n",
		    "m.conf:3:22: option 'TLS_Report_Contact': expected an "
		    "address without white space, found \"\"a b\"@a.test\"" },
		{ "TLS_Report_Organization = \"a\tb\"\n", "m.conf:3:27: option "
		    "'TLS_Report_Organization': expected a text in UTF-8 "
		    "without controls, found \"a?b\"" },
		{ "resolvers = 0 TLS_Reports = true\n", "m.conf:3:29: option "
		    "'TLS_Reports': expected false, since resolvers is 0, and "
		    "nobody could look up which domains want reports" },
	};
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		cr_expect_null(load_settings(NULL, LISTEN "%s", c[i].options));
		cr_expect_str_eq(load_error, c[i].message, "%s", load_error);
	}
}
