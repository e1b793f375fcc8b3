/* Which sections send from the same addresses, and with which limits. */

#include <criterion/criterion.h>

#include "cmd/settings/settings.h"
#include "test/unit/cmd/settings/load.h"

#define HEAD	"hostname = \"mx.test\"\n" \
		"ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
#define SEND	"Delivery = smtp Source = "

static const struct settings_stream *
stream(const struct settings *s, const char *name)
{
	const struct settings_domain *d = settings_section(s, name);

	cr_assert_not_null(d, "%s", name);
	return &d->stream;
}

static void
expect_same(const struct settings *s, const char *a, const char *b, bool is)
{
	cr_expect_eq(stream(s, a)->first == stream(s, b)->first, is, "%s %s",
	    a, b);
}

Test(settings_stream, sections_with_one_source_share_the_least_of_their_limits)
{
	struct settings *s = load_good_settings(HEAD
	    "Domain \"a.test\" { " SEND "\"192.0.2.7\" Source_Max_Rate = 90 }\n"
	    "Domain \"b.test\" { " SEND "\"192.0.2.7\" Source_Max_Rate = 60 "
	    "Source_Max_Connections = 5 }\n"
	    "Domain \"c.test\" { " SEND "\"192.0.2.7\" }\n"
	    "Domain \"d.test\" { " SEND "\"192.0.2.8\" Source_Max_Rate = 7 }\n"
	    "Domain \"e.test\" { Delivery = smtp }\n");
	static const char *const names[] = { "a.test", "b.test", "c.test" };
	size_t i;

	for (i = 0; i < 3; i++) {
		expect_same(s, "a.test", names[i], true);
		cr_expect_eq(stream(s, names[i])->max_rate, 60);
		cr_expect_eq(stream(s, names[i])->max_connections, 5);
	}
	expect_same(s, "a.test", "d.test", false);
	cr_expect_eq(stream(s, "d.test")->max_rate, 7);
	cr_expect_eq(stream(s, "d.test")->max_connections, 0);
	expect_same(s, "a.test", "e.test", false);
	cr_expect_eq(stream(s, "e.test")->max_rate, 0);
	settings_free(s);
}

/* However it is written, and over several sections */
Test(settings_stream, an_address_in_common_makes_one_stream)
{
	struct settings *s = load_good_settings(HEAD
	    "Domain \"a.test\" { " SEND "{ \"192.0.2.7\", \"2001:db8::7\" } }\n"
	    "Domain \"b.test\" { " SEND "{ \"192.0.2.8\", \"2001:db8::8\" } }\n"
	    "Domain \"c.test\" { " SEND "{ \"192.0.2.8\", "
	    "\"2001:DB8:0::0:7\" } Source_Max_Rate = 5 }\n"
	    "Domain \"d.test\" { " SEND "\"2001:db8::8\" }\n"
	    "Domain \"e.test\" { " SEND "\"2001:db8::9\" }\n");

	expect_same(s, "a.test", "b.test", true);
	expect_same(s, "a.test", "c.test", true);
	expect_same(s, "a.test", "d.test", true);
	expect_same(s, "a.test", "e.test", false);
	cr_expect_eq(stream(s, "d.test")->max_rate, 5);
	cr_expect_eq(stream(s, "e.test")->max_rate, 0);
	settings_free(s);
}
