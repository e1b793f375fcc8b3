/* The addresses of a next hop; see relay_way_int.h. */

#include "cmd/mailmilld/relay/relay_way_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/array.h"

#define SMTP_PORT	25
#define STS_KEPT_MS	300000	/* a policy of MTA-STS is asked for again */

void
relay_way_route(const struct settings_domain *d, size_t i,
    struct route_addr *addr_r)
{
	/* the settings have been checked */
	(void)route_addr_parse(d->route.v[i], addr_r);
	route_addr_default(addr_r, SMTP_PORT);
}

/* --- places --------------------------------------------------------------- */

static struct relay_place *
place_of(const struct relay_way *w, uint64_t number)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->v[i].number == number)
			return &w->v[i];
	return NULL;
}

/* Is no other place to be used in this attempt? */
static bool
is_enough(const struct relay_way *w, uint64_t now)
{
	size_t limit = w->mx == NULL ? 0 :
	    (size_t)w->domain->mx_address_limit, nused = 0, i;

	if (w->begin_ms != 0 && now - w->begin_ms >= RELAY_ATTEMPT_MS)
		return true;
	for (i = 0; i < w->n; i++)
		nused += w->v[i].is_used;
	return limit != 0 && nused >= limit;
}

/* May ${p} be tried, if those that are bad until ${good_ms} are left alone? */
static bool
may_try(const struct relay_place *p, bool is_enough, uint64_t good_ms)
{
	return !p->is_tried && p->bad_ms <= good_ms &&
	    (p->is_used || !is_enough);
}

/* The first that may be. */
static const struct relay_place *
untried(const struct relay_way *w, bool is_enough, uint64_t good_ms)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (may_try(&w->v[i], is_enough, good_ms))
			return &w->v[i];
	return NULL;
}

static bool
is_same(const struct route_addr *a, const struct route_addr *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == ROUTE_UNIX ?
	    strcmp(a->un.sun_path, b->un.sun_path) == 0 :
	    a->port == b->port && addr_is_same(&a->ip.sa, &b->ip.sa);
}

static bool
has_addr(const struct relay_way *w, const struct route_addr *addr)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (is_same(&w->v[i].addr, addr))
			return true;
	return false;
}

/* What the DNS said before may have had the same address; NULL: it had not. */
static const struct relay_place *
find_was(const struct relay_way *w, const struct route_addr *addr)
{
	size_t i;

	for (i = 0; i < w->nwas; i++)
		if (is_same(&w->was[i].addr, addr))
			return &w->was[i];
	return NULL;
}

static void
free_policies(struct relay_way *w)
{
	while (w->npolicies > 0)
		relay_policy_free(w->policies[--w->npolicies]);
	free(w->policies);
	w->policies = NULL;
	w->policy_room = 0;
}

/* There is no memory for an address: nobody knows what it has, and it is looked for
 * again soon. */
static void
leave_out(struct relay_way *w)
{
	w->has_left_out = w->is_unsure = true;
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + RELAY_BAD_MS);
}

/* NULL: there is no memory. */
static struct relay_policy *
add_policy(struct relay_way *w, const struct relay_policy_facts *f)
{
	struct relay_policy **v = array_fit(w->policies, &w->policy_room,
	    w->npolicies + 1, sizeof(struct relay_policy *)), *p = NULL;

	if (v != NULL) {
		w->policies = v;
		p = relay_policy_new(f);
	}
	if (p != NULL)
		v[w->npolicies++] = p;
	else
		leave_out(w);
	return p;
}

/* Return whether it is a new one. */
static bool
add_place(struct relay_way *w, const struct route_addr *addr,
    const struct relay_policy *policy)
{
	const struct relay_place *was = find_was(w, addr);
	struct relay_place *v;

	if (has_addr(w, addr))
		return false;
	if (w->n == RELAY_PLACES) {
		w->is_unsure = true;
		return false;
	}
	if ((v = array_fit(w->v, &w->room, w->n + 1, sizeof(*v))) == NULL) {
		leave_out(w);
		return false;
	}
	w->v = v;
	v[w->n++] = (struct relay_place){ .addr = *addr, .number = ++w->last,
		.group = w->group, .route = w->entry, .policy = policy,
		.bad_ms = was != NULL ? was->bad_ms : 0,
		.nrefused = was != NULL ? was->nrefused : 0,
		.refused_ms = was != NULL ? was->refused_ms : 0 };
	return true;
}

static void
free_sts(struct relay_way *w)
{
	free(w->sts);
	w->sts = NULL;
	w->has_sts = false;
}

/* Begin with the first route again. */
static void
forget(struct relay_way *w)
{
	free_sts(w);
	free(w->was);
	w->was = w->v;
	w->nwas = w->n;
	w->v = NULL;
	w->n = w->room = w->ntried = w->nlacking = 0;
	w->may_lack = false;
	free_policies(w);
	w->has_skipped = w->has_demand = w->is_unsure = false;
	w->has_left_out = false;
	w->entry = 0;
	w->preference = -1;
	w->end_ms = UINT64_MAX;
}

/* --- searches ------------------------------------------------------------- */

static bool
is_of_others(const struct relay_policy *p)
{
	return p->source == RELAY_BY_DANE || p->source == RELAY_BY_STS;
}

/* What a policy without a connection has come to is told, for reports; takes
 * ${told}, which may be NULL. */
static void
tell(const struct relay_way *w, struct relay_told *told,
    enum relay_result result, const char *reason)
{
	relay_tell_end(w->ways->tell, told, result, reason);
	relay_told_free(told);
}

static bool
is_told(const struct relay_way *w)
{
	return w->ways->tell != NULL && w->mx != NULL && !w->is_untold;
}

/* No connection is made to that host: the others are tried (RFC 7672 2.1.2). */
static void
note_skipped(struct relay_way *w, const struct mx_hop *h,
    const struct relay_policy *p)
{
	log_event(LOG_LEVEL_INFO, "next-hop-skipped", "name=%s host=%s "
	    "policy=%s result=%s reason=%s", w->mx != NULL ? w->mx : h->host,
	    h->host, relay_source_name(p->source),
	    relay_result_name(p->result), p->why);
	/* what fails here is no fault of the domain's */
	if (is_told(w) && !(h->tlsa.status == MX_TLSA_FAILED &&
	    h->tlsa.is_unasked && p->source == RELAY_BY_DANE))
		tell(w, relay_told_new(p, w->mx, w->sts, h->host, NULL),
		    p->result, p->why);
	w->has_skipped = true;
	w->has_demand = w->has_demand || is_of_others(p);
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, "4.7.5", sizeof(w->why.enhanced));
	snprintf(w->why.text, sizeof(w->why.text), "%.100s: %s", h->host,
	    p->why);
	w->errnum = EHOSTUNREACH;
	w->flags = JOB_TARGET;
	/* it may be good soon, while the others are good for longer */
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + RELAY_BAD_MS);
}

/* RFC 8461 5: what would fail if the mode were "enforce". */
static void
note_testing(const struct relay_way *w, const char *host)
{
	log_event(LOG_LEVEL_INFO, "sts-testing", "name=%s host=%s result=%s "
	    "reason=%s", w->mx, host,
	    relay_result_name(RELAY_RESULT_VALIDATION),
	    "it is none of the hosts in the MTA-STS policy of the domain");
}

/* What the domain's policy says of that host. */
static enum relay_sts
sts_of(const struct relay_way *w, const char *host)
{
	bool is_match;

	if (w->sts == NULL)
		return RELAY_STS_NONE;
	is_match = sts_policy_matches(w->sts, host);
	if (w->sts->mode == STS_ENFORCE)
		return is_match ? RELAY_STS_MATCH : RELAY_STS_NO_MATCH;
	if (!is_match)
		note_testing(w, host);
	return is_match ? RELAY_STS_TESTING : RELAY_STS_NONE;
}

/* The policy of the ${i}th hop; those before are of the same host, or of others.
 * NULL: there is none, and no connection. */
static const struct relay_policy *
policy_of(struct relay_way *w, const struct mx_result *r, size_t i,
    const char *name, const struct relay_policy *before)
{
	const struct mx_hop *h = &r->hops[i];
	struct relay_policy_facts facts = { .domain = w->domain,
		.name = name, .is_mx = w->mx != NULL, .alias = w->mx != NULL &&
		r->alias != NULL ? r->alias : "", .hop = h,
		.is_optional = w->is_optional };
	const struct relay_policy *p = before;

	if (i > 0 && strcmp(h->host, r->hops[i - 1].host) == 0)
		return p;
	facts.sts = sts_of(w, h->host);
	if ((p = add_policy(w, &facts)) != NULL && p->level == RELAY_SKIP) {
		note_skipped(w, h, p);
		return NULL;
	}
	return p;
}

/* Return whether there is a new address among them. */
static bool
take_hops(struct relay_way *w, const struct mx_result *r, const char *name)
{
	uint64_t end_ms = w->ways->now_ms() + (uint64_t)r->ttl_s * 1000;
	const struct relay_policy *policy = NULL;
	struct route_addr addr;
	const struct mx_hop *h;
	union addr source;
	bool is_new = false;
	size_t i;

	/* of an earlier search */
	if (w->mx != NULL && (int64_t)r->hops[0].preference <= w->preference)
		return false;
	w->preference = r->hops[0].preference;
	w->end_ms = MIN(w->end_ms, end_ms);
	w->group++;
	for (i = 0; i < r->n; i++) {
		h = &r->hops[i];
		policy = policy_of(w, r, i, name, policy);
		if (policy == NULL || settings_source(w->domain,
		    h->addr.sa.sa_family, &source) == -1)
			continue;
		addr = (struct route_addr){ .kind = ROUTE_IP, .ip = h->addr,
			.port = htons((in_port_t)addr_port(&h->addr.sa)) };
		strlcpy(addr.name, h->host, sizeof(addr.name));
		is_new = add_place(w, &addr, policy) || is_new;
	}
	return is_new;
}

/* A search has found nothing (more).  What a server has said, or has not, is a
 * better reason. */
static void
take_end(struct relay_way *w, const char *name, enum mx_end end)
{
	static const struct mx_reply unreached = { 451, "4.4.4", "has no "
	    "address of IPv4 or IPv6 as Source has one" };
	const struct mx_reply *reply = end == MX_END_TRIED ? &unreached :
	    mx_end_reply(end);
	char at[CONF_AT_MAX];

	if (end == MX_END_TRIED && (w->n > 0 || w->has_skipped ||
	    w->has_left_out))
		return;
	w->is_unsure = w->is_unsure || reply->code / 100 == 4;
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + RELAY_BAD_MS);
	if (w->mx == NULL)
		log_warnx("next-hop-name", "at=%s name=%s reason=%s",
		    conf_at_text(&w->domain->route_at, at, sizeof(at)), name,
		    reply->text);
	if (w->ntried > 0 || w->has_skipped)
		return;
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, reply->enhanced, sizeof(w->why.enhanced));
	snprintf(w->why.text, sizeof(w->why.text), "%.100s: %s", name,
	    reply->text);
	w->errnum = EHOSTUNREACH;
	w->flags = reply->code / 100 == 5 ? JOB_REFUSED : JOB_TARGET;
}

/* The name that is looked up. */
static const char *
name_of(const struct relay_way *w, struct route_addr *addr_r)
{
	if (w->mx != NULL)
		return w->mx;
	relay_way_route(w->domain, w->entry, addr_r);
	return addr_r->name;
}

/* The search ends with each group: it is so large that one for each next hop
 * would be too much.  The resolver has the answers, if the next group is
 * wanted. */
static void
end_search(struct relay_way *w)
{
	if (w->search == NULL)
		return;
	w->ways->close(&w->search);
	LIST_REMOVE(w, searching);
	w->ways->nsearches--;
}

/* It takes too long. */
static void
give_up(struct relay_way *w)
{
	struct route_addr addr;

	take_end(w, name_of(w, &addr), MX_END_TEMPORARY);
	w->entry++;
	end_search(w);
}

static void
on_hops(void *closure, const struct mx_result *r)
{
	struct relay_way *w = closure;
	struct route_addr addr;
	const char *name = name_of(w, &addr);

	if (r->n > 0 && !take_hops(w, r, name)) {
		w->ways->more(w->search);
		return;
	}
	if (r->n == 0)
		take_end(w, name, r->end);
	/* a host has one group */
	if (r->n == 0 || w->mx == NULL)
		w->entry++;
	end_search(w);
	w->ways->found(w->closure);
}

/* --- policies of MTA-STS ---------------------------------------------------- */

/* Nobody knows whether the domain has a policy, and what it says. */
static void
take_no_sts(struct relay_way *w)
{
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, "4.7.5", sizeof(w->why.enhanced));
	snprintf(w->why.text, sizeof(w->why.text), "%.100s: whether it has a "
	    "policy of MTA-STS could not be learned: the process sts was not "
	    "able to ask, or has not answered in time", w->mx);
	w->errnum = EAGAIN;
	w->flags = JOB_TARGET;
	w->has_demand = w->is_unsure = true;
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + RELAY_BAD_MS);
	w->entry++;
}

/* Keep a copy without the room that it does not need.  Return 0, or -1 (ENOMEM). */
static int
keep_sts(struct relay_way *w, const struct sts_policy *p)
{
	size_t octets = offsetof(struct sts_policy, mx) + p->len;

	if (p->mode != STS_NONE) {
		if ((w->sts = malloc(octets)) == NULL)
			return -1;
		memcpy(w->sts, p, octets);
	}
	w->has_sts = true;
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + STS_KEPT_MS);
	return 0;
}

/* RFC 8460 4.3.2.2: there is no policy, or no newer one. */
static void
tell_sts(const struct relay_way *w, const struct sts_policy *p,
    enum sts_failure failure)
{
	static const struct {
		enum relay_result result;
		const char *why;	/* NULL: it is no failure of the domain's */
	} of[STS_NFAILURES] = {
		[STS_FETCH_ERROR] = { RELAY_RESULT_STS_FETCH,
		    "the policy cannot be fetched" },
		[STS_INVALID] = { RELAY_RESULT_STS_INVALID,
		    "what its HTTPS server sends is no policy" },
		[STS_WEBPKI_INVALID] = { RELAY_RESULT_STS_WEBPKI,
		    "its HTTPS server has no certificate for its name by an "
		    "authority that is trusted" },
	};

	if (of[failure].why != NULL && is_told(w))
		tell(w, relay_told_policy(w->mx, p), of[failure].result,
		    of[failure].why);
}

static void
on_sts(void *closure, const struct sts_policy *p, enum sts_failure failure)
{
	struct relay_way *w = closure;

	w->sts_ask = NULL;
	LIST_REMOVE(w, asking);
	if (p != NULL)
		tell_sts(w, p, failure);
	if (p == NULL || keep_sts(w, p) == -1)
		take_no_sts(w);
	w->ways->found(w->closure);
}

/* Ask for the policy of the domain, unless it is known.  Return whether the search
 * has to wait for it.  It is not one of RELAY_SEARCHES: who has many domains with
 * slow HTTPS servers does not keep other mail waiting. */
static bool
ask_sts(struct relay_way *w)
{
	if (w->mx == NULL || !w->domain->mta_sts || w->has_sts ||
	    w->is_optional)
		return false;
	w->sts_ask = w->ways->ask_sts(w->ways->sts, w->mx, on_sts, w);
	if (w->sts_ask != NULL) {
		w->sts_ms = w->ways->now_ms();
		LIST_INSERT_HEAD(&w->ways->asking, w, asking);
	} else if (errno == EINVAL)
		w->has_sts = true;	/* an address literal has none */
	else if (errno == EAGAIN && !LIST_EMPTY(&w->ways->asking))
		w->ways->is_sts_short = true;
	else
		take_no_sts(w);
	return !w->has_sts;
}

static void
end_sts(struct relay_way *w)
{
	if (w->sts_ask == NULL)
		return;
	w->ways->cancel_sts(&w->sts_ask);
	LIST_REMOVE(w, asking);
}

/* --- searches, when nothing else has to come first ----------------------------- */

/* Begin a search, when there may be one more. */
static void
search(struct relay_way *w)
{
	struct route_addr addr;
	struct mx_want want = { .name = name_of(w, &addr),
		.is_host = w->mx == NULL, .self = w->ways->self,
		.wants_tlsa = relay_policy_wants_tlsa(w->domain) };

	want.port = w->mx == NULL ? ntohs(addr.port) :
	    (unsigned int)w->domain->mx_port;
	if (ask_sts(w))
		return;
	if (w->ways->nsearches == RELAY_SEARCHES) {
		w->ways->is_short = true;
		return;
	}
	w->search = w->ways->open(w->ways->lookup, &want, on_hops, w);
	if (w->search != NULL) {
		w->ways->nsearches++;
		w->search_ms = w->ways->now_ms();
		LIST_INSERT_HEAD(&w->ways->searching, w, searching);
		return;
	}
	take_end(w, want.name, MX_END_TEMPORARY);
	w->entry++;
}

/* One that takes too long: the first of those; NULL: none does. */
static struct relay_way *
late_search(const struct relay_ways *ways)
{
	uint64_t ms = ways->is_short ? RELAY_SEARCH_SHORT_MS : RELAY_SEARCH_MS;
	uint64_t now = ways->now_ms();
	struct relay_way *w, *late = NULL;

	LIST_FOREACH (w, &ways->searching, searching)
		if (now - w->search_ms >= ms)
			late = w;
	return late;
}

/* The same of questions about policies. */
static struct relay_way *
late_sts(const struct relay_ways *ways)
{
	uint64_t ms = ways->is_sts_short ? RELAY_SEARCH_SHORT_MS :
	    RELAY_STS_MANY_MS, now = ways->now_ms();
	struct relay_way *w, *late = NULL;

	if (!ways->is_sts_short && !ways->is_many)
		return NULL;
	LIST_FOREACH (w, &ways->asking, asking)
		if (now - w->sts_ms >= ms)
			late = w;
	return late;
}

void
relay_ways_late(struct relay_ways *ways)
{
	struct relay_way *w;

	while ((w = late_sts(ways)) != NULL) {
		end_sts(w);
		take_no_sts(w);
		ways->found(w->closure);
	}
	while ((w = late_search(ways)) != NULL) {
		give_up(w);
		ways->found(w->closure);
	}
}

/* --- attempts ------------------------------------------------------------- */

void
relay_way_open(struct relay_way *w, struct relay_ways *ways,
    const struct settings_domain *d, const char *mx, void *closure)
{
	*w = (struct relay_way){ .ways = ways, .domain = d, .mx = mx,
		.closure = closure };
	forget(w);
}

void
relay_way_close(struct relay_way *w)
{
	end_search(w);
	end_sts(w);
	free_sts(w);
	free_policies(w);
	free(w->v);
	free(w->was);
	w->v = w->was = NULL;
	w->n = w->room = w->nwas = 0;
}

void
relay_way_begin(struct relay_way *w)
{
	uint64_t now = w->ways->now_ms();
	struct relay_place *p;
	size_t i;

	/* without an address the DNS is asked each time */
	if (w->search == NULL && w->sts_ask == NULL && (w->n == 0 ||
	    now >= w->end_ms))
		forget(w);
	for (i = 0; i < w->n; i++) {
		p = &w->v[i];
		p->is_used = p->is_tried = false;
		if (now - p->refused_ms >= RELAY_REFUSED_MS)
			p->nrefused = 0;
	}
	w->ntried = w->nlacking = 0;
	w->may_lack = false;
	w->begin_ms = 0;
	/* as long as nothing has failed: there was no memory for an address */
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, "4.3.0", sizeof(w->why.enhanced));
	strlcpy(w->why.text, strerror(ENOMEM), sizeof(w->why.text));
	w->errnum = ENOMEM;
	w->flags = JOB_UNASKED;
}

/* What holds for an address in Route.  NULL: there is no memory. */
static const struct relay_policy *
policy_of_route(struct relay_way *w)
{
	const struct relay_policy_facts facts = { .domain = w->domain,
		.name = "", .alias = "" };

	return add_policy(w, &facts);
}

/* The next route.  Return whether there was one that is known, or fails to be
 * looked up. */
static bool
go_on(struct relay_way *w)
{
	size_t n = w->mx != NULL ? 1 : w->domain->route.n, entry = w->entry;
	const struct relay_policy *policy;
	struct route_addr addr;

	if (w->search != NULL || w->sts_ask != NULL || entry >= n)
		return false;
	if (w->mx == NULL)
		relay_way_route(w->domain, entry, &addr);
	if (w->mx != NULL || addr.kind == ROUTE_NAME) {
		search(w);
		return w->entry > entry;
	}
	w->group++;
	if ((policy = policy_of_route(w)) != NULL)
		(void)add_place(w, &addr, policy);
	w->entry++;
	return true;
}

/* Where some places lack what the mail needs, that says nothing of other mail.  RFC
 * 8689 4.2.1: it has failed when all have been tried. */
static void
end_lacking(struct relay_way *w, bool is_all)
{
	w->flags = 0;
	if (w->nlacking < w->ntried || w->nlacking < w->n || !is_all ||
	    w->may_lack || w->has_skipped || w->is_unsure)
		w->errnum = EAGAIN;
	else
		w->flags = JOB_REFUSED;
	if (w->flags == 0 && w->why.code == 0 && w->why.enhanced[0] == '5')
		w->why.enhanced[0] = '4';
}

enum relay_way_state
relay_way_find(struct relay_way *w, const struct relay_place **place_r)
{
	uint64_t now = w->ways->now_ms();
	size_t n = w->mx != NULL ? 1 : w->domain->route.n;
	bool is_last;

	/* where mail is always there, nothing else begins each attempt */
	if (w->begin_ms == 0 && w->n > 0 && now >= w->end_ms)
		relay_way_begin(w);
	is_last = is_enough(w, now);
	if (w->begin_ms == 0)
		w->begin_ms = now;
	/* so that w->why says why */
	if (is_last && w->search != NULL)
		give_up(w);
	do
		if ((*place_r = untried(w, is_last, now)) != NULL)
			return RELAY_WAY_PLACE;
	while (!is_last && go_on(w));
	if (!is_last && w->entry < n)
		return RELAY_WAY_WAITS;
	*place_r = untried(w, is_last, UINT64_MAX);
	if (*place_r != NULL)
		return RELAY_WAY_PLACE;
	if (w->nlacking > 0)
		end_lacking(w, w->entry >= n);
	return RELAY_WAY_END;
}

void
relay_way_use(struct relay_way *w, uint64_t number)
{
	struct relay_place *p = place_of(w, number);

	if (p != NULL)
		p->is_used = true;
}

const struct relay_place *
relay_way_beside(const struct relay_way *w, uint64_t number)
{
	const struct relay_place *p = place_of(w, number);
	uint64_t now = w->ways->now_ms();
	bool is_last = is_enough(w, now);

	if (p == NULL)
		return NULL;
	for (p++; p < w->v + w->n && p->group == p[-1].group; p++)
		if (may_try(p, is_last, now))
			return p;
	return NULL;
}

/* Return whether that place has not been tried before. */
static bool
try_place(struct relay_way *w, struct relay_place *p)
{
	if (p == NULL || p->is_tried)
		return false;
	p->is_used = p->is_tried = true;
	p->bad_ms = w->ways->now_ms() + RELAY_BAD_MS;
	p->nrefused = 0;
	w->ntried++;
	return true;
}

static void
set_why(struct relay_way *w, const struct job_error *why, int errnum)
{
	w->why = *why;
	w->errnum = errnum;
	w->flags = JOB_TARGET;
}

void
relay_way_failed(struct relay_way *w, uint64_t number,
    const struct job_error *why, int errnum)
{
	struct relay_place *p = place_of(w, number);

	if (!try_place(w, p))
		return;
	w->has_demand = w->has_demand || is_of_others(p->policy);
	set_why(w, why, errnum);
}

void
relay_way_lacks(struct relay_way *w, uint64_t number,
    const struct job_error *why, bool is_sure)
{
	if (!try_place(w, place_of(w, number)))
		return;
	w->may_lack = w->may_lack || !is_sure;
	/* that another one could not be asked is the better reason */
	if (w->nlacking++ + 1 == w->ntried)
		set_why(w, why, EREMOTEIO);
}

void
relay_way_late(struct relay_way *w, uint64_t number)
{
	struct relay_place *p = place_of(w, number);

	if (p != NULL)
		p->bad_ms = w->ways->now_ms() + RELAY_BAD_MS;
}

void
relay_way_good(struct relay_way *w, uint64_t number, unsigned int nrefused)
{
	struct relay_place *p = place_of(w, number);

	if (p != NULL) {
		p->bad_ms = 0;
		if (nrefused > p->nrefused)
			p->refused_ms = w->ways->now_ms();
		p->nrefused = nrefused;
	}
	relay_way_begin(w);
}
