/* May one more session begin?
 * Owns: the session limits, the share of one worker in each, the lines of the
 * log about what they refuse.
 * Knows nothing of how a client is told. */

#include "cmd/mailmilld/master/sessions/sessions.h"

#include <errno.h>
#include <string.h>

#include "cmd/mailmilld/master/state/ledger.h"

/* The part of all sessions that one proxy may hold without naming its clients. */
#define PROXY_PART	4

/* The part of each limit that one worker alone cannot use up. */
#define OTHERS_PART	4
/* The master hands a session out before a proxy names its client.  Honest workers
 * have, by chance, more than the rest of a small limit. */
#define PROXIED_SHARED	32

static bool
is_over(int64_t limit, unsigned int n)
{
	return limit > 0 && n >= (uint64_t)limit;
}

/* A busy proxy has many sessions whose PROXY header is on its way, for a moment
 * each.  One that sends no header must leave room for other clients. */
static int64_t
client_limit(const struct master *m, const struct esmtp_options *o,
    enum ledger_kind kind)
{
	int64_t part = (int64_t)m->worker_sessions_max *
	    m->config.settings->workers / PROXY_PART;

	return kind == LEDGER_PROXY && o->client_sessions > 0 &&
	    part > o->client_sessions ? part : o->client_sessions;
}

/* How many of ${limit} sessions one worker may have. */
static int64_t
worker_share(const struct master *m, int64_t limit)
{
	int64_t rest = limit < OTHERS_PART ? 1 : limit / OTHERS_PART;

	return m->config.settings->workers < 2 || limit < 2 ? limit :
	    limit - rest;
}

/* Are there as many as ${limit}?  What a worker has beyond its share it got when no
 * other one could take sessions.  That does not count, or the others would have
 * nothing for as long as it keeps them. */
static bool
is_used_up(const struct master *m, int64_t limit, const struct tally *t)
{
	/* no limit is above INT32_MAX */
	return t != NULL && is_over(limit, t->n) && is_over(limit,
	    tally_bounded(t, (unsigned int)worker_share(m, limit)));
}

/* Note what one worker may have of ${limit}, if one can have that much. */
static void
add_share(const struct master *m, struct admitted *as, enum admit_limit which,
    int64_t limit, const struct tally *t)
{
	int64_t max = worker_share(m, limit);

	if (t == NULL || !is_over(max, t->n))
		return;
	as->shares[as->nshares].which = which;
	as->shares[as->nshares].of = t;
	as->shares[as->nshares].max = max;
	as->shares[as->nshares++].limit = limit;
}

bool
admit_is_over(const struct admitted *as, const struct book *b, bool is_alone)
{
	unsigned int i;

	for (i = 0; i < as->nshares; i++)
		if (is_alone ? is_over(as->shares[i].limit,
		    as->shares[i].of->n) : is_over(as->shares[i].max,
		    tally_of(as->shares[i].of, b)))
			return true;
	return false;
}

static const struct esmtp_options *
options_of(const struct listener *l, const union addr *peer)
{
	return settings_options_for(l->master->config.settings, l->index,
	    &peer->sa);
}

void
admit_refused(struct listener *l, const union addr *peer, const char *limit,
    struct log_bound *bound)
{
	uint64_t n = log_bound_count(bound, l->master->ops->now_ms());
	char text[ADDR_TEXT];

	stats_inc(STATS_CONNECTIONS_REFUSED);
	if (n > 0)
		log_event(LOG_LEVEL_INFO, "refused",
		    "client=%s port=%u listener=%s limit=%s refused=%llu",
		    addr_text(&peer->sa, text), addr_port(&peer->sa),
		    l->master->config.settings->listens[l->index].name, limit,
		    (unsigned long long)n);
}

/* Count and log that ${peer} is refused: it has all the sessions that it may
 * have. */
static void
client_refused(struct listener *l, const union addr *peer,
    enum ledger_kind kind)
{
	admit_refused(l, peer, "Client_Sessions",
	    ledger_refusals(l->master->ledger, &peer->sa, kind));
}

/* Count and log that ${peer}, which would be counted as ${kind}, is refused by the
 * limit ${which}.  Return how. */
static enum esmtp_reply_id
refused_by(struct listener *l, const union addr *peer, enum ledger_kind kind,
    enum admit_limit which)
{
	switch (which) {
	case ADMIT_LISTENER:
		admit_refused(l, peer, "Listener_Sessions", &l->refusals);
		return RPL_SESSIONS;
	case ADMIT_SERVICE:
		admit_refused(l, peer, "Service_Sessions", &l->refusals);
		return RPL_SESSIONS;
	case ADMIT_CLIENT:
		break;
	}
	client_refused(l, peer, kind);
	return RPL_CLIENT_SESSIONS;
}

/* May the session of ${p} become one of the client ${peer}? */
static bool
proxied_is_over(struct listener *l, const union addr *peer,
    const struct proc *p)
{
	struct master *m = l->master;
	int64_t limit = client_limit(m, options_of(l, peer), LEDGER_PROXIED);
	const struct tally *t = ledger_tally(m->ledger, &peer->sa,
	    LEDGER_PROXIED);
	bool is_shared = limit >= PROXIED_SHARED && !able_is_alone(p);

	if (t == NULL || !(is_shared ? is_used_up(m, limit, t) ||
	    is_over(worker_share(m, limit), tally_of(t, p->book)) :
	    is_over(limit, t->n)))
		return false;
	client_refused(l, peer, LEDGER_PROXIED);
	return true;
}

enum esmtp_reply_id
admit_new(struct listener *l, const union addr *peer, struct admitted *as_r)
{
	const struct esmtp_options *o = options_of(l, peer);
	struct master *m = l->master;
	const struct tally *client = NULL;
	int64_t limit;

	memset(as_r, 0, sizeof(*as_r));
	as_r->kind = o->proxy_protocol ? LEDGER_PROXY : LEDGER_DIRECT;
	limit = client_limit(m, o, as_r->kind);
	if (limit > 0)
		client = ledger_tally(m->ledger, &peer->sa, as_r->kind);
	if (is_used_up(m, o->listener_sessions, &l->sessions))
		return refused_by(l, peer, as_r->kind, ADMIT_LISTENER);
	if (is_used_up(m, o->service_sessions, l->service))
		return refused_by(l, peer, as_r->kind, ADMIT_SERVICE);
	if (is_used_up(m, limit, client))
		return refused_by(l, peer, as_r->kind, ADMIT_CLIENT);
	add_share(m, as_r, ADMIT_LISTENER, o->listener_sessions, &l->sessions);
	add_share(m, as_r, ADMIT_SERVICE, o->service_sessions, l->service);
	add_share(m, as_r, ADMIT_CLIENT, limit, client);
	return RPL_OK;
}

/* Is one worker all that there is? */
static bool
is_one_alone(const struct master *m)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (able_is(p) && able_is_alone(p))
			return true;
	return false;
}

enum esmtp_reply_id
admit_no_worker(struct listener *l, const union addr *peer,
    const struct admitted *as)
{
	unsigned int i;

	/* is_used_up() does not count what one has beyond its share.  Where
	 * that one is alone, nobody else has the rest of the limit either */
	if (is_one_alone(l->master))
		for (i = 0; i < as->nshares; i++)
			if (is_over(as->shares[i].limit, as->shares[i].of->n))
				return refused_by(l, peer, as->kind,
				    as->shares[i].which);
	admit_refused(l, peer, "workers", &l->refusals);
	return RPL_SESSIONS;
}

void
admit_naming(struct listener *l, const union addr *peer, struct book *b,
    uint64_t handle)
{
	(void)book_may_name(b, handle, options_of(l, peer)->allow_xclient);
}

/* book_asked() has failed.  After a reload the worker may still have other
 * options than these; and a client that is permitted to may repeat XCLIENT
 * without end: neither is an offence of the worker. */
static int
not_asked(struct listener *l, const union addr *peer)
{
	/* a listener that a reload has closed has no name any more */
	if (errno == EAGAIN && l->fd != -1)
		admit_refused(l, peer, "XCLIENT-rate", &l->refusals);
	return errno == EACCES || errno == EAGAIN ? 1 : -1;
}

/* Neither a PROXY header nor XCLIENT can name an account: one that has connected
 * stays the client when the header names none. */
static bool
may_be_named(struct book *b, uint64_t handle, const struct sockaddr *sa)
{
	enum ledger_kind kind;
	uint32_t uid;

	if (!addr_uid(sa, &uid))
		return true;
	for (kind = LEDGER_DIRECT; kind <= LEDGER_PROXIED; kind++)
		if (book_is_from(b, handle, sa, kind))
			return true;
	return false;
}

int
admit_proxied(struct proc *p, const struct msg_proxied *mp)
{
	struct tally *tally = book_listener(p->book, mp->handle);
	struct listener *l;
	union addr peer;

	addr_copy(&peer.sa, &mp->peer.sa);
	if (!may_be_named(p->book, mp->handle, &peer.sa))
		return -1;
	TAILQ_FOREACH(l, &p->master->listeners, link)
		if (&l->sessions == tally)
			break;
	if (l == NULL)
		return -1;
	if (book_asked(p->book, mp->handle, p->master->ops->now_ms()) == -1)
		return not_asked(l, &peer);
	/* sessions that have ended must not count against a limit; this one is
	 * not among them: a worker tells its end after the answer, or on this
	 * channel */
	procs_collect(p->master);
	/* a listener that is closed has no options any more; a client that is
	 * named once more has this session already */
	if (l->fd != -1 && addr_is_known(&peer.sa) &&
	    !book_is_from(p->book, mp->handle, &peer.sa, LEDGER_PROXIED) &&
	    proxied_is_over(l, &peer, p))
		return 1;
	/* without memory the session still counts for the proxy */
	if (book_proxied(p->book, mp->handle, &peer.sa) == -1 &&
	    errno != ENOMEM)
		return -1;
	if (l->fd != -1)
		admit_naming(l, &peer, p->book, mp->handle);
	return 0;
}
