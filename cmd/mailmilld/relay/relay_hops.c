/* All next hops: what their connections ask and tell, and their end.
 * Owns: which mail a connection gets, what becomes of what a server does not take.
 * Knows nothing of the protocol, and of the queue.
 *
 * A connection's states, and what makes each transition:
 *	OPENING		relay_hop_go()
 *	-> BUSY		next(): there is a mail
 *	-> IDLE		next(): there is none
 *	BUSY -> WOKEN	done(): it asks for the next one by itself
 *	IDLE -> WOKEN	relay_hop_go(): there is a mail for it
 *	any -> LEAVING	relay_hop_leave(), next(): it says QUIT when it asks
 *	IDLE, WOKEN -> LEAVING	leaving(): it says QUIT of itself */

#include "cmd/mailmilld/relay/relay_hop_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop/after.h"
#include "core/util/monotonic.h"

/* --- which mail a connection gets ----------------------------------------- */

/* Mail that needs a connection that there is not room for, and will not be when
 * those that leave have left. */
static bool
lacks_new(const struct relay_hop *hop)
{
	return (hop->bound->nconns >= hop->bound->limit ||
	    hop->h->nconns >= hop->h->env->max) &&
	    hop->nfor_new > hop->count[CONN_OPENING] +
	    hop->count[CONN_LEAVING];
}

/* Another next hop, which has no connection, waits for its place. */
static bool
is_wanted(const struct relay_conn *conn)
{
	return relay_bounds_are_wanted(conn->bounds);
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
	if (lacks_new(hop) || is_wanted(conn))
		return true;
	if (h->nconns < h->env->max)
		return false;
	TAILQ_FOREACH (hop, &h->wanting, wanting)
		n += hop->nconns == 0;
	return n > h->nleaving;
}

/* The server has offered TLS, and has not begun it when it was asked to: it may another
 * time (RFC 3207 4: 454). */
static bool
may_begin_tls(const struct relay_conn *conn)
{
	return conn->wants_tls && !smtp_client_is_tls(conn->client) &&
	    smtp_ehlo_has(smtp_client_ehlo(conn->client), SMTP_HAS(STARTTLS));
}

/* The server promises it, and whether it is the right one nobody can say here. */
static bool
is_unchecked(const struct relay_conn *conn)
{
	return conn->is_blind && conn->is_sure &&
	    smtp_client_is_tls(conn->client) &&
	    smtp_ehlo_has(smtp_client_ehlo(conn->client), SMTP_HAS(REQUIRETLS));
}

/* RFC 8689 4.2.1: QUIT, and the next of the hosts, unless the server promises TLS for the
 * rest of the way. */
static bool
takes_its_mail(struct relay_hop *hop, struct relay_conn *conn)
{
	struct job_error why;
	bool is_ours;

	if (hop->kind != HOP_KEEPS_TLS || smtp_client_keeps_tls(conn->client))
		return true;
	is_ours = is_unchecked(conn);
	relay_said_failure(EREMOTEIO, is_ours ? "whether it is the right server "
	    "cannot be checked: this server could not read its authorities "
	    "(TLS_CA_File, event relay-authorities)" : "the server does not "
	    "promise TLS for the rest of the way", conn->remote, &why);
	strlcpy(why.enhanced, is_ours ? "4.7.5" : "5.7.30",
	    sizeof(why.enhanced));
	relay_way_lacks(&hop->way, conn->place, &why, !is_ours &&
	    !may_begin_tls(conn));
	return false;
}

/* May ${conn}, which asks, have mail now?  Else what waits for ${hop} is put off, but
 * for what other connections are about to ask for. */
static bool
may_have(struct relay_hop *hop, const struct relay_conn *conn)
{
	size_t npending = hop->count[CONN_OPENING] + hop->count[CONN_WOKEN];

	npending -= conn->state == CONN_OPENING || conn->state == CONN_WOKEN;
	if (relay_hop_may_send(hop, conn->bounds[BOUND_HOST], npending))
		return true;
	relay_hop_put_off(hop, conn->bounds[BOUND_HOST], npending);
	return false;
}

static struct relay_mail *
on_next(void *closure, struct relay_conn *conn)
{
	struct relay_hop *hop = closure;
	struct relay_hops *h = hop->h;
	const struct settings_domain *own = h->env->settings->default_domain;
	struct job_error je;
	struct relay_mail *m;
	bool is_new = conn->state == CONN_OPENING;
	int errnum;

	if (is_new && !takes_its_mail(hop, conn)) {
		relay_hop_set_state(hop, conn, CONN_LEAVING);
		relay_hops_go(h);
		return NULL;
	}
	if (is_new)
		relay_way_good(&hop->way, conn->place, conn->login.nrefused);
	if (gives_way(h, conn))
		relay_hop_set_state(hop, conn, CONN_LEAVING);
	else if (!is_new && monotonic_ms() >= conn->end_ms) {
		relay_hop_set_state(hop, conn, CONN_LEAVING);
		/* by one that is opened under what holds now */
		if (!h->is_draining)
			relay_hop_go(hop);
	}
	while (conn->state != CONN_LEAVING && !h->is_draining &&
	    may_have(hop, conn) &&
	    (m = relay_hop_take(hop, is_new)) != NULL) {
		if (relay_mail_load(m, h->sources, own == NULL ? NULL :
		    own->name) == 0) {
			relay_hop_sent(hop, conn->bounds[BOUND_HOST]);
			relay_hop_set_state(hop, conn, CONN_BUSY);
			/* it can be had: the others may follow */
			relay_hop_go(hop);
			return m;
		}
		errnum = errno;
		relay_said_failure(errnum, "the message cannot be read from "
		    "the spool", "", &je);
		strlcpy(je.enhanced, "4.3.0", sizeof(je.enhanced));
		relay_hop_fail_mail(h, m, &je, errnum, 0);
	}
	/* where there is no room for others' connections, this one makes it */
	relay_hop_set_state(hop, conn, conn->state == CONN_LEAVING ||
	    h->is_draining || is_wanted(conn) ||
	    (h->nconns >= h->env->max && !TAILQ_EMPTY(&h->wanting)) ?
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

/* --- outcomes ------------------------------------------------------------- */

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
	/* another host may have it; one whose needs are known to be met took it */
	if (result->why == SMTP_WHY_REQUIRETLS && hop->kind == HOP_PLAIN) {
		m->is_again[i] = m->needs_keeping = true;
		return;
	}
	/* it is another one's turn */
	if (result->why == SMTP_WHY_TIMEOUT)
		relay_way_late(&hop->way, conn->place);
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
	if (result->outcome == SMTP_ACCEPTED)
		relay_said_with(conn, (m->env.flags & SPOOL_ENV_SMTPUTF8) != 0,
		    je.with);
	relay_hop_tell_error(hop->h, &je);
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
		relay_hop_tell_error(h, &je);
		relay_hop_tell_done(h, &jr, 1);
	}
}

/* ${m} needs a server that keeps TLS. */
static void
send_keeping(struct relay_hop *hop, struct relay_mail *m)
{
	struct relay_hop *other = relay_hop_of_kind(hop, HOP_KEEPS_TLS);
	struct relay_hops *h = hop->h;
	struct job_error je;

	if (other != NULL) {
		relay_hop_put(other, m, false);
		relay_hops_go(h);
		return;
	}
	h->nmails++;
	h->njobs += m->njobs;
	relay_said_failure(ENOMEM, NULL, "", &je);
	relay_hop_fail_mail(h, m, &je, ENOMEM, JOB_UNASKED);
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
		h->njobs += again->njobs;
		if (h->is_stopped)
			relay_hop_give_back(h, again, 0);
		else
			relay_hop_mail_end(h, again);
		return;
	}
	if (m->needs_keeping) {
		send_keeping(hop, again);
		return;
	}
	/* a session takes no other domain than before (RFC 9422 4.3) */
	again->is_for_new = m->is_domain;
	relay_hop_put(hop, again, true);
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
	relay_hop_tell_done(h, m->results, m->nresults);
	if (m->is_part)
		m->nparts++;
	else
		m->ntries++;
	relay_hop_set_state(hop, conn, CONN_WOKEN);
	send_rest(hop, m);
	fail_rest(h, m);
	relay_hop_mail_end(h, m);
	if (h->nmails == 0 && !h->is_ending)
		h->ops->idle(h->closure);
}

/* --- the beginning and the end of a connection ----------------------------- */

static void
on_tls(void *closure, struct relay_conn *conn, enum relay_result result,
    const char *reason)
{
	struct relay_hop *hop = closure;

	relay_tell_end(hop->h->env->tell, conn->told, result, reason);
}

static void
on_connected(void *closure, struct relay_conn *conn)
{
	relay_hop_connected(closure, conn);
}

static void
on_late(void *closure, struct relay_conn *conn)
{
	relay_hop_late(closure, conn);
}

/* What it was to take is for others.  One that has not asked for a mail yet goes
 * on as CONN_OPENING: its end says why it could not be had. */
static void
on_leaving(void *closure, struct relay_conn *conn)
{
	struct relay_hop *hop = closure;

	if (conn->state != CONN_IDLE && conn->state != CONN_WOKEN)
		return;
	relay_hop_set_state(hop, conn, CONN_LEAVING);
	relay_hops_go(hop->h);
}

static void
on_ended(void *closure, struct relay_conn *conn, const struct job_error *why,
    int errnum)
{
	struct relay_hop *hop = closure;
	struct relay_hops *h = hop->h;
	bool is_failed = conn->state == CONN_OPENING && !conn->is_beaten;
	bool is_tls_failed = conn->is_tls_failed;
	enum relay_level level = conn->level;
	uint64_t place = conn->place;

	if (conn->state == CONN_IDLE)
		TAILQ_REMOVE(&h->idle, conn, idle);
	TAILQ_REMOVE(&hop->conns, conn, link);
	hop->count[conn->state]--;
	h->nleaving -= conn->state == CONN_LEAVING;
	hop->nconns--;
	h->nconns--;
	relay_bounds_end(&h->bounds, conn->bounds, conn->state);
	if (conn->state == CONN_LEAVING)
		relay_hop_gave_way(hop);
	relay_conn_free(conn);
	if (h->is_ending)
		return;
	if (is_failed && !(is_tls_failed &&
	    relay_hop_without_tls(hop, place, level, why)))
		relay_hop_unopened(hop, place, why, errnum);
	relay_hops_go(h);
	if (h->nmails == 0)
		h->ops->idle(h->closure);
}

static const struct relay_conn_ops conn_ops = {
	.next = on_next,
	.read = on_read,
	.rcpt = on_rcpt,
	.done = on_done,
	.tls = on_tls,
	.connected = on_connected,
	.late = on_late,
	.leaving = on_leaving,
	.ended = on_ended
};

/* --- all of them ---------------------------------------------------------- */

struct relay_hops *
relay_hops_new(const struct relay_env *env, struct spool_sources *sources,
    const struct relay_ops *ops, void *closure)
{
	struct relay_hops *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return NULL;
	h->of_domain = calloc(env->settings->ndomains + 1,
	    sizeof(*h->of_domain));
	if (h->of_domain == NULL) {
		free(h);
		return NULL;
	}
	h->env = env;
	h->conn_ops = &conn_ops;
	h->sources = sources;
	h->ways = (struct relay_ways){ .open = mx_open, .more = mx_more,
		.close = mx_close, .ask_sts = sts_ask, .cancel_sts = sts_cancel,
		.now_ms = monotonic_ms, .lookup = env->lookup, .sts = env->sts,
		.self = env->self, .tell = env->tell,
		.found = relay_hop_found };
	h->ops = ops;
	h->closure = closure;
	TAILQ_INIT(&h->idle);
	TAILQ_INIT(&h->list);
	TAILQ_INIT(&h->mx_list);
	RB_INIT(&h->mx_tree);
	relay_bounds_init(&h->bounds);
	TAILQ_INIT(&h->wanting);
	return h;
}

static void
leave_idle(struct relay_hops *h)
{
	struct relay_conn *conn;

	while ((conn = TAILQ_FIRST(&h->idle)) != NULL)
		relay_hop_leave(conn->closure, conn);
}

/* What has not been sent to its end. */
static void
stop_unsent(struct relay_hop *hop)
{
	struct relay_conn *conn;

	TAILQ_FOREACH (conn, &hop->conns, link)
		if (conn->state == CONN_BUSY &&
		    !relay_mail_is_read(conn->mail))
			relay_conn_stop(conn);
}

void
relay_hops_stop(struct relay_hops *h)
{
	struct relay_hop *hop;
	struct relay_mail *m;

	h->is_draining = h->is_stopped = true;
	while ((hop = TAILQ_FIRST(&h->wanting)) != NULL)
		while ((m = relay_hop_take(hop, true)) != NULL)
			relay_hop_give_back(h, m, 0);
	TAILQ_FOREACH (hop, &h->list, link)
		stop_unsent(hop);
	TAILQ_FOREACH (hop, &h->mx_list, link)
		stop_unsent(hop);
	leave_idle(h);
}

void
relay_hops_drain(struct relay_hops *h)
{
	struct relay_hop *hop;
	struct relay_mail *m;

	h->is_draining = true;
	while ((hop = TAILQ_FIRST(&h->wanting)) != NULL)
		while ((m = relay_hop_take(hop, true)) != NULL)
			relay_hop_mail_end(h, m);
	leave_idle(h);
}

bool
relay_hops_is_idle(const struct relay_hops *h)
{
	return h->nmails == 0;
}

static void
free_list(struct relay_hop_list *list)
{
	struct relay_hop *hop;

	while ((hop = TAILQ_FIRST(list)) != NULL) {
		while (!TAILQ_EMPTY(&hop->conns))
			relay_conn_kill(TAILQ_FIRST(&hop->conns));
		relay_hop_free(hop);
	}
}

void
relay_hops_free(struct relay_hops *h)
{
	if (h == NULL)
		return;
	h->is_ending = true;
	after_cancel(&h->timer);
	after_cancel(&h->watch);
	free_list(&h->list);
	free_list(&h->mx_list);
	relay_bounds_free(&h->bounds);
	free(h->of_domain);
	free(h);
}
