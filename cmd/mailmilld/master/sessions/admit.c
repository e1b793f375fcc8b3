/* May one more session begin?
 * Owns: the session limits, the lines of the log about what they refuse.
 * Knows nothing of how a client is told. */

#include "cmd/mailmilld/master/sessions/sessions.h"

#include <errno.h>

#include "cmd/mailmilld/master/state/ledger.h"

/* The part of all sessions that one proxy may hold without naming its clients. */
#define PROXY_PART	4

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

static const struct esmtp_options *
options_of(const struct listener *l, const accept_addr *peer)
{
	return settings_options_for(l->master->config.settings, l->index,
	    &peer->sa);
}

void
admit_refused(struct listener *l, const accept_addr *peer, const char *limit,
    struct log_bound *bound)
{
	uint64_t n = log_bound_count(bound, l->master->ops->now_ms());
	char text[ADDR_TEXT];

	stats_inc(STATS_CONNECTIONS_REFUSED);
	if (n > 0)
		log_event(LOG_LEVEL_INFO, "refused",
		    "client=%s port=%d listener=%s limit=%s refused=%llu",
		    addr_text(&peer->sa, text), ntohs(peer->in.sin_port),
		    l->master->config.settings->listens[l->index].name, limit,
		    (unsigned long long)n);
}

/* Return whether the client has all the sessions that it may have. */
static bool
client_is_over(struct listener *l, const accept_addr *peer,
    const struct esmtp_options *o, enum ledger_kind kind)
{
	struct master *m = l->master;

	if (!is_over(client_limit(m, o, kind),
	    ledger_clients(m->ledger, &peer->sa, kind)))
		return false;
	admit_refused(l, peer, "Client_Sessions",
	    ledger_refusals(m->ledger, &peer->sa, kind));
	return true;
}

enum esmtp_reply_id
admit_new(struct listener *l, const accept_addr *peer, enum ledger_kind *kind_r)
{
	const struct esmtp_options *o = options_of(l, peer);

	*kind_r = o->proxy_protocol ? LEDGER_PROXY : LEDGER_DIRECT;
	if (is_over(o->listener_sessions, l->sessions.n)) {
		admit_refused(l, peer, "Listener_Sessions", &l->refusals);
		return RPL_SESSIONS;
	}
	if (is_over(o->service_sessions, l->service->n)) {
		admit_refused(l, peer, "Service_Sessions", &l->refusals);
		return RPL_SESSIONS;
	}
	return client_is_over(l, peer, o, *kind_r) ? RPL_CLIENT_SESSIONS :
	    RPL_OK;
}

void
admit_naming(struct listener *l, const accept_addr *peer, struct book *b,
    uint64_t handle)
{
	(void)book_may_name(b, handle, options_of(l, peer)->allow_xclient);
}

/* book_asked() has failed.  After a reload the worker may still have other
 * options than these; and a client that is permitted to may repeat XCLIENT
 * without end: neither is an offence of the worker. */
static int
not_asked(struct listener *l, const accept_addr *peer)
{
	if (errno == EAGAIN)
		admit_refused(l, peer, "XCLIENT-rate", &l->refusals);
	return errno == EACCES || errno == EAGAIN ? 1 : -1;
}

int
admit_proxied(struct proc *p, const struct msg_proxied *mp)
{
	struct tally *tally = book_listener(p->book, mp->handle);
	struct listener *l;
	accept_addr peer;

	addr_copy(&peer.sa, &mp->peer.sa);
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
	if (l->fd != -1 && !book_is_from(p->book, mp->handle, &peer.sa,
	    LEDGER_PROXIED) && client_is_over(l, &peer, options_of(l, &peer),
	    LEDGER_PROXIED))
		return 1;
	/* without memory the session still counts for the proxy */
	if (book_proxied(p->book, mp->handle, &peer.sa) == -1 &&
	    errno != ENOMEM)
		return -1;
	if (l->fd != -1)
		admit_naming(l, &peer, p->book, mp->handle);
	return 0;
}
