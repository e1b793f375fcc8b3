/* Which addresses of MX hosts may have one more connection.
 * Owns: the bound that all domains which lead to an address have together, and who
 * waits for it.
 * Knows nothing of how connections are opened. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util/monotonic.h"

/* This process's share of the connections */
static size_t
limit_of(const struct relay_hop *hop)
{
	size_t limit = (size_t)(hop->domain->mx_connection_limit /
	    hop->h->env->settings->relayers);

	return limit > 0 ? limit : 1;
}

static bool
is_full(const struct relay_hop *hop, const struct relay_place *place)
{
	const struct relay_peer *p;

	if (hop->way.mx == NULL)
		return false;
	p = relay_peer_find(&hop->h->peers, &place->addr.ip);
	return p != NULL && p->nconns >= limit_of(hop);
}

const struct relay_place *
relay_hop_with_room(struct relay_hop *hop, const struct relay_place *place)
{
	while (place != NULL && is_full(hop, place))
		place = relay_way_beside(&hop->way, place->number);
	return place;
}

/* Have one that is idle make room. */
static void
end_idle(struct relay_hops *h, const struct relay_peer *p)
{
	struct relay_conn *conn;

	TAILQ_FOREACH (conn, &h->idle, idle)
		if (conn->peer == p)
			break;
	if (conn == NULL)
		return;
	relay_hop_set_state(conn->closure, conn, CONN_LEAVING);
	relay_conn_wake(conn);
}

bool
relay_hop_want(struct relay_hop *hop, const struct relay_place *place)
{
	struct relay_hops *h = hop->h;
	struct relay_peer *p = relay_peer_find(&h->peers, &place->addr.ip);

	if (relay_peer_is_silent(p, monotonic_ms()))
		return false;
	if (hop->wanted != p) {
		relay_hop_want_none(hop);
		hop->wanted = p;
		p->nwaiting++;
	}
	if (relay_peer_is_wanted(p))
		end_idle(h, p);
	return true;
}

void
relay_hop_is_crowded(const struct relay_hop *hop,
    const struct relay_place *place, struct job_error *why_r)
{
	const struct relay_peer *p = relay_peer_find(&hop->h->peers,
	    &place->addr.ip);
	char remote[JOB_REMOTE], words[JOB_TEXT];
	bool is_silent = relay_peer_is_silent(p, monotonic_ms());

	relay_said_remote(&place->addr, remote);
	snprintf(words, sizeof(words), "there are as many connections as "
	    "MX_Connection_Limit says (%zu), %s", p->nconns, is_silent ?
	    "and the server has made none of them ready for mail" :
	    "and this mail has waited too long for one of them");
	relay_said_failure(EAGAIN, words, remote, why_r);
	/* RFC 3463 3.5: congestion */
	if (!is_silent)
		strlcpy(why_r->enhanced, "4.4.5", sizeof(why_r->enhanced));
}
