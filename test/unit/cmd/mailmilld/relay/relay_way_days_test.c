/* Weeks of mail to domains whose policies come, change, expire and cannot be had, by
 * a seed and a clock of the test: what is known of policies, and the next hops that
 * follow them.
 *
 * What must hold:
 *   while a policy is enforced, mail goes to no host that is not among its mx, and to
 *   none that need not verify itself;
 *   mail goes out as without a policy only after the DNS or the HTTPS server of the
 *   domain has said so, or has failed;
 *   each attempt ends. */

#include "cmd/mailmilld/relay/relay_way_int.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/sts/sts_cache.h"
#include "core/process/log.h"
#include "test/lib/simrand.h"
#include "test/unit/cmd/settings/load.h"

#define SEEDS		200
#define STEPS		300
#define NDOMAINS	4
#define KEPT_MAX	16
#define PENDING_MAX	64
#define TICK_MS		1000
#define TICKS_MAX	1000		/* an attempt takes no longer */
/* relay asks again after five minutes, and begins nothing ten minutes after the
 * beginning of an attempt */
#define LATE_MS		(300000 + RELAY_ATTEMPT_MS + 60000)

#define CONF \
	"ESMTP_Listener { Listen \"127.0.0.1:2525\" { } }\n" \
	"Domain \"*\" { Delivery = smtp MTA_STS = true }\n"

static const char *const hosts[] = { "good.test", "bad.test" };

enum https { HTTPS_UP, HTTPS_DOWN, HTTPS_FORGED, HTTPS_BROKEN, NHTTPS };

/* What a domain publishes, and what this server must believe. */
static struct domain {
	char		 name[16];
	bool		 has_record;
	unsigned int	 id;
	enum sts_mode	 mode;
	unsigned int	 host;		/* the one that its policy allows */
	uint32_t	 max_age_s;
	enum https	 https;
	bool		 is_dns_down;
	/* the policy that was fetched last */
	bool		 has_policy;
	enum sts_mode	 its_mode;
	unsigned int	 its_host;
	uint64_t	 end_ms;
	uint64_t	 since_ms;	/* it has been the same so long */
	uint64_t	 said_ms;	/* the last that DNS or HTTPS have said, or have failed to */
	struct relay_way way;
} domains[NDOMAINS];

/* What is under way. */
static struct pending {
	uint64_t		 at_ms;
	struct sts_domain	*record, *fetch;	/* one of them, ... */
	struct domain		*d;
	struct question		*question;		/* ... or an answer for relay */
	struct search		*search;	/* ... or hosts */
} pending[PENDING_MAX];
static size_t npending;

struct question {
	struct sts_waiter	 waiter;
	sts_ask_fn		*fn;		/* NULL: nobody waits */
	void			*closure;
	bool			 has_policy;
	struct sts_policy	 policy;
	enum sts_failure	 failure;
};

struct search {
	mx_fn			*fn;		/* NULL: nobody waits */
	void			*closure;
	bool			 is_over;	/* there are no other hosts */
};

static struct simrand rnd;
static struct sts_cache *cache;
static struct settings *settings;
static struct relay_ways ways;
static uint64_t now_ms;
static bool is_unable;		/* this server lacks memory */
static unsigned long nsent, nenforced, nwaiting, nskipped;

static uint64_t
now(void)
{
	return now_ms;
}

static struct pending *
later(uint32_t within_ms)
{
	struct pending *p = &pending[npending++];

	cr_assert_leq(npending, PENDING_MAX);
	*p = (struct pending){ .at_ms = now_ms + 1 +
		simrand_below(&rnd, within_ms) };
	return p;
}

static struct domain *
domain_of(const char *name)
{
	size_t i;

	for (i = 0; i < NDOMAINS; i++)
		if (strcmp(domains[i].name, name) == 0)
			return &domains[i];
	cr_assert_fail("%s", name);
	return NULL;
}

/* --- the DNS and HTTPS ------------------------------------------------------------ */

static int
record(void *, const char *name, struct sts_domain *d)
{
	struct pending *p;

	if (is_unable)
		return -1;
	p = later(3000);
	p->record = d;
	p->d = domain_of(name);
	return 0;
}

static int
fetch(void *, const char *name, struct sts_domain *d)
{
	struct pending *p;

	if (is_unable)
		return -1;
	p = later(60000);
	p->fetch = d;
	p->d = domain_of(name);
	return 0;
}

static const struct sts_cache_ops cache_ops = { .record = record,
	.fetch = fetch, .now_ms = now };

static void
say_record(struct sts_domain *to, struct domain *d)
{
	char id[16];

	if (is_unable) {
		sts_cache_unknown(to, "the resolver does not answer");
		return;
	}
	snprintf(id, sizeof(id), "%u", d->id);
	d->said_ms = now_ms;
	sts_cache_record(to, d->has_record && !d->is_dns_down ? id : NULL);
}

static void
say_policy(struct sts_domain *to, struct domain *d)
{
	struct sts_policy p = { .mode = d->mode, .max_age_s = d->max_age_s,
		.len = strlen(hosts[d->host]) + 1 };

	if (is_unable) {
		sts_cache_fetched(to, STS_UNKNOWN, "no descriptors", NULL);
		return;
	}
	d->said_ms = now_ms;
	if (d->https != HTTPS_UP) {
		sts_cache_fetched(to, d->https == HTTPS_DOWN ?
		    STS_FETCH_ERROR : d->https == HTTPS_FORGED ?
		    STS_WEBPKI_INVALID : STS_INVALID, "it is down", NULL);
		return;
	}
	strcpy(p.mx, hosts[d->host]);
	if (!d->has_policy || now_ms >= d->end_ms || d->its_mode != p.mode ||
	    d->its_host != d->host)
		d->since_ms = now_ms;
	d->has_policy = true;
	d->its_mode = p.mode;
	d->its_host = d->host;
	d->end_ms = now_ms + (p.max_age_s * 1000ULL > STS_LEAST_MS ?
	    p.max_age_s * 1000ULL : STS_LEAST_MS);
	sts_cache_fetched(to, STS_FETCHED, "", &p);
}

/* --- what relay asks ------------------------------------------------------------- */

static void
on_policy(struct sts_waiter *w, const struct sts_policy *policy,
    enum sts_failure failure)
{
	struct question *q = (struct question *)w;

	q->has_policy = policy != NULL;
	if (policy != NULL)
		q->policy = *policy;
	q->failure = failure;
	later(10)->question = q;
}

static struct sts_ask *
ask_sts(struct sts *, const char *name, sts_ask_fn *fn, void *closure)
{
	struct question *q = calloc(1, sizeof(*q));

	cr_assert_not_null(q);
	q->waiter.on_policy = on_policy;
	q->fn = fn;
	q->closure = closure;
	sts_cache_ask(cache, name, &q->waiter);
	return (struct sts_ask *)(void *)q;
}

static void
cancel_sts(struct sts_ask **a)
{
	((struct question *)(void *)*a)->fn = NULL;
	*a = NULL;
}

/* As sts_asker.c and sts_ask.c hand it on. */
static void
answer(struct question *q)
{
	static const struct sts_policy none = { .mode = STS_NONE };

	if (q->fn != NULL)
		q->fn(q->closure, q->has_policy ? &q->policy :
		    q->failure == STS_UNKNOWN ? NULL : &none, q->failure);
	free(q);
}

static struct mx *
search_open(struct lookup *, const struct mx_want *, mx_fn *fn, void *closure)
{
	struct search *s = calloc(1, sizeof(*s));

	cr_assert_not_null(s);
	*s = (struct search){ .fn = fn, .closure = closure };
	later(2000)->search = s;
	return (struct mx *)(void *)s;
}

static void
search_more(struct mx *x)
{
	struct search *s = (struct search *)(void *)x;

	s->is_over = true;
	later(2000)->search = s;
}

static void
search_close(struct mx **x)
{
	((struct search *)(void *)*x)->fn = NULL;
	*x = NULL;
}

static void
find_hosts(struct search *s)
{
	struct mx_hop hops[2] = { { .host = hosts[0] }, { .host = hosts[1] } };
	struct mx_result r = { .hops = hops, .n = s->is_over ? 0 : 2,
		.end = MX_END_TRIED, .ttl_s = simrand_below(&rnd, 7200) };

	bool was_over = s->is_over;

	cr_assert_eq(addr_parse("192.0.2.1:25", &hops[0].addr), 0);
	cr_assert_eq(addr_parse("192.0.2.2:25", &hops[1].addr), 0);

	if (s->fn != NULL)
		s->fn(s->closure, &r);
	/* or mx_more() has been called */
	if (s->is_over == was_over)
		free(s);
}

static void
on_found(void *)
{
}

/* --- time -------------------------------------------------------------------------- */

/* What is due happens. */
static void
pass(uint64_t ms)
{
	struct pending p;
	size_t i;

	now_ms += ms;
	for (i = 0; i < npending;) {
		if (pending[i].at_ms > now_ms) {
			i++;
			continue;
		}
		p = pending[i];
		pending[i] = pending[--npending];
		if (p.record != NULL)
			say_record(p.record, p.d);
		else if (p.fetch != NULL)
			say_policy(p.fetch, p.d);
		else if (p.question != NULL)
			answer(p.question);
		else
			find_hosts(p.search);
		i = 0;
	}
}

/* Something changes at a domain, or here. */
static void
change(void)
{
	struct domain *d = &domains[simrand_below(&rnd, NDOMAINS)];

	is_unable = simrand_chance(&rnd, 150);
	switch (simrand_below(&rnd, 6)) {
	case 0:
		d->has_record = !simrand_chance(&rnd, 300);
		break;
	case 1:
		d->id++;
		d->mode = simrand_chance(&rnd, 600) ? STS_ENFORCE :
		    simrand_below(&rnd, STS_NMODES);
		d->host = simrand_below(&rnd, 2);
		d->max_age_s = simrand_below(&rnd, 14 * 86400);
		break;
	case 2:
		d->https = simrand_chance(&rnd, 500) ? HTTPS_UP :
		    simrand_below(&rnd, NHTTPS);
		break;
	case 3:
		d->is_dns_down = simrand_chance(&rnd, 300);
		break;
	case 4:		/* its policy has another text with the same id */
		d->max_age_s = simrand_below(&rnd, 86400);
		break;
	default:
		break;
	}
}

/* --- another process ----------------------------------------------------------------- */

static struct keep {
	struct sts_kept	  kept;
	char		  name[16], id[LIM_STS_ID + 1];
	struct sts_policy policy;
} keeps[KEPT_MAX];
static size_t nkeeps;

static void
keep(void *, const struct sts_kept *kept)
{
	struct keep *k = &keeps[nkeeps++];

	cr_assert_leq(nkeeps, KEPT_MAX);
	memset(k, 0, sizeof(*k));
	k->kept = *kept;
	strcpy(k->name, kept->domain);
	strcpy(k->id, kept->id);
	memcpy(&k->policy, kept->policy, offsetof(struct sts_policy, mx) +
	    kept->policy->len);
	k->kept.domain = k->name;
	k->kept.id = k->id;
	k->kept.policy = &k->policy;
}

/* sts ends, and another one begins with what was kept.  Nothing is asked. */
static void
restart(void)
{
	size_t i;

	/* what it was asking is lost */
	for (i = 0; i < npending;)
		if (pending[i].record != NULL || pending[i].fetch != NULL)
			pending[i] = pending[--npending];
		else
			i++;
	nkeeps = 0;
	sts_cache_each(cache, keep, NULL);
	sts_cache_free(cache);
	cr_assert_not_null(cache = sts_cache_new(&cache_ops, NULL));
	for (i = 0; i < nkeeps; i++)
		sts_cache_keep(cache, &keeps[i].kept);
}

/* --- mail --------------------------------------------------------------------------- */

static void
check(const struct domain *d, const struct relay_place *p, uint64_t seed)
{
	bool is_enforced = d->has_policy && now_ms < d->end_ms &&
	    d->its_mode == STS_ENFORCE && now_ms - d->since_ms > LATE_MS;

	nenforced += is_enforced;
	if (is_enforced) {
		cr_assert_str_eq(p->addr.name, hosts[d->its_host],
		    "seed %llu: %s", (unsigned long long)seed, d->name);
		cr_assert_eq(p->policy->level, RELAY_VERIFY, "seed %llu: %s",
		    (unsigned long long)seed, d->name);
	}
	if (p->policy->level != RELAY_VERIFY && !(d->has_policy &&
	    now_ms < d->end_ms + LATE_MS && d->its_mode != STS_ENFORCE))
		cr_assert_leq(now_ms - d->said_ms, LATE_MS, "seed %llu: %s: "
		    "nobody has said that it has no policy",
		    (unsigned long long)seed, d->name);
}

static void
send_one(struct domain *d, uint64_t seed)
{
	const struct relay_place *p;
	struct job_error why = { .code = 0 };
	unsigned int i;

	relay_way_begin(&d->way);
	for (i = 0; i < TICKS_MAX; i++) {
		switch (relay_way_find(&d->way, &p)) {
		case RELAY_WAY_WAITS:
			pass(TICK_MS);
			break;
		case RELAY_WAY_PLACE:
			check(d, p, seed);
			relay_way_use(&d->way, p->number);
			if (simrand_chance(&rnd, 300)) {
				relay_way_failed(&d->way, p->number, &why,
				    ECONNREFUSED);
				break;
			}
			nsent++;
			relay_way_good(&d->way, p->number, 0);
			return;
		case RELAY_WAY_END:
			nwaiting++;
			nskipped += d->way.has_skipped;
			return;
		}
	}
	cr_assert_fail("seed %llu: %s: the attempt does not end",
	    (unsigned long long)seed, d->name);
}

static void
begin(uint64_t seed)
{
	size_t i;

	simrand_seed(&rnd, seed);
	now_ms = 1000000;
	npending = 0;
	is_unable = false;
	cr_assert_not_null(cache = sts_cache_new(&cache_ops, NULL));
	ways = (struct relay_ways){ .open = search_open, .more = search_more,
		.close = search_close, .ask_sts = ask_sts,
		.cancel_sts = cancel_sts, .now_ms = now, .found = on_found };
	memset(domains, 0, sizeof(domains));
	for (i = 0; i < NDOMAINS; i++) {
		domains[i].id = 1;
		domains[i].has_record = true;
		domains[i].mode = STS_ENFORCE;
		domains[i].max_age_s = 7 * 86400;
		snprintf(domains[i].name, sizeof(domains[i].name),
		    "d%zu.test", i);
		relay_way_open(&domains[i].way, &ways, &settings->domains[0],
		    domains[i].name, NULL);
	}
}

static void
end(void)
{
	size_t i;

	for (i = 0; i < NDOMAINS; i++)
		relay_way_close(&domains[i].way);
	/* the answers that nobody waits for any more */
	for (i = 0; i < npending; i++) {
		free(pending[i].question);
		free(pending[i].search);
	}
	npending = 0;
	sts_cache_free(cache);
}

static void
run(uint64_t seed)
{
	unsigned int i;

	begin(seed);
	for (i = 0; i < STEPS; i++) {
		pass(simrand_chance(&rnd, 500) ? simrand_below(&rnd, 600000) :
		    simrand_below(&rnd, 8 * 3600 * 1000));
		if (simrand_chance(&rnd, 500))
			change();
		if (simrand_chance(&rnd, 30))
			restart();
		sts_cache_pass(cache);
		pass(TICK_MS);
		send_one(&domains[simrand_below(&rnd, NDOMAINS)], seed);
	}
	end();
}

Test(relay_way_days, no_policy_in_force_is_ever_passed_by)
{
	uint64_t seed;

	log_set_level(LOG_LEVEL_ERROR);
	settings = load_good_settings(CONF);
	nsent = nenforced = nwaiting = nskipped = 0;
	for (seed = 1; seed <= SEEDS; seed++)
		run(seed);
	/* that it has come to something */
	cr_expect_gt(nsent, 1000 * SEEDS / 10, "%lu", nsent);
	cr_expect_gt(nenforced, 10 * SEEDS, "%lu", nenforced);
	cr_expect_gt(nwaiting, SEEDS, "%lu", nwaiting);
	cr_expect_gt(nskipped, SEEDS / 10, "%lu", nskipped);
	settings_free(settings);
}
