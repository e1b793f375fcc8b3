#include <criterion/criterion.h>
#include <string.h>

#include "cmd/settings/settings.h"
#include "test/unit/cmd/settings/load.h"

#define HEAD	"hostname = \"mx.test\"\n" \
		"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
#define SMART	"Delivery = smtp Route = \"192.0.2.1:587\" "

/* What the queue calls the next hops of mail for ${domain} that goes by the section
 * ${by}. */
static const char *
target(const struct settings *s, const char *by, const char *domain)
{
	static char buf[SETTINGS_WAY_MAX];
	const struct settings_domain *d = settings_section(s, by);
	char hops[SETTINGS_TARGET_MAX];

	cr_assert_not_null(d, "%s", by);
	settings_target(d, domain, strlen(domain), hops);
	settings_way_target(s, d, hops, buf);
	return buf;
}

Test(settings_way, sections_with_one_way_have_one_target)
{
	struct settings *s = load_good_settings(HEAD
	    "Domain \"a.test\" { " SMART "}\n"
	    "Domain \"b.test\" { " SMART "Max_Connections = 3 "
	    "Max_Rate = 7 Helo = \"MX.test\" }\n"
	    "Domain \"*\" { Delivery = smtp }\n"
	    "Domain \"c.test\" { Delivery = smtp MX_Address_Limit = 2 }\n");

	cr_assert_str_eq(target(s, "a.test", "a.test"), "192.0.2.1:587");
	cr_assert_str_eq(target(s, "b.test", "b.test"), "192.0.2.1:587");
	cr_assert_str_eq(target(s, "*", "far.test"), "far.test");
	/* by a table */
	cr_assert_str_eq(target(s, "c.test", "far.test"), "far.test");
	cr_assert_str_eq(target(s, "c.test", "c.test"), "c.test");
	settings_free(s);
}

/* Each of these may be taken where others are refused. */
Test(settings_way, what_next_hops_see_makes_another_target)
{
	static const char *const options[] = { "Source = \"127.0.0.1\"",
		"Helo = \"other.test\"", "TLS = encrypt",
		"TLS_Name = \"name.test\"", "TLS_CA_File = \"/etc/ssl/x\"",
		"Login = \"/dev/null\"" };
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		s = load_good_settings(HEAD "Domain \"a.test\" { " SMART "}\n"
		    "Domain \"b.test\" { " SMART "%s }\n"
		    "Domain \"c.test\" { " SMART "%s }\n", options[i],
		    options[i]);
		cr_assert_str_eq(target(s, "a.test", "a.test"),
		    "192.0.2.1:587");
		cr_assert_str_eq(target(s, "b.test", "b.test"),
		    "192.0.2.1:587 by b.test", "%s", options[i]);
		cr_assert_str_eq(target(s, "c.test", "c.test"),
		    "192.0.2.1:587 by b.test", "%s", options[i]);
		settings_free(s);
	}
}

/* The hosts of a domain: its own section has the plain name. */
Test(settings_way, streams_to_the_hosts_of_a_domain_have_targets_of_their_own)
{
	struct settings *s = load_good_settings(HEAD
	    "Domain \"*\" { Delivery = smtp }\n"
	    "Domain \"news.invalid\" { Delivery = smtp "
	    "Source = \"127.0.0.1\" }\n"
	    "Domain \"news2.invalid\" { Delivery = smtp "
	    "Source = \"127.0.0.1\" }\n"
	    "Domain \"own.test\" { Delivery = smtp Source = \"127.0.0.2\" }\n"
	    "Domain \"box.test\" { Maildir = \"/v/%%u\" }\n");

	cr_assert_str_eq(target(s, "*", "far.test"), "far.test");
	cr_assert_str_eq(target(s, "news.invalid", "far.test"),
	    "far.test by news.invalid");
	cr_assert_str_eq(target(s, "news2.invalid", "far.test"),
	    "far.test by news.invalid");
	cr_assert_str_eq(target(s, "own.test", "own.test"), "own.test");
	cr_assert_str_eq(target(s, "*", "own.test"), "own.test by *");
	/* one whose own section has another transport */
	cr_assert_str_eq(target(s, "*", "box.test"), "box.test");
	cr_assert_str_eq(target(s, "news.invalid", "box.test"),
	    "box.test by news.invalid");
	settings_free(s);
}

Test(settings_way, the_longest_names_have_room)
{
	char name[LIM_DOMAIN + 1], want[SETTINGS_WAY_MAX];
	struct settings *s;
	size_t i;

	for (i = 0; i < LIM_DOMAIN; i++)
		name[i] = i % 50 == 49 || i == LIM_DOMAIN - 1 ? 't' :
		    i % 50 == 48 ? '.' : 'a';
	name[LIM_DOMAIN] = '\0';
	s = load_good_settings(HEAD "Domain \"*\" { Delivery = smtp }\n"
	    "Domain \"%s\" { Delivery = smtp Helo = \"x.test\" }\n", name);
	snprintf(want, sizeof(want), "%s by *", name);
	cr_assert_str_eq(target(s, "*", name), want);
	settings_free(s);
}
