/* What of a next hop is looked up, and when, and what becomes of the answers. */

#include "test/unit/cmd/mailmilld/relay/relay_way_fixture.h"

#include <criterion/criterion.h>
#include <string.h>

#include "test/unit/core/queue/queue_fixture.h"

TestSuite(relay_way_search, .fini = rw_end);

Test(relay_way_search, a_name_is_looked_up_when_it_is_its_turn)
{
	rw_begin("Route = { \"192.0.2.1\", \"mail.test:26\", \"192.0.2.9\" }",
	    NULL);
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
	cr_expect_eq(rw.nsearches, 0);
	rw_fail();
	cr_expect_str_eq(rw_next(), "waits");
	cr_expect_str_eq(rw_next(), "waits");
	cr_assert_eq(rw.nsearches, 1);
	cr_expect_str_eq(rw.searches[0].name, "mail.test");
	cr_expect_eq(rw.searches[0].port, 26);
	cr_expect(rw.searches[0].is_host);
	rw_answer("0 mail.test [2001:db8::1] 300, 0 mail.test 192.0.2.2 300", 0);
	cr_expect_eq(rw.nfound, 1);
	cr_expect_not(rw.searches[0].is_open);
	cr_expect_str_eq(rw_next(), "mail.test [2001:db8::1]:26");
	rw_fail();
	cr_expect_str_eq(rw_next(), "mail.test 192.0.2.2:26");
	rw_fail();
	cr_expect_str_eq(rw_next(), "192.0.2.9:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_eq(rw.nsearches, 1);
}

Test(relay_way_search, what_was_found_is_good_for_as_long_as_the_dns_says)
{
	rw_begin("Route = \"mail.test\"", NULL);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("0 mail.test 192.0.2.1 300, 0 mail.test 192.0.2.2 20", 0);
	rw_fail();
	cr_expect_str_eq(rw_next(), "mail.test 192.0.2.2:25");
	rw.now_ms += 20000;
	/* in the attempt nothing changes */
	cr_expect_str_eq(rw_next(), "mail.test 192.0.2.2:25");
	relay_way_good(&rw.way, rw_number(), 0);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("0 mail.test 192.0.2.1 300, 0 mail.test 192.0.2.3 300", 0);
	/* that the first was bad is still known */
	cr_expect_str_eq(rw_next(), "mail.test 192.0.2.3:25");
	relay_way_good(&rw.way, rw_number(), 0);
	cr_expect_str_eq(rw_next(), "mail.test 192.0.2.3:25");
	cr_expect_eq(rw.nsearches, 2);
}

Test(relay_way_search, a_name_that_is_not_there_is_the_administrators_fault)
{
	rw_begin("Route = { \"gone.test\", \"192.0.2.1\" }", NULL);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_ROUTE);
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
	relay_way_good(&rw.way, rw_number(), 0);
	/* not with each message */
	cr_expect_str_eq(rw_next(), "192.0.2.1:25");
	cr_expect_eq(rw.nsearches, 1);
	rw.now_ms += RELAY_BAD_MS;
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("", MX_END_ROUTE);
	/* a server that refuses is the better reason */
	rw_fail();
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
}

/* The reasons of RFC 5321 5.1 and RFC 7505. */
static const struct {
	enum mx_end	 end;
	const char	*enhanced;
	uint32_t	 flags;
} ends[] = {
	{ MX_END_TEMPORARY, "4.4.3", JOB_TARGET },
	{ MX_END_NO_DOMAIN, "5.1.2", JOB_REFUSED },
	{ MX_END_NO_HOST, "5.4.4", JOB_REFUSED },
	{ MX_END_NULL, "5.1.10", JOB_REFUSED },
	{ MX_END_SELF, "5.4.6", JOB_REFUSED },
};

Test(relay_way_search, a_domain_without_hosts_says_why)
{
	size_t i;

	rw_begin("", "b.test");
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		cr_expect_str_eq(rw_next(), "waits");
		cr_assert_eq(rw.nsearches, i + 1);
		cr_expect_str_eq(rw.searches[i].name, "b.test");
		cr_expect_not(rw.searches[i].is_host);
		rw_answer("", ends[i].end);
		cr_expect_str_eq(rw_next(), "end");
		cr_expect_str_eq(rw_next(), "end");
		cr_expect_str_eq(rw.way.why.enhanced, ends[i].enhanced);
		cr_expect_eq(rw.way.flags, ends[i].flags);
		cr_expect_eq(strncmp(rw.way.why.text, "b.test: ", 8), 0);
		/* the next attempt asks again */
		relay_way_begin(&rw.way);
	}
}

Test(relay_way_search, the_hosts_of_each_preference_are_found_when_they_are_needed)
{
	rw_begin("MX_Port = 2500", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	cr_expect_eq(rw.searches[0].port, 2500);
	rw_answer("10 m1.b.test 192.0.2.1 300, 10 m2.b.test 192.0.2.2 300", 0);
	cr_expect_str_eq(rw_next(), "m1.b.test 192.0.2.1:2500");
	rw_fail();
	cr_expect_str_eq(rw_next(), "m2.b.test 192.0.2.2:2500");
	rw_fail();
	cr_expect_eq(rw.nsearches, 1);
	cr_expect_str_eq(rw_next(), "waits");
	cr_assert_eq(rw.nsearches, 2);
	rw_answer("10 m1.b.test 192.0.2.1 300, 10 m2.b.test 192.0.2.2 300", 0);
	/* those that it had */
	cr_expect_eq(rw.searches[1].nmore, 1);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("20 m3.b.test 192.0.2.3 300", 0);
	cr_expect_str_eq(rw_next(), "m3.b.test 192.0.2.3:2500");
	rw_fail();
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m1.b.test 192.0.2.1 300", 0);
	rw_answer("20 m3.b.test 192.0.2.3 300", 0);
	rw_answer("", MX_END_TRIED);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
	cr_expect_eq(rw.way.flags, JOB_TARGET);
}

/* RFC 7672 2.1.2 */
Test(relay_way_search, a_host_whose_tlsa_records_are_not_known_is_left_out)
{
	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 bogus1.test 192.0.2.1 300, 10 m.test 192.0.2.2 300", 0);
	cr_expect_str_eq(rw_next(), "m.test 192.0.2.2:25");
	cr_expect(rw.way.has_demand);
	rw_fail();
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("20 bogus2.test 192.0.2.3 300", 0);
	/* as if it had failed: the next preference, and then the end */
	cr_expect_eq(rw.searches[1].nmore, 1);
	rw_answer("", MX_END_TRIED);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_eq(strncmp(rw.way.why.text, "bogus2.test: the DNS gives", 26),
	    0, "%s", rw.way.why.text);
	cr_expect_str_eq(rw.way.why.enhanced, "4.7.5");
	cr_expect_eq(rw.way.flags, JOB_TARGET);
	/* they are asked for again sooner than the DNS says */
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "m.test 192.0.2.2:25");
	rw.now_ms += RELAY_BAD_MS;
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 bogus1.test 192.0.2.1 300", 0);
	rw_answer("", MX_END_TRIED);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.enhanced, "4.7.5");
	/* with nothing but such, at once */
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
}

Test(relay_way_search, who_has_said_a_name_decides_whether_a_certificate_for_it_counts)
{
	const struct relay_place *p;

	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 mx.c.test 192.0.2.1 300, 10 b.test 192.0.2.2 300", 0);
	cr_assert_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	/* the DNS, without DNSSEC */
	cr_expect_not(p->policy->is_sure);
	rw_fail();
	cr_assert_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	/* the sender */
	cr_expect(p->policy->is_sure);
}

/* What comes from an address of this machine's would come from another one. */
Test(relay_way_search, families_without_a_source_are_left_out)
{
	rw_begin("Source = \"192.0.2.7\"", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test [2001:db8::1] 300, 10 m.b.test 192.0.2.1 300", 0);
	cr_expect_str_eq(rw_next(), "m.b.test 192.0.2.1:25");
	rw_fail();
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("20 n.b.test [2001:db8::2] 300", 0);
	rw_answer("", MX_END_TRIED);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
	/* nothing but such addresses */
	relay_way_close(&rw.way);
	relay_way_open(&rw.way, &rw.ways, &rw.settings->domains[0], "c.test", NULL);
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("20 n.c.test [2001:db8::2] 300", 0);
	rw_answer("", MX_END_TRIED);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.enhanced, "4.4.4");
	cr_expect_eq(rw.way.flags, JOB_TARGET);
}

Test(relay_way_search, searches_are_bounded)
{
	static struct relay_way others[RELAY_SEARCHES];
	const struct relay_place *p;
	size_t i;

	rw_begin("", "b.test");
	for (i = 0; i < RELAY_SEARCHES; i++) {
		relay_way_open(&others[i], &rw.ways, &rw.settings->domains[0],
		    "c.test", NULL);
		relay_way_begin(&others[i]);
		cr_expect_eq(relay_way_find(&others[i], &p), RELAY_WAY_WAITS);
	}
	cr_expect_not(rw.ways.is_short);
	cr_expect_str_eq(rw_next(), "waits");
	cr_expect(rw.ways.is_short);
	cr_expect_eq(rw.nsearches, RELAY_SEARCHES);
	relay_way_close(&others[0]);
	cr_expect_str_eq(rw_next(), "waits");
	cr_expect_eq(rw.nsearches, RELAY_SEARCHES + 1);
	for (i = 1; i < RELAY_SEARCHES; i++)
		relay_way_close(&others[i]);
}

Test(relay_way_search, a_search_ends_when_each_of_its_questions_has_had_its_time)
{
	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	/* the slowest resolver that still answers: the last one in time */
	rw.now_ms += MX_QUESTIONS * LIM_LOOKUP_SECONDS * 1000 - 1;
	relay_ways_late(&rw.ways);
	cr_expect_eq(rw.nfound, 0);
	rw.now_ms++;
	relay_ways_late(&rw.ways);
	cr_expect_eq(rw.nfound, 1);
	cr_expect_not(rw.searches[0].is_open);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.enhanced, "4.4.3");
	cr_expect_eq(rw.way.flags, JOB_TARGET);
	cr_expect_eq(rw.ways.nsearches, 0);
}

/* What an address has said, or has not, is the better reason. */
Test(relay_way_search, a_search_that_ends_early_keeps_the_reason_of_an_address)
{
	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw_answer("10 m.b.test 192.0.2.1 300", 0);
	rw_fail();
	cr_expect_str_eq(rw_next(), "waits");
	rw.now_ms += RELAY_SEARCH_MS;
	relay_ways_late(&rw.ways);
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.text, "refused");
}

Test(relay_way_search, a_search_whose_place_others_wait_for_ends_after_seconds)
{
	static struct relay_way others[RELAY_SEARCHES];
	const struct relay_place *p;
	size_t i;

	rw_begin("", "b.test");
	for (i = 0; i < RELAY_SEARCHES; i++) {
		relay_way_open(&others[i], &rw.ways, &rw.settings->domains[0],
		    "c.test", NULL);
		relay_way_begin(&others[i]);
		cr_expect_eq(relay_way_find(&others[i], &p), RELAY_WAY_WAITS);
	}
	rw.now_ms += RELAY_SEARCH_SHORT_MS;
	/* nobody waits for a place */
	relay_ways_late(&rw.ways);
	cr_expect_eq(rw.nfound, 0);
	cr_expect_str_eq(rw_next(), "waits");
	relay_ways_late(&rw.ways);
	cr_expect_eq(rw.nfound, 1);
	/* the first that has begun */
	cr_expect_not(rw.searches[0].is_open);
	cr_expect(rw.searches[1].is_open);
	cr_expect_str_eq(rw_next(), "waits");
	cr_expect_eq(rw.nsearches, RELAY_SEARCHES + 1);
	cr_expect_str_eq(rw.searches[RELAY_SEARCHES].name, "b.test");
	/* one of seconds is left alone */
	rw.ways.is_short = true;
	for (i = 1; i < RELAY_SEARCHES; i++)
		relay_way_close(&others[i]);
	relay_ways_late(&rw.ways);
	cr_expect(rw.searches[RELAY_SEARCHES].is_open);
	relay_way_close(&others[0]);
}

Test(relay_way_search, an_attempt_that_is_over_waits_for_no_search)
{
	rw_begin("", "b.test");
	cr_expect_str_eq(rw_next(), "waits");
	rw.now_ms += RELAY_ATTEMPT_MS;
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.enhanced, "4.4.3");
	cr_expect_not(rw.searches[0].is_open);
}

Test(relay_way_search, without_memory_for_a_search_it_is_tried_later)
{
	rw_begin("", "b.test");
	rw.open_fails = 1;
	cr_expect_str_eq(rw_next(), "end");
	cr_expect_str_eq(rw.way.why.enhanced, "4.4.3");
	cr_expect_eq(rw.way.flags, JOB_TARGET);
	relay_way_begin(&rw.way);
	cr_expect_str_eq(rw_next(), "waits");
}
