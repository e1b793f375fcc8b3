/* Policies of domains; see sts_cache.h. */

#include "cmd/mailmilld/sts/sts_cache.h"

#include <sys/param.h>
#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/log_bound.h"

#define OVERHEAD	64	/* octets of malloc(3) for a domain and its policy */

/* A policy without the room that it does not need. */
struct held {
	struct sts_policy	*policy;	/* of offsetof(mx) + len octets */
	uint64_t		 end_ms;
	uint64_t		 since_ms;	/* it was fetched; signed: perhaps before the process began */
	char			 id[LIM_STS_ID + 1];
};

/* Domains that are alike in their two last labels. */
struct group {
	RB_ENTRY(group)	 node;
	size_t		 n;
	char		 name[];
};
RB_HEAD(groups, group);

enum state { IDLE, ASKING, FETCHING };

struct sts_domain {
	RB_ENTRY(sts_domain)	 node;
	TAILQ_ENTRY(sts_domain)	 used;		/* the last asked for first */
	struct sts_cache	*c;
	struct group		*group;
	enum state		 state;
	TAILQ_HEAD(, sts_waiter) waiters;
	struct held		 held;		/* policy NULL: none is known */
	char			 id[LIM_STS_ID + 1];	/* that is fetched, or was last */
	uint64_t		 retry_ms;	/* that one is not fetched before */
	enum sts_failure	 failure;	/* of it */
	bool			 is_renewed;	/* it is fetched, whatever is known */
	char			 name[];
};
RB_HEAD(domains, sts_domain);
TAILQ_HEAD(used_list, sts_domain);

struct sts_cache {
	const struct sts_cache_ops *ops;
	void			*closure;
	struct domains		 domains;
	struct used_list	 used;
	struct groups		 groups;
	size_t			 n, octets;
	bool			 is_changed;
	struct log_bound	 unknown;
};

static int
domain_cmp(const struct sts_domain *a, const struct sts_domain *b)
{
	return strcmp(a->name, b->name);
}

RB_PROTOTYPE(domains, sts_domain, node, domain_cmp)
RB_GENERATE(domains, sts_domain, node, domain_cmp)

static int
group_cmp(const struct group *a, const struct group *b)
{
	return strcmp(a->name, b->name);
}

RB_PROTOTYPE(groups, group, node, group_cmp)
RB_GENERATE(groups, group, node, group_cmp)

/* --- memory --------------------------------------------------------------- */

static size_t
policy_octets(const struct sts_policy *p)
{
	return p == NULL ? 0 : offsetof(struct sts_policy, mx) + p->len;
}

/* With a group that it has alone. */
static size_t
domain_octets(const char *name)
{
	return sizeof(struct sts_domain) + sizeof(struct group) +
	    2 * (strlen(name) + 1 + OVERHEAD);
}

static struct group *
find_group(struct sts_cache *c, const char *name)
{
	struct group *g = RB_ROOT(&c->groups);
	int order;

	while (g != NULL && (order = strcmp(name, g->name)) != 0)
		g = order < 0 ? RB_LEFT(g, node) : RB_RIGHT(g, node);
	return g;
}

/* One domain more.  NULL: ENOMEM. */
static struct group *
group_get(struct sts_cache *c, const char *domain)
{
	const char *name = sts_group(domain);
	struct group *g = find_group(c, name);
	size_t len = strlen(name) + 1;

	if (g == NULL) {
		if ((g = calloc(1, sizeof(*g) + len)) == NULL)
			return NULL;
		memcpy(g->name, name, len);
		RB_INSERT(groups, &c->groups, g);
	}
	g->n++;
	return g;
}

static void
group_put(struct sts_cache *c, struct group *g)
{
	if (--g->n > 0)
		return;
	RB_REMOVE(groups, &c->groups, g);
	free(g);
}

static void
forget_policy(struct sts_domain *d)
{
	d->c->octets -= policy_octets(d->held.policy);
	free(d->held.policy);
	d->held.policy = NULL;
}

static void
domain_free(struct sts_domain *d)
{
	struct sts_cache *c = d->c;

	forget_policy(d);
	RB_REMOVE(domains, &c->domains, d);
	TAILQ_REMOVE(&c->used, d, used);
	group_put(c, d->group);
	c->n--;
	c->octets -= domain_octets(d->name);
	free(d);
}

static bool
is_idle(const struct sts_domain *d)
{
	return d->state == IDLE && TAILQ_EMPTY(&d->waiters);
}

/* Return whether there is room for so many more. */
static bool
has_room(const struct sts_cache *c, size_t domains, size_t octets)
{
	return c->n + domains <= LIM_STS_DOMAINS &&
	    c->octets + octets <= LIM_STS_OCTETS;
}

static bool
is_in_force(const struct sts_domain *d)
{
	return d->held.policy != NULL &&
	    d->c->ops->now_ms() < d->held.end_ms;
}

/* How good it is that ${d} makes room: who has more goes first. */
static uint64_t
rank(const struct sts_domain *d, bool is_for_octets, uint64_t now)
{
	bool is_enforced = d->held.policy != NULL && now < d->held.end_ms &&
	    d->held.policy->mode == STS_ENFORCE;
	bool is_long = is_for_octets && d->held.policy != NULL &&
	    d->held.policy->len > STS_USUAL_OCTETS;

	return (is_enforced ? 0 : 2ULL << 32) + (is_long ? 1ULL << 32 : 0) +
	    d->group->n;
}

/* Domains other than ${but} make room; see sts_cache.h.  Return whether there is
 * some. */
static bool
make_room(struct sts_cache *c, const struct sts_domain *but, size_t domains,
    size_t octets)
{
	struct sts_domain *d, *first;
	uint64_t now = c->ops->now_ms(), most, n;
	bool is_for_octets;

	while (!has_room(c, domains, octets)) {
		is_for_octets = c->n + domains <= LIM_STS_DOMAINS;
		first = NULL;
		most = 0;
		TAILQ_FOREACH_REVERSE(d, &c->used, used_list, used)
			if (d != but && is_idle(d) && (n = rank(d,
			    is_for_octets, now)) > most) {
				first = d;
				most = n;
			}
		if (first == NULL)
			return false;
		domain_free(first);
	}
	return true;
}

/* NULL: ENOMEM. */
static struct sts_domain *
domain_new(struct sts_cache *c, const char *name)
{
	size_t octets = domain_octets(name);
	struct sts_domain *d;

	if (!make_room(c, NULL, 1, octets) ||
	    (d = calloc(1, sizeof(*d) + strlen(name) + 1)) == NULL)
		return NULL;
	if ((d->group = group_get(c, name)) == NULL) {
		free(d);
		return NULL;
	}
	d->c = c;
	strlcpy(d->name, name, strlen(name) + 1);
	TAILQ_INIT(&d->waiters);
	RB_INSERT(domains, &c->domains, d);
	TAILQ_INSERT_HEAD(&c->used, d, used);
	c->n++;
	c->octets += octets;
	return d;
}

static struct sts_domain *
find(struct sts_cache *c, const char *name)
{
	struct sts_domain *d;
	int order;

	for (d = RB_ROOT(&c->domains); d != NULL; d = order < 0 ?
	    RB_LEFT(d, node) : RB_RIGHT(d, node))
		if ((order = strcmp(name, d->name)) == 0)
			return d;
	return NULL;
}

/* Hold a copy of ${p}.  Return 0, or -1: there is no memory, and what was known
 * before still is. */
static int
hold(struct sts_domain *d, const struct sts_policy *p, const char *id,
    uint64_t end_ms, uint64_t since_ms)
{
	struct sts_policy *copy;

	if (!make_room(d->c, d, 0, policy_octets(p)) ||
	    (copy = malloc(policy_octets(p))) == NULL)
		return -1;
	memcpy(copy, p, policy_octets(p));
	forget_policy(d);
	d->held = (struct held){ .policy = copy, .end_ms = end_ms,
		.since_ms = since_ms };
	strlcpy(d->held.id, id, sizeof(d->held.id));
	d->c->octets += policy_octets(copy);
	d->c->is_changed = true;
	return 0;
}

/* --- answers -------------------------------------------------------------- */

/* ${p} is what all that wait get. */
static void
answer_with(struct sts_domain *d, const struct sts_policy *p,
    enum sts_failure failure)
{
	struct sts_waiter *w;

	while ((w = TAILQ_FIRST(&d->waiters)) != NULL) {
		TAILQ_REMOVE(&d->waiters, w, link);
		w->domain = NULL;
		w->on_policy(w, p, failure);
	}
}

/* What is in force. */
static void
answer(struct sts_domain *d, enum sts_failure failure)
{
	static struct sts_policy whole;

	if (!is_in_force(d)) {
		answer_with(d, NULL, failure);
		return;
	}
	memset(&whole, 0, sizeof(whole));
	memcpy(&whole, d->held.policy, policy_octets(d->held.policy));
	answer_with(d, &whole, failure == STS_UNKNOWN ? STS_FETCHED : failure);
}

/* Nothing is known of it that should be kept. */
static bool
is_void(const struct sts_domain *d)
{
	return is_idle(d) && !is_in_force(d) &&
	    d->c->ops->now_ms() >= d->retry_ms;
}

/* --- fetching ------------------------------------------------------------- */

/* A policy is fetched for that record. */
static void
fetch(struct sts_domain *d, const char *id)
{
	strlcpy(d->id, id, sizeof(d->id));
	d->retry_ms = 0;		/* this one has not failed yet */
	d->state = FETCHING;
	if (d->c->ops->fetch(d->c->closure, d->name, d) == -1)
		sts_cache_unknown(d, "the policy cannot be asked for: out of "
		    "memory, or the authorities could not be read");
}

/* Nothing of it is known: what was before still is, and it is asked again. */
static void
take_unknown(struct sts_domain *d, const char *why)
{
	uint64_t n = log_bound_count(&d->c->unknown, d->c->ops->now_ms());

	d->state = IDLE;
	if (n > 0)
		log_warnx("sts-unknown", "domain=%s reason=%s effect=%s "
		    "times=%llu", d->name, why, is_in_force(d) ?
		    "the policy from before stays in force" :
		    "mail for it waits",
		    (unsigned long long)n);
	answer(d, STS_UNKNOWN);
}

void
sts_cache_unknown(struct sts_domain *d, const char *why)
{
	take_unknown(d, why);
	if (is_void(d))
		domain_free(d);
}

void
sts_cache_record(struct sts_domain *d, const char *id)
{
	uint64_t now = d->c->ops->now_ms();
	bool is_old, is_known;

	d->state = IDLE;
	if (id == NULL) {
		d->is_renewed = false;
		answer(d, STS_FETCHED);
		if (is_void(d))
			domain_free(d);
		return;
	}
	is_known = is_in_force(d) && strcmp(d->held.id, id) == 0;
	is_old = is_known && (d->is_renewed ||
	    now - d->held.since_ms >= STS_REFRESH_MS);
	/* the same one has failed, or has just been fetched */
	if (!d->is_renewed && now < d->retry_ms && strcmp(d->id, id) == 0) {
		answer(d, d->failure);
		return;
	}
	if (is_known)
		answer(d, STS_FETCHED);
	if (!is_known || is_old)
		fetch(d, id);
}

void
sts_cache_fetched(struct sts_domain *d, enum sts_failure failure,
    const char *why, const struct sts_policy *policy)
{
	uint64_t now = d->c->ops->now_ms(), age_ms;

	if (failure == STS_UNKNOWN) {
		sts_cache_unknown(d, why);
		return;
	}
	d->state = IDLE;
	d->is_renewed = false;
	if (failure == STS_FETCHED) {
		age_ms = MAX(policy->max_age_s * 1000ULL, STS_LEAST_MS);
		if (hold(d, policy, d->id, now + age_ms, now) == -1) {
			/* it holds for those that wait, and is fetched again */
			answer_with(d, policy, STS_FETCHED);
			sts_cache_unknown(d, "out of memory: the policy cannot "
			    "be kept");
			return;
		}
	}
	d->retry_ms = now + STS_RETRY_MS;
	d->failure = failure;
	if (failure == STS_FETCHED)
		log_event(LOG_LEVEL_INFO, "sts-policy", "domain=%s id=%s "
		    "mode=%s max_age=%u", d->name, d->id,
		    sts_mode_name(policy->mode), policy->max_age_s);
	else
		log_warnx("sts-failed", "domain=%s id=%s reason=%s effect=%s",
		    d->name, d->id, why, is_in_force(d) ?
		    "the policy from before stays in force" :
		    "as without a policy");
	answer(d, failure);
}

/* --- questions ------------------------------------------------------------ */

static void
ask(struct sts_domain *d)
{
	d->state = ASKING;
	if (d->c->ops->record(d->c->closure, d->name, d) == 0)
		return;
	if (errno == EINVAL)
		sts_cache_record(d, NULL);
	else
		sts_cache_unknown(d, "the TXT record cannot be asked for: out "
		    "of memory, or too many questions wait");
}

void
sts_cache_ask(struct sts_cache *c, const char *domain, struct sts_waiter *w)
{
	struct sts_domain *d = find(c, domain);

	if (d == NULL && (d = domain_new(c, domain)) == NULL) {
		w->domain = NULL;
		w->on_policy(w, NULL, STS_UNKNOWN);
		return;
	}
	TAILQ_REMOVE(&c->used, d, used);
	TAILQ_INSERT_HEAD(&c->used, d, used);
	w->domain = d;
	TAILQ_INSERT_TAIL(&d->waiters, w, link);
	if (d->state == IDLE)
		ask(d);
	else if (d->state == FETCHING && is_in_force(d) &&
	    strcmp(d->held.id, d->id) == 0)
		answer(d, STS_FETCHED);		/* it is fetched again */
}

void
sts_cache_leave(struct sts_waiter *w)
{
	if (w->domain == NULL)
		return;
	TAILQ_REMOVE(&w->domain->waiters, w, link);
	w->domain = NULL;
}

bool
sts_cache_is_wanted(const struct sts_domain *d)
{
	return d->is_renewed || !TAILQ_EMPTY(&d->waiters) || is_in_force(d);
}

void
sts_cache_pass(struct sts_cache *c)
{
	struct sts_domain *d, *next;
	uint64_t now = c->ops->now_ms();

	TAILQ_FOREACH_SAFE(d, &c->used, used, next) {
		if (d->held.policy != NULL && !is_in_force(d)) {
			forget_policy(d);
			c->is_changed = true;
		}
		if (is_void(d)) {
			domain_free(d);
			continue;
		}
		if (d->state == IDLE && is_in_force(d) &&
		    d->held.policy->mode != STS_NONE && now >= d->retry_ms &&
		    now - d->held.since_ms >= STS_REFRESH_MS)
			ask(d);
	}
}

/* --- what outlives the process ---------------------------------------------- */

void
sts_cache_keep(struct sts_cache *c, const struct sts_kept *kept)
{
	uint64_t now = c->ops->now_ms(), since = now - kept->age_ms;
	struct sts_domain *d = find(c, kept->domain);

	if (d == NULL) {
		if ((d = domain_new(c, kept->domain)) == NULL)
			return;
		TAILQ_REMOVE(&c->used, d, used);
		TAILQ_INSERT_TAIL(&c->used, d, used);
	}
	/* the clock may be younger than the policy */
	if (d->held.policy != NULL && now - d->held.since_ms <= kept->age_ms)
		return;
	(void)hold(d, kept->policy, kept->id, now + kept->left_ms, since);
}

void
sts_cache_each(struct sts_cache *c, void (*fn)(void *closure,
    const struct sts_kept *kept), void *closure)
{
	uint64_t now = c->ops->now_ms();
	struct sts_domain *d;
	struct sts_kept kept;

	TAILQ_FOREACH(d, &c->used, used) {
		if (!is_in_force(d))
			continue;
		kept = (struct sts_kept){ .domain = d->name,
			.id = d->held.id, .policy = d->held.policy,
			.left_ms = d->held.end_ms - now,
			.age_ms = now - d->held.since_ms };
		fn(closure, &kept);
	}
}

bool
sts_cache_is_changed(struct sts_cache *c)
{
	bool is_changed = c->is_changed;

	c->is_changed = false;
	return is_changed;
}

static void
see(const struct sts_domain *d, uint64_t now, struct sts_seen *seen_r)
{
	bool has_failed = d->failure != STS_FETCHED && now < d->retry_ms;

	*seen_r = (struct sts_seen){ .kept = { .domain = d->name },
		.failure = has_failed ? d->failure : STS_FETCHED,
		.failed_id = has_failed ? d->id : "",
		.retry_ms = has_failed ? d->retry_ms - now : 0,
		.is_asked = d->state != IDLE };
	if (!is_in_force(d))
		return;
	seen_r->kept.id = d->held.id;
	seen_r->kept.policy = d->held.policy;
	seen_r->kept.left_ms = d->held.end_ms - now;
	seen_r->kept.age_ms = now - d->held.since_ms;
}

void
sts_cache_look(struct sts_cache *c, void (*fn)(void *closure,
    const struct sts_seen *seen), void *closure)
{
	uint64_t now = c->ops->now_ms();
	const struct sts_domain *d;
	struct sts_seen seen;

	TAILQ_FOREACH(d, &c->used, used) {
		see(d, now, &seen);
		fn(closure, &seen);
	}
}

bool
sts_cache_see(struct sts_cache *c, const char *domain, struct sts_seen *seen_r)
{
	const struct sts_domain *d = find(c, domain);

	if (d != NULL)
		see(d, c->ops->now_ms(), seen_r);
	return d != NULL;
}

int
sts_cache_renew(struct sts_cache *c, const char *domain)
{
	struct sts_domain *d = find(c, domain);

	if (d == NULL && (d = domain_new(c, domain)) == NULL)
		return -1;
	/* one that is being fetched is as new as it can be */
	if (d->state == FETCHING)
		return 0;
	d->is_renewed = true;
	if (d->state == IDLE)
		ask(d);
	return 0;
}

size_t
sts_cache_domains(const struct sts_cache *c)
{
	return c->n;
}

struct sts_cache *
sts_cache_new(const struct sts_cache_ops *ops, void *closure)
{
	struct sts_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ops = ops;
	c->closure = closure;
	RB_INIT(&c->domains);
	TAILQ_INIT(&c->used);
	RB_INIT(&c->groups);
	return c;
}

void
sts_cache_free(struct sts_cache *c)
{
	struct sts_domain *d;
	struct sts_waiter *w;

	if (c == NULL)
		return;
	while ((d = TAILQ_FIRST(&c->used)) != NULL) {
		while ((w = TAILQ_FIRST(&d->waiters)) != NULL)
			sts_cache_leave(w);
		domain_free(d);
	}
	free(c);
}
