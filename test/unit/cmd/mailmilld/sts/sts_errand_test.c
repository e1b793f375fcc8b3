/* What the cache of policies has looked up, when no more can be: the resolver, which
 * says nothing, and the clock are the test's. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/sts/sts_errand.h"
#include "core/scheduler.h"
#include "test/unit/cmd/mailmilld/lookup/fake_resolver.h"

static struct scheduler *sched;
static struct lookup *lookup;
static struct channel *resolver;
static struct sts_errands errands;
static struct sts_cache *cache;
static uint64_t clock_ms;

static uint64_t
now_ms(void)
{
	return clock_ms;
}

static const struct sts_cache_ops ops = { .record = sts_errand_record,
	.fetch = sts_errand_fetch, .now_ms = now_ms };

static void
setup(void)
{
	clock_ms = 1000000;
	cr_assert_not_null(sched = scheduler_create(NULL));
	cr_assert_not_null(lookup = lookup_new(ROLE_STS));
	resolver = fake_resolver_connect(lookup, ROLE_STS);
	sts_errands_begin(&errands, lookup, now_ms);
	cr_assert_not_null(cache = sts_cache_new(&ops, &errands));
}

static void
teardown(void)
{
	sts_errands_end(&errands);
	sts_cache_free(cache);
	lookup_free(lookup);
	channel_free(resolver);
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

TestSuite(sts_errand, .init = setup, .fini = teardown);

struct answer {
	struct sts_waiter	 waiter;
	unsigned int		 n;
	enum sts_failure	 failure;
};

static void
on_policy(struct sts_waiter *w, const struct sts_policy *p,
    enum sts_failure failure)
{
	struct answer *a = (struct answer *)w;

	a->n++;
	a->failure = failure;
	cr_expect_null(p);
}

static void
ask_of(struct answer *a, const char *domain)
{
	memset(a, 0, sizeof(*a));
	a->waiter.on_policy = on_policy;
	sts_cache_ask(cache, domain, &a->waiter);
}

static struct answer silent[LIM_LOOKUPS];

static void
ask_silent(void)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < LIM_LOOKUPS; i++) {
		snprintf(name, sizeof(name), "n%u.evil.test", i);
		ask_of(&silent[i], name);
	}
}

/* Who has a name server that says nothing does not keep others waiting for long. */
Test(sts_errand, look_ups_that_take_long_end_when_no_more_can_be_made)
{
	struct answer a;

	ask_silent();
	clock_ms += STS_ERRAND_SHORT_MS;
	sts_errands_late(&errands);
	cr_expect_eq(lookup_waiting(lookup), LIM_LOOKUPS, "nobody is short");
	clock_ms--;
	ask_of(&a, "a.example");
	cr_expect_eq(a.n, 1);
	cr_expect_eq(a.failure, STS_UNKNOWN);
	sts_errands_late(&errands);
	cr_expect_eq(lookup_waiting(lookup), LIM_LOOKUPS, "not yet");
	ask_of(&a, "a.example");
	cr_expect_eq(a.n, 1);
	clock_ms++;
	sts_errands_late(&errands);
	cr_expect_eq(lookup_waiting(lookup), 0);
	cr_expect_eq(silent[0].n, 1);
	/* it is not said that they have no policy */
	cr_expect_eq(silent[0].failure, STS_UNKNOWN);
	ask_of(&a, "a.example");
	cr_expect_eq(a.n, 0);
	cr_expect_eq(lookup_waiting(lookup), 1);
	sts_cache_leave(&a.waiter);
}

Test(sts_errand, look_ups_that_nobody_waits_for_end_at_once)
{
	struct answer a;

	ask_silent();
	sts_cache_leave(&silent[3].waiter);
	sts_cache_leave(&silent[5].waiter);
	ask_of(&a, "a.example");
	sts_errands_late(&errands);
	cr_expect_eq(lookup_waiting(lookup), LIM_LOOKUPS - 2);
	cr_expect_eq(silent[4].n, 0);
}

/* A domain may have so long a name that there can be no "_mta-sts." before it: it has
 * no policy, and mail for it does not wait for one. */
Test(sts_errand, a_domain_whose_record_would_have_too_long_a_name_has_none)
{
	char label[64] = "", name[LIM_DOMAIN + 1];
	struct answer a;

	memset(label, 'a', 63);
	snprintf(name, sizeof(name), "%s.%s.%s.%.48s.test", label, label, label,
	    label);
	ask_of(&a, name);
	cr_expect_eq(a.n, 1);
	cr_expect_eq(a.failure, STS_FETCHED);
	cr_expect_eq(sts_cache_domains(cache), 0);
	cr_expect_eq(lookup_waiting(lookup), 0);
	/* "_mta-sts." and 244 octets are as long as a name may be */
	ask_of(&a, name + 1);
	cr_expect_eq(a.n, 0);
	cr_expect_eq(lookup_waiting(lookup), 1);
	sts_cache_leave(&a.waiter);
}

/* No server could be verified, good or bad. */
Test(sts_errand, without_authorities_no_policy_is_fetched)
{
	cr_expect_eq(sts_errand_fetch(&errands, "a.example", NULL), -1);
}
