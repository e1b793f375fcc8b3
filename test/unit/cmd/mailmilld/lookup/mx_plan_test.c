#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/lookup/mx_plan.h"

static struct mx_plan plan;
static struct mx_self *self;
static uint32_t next_random;

/* Falling numbers: of two with the same preference, the later one comes first. */
static uint32_t
falling(uint32_t below)
{
	cr_assert_gt(below, next_random);
	return next_random--;
}

static void
setup(void)
{
	static struct settings settings = { .hostname = NULL };
	static char name[] = "me.example";

	settings.hostname = name;
	self = mx_self_new(&settings);
	cr_assert_not_null(self);
	next_random = 1000;
}

static void
teardown(void)
{
	mx_self_free(self);
}

TestSuite(mx_plan, .init = setup, .fini = teardown);

static void
begin_as(const char *name, bool is_host)
{
	const struct mx_want want = { .name = name, .port = 25, .self = self,
		.is_host = is_host };

	mx_plan_begin(&plan, &want);
	plan.random = falling;
}

static void
begin(const char *name)
{
	begin_as(name, false);
}

/* --- answers -------------------------------------------------------------- */

struct answer {
	struct lookup_answer	 a;
	uint8_t			 octets[LIM_LOOKUP_OCTETS];
};
static struct answer room;

static void
put(struct answer *to, const struct lookup_record *r)
{
	cr_assert_eq(lookup_record_put(to->octets, sizeof(to->octets),
	    &to->a.len, r), 0);
	to->a.records = to->octets;
}

static const struct lookup_answer *
status(enum lookup_status s)
{
	memset(&room, 0, sizeof(room));
	room.a.status = s;
	room.a.ttl_s = 100;
	return &room.a;
}

/* "10 mx1.example 20 mx2.example"; "0 ." is the root. */
static void
mx(const char *text)
{
	struct lookup_record r = { .type = LOOKUP_R_MX };
	char name[LIM_DOMAIN + 1];
	int n;

	(void)status(LOOKUP_FOUND);
	for (; sscanf(text, " %u %255s%n", &r.preference, name, &n) == 2;
	    text += n) {
		strcpy(r.name, strcmp(name, ".") == 0 ? "" : name);
		put(&room, &r);
	}
	cr_assert_eq(mx_plan_step(&plan), MX_STEP_MX);
	mx_plan_mx(&plan, &room.a);
}

static void
mx_status(enum lookup_status s)
{
	cr_assert_eq(mx_plan_step(&plan), MX_STEP_MX);
	mx_plan_mx(&plan, status(s));
}

/* The host of the group with that name. */
static unsigned int
index_of(const char *host)
{
	unsigned int i;

	cr_assert_eq(mx_plan_step(&plan), MX_STEP_HOSTS, "%s", host);
	for (i = 0; i < plan.ngroup; i++)
		if (strcmp(mx_plan_host_name(&plan, i), host) == 0)
			return i;
	cr_assert(false, "%s is not asked for", host);
	return 0;
}

static void
host(const char *name, const char *addrs)
{
	struct lookup_record r;
	unsigned int i = index_of(name);
	char text[64];
	int n;

	(void)status(LOOKUP_FOUND);
	for (; sscanf(addrs, " %63s%n", text, &n) == 1; addrs += n) {
		memset(&r, 0, sizeof(r));
		r.type = LOOKUP_R_ADDRESS;
		r.addr.sa.sa_family = strchr(text, ':') != NULL ? AF_INET6 :
		    AF_INET;
		cr_assert_eq(inet_pton(r.addr.sa.sa_family, text,
		    r.addr.sa.sa_family == AF_INET6 ?
		    (void *)&r.addr.in6.sin6_addr :
		    (void *)&r.addr.in.sin_addr), 1, "%s", text);
		put(&room, &r);
	}
	mx_plan_host(&plan, i, &room.a);
}

static void
host_status(const char *name, enum lookup_status s)
{
	mx_plan_host(&plan, index_of(name), status(s));
}

/* The hops are these: "192.0.2.1/mx1.example ..." */
static void
hops(const char *want)
{
	char text[4096] = "", addr[ADDR_TEXT];
	unsigned int i;
	size_t at = 0;

	cr_assert_eq(mx_plan_step(&plan), MX_STEP_HOPS, "end %d", plan.end);
	for (i = 0; i < plan.nhops; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s/%s",
		    i == 0 ? "" : " ", addr_text(&plan.hops[i].addr.sa, addr),
		    plan.hops[i].host);
		cr_expect_eq(addr_port(&plan.hops[i].addr.sa), plan.port);
	}
	cr_expect_str_eq(text, want);
}

static void
ends(enum mx_end why)
{
	cr_assert_eq(mx_plan_step(&plan), MX_STEP_END);
	cr_expect_eq(plan.end, why, "%d, not %d", plan.end, why);
}

static void
own_addr(const char *text)
{
	union addr a;

	cr_assert_eq(addr_parse(text, &a), 0);
	cr_assert_eq(mx_self_add_addr(self, &a), 0);
}

/* --- order ---------------------------------------------------------------- */

Test(mx_plan, hosts_come_by_preference_a_group_at_a_time)
{
	begin("example.com");
	cr_expect_str_eq(plan.name, "example.com");
	mx("20 mx2.example 10 mx1.example 65535 mx3.example");
	host("mx1.example", "192.0.2.1");
	hops("192.0.2.1/mx1.example");
	cr_expect_eq(plan.hops[0].preference, 10);
	mx_plan_more(&plan);
	host("mx2.example", "192.0.2.2");
	hops("192.0.2.2/mx2.example");
	mx_plan_more(&plan);
	host("mx3.example", "192.0.2.3");
	hops("192.0.2.3/mx3.example");
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
}

/* --- TLSA records --------------------------------------------------------- */

static void
authentic_mx(const char *name, const char *host_name, bool is_authentic)
{
	struct lookup_record r = { .type = LOOKUP_R_MX, .preference = 10 };

	begin(name);
	plan.wants_tlsa = true;
	(void)status(LOOKUP_FOUND);
	strcpy(r.name, host_name);
	put(&room, &r);
	strcpy(r.name, "other.example");
	put(&room, &r);
	room.a.is_authentic = is_authentic;
	mx_plan_mx(&plan, &room.a);
}

static void
authentic_host(const char *name, const char *addr, bool is_authentic)
{
	struct lookup_record r = { .type = LOOKUP_R_ADDRESS };
	unsigned int i = index_of(name);

	(void)status(LOOKUP_FOUND);
	r.addr.sa.sa_family = AF_INET;
	cr_assert_eq(inet_pton(AF_INET, addr, &r.addr.in.sin_addr), 1);
	put(&room, &r);
	room.a.is_authentic = is_authentic;
	mx_plan_host(&plan, i, &room.a);
}

Test(mx_plan, tlsa_records_are_asked_for_where_all_before_them_is_proven)
{
	const struct lookup_answer found = { .status = LOOKUP_FOUND,
		.is_authentic = true, .ttl_s = 7 };
	char name[LIM_DOMAIN + 1];
	enum lookup_type type;
	unsigned int i, n = 0;

	authentic_mx("example.com", "mx.example", true);
	authentic_host("mx.example", "192.0.2.1", true);
	cr_expect_eq(mx_plan_step(&plan), MX_STEP_HOSTS);
	authentic_host("other.example", "192.0.2.2", false);
	cr_assert_eq(mx_plan_step(&plan), MX_STEP_TLSA);
	for (i = 0; i < plan.ngroup; i++) {
		if (!mx_plan_tlsa_question(&plan, i, name, &type))
			continue;
		n++;
		cr_expect_str_eq(name, "_25._tcp.mx.example");
		cr_expect_eq(type, LOOKUP_TLSA);
		mx_plan_tlsa(&plan, i, &found);
	}
	cr_expect_eq(n, 1);
	hops("192.0.2.2/other.example 192.0.2.1/mx.example");
	cr_expect_eq(plan.hops[0].tlsa.status, MX_TLSA_NONE);
	cr_expect_eq(plan.hops[1].tlsa.status, MX_TLSA_FOUND);
	cr_expect_str_eq(plan.hops[1].tlsa.base, "mx.example");
	cr_expect_eq(plan.ttl_s, 7);
}

Test(mx_plan, a_host_whose_tlsa_records_are_not_known_is_told)
{
	unsigned int i;
	char name[LIM_DOMAIN + 1];
	enum lookup_type type;

	authentic_mx("example.com", "mx.example", true);
	authentic_host("mx.example", "192.0.2.1", true);
	authentic_host("other.example", "192.0.2.2", false);
	for (i = 0; i < plan.ngroup; i++)
		if (mx_plan_tlsa_question(&plan, i, name, &type))
			mx_plan_tlsa(&plan, i, status(LOOKUP_TEMPORARY));
	hops("192.0.2.2/other.example 192.0.2.1/mx.example");
	cr_expect_eq(plan.hops[0].tlsa.status, MX_TLSA_NONE);
	cr_expect_eq(plan.hops[1].tlsa.status, MX_TLSA_FAILED);
	cr_expect_eq(plan.ttl_s, 100);
}

Test(mx_plan, hosts_with_one_address_may_have_different_records)
{
	const struct lookup_answer found = { .status = LOOKUP_FOUND,
		.is_authentic = true, .ttl_s = 7 };
	char name[LIM_DOMAIN + 1];
	enum lookup_type type;
	unsigned int i;

	authentic_mx("example.com", "mx.example", true);
	authentic_host("mx.example", "192.0.2.1", true);
	authentic_host("other.example", "192.0.2.1", true);
	cr_assert_eq(mx_plan_step(&plan), MX_STEP_TLSA);
	for (i = 0; i < 2; i++) {
		cr_assert(mx_plan_tlsa_question(&plan, i, name, &type));
		mx_plan_tlsa(&plan, i, strcmp(name, "_25._tcp.mx.example") ==
		    0 ? &found : status(LOOKUP_TEMPORARY));
	}
	hops("192.0.2.1/other.example 192.0.2.1/mx.example");
	cr_expect_eq(plan.hops[0].tlsa.status, MX_TLSA_FAILED);
	cr_expect_eq(plan.hops[1].tlsa.status, MX_TLSA_FOUND);
}

Test(mx_plan, mx_records_that_nothing_proves_have_no_tlsa_records)
{
	authentic_mx("example.com", "mx.example", false);
	authentic_host("mx.example", "192.0.2.1", true);
	authentic_host("other.example", "192.0.2.2", true);
	hops("192.0.2.2/other.example 192.0.2.1/mx.example");
	/* a name in Route needs none */
	begin_as("smart.example", true);
	plan.wants_tlsa = true;
	authentic_host("smart.example", "192.0.2.1", true);
	cr_expect_eq(mx_plan_step(&plan), MX_STEP_TLSA);
}

/* Whoever wants hops waits for so many answers, one behind the other. */
Test(mx_plan, the_longest_way_to_hops_has_so_many_questions)
{
	struct lookup_record r = { .type = LOOKUP_R_ADDRESS };
	char name[LIM_DOMAIN + 1];
	enum lookup_type type;
	unsigned int i, n = 2;

	authentic_mx("example.com", "mx.example", true);
	r.addr.sa.sa_family = AF_INET;
	cr_assert_eq(inet_pton(AF_INET, "192.0.2.1", &r.addr.in.sin_addr), 1);
	for (i = 0; i < 2; i++) {
		(void)status(LOOKUP_FOUND);
		put(&room, &r);
		strcpy(room.a.alias, "end.example");
		room.a.is_authentic = i == 0;
		mx_plan_host(&plan, i, &room.a);
	}
	for (; mx_plan_step(&plan) == MX_STEP_TLSA; n++)
		for (i = 0; i < 2; i++) {
			if (!mx_plan_tlsa_question(&plan, i, name, &type))
				continue;
			(void)status(type == LOOKUP_CNAME ? LOOKUP_FOUND :
			    LOOKUP_NO_DATA);
			room.a.is_authentic = true;
			mx_plan_tlsa(&plan, i, &room.a);
		}
	cr_expect_eq(mx_plan_step(&plan), MX_STEP_HOPS);
	cr_expect_eq(n, MX_QUESTIONS);
}

Test(mx_plan, equals_come_in_the_order_of_chance)
{
	begin("example.com");
	mx("10 a.example 10 b.example 10 c.example");
	/* whatever the order of the answers */
	host("a.example", "192.0.2.1");
	host("c.example", "192.0.2.3");
	host("b.example", "192.0.2.2");
	hops("192.0.2.3/c.example 192.0.2.2/b.example 192.0.2.1/a.example");
}

Test(mx_plan, each_of_equals_is_first_as_often_as_the_others)
{
	unsigned int first[3] = { 0 }, i;

	for (i = 0; i < 3000; i++) {
		begin("example.com");
		plan.random = arc4random_uniform;
		mx("10 a.example 10 b.example 10 c.example");
		first[mx_plan_host_name(&plan, 0)[0] - 'a']++;
	}
	for (i = 0; i < 3; i++)
		cr_expect(first[i] > 800 && first[i] < 1200, "%u", first[i]);
}

Test(mx_plan, ipv6_and_ipv4_take_turns)
{
	begin("example.com");
	mx("10 mx.example");
	host("mx.example", "192.0.2.1 192.0.2.2 192.0.2.3 2001:db8::1 "
	    "2001:db8::2");
	hops("2001:db8::1/mx.example 192.0.2.1/mx.example "
	    "2001:db8::2/mx.example 192.0.2.2/mx.example "
	    "192.0.2.3/mx.example");
}

Test(mx_plan, a_host_with_two_records_has_the_better_one)
{
	begin("example.com");
	mx("20 mx.example 10 mx.example 30 mx.example 20 b.example");
	host("mx.example", "192.0.2.1");
	hops("192.0.2.1/mx.example");
	mx_plan_more(&plan);
	host("b.example", "192.0.2.2");
	hops("192.0.2.2/b.example");
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
}

Test(mx_plan, an_address_of_two_hosts_is_tried_once)
{
	begin("example.com");
	mx("10 a.example 10 b.example");
	host("a.example", "192.0.2.1 192.0.2.2");
	host("b.example", "192.0.2.1");
	hops("192.0.2.1/b.example 192.0.2.2/a.example");
}

Test(mx_plan, of_too_many_records_the_preferred_ones_count)
{
	char text[8192], name[32];
	unsigned int i;
	size_t at = 0;

	for (i = 200; i > 0; i--)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%u mx%u.example ", i, i);
	begin("example.com");
	mx(text);
	for (i = 1; i <= MX_TARGETS_MAX; i++) {
		snprintf(name, sizeof(name), "mx%u.example", i);
		cr_assert_str_eq(mx_plan_host_name(&plan, 0), name);
		host(name, "192.0.2.1");
		mx_plan_more(&plan);
	}
	ends(MX_END_TRIED);
}

Test(mx_plan, of_too_many_addresses_some_of_each_family_count)
{
	char text[4096];
	unsigned int i, n6 = 0;
	size_t at = 0;

	for (i = 1; i <= 30; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "192.0.2.%u 2001:db8::%x ", i, i);
	begin("example.com");
	mx("10 a.example 10 b.example 10 c.example");
	host("a.example", text);
	host("b.example", "198.51.100.1");
	host("c.example", "198.51.100.2");
	cr_assert_eq(mx_plan_step(&plan), MX_STEP_HOPS);
	cr_assert_eq(plan.nhops, MX_ADDRS_MAX + 2);
	for (i = 0; i < plan.nhops; i++)
		n6 += plan.hops[i].addr.sa.sa_family == AF_INET6;
	cr_expect_eq(n6, MX_ADDRS_MAX / 2);
}

/* --- no MX records -------------------------------------------------------- */

Test(mx_plan, without_mx_records_the_domain_is_the_host)
{
	begin("Example.COM");
	mx_status(LOOKUP_NO_DATA);
	host("example.com", "192.0.2.1");
	hops("192.0.2.1/example.com");
	cr_expect_eq(plan.hops[0].preference, 0);
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
}

Test(mx_plan, neither_mx_record_nor_address)
{
	begin("example.com");
	mx_status(LOOKUP_NO_DATA);
	host_status("example.com", LOOKUP_NO_DATA);
	ends(MX_END_NO_HOST);
}

Test(mx_plan, with_mx_records_the_address_of_the_domain_does_not_count)
{
	begin("example.com");
	mx("10 mx.example");
	host_status("mx.example", LOOKUP_NO_NAME);
	ends(MX_END_NO_ADDRESS);
	/* also where no record names a host */
	begin("example.com");
	mx("");
	ends(MX_END_NO_ADDRESS);
}

Test(mx_plan, a_domain_that_does_not_exist)
{
	begin("example.com");
	mx_status(LOOKUP_NO_NAME);
	ends(MX_END_NO_DOMAIN);
}

Test(mx_plan, null_mx)
{
	begin("example.com");
	mx("0 .");
	ends(MX_END_NULL);
	/* RFC 7505 3: it is the only record; else it names no host */
	begin("example.com");
	mx("0 . 10 mx.example");
	host("mx.example", "192.0.2.1");
	hops("192.0.2.1/mx.example");
	begin("example.com");
	mx("0 . 0 .");
	ends(MX_END_NO_ADDRESS);
}

/* --- failures ------------------------------------------------------------- */

Test(mx_plan, what_is_not_known_now_is_asked_again_later)
{
	begin("example.com");
	mx_status(LOOKUP_TEMPORARY);
	ends(MX_END_TEMPORARY);
	begin("example.com");
	mx_status(LOOKUP_NO_DATA);
	host_status("example.com", LOOKUP_TEMPORARY);
	ends(MX_END_TEMPORARY);
	/* one that fails for now outweighs those that never have an address */
	begin("example.com");
	mx("10 a.example 10 b.example 20 c.example");
	host_status("a.example", LOOKUP_NO_NAME);
	host_status("b.example", LOOKUP_TEMPORARY);
	host_status("c.example", LOOKUP_NO_DATA);
	ends(MX_END_TEMPORARY);
}

Test(mx_plan, a_host_that_fails_is_passed_over)
{
	begin("example.com");
	mx("10 a.example 20 b.example");
	host_status("a.example", LOOKUP_TEMPORARY);
	host("b.example", "192.0.2.2");
	hops("192.0.2.2/b.example");
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
}

Test(mx_plan, more_mx_records_than_an_answer_holds)
{
	begin("example.com");
	mx_status(LOOKUP_TOO_MUCH);
	ends(MX_END_TOO_MUCH);
}

Test(mx_plan, addresses_that_no_host_has)
{
	begin("example.com");
	mx("10 mx.example");
	host("mx.example", "0.0.0.0 0.1.2.3 224.0.0.1 255.255.255.255 :: "
	    "ff02::1 ::ffff:0.0.0.0 ::ffff:192.0.2.1");
	hops("192.0.2.1/mx.example");
	begin("example.com");
	mx("10 mx.example");
	host("mx.example", "0.0.0.0");
	ends(MX_END_NO_ADDRESS);
}

/* --- ourselves ------------------------------------------------------------ */

Test(mx_plan, our_own_name_cuts_its_preference_and_what_is_behind)
{
	begin("example.com");
	mx("10 a.example 20 me.example 20 b.example 30 c.example");
	host("a.example", "192.0.2.1");
	hops("192.0.2.1/a.example");
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
}

Test(mx_plan, our_own_name_first_is_a_loop)
{
	begin("example.com");
	mx("10 me.example 20 b.example");
	ends(MX_END_SELF);
	/* it may have several records: the best one cuts */
	begin("example.com");
	mx("20 a.example 30 me.example 10 me.example");
	ends(MX_END_SELF);
	/* nor is the domain itself a next hop */
	begin("me.example");
	mx_status(LOOKUP_NO_DATA);
	own_addr("192.0.2.9:25");
	host("me.example", "192.0.2.9");
	ends(MX_END_SELF);
}

Test(mx_plan, our_own_address_cuts_its_preference_and_what_is_behind)
{
	own_addr("192.0.2.9:25");
	begin("example.com");
	mx("10 a.example 20 x.example 20 b.example 30 c.example");
	host("a.example", "192.0.2.1");
	hops("192.0.2.1/a.example");
	mx_plan_more(&plan);
	host("b.example", "192.0.2.2");
	host("x.example", "192.0.2.9");
	ends(MX_END_TRIED);
	/* first */
	begin("example.com");
	mx("10 x.example 20 b.example");
	host("x.example", "2001:db8::1 192.0.2.9");
	ends(MX_END_SELF);
	/* on another port somebody else listens */
	begin("example.com");
	plan.port = 2525;
	mx("10 x.example");
	host("x.example", "192.0.2.9");
	hops("192.0.2.9/x.example");
}

Test(mx_plan, better_hosts_without_address_before_ourselves)
{
	begin("example.com");
	mx("10 a.example 20 me.example");
	host_status("a.example", LOOKUP_TEMPORARY);
	ends(MX_END_TEMPORARY);
	begin("example.com");
	mx("10 a.example 20 me.example");
	host_status("a.example", LOOKUP_NO_NAME);
	ends(MX_END_NO_ADDRESS);
}

/* --- other names ---------------------------------------------------------- */

Test(mx_plan, address_literals_need_no_look_up)
{
	begin("[192.0.2.1]");
	hops("192.0.2.1/");
	mx_plan_more(&plan);
	ends(MX_END_TRIED);
	begin("[IPv6:2001:db8::1]");
	hops("2001:db8::1/");
	begin("[ipv6:::ffff:192.0.2.1]");
	hops("192.0.2.1/");
	own_addr("192.0.2.9:25");
	begin("[192.0.2.9]");
	ends(MX_END_SELF);
}

Test(mx_plan, what_is_no_name)
{
	static const char *const names[] = { "", "[", "[]", "[]]", "[192.0.2]",
		"[2001:db8::1]", "[IPv6:192.0.2.1]", "[IPv6:]", "[0.0.0.0]",
		"a b", "-a.example", "[192.0.2.1", "192.0.2.1]",
		"[IPv6:2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999]" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		begin(names[i]);
		ends(MX_END_BAD_NAME);
	}
}

Test(mx_plan, a_host_of_a_route_has_no_mx_records)
{
	begin_as("relay.example", true);
	host("relay.example", "192.0.2.1");
	hops("192.0.2.1/relay.example");
	begin_as("relay.example", true);
	host_status("relay.example", LOOKUP_NO_NAME);
	ends(MX_END_ROUTE);
	begin_as("relay.example", true);
	host_status("relay.example", LOOKUP_TEMPORARY);
	ends(MX_END_TEMPORARY);
	own_addr("192.0.2.9:25");
	begin_as("relay.example", true);
	host("relay.example", "192.0.2.9");
	ends(MX_END_ROUTE);
}

Test(mx_plan, a_cname_record_at_a_host_is_told)
{
	begin("example.com");
	mx("10 mx.example");
	(void)status(LOOKUP_FOUND);
	strcpy(room.a.alias, "other.example");
	put(&room, &(struct lookup_record){ .type = LOOKUP_R_ADDRESS, .addr =
	    { .in = { .sin_family = AF_INET, .sin_addr = { htonl(0xc0000201) }
	    } } });
	mx_plan_host(&plan, 0, &room.a);
	hops("192.0.2.1/mx.example");
	cr_expect_str_eq(plan.hops[0].alias, "other.example");
}

Test(mx_plan, what_dnssec_proves_is_told_of_each_answer)
{
	begin("example.com");
	(void)status(LOOKUP_NO_DATA);
	room.a.is_authentic = true;
	mx_plan_mx(&plan, &room.a);
	host("example.com", "192.0.2.1");
	hops("192.0.2.1/example.com");
	cr_expect(plan.hops[0].is_mx_authentic);
	cr_expect_not(plan.hops[0].is_addr_authentic);
}

Test(mx_plan, the_least_ttl_counts)
{
	begin("example.com");
	mx("10 mx.example");
	(void)status(LOOKUP_FOUND);
	room.a.ttl_s = 7;
	put(&room, &(struct lookup_record){ .type = LOOKUP_R_ADDRESS, .addr =
	    { .in = { .sin_family = AF_INET, .sin_addr = { htonl(0xc0000201) }
	    } } });
	mx_plan_host(&plan, 0, &room.a);
	cr_expect_eq(plan.ttl_s, 7);
}

Test(mx_plan, each_end_has_a_reply)
{
	const struct mx_reply *r;
	enum mx_end e;

	for (e = 0; e < MX_NENDS; e++) {
		r = mx_end_reply(e);
		cr_expect_eq(r->code / 100, (unsigned int)(r->enhanced[0] - '0'));
		cr_expect_eq(r->code / 100 == 4, e <= MX_END_ROUTE, "%d", e);
		cr_expect_neq(*r->text, '\0');
	}
	/* RFC 7505 4.1, 6 */
	r = mx_end_reply(MX_END_NULL);
	cr_expect_eq(r->code, 556);
	cr_expect_str_eq(r->enhanced, "5.1.10");
}
