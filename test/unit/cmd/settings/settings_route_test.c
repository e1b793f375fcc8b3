#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/cmd/settings/load.h"

/* A Domain section, and the end of the message; NULL: it is right. */
static const struct {
	const char *domain, *why;
} cases[] = {
	{ "Delivery = lmtp Route = \"unix:/run/lmtp\"", NULL },
	{ "Delivery = lmtp Route = \"192.0.2.1:24\"", NULL },
	{ "Delivery = smtp Route = \"192.0.2.1\"", NULL },
	{ "Delivery = smtp Route = { \"192.0.2.1\", \"[2001:db8::1]:2525\" }",
	    NULL },
	{ "Delivery = smtp Route = \"192.0.2.1\" Helo = \"out.example.test\" "
	    "Max_Connections = 3", NULL },
	{ "Delivery = smtp Route = \"192.0.2.1\" Helo = \"[192.0.2.7]\"",
	    NULL },
	{ "Delivery = lmtp", "option 'Route': Domain \"a.test\" has Delivery = "
	    "lmtp, but no Route: write where the next server listens, such as "
	    "Route = \"192.0.2.1:24\"" },
	/* the hosts in MX records */
	{ "Delivery = smtp", NULL },
	{ "Delivery = smtp Route = {}", NULL },
	{ "Delivery = smtp MX_Port = 2525", NULL },
	{ "Delivery = smtp MX_Port = 0", "option 'MX_Port': expected a number "
	    "from 1 to 65535, found \"0\"" },
	{ "Delivery = smtp MX_Address_Limit = 65", "option 'MX_Address_Limit': "
	    "expected a number from 0 to 64 (addresses, 0 for no limit), "
	    "found \"65\"" },
	{ "Delivery = smtp TLS = verify", NULL },
	{ "Route = \"unix:/run/lmtp\"", "m.conf:2:27: option 'Route': only "
	    "together with Delivery = \"lmtp\" or \"smtp\"" },
	{ "Delivery = lmtp Route = \"192.0.2.1\"", "option 'Route': expected an "
	    "address with a port other than 25, such as \"192.0.2.1:24\", "
	    "since LMTP has none of its own, found \"192.0.2.1\"" },
	{ "Delivery = lmtp Route = \"192.0.2.1:25\"", "since LMTP has none of "
	    "its own, found \"192.0.2.1:25\"" },
	{ "Delivery = smtp Route = \"mail.example.test\"", NULL },
	{ "Delivery = smtp Route = { \"192.0.2.1\", \"mail.example.test:26\" }",
	    NULL },
	{ "Delivery = smtp Route = \"mail.example.test\" TLS = verify", NULL },
	{ "Delivery = lmtp Route = \"mail.example.test:24\"", NULL },
	{ "Delivery = lmtp Route = \"mail.example.test\"", "since LMTP has none "
	    "of its own, found \"mail.example.test\"" },
	{ "Delivery = smtp Route = \"192.0.2.300:25\"", "option 'Route': "
	    "expected \"unix:\" and an absolute path, or an address or name "
	    "with a port, such as \"192.0.2.1:25\", \"[2001:db8::1]:25\" or "
	    "\"mail.example.test:25\", found \"192.0.2.300:25\"" },
	{ "Delivery = smtp Route = { \"192.0.2.1\", \"192.0.2.2\", "
	    "\"192.0.2.3\", \"192.0.2.4\", \"192.0.2.5\", \"192.0.2.6\", "
	    "\"192.0.2.7\", \"192.0.2.8\", \"192.0.2.9\" }", "expected at most "
	    "8 next hops, and 500 octets in all, found \"9 of them\"" },
	{ "Delivery = smtp Route = \"192.0.2.1\" Helo = \"a b\"",
	    "option 'Helo': expected a host name, found \"a b\"" },
	{ "Delivery = smtp Route = \"192.0.2.1\" Max_Connections = 0",
	    "option 'Max_Connections': expected a number from 1 to 1000 "
	    "(connections), found \"0\"" },
	{ "Delivery = smtp Route = \"192.0.2.1\" TLS = verify", NULL },
	{ "Delivery = smtp Route = \"192.0.2.1\" TLS = encrypt "
	    "TLS_CA_File = \"/etc/ca.pem\"", NULL },
	{ "Delivery = lmtp Route = \"unix:/run/lmtp\" TLS = verify "
	    "TLS_Name = \"next.test\"", NULL },
	{ "Delivery = lmtp Route = \"unix:/run/lmtp\" TLS = verify",
	    "option 'Route': expected an address, or together with TLS_Name, "
	    "since TLS is verify, and a socket has no name that a certificate "
	    "could be for, found \"unix:/run/lmtp\"" },
	{ "Delivery = smtp TLS = dane", NULL },
	{ "Delivery = smtp Route = \"192.0.2.1\" TLS = dane", NULL },
	{ "Delivery = smtp TLS = dane-only", "option 'TLS' of Domain "
	    "\"a.test\": dane-only needs answers of the DNS that are proven: "
	    "set Resolver_Trust_AD, if the name servers check DNSSEC" },
	{ "Delivery = smtp Route = \"192.0.2.1\" TLS_CA_File = \"ca.pem\"",
	    "option 'TLS_CA_File': expected an absolute path, found "
	    "\"ca.pem\"" },
	{ "Delivery = smtp Route = \"192.0.2.1\" TLS_Name = \"a b\"",
	    "option 'TLS_Name': expected a domain, found \"a b\"" },
	{ "Delivery = smtp Route = \"192.0.2.1\" Login = \"/etc/logins\"",
	    NULL },
	{ "Delivery = smtp Route = \"192.0.2.1\" Login = \"logins\"",
	    "option 'Login': expected an absolute path, found \"logins\"" },
	{ "Delivery = smtp Login = \"/etc/logins\"", "only together with "
	    "Route, which says where to log in" },
	{ "Login = \"/etc/logins\"", "option 'Login' of Domain \"a.test\": "
	    "only together with Route, which says where to log in" },
	{ "Delivery = smtp Source = \"192.0.2.7\"", NULL },
	{ "Delivery = smtp Source = { \"2001:db8::7\", \"192.0.2.7\" }",
	    NULL },
	{ "Delivery = smtp Source = \"192.0.2.7\" Source_Max_Rate = 100 "
	    "Source_Max_Connections = 3", NULL },
	{ "Delivery = smtp Source_Max_Rate = 100", "option 'Source_Max_Rate' "
	    "of Domain \"a.test\": only together with Source" },
	{ "Delivery = smtp Source_Max_Connections = 3", "option "
	    "'Source_Max_Connections' of Domain \"a.test\": only together "
	    "with Source" },
	{ "Delivery = smtp Source = { \"192.0.2.7\", \"192.0.2.8\" }",
	    "option 'Source': expected at most one address of IPv4 and one of "
	    "IPv6, found \"192.0.2.8\"" },
	{ "Delivery = smtp Source = \"192.0.2.7:25\"", "option 'Source': "
	    "expected an address of this machine without a port, such as "
	    "192.0.2.7 or 2001:db8::7, found \"192.0.2.7:25\"" },
	{ "Delivery = smtp Source = \"0.0.0.0\"", "found \"0.0.0.0\"" },
	{ "Delivery = smtp Source = \"::\"", "found \"::\"" },
	{ "Delivery = smtp Source = \"::ffff:192.0.2.7\"",
	    "found \"::ffff:192.0.2.7\"" },
	{ "Delivery = smtp Source = \"224.0.0.1\"", "found \"224.0.0.1\"" },
	{ "Source = \"192.0.2.7\"", "m.conf:2:28: option 'Source': only "
	    "together with Delivery = \"lmtp\" or \"smtp\"" },
	{ "Delivery = smtp Source = \"2001:db8::7\" Route = \"192.0.2.1\"",
	    "option 'Route': expected an address of IPv4 or IPv6 as Source has "
	    "one, found \"192.0.2.1\"" },
	{ "Delivery = lmtp Source = \"2001:db8::7\" Route = \"unix:/run/l\"",
	    NULL },
	/* Listen "127.0.0.1:2525", "[::]:2526", ":2527" and "unix:/run/own" */
	{ "Delivery = lmtp Route = \"unix:/run/own\"", "option 'Route': "
	    "expected another server: this one listens there (line 1), and "
	    "mail would go round, found \"unix:/run/own\"" },
	{ "Delivery = smtp Route = \"127.0.0.1:2525\"", "option 'Route': "
	    "expected another server: this one listens there (line 1), and "
	    "mail would go round, found \"127.0.0.1:2525\"" },
	{ "Delivery = smtp Route = \"127.0.0.2:2525\"", NULL },
	{ "Delivery = smtp Route = \"127.0.0.1:2524\"", NULL },
	{ "Delivery = smtp Route = \"[::1]:2525\"", NULL },
	{ "Delivery = lmtp Route = \"[::1]:2526\"", "found \"[::1]:2526\"" },
	{ "Delivery = lmtp Route = \"[2001:db8::1]:2526\"", NULL },
	{ "Delivery = lmtp Route = \"127.0.0.9:2527\"",
	    "found \"127.0.0.9:2527\"" },
	{ "Delivery = lmtp Route = \"[::1]:2527\"", "found \"[::1]:2527\"" },
	/* connections to no address go to the loopback's */
	{ "Delivery = smtp Route = \"0.0.0.0:2525\"", "this one listens there "
	    "(line 1), and mail would go round, found \"0.0.0.0:2525\"" },
	{ "Delivery = smtp Route = \"0.0.0.0:2527\"",
	    "found \"0.0.0.0:2527\"" },
	{ "Delivery = smtp Route = \"[::]:2526\"", "found \"[::]:2526\"" },
	{ "Delivery = smtp Route = \"[::]:2527\"", "found \"[::]:2527\"" },
	{ "Delivery = smtp Route = \"[::ffff:127.0.0.1]:2525\"",
	    "found \"[::ffff:127.0.0.1]:2525\"" },
	{ "Delivery = smtp Route = \"[::ffff:0.0.0.0]:2525\"",
	    "found \"[::ffff:0.0.0.0]:2525\"" },
	{ "Delivery = smtp Route = \"[::ffff:127.0.0.1]:2527\"",
	    "found \"[::ffff:127.0.0.1]:2527\"" },
	{ "Delivery = smtp Route = \"0.0.0.0:2524\"", NULL },
	{ "Delivery = smtp Route = \"[::]:2525\"", NULL },
};

#define LISTEN	"ESMTP_Listener { Listen \"127.0.0.1:2525\" { } " \
	"Listen \"[::]:2526\" { } Listen \":2527\" { } " \
	"Listen \"unix:/run/own\" { } }\n"

Test(settings_route, is_checked_as_the_table_says)
{
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_domain(LISTEN, cases[i].domain, cases[i].why);
}

/* What has to be looked up needs somebody who does it. */
Test(settings_route, names_and_mx_records_need_a_resolver)
{
	static const char none[] = LISTEN "resolvers = 0\n"
	    "Domain \"a.test\" { %s }\n";

	settings_free(load_good_settings(none, "Delivery = smtp "
	    "Route = \"192.0.2.1\""));
	settings_free(load_good_settings(none, "Delivery = lmtp "
	    "Route = \"unix:/run/lmtp\""));
	cr_expect_null(load_settings(NULL, none, "Delivery = smtp "
	    "Route = { \"192.0.2.1\", \"mail.example.test\" }"));
	cr_expect_str_eq(load_error, "m.conf:3:43: option 'Route': expected an "
	    "address, such as \"192.0.2.1:25\", since resolvers is 0, and "
	    "nobody could look a name up, found \"mail.example.test\"");
	cr_expect_null(load_settings(NULL, none, "Delivery = smtp"));
	cr_expect_str_eq(load_error, "m.conf:3:1: option 'resolvers': expected 1 "
	    "or more, since Domain \"a.test\" has Delivery = smtp without "
	    "Route, and somebody has to look up MX records, found 0");
}

Test(settings_route, policies_of_mta_sts_are_for_hosts_of_mx_records)
{
	static const char conf[] = LISTEN "Domain \"a.test\" { MTA_STS = true "
	    "%s }\n";
	struct settings *s = load_good_settings(conf, "Delivery = smtp");

	cr_expect(settings_wants_sts(s));
	settings_free(s);
	s = load_good_settings(conf, "Delivery = smtp TLS = may");
	settings_free(s);
	s = load_good_settings(LISTEN "Domain \"a.test\" { Delivery = smtp }\n");
	cr_expect_not(settings_wants_sts(s));
	settings_free(s);
	cr_expect_null(load_settings(NULL, conf, "Delivery = smtp "
	    "Route = \"192.0.2.1\""));
	cr_expect_str_eq(load_error, "m.conf:2:1: option 'MTA_STS' of Domain "
	    "\"a.test\": only together with Delivery = \"smtp\" and without "
	    "Route, since a policy is about the hosts in MX records");
	cr_expect_null(load_settings(NULL, conf, "Maildir = \"/m/%u\""));
	cr_expect_null(load_settings(NULL, conf, "Delivery = smtp "
	    "TLS = encrypt"));
	cr_expect_str_eq(load_error, "m.conf:2:1: option 'MTA_STS' of Domain "
	    "\"a.test\": only together with TLS = dane or may, since each "
	    "other value holds whatever a policy says");
}

Test(settings_route, a_section_for_more_than_one_domain_needs_no_maildir)
{
	settings_free(load_good_settings(LISTEN "Domain \"*\" { Delivery = smtp "
	    "Maildir = \"/m/%%u\" Route = \"192.0.2.1\" }\n"));
	cr_expect_null(load_settings(NULL, LISTEN "Domain \"*\" { "
	    "Maildir = \"/m/%%u\" }\n"));
}

Test(settings_route, processes_are_counted_if_there_are_next_hops)
{
	static const char domain[] = LISTEN "%s\nDomain \"a.test\" { %s }\n";
	static const char smtp[] = "Delivery = smtp Route = \"192.0.2.1\"";
	struct settings *s;

	s = load_good_settings(domain, "relayers = 3", "");
	cr_expect_eq(settings_relayers(s), 0);
	settings_free(s);
	s = load_good_settings(domain, "relayers = 3", smtp);
	cr_expect_eq(settings_relayers(s), 3);
	cr_expect(settings_is_relayed(&s->domains[0]));
	settings_free(s);
	settings_free(load_good_settings(domain, "deliverers = 64", ""));
	settings_free(load_good_settings(domain, "deliverers = 63", smtp));
	cr_expect_null(load_settings(NULL, domain, "deliverers = 64", smtp));
	cr_expect_str_eq(load_error, "m.conf:2:14: option 'deliverers': expected "
	    "a number that makes at most 64 processes with relayers (1), "
	    "one for each Pipe_User (0), and one if anything is discarded (0), "
	    "found 64");
	settings_free(load_good_settings(domain, "deliverers = 63",
	    "Delivery = discard"));
	cr_expect_null(load_settings(NULL, domain, "deliverers = 64",
	    "Delivery = discard"));
	cr_expect_not_null(strstr(load_error, "discarded (1), found 64"),
	    "%s", load_error);
}
