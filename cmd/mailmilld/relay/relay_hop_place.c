/* Which next hops and addresses may have one more connection.
 * Owns: the bounds of a target, of an address that all domains lead to which have it
 * in their MX records, and of an address that connections come from; and who waits
 * for them.
 * Knows nothing of how connections are opened. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util/monotonic.h"

/* This process's share of the connections */
static size_t
share_of(const struct relay_hop *hop, unsigned int max)
{
	size_t limit = max / (unsigned int)hop->h->env->settings->relayers;

	return limit > 0 ? limit : 1;
}

/* What is full of the bounds of ${place}: NULL, it may have one more connection. */
static struct relay_bound *
full_of(const struct relay_hop *hop, const struct relay_place *place)
{
	const struct settings_domain *d = hop->domain;
	struct relay_bound *b;
	union addr source;

	if (hop->way.mx != NULL) {
		b = relay_bound_find(&hop->h->bounds, BOUND_HOST,
		    &place->addr.ip);
		if (b != NULL && b->nconns >= share_of(hop,
		    (unsigned int)d->mx_connection_limit))
			return b;
	}
	if (!relay_hop_source(hop, place, &source))
		return NULL;
	b = relay_bound_find(&hop->h->bounds, BOUND_SOURCE, &source);
	return b != NULL && b->nconns >= share_of(hop,
	    d->stream.max_connections) ? b : NULL;
}

bool
relay_hop_source(const struct relay_hop *hop, const struct relay_place *place,
    union addr *source_r)
{
	return hop->domain->source.n > 0 &&
	    hop->domain->stream.max_connections > 0 &&
	    place->addr.kind == ROUTE_IP &&
	    settings_source(hop->domain, place->addr.ip.sa.sa_family,
	    source_r) == 0;
}

bool
relay_hop_has_room(struct relay_hop *hop)
{
	struct relay_bound *b = hop->bound;

	if (b->nconns == 0 || monotonic_ms() >= b->limit_ms)
		b->limit = b->max;
	return b->nconns < b->limit;
}

const struct relay_place *
relay_hop_with_room(struct relay_hop *hop, const struct relay_place *place,
    bool is_beside)
{
	while (place != NULL && (full_of(hop, place) != NULL ||
	    (!is_beside && relay_hop_early(hop, place) != NULL)))
		place = relay_way_beside(&hop->way, place->number);
	return place;
}

bool
relay_hop_is_full(const struct relay_hop *hop, const struct relay_place *place)
{
	while (place != NULL && full_of(hop, place) != NULL)
		place = relay_way_beside(&hop->way, place->number);
	return place == NULL;
}

bool
relay_hop_wait(struct relay_hop *hop, const struct relay_place *place)
{
	struct relay_bound *b = NULL;

	for (; place != NULL && (b = relay_hop_early(hop, place)) == NULL;
	    place = relay_way_beside(&hop->way, place->number))
		continue;
	if (b == NULL)
		return false;
	relay_hop_put_off(hop, b, hop->count[CONN_OPENING] +
	    hop->count[CONN_WOKEN]);
	return true;
}

/* Have one that is idle make room. */
static void
end_idle(struct relay_hops *h, const struct relay_bound *b)
{
	struct relay_conn *conn;

	TAILQ_FOREACH (conn, &h->idle, idle)
		if (conn->bounds[b->kind] == b)
			break;
	if (conn == NULL)
		return;
	relay_hop_set_state(conn->closure, conn, CONN_LEAVING);
	relay_conn_wake(conn);
}

void
relay_hop_want(struct relay_hop *hop, struct relay_bound *b)
{
	if (hop->wanted != b) {
		relay_hop_want_none(hop);
		hop->wanted = b;
		b->nwaiting++;
	}
	if (relay_bound_is_wanted(b))
		end_idle(hop->h, b);
}

bool
relay_hop_want_place(struct relay_hop *hop, const struct relay_place *place)
{
	struct relay_bound *b = full_of(hop, place);

	if (b->kind == BOUND_HOST && relay_bound_is_silent(b, monotonic_ms()))
		return false;
	relay_hop_want(hop, b);
	return true;
}

void
relay_hop_is_crowded(const struct relay_hop *hop,
    const struct relay_place *place, struct job_error *why_r)
{
	const struct relay_bound *b = relay_bound_find(&hop->h->bounds,
	    BOUND_HOST, &place->addr.ip);
	char remote[JOB_REMOTE], words[JOB_TEXT];
	bool is_silent = relay_bound_is_silent(b, monotonic_ms());

	relay_said_remote(&place->addr, remote);
	snprintf(words, sizeof(words), "there are as many connections as "
	    "MX_Connection_Limit says (%zu), %s", b->nconns, is_silent ?
	    "and the server has made none of them ready for mail" :
	    "and this mail has waited too long for one of them");
	relay_said_failure(EAGAIN, words, remote, why_r);
	/* RFC 3463 3.5: congestion */
	if (!is_silent)
		strlcpy(why_r->enhanced, "4.4.5", sizeof(why_r->enhanced));
}
