/* The places of a next hop, and their policies; see relay_way_parts_int.h. */

#include "cmd/mailmilld/relay/relay_way_parts_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"

#define SMTP_PORT	25

void
relay_way_route(const struct settings_domain *d, size_t i,
    struct route_addr *addr_r)
{
	/* the settings have been checked */
	(void)route_addr_parse(d->route.v[i], addr_r);
	route_addr_default(addr_r, SMTP_PORT);
}

struct relay_place *
relay_way_place_of(const struct relay_way *w, uint64_t number)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->v[i].number == number)
			return &w->v[i];
	return NULL;
}

bool
relay_way_place_is_enough(const struct relay_way *w, uint64_t now)
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

const struct relay_place *
relay_way_place_untried(const struct relay_way *w, bool is_enough, uint64_t good_ms)
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

void
relay_way_place_free_policies(struct relay_way *w)
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

struct relay_policy *
relay_way_place_add_policy(struct relay_way *w, const struct relay_policy_facts *f)
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

bool
relay_way_place_add(struct relay_way *w, const struct route_addr *addr,
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

void
relay_way_use(struct relay_way *w, uint64_t number)
{
	struct relay_place *p = relay_way_place_of(w, number);

	if (p != NULL)
		p->is_used = true;
}

const struct relay_place *
relay_way_beside(const struct relay_way *w, uint64_t number)
{
	const struct relay_place *p = relay_way_place_of(w, number);
	uint64_t now = w->ways->now_ms();
	bool is_last = relay_way_place_is_enough(w, now);

	if (p == NULL)
		return NULL;
	for (p++; p < w->v + w->n && p->group == p[-1].group; p++)
		if (may_try(p, is_last, now))
			return p;
	return NULL;
}
