/* Opening connections to next hops: when there is one more, and to which address.
 * Owns: the addresses that have failed, how long a next hop does without TLS, how
 * many connections its server takes.
 *
 * A next hop that has no connection yet gets one; the others follow when that one
 * has asked for a message.  If none can be had, all that waits for it fails with
 * the same words: the queue decides when to try again.  Where all next hops have
 * as many connections as there may be, one that has none is the next to get one.
 * A connection that says QUIT counts until its server answers; but mail that waits
 * for its place does so for LEAVE_MS at most. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <sys/param.h>

#include <errno.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define AGAIN_MS	100	/* where there is no room for a connection */
#define LEAVE_MS	5000	/* for the reply to QUIT, while mail waits for the place */
#define FIRST_MS	60000	/* an address that has failed is not tried before, while others are there */
#define CLEAR_MS	600000	/* a server whose handshakes fail is not asked for TLS */
#define LIMIT_MS	60000	/* and a server that took no more connections is not asked for more */

/* --- what has failed ------------------------------------------------------ */

/* An address has failed: is there another one?  The first is asked again later,
 * or when all others have failed. */
static bool
next_address(struct relay_hop *hop)
{
	if (++hop->nfailed < hop->naddrs) {
		hop->current = (hop->current + 1) % hop->naddrs;
		hop->first_ms = monotonic_ms() + FIRST_MS;
		return true;
	}
	hop->nfailed = 0;
	hop->current = 0;
	return false;
}

bool
relay_hop_without_tls(struct relay_hop *hop, const struct job_error *why)
{
	if (hop->domain->tls_level != SETTINGS_TLS_MAY)
		return false;
	hop->clear_ms = monotonic_ms() + CLEAR_MS;
	log_event(LOG_LEVEL_INFO, "next-hop-clear", "target=%s remote=%s "
	    "reason=%s", hop->target, why->remote, why->text);
	return true;
}

/* No address takes one more connection. */
static void
all_failed(struct relay_hop *hop, const struct job_error *why, int errnum)
{
	/* those that there are are served, and there may be no more */
	if (relay_hop_nready(hop) > 0) {
		hop->limit = relay_hop_nready(hop);
		hop->limit_ms = monotonic_ms() + LIMIT_MS;
	} else
		relay_hop_fail_waiting(hop, why, errnum);
}

void
relay_hop_unopened(struct relay_hop *hop, size_t addr,
    const struct job_error *why, int errnum)
{
	if (addr == hop->current && !next_address(hop))
		all_failed(hop, why, errnum);
}

/* --- opening one ---------------------------------------------------------- */

/* Does mail wait for a place: for one of those to ${hop}, or for one of all that
 * there may be? */
static bool
lacks_room(const struct relay_hop *hop)
{
	const struct relay_hops *h = hop->h;

	return (hop->nwaiting > 0 && hop->nconns >= hop->limit) ||
	    (!TAILQ_EMPTY(&h->wanting) && h->nconns >= h->max);
}

/* One that keeps the place of another for too long, or NULL */
static struct relay_conn *
find_late(const struct relay_hops *h)
{
	uint64_t now = monotonic_ms();
	struct relay_conn *conn;
	struct relay_hop *hop;

	TAILQ_FOREACH (hop, &h->list, link) {
		if (hop->count[CONN_LEAVING] == 0 || !lacks_room(hop))
			continue;
		TAILQ_FOREACH (conn, &hop->conns, link)
			if (conn->state == CONN_LEAVING &&
			    now - conn->left_ms >= LEAVE_MS)
				return conn;
	}
	return NULL;
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

/* Whom to connect to, but for the address. */
static struct relay_conn_target
target_of(const struct relay_hop *hop)
{
	static const enum smtp_tls_use uses[] = {
		[SETTINGS_TLS_MAY] = SMTP_TLS_MAY,
		[SETTINGS_TLS_NONE] = SMTP_TLS_NEVER,
		[SETTINGS_TLS_ENCRYPT] = SMTP_TLS_MUST,
		[SETTINGS_TLS_VERIFY] = SMTP_TLS_MUST
	};
	const struct settings_domain *d = hop->domain;
	bool is_clear = d->tls_level == SETTINGS_TLS_NONE ||
	    (d->tls_level == SETTINGS_TLS_MAY &&
	    monotonic_ms() < hop->clear_ms);

	return (struct relay_conn_target){
		.options = {
			.helo = hop->helo,
			.is_lmtp = d->delivery == DELIVERY_LMTP,
			.tls = is_clear ? SMTP_TLS_NEVER : uses[d->tls_level],
			.login = SMTP_LOGIN_NEVER,
			.idle_seconds = RELAY_IDLE_SECONDS
		},
		.tls = is_clear ? NULL : relay_tls_find(hop->h->tls, d),
		.tls_name = d->tls_name,
		.must_verify = d->tls_level == SETTINGS_TLS_VERIFY
	};
}

/* Return whether there is one connection more. */
static bool
open_one(struct relay_hop *hop)
{
	struct relay_conn_target target = target_of(hop);
	struct relay_hops *h = hop->h;
	char remote[JOB_REMOTE];
	struct relay_conn *conn;
	struct job_error why;
	int errnum;

	if (hop->current != 0 && monotonic_ms() >= hop->first_ms) {
		hop->current = 0;
		hop->nfailed = 0;
	}
	do {
		target.addr = &hop->addrs[hop->current];
		target.route = hop->domain->route.v[hop->current];
		conn = relay_conn_open(&target, hop->h->conn_ops, hop);
		if (conn != NULL)
			goto opened;
		errnum = errno;
		if (is_no_room(errnum) && put_off(hop))
			return false;
		relay_said_remote(&hop->addrs[hop->current], remote);
	} while (next_address(hop));
	relay_said_failure(errnum, NULL, remote, &why);
	hop->since_ms = 0;
	all_failed(hop, &why, errnum);
	return false;
opened:
	hop->since_ms = 0;
	conn->hop_addr = hop->current;
	conn->state = CONN_OPENING;
	TAILQ_INSERT_TAIL(&hop->conns, conn, link);
	hop->count[CONN_OPENING]++;
	hop->nconns++;
	h->nconns++;
	return true;
}

/* --- when there is something to send -------------------------------------- */

void
relay_hop_leave(struct relay_hop *hop, struct relay_conn *conn)
{
	relay_hop_set_state(hop, conn, CONN_LEAVING);
	relay_conn_wake(conn);
}

static bool
may_open(struct relay_hop *hop)
{
	size_t n = hop->nwaiting - hop->nfor_new;

	n -= MIN(n, hop->count[CONN_WOKEN]);
	if (hop->nfor_new + n <= hop->count[CONN_OPENING])
		return false;
	/* one that shows whether it can be had */
	if (relay_hop_nready(hop) == 0 && hop->count[CONN_OPENING] > 0)
		return false;
	if (hop->nconns == 0 || monotonic_ms() >= hop->limit_ms)
		hop->limit = hop->max;
	return hop->nconns < hop->limit;
}

void
relay_hop_go(struct relay_hop *hop)
{
	struct relay_hops *h = hop->h;
	struct relay_conn *conn;

	while (hop->nwaiting - hop->nfor_new > hop->count[CONN_WOKEN] &&
	    (conn = TAILQ_FIRST(&hop->conns)) != NULL &&
	    conn->state == CONN_IDLE) {
		relay_hop_set_state(hop, conn, CONN_WOKEN);
		relay_conn_wake(conn);
	}
	while (may_open(hop)) {
		if (h->nconns >= h->max) {
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
}
