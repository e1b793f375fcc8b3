/* When mail may be sent to the address of an MX host: so many messages a minute, of
 * all domains that lead there.
 * Owns: the turns that next hops have at such addresses.
 *
 * Mail that may not be sent yet does not wait here, where it would take the room of
 * others: it goes back to the queue, which is told when this next hop may send some
 * of it.  That time is booked (relay_rate_int.h), so each next hop has its turn behind
 * those that came before. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <sys/param.h>

#include <string.h>

#define TURN_MS		100	/* in a turn goes what may be sent in that time, one message at least */

/* This process's share of the messages a minute; 0: no limit */
static unsigned int
rate_of(const struct relay_hop *hop)
{
	int limit = hop->domain->mx_rate_limit;

	if (hop->way.mx == NULL || limit == 0)
		return 0;
	return (unsigned int)MAX(limit / hop->h->env->settings->relayers, 1);
}

/* Has ${hop} a turn at the address of ${b}, now or later? */
static bool
has_turn(const struct relay_hop *hop, const struct relay_bound *b,
    uint64_t now)
{
	return relay_hop_has_turn(hop, now) &&
	    memcmp(hop->turn.octets, b->octets, sizeof(b->octets)) == 0;
}

/* Some of it has been tried at once before, or is part of a message that has, or
 * another next hop of the same target had its turn for it: it is not put off again. */
static bool
is_begun(const struct relay_mail *m)
{
	return m->had_turn || m->ntries + m->nparts > 0;
}

bool
relay_hop_may_send(const struct relay_hop *hop, const struct relay_bound *b,
    size_t npending)
{
	const struct relay_mail *m = TAILQ_FIRST(&hop->waiting);
	unsigned int rate = rate_of(hop), n = (unsigned int)npending;
	uint64_t now;

	if (rate == 0 || b == NULL || (m != NULL && is_begun(m)))
		return true;
	now = hop->h->ways.now_ms();
	if (has_turn(hop, b, now)) {
		if (hop->turn.ms > now)
			return false;
		if (n < hop->turn.n)
			return true;
		n -= hop->turn.n;
	}
	return relay_rate_may(&b->rate, rate, n, now);
}

void
relay_hop_sent(struct relay_hop *hop, struct relay_bound *b)
{
	unsigned int rate = rate_of(hop);
	uint64_t now;

	if (rate == 0 || b == NULL)
		return;
	now = hop->h->ways.now_ms();
	if (has_turn(hop, b, now) && hop->turn.ms <= now)
		hop->turn.n--;
	else
		relay_rate_sent(&b->rate, rate, now);
}

/* In how many milliseconds ${hop}, which keeps ${keep} of its mails, may send another
 * one */
static uint64_t
book(struct relay_hop *hop, struct relay_bound *b, size_t keep)
{
	struct relay_rate later = b->rate;
	unsigned int rate = rate_of(hop);
	uint64_t now = hop->h->ways.now_ms(), ms;

	if (!has_turn(hop, b, now)) {
		hop->turn.n = (unsigned int)MIN(hop->nwaiting - keep,
		    MAX((uint64_t)rate * TURN_MS / 60000, 1));
		hop->turn.ms = relay_rate_book(&b->rate, rate, hop->turn.n,
		    now);
		memcpy(hop->turn.octets, b->octets, sizeof(b->octets));
	}
	ms = hop->turn.ms;
	/* the turn that it has now is for those that are kept: the next is booked
	 * behind it */
	if (ms <= now && keep >= hop->turn.n)
		ms = relay_rate_book(&later, rate, 1, now);
	return ms > now ? ms - now : 1;
}

void
relay_hop_put_off(struct relay_hop *hop, struct relay_bound *b, size_t keep)
{
	struct relay_hops *h = hop->h;
	struct relay_mail *m, *before;
	uint64_t ms;

	hop->since_ms = 0;
	if (hop->nwaiting <= keep)
		return;
	ms = book(hop, b, keep);
	/* the last first: the queue puts each in front of the others */
	for (m = TAILQ_LAST(&hop->waiting, relay_mails);
	    m != NULL && hop->nwaiting > keep; m = before) {
		before = TAILQ_PREV(m, relay_mails, link);
		if (is_begun(m))
			continue;
		relay_hop_remove(hop, m);
		relay_hop_give_back(h, m, JOB_LATER_IN(ms));
	}
}

struct relay_bound *
relay_hop_early(struct relay_hop *hop, const struct relay_place *place)
{
	struct relay_bound *b;

	if (rate_of(hop) == 0)
		return NULL;
	b = relay_bound_find(&hop->h->bounds, BOUND_HOST, &place->addr.ip);
	return b == NULL || relay_hop_may_send(hop, b,
	    hop->count[CONN_OPENING] + hop->count[CONN_WOKEN]) ? NULL : b;
}
