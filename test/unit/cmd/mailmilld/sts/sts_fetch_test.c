/* Which policy is fetched next, and which fetches end early: the resolver, libcurl
 * and the clock are the test's. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/sts/sts_fetch.h"
#include "core/scheduler.h"
#include "test/unit/cmd/mailmilld/lookup/fake_resolver.h"
#include "test/unit/cmd/mailmilld/sts/fake_curl.h"

#define FETCHES_MAX	256

static struct scheduler *sched;
static struct lookup *lookup;
static struct channel *resolver;
static struct sts_fetches *fetches;
static uint64_t clock_ms;

/* --- the fetches ---------------------------------------------------------------- */

struct got {
	struct sts_fetch *fetch;
	bool		 is_wanted;
	unsigned int	 n;
	enum sts_failure failure;
	char		 why[256];
};

static struct got gots[FETCHES_MAX];
static unsigned int ngots;

static void
on_fetched(void *closure, enum sts_failure failure, const char *why,
    const struct sts_policy *)
{
	struct got *g = closure;

	g->n++;
	g->fetch = NULL;
	g->failure = failure;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static bool
is_wanted(void *closure)
{
	return ((struct got *)closure)->is_wanted;
}

static uint64_t
now_ms(void)
{
	return clock_ms;
}

static void
setup(void)
{
	struct sts_fetches_config config = { .port = 443,
		.places = STS_FETCHES_MAX, .seconds = STS_FETCH_SECONDS,
		.short_ms = STS_FETCH_SHORT_MS, .is_wanted = is_wanted,
		.now_ms = now_ms };
	char err[256];

	clock_ms = 1000000;
	ngots = 0;
	fake_curl_set();
	cr_assert_not_null(sched = scheduler_create(NULL));
	cr_assert_not_null(lookup = lookup_new(ROLE_STS));
	resolver = fake_resolver_connect(lookup, ROLE_STS);
	config.lookup = lookup;
	fetches = sts_fetches_new(&config, err, sizeof(err));
	cr_assert_not_null(fetches, "%s", err);
}

static void
teardown(void)
{
	unsigned int i;

	for (i = 0; i < ngots; i++)
		sts_fetch_cancel(&gots[i].fetch);
	cr_expect_eq(fake_curl_count(), 0);
	sts_fetches_free(fetches);
	lookup_free(lookup);
	channel_free(resolver);
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

TestSuite(sts_fetch, .init = setup, .fini = teardown);

static void
pass(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
}

/* The resolver has these octets of records for the one host that is asked for. */
static void
answer(enum lookup_status status, uint32_t flags, const uint8_t *octets,
    size_t len)
{
	struct fake_question q;

	cr_assert(fake_resolver_hear(resolver, &q));
	fake_resolver_say(resolver, q.ask, status, flags, octets, len);
	pass();
}

static void
answer_address(const char *text)
{
	uint8_t octets[64];

	answer(LOOKUP_FOUND, 0, octets, fake_resolver_address(octets,
	    sizeof(octets), text));
}

static struct got *
begin(const char *domain)
{
	struct got *g = &gots[ngots++];

	cr_assert_leq(ngots, FETCHES_MAX);
	*g = (struct got){ .is_wanted = true };
	g->fetch = sts_fetch_begin(fetches, domain, on_fetched, g);
	cr_assert_not_null(g->fetch);
	pass();
	return g;
}

static struct got *
begin_at(const char *domain, const char *text)
{
	struct got *g = begin(domain);

	answer_address(text);
	return g;
}

/* So many domains of one registrant, whose servers say nothing. */
static struct got *
begin_silent(unsigned int n, const char *parent)
{
	struct got *first = &gots[ngots];
	char name[64];
	unsigned int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%u.%s", i, parent);
		(void)begin_at(name, "192.0.2.1:1");
	}
	return first;
}

static unsigned int
over_of(const struct got *first, unsigned int n)
{
	unsigned int nover = 0, i;

	for (i = 0; i < n; i++)
		nover += first[i].n;
	return nover;
}

/* Until those that wait for a place have been looked at. */
static void
wait_turn(const struct got *first, unsigned int n, unsigned int nover)
{
	unsigned int i;

	for (i = 0; i < 600 && over_of(first, n) < nover; i++)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	pass();
	cr_expect_eq(over_of(first, n), nover, "%u", over_of(first, n));
}

/* --- places ---------------------------------------------------------------------- */

Test(sts_fetch, one_that_takes_long_makes_room_while_others_wait)
{
	struct got *silent = begin_silent(STS_FETCHES_MAX, "evil.test");
	struct got *own = begin_at("a.example", "192.0.2.2:1");

	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX);
	clock_ms += STS_FETCH_SHORT_MS;
	wait_turn(silent, STS_FETCHES_MAX, 1);
	/* it was not given all its time, which is no failure of the domain */
	cr_expect_eq(silent[0].failure, STS_UNKNOWN);
	cr_expect_eq(own->n, 0);
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX);
	sts_fetch_cancel(&own->fetch);
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX - 1);
}

Test(sts_fetch, without_others_that_wait_nobody_is_hurried)
{
	struct got *silent = begin_silent(STS_FETCHES_MAX, "evil.test");

	clock_ms += 12 * STS_FETCH_SHORT_MS;
	pass();
	cr_expect_eq(over_of(silent, STS_FETCHES_MAX), 0);
}

/* Who has many domains waits for his own. */
Test(sts_fetch, turns_and_ends_are_by_registrant)
{
	struct got *slow = begin_at("b.example", "192.0.2.3:1");
	struct got *silent = begin_silent(STS_FETCHES_MAX - 1, "evil.test");
	struct got *more = begin_silent(20, "evil.test");
	struct got *own = begin_at("a.example", "192.0.2.2:1");
	unsigned int i;

	clock_ms += STS_FETCH_SHORT_MS;
	/* it is the last that waits, and the first that begins */
	wait_turn(silent, STS_FETCHES_MAX - 1, 21);
	cr_expect_eq(slow->n, 0);
	cr_expect_eq(own->n, 0);
	for (i = 0; i < 20; i++)
		more[i].is_wanted = false;
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX);
	sts_fetch_cancel(&own->fetch);
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX - 1, "it had begun");
}

Test(sts_fetch, the_next_one_is_of_the_registrant_that_has_the_fewest)
{
	struct got *silent = begin_silent(STS_FETCHES_MAX, "evil.test");
	struct got *more = begin_silent(20, "evil.test");
	struct got *own = begin_at("a.example", "192.0.2.2:1");

	silent[5].is_wanted = false;
	/* one place, and 21 that wait */
	wait_turn(silent, STS_FETCHES_MAX, 1);
	cr_expect_eq(silent[5].n, 1);
	sts_fetch_cancel(&own->fetch);
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX - 1, "it had begun");
	cr_expect_eq(over_of(more, 20), 0);
}

Test(sts_fetch, what_nobody_waits_for_has_no_turn)
{
	struct got *silent = begin_silent(STS_FETCHES_MAX, "evil.test");
	struct got *more = begin_silent(3, "evil.test");

	more[0].is_wanted = more[2].is_wanted = false;
	wait_turn(more, 3, 2);
	cr_expect_eq(more[1].n, 0);
	cr_expect_eq(more[0].failure, STS_UNKNOWN);
	cr_expect_eq(over_of(silent, STS_FETCHES_MAX), 0);
}

/* Mail for slow domains comes back before the first fetch of another one has had its
 * turn: the slow ones go behind it, whoever has come first. */
Test(sts_fetch, a_host_that_was_slow_waits_behind_those_of_which_nothing_is_known)
{
	struct got *first = &gots[0], *late, *again, *own;
	char parent[32];
	unsigned int i;

	/* each is of a registrant of its own */
	for (i = 0; i < STS_FETCHES_MAX; i++) {
		snprintf(parent, sizeof(parent), "p%u.test", i);
		(void)begin_silent(1, parent);
	}
	late = begin_at("late.example", "192.0.2.2:1");
	clock_ms += STS_FETCH_SHORT_MS;
	wait_turn(first, STS_FETCHES_MAX, 1);
	cr_assert_eq(first[0].n, 1);
	/* from now on nobody else has to go */
	clock_ms -= STS_FETCH_SHORT_MS;
	again = begin_silent(1, "p0.test");
	own = begin_at("own.example", "192.0.2.2:1");
	cr_assert_eq(fake_curl_count(), STS_FETCHES_MAX);
	sts_fetch_cancel(&late->fetch);
	cr_assert_eq(fake_curl_count(), STS_FETCHES_MAX - 1);
	for (i = 0; i < 600 && fake_curl_count() < STS_FETCHES_MAX; i++)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	sts_fetch_cancel(&own->fetch);
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX - 1, "it had begun");
	/* it has a turn, too */
	for (i = 0; i < 600 && fake_curl_count() < STS_FETCHES_MAX; i++)
		cr_assert_geq(scheduler_pass(sched, 100), 0);
	sts_fetch_cancel(&again->fetch);
	cr_expect_eq(fake_curl_count(), STS_FETCHES_MAX - 1);
}

/* --- addresses ------------------------------------------------------------------- */

Test(sts_fetch, addresses_that_no_host_has_are_not_connected_to)
{
	static const char *const bad[] = { "0.0.0.0:1", "224.0.0.1:1",
		"255.255.255.255:1", "[::]:1", "[ff02::1]:1" };
	struct got *g;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g = begin_at("a.example", bad[i]);
		cr_expect_eq(g->n, 1, "%s", bad[i]);
		cr_expect_eq(g->failure, STS_FETCH_ERROR);
		cr_expect_eq(fake_curl_count(), 0);
	}
	g = begin_at("a.example", "127.0.0.1:1");
	cr_expect_eq(g->n, 0);
	cr_expect_eq(fake_curl_count(), 1);
}

Test(sts_fetch, a_host_that_was_not_asked_for_is_no_failure_of_the_domain)
{
	struct got *g = begin("a.example");

	answer(LOOKUP_TEMPORARY, MSG_LOOKED_UP_UNASKED, NULL, 0);
	cr_expect_eq(g->n, 1);
	cr_expect_eq(g->failure, STS_UNKNOWN);
	g = begin("a.example");
	answer(LOOKUP_TEMPORARY, 0, NULL, 0);
	cr_expect_eq(g->n, 1);
	cr_expect_eq(g->failure, STS_FETCH_ERROR);
}
