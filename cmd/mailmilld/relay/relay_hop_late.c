/* What takes too long while mail waits for it: searches in the DNS, connections
 * that do not get ready for mail.
 * Owns: when they are ended.
 *
 * The queue gives this process so many recipients at a time and no more, and half
 * as many that are due again.  When three quarters of that half are there, mail for
 * servers that say nothing waits for UNREADY_SHORT_MS alone, and for policies of
 * MTA-STS RELAY_STS_MANY_MS, so that there is room for mail of others. */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <errno.h>
#include <stdio.h>

#include "core/loop/after.h"
#include "core/util/monotonic.h"

#define WATCH_MS		1000
#define UNREADY_MS		600000	/* for a connection from its beginning to its first message, whatever RFC 5321 4.5.3.2 allows each reply */
#define UNREADY_SHORT_MS	30000	/* as RELAY_CONNECT_SECONDS */

/* What the queue gives out at a time, as core/queue/queue_job.c counts it */
enum {
#define TRANSPORT(id, name, role, max_jobs, file) JOBS_##id = (max_jobs),
#include "cmd/settings/transport.def"
#undef TRANSPORT
};
#define JOBS_MANY	(JOBS_RELAY / 2 / 4 * 3)

/* Does other mail wait for the end of ${conn}?  An address that says nothing keeps no
 * other one's place for long; where it is the address of an MX host, those that wait
 * have been told so (relay_hop_want_place()). */
static bool
is_in_the_way(const struct relay_conn *conn)
{
	const struct relay_bound *b = conn->bounds[BOUND_SOURCE];

	return (b != NULL && b->nwaiting > 0) ||
	    (conn->bounds[BOUND_TARGET] != NULL &&
	    conn->bounds[BOUND_TARGET]->nwaiting > 0);
}

/* A connection that has been opened for longer than ${ms}, or than UNREADY_SHORT_MS
 * if it is in the way, of a next hop that has none ready; NULL: none has */
static struct relay_conn *
find_unready(const struct relay_hops *h, uint64_t ms)
{
	uint64_t now = monotonic_ms();
	const struct relay_hop *hop;
	struct relay_conn *conn;

	TAILQ_FOREACH (hop, &h->wanting, wanting) {
		if (hop->count[CONN_OPENING] == 0 ||
		    relay_hop_nready(hop) > 0)
			continue;
		TAILQ_FOREACH (conn, &hop->conns, link)
			if (conn->state == CONN_OPENING &&
			    now - conn->since_ms >= (is_in_the_way(conn) ?
			    UNREADY_SHORT_MS : ms))
				return conn;
	}
	return NULL;
}

/* Its end leads to another address, or to the failure of all that waits. */
static void
end_unready(struct relay_conn *conn, uint64_t ms)
{
	struct relay_hop *hop = conn->closure;
	char words[JOB_TEXT];
	struct job_error why;

	snprintf(words, sizeof(words), "the connection was not ready for mail "
	    "within %llu s", (unsigned long long)(is_in_the_way(conn) ?
	    UNREADY_SHORT_MS : ms) / 1000);
	relay_said_failure(ETIMEDOUT, words, conn->remote, &why);
	relay_way_failed(&hop->way, conn->place, &why, ETIMEDOUT);
	relay_conn_give_up(conn, words);
}

static void
on_watch(void *closure)
{
	struct relay_hops *h = closure;
	struct relay_conn *conn;

	h->watch = NULL;
	h->ways.is_many = h->njobs >= JOBS_MANY;
	relay_ways_late(&h->ways);
	while ((conn = find_unready(h, UNREADY_MS)) != NULL)
		end_unready(conn, UNREADY_MS);
	while (h->njobs >= JOBS_MANY &&
	    (conn = find_unready(h, UNREADY_SHORT_MS)) != NULL)
		end_unready(conn, UNREADY_SHORT_MS);
	relay_hops_watch(h);
}

void
relay_hops_watch(struct relay_hops *h)
{
	if (h->watch == NULL && !h->is_draining && !h->is_ending &&
	    !TAILQ_EMPTY(&h->wanting))
		h->watch = after_ms(WATCH_MS, on_watch, h);
}
