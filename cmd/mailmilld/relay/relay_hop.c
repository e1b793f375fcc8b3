/* Next hops: what waits for each, how many connections it has, what becomes of
 * what it does not take.
 * Owns: the mails that wait, the connections of all next hops.
 * Knows nothing of the protocol, and of the queue.
 *
 * A next hop that has no connection yet gets one; the others follow when that one
 * has asked for a message.  If none can be had, all that waits for it fails with
 * the same words: the queue decides when to try again.  Where all next hops have
 * as many connections as there may be, one that has none is the next to get one.
 *
 * A connection's states, and what makes each transition:
 *	OPENING		relay_conn_open()
 *	-> BUSY		next(): there is a mail
 *	-> IDLE		next(): there is none
 *	BUSY -> WOKEN	done(): it asks for the next one by itself
 *	IDLE -> WOKEN	hop_go(): there is a mail for it
 *	any -> LEAVING	leave(), next(): it says QUIT when it asks
 *	IDLE, WOKEN -> LEAVING	leaving(): it says QUIT of itself */

#include "cmd/mailmilld/relay/relay_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define AGAIN_MS	100	/* where there is no room for a connection */
#define FIRST_MS	60000	/* an address that has failed is not tried before, while others are there */
#define CLEAR_MS	600000	/* a server whose handshakes fail is not asked for TLS */
#define LIMIT_MS	60000	/* and a server that took no more connections is not asked for more */

struct relay_hop {
	TAILQ_ENTRY(relay_hop)	 link;
	TAILQ_ENTRY(relay_hop)	 wanting;	/* while something waits */
	struct relay_hops	*h;
	char			*target;
	const char		*helo;		/* the settings' */
	const struct settings_domain *domain;	/* the first of those that it is for */
	uint64_t		 clear_ms;	/* no TLS until then */
	struct route_addr	 addrs[SETTINGS_ROUTES_MAX];
	size_t			 naddrs;
	size_t			 current;	/* where connections are opened */
	size_t			 nfailed;	/* addresses, since one was right */
	uint64_t		 first_ms;	/* when addrs[0] is tried again */
	size_t			 max;		/* connections */
	size_t			 limit;		/* the server has taken only so many, ... */
	uint64_t		 limit_ms;	/* ... which counts until then */
	uint64_t		 since_ms;	/* there is no room for a connection; 0: there is */
	struct relay_mails	 waiting;
	size_t			 nwaiting;
	size_t			 nfor_new;	/* of them: is_for_new */
	struct relay_conns	 conns;		/* the idle ones first */
	size_t			 nconns;
	size_t			 count[NCONN_STATES]; /* of them */
};
TAILQ_HEAD(relay_hop_list, relay_hop);

struct relay_hops {
	const struct settings	*settings;
	struct spool_sources	*sources;
	const struct relay_tls	*tls;
	const struct relay_ops	*ops;
	void			*closure;
	size_t			 max;
	size_t			 nconns;
	size_t			 nleaving;	/* of them */
	struct relay_conns	 idle;
	struct relay_hop_list	 list;		/* for good: there are not more than Domain sections */
	struct relay_hop_list	 wanting;
	struct relay_hop	**of_domain;	/* by index of the section */
	size_t			 nmails;	/* that wait, or that a connection has */
	Event			*timer;
	bool			 is_draining, is_ending;
	bool			 is_stopped;	/* is_draining, too: what is unsent goes back */
};

struct relay_hops *
relay_hops_new(const struct settings *settings, struct spool_sources *sources,
    const struct relay_tls *tls, size_t max, const struct relay_ops *ops,
    void *closure)
{
	struct relay_hops *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	h->of_domain = calloc(settings->ndomains + 1, sizeof(*h->of_domain));
	if (h->of_domain == NULL) {
		free(h);
		return NULL;
	}
	h->settings = settings;
	h->sources = sources;
	h->tls = tls;
	h->ops = ops;
	h->closure = closure;
	h->max = max;
	TAILQ_INIT(&h->idle);
	TAILQ_INIT(&h->list);
	TAILQ_INIT(&h->wanting);
	return h;
}

/* --- finding one ---------------------------------------------------------- */

static const char *
helo_of(const struct relay_hops *h, const struct settings_domain *d)
{
	return *d->helo != '\0' ? d->helo : h->settings->hostname;
}

/* The connections that this process has its share of */
static size_t
max_of(const struct relay_hops *h, const struct settings_domain *d)
{
	size_t max = (size_t)(d->max_connections / h->settings->relayers);

	return max > 0 ? max : 1;
}

static struct relay_hop *
hop_new(struct relay_hops *h, const struct settings_domain *d,
    const char *target)
{
	struct relay_hop *hop;
	size_t i;

	if ((hop = calloc(1, sizeof(*hop))) == NULL)
		return NULL;
	if ((hop->target = strdup(target)) == NULL) {
		free(hop);
		return NULL;
	}
	hop->h = h;
	hop->domain = d;
	hop->helo = helo_of(h, d);
	hop->max = hop->limit = max_of(h, d);
	for (i = 0; i < d->route.n && i < SETTINGS_ROUTES_MAX; i++) {
		(void)route_addr_parse(d->route.v[i], &hop->addrs[i]);
		route_addr_default(&hop->addrs[i], 25);
	}
	hop->naddrs = i;
	TAILQ_INIT(&hop->waiting);
	TAILQ_INIT(&hop->conns);
	TAILQ_INSERT_TAIL(&h->list, hop, link);
	return hop;
}

/* Do connections for ${d} look like those of ${hop}, so that both use the same? */
static bool
is_same_hop(const struct relay_hop *hop, const struct settings_domain *d,
    const char *target)
{
	const struct settings_domain *own = hop->domain;

	return own->delivery == d->delivery &&
	    strcmp(hop->target, target) == 0 &&
	    strcasecmp(hop->helo, helo_of(hop->h, d)) == 0 &&
	    own->tls_level == d->tls_level &&
	    strcmp(own->tls_ca_file, d->tls_ca_file) == 0 &&
	    strcasecmp(own->tls_name, d->tls_name) == 0;
}

struct relay_hop *
relay_hop_find(struct relay_hops *h, const struct route *route)
{
	const struct settings_domain *d = route->domain;
	struct relay_hop **of = &h->of_domain[d - h->settings->domains], *hop;

	if (*of != NULL)
		return *of;
	TAILQ_FOREACH (hop, &h->list, link)
		if (is_same_hop(hop, d, route->target))
			break;
	if (hop == NULL)
		hop = hop_new(h, d, route->target);
	else if (max_of(h, d) < hop->max)
		hop->max = hop->limit = max_of(h, d);
	return *of = hop;
}

/* --- mails ---------------------------------------------------------------- */

static void
put_mail(struct relay_hop *hop, struct relay_mail *m, bool is_first)
{
	if (hop->nwaiting++ == 0)
		TAILQ_INSERT_TAIL(&hop->h->wanting, hop, wanting);
	if (is_first)
		TAILQ_INSERT_HEAD(&hop->waiting, m, link);
	else
		TAILQ_INSERT_TAIL(&hop->waiting, m, link);
	hop->nfor_new += m->is_for_new;
	hop->h->nmails++;
}

/* The one whose turn it is, of those that are for connections that have had mail
 * unless ${is_new}; it is counted until mail_end(). */
static struct relay_mail *
take_mail(struct relay_hop *hop, bool is_new)
{
	struct relay_mail *m = TAILQ_FIRST(&hop->waiting);

	while (m != NULL && m->is_for_new && !is_new)
		m = TAILQ_NEXT(m, link);
	if (m == NULL)
		return NULL;
	TAILQ_REMOVE(&hop->waiting, m, link);
	hop->nfor_new -= m->is_for_new;
	if (--hop->nwaiting == 0)
		TAILQ_REMOVE(&hop->h->wanting, hop, wanting);
	return m;
}

static void
mail_end(struct relay_hops *h, struct relay_mail *m)
{
	relay_mail_free(m);
	h->nmails--;
}

int
relay_hop_add(struct relay_hop *hop, const struct job *job, uint64_t batch)
{
	struct relay_mail *m = TAILQ_LAST(&hop->waiting, relay_mails);

	if (m != NULL && relay_mail_is_of(m, job, batch))
		return relay_mail_add(m, job);
	if ((m = relay_mail_new(job, batch)) == NULL)
		return -1;
	put_mail(hop, m, false);
	return 0;
}

static void
tell_error(struct relay_hops *h, const struct job_error *je)
{
	if (!h->is_ending)
		h->ops->error(h->closure, je);
}

static void
tell_done(struct relay_hops *h, const struct job_result *results, size_t n)
{
	if (!h->is_ending && n > 0)
		h->ops->done(h->closure, results, (unsigned int)n);
}

/* All recipients of ${m}, which waits no more, have failed. */
static void
fail_mail(struct relay_hops *h, struct relay_mail *m,
    const struct job_error *why, int errnum, uint32_t flags)
{
	struct job_error je = *why;
	struct job_result jr = { .errnum = errnum, .flags = flags };
	size_t i;

	for (i = 0; i < m->njobs; i++) {
		je.job = jr.job = m->jobs[i].job;
		tell_error(h, &je);
		tell_done(h, &jr, 1);
	}
	mail_end(h, m);
}

/* ${m}, which waits no more, is for whoever comes next. */
static void
give_back(struct relay_hops *h, struct relay_mail *m)
{
	struct job_result jr = { .errnum = ESTALE };
	size_t i;

	for (i = 0; i < m->njobs; i++) {
		jr.job = m->jobs[i].job;
		tell_done(h, &jr, 1);
	}
	mail_end(h, m);
}

/* The next hop cannot be had. */
static void
fail_waiting(struct relay_hop *hop, const struct job_error *why, int errnum)
{
	struct relay_mail *m;

	if (hop->nwaiting > 0)
		log_event(LOG_LEVEL_INFO, "next-hop", "target=%s waiting=%zu "
		    "remote=%s code=%u reason=%s", hop->target, hop->nwaiting,
		    why->remote, why->code, why->text);
	while ((m = take_mail(hop, true)) != NULL)
		fail_mail(hop->h, m, why, errnum, JOB_TARGET);
}

/* --- connections ---------------------------------------------------------- */

static void
set_state(struct relay_hop *hop, struct relay_conn *conn,
    enum relay_conn_state state)
{
	struct relay_hops *h = hop->h;

	if (conn->state == state)
		return;
	if (conn->state == CONN_IDLE)
		TAILQ_REMOVE(&h->idle, conn, idle);
	hop->count[conn->state]--;
	conn->state = state;
	hop->count[state]++;
	h->nleaving += state == CONN_LEAVING;
	TAILQ_REMOVE(&hop->conns, conn, link);
	if (state == CONN_IDLE) {
		TAILQ_INSERT_TAIL(&h->idle, conn, idle);
		TAILQ_INSERT_HEAD(&hop->conns, conn, link);
	} else
		TAILQ_INSERT_TAIL(&hop->conns, conn, link);
}

/* Connections that are past the greeting */
static size_t
nready(const struct relay_hop *hop)
{
	return hop->count[CONN_IDLE] + hop->count[CONN_WOKEN] +
	    hop->count[CONN_BUSY];
}

/* Have an idle one say QUIT. */
static void
leave(struct relay_hop *hop, struct relay_conn *conn)
{
	set_state(hop, conn, CONN_LEAVING);
	relay_conn_wake(conn);
}

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

/* --- what connections ask and tell ---------------------------------------- */

static void hop_go(struct relay_hop *hop);

/* Mail that needs a connection that there is not room for, and will not be when
 * those that leave have left. */
static bool
lacks_new(const struct relay_hop *hop)
{
	return (hop->nconns >= hop->limit || hop->h->nconns >= hop->h->max) &&
	    hop->nfor_new > hop->count[CONN_OPENING] +
	    hop->count[CONN_LEAVING];
}

/* ${conn} has sent something.  It makes room where its own next hop has mail for a
 * new connection; and where all connections are taken, and next hops that have
 * none have mail, whatever its own has: unless those that leave make enough. */
static bool
gives_way(const struct relay_hops *h, const struct relay_conn *conn)
{
	const struct relay_hop *hop = conn->closure;
	size_t n = 0;

	if (conn->state != CONN_WOKEN)
		return false;
	if (lacks_new(hop))
		return true;
	if (h->nconns < h->max)
		return false;
	TAILQ_FOREACH (hop, &h->wanting, wanting)
		n += hop->nconns == 0;
	return n > h->nleaving;
}

static struct relay_mail *
on_next(void *closure, struct relay_conn *conn)
{
	struct relay_hop *hop = closure;
	struct relay_hops *h = hop->h;
	struct job_error je;
	struct relay_mail *m;
	bool is_new = conn->state == CONN_OPENING;
	int errnum;

	if (is_new)
		hop->nfailed = 0;
	if (gives_way(h, conn))
		set_state(hop, conn, CONN_LEAVING);
	while (conn->state != CONN_LEAVING && !h->is_draining &&
	    (m = take_mail(hop, is_new)) != NULL) {
		if (relay_mail_load(m, h->sources, h->settings->
		    default_domain == NULL ? NULL :
		    h->settings->default_domain->name) == 0) {
			set_state(hop, conn, CONN_BUSY);
			/* it can be had: the others may follow */
			hop_go(hop);
			return m;
		}
		errnum = errno;
		relay_said_failure(errnum, "the message cannot be read from "
		    "the spool", "", &je);
		strlcpy(je.enhanced, "4.3.0", sizeof(je.enhanced));
		fail_mail(h, m, &je, errnum, 0);
	}
	/* where there is no room for others' connections, this one makes it */
	set_state(hop, conn, conn->state == CONN_LEAVING || h->is_draining ||
	    (h->nconns >= h->max && !TAILQ_EMPTY(&h->wanting)) ?
	    CONN_LEAVING : CONN_IDLE);
	return NULL;
}

static ssize_t
on_read(void *closure, struct relay_mail *m, uint64_t offset, char *buf,
    size_t size)
{
	struct relay_hop *hop = closure;

	return relay_mail_read(m, hop->h->sources, offset, buf, size);
}

/* The server does not take these recipients together. */
static bool
is_part(const struct smtp_result *result)
{
	return result->why == SMTP_WHY_RCPT_MAX ||
	    result->why == SMTP_WHY_DOMAIN_MAX;
}

/* Is another connection worth a try at once? */
static bool
may_again(const struct relay_mail *m, const struct smtp_result *result)
{
	if (result->outcome != SMTP_UNSENT ||
	    result->why == SMTP_WHY_SOURCE || result->why == SMTP_WHY_MEMORY ||
	    result->why == SMTP_WHY_STOPPED)
		return false;
	return is_part(result) ? m->nparts < RELAY_PARTS :
	    m->ntries + 1 < RELAY_TRIES;
}

static void
on_rcpt(void *closure, struct relay_conn *conn, size_t i,
    const struct smtp_result *result)
{
	struct relay_hop *hop = closure;
	struct relay_mail *m = conn->mail;
	struct job_error je;

	if (hop->h->is_stopped && result->outcome == SMTP_UNSENT) {
		m->results[m->nresults++] = (struct job_result){
			.job = m->jobs[i].job, .errnum = ESTALE };
		return;
	}
	if (may_again(m, result)) {
		m->is_again[i] = true;
		m->is_part = is_part(result);
		m->is_domain = m->is_domain ||
		    result->why == SMTP_WHY_DOMAIN_MAX;
		return;
	}
	m->results[m->nresults++] = relay_said_outcome(result,
	    smtp_ehlo_has(smtp_client_ehlo(conn->client), SMTP_HAS(DSN)),
	    m->jobs[i].job, conn->remote, &je);
	tell_error(hop->h, &je);
}

/* There was no memory to keep them for another connection. */
static void
fail_rest(struct relay_hops *h, struct relay_mail *m)
{
	struct job_error je;
	struct job_result jr = { .errnum = ENOMEM };
	size_t i;

	for (i = 0; i < m->njobs; i++) {
		if (!m->is_again[i])
			continue;
		relay_said_failure(ENOMEM, NULL, "", &je);
		je.job = jr.job = m->jobs[i].job;
		tell_error(h, &je);
		tell_done(h, &jr, 1);
	}
}

/* Some recipients of ${m} are for another connection, or for a part of their own. */
static void
send_rest(struct relay_hop *hop, struct relay_mail *m)
{
	struct relay_hops *h = hop->h;
	struct relay_mail *again = relay_mail_again(m);

	if (again == NULL)
		return;
	if (h->is_draining) {
		h->nmails++;
		if (h->is_stopped)
			give_back(h, again);
		else
			mail_end(h, again);
		return;
	}
	/* a session takes no other domain than before (RFC 9422 4.3) */
	again->is_for_new = m->is_domain;
	put_mail(hop, again, true);
	if (again->is_for_new)
		relay_hops_go(h);
}

static void
on_done(void *closure, struct relay_conn *conn)
{
	struct relay_hop *hop = closure;
	struct relay_mail *m = conn->mail;
	struct relay_hops *h = hop->h;

	conn->mail = NULL;
	tell_done(h, m->results, m->nresults);
	if (m->is_part)
		m->nparts++;
	else
		m->ntries++;
	set_state(hop, conn, CONN_WOKEN);
	send_rest(hop, m);
	fail_rest(h, m);
	mail_end(h, m);
	if (h->nmails == 0 && !h->is_ending)
		h->ops->idle(h->closure);
}

/* What it was to take is for others.  One that has not asked for a mail yet goes
 * on as CONN_OPENING: its end says why it could not be had. */
static void
on_leaving(void *closure, struct relay_conn *conn)
{
	struct relay_hop *hop = closure;

	if (conn->state != CONN_IDLE && conn->state != CONN_WOKEN)
		return;
	set_state(hop, conn, CONN_LEAVING);
	relay_hops_go(hop->h);
}

/* The handshake of TLS has failed.  Without TLS it may go better: as good as what
 * the server would get if it did not offer any (RFC 7435). */
static bool
do_without_tls(struct relay_hop *hop, const struct job_error *why)
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
	if (nready(hop) > 0) {
		hop->limit = nready(hop);
		hop->limit_ms = monotonic_ms() + LIMIT_MS;
	} else
		fail_waiting(hop, why, errnum);
}

/* The connection has ended before it asked for a message.  If others are opened
 * elsewhere by now, that is known already. */
static void
opening_failed(struct relay_hop *hop, size_t addr, const struct job_error *why,
    int errnum)
{
	if (addr == hop->current && !next_address(hop))
		all_failed(hop, why, errnum);
}

static void
on_ended(void *closure, struct relay_conn *conn, const struct job_error *why,
    int errnum)
{
	struct relay_hop *hop = closure;
	struct relay_hops *h = hop->h;
	bool is_opening = conn->state == CONN_OPENING;
	bool is_tls_failed = conn->is_tls_failed;
	size_t addr = conn->hop_addr;

	if (conn->state == CONN_IDLE)
		TAILQ_REMOVE(&h->idle, conn, idle);
	TAILQ_REMOVE(&hop->conns, conn, link);
	hop->count[conn->state]--;
	h->nleaving -= conn->state == CONN_LEAVING;
	hop->nconns--;
	h->nconns--;
	relay_conn_free(conn);
	if (h->is_ending)
		return;
	if (is_opening && !(is_tls_failed && do_without_tls(hop, why)))
		opening_failed(hop, addr, why, errnum);
	relay_hops_go(h);
	if (h->nmails == 0)
		h->ops->idle(h->closure);
}

static const struct relay_conn_ops conn_ops = {
	.next = on_next,
	.read = on_read,
	.rcpt = on_rcpt,
	.done = on_done,
	.leaving = on_leaving,
	.ended = on_ended
};

/* --- opening them --------------------------------------------------------- */

static void
on_timer(void *closure)
{
	struct relay_hops *h = closure;

	h->timer = NULL;
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
	if (nready(hop) == 0 &&
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
		conn = relay_conn_open(&target, &conn_ops, hop);
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

static bool
may_open(struct relay_hop *hop)
{
	size_t n = hop->nwaiting - hop->nfor_new;

	n -= MIN(n, hop->count[CONN_WOKEN]);
	if (hop->nfor_new + n <= hop->count[CONN_OPENING])
		return false;
	/* one that shows whether it can be had */
	if (nready(hop) == 0 && hop->count[CONN_OPENING] > 0)
		return false;
	if (hop->nconns == 0 || monotonic_ms() >= hop->limit_ms)
		hop->limit = hop->max;
	return hop->nconns < hop->limit;
}

static void
hop_go(struct relay_hop *hop)
{
	struct relay_hops *h = hop->h;
	struct relay_conn *conn;

	while (hop->nwaiting - hop->nfor_new > hop->count[CONN_WOKEN] &&
	    (conn = TAILQ_FIRST(&hop->conns)) != NULL &&
	    conn->state == CONN_IDLE) {
		set_state(hop, conn, CONN_WOKEN);
		relay_conn_wake(conn);
	}
	while (may_open(hop)) {
		if (h->nconns >= h->max) {
			/* its end leads here again */
			if ((conn = TAILQ_FIRST(&h->idle)) != NULL)
				leave(conn->closure, conn);
			break;
		}
		if (!open_one(hop))
			break;
	}
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
			hop_go(hop);
	TAILQ_FOREACH_SAFE (hop, &h->wanting, wanting, next)
		hop_go(hop);
}

/* --- the end -------------------------------------------------------------- */

static void
leave_idle(struct relay_hops *h)
{
	struct relay_conn *conn;

	while ((conn = TAILQ_FIRST(&h->idle)) != NULL)
		leave(conn->closure, conn);
}

void
relay_hops_stop(struct relay_hops *h)
{
	struct relay_conn *conn;
	struct relay_hop *hop;
	struct relay_mail *m;

	h->is_draining = h->is_stopped = true;
	while ((hop = TAILQ_FIRST(&h->wanting)) != NULL)
		while ((m = take_mail(hop, true)) != NULL)
			give_back(h, m);
	TAILQ_FOREACH (hop, &h->list, link)
		TAILQ_FOREACH (conn, &hop->conns, link)
			if (conn->state == CONN_BUSY &&
			    !relay_mail_is_read(conn->mail))
				relay_conn_stop(conn);
	leave_idle(h);
}

void
relay_hops_drain(struct relay_hops *h)
{
	struct relay_hop *hop;
	struct relay_mail *m;

	h->is_draining = true;
	while ((hop = TAILQ_FIRST(&h->wanting)) != NULL)
		while ((m = take_mail(hop, true)) != NULL)
			mail_end(h, m);
	leave_idle(h);
}

bool
relay_hops_is_idle(const struct relay_hops *h)
{
	return h->nmails == 0;
}

void
relay_hops_free(struct relay_hops *h)
{
	struct relay_hop *hop;
	struct relay_mail *m;

	if (h == NULL)
		return;
	h->is_ending = true;
	after_cancel(&h->timer);
	while ((hop = TAILQ_FIRST(&h->list)) != NULL) {
		while (!TAILQ_EMPTY(&hop->conns))
			relay_conn_kill(TAILQ_FIRST(&hop->conns));
		while ((m = take_mail(hop, true)) != NULL)
			mail_end(h, m);
		TAILQ_REMOVE(&h->list, hop, link);
		free(hop->target);
		free(hop);
	}
	free(h->of_domain);
	free(h);
}
