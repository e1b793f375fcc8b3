/* Next hops: which there are, what waits for each, how many connections each has.
 * Owns: the mails that wait, the states of connections, what is told of mails.
 * Knows nothing of how connections are opened (relay_hop_open.c) and of what they
 * ask (relay_hops.c). */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/monotonic.h"

static int
target_cmp(const struct relay_hop *a, const struct relay_hop *b)
{
	int order = strcmp(a->target, b->target);

	if (order != 0)
		return order;
	/* a table may have mail of one domain go by several sections */
	if (a->domain != b->domain)
		return a->domain < b->domain ? -1 : 1;
	return (int)a->kind - (int)b->kind;
}

RB_PROTOTYPE(relay_hop_tree, relay_hop, node, target_cmp)
RB_GENERATE(relay_hop_tree, relay_hop, node, target_cmp)

/* --- finding one ---------------------------------------------------------- */

static const char *
helo_of(const struct relay_hops *h, const struct settings_domain *d)
{
	return *d->helo != '\0' ? d->helo : h->env->settings->hostname;
}

/* The connections that this process has its share of */
static size_t
max_of(const struct relay_hops *h, const struct settings_domain *d)
{
	size_t max = (size_t)(d->max_connections /
	    h->env->settings->relayers);

	return max > 0 ? max : 1;
}

/* What bounds the connections to the target of ${target}, which goes by ${d}: that of
 * another next hop of it, if there is one, and of several sections the least counts.
 * NULL: ENOMEM. */
static struct relay_bound *
bound_of(struct relay_hops *h, const struct settings_domain *d,
    char *target)
{
	struct relay_hop key = { .target = target }, *hop;
	size_t max = max_of(h, d);

	if (settings_is_mx(d)) {
		hop = RB_NFIND(relay_hop_tree, &h->mx_tree, &key);
		while (hop != NULL && strcmp(hop->target, target) == 0 &&
		    hop->domain->same_way != d->same_way)
			hop = RB_NEXT(relay_hop_tree, &h->mx_tree, hop);
		if (hop != NULL && strcmp(hop->target, target) != 0)
			hop = NULL;
	} else
		TAILQ_FOREACH (hop, &h->list, link)
			if (hop->domain->same_way == d->same_way)
				break;
	if (hop == NULL)
		return relay_bound_target(max);
	if (max < hop->bound->max)
		hop->bound->max = hop->bound->limit = max;
	return hop->bound;
}

static struct relay_hop *
hop_new(struct relay_hops *h, const struct settings_domain *d,
    const char *target, enum relay_hop_kind kind)
{
	struct relay_hop *hop;

	if ((hop = calloc(1, sizeof(*hop))) == NULL)
		return NULL;
	if ((hop->target = strdup(target)) == NULL ||
	    (hop->bound = bound_of(h, d, hop->target)) == NULL) {
		free(hop->target);
		free(hop);
		return NULL;
	}
	hop->bound->nhops++;
	hop->h = h;
	hop->domain = d;
	hop->helo = helo_of(h, d);
	relay_way_open(&hop->way, &h->ways, d, settings_is_mx(d) ?
	    hop->target : NULL, hop);
	hop->kind = kind;
	hop->way.is_optional = kind == HOP_OPTIONAL;
	hop->way.is_untold = kind == HOP_OPTIONAL || kind == HOP_TLS_REPORT;
	TAILQ_INIT(&hop->waiting);
	TAILQ_INIT(&hop->conns);
	return hop;
}

void
relay_hop_want_none(struct relay_hop *hop)
{
	struct relay_bound *b = hop->wanted;

	if (b == NULL)
		return;
	hop->wanted = NULL;
	b->nwaiting--;
	relay_bound_put(&hop->h->bounds, b);
}

void
relay_hop_free(struct relay_hop *hop)
{
	struct relay_hops *h = hop->h;
	struct relay_mail *m;

	while ((m = relay_hop_take(hop, true)) != NULL)
		relay_hop_mail_end(h, m);
	if (hop->way.mx != NULL) {
		RB_REMOVE(relay_hop_tree, &h->mx_tree, hop);
		TAILQ_REMOVE(&h->mx_list, hop, link);
		h->nmx--;
	} else
		TAILQ_REMOVE(&h->list, hop, link);
	relay_hop_want_none(hop);
	hop->bound->nhops--;
	relay_bound_put(&h->bounds, hop->bound);
	relay_way_close(&hop->way);
	free(hop->target);
	free(hop);
}

/* Those of the Route of ${d}: all sections with one way there share them. */
static struct relay_hop *
find_route(struct relay_hops *h, const struct settings_domain *d,
    const char *target, enum relay_hop_kind kind)
{
	struct relay_hop *hop;

	TAILQ_FOREACH (hop, &h->list, link)
		if (hop->kind == kind && hop->domain->same_way == d->same_way)
			break;
	if (hop != NULL)
		(void)bound_of(h, d, hop->target);
	else if ((hop = hop_new(h, d, target, kind)) != NULL)
		TAILQ_INSERT_TAIL(&h->list, hop, link);
	return hop;
}

static struct relay_hop *
find_route_once(struct relay_hops *h, const struct settings_domain *d,
    const char *target)
{
	struct relay_hop **of = &h->of_domain[d - h->env->settings->domains];

	if (*of == NULL)
		*of = find_route(h, d, target, HOP_PLAIN);
	return *of;
}

/* Those of domains without mail need not be remembered, unless their mail is about to
 * come. */
static void
make_room(struct relay_hops *h)
{
	uint64_t now = h->nmx < RELAY_HOPS_KEPT ? 0 : monotonic_ms();
	struct relay_hop *hop, *next;

	TAILQ_FOREACH_SAFE (hop, &h->mx_list, link, next) {
		if (h->nmx < RELAY_HOPS_KEPT)
			return;
		if (hop->nwaiting == 0 && hop->nconns == 0 &&
		    (h->nmx >= RELAY_HOPS_MAX ||
		    !relay_hop_has_turn(hop, now)))
			relay_hop_free(hop);
	}
}

/* Those of the MX records of ${target}, for mail that goes by ${d}. */
static struct relay_hop *
find_mx(struct relay_hops *h, const struct settings_domain *d, char *target,
    enum relay_hop_kind kind)
{
	struct relay_hop key = { .target = target, .domain = d,
		.kind = kind };
	struct relay_hop *hop = RB_FIND(relay_hop_tree, &h->mx_tree, &key);

	if (hop != NULL)
		TAILQ_REMOVE(&h->mx_list, hop, link);
	else {
		/* the others are found inside of callbacks; of each kind there
		 * are no more than of these two */
		if (kind == HOP_PLAIN || kind == HOP_TLS_REPORT)
			make_room(h);
		if ((hop = hop_new(h, d, target, kind)) == NULL)
			return NULL;
		RB_INSERT(relay_hop_tree, &h->mx_tree, hop);
		h->nmx++;
	}
	TAILQ_INSERT_TAIL(&h->mx_list, hop, link);
	return hop;
}

/* A report of TLS has connections of its own where connections are told of: on one
 * with other mail nobody could say whose it is. */
struct relay_hop *
relay_hop_find(struct relay_hops *h, struct route *route, bool is_tls_report)
{
	if (!settings_is_mx(route->domain))
		return find_route_once(h, route->domain, route->target);
	return find_mx(h, route->domain, route->target,
	    is_tls_report && h->env->tell != NULL ? HOP_TLS_REPORT :
	    HOP_PLAIN);
}

struct relay_hop *
relay_hop_of_kind(struct relay_hop *hop, enum relay_hop_kind kind)
{
	struct relay_hops *h = hop->h;

	return hop->way.mx != NULL ?
	    find_mx(h, hop->domain, hop->target, kind) :
	    find_route(h, hop->domain, hop->target, kind);
}

/* --- mails ---------------------------------------------------------------- */

void
relay_hop_put(struct relay_hop *hop, struct relay_mail *m, bool is_first)
{
	if (hop->nwaiting++ == 0) {
		TAILQ_INSERT_TAIL(&hop->h->wanting, hop, wanting);
		/* what is known of addresses from then on counts for this one */
		if (hop->count[CONN_OPENING] == 0)
			relay_way_begin(&hop->way);
	}
	if (is_first)
		TAILQ_INSERT_HEAD(&hop->waiting, m, link);
	else
		TAILQ_INSERT_TAIL(&hop->waiting, m, link);
	hop->nfor_new += m->is_for_new;
	hop->h->nmails++;
	hop->h->njobs += m->njobs;
}

void
relay_hop_remove(struct relay_hop *hop, struct relay_mail *m)
{
	TAILQ_REMOVE(&hop->waiting, m, link);
	hop->nfor_new -= m->is_for_new;
	if (--hop->nwaiting == 0) {
		TAILQ_REMOVE(&hop->h->wanting, hop, wanting);
		relay_hop_want_none(hop);
	}
}

struct relay_mail *
relay_hop_take(struct relay_hop *hop, bool is_new)
{
	struct relay_mail *m = TAILQ_FIRST(&hop->waiting);

	while (m != NULL && m->is_for_new && !is_new)
		m = TAILQ_NEXT(m, link);
	if (m != NULL)
		relay_hop_remove(hop, m);
	return m;
}

void
relay_hop_mail_end(struct relay_hops *h, struct relay_mail *m)
{
	h->nmails--;
	h->njobs -= m->njobs;
	relay_mail_free(m);
}

int
relay_hop_add(struct relay_hop *hop, const struct job *job, uint64_t batch)
{
	struct relay_mail *m = TAILQ_LAST(&hop->waiting, relay_mails);

	if (m != NULL && relay_mail_is_of(m, job, batch)) {
		if (relay_mail_add(m, job) == -1)
			return -1;
		hop->h->njobs++;
		return 0;
	}
	if ((m = relay_mail_new(job, batch)) == NULL)
		return -1;
	relay_hop_put(hop, m, false);
	return 0;
}

/* --- what is told of them ------------------------------------------------- */

void
relay_hop_tell_error(struct relay_hops *h, const struct job_error *je)
{
	if (!h->is_ending)
		h->ops->error(h->closure, je);
}

void
relay_hop_tell_done(struct relay_hops *h, const struct job_result *results,
    size_t n)
{
	if (!h->is_ending && n > 0)
		h->ops->done(h->closure, results, (unsigned int)n);
}

void
relay_hop_fail_mail(struct relay_hops *h, struct relay_mail *m,
    const struct job_error *why, int errnum, uint32_t flags)
{
	struct job_error je = *why;
	/* 0 would be a delivery */
	struct job_result jr = { .errnum = errnum != 0 ? errnum : EIO,
		.flags = flags };
	size_t i;

	for (i = 0; i < m->njobs; i++) {
		je.job = jr.job = m->jobs[i].job;
		relay_hop_tell_error(h, &je);
		relay_hop_tell_done(h, &jr, 1);
	}
	relay_hop_mail_end(h, m);
}

void
relay_hop_give_back(struct relay_hops *h, struct relay_mail *m,
    uint32_t flags)
{
	struct job_result jr = { .flags = flags,
		.errnum = flags != 0 ? EAGAIN : ESTALE };
	size_t i;

	/* the last first: the queue puts each in front of the others */
	for (i = m->njobs; i > 0; i--) {
		jr.job = m->jobs[i - 1].job;
		relay_hop_tell_done(h, &jr, 1);
	}
	relay_hop_mail_end(h, m);
}

/* Does the sender of ${m} say that TLS is not required? */
static bool
is_tls_optional(struct relay_hops *h, struct relay_mail *m)
{
	bool is_optional;

	if (relay_mail_load(m, h->sources, NULL) == -1)
		return false;
	is_optional = (m->env.flags & SPOOL_ENV_TLS_OPTIONAL) != 0;
	relay_mail_unload(m);
	return is_optional;
}

/* Have ${m}, which waits no more, wait for the same next hop without what others
 * demand of it.  Return whether it does. */
static bool
relent(struct relay_hop *hop, struct relay_mail *m)
{
	struct relay_hops *h = hop->h;
	struct relay_hop *other;

	if ((hop->kind != HOP_PLAIN && hop->kind != HOP_TLS_REPORT) ||
	    !hop->way.has_demand || !is_tls_optional(h, m) ||
	    (other = relay_hop_of_kind(hop, HOP_OPTIONAL)) == NULL)
		return false;
	h->nmails--;		/* it is counted once more, with its jobs */
	h->njobs -= m->njobs;
	/* back in the queue it would come to ${hop} again, when it is the turn of
	 * ${other} */
	m->had_turn = hop->way.ntried > 0;
	relay_hop_put(other, m, false);
	return true;
}

bool
relay_hop_fail_waiting(struct relay_hop *hop)
{
	const struct job_error *why = &hop->way.why;
	struct relay_mail *m;
	bool has_relented = false;

	if (hop->nwaiting > 0)
		log_event(LOG_LEVEL_INFO, "next-hop", "target=%s waiting=%zu "
		    "remote=%s code=%u reason=%s", hop->target, hop->nwaiting,
		    why->remote, why->code, why->text);
	while ((m = relay_hop_take(hop, true)) != NULL)
		if (relent(hop, m))
			has_relented = true;
		else
			relay_hop_fail_mail(hop->h, m, why, hop->way.errnum,
			    hop->way.flags);
	return has_relented;
}

/* --- connections ---------------------------------------------------------- */

void
relay_hop_set_state(struct relay_hop *hop, struct relay_conn *conn,
    enum relay_conn_state state)
{
	struct relay_hops *h = hop->h;
	uint64_t now = monotonic_ms();

	if (conn->state == state)
		return;
	if (conn->state == CONN_IDLE)
		TAILQ_REMOVE(&h->idle, conn, idle);
	hop->count[conn->state]--;
	relay_bounds_move(conn->bounds, conn->state, state, now);
	conn->state = state;
	conn->since_ms = now;
	hop->count[state]++;
	h->nleaving += state == CONN_LEAVING;
	TAILQ_REMOVE(&hop->conns, conn, link);
	if (state == CONN_IDLE) {
		TAILQ_INSERT_TAIL(&h->idle, conn, idle);
		TAILQ_INSERT_HEAD(&hop->conns, conn, link);
	} else
		TAILQ_INSERT_TAIL(&hop->conns, conn, link);
}

size_t
relay_hop_nready(const struct relay_hop *hop)
{
	return hop->count[CONN_IDLE] + hop->count[CONN_WOKEN] +
	    hop->count[CONN_BUSY];
}

void
relay_hop_gave_way(struct relay_hop *hop)
{
	if (hop->nwaiting == 0)
		return;
	TAILQ_REMOVE(&hop->h->wanting, hop, wanting);
	TAILQ_INSERT_TAIL(&hop->h->wanting, hop, wanting);
}
