#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/resolver/dns_cache.h"

#define NOW	1000000

static struct dns_cache *cache;

static void
setup(void)
{
	cr_assert_not_null(cache = dns_cache_new(1 << 20));
}

static void
teardown(void)
{
	dns_cache_free(cache);
}

TestSuite(dns_cache, .init = setup, .fini = teardown);

static void
put(const char *name, enum lookup_status status, unsigned int ttl_s, size_t len)
{
	static const uint8_t octets[LIM_LOOKUP_OCTETS];
	const struct lookup_answer a = { .status = status, .ttl_s = ttl_s,
		.alias = "alias.example", .records = octets, .len = len,
		.is_authentic = true };

	dns_cache_put(cache, name, DNS_MX, NOW, &a);
}

/* Seconds that are left at that time; -1: it is not there. */
static long
left(const char *name, uint64_t after_ms)
{
	struct lookup_answer a;

	return dns_cache_find(cache, name, DNS_MX, NOW + after_ms, &a) ?
	    (long)a.ttl_s : -1;
}

Test(dns_cache, an_answer_is_good_for_its_ttl)
{
	struct lookup_answer a;

	put("a.example", LOOKUP_FOUND, 60, 7);
	cr_assert(dns_cache_find(cache, "a.example", DNS_MX, NOW + 1500, &a));
	cr_expect_eq(a.ttl_s, 58);
	cr_expect_eq(a.status, LOOKUP_FOUND);
	cr_expect_eq(a.len, 7);
	cr_expect(a.is_authentic);
	cr_expect_str_eq(a.alias, "alias.example");
	cr_expect_not(dns_cache_find(cache, "a.example", DNS_A, NOW, &a));
	cr_expect_not(dns_cache_find(cache, "b.example", DNS_MX, NOW, &a));
	cr_expect_eq(left("a.example", 59999), 0);
	cr_expect_eq(left("a.example", 60000), -1);
	cr_expect_eq(dns_cache_entries(cache), 0);
	cr_expect_eq(dns_cache_octets(cache), 0);
}

Test(dns_cache, a_ttl_is_bounded)
{
	put("found.example", LOOKUP_FOUND, UINT32_MAX, 1);
	put("none.example", LOOKUP_NO_NAME, UINT32_MAX, 0);
	put("nodata.example", LOOKUP_NO_DATA, UINT32_MAX, 0);
	put("much.example", LOOKUP_TOO_MUCH, UINT32_MAX, 0);
	put("failed.example", LOOKUP_TEMPORARY, 0, 0);
	put("never.example", LOOKUP_FOUND, 0, 1);
	cr_expect_eq(left("found.example", 0), DNS_TTL_MAX_S);
	cr_expect_eq(left("much.example", 0), DNS_TTL_MAX_S);
	cr_expect_eq(left("none.example", 0), DNS_TTL_NEGATIVE_MAX_S);
	cr_expect_eq(left("nodata.example", 0), DNS_TTL_NEGATIVE_MAX_S);
	cr_expect_eq(left("failed.example", 0), DNS_TTL_FAILED_S);
	cr_expect_eq(left("never.example", 0), -1);
}

Test(dns_cache, a_new_answer_replaces_the_old_one)
{
	size_t octets;

	put("a.example", LOOKUP_FOUND, 60, 100);
	octets = dns_cache_octets(cache);
	put("a.example", LOOKUP_FOUND, 90, 100);
	cr_expect_eq(left("a.example", 0), 90);
	cr_expect_eq(dns_cache_entries(cache), 1);
	cr_expect_eq(dns_cache_octets(cache), octets);
	/* one that is not kept, too */
	put("a.example", LOOKUP_FOUND, 0, 100);
	cr_expect_eq(left("a.example", 0), -1);
}

Test(dns_cache, the_least_used_ones_make_room)
{
	char name[32];
	unsigned int i;

	put("first.example", LOOKUP_FOUND, 600, 10000);
	put("second.example", LOOKUP_FOUND, 600, 10000);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		put(name, LOOKUP_FOUND, 600, 10000);
		cr_assert_leq(dns_cache_octets(cache), 1u << 20);
		/* it is asked for all the time */
		cr_assert_neq(left("first.example", 0), -1, "%u", i);
	}
	cr_expect_eq(left("second.example", 0), -1);
	cr_expect_neq(left("n999.example", 0), -1);
	cr_expect_gt(dns_cache_entries(cache), 90);
}

Test(dns_cache, what_is_larger_than_all_is_not_kept)
{
	dns_cache_free(cache);
	cache = dns_cache_new(1000);
	put("small.example", LOOKUP_FOUND, 600, 100);
	put("large.example", LOOKUP_FOUND, 600, 1000);
	cr_expect_neq(left("small.example", 0), -1);
	cr_expect_eq(left("large.example", 0), -1);
}
