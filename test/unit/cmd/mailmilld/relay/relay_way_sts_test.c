/* Which hosts of a domain with a policy of MTA-STS are tried.  The policy, the hosts
 * and the time are the test's. */

#include "cmd/mailmilld/relay/relay_way_int.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "test/unit/cmd/settings/load.h"

#define CONF \
	"ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n" \
	"Domain \"*\" { Delivery = smtp MTA_STS = %s }\n"

/* The one question and the one search under way; NULL: none. */
static sts_ask_fn *asked;
static void *asked_closure;
static char asked_name[LIM_DOMAIN + 1];
static mx_fn *searched;
static void *searched_closure;
static unsigned int nasked, nsearched, nfound;
static int ask_errno;
static uint64_t now_ms;
static char token;

static struct sts_ask *
ask(struct sts *, const char *domain, sts_ask_fn *fn, void *closure)
{
	if (ask_errno != 0) {
		errno = ask_errno;
		return NULL;
	}
	cr_assert_null(asked);
	cr_assert_null(searched);
	nasked++;
	asked = fn;
	asked_closure = closure;
	strcpy(asked_name, domain);
	return (struct sts_ask *)(void *)&token;
}

static void
cancel(struct sts_ask **a)
{
	asked = NULL;
	*a = NULL;
}

static struct mx *
search_open(struct lookup *, const struct mx_want *, mx_fn *fn, void *closure)
{
	cr_assert_null(asked);
	nsearched++;
	searched = fn;
	searched_closure = closure;
	return (struct mx *)(void *)&token;
}

static void
search_more(struct mx *)
{
}

static void
search_close(struct mx **x)
{
	searched = NULL;
	*x = NULL;
}

static uint64_t
now(void)
{
	return now_ms;
}

static void
on_found(void *)
{
	nfound++;
}

static struct relay_ways ways;
static struct relay_way way;
static struct settings *settings;

static void
begin(const char *mta_sts, const char *mx)
{
	now_ms = 1000000;
	ask_errno = 0;
	nasked = nsearched = nfound = 0;
	ways = (struct relay_ways){ .open = search_open, .more = search_more,
		.close = search_close, .ask_sts = ask, .cancel_sts = cancel,
		.now_ms = now, .found = on_found };
	settings = load_good_settings(CONF, mta_sts);
	relay_way_open(&way, &ways, &settings->domains[0], mx, NULL);
	relay_way_begin(&way);
}

static void
end(void)
{
	relay_way_close(&way);
	cr_expect_eq(ways.nsearches, 0);
	cr_expect_null(asked);
	settings_free(settings);
}

TestSuite(relay_way_sts, .fini = end);

/* The domain has a policy that allows "good.test". */
static void
say(enum sts_mode mode)
{
	const struct sts_policy p = { .mode = mode, .max_age_s = 1,
		.len = sizeof("good.test"), .mx = "good.test" };
	sts_ask_fn *fn = asked;

	cr_assert_not_null(fn);
	asked = NULL;
	fn(asked_closure, &p, STS_FETCHED);
}

/* Its hosts are two, of one preference, and then no more. */
static void
find_hosts(void)
{
	struct mx_hop hops[2] = { { .host = "bad.test" },
		{ .host = "good.test" } };
	struct mx_result r = { .hops = hops, .n = 2, .ttl_s = 3600 };
	const struct relay_place *p;

	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_WAITS);
	cr_assert_not_null(searched);
	cr_assert_eq(addr_parse("192.0.2.1:25", &hops[0].addr), 0);
	cr_assert_eq(addr_parse("192.0.2.2:25", &hops[1].addr), 0);
	searched(searched_closure, &r);
}

static const struct relay_place *
next(void)
{
	const struct relay_place *p;

	return relay_way_find(&way, &p) == RELAY_WAY_PLACE ? p : NULL;
}

Test(relay_way_sts, the_policy_comes_first_and_leaves_hosts_out)
{
	const struct relay_place *p;

	begin("true", "a.test");
	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_WAITS);
	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_WAITS);
	cr_expect_eq(nasked, 1);
	cr_expect_str_eq(asked_name, "a.test");
	cr_expect_eq(nsearched, 0);
	say(STS_ENFORCE);
	cr_expect_eq(nfound, 1);
	find_hosts();
	cr_assert_not_null(p = next());
	cr_expect_str_eq(p->addr.name, "good.test");
	cr_expect_eq(p->policy->level, RELAY_VERIFY);
	cr_expect_eq(p->policy->source, RELAY_BY_STS);
	cr_expect_str_eq(p->policy->name, "good.test");
}

Test(relay_way_sts, a_policy_that_is_tested_changes_nothing)
{
	const struct relay_place *p;

	begin("true", "a.test");
	cr_assert_null(next());
	say(STS_TESTING);
	find_hosts();
	cr_assert_not_null(p = next());
	cr_expect_str_eq(p->addr.name, "bad.test");
	cr_expect_eq(p->policy->level, RELAY_MAY);
	cr_expect_not(p->policy->is_testing);
	p++;
	cr_expect_str_eq(p->addr.name, "good.test");
	cr_expect_eq(p->policy->level, RELAY_MAY);
	cr_expect(p->policy->is_testing);
}

Test(relay_way_sts, without_a_policy_all_hosts_are_tried)
{
	begin("true", "a.test");
	cr_assert_null(next());
	say(STS_NONE);
	find_hosts();
	cr_assert_not_null(next());
	cr_expect_str_eq(next()->addr.name, "bad.test");
}

Test(relay_way_sts, who_does_not_want_policies_asks_for_none)
{
	begin("false", "a.test");
	find_hosts();
	cr_expect_not_null(next());
	cr_expect_eq(nasked, 0);
}

/* RFC 8689 4.2.2: for messages whose sender says so */
Test(relay_way_sts, where_tls_is_optional_no_policy_is_asked_for)
{
	begin("true", "a.test");
	way.is_optional = true;
	find_hosts();
	cr_expect_not_null(next());
	cr_expect_eq(nasked, 0);
}

Test(relay_way_sts, an_address_literal_has_none)
{
	begin("true", "[192.0.2.1]");
	ask_errno = EINVAL;
	find_hosts();
	cr_expect_not_null(next());
}

/* RFC 8461 10.2: what is not known is not taken for none. */
Test(relay_way_sts, if_nobody_knows_the_policy_mail_waits)
{
	const struct relay_place *p;
	sts_ask_fn *fn;
	int i;

	for (i = 0; i < 2; i++) {
		begin("true", "a.test");
		ask_errno = i == 1 ? EAGAIN : 0;
		if (i == 0) {
			cr_assert_eq(relay_way_find(&way, &p),
			    RELAY_WAY_WAITS);
			fn = asked;
			asked = NULL;
			fn(asked_closure, NULL, STS_UNKNOWN);
			cr_expect_eq(nfound, 1);
		}
		cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_END);
		cr_expect_eq(nsearched, 0);
		cr_expect_str_eq(way.why.enhanced, "4.7.5");
		cr_expect(way.has_demand);
		cr_expect_eq(way.flags, JOB_TARGET);
		cr_expect_not_null(strstr(way.why.text, "a.test: "));
		if (i == 0)
			end();
	}
}

Test(relay_way_sts, a_policy_is_asked_for_again_after_some_minutes)
{
	begin("true", "a.test");
	cr_assert_null(next());
	say(STS_NONE);
	find_hosts();
	relay_way_begin(&way);
	cr_expect_not_null(next());
	now_ms += 299999;
	relay_way_begin(&way);
	cr_expect_not_null(next());
	cr_expect_eq(nasked, 1);
	now_ms++;
	relay_way_begin(&way);
	cr_expect_null(next());
	cr_expect_eq(nasked, 2);
	say(STS_ENFORCE);
	find_hosts();
	cr_assert_not_null(next());
	cr_expect_str_eq(next()->addr.name, "good.test");
}

/* Where no more can be asked, those that were asked long ago make room. */
Test(relay_way_sts, a_question_too_many_waits_for_one_that_takes_long)
{
	const struct relay_place *p;
	struct relay_way other;

	begin("true", "a.test");
	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_WAITS);
	now_ms += RELAY_SEARCH_SHORT_MS;
	relay_ways_late(&ways);
	cr_expect_not_null(asked, "nobody waits for its end");
	relay_way_open(&other, &ways, &settings->domains[0], "b.test", NULL);
	relay_way_begin(&other);
	ask_errno = EAGAIN;
	cr_expect_eq(relay_way_find(&other, &p), RELAY_WAY_WAITS);
	cr_expect(ways.is_sts_short);
	now_ms--;
	relay_ways_late(&ways);
	cr_expect_not_null(asked);
	cr_expect_eq(nfound, 0);
	now_ms++;
	relay_ways_late(&ways);
	cr_expect_null(asked);
	cr_expect_geq(nfound, 1);
	/* it is not taken for a domain without a policy */
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_END);
	cr_expect_str_eq(way.why.enhanced, "4.7.5");
	ask_errno = 0;
	cr_expect_eq(relay_way_find(&other, &p), RELAY_WAY_WAITS);
	cr_expect_str_eq(asked_name, "b.test");
	relay_way_close(&other);
}

Test(relay_way_sts, where_much_mail_waits_a_question_ends_early)
{
	const struct relay_place *p;

	begin("true", "a.test");
	cr_assert_eq(relay_way_find(&way, &p), RELAY_WAY_WAITS);
	now_ms += RELAY_STS_MANY_MS - 1;
	ways.is_many = true;
	relay_ways_late(&ways);
	now_ms++;
	ways.is_many = false;
	relay_ways_late(&ways);
	cr_expect_not_null(asked);
	ways.is_many = true;
	relay_ways_late(&ways);
	cr_expect_null(asked);
	cr_expect_eq(nfound, 1);
	cr_expect_eq(relay_way_find(&way, &p), RELAY_WAY_END);
	cr_expect_str_eq(way.why.enhanced, "4.7.5");
}

/* A next hop that has mail all the time begins attempts by its successes alone. */
Test(relay_way_sts, a_success_does_not_keep_an_old_policy)
{
	const struct relay_place *p;

	begin("true", "a.test");
	cr_assert_null(next());
	say(STS_NONE);
	find_hosts();
	cr_assert_not_null(p = next());
	relay_way_use(&way, p->number);
	relay_way_good(&way, p->number, 0);
	now_ms += 300000;
	cr_expect_null(next());
	cr_expect_eq(nasked, 2);
	say(STS_ENFORCE);
	find_hosts();
	cr_assert_not_null(next());
	cr_expect_str_eq(next()->addr.name, "good.test");
}

Test(relay_way_sts, a_question_ends_with_its_way)
{
	begin("true", "a.test");
	cr_assert_null(next());
	cr_expect_not_null(asked);
	/* it keeps no search of others waiting */
	cr_expect_eq(ways.nsearches, 0);
}

/* --- what is told for reports of TLS --------------------------------------- */

static struct tlsrpt_said told;

static bool
take_told(void *, const struct tlsrpt_tally *tally)
{
	static char octets[LIM_TLSRPT_TOLD];
	size_t at = 0;

	memcpy(octets, tally->octets, tally->len);
	cr_assert_eq(tlsrpt_said_next(octets, tally->len, &at, &told), 1);
	cr_expect_eq(at, tally->len);
	return true;
}

/* Return whether something is. */
static bool
is_told(void)
{
	told.domain = NULL;
	relay_tell_now(ways.tell);
	return told.domain != NULL;
}

/* RFC 8460 4.3.2: there is no connection that could fail. */
Test(relay_way_sts, a_host_that_is_left_out_is_told_of)
{
	struct scheduler *s = scheduler_create(NULL);

	begin("true", "a.test");
	cr_assert_not_null(ways.tell = relay_tell_new(take_told, NULL));
	cr_assert_null(next());
	say(STS_ENFORCE);
	cr_expect_not(is_told());
	find_hosts();
	cr_assert_not_null(next());
	cr_assert(is_told());
	cr_expect_eq(told.type, TLSRPT_STS);
	cr_expect_eq(told.result, TLSRPT_RESULT_VALIDATION);
	cr_expect_str_eq(told.domain, "a.test");
	cr_expect_str_eq(told.mx_host, "bad.test");
	relay_tell_free(ways.tell);
	scheduler_destroy(s);
}

/* RFC 8460 3 */
Test(relay_way_sts, what_is_found_for_a_report_is_not_told)
{
	const struct sts_policy enforced = { .mode = STS_ENFORCE, .max_age_s = 1,
		.len = sizeof("good.test"), .mx = "good.test" };
	struct scheduler *s = scheduler_create(NULL);
	sts_ask_fn *fn;

	begin("true", "a.test");
	way.is_untold = true;
	cr_assert_not_null(ways.tell = relay_tell_new(take_told, NULL));
	cr_assert_null(next());
	fn = asked;
	asked = NULL;
	fn(asked_closure, &enforced, STS_FETCH_ERROR);
	find_hosts();
	cr_assert_not_null(next());
	cr_expect_eq(next()->policy->level, RELAY_VERIFY);
	cr_expect_not(is_told());
	relay_tell_free(ways.tell);
	scheduler_destroy(s);
}

/* The DNS gives no answer about the TLSA records of "bad.test"; ${is_unasked}: since
 * this server has not asked. */
static bool
tells_of_no_answer(bool is_unasked)
{
	struct mx_hop hop = { .host = "bad.test", .tlsa = {
		.status = MX_TLSA_FAILED, .is_unasked = is_unasked } };
	struct mx_result r = { .hops = &hop, .n = 1, .ttl_s = 3600 };
	bool is;

	begin("false\nTLS = dane", "a.test");
	cr_assert_not_null(ways.tell = relay_tell_new(take_told, NULL));
	cr_assert_null(next());
	cr_assert_not_null(searched);
	cr_assert_eq(addr_parse("192.0.2.1:25", &hop.addr), 0);
	searched(searched_closure, &r);
	cr_expect_null(next());
	is = is_told();
	relay_tell_free(ways.tell);
	return is;
}

/* RFC 8460 4.3.2.1: that the resolver has had no valid records */
Test(relay_way_sts, what_this_server_cannot_ask_is_not_told_of_the_domain)
{
	struct scheduler *s = scheduler_create(NULL);

	cr_assert(tells_of_no_answer(false));
	cr_expect_eq(told.result, TLSRPT_RESULT_DNSSEC_INVALID);
	end();
	cr_expect_not(tells_of_no_answer(true));
	scheduler_destroy(s);
}

/* RFC 8460 4.3.2.2 */
Test(relay_way_sts, a_policy_that_cannot_be_had_is_told_of)
{
	static const enum tlsrpt_result results[STS_NFAILURES] = {
		[STS_FETCH_ERROR] = TLSRPT_RESULT_STS_FETCH,
		[STS_INVALID] = TLSRPT_RESULT_STS_INVALID,
		[STS_WEBPKI_INVALID] = TLSRPT_RESULT_STS_WEBPKI };
	struct scheduler *s = scheduler_create(NULL);
	const struct sts_policy none = { .mode = STS_NONE };
	unsigned int failure;
	sts_ask_fn *fn;

	for (failure = 0; failure < STS_NFAILURES; failure++) {
		begin("true", "a.test");
		ways.tell = relay_tell_new(take_told, NULL);
		cr_assert_null(next());
		fn = asked;
		asked = NULL;
		fn(asked_closure, &none, (enum sts_failure)failure);
		cr_assert_eq(is_told(), results[failure] !=
		    TLSRPT_RESULT_GOOD);
		if (results[failure] != TLSRPT_RESULT_GOOD) {
			cr_expect_eq(told.type, TLSRPT_STS);
			cr_expect_eq(told.result, results[failure]);
			cr_expect_str_eq(told.domain, "a.test");
			cr_expect_str_neq(told.reason, "");
		}
		/* it is sent as without a policy */
		find_hosts();
		cr_expect_not_null(next());
		relay_tell_free(ways.tell);
		if (failure < STS_NFAILURES - 1)
			end();
	}
	scheduler_destroy(s);
}
