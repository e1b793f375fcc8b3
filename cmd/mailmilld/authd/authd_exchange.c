/* The exchanges of authd: a worker's message goes to a thread of the pool, and
 * the thread's answer goes back to the worker.
 * Owns: struct authd_exchange, its stages, how long an answer is held back, the
 * time limits.
 * Knows nothing of SASL or back ends but their calls, nor of which mechanisms a
 * listener offers (authd_offer.c), nor of which failure counters an attempt is
 * charged to (authd_attempt.c).
 *
 * Stages, and what moves it from one to the next:
 *	WORK -> CLIENT		a challenge was sent (job_done)
 *	WORK -> HELD		it failed; the answer is held back (job_done)
 *	WORK -> gone		any other answer was sent; auth_timeout
 *	CLIENT -> WORK		A_STEP
 *	CLIENT -> gone		no A_STEP comes, or another needs its place
 *	HELD -> gone		the answer was sent
 *	any -> gone		A_CANCEL, or the worker has gone
 * An exchange that goes while a thread works on it is an orphan until the
 * thread returns: its verdict still counts for the limits. */

#include "cmd/mailmilld/authd/authd_exchange_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/sasl/auth_mech.h"
#include "core/lim.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"
#include "core/util/wipe.h"

#define CLIENT_MS	60000	/* after Command_Timeout, the worker's */
#define HELD_MS		2000	/* after auth_timeout: the worker still waits */

static int
exchange_cmp(const struct authd_exchange *a, const struct authd_exchange *b)
{
	return a->request.id < b->request.id ? -1 :
	    a->request.id > b->request.id;
}

RB_PROTOTYPE(authd_exchanges, authd_exchange, node, exchange_cmp)
RB_GENERATE(authd_exchanges, authd_exchange, node, exchange_cmp)

static uint64_t
timeout_ms(const struct authd *a)
{
	return (uint64_t)a->child->settings->auth_timeout * 1000;
}

/* --- the end of an exchange ----------------------------------------------- */

static void
exchange_free(struct authd_exchange *e)
{
	after_cancel(&e->timer);
	auth_exchange_free(e->x);
	wipe_free(e->in, e->in_len);
	wipe_free(e->out, e->out_len);
	wipe_free(e, sizeof(*e));
}

/* Take it off the worker: nobody waits for its answer any more. */
static void
leave(struct authd_exchange *e)
{
	if (e->stage == CLIENT)
		TAILQ_REMOVE(&e->client->resting, &e->rest, link);
	authd_client_leave(e->worker, e->client);
	RB_REMOVE(authd_exchanges, &e->worker->exchanges, e);
	e->worker->nexchanges--;
	e->worker = NULL;
	after_cancel(&e->timer);
}

static void
give_up(struct authd_exchange *e)
{
	leave(e);
	if (e->stage == WORK && !auth_pool_withdraw(e->authd->pool, &e->job)) {
		LIST_INSERT_HEAD(&e->authd->orphans, e, orphan);
		return;
	}
	if (e->stage != HELD)
		authd_attempt_take_back(e);
	exchange_free(e);
}

void
authd_exchanges_end(struct authd_worker *w)
{
	struct authd_exchange *e;

	while ((e = RB_ROOT(&w->exchanges)) != NULL)
		give_up(e);
}

void
authd_orphans_free(struct authd *a)
{
	struct authd_exchange *e;

	while ((e = LIST_FIRST(&a->orphans)) != NULL) {
		LIST_REMOVE(e, orphan);
		exchange_free(e);
	}
}

/* --- answers -------------------------------------------------------------- */

static void
reply(struct authd_worker *w, uint64_t id, enum esmtp_auth_status status,
    enum esmtp_auth_why why, const char *octets, size_t len)
{
	struct msg_auth ma = { .id = id, .status = status, .why = why };

	if (len > LIM_AUTH_CHALLENGE) {
		log_errx("authd-reply", "octets=%zu reason=%s", len,
		    "too long a challenge");
		ma.status = ESMTP_AUTH_LATER;
		len = 0;
	}
	if (chanev_send(w->ce, A_REPLY, &ma, len > 0 ? octets : NULL,
	    (unsigned int)len, -1) == -1 && errno == ENOBUFS)
		authd_complain(w, "does not read its answers");
}

/* Send the last answer and free the exchange. */
static void
conclude(struct authd_exchange *e)
{
	const char *login = e->status == ESMTP_AUTH_LATER ? "" : e->login;

	reply(e->worker, e->request.id, e->status, e->why, login,
	    strlen(login));
	leave(e);
	exchange_free(e);
}

static void
on_held(void *closure)
{
	struct authd_exchange *e = closure;

	e->timer = NULL;
	conclude(e);
}

/* Hold a failure's answer back, so that guessing is slow.  It is sent before
 * the worker's own timeout; and at once if half of the exchanges of the worker,
 * or of the client, are taken, so that failures leave room for others. */
static void
hold(struct authd_exchange *e)
{
	uint64_t now_ms = monotonic_ms(), until_ms;
	unsigned int ms;

	(void)pthread_mutex_lock(&e->authd->limit_lock);
	ms = auth_limit_delay(e->authd->limit, &e->attempt, now_ms);
	(void)pthread_mutex_unlock(&e->authd->limit_lock);
	until_ms = e->began_ms + timeout_ms(e->authd) + HELD_MS;
	if (now_ms + ms > until_ms)
		ms = now_ms < until_ms ? (unsigned int)(until_ms - now_ms) : 0;
	e->stage = HELD;
	if (e->worker->nexchanges <= AUTHD_EXCHANGES_MAX / 2 &&
	    e->client->n <= AUTHD_CLIENT_MAX / 2)
		e->timer = after_ms(ms, on_held, e);
	if (e->timer == NULL)
		conclude(e);
}

/* --- a step --------------------------------------------------------------- */

static const char *
hostname(const struct esmtp_options *o)
{
	return *o->banner_hostname != '\0' ? o->banner_hostname : o->hostname;
}

static struct auth_exchange *
open_exchange(struct authd_exchange *e)
{
	const struct auth_request *r = &e->request;
	struct auth_start start = {
		.mech = r->mech, .back = e->back,
		.hostname = hostname(e->options),
		.now = time(NULL),
		.client = {
			.peer = vouched_client(&e->who), .is_tls = r->is_tls,
			.session = r->log_id,
			.peer_name = *r->peer_name != '\0' ? r->peer_name :
			    NULL,
			.deadline_ms = e->began_ms +
			    timeout_ms(e->authd)
		},
		.exporter = r->exporter, .exporter_len = r->exporter_len,
		.endpoint = r->endpoint, .endpoint_len = r->endpoint_len,
		.is_plus_offered = authd_offer_has_plus(r, e->options,
		    &e->who)
	};
	struct auth_exchange *x = auth_exchange_new(&start);

	if (x == NULL)
		log_err("auth-exchange", "session=%s mechanism=%s", r->log_id,
		    r->mech);
	else
		auth_exchange_on_login(x, authd_attempt_may, e);
	return x;
}

static void
job_run(struct auth_job *job)
{
	struct authd_exchange *e = (struct authd_exchange *)job;
	const char *login;

	e->status = ESMTP_AUTH_LATER;
	e->why = ESMTP_WHY_BACKEND;
	if (e->x != NULL || (e->x = open_exchange(e)) != NULL) {
		e->status = auth_exchange_step(e->x, e->in, e->in_len,
		    e->began_ms + timeout_ms(e->authd), &e->out,
		    &e->out_len);
		e->why = auth_exchange_why(e->x);
		if ((login = auth_exchange_login(e->x)) != NULL)
			strlcpy(e->login, login, sizeof(e->login));
	}
	wipe_free(e->in, e->in_len);
	e->in = NULL;
}

static void
on_silent_client(void *closure)
{
	struct authd_exchange *e = closure;

	e->timer = NULL;
	give_up(e);
}

static void
challenge(struct authd_exchange *e)
{
	reply(e->worker, e->request.id, ESMTP_AUTH_CHALLENGE, ESMTP_WHY_NONE,
	    e->out, e->out_len);
	if (e->out_len > LIM_AUTH_CHALLENGE) {
		give_up(e);
		return;
	}
	wipe_free(e->out, e->out_len);
	e->out = NULL;
	e->stage = CLIENT;
	e->rest.since_ms = monotonic_ms();
	TAILQ_INSERT_TAIL(&e->client->resting, &e->rest, link);
	e->timer = after_ms((unsigned int)e->options->command_timeout * 1000 +
	    CLIENT_MS, on_silent_client, e);
}

static void
job_done(struct auth_job *job)
{
	struct authd_exchange *e = (struct authd_exchange *)job;

	authd_attempt_settle(e);
	if (e->worker == NULL) {
		LIST_REMOVE(e, orphan);
		exchange_free(e);
		return;
	}
	after_cancel(&e->timer);
	if (e->status == ESMTP_AUTH_CHALLENGE)
		challenge(e);
	else if (e->status == ESMTP_AUTH_FAILED ||
	    e->status == ESMTP_AUTH_BLOCKED)
		hold(e);
	else
		conclude(e);
}

static void
stuck(struct authd *a)
{
	if (a->is_stuck)
		return;
	a->is_stuck = true;
	log_errx("authd-stuck", "threads=%lld effect=%s",
	    (long long)a->child->settings->auth_threads,
	    "no back end answers, ending to be started again");
	child_exit(a->child);
}

/* The back end has not answered within auth_timeout.  A thread cannot be
 * stopped; the others go on.  If all of them hang, authd ends. */
static void
on_timeout(void *closure)
{
	struct authd_exchange *e = closure;
	struct authd *a = e->authd;

	e->timer = NULL;
	log_warnx("auth-timeout", "session=%s mechanism=%s backend=%s",
	    e->request.log_id, e->request.mech, e->options->auth_backend);
	reply(e->worker, e->request.id, ESMTP_AUTH_LATER, ESMTP_WHY_TIMEOUT,
	    NULL, 0);
	give_up(e);
	if (auth_pool_stuck_ms(a->pool, monotonic_ms()) >
	    AUTHD_STUCK_TIMES * timeout_ms(a) + a->stuck_ms)
		stuck(a);
}

/* Have a thread do the next step of the exchange with the client's octets
 * ${in}; NULL: there was no initial response. */
static void
step(struct authd_exchange *e, const char *in, size_t len)
{
	if (e->stage == CLIENT)
		TAILQ_REMOVE(&e->client->resting, &e->rest, link);
	e->stage = WORK;
	if (in != NULL) {
		if ((e->in = malloc(len + 1)) == NULL) {
			log_err("auth-exchange", "session=%s",
			    e->request.log_id);
			reply(e->worker, e->request.id, ESMTP_AUTH_LATER,
			    ESMTP_WHY_BACKEND, NULL, 0);
			give_up(e);
			return;
		}
		memcpy(e->in, in, len);
		e->in[len] = '\0';
	}
	e->in_len = len;
	e->began_ms = monotonic_ms();
	after_cancel(&e->timer);
	/* if there is no memory for a timer, the worker's own ends it */
	e->timer = after_ms((unsigned int)timeout_ms(e->authd), on_timeout,
	    e);
	auth_pool_add(e->authd->pool, &e->worker->lane, &e->job);
}

/* --- messages ------------------------------------------------------------- */

static struct authd_exchange *
exchange_find(struct authd_worker *w, uint64_t id)
{
	struct authd_exchange wanted;

	wanted.request.id = id;
	return RB_FIND(authd_exchanges, &w->exchanges, &wanted);
}

/* Make room for one exchange more of ${c}, which ${c->n} counts already: end the
 * one that rests longest of a client that has too many.  Its worker is told at
 * the next step.  False: all that could make room are at work. */
static bool
make_room(struct authd_worker *w, const struct authd_client *c)
{
	const struct authd_rest *oldest = TAILQ_FIRST(&c->resting);
	struct authd_exchange *e = NULL;

	if (c->n > AUTHD_CLIENT_MAX)
		e = oldest != NULL ? oldest->exchange : NULL;
	else if (w->nexchanges >= AUTHD_EXCHANGES_MAX)
		e = authd_clients_oldest(w);
	else
		return true;
	authd_complain(w, "too many exchanges at once");
	if (e != NULL)
		give_up(e);
	return e != NULL;
}

static struct authd_exchange *
exchange_new(struct authd_worker *w, const struct auth_request *r,
    const struct vouched *who, const struct esmtp_options *o)
{
	struct authd_client *c = authd_client_join(w, vouched_client(who));
	struct authd_exchange *e = NULL;

	if (c == NULL || (make_room(w, c) &&
	    (e = calloc(1, sizeof(*e))) == NULL))
		log_err("auth-exchange", "session=%s", r->log_id);
	if (e == NULL) {
		if (c != NULL)
			authd_client_leave(w, c);
		return NULL;
	}
	e->job.run = job_run;
	e->job.done = job_done;
	e->authd = w->authd;
	e->worker = w;
	e->client = c;
	e->rest.exchange = e;
	e->stage = WORK;
	e->request = *r;
	e->request.initial = NULL;
	e->who = *who;
	e->slot = w->who.slot;
	e->options = o;
	e->back = authd_back_find(w->authd, o->auth_backend);
	RB_INSERT(authd_exchanges, &w->exchanges, e);
	w->nexchanges++;
	return e;
}

/* Whose session is it?  NULL, or why the request is refused, which is a complaint
 * about the worker unless it is "".  An honest worker, too, may name a session that
 * has ended: then it has said A_CANCEL meanwhile. */
static const char *
identify(const struct authd_worker *w, uint64_t session, struct vouched *who_r)
{
	if (w->vouch == NULL)
		return "its sessions are not known";
	switch (vouch_find(w->vouch, session, who_r)) {
	case VOUCH_FOUND:
		return who_r->listener < w->authd->child->settings->nlistens ?
		    NULL : "a session of an unknown listener";
	case VOUCH_ENDED:
		return "";
	default:
		return "a session that it does not have";
	}
}

void
authd_on_start(void *closure, struct channel_msg *msg)
{
	struct authd_worker *w = closure;
	const struct esmtp_options *o = NULL;
	struct auth_request r;
	struct authd_exchange *e;
	struct vouched who;
	const char *why;

	if (auth_request_parse(msg->base, msg->entries, msg->nentries, &r) ==
	    -1 || exchange_find(w, r.id) != NULL) {
		authd_complain(w, "a request that is not understood");
		return;
	}
	if ((why = identify(w, r.session, &who)) == NULL) {
		o = settings_options_for(w->authd->child->settings,
		    who.listener, vouched_client(&who));
		why = authd_offer_objection(&r, o, &who);
	}
	if (why != NULL && *why != '\0')
		authd_complain(w, why);
	if (why != NULL || (e = exchange_new(w, &r, &who, o)) == NULL)
		reply(w, r.id, ESMTP_AUTH_LATER, why != NULL ?
		    ESMTP_WHY_REFUSED : ESMTP_WHY_CROWD, NULL, 0);
	else
		step(e, r.initial, r.initial_len);
	explicit_bzero(&r, sizeof(r));
}

void
authd_on_step(void *closure, struct channel_msg *msg)
{
	struct authd_worker *w = closure;
	const char *in = msg->nentries == 0 ? "" : msg->entries;
	struct authd_exchange *e;
	struct msg_auth ma;

	memcpy(&ma, msg->base, sizeof(ma));
	if ((e = exchange_find(w, ma.id)) == NULL)
		reply(w, ma.id, ESMTP_AUTH_LATER, ESMTP_WHY_GIVEN_UP, NULL, 0);
	else if (e->stage != CLIENT)
		authd_complain(w, "a step out of turn");
	else
		step(e, in, msg->nentries);
}

void
authd_on_cancel(void *closure, struct channel_msg *msg)
{
	struct authd_worker *w = closure;
	struct authd_exchange *e;
	struct msg_auth ma;

	memcpy(&ma, msg->base, sizeof(ma));
	/* not found: the last answer and the message crossed */
	if ((e = exchange_find(w, ma.id)) != NULL)
		give_up(e);
}
