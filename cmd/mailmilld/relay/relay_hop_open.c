/* Opening connections to next hops: when there is one more, and to which address.
 * Owns: how long a next hop does without TLS, how many connections its server
 * takes, which connections are tried beside each other.
 *
 * A next hop that has no connection yet gets one; the others follow when that one
 * has asked for a message.  If none can be had, all that waits for it fails with
 * the same words: the queue decides when to try again.  Where all next hops have
 * as many connections as there may be, one that has none is the next to get one.
 * A connection that says QUIT counts until its server answers; but mail that waits
 * for its place does so for LEAVE_MS at most.
 *
 * An address that does not answer is no reason to wait for long, if there are
 * others of the same rank (RFC 8305 5, for a host with addresses of two families):
 * they are tried beside it, one after the other, and the first that is connected
 * to ends the others. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <sys/param.h>

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define AGAIN_MS	100	/* where there is no room for a connection */
#define LEAVE_MS	5000	/* for the reply to QUIT, while mail waits for the place */
#define CLEAR_MS	600000	/* a server whose handshakes fail is not asked for TLS */
#define LIMIT_MS	60000	/* and a server that took no more connections is not asked for more */

/* --- what has failed ------------------------------------------------------ */

bool
relay_hop_without_tls(struct relay_hop *hop, uint64_t place,
    enum relay_level level, const struct job_error *why)
{
	if (level != RELAY_MAY)
		return false;
	/* other mail goes there without: the target is not at fault */
	if (hop->kind == HOP_KEEPS_TLS) {
		relay_way_lacks(&hop->way, place, why, false);
		return false;
	}
	hop->clear_ms = monotonic_ms() + CLEAR_MS;
	log_event(LOG_LEVEL_INFO, "next-hop-clear", "target=%s remote=%s "
	    "reason=%s", hop->target, why->remote, why->text);
	return true;
}

/* --- opening one ---------------------------------------------------------- */

/* Does mail wait for a place: for one of those to ${hop}, or for one of all that
 * there may be? */
static bool
lacks_room(const struct relay_hop *hop)
{
	const struct relay_hops *h = hop->h;

	return (hop->nwaiting > 0 && (hop->wanted != NULL ||
	    hop->bound->nconns >= hop->bound->limit)) ||
	    (!TAILQ_EMPTY(&h->wanting) && h->nconns >= h->env->max);
}

/* One that keeps the place of another for too long, or NULL */
static struct relay_conn *
late_of(const struct relay_hop_list *list)
{
	uint64_t now = monotonic_ms();
	struct relay_conn *conn;
	struct relay_hop *hop;

	TAILQ_FOREACH (hop, list, link) {
		if (hop->count[CONN_LEAVING] == 0)
			continue;
		TAILQ_FOREACH (conn, &hop->conns, link)
			if (conn->state == CONN_LEAVING &&
			    now - conn->since_ms >= LEAVE_MS &&
			    (lacks_room(hop) ||
			    relay_bounds_are_waited_for(conn->bounds)))
				return conn;
	}
	return NULL;
}

/* The same, of all. */
static struct relay_conn *
find_late(const struct relay_hops *h)
{
	struct relay_conn *conn = late_of(&h->list);

	return conn != NULL ? conn : late_of(&h->mx_list);
}

static void
on_timer(void *closure)
{
	struct relay_hops *h = closure;
	struct relay_conn *conn;

	h->timer = NULL;
	/* the end of each leads to relay_hops_go() */
	while ((conn = find_late(h)) != NULL)
		relay_conn_kill(conn);
	relay_hops_go(h);
}

/* Neither the next hop nor its address is at fault: this process, the system, or
 * the backlog of a Unix socket is full. */
static bool
is_no_room(int errnum)
{
	return errnum == EAGAIN || errnum == EMFILE || errnum == ENFILE ||
	    errnum == ENOBUFS || errnum == ENOMEM;
}

/* Try again soon, but not for ever.  Return false: it has been too long. */
static bool
put_off(struct relay_hop *hop)
{
	struct relay_hops *h = hop->h;
	uint64_t now = monotonic_ms();

	if (hop->since_ms == 0)
		hop->since_ms = now;
	if (relay_hop_nready(hop) == 0 &&
	    now - hop->since_ms >= RELAY_CONNECT_SECONDS * 1000)
		return false;
	if (h->timer == NULL)
		h->timer = after_ms(AGAIN_MS, on_timer, h);
	return h->timer != NULL || hop->nconns > 0;
}

/* No address takes one more connection. */
static void
all_failed(struct relay_hop *hop)
{
	struct relay_bound *b = hop->bound;

	/* those that there are are served, and there may be no more */
	if (relay_hop_nready(hop) > 0) {
		b->limit = b->count[CONN_IDLE] + b->count[CONN_WOKEN] +
		    b->count[CONN_BUSY];
		b->limit_ms = monotonic_ms() + LIMIT_MS;
	} else if (relay_hop_fail_waiting(hop) && hop->h->timer == NULL)
		hop->h->timer = after_ms(0, on_timer, hop->h);
	relay_way_begin(&hop->way);
}

/* Whom to connect to, but for the text of the address. */
static struct relay_conn_target
target_of(const struct relay_hop *hop, const struct relay_place *place)
{
	static const enum smtp_tls_use uses[] = {
		[RELAY_NEVER] = SMTP_TLS_NEVER,
		[RELAY_MAY] = SMTP_TLS_MAY,
		[RELAY_ENCRYPT] = SMTP_TLS_MUST,
		[RELAY_VERIFY] = SMTP_TLS_MUST,
		[RELAY_DANE] = SMTP_TLS_MUST,
		[RELAY_SKIP] = SMTP_TLS_MUST	/* such a place is not there */
	};
	const struct settings_domain *d = hop->domain;
	enum relay_level level = place->policy->level;
	bool is_clear = level == RELAY_NEVER || (level == RELAY_MAY &&
	    monotonic_ms() < hop->clear_ms);

	return (struct relay_conn_target){
		.addr = &place->addr,
		.policy = place->policy,
		.options = {
			.helo = hop->helo,
			.is_lmtp = d->delivery == DELIVERY_LMTP,
			.may_convert = d->mime_conversion,
			.tls = is_clear ? SMTP_TLS_NEVER : uses[level],
			.login = *d->login == '\0' ? SMTP_LOGIN_NEVER :
			    SMTP_LOGIN_MUST,
			.idle_seconds = RELAY_IDLE_SECONDS
		},
		.tls = is_clear ? NULL : relay_tls_find(hop->h->env->tls, d),
		.is_blind = !is_clear && relay_tls_is_blind(hop->h->env->tls,
		    d),
		.logins = hop->h->env->logins,
		.domain = (size_t)(d - hop->h->env->settings->domains),
		.value = place->route,
		.nrefused = place->nrefused
	};
}

/* What is told of a connection there; NULL: nothing.  Where it is not even tried
 * to have TLS, what the domain has published is not looked at. */
static struct relay_told *
told_of(const struct relay_hop *hop, const struct relay_place *place,
    const struct relay_conn_target *target)
{
	const struct relay_way *w = &hop->way;

	if (hop->h->env->tell == NULL || w->mx == NULL || w->is_untold ||
	    target->tls == NULL)
		return NULL;
	return relay_told_new(place->policy, w->mx, w->sts, place->addr.name,
	    &place->addr.ip.sa);
}

/* What tells this address from all others, with the name that has led to it. */
static void
put_route(const struct route_addr *addr, char *buf, size_t len)
{
	char text[ADDR_PORT_TEXT];

	if (addr->kind == ROUTE_UNIX)
		snprintf(buf, len, "unix:%s", addr->un.sun_path);
	else
		snprintf(buf, len, "%s%s%s", addr_port_text(&addr->ip.sa,
		    text), *addr->name != '\0' ? " of " : "", addr->name);
}

/* Whom a connection to ${place} counts for.  Return 0, or -1 (ENOMEM). */
static int
get_bounds(struct relay_hop *hop, const struct relay_place *place,
    struct relay_bound *v[NBOUNDS])
{
	struct relay_bounds *t = &hop->h->bounds;
	union addr source;
	bool has_source = relay_hop_source(hop, place, &source);

	v[BOUND_TARGET] = hop->bound;
	v[BOUND_HOST] = hop->way.mx == NULL ? NULL :
	    relay_bound_get(t, BOUND_HOST, &place->addr.ip);
	v[BOUND_SOURCE] = !has_source ? NULL :
	    relay_bound_get(t, BOUND_SOURCE, &source);
	if ((hop->way.mx == NULL || v[BOUND_HOST] != NULL) &&
	    (!has_source || v[BOUND_SOURCE] != NULL))
		return 0;
	relay_bounds_put(t, v);
	errno = ENOMEM;
	return -1;
}

/* Return 0, or -1 with errno. */
static int
open_at(struct relay_hop *hop, const struct relay_place *place)
{
	struct relay_conn_target target = target_of(hop, place);
	char route[ADDR_PORT_TEXT + LIM_DOMAIN + 8];
	struct relay_bound *bounds[NBOUNDS];
	struct relay_conn *conn;
	int saved;

	if (place->addr.kind == ROUTE_IP)
		(void)settings_source(hop->domain, place->addr.ip.sa.sa_family,
		    &target.source);
	put_route(&place->addr, route, sizeof(route));
	target.route = route;
	if (get_bounds(hop, place, bounds) == -1)
		return -1;
	target.told = told_of(hop, place, &target);
	conn = relay_conn_open(&target, hop->h->conn_ops, hop);
	if (conn == NULL) {
		saved = errno;
		relay_bounds_put(&hop->h->bounds, bounds);
		errno = saved;
		return -1;
	}
	relay_bounds_begin(bounds, monotonic_ms());
	relay_hop_want_none(hop);
	memcpy(conn->bounds, bounds, sizeof(bounds));
	hop->since_ms = 0;
	conn->place = place->number;
	relay_way_use(&hop->way, conn->place);
	conn->state = CONN_OPENING;
	conn->since_ms = monotonic_ms();
	/* also of a host that has no TLSA records, and may have some soon */
	conn->end_ms = hop->way.mx != NULL || *place->addr.name != '\0' ?
	    conn->since_ms + RELAY_CONN_MS : UINT64_MAX;
	TAILQ_INSERT_TAIL(&hop->conns, conn, link);
	hop->count[CONN_OPENING]++;
	hop->nconns++;
	hop->h->nconns++;
	return 0;
}

static void
note_failure(struct relay_hop *hop, const struct relay_place *place,
    int errnum)
{
	char remote[JOB_REMOTE], words[JOB_TEXT];
	struct job_error why;

	relay_said_remote(&place->addr, remote);
	if (errnum == ENOTSUP && place->policy->level == RELAY_DANE)
		snprintf(words, sizeof(words), "none of its TLSA records can "
		    "be used, and TLS = dane-only demands one");
	else	/* bind(2) alone says so */
		snprintf(words, sizeof(words), "%s%s",
		    errnum == EADDRNOTAVAIL && hop->domain->source.n > 0 ?
		    "Source: " : "", strerror(errnum));
	relay_said_failure(errnum, words, remote, &why);
	relay_way_failed(&hop->way, place->number, &why, errnum);
}

/* ${place}, and those of its rank, have as many connections as there may be.
 * Return whether to wait: else it has failed. */
static bool
wait_for_room(struct relay_hop *hop, const struct relay_place *place)
{
	struct job_error why;

	/* those that there are take its mail */
	if (hop->nconns > 0)
		return true;
	if (relay_hop_want_place(hop, place) &&
	    (hop->wanted->kind != BOUND_HOST || put_off(hop)))
		return true;
	relay_hop_is_crowded(hop, place, &why);
	relay_way_failed(&hop->way, place->number, &why, EAGAIN);
	return false;
}

/* Return whether there is one connection more. */
static bool
open_one(struct relay_hop *hop)
{
	const struct relay_place *place, *with_room;
	enum relay_way_state state;

	while ((state = relay_way_find(&hop->way, &place)) ==
	    RELAY_WAY_PLACE) {
		with_room = relay_hop_with_room(hop, place, false);
		if (with_room == NULL) {
			/* time goes on: if one may have it now, it is found */
			if (relay_hop_wait(hop, place) ||
			    (relay_hop_is_full(hop, place) &&
			    wait_for_room(hop, place)))
				return false;
			continue;
		}
		if (open_at(hop, with_room) == 0)
			return true;
		if (is_no_room(errno) && put_off(hop))
			return false;
		note_failure(hop, with_room, errno);
	}
	/* one that is still being opened may be good */
	if (state == RELAY_WAY_END && (hop->count[CONN_OPENING] == 0 ||
	    relay_hop_nready(hop) > 0)) {
		hop->since_ms = 0;
		relay_hop_want_none(hop);
		all_failed(hop);
	}
	return false;
}

/* --- beside each other ---------------------------------------------------- */

static bool
is_opening(const struct relay_hop *hop, uint64_t place)
{
	const struct relay_conn *conn;

	TAILQ_FOREACH (conn, &hop->conns, link)
		if (conn->state == CONN_OPENING && conn->place == place)
			return true;
	return false;
}

void
relay_hop_late(struct relay_hop *hop, struct relay_conn *conn)
{
	const struct relay_place *place;
	struct relay_hops *h = hop->h;

	/* where there are connections, nothing waits for this one alone */
	if (h->is_draining || h->is_ending || hop->nwaiting == 0 ||
	    relay_hop_nready(hop) > 0)
		return;
	while (hop->bound->nconns < hop->bound->max &&
	    h->nconns < h->env->max &&
	    (place = relay_hop_with_room(hop, relay_way_beside(&hop->way,
	    conn->place), true)) != NULL && !is_opening(hop, place->number)) {
		if (open_at(hop, place) == 0 || is_no_room(errno))
			return;
		note_failure(hop, place, errno);
	}
}

/* One that is beside ${conn}: to another address. */
static struct relay_conn *
beside(const struct relay_hop *hop, const struct relay_conn *conn)
{
	struct relay_conn *other;

	TAILQ_FOREACH (other, &hop->conns, link)
		if (other->state == CONN_OPENING && !other->is_connected &&
		    other->place != conn->place)
			return other;
	return NULL;
}

void
relay_hop_connected(struct relay_hop *hop, struct relay_conn *conn)
{
	struct relay_conn *other;

	while ((other = beside(hop, conn)) != NULL) {
		if (other->is_late)
			relay_way_late(&hop->way, other->place);
		other->is_beaten = true;
		relay_conn_kill(other);
	}
}

void
relay_hop_unopened(struct relay_hop *hop, uint64_t place,
    const struct job_error *why, int errnum)
{
	struct relay_conn *conn;

	relay_way_failed(&hop->way, place, why, errnum);
	/* those that it was beside */
	TAILQ_FOREACH (conn, &hop->conns, link)
		if (conn->state == CONN_OPENING && conn->is_late &&
		    !conn->is_connected) {
			relay_hop_late(hop, conn);
			break;
		}
}

/* --- when there is something to send -------------------------------------- */

void
relay_hop_leave(struct relay_hop *hop, struct relay_conn *conn)
{
	relay_hop_set_state(hop, conn, CONN_LEAVING);
	relay_conn_wake(conn);
}

/* Is there mail for one more connection? */
static bool
needs_one(const struct relay_hop *hop)
{
	size_t n = hop->nwaiting - hop->nfor_new;

	n -= MIN(n, hop->count[CONN_WOKEN]);
	if (hop->nfor_new + n <= hop->count[CONN_OPENING])
		return false;
	/* one that shows whether it can be had */
	return relay_hop_nready(hop) > 0 || hop->count[CONN_OPENING] == 0;
}

/* One that is idle and may have mail; NULL: none */
static struct relay_conn *
idle_of(const struct relay_hop *hop)
{
	size_t npending = hop->count[CONN_OPENING] + hop->count[CONN_WOKEN];
	struct relay_conn *conn;

	TAILQ_FOREACH (conn, &hop->conns, link) {
		if (conn->state != CONN_IDLE)
			return NULL;
		if (relay_hop_may_send(hop, conn->bounds[BOUND_HOST],
		    npending))
			return conn;
	}
	return NULL;
}

void
relay_hop_go(struct relay_hop *hop)
{
	struct relay_hops *h = hop->h;
	struct relay_conn *conn;

	while (hop->nwaiting - hop->nfor_new > hop->count[CONN_WOKEN] &&
	    (conn = idle_of(hop)) != NULL) {
		relay_hop_set_state(hop, conn, CONN_WOKEN);
		relay_conn_wake(conn);
	}
	while (needs_one(hop)) {
		if (!relay_hop_has_room(hop)) {
			/* those for mail with other needs make room */
			if (hop->nconns == 0)
				relay_hop_want(hop, hop->bound);
			break;
		}
		if (h->nconns >= h->env->max) {
			/* its end leads here again */
			if ((conn = TAILQ_FIRST(&h->idle)) != NULL)
				relay_hop_leave(conn->closure, conn);
			break;
		}
		if (!open_one(hop))
			break;
	}
	if (h->nleaving > 0 && h->timer == NULL && lacks_room(hop))
		h->timer = after_ms(AGAIN_MS, on_timer, h);
}

void
relay_hops_go(struct relay_hops *h)
{
	struct relay_hop *hop, *next;

	if (h->is_draining || h->is_ending)
		return;
	/* where there is little room, it is for those that have no connection */
	TAILQ_FOREACH_SAFE (hop, &h->wanting, wanting, next)
		if (hop->nconns == 0)
			relay_hop_go(hop);
	TAILQ_FOREACH_SAFE (hop, &h->wanting, wanting, next)
		relay_hop_go(hop);
	relay_hops_watch(h);
}

void
relay_hop_found(void *closure)
{
	struct relay_hop *hop = closure;
	struct relay_hops *h = hop->h;

	if (!h->is_draining && !h->is_ending)
		relay_hop_go(hop);
	if (h->ways.is_short || h->ways.is_sts_short) {
		h->ways.is_short = h->ways.is_sts_short = false;
		relay_hops_go(h);
	}
}
