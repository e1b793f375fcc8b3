/* Searches for the places of a next hop in the DNS; see relay_way_parts_int.h. */

#include "cmd/mailmilld/relay/relay_way_parts_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/process/log.h"

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
	if (relay_way_sts_is_told(w) && !(h->tlsa.status == MX_TLSA_FAILED &&
	    h->tlsa.is_unasked && p->source == RELAY_BY_DANE))
		relay_way_sts_tell(w, relay_told_new(p, w->mx, w->sts, h->host, NULL),
		    p->result, p->why);
	w->has_skipped = true;
	w->has_demand = w->has_demand || relay_policy_is_of_others(p);
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, "4.7.5", sizeof(w->why.enhanced));
	snprintf(w->why.text, sizeof(w->why.text), "%.100s: %s", h->host,
	    p->why);
	w->errnum = EHOSTUNREACH;
	w->flags = JOB_TARGET;
	/* it may be good soon, while the others are good for longer */
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + RELAY_BAD_MS);
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
	facts.sts = relay_way_sts_of(w, h->host);
	p = relay_way_place_add_policy(w, &facts);
	if (p != NULL && p->level == RELAY_SKIP) {
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
		is_new = relay_way_place_add(w, &addr, policy) || is_new;
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
void
relay_way_search_end(struct relay_way *w)
{
	if (w->search == NULL)
		return;
	w->ways->close(&w->search);
	LIST_REMOVE(w, searching);
	w->ways->nsearches--;
}

void
relay_way_search_give_up(struct relay_way *w)
{
	struct route_addr addr;

	take_end(w, name_of(w, &addr), MX_END_TEMPORARY);
	w->entry++;
	relay_way_search_end(w);
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
	relay_way_search_end(w);
	w->ways->found(w->closure);
}

void
relay_way_search_begin(struct relay_way *w)
{
	struct route_addr addr;
	struct mx_want want = { .name = name_of(w, &addr),
		.is_host = w->mx == NULL, .self = w->ways->self,
		.wants_tlsa = relay_policy_wants_tlsa(w->domain) };

	want.port = w->mx == NULL ? ntohs(addr.port) :
	    (unsigned int)w->domain->mx_port;
	if (relay_way_sts_ask(w))
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

void
relay_ways_late(struct relay_ways *ways)
{
	struct relay_way *w;

	while ((w = relay_way_sts_late(ways)) != NULL) {
		relay_way_sts_end(w);
		relay_way_sts_failed(w);
		ways->found(w->closure);
	}
	while ((w = late_search(ways)) != NULL) {
		relay_way_search_give_up(w);
		ways->found(w->closure);
	}
}
