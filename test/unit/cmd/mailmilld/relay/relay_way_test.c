/* In which order the addresses of a next hop are tried.  What is looked up, and the
 * time, are the test's. */

#include "cmd/mailmilld/relay/relay_way_int.h"

#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "test/unit/cmd/settings/load.h"
#include "test/unit/core/queue/queue_fixture.h"

#define SEARCHES_MAX	128

/* A search that has begun: its address is what mx_open() returns. */
static struct search {
	char	 name[LIM_DOMAIN + 1];
	unsigned int port;
	bool	 is_host, is_open;
	unsigned int nmore;
	mx_fn	*fn;
	void	*closure;
} searches[SEARCHES_MAX];
static unsigned int nsearches, nfound, open_fails;
static uint64_t now_ms;

static struct mx *
search_open(struct lookup *, const struct mx_want *want, mx_fn *fn,
    void *closure)
{
	struct search *s = &searches[nsearches];

	if (open_fails > 0) {
		open_fails--;
		return NULL;
	}
	cr_assert_lt(nsearches++, SEARCHES_MAX);
	*s = (struct search){ .port = want->port, .is_host = want->is_host,
		.is_open = true, .fn = fn, .closure = closure };
	strcpy(s->name, want->name);
	return (struct mx *)(void *)s;
}

static void
search_more(struct mx *x)
{
	((struct search *)(void *)x)->nmore++;
}

static void
search_close(struct mx **x)
{
	((struct search *)(void *)*x)->is_open = false;
	*x = NULL;
}

static uint64_t
now(void)
{
	return now_ms;
}

static struct relay_ways ways;

static void
on_found(void *)
{
	nfound++;
	/* whoever waits tries again */
	ways.is_short = false;
}

static struct relay_way way;
static struct settings *settings;

static void
begin(const char *domain, const char *mx)
{
	now_ms = 1000000;
	nsearches = nfound = open_fails = 0;
	ways = (struct relay_ways){ .open = search_open, .more = search_more,
		.close = search_close, .now_ms = now, .found = on_found };
	settings = load_good_settings("ESMTP_Listener { Listen "
	    "\"127.0.0.1:2525\" { } }\nDomain \"a.test\" { Delivery = smtp %s "
	    "}\n", domain);
	relay_way_open(&way, &ways, &settings->domains[0], mx, NULL);
	relay_way_begin(&way);
}

static void
end(void)
{
	relay_way_close(&way);
	cr_expect_eq(ways.nsearches, 0);
	settings_free(settings);
}

/* Answer the last search: ${hosts} is "preference host address ttl, ..." of one
 * preference; "": there are none, because of ${why}.  The TLSA records of a host
 * "bogus..." are not known. */
static void
answer(const char *hosts, enum mx_end why)
{
	struct search *s = &searches[nsearches - 1];
	struct mx_hop hops[8] = { 0 };
	char names[8][64], addr[64], whole[sizeof(addr) + 8];
	struct mx_result r = { .hops = hops, .end = why, .ttl_s = 300 };
	int used;

	for (; *hosts != '\0'; hosts += used, r.n++) {
		cr_assert_eq(sscanf(hosts, " %u %63s %63[^ ,] %u%n",
		    &hops[r.n].preference, names[r.n], addr, &r.ttl_s, &used),
		    4, "%s", hosts);
		if (hosts[used] == ',')
			used++;
		snprintf(whole, sizeof(whole), "%s:%u", addr, s->port);
		cr_assert_eq(addr_parse(whole, &hops[r.n].addr), 0, "%s",
		    whole);
		hops[r.n].host = names[r.n];
		if (strncmp(names[r.n], "bogus", 5) == 0)
			hops[r.n].tlsa.status = MX_TLSA_FAILED;
	}
	cr_assert(s->is_open);
	s->fn(s->closure, &r);
}

/* What is next: an address, "waits" or "end". */
static const char *
next(void)
{
	static char text[512];
	const struct relay_place *p;
	char addr[ADDR_PORT_TEXT];

	switch (relay_way_find(&way, &p)) {
	case RELAY_WAY_WAITS:
		return "waits";
	case RELAY_WAY_END:
		return "end";
	case RELAY_WAY_PLACE:
		break;
	}
	snprintf(text, sizeof(text), "%s%s%s", p->addr.name,
	    *p->addr.name != '\0' ? " " : "", p->addr.kind == ROUTE_UNIX ?
	    p->addr.un.sun_path : addr_port_text(&p->addr.ip.sa, addr));
	return text;
}

static uint64_t
number(void)
{
	const struct relay_place *p;

	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	return p->number;
}

static void
fail(void)
{
	struct job_error why = { .text = "refused" };

	relay_way_failed(&way, number(), &why, ECONNREFUSED);
}

TestSuite(relay_way, .fini = end);

Test(relay_way, one_address_is_tried_once_in_each_attempt)
{
	int i;

	begin("Route = \"192.0.2.1\"", NULL);
	for (i = 0; i < 3; i++) {
		cr_expect_str_eq(next(), "192.0.2.1:25");
		fail();
		cr_expect_str_eq(next(), "end");
		cr_expect_str_eq(way.why.text, "refused");
		cr_expect_eq(way.errnum, ECONNREFUSED);
		cr_expect_eq(way.flags, JOB_TARGET);
		relay_way_begin(&way);
	}
	cr_expect_eq(nsearches, 0);
}

Test(relay_way, one_that_has_failed_is_left_alone_while_there_are_others)
{
	begin("Route = { \"192.0.2.1\", \"192.0.2.2:26\", \"unix:/run/x\" }",
	    NULL);
	fail();
	cr_expect_str_eq(next(), "192.0.2.2:26");
	relay_way_good(&way, number(), 0);
	cr_expect_str_eq(next(), "192.0.2.2:26");
	/* that one fails: the third, and then the first, which is still bad */
	fail();
	cr_expect_str_eq(next(), "/run/x");
	fail();
	cr_expect_str_eq(next(), "192.0.2.1:25");
	fail();
	cr_expect_str_eq(next(), "end");
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "192.0.2.1:25");
	fail();
	cr_expect_str_eq(next(), "192.0.2.2:26");
	relay_way_good(&way, number(), 0);
	now_ms += RELAY_BAD_MS - 1;
	cr_expect_str_eq(next(), "192.0.2.2:26");
	now_ms += 1;
	cr_expect_str_eq(next(), "192.0.2.1:25");
}

Test(relay_way, a_name_is_looked_up_when_it_is_its_turn)
{
	begin("Route = { \"192.0.2.1\", \"mail.test:26\", \"192.0.2.9\" }",
	    NULL);
	cr_expect_str_eq(next(), "192.0.2.1:25");
	cr_expect_eq(nsearches, 0);
	fail();
	cr_expect_str_eq(next(), "waits");
	cr_expect_str_eq(next(), "waits");
	cr_assert_eq(nsearches, 1);
	cr_expect_str_eq(searches[0].name, "mail.test");
	cr_expect_eq(searches[0].port, 26);
	cr_expect(searches[0].is_host);
	answer("0 mail.test [2001:db8::1] 300, 0 mail.test 192.0.2.2 300", 0);
	cr_expect_eq(nfound, 1);
	cr_expect_not(searches[0].is_open);
	cr_expect_str_eq(next(), "mail.test [2001:db8::1]:26");
	fail();
	cr_expect_str_eq(next(), "mail.test 192.0.2.2:26");
	fail();
	cr_expect_str_eq(next(), "192.0.2.9:25");
	fail();
	cr_expect_str_eq(next(), "end");
	cr_expect_eq(nsearches, 1);
}

Test(relay_way, what_was_found_is_good_for_as_long_as_the_dns_says)
{
	begin("Route = \"mail.test\"", NULL);
	cr_expect_str_eq(next(), "waits");
	answer("0 mail.test 192.0.2.1 300, 0 mail.test 192.0.2.2 20", 0);
	fail();
	cr_expect_str_eq(next(), "mail.test 192.0.2.2:25");
	now_ms += 20000;
	/* in the attempt nothing changes */
	cr_expect_str_eq(next(), "mail.test 192.0.2.2:25");
	relay_way_good(&way, number(), 0);
	cr_expect_str_eq(next(), "waits");
	answer("0 mail.test 192.0.2.1 300, 0 mail.test 192.0.2.3 300", 0);
	/* that the first was bad is still known */
	cr_expect_str_eq(next(), "mail.test 192.0.2.3:25");
	relay_way_good(&way, number(), 0);
	cr_expect_str_eq(next(), "mail.test 192.0.2.3:25");
	cr_expect_eq(nsearches, 2);
}

Test(relay_way, a_name_that_is_not_there_is_the_administrators_fault)
{
	begin("Route = { \"gone.test\", \"192.0.2.1\" }", NULL);
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_ROUTE);
	cr_expect_str_eq(next(), "192.0.2.1:25");
	relay_way_good(&way, number(), 0);
	/* not with each message */
	cr_expect_str_eq(next(), "192.0.2.1:25");
	cr_expect_eq(nsearches, 1);
	now_ms += RELAY_BAD_MS;
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_ROUTE);
	/* a server that refuses is the better reason */
	fail();
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
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

Test(relay_way, a_domain_without_hosts_says_why)
{
	size_t i;

	begin("", "b.test");
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		cr_expect_str_eq(next(), "waits");
		cr_assert_eq(nsearches, i + 1);
		cr_expect_str_eq(searches[i].name, "b.test");
		cr_expect_not(searches[i].is_host);
		answer("", ends[i].end);
		cr_expect_str_eq(next(), "end");
		cr_expect_str_eq(next(), "end");
		cr_expect_str_eq(way.why.enhanced, ends[i].enhanced);
		cr_expect_eq(way.flags, ends[i].flags);
		cr_expect_eq(strncmp(way.why.text, "b.test: ", 8), 0);
		/* the next attempt asks again */
		relay_way_begin(&way);
	}
}

Test(relay_way, the_hosts_of_each_preference_are_found_when_they_are_needed)
{
	begin("MX_Port = 2500", "b.test");
	cr_expect_str_eq(next(), "waits");
	cr_expect_eq(searches[0].port, 2500);
	answer("10 m1.b.test 192.0.2.1 300, 10 m2.b.test 192.0.2.2 300", 0);
	cr_expect_str_eq(next(), "m1.b.test 192.0.2.1:2500");
	fail();
	cr_expect_str_eq(next(), "m2.b.test 192.0.2.2:2500");
	fail();
	cr_expect_eq(nsearches, 1);
	cr_expect_str_eq(next(), "waits");
	cr_assert_eq(nsearches, 2);
	answer("10 m1.b.test 192.0.2.1 300, 10 m2.b.test 192.0.2.2 300", 0);
	/* those that it had */
	cr_expect_eq(searches[1].nmore, 1);
	cr_expect_str_eq(next(), "waits");
	answer("20 m3.b.test 192.0.2.3 300", 0);
	cr_expect_str_eq(next(), "m3.b.test 192.0.2.3:2500");
	fail();
	cr_expect_str_eq(next(), "waits");
	answer("10 m1.b.test 192.0.2.1 300", 0);
	answer("20 m3.b.test 192.0.2.3 300", 0);
	answer("", MX_END_TRIED);
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
	cr_expect_eq(way.flags, JOB_TARGET);
}

/* Postfix's smtp_mx_address_limit.  Those that it leaves out come first when the
 * next attempt begins. */
Test(relay_way, no_more_addresses_are_tried_than_the_option_says)
{
	begin("MX_Address_Limit = 2", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	fail();
	cr_expect_str_eq(next(), "m.b.test 192.0.2.2:25");
	fail();
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
	cr_expect_eq(way.flags, JOB_TARGET);
	/* nor is the DNS asked for those of the next preference */
	cr_expect_eq(nsearches, 1);
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "m.b.test 192.0.2.3:25");
	fail();
	cr_expect_str_eq(next(), "waits");
	answer("20 n.b.test 192.0.2.4 300", 0);
	cr_expect_str_eq(next(), "n.b.test 192.0.2.4:25");
	fail();
	cr_expect_str_eq(next(), "end");
}

Test(relay_way, the_usual_limit_is_five_and_zero_is_none)
{
	static const char *const options[] = { "", "MX_Address_Limit = 0" };
	char hosts[256] = "";
	size_t i, n;

	for (n = 0; n < 7; n++)
		snprintf(hosts + strlen(hosts), sizeof(hosts) - strlen(hosts),
		    "%s10 m.b.test 192.0.2.%zu 300", n > 0 ? ", " : "", n + 1);
	for (i = 0; i < 2; i++) {
		if (i > 0)
			end();
		begin(options[i], "b.test");
		cr_expect_str_eq(next(), "waits");
		answer(hosts, 0);
		for (n = 0; strstr(next(), "192.0.2.") != NULL; n++)
			fail();
		cr_expect_eq(n, i == 0 ? 5 : 7);
	}
}

/* Those which are tried beside each other count as well. */
Test(relay_way, an_address_counts_when_a_connection_to_it_begins)
{
	uint64_t first;

	begin("MX_Address_Limit = 2", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	first = number();
	relay_way_use(&way, first);
	relay_way_use(&way, relay_way_beside(&way, first)->number);
	cr_expect_null(relay_way_beside(&way, first + 1));
	fail();
	cr_expect_str_eq(next(), "m.b.test 192.0.2.2:25");
	fail();
	cr_expect_str_eq(next(), "end");
}

Test(relay_way, values_of_route_have_no_limit)
{
	begin("MX_Address_Limit = 1 Route = { \"192.0.2.1\", \"192.0.2.2\" }",
	    NULL);
	fail();
	cr_expect_str_eq(next(), "192.0.2.2:25");
}

/* Two servers that say nothing for five minutes, RFC 5321 4.5.3.2.1 */
Test(relay_way, after_ten_minutes_no_other_address_is_tried)
{
	begin("", "b.test");
	now_ms += 7 * RELAY_ATTEMPT_MS;
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	relay_way_use(&way, number());
	now_ms += RELAY_ATTEMPT_MS / 2;
	fail();
	cr_expect_str_eq(next(), "m.b.test 192.0.2.2:25");
	relay_way_use(&way, number());
	now_ms += RELAY_ATTEMPT_MS / 2;
	/* that one is seen to its end */
	cr_expect_str_eq(next(), "m.b.test 192.0.2.2:25");
	fail();
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
	/* the next attempt has as much */
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test 192.0.2.1 300, 10 m.b.test 192.0.2.2 300, "
	    "10 m.b.test 192.0.2.3 300", 0);
	cr_expect_str_eq(next(), "m.b.test 192.0.2.1:25");
}

/* RFC 7672 2.1.2 */
Test(relay_way, a_host_whose_tlsa_records_are_not_known_is_left_out)
{
	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 bogus1.test 192.0.2.1 300, 10 m.test 192.0.2.2 300", 0);
	cr_expect_str_eq(next(), "m.test 192.0.2.2:25");
	cr_expect(way.has_demand);
	fail();
	cr_expect_str_eq(next(), "waits");
	answer("20 bogus2.test 192.0.2.3 300", 0);
	/* as if it had failed: the next preference, and then the end */
	cr_expect_eq(searches[1].nmore, 1);
	answer("", MX_END_TRIED);
	cr_expect_str_eq(next(), "end");
	cr_expect_eq(strncmp(way.why.text, "bogus2.test: the DNS gives", 26),
	    0, "%s", way.why.text);
	cr_expect_str_eq(way.why.enhanced, "4.7.5");
	cr_expect_eq(way.flags, JOB_TARGET);
	/* they are asked for again sooner than the DNS says */
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "m.test 192.0.2.2:25");
	now_ms += RELAY_BAD_MS;
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
	answer("10 bogus1.test 192.0.2.1 300", 0);
	answer("", MX_END_TRIED);
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.enhanced, "4.7.5");
	/* with nothing but such, at once */
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
}

Test(relay_way, who_has_said_a_name_decides_whether_a_certificate_for_it_counts)
{
	const struct relay_place *p;

	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 mx.c.test 192.0.2.1 300, 10 b.test 192.0.2.2 300", 0);
	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	/* the DNS, without DNSSEC */
	cr_expect_not(p->policy->is_sure);
	fail();
	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	/* the sender */
	cr_expect(p->policy->is_sure);
}

Test(relay_way, addresses_of_one_preference_can_be_tried_beside_each_other)
{
	const struct relay_place *p;
	uint64_t first;

	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test [2001:db8::1] 300, 10 m.b.test 192.0.2.1 300, "
	    "10 m.b.test 192.0.2.2 300", 0);
	first = number();
	cr_assert_not_null(p = relay_way_beside(&way, first));
	cr_expect_eq(p->addr.ip.sa.sa_family, AF_INET);
	relay_way_failed(&way, p->number, &way.why, ECONNREFUSED);
	cr_assert_not_null(p = relay_way_beside(&way, first));
	/* it was faster than the first, which is left alone for a while */
	relay_way_late(&way, first);
	relay_way_good(&way, p->number, 0);
	cr_expect_str_eq(next(), "m.b.test 192.0.2.2:25");
	cr_expect_null(relay_way_beside(&way, p->number));
	now_ms += RELAY_BAD_MS;
	cr_expect_eq(number(), first);
	cr_expect_null(relay_way_beside(&way, 77));
}

Test(relay_way, values_of_route_are_tried_one_after_the_other)
{
	begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	cr_expect_null(relay_way_beside(&way, number()));
	fail();
	(void)number();
	cr_expect_null(relay_way_beside(&way, 1));
}

/* What comes from an address of this machine's would come from another one. */
Test(relay_way, families_without_a_source_are_left_out)
{
	begin("Source = \"192.0.2.7\"", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test [2001:db8::1] 300, 10 m.b.test 192.0.2.1 300", 0);
	cr_expect_str_eq(next(), "m.b.test 192.0.2.1:25");
	fail();
	cr_expect_str_eq(next(), "waits");
	answer("20 n.b.test [2001:db8::2] 300", 0);
	answer("", MX_END_TRIED);
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
	/* nothing but such addresses */
	relay_way_close(&way);
	relay_way_open(&way, &ways, &settings->domains[0], "c.test", NULL);
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
	answer("20 n.c.test [2001:db8::2] 300", 0);
	answer("", MX_END_TRIED);
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.enhanced, "4.4.4");
	cr_expect_eq(way.flags, JOB_TARGET);
}

Test(relay_way, searches_are_bounded)
{
	static struct relay_way others[RELAY_SEARCHES];
	const struct relay_place *p;
	size_t i;

	begin("", "b.test");
	for (i = 0; i < RELAY_SEARCHES; i++) {
		relay_way_open(&others[i], &ways, &settings->domains[0],
		    "c.test", NULL);
		relay_way_begin(&others[i]);
		cr_expect_eq(relay_way_find(&others[i], &p), RELAY_WAY_WAITS);
	}
	cr_expect_not(ways.is_short);
	cr_expect_str_eq(next(), "waits");
	cr_expect(ways.is_short);
	cr_expect_eq(nsearches, RELAY_SEARCHES);
	relay_way_close(&others[0]);
	cr_expect_str_eq(next(), "waits");
	cr_expect_eq(nsearches, RELAY_SEARCHES + 1);
	for (i = 1; i < RELAY_SEARCHES; i++)
		relay_way_close(&others[i]);
}

/* So that not each connection has a login that is refused. */
Test(relay_way, what_a_server_has_refused_is_known_until_it_fails)
{
	const struct relay_place *p;

	begin("Route = \"mail.test\"", NULL);
	cr_expect_str_eq(next(), "waits");
	answer("0 mail.test 192.0.2.1 20", 0);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 0);
	relay_way_good(&way, p->number, 2);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 2);
	/* the DNS is asked again, and has the same address */
	now_ms += 20000;
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
	answer("0 mail.test 192.0.2.1 300", 0);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 2);
	/* it may know others now */
	fail();
	relay_way_begin(&way);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 0);
}

/* One that never fails may know them one day, too; and what somebody in between has
 * made it refuse is not for ever. */
Test(relay_way, what_a_server_has_refused_is_offered_again_the_next_day)
{
	const struct relay_place *p;
	int hour;

	begin("Route = \"mail.test\"", NULL);
	cr_expect_str_eq(next(), "waits");
	answer("0 mail.test 192.0.2.1 72000", 0);
	relay_way_good(&way, number(), 1);
	for (hour = 1; hour < 24; hour++) {
		now_ms += 3600000;
		relay_way_begin(&way);
		if (hour == 20) {
			cr_expect_str_eq(next(), "waits");
			answer("0 mail.test 192.0.2.1 72000", 0);
		}
		cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
		cr_expect_eq(p->nrefused, 1, "after %d hours", hour);
		/* of which each connection makes use */
		relay_way_good(&way, p->number, p->nrefused);
	}
	now_ms += 3600000;
	relay_way_begin(&way);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 0);
	relay_way_good(&way, p->number, 1);
	now_ms += 3600000;
	relay_way_begin(&way);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_PLACE);
	cr_expect_eq(p->nrefused, 1);
}

/* RFC 8689 4.2.1: all hosts are tried; only then has the mail failed. */
static void
lack_for(bool is_sure)
{
	struct job_error why = { .enhanced = "5.7.30", .text = "lacks it" };

	relay_way_lacks(&way, number(), &why, is_sure);
}

static void
lack(void)
{
	lack_for(true);
}

static void
expect_end(const char *enhanced, uint32_t flags)
{
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.enhanced, enhanced);
	cr_expect_eq(way.flags, flags);
	relay_way_begin(&way);
}

Test(relay_way, mail_is_refused_when_each_host_lacks_what_it_needs)
{
	int i;

	begin("", "b.test");
	for (i = 0; i < 2; i++) {
		cr_expect_str_eq(next(), i == 0 ? "waits" :
		    "m1.b.test 192.0.2.1:25");
		if (i == 0)
			answer("10 m1.b.test 192.0.2.1 300", 0);
		lack();
		if (i == 0) {
			cr_expect_str_eq(next(), "waits");
			answer("20 m2.b.test 192.0.2.2 300", 0);
		}
		cr_expect_str_eq(next(), "m2.b.test 192.0.2.2:25");
		lack();
		if (i == 0) {
			cr_expect_str_eq(next(), "waits");
			answer("", MX_END_TRIED);
		}
		expect_end("5.7.30", JOB_REFUSED);
		now_ms += RELAY_BAD_MS;
	}
}

/* And what one lacks says nothing of other mail for the target. */
Test(relay_way, mail_waits_as_long_as_a_host_may_have_what_it_needs)
{
	begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	lack();
	fail();
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
	expect_end("", 0);
	/* those that have failed come last */
	now_ms += RELAY_BAD_MS;
	fail();
	lack();
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
	expect_end("", 0);
	end();
	/* a group that the DNS does not tell of */
	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m1.b.test 192.0.2.1 300", 0);
	lack();
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_TEMPORARY);
	expect_end("4.7.30", 0);
	end();
	/* a host that policies keep us from */
	begin("TLS = dane", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m1.b.test 192.0.2.1 300, 10 bogus.b.test 192.0.2.2 300", 0);
	lack();
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_TRIED);
	expect_end("4.7.30", 0);
	end();
	/* more addresses than are tried */
	begin("MX_Address_Limit = 1", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m1.b.test 192.0.2.1 300, 10 m2.b.test 192.0.2.2 300", 0);
	lack();
	expect_end("4.7.30", 0);
	cr_expect_str_eq(next(), "m2.b.test 192.0.2.2:25");
	end();
	/* one that may have it another time, and has not then */
	begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	lack_for(false);
	lack();
	expect_end("4.7.30", 0);
	now_ms += RELAY_BAD_MS;
	lack();
	lack();
	expect_end("5.7.30", JOB_REFUSED);
}

/* That is of this machine, and says nothing of the mail: it is neither delivered nor
 * refused. */
Test(relay_way, without_memory_for_addresses_mail_waits)
{
	begin("Route = { \"192.0.2.1\", \"192.0.2.2\" }", NULL);
	/* the first of an array */
	qf_no_memory_for = 16;
	cr_expect_str_eq(next(), "end");
	cr_expect_eq(way.errnum, ENOMEM);
	expect_end("4.3.0", JOB_UNASKED);
	qf_no_memory_for = 0;
	cr_expect_str_eq(next(), "192.0.2.1:25");
	lack();
	lack();
	expect_end("5.7.30", JOB_REFUSED);
	/* nor does it say what it said of the mail before */
	end();
	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_NO_DOMAIN);
	expect_end("5.1.2", JOB_REFUSED);
	cr_expect_str_eq(next(), "waits");
	qf_no_memory_for = 16;
	answer("10 m1.b.test 192.0.2.1 300", 0);
	qf_no_memory_for = 0;
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_TRIED);
	expect_end("4.3.0", JOB_UNASKED);
}

Test(relay_way, a_host_for_which_there_is_no_memory_may_have_what_the_mail_needs)
{
	char hosts[512];
	size_t at;
	int i, k;

	begin("MX_Address_Limit = 0", "b.test");
	for (k = 0; k < 2; k++) {
		cr_expect_str_eq(next(), "waits");
		for (i = at = 0; i < 8; i++)
			at += (size_t)snprintf(hosts + at, sizeof(hosts) - at,
			    "%d m%d.b.test 192.0.2.%d 300,", k, 8 * k + i,
			    8 * k + i + 1);
		answer(hosts, 0);
		for (i = 0; i < 8; i++)
			lack();
	}
	cr_expect_str_eq(next(), "waits");
	qf_no_memory_for = 24;
	answer("20 m17.b.test 192.0.2.17 300", 0);
	qf_no_memory_for = 0;
	cr_expect_str_eq(next(), "waits");
	answer("", MX_END_TRIED);
	expect_end("4.7.30", 0);
	/* it is looked for again soon */
	now_ms += RELAY_BAD_MS;
	cr_expect_str_eq(next(), "waits");
}

Test(relay_way, a_search_ends_when_each_of_its_questions_has_had_its_time)
{
	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	/* the slowest resolver that still answers: the last one in time */
	now_ms += MX_QUESTIONS * LIM_LOOKUP_SECONDS * 1000 - 1;
	relay_ways_late(&ways);
	cr_expect_eq(nfound, 0);
	now_ms++;
	relay_ways_late(&ways);
	cr_expect_eq(nfound, 1);
	cr_expect_not(searches[0].is_open);
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.enhanced, "4.4.3");
	cr_expect_eq(way.flags, JOB_TARGET);
	cr_expect_eq(ways.nsearches, 0);
}

/* What an address has said, or has not, is the better reason. */
Test(relay_way, a_search_that_ends_early_keeps_the_reason_of_an_address)
{
	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	answer("10 m.b.test 192.0.2.1 300", 0);
	fail();
	cr_expect_str_eq(next(), "waits");
	now_ms += RELAY_SEARCH_MS;
	relay_ways_late(&ways);
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.text, "refused");
}

Test(relay_way, a_search_whose_place_others_wait_for_ends_after_seconds)
{
	static struct relay_way others[RELAY_SEARCHES];
	const struct relay_place *p;
	size_t i;

	begin("", "b.test");
	for (i = 0; i < RELAY_SEARCHES; i++) {
		relay_way_open(&others[i], &ways, &settings->domains[0],
		    "c.test", NULL);
		relay_way_begin(&others[i]);
		cr_expect_eq(relay_way_find(&others[i], &p), RELAY_WAY_WAITS);
	}
	now_ms += RELAY_SEARCH_SHORT_MS;
	/* nobody waits for a place */
	relay_ways_late(&ways);
	cr_expect_eq(nfound, 0);
	cr_expect_str_eq(next(), "waits");
	relay_ways_late(&ways);
	cr_expect_eq(nfound, 1);
	/* the first that has begun */
	cr_expect_not(searches[0].is_open);
	cr_expect(searches[1].is_open);
	cr_expect_str_eq(next(), "waits");
	cr_expect_eq(nsearches, RELAY_SEARCHES + 1);
	cr_expect_str_eq(searches[RELAY_SEARCHES].name, "b.test");
	/* one of seconds is left alone */
	ways.is_short = true;
	for (i = 1; i < RELAY_SEARCHES; i++)
		relay_way_close(&others[i]);
	relay_ways_late(&ways);
	cr_expect(searches[RELAY_SEARCHES].is_open);
	relay_way_close(&others[0]);
}

Test(relay_way, an_attempt_that_is_over_waits_for_no_search)
{
	begin("", "b.test");
	cr_expect_str_eq(next(), "waits");
	now_ms += RELAY_ATTEMPT_MS;
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.enhanced, "4.4.3");
	cr_expect_not(searches[0].is_open);
}

Test(relay_way, without_memory_for_a_search_it_is_tried_later)
{
	begin("", "b.test");
	open_fails = 1;
	cr_expect_str_eq(next(), "end");
	cr_expect_str_eq(way.why.enhanced, "4.4.3");
	cr_expect_eq(way.flags, JOB_TARGET);
	relay_way_begin(&way);
	cr_expect_str_eq(next(), "waits");
}
