/* AUTH: the worker asks authd.
 * Owns: the exchanges of this worker's sessions, by the number that authd gets;
 * how long an answer is waited for; the channel to authd.
 * Knows nothing of mechanisms.
 *
 * An exchange and its session point to each other (ac->host_auth).  It ends
 * with the last answer, or with host_auth_cancel(), which the protocol calls
 * whenever a session ends before that. */

#include <sys/tree.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/auth_request.h"
#include "cmd/mailmilld/worker/worker_int.h"
#include "cmd/settings/auth_spec.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "tls/tlsctx.h"
#include "tls/tlsio.h"

#define PATIENCE_MS	5000	/* on top of auth_timeout, which authd keeps */

struct host_exchange {
	RB_ENTRY(host_exchange)	 node;
	uint64_t		 id;
	struct worker		*worker;
	accept_construct	*ac;
	Event			*timer;		/* while authd is to answer; may be NULL */
	bool			 is_waiting;	/* for authd, else for the client */
	bool			 is_lost;	/* its authd has gone */
};

static int
exchange_cmp(const struct host_exchange *a, const struct host_exchange *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(host_exchanges, host_exchange, node, exchange_cmp)
RB_GENERATE(host_exchanges, host_exchange, node, exchange_cmp)

static void
exchange_free(struct host_exchange *x)
{
	RB_REMOVE(host_exchanges, &x->worker->exchanges, x);
	x->ac->host_auth = NULL;
	after_cancel(&x->timer);
	free(x);
}

/* --- answers -------------------------------------------------------------- */

/* Give the session its answer; anything but a challenge is the last one. */
static void
answer(struct host_exchange *x, enum esmtp_auth_status status,
    const char *why, const char *octets, size_t len)
{
	accept_construct *ac = x->ac;

	x->is_waiting = false;
	after_cancel(&x->timer);
	if (status != ESMTP_AUTH_CHALLENGE)
		exchange_free(x);
	if (status == ESMTP_AUTH_LATER)
		stats_inc(STATS_AUTH_LATER);
	else if (status == ESMTP_AUTH_BLOCKED)
		stats_inc(STATS_AUTH_BLOCKED);
	ac->failure = *why != '\0' ? why : NULL;
	esmtp_auth_done(ac, status, octets, len);
	schedule_event_and_dispatch(ac->event, E_ASYNC);
}

static void
on_timeout(void *closure)
{
	struct host_exchange *x = closure;
	struct msg_auth ma = { .id = x->id };

	x->timer = NULL;
	log_warnx("authd", "session=%s reason=%s", x->ac->id, "no answer");
	(void)chanev_send(x->worker->authd, A_CANCEL, &ma, NULL, 0, -1);
	answer(x, ESMTP_AUTH_LATER, "authd does not answer", NULL, 0);
}

static void
on_reply(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct host_exchange wanted, *x;
	struct msg_auth ma;

	memcpy(&ma, msg->base, sizeof(ma));
	wanted.id = ma.id;
	x = RB_FIND(host_exchanges, &w->exchanges, &wanted);
	/* it may have ended while the answer was on its way */
	if (x != NULL && x->is_waiting && ma.status <= ESMTP_AUTH_MALFORMED)
		answer(x, ma.status, esmtp_auth_why_text(ma.why),
		    msg->nentries > 0 ? msg->entries : "", msg->nentries);
}

static void
authd_gone(void *closure)
{
	host_auth_disconnect(closure);
}

static const struct chanev_ops authd_ops = {
	.on = { [A_REPLY] = on_reply },
	.gone = authd_gone
};

void
host_auth_connect(struct worker *w, int fd)
{
	host_auth_disconnect(w);
	w->authd = chanev_open(fd, ROLE_WORKER, ROLE_AUTHD, &authd_ops, w);
	if (w->authd == NULL)
		log_warn("authd-connect", "slot=%u", w->child->init.slot);
}

/* A session that waits for authd is answered now.  One whose client is to
 * answer a challenge is told when that answer comes. */
void
host_auth_disconnect(struct worker *w)
{
	struct host_exchange *x, *next;

	chanev_free(w->authd);
	w->authd = NULL;
	RB_FOREACH_SAFE(x, host_exchanges, &w->exchanges, next) {
		x->is_lost = true;
		if (x->is_waiting)
			answer(x, ESMTP_AUTH_LATER, "authd has ended", NULL,
			    0);
	}
}

/* --- questions ------------------------------------------------------------ */

static struct host_exchange *
exchange_new(struct worker *w, accept_construct *ac)
{
	struct host_exchange *x;

	if ((x = calloc(1, sizeof(*x))) == NULL)
		return NULL;
	x->id = ++w->exchange_ids;
	x->worker = w;
	x->ac = ac;
	RB_INSERT(host_exchanges, &w->exchanges, x);
	ac->host_auth = x;
	return x;
}

static void
wait_for_authd(struct host_exchange *x)
{
	const struct settings *s = x->worker->child->settings;

	x->is_waiting = true;
	/* without memory for it, LIM_AUTH_SECONDS of the session holds */
	x->timer = after_ms((unsigned int)s->auth_timeout * 1000 + PATIENCE_MS,
	    on_timeout, x);
}

/* Channel bindings (RFC 5056), for the mechanisms that have them. */
static void
put_bindings(const accept_construct *ac, struct auth_request *r)
{
	SSL *ssl;

	if (!esmtp_auth_mech_is_plus(r->mech, strlen(r->mech)) ||
	    (ssl = tlsio_ssl(ac->event)) == NULL)
		return;
	r->exporter_len = tls_exporter(ssl, r->exporter);
	r->endpoint_len = tls_server_end_point(ssl, r->endpoint);
}

static void
put_request(const accept_construct *ac, uint64_t id, const char *mech,
    const char *initial, size_t len, struct auth_request *r)
{
	memset(r, 0, sizeof(*r));
	r->id = id;
	r->session = ac->handle;
	strlcpy(r->mech, mech, sizeof(r->mech));
	strlcpy(r->log_id, ac->id, sizeof(r->log_id));
	r->initial = initial;
	r->initial_len = len;
	if (ac->tls == NULL)
		return;
	r->is_tls = true;
	/* a name that was cut would be another one: then none; after XCLIENT
	 * the certificate is not the client's */
	if (ac->tls->is_verified && ac->tls->peer_name != NULL &&
	    esmtp_session_via(ac) == NULL &&
	    strlcpy(r->peer_name, ac->tls->peer_name, sizeof(r->peer_name)) >=
	    sizeof(r->peer_name))
		r->peer_name[0] = '\0';
	put_bindings(ac, r);
}

static int
send_start(struct host_exchange *x, const char *mech, const char *initial,
    size_t len)
{
	uint8_t texts[MSG_AUTH_START_OCTETS];
	struct msg_auth_start mas;
	struct auth_request r;
	int n, rc = -1;

	put_request(x->ac, x->id, mech, initial, len, &r);
	n = auth_request_put(&r, &mas, texts, sizeof(texts));
	if (n == -1)
		errno = EINVAL;
	else
		rc = chanev_send(x->worker->authd, A_START, &mas, texts,
		    (unsigned int)n, -1);
	explicit_bzero(texts, n > 0 ? (size_t)n : 0);
	explicit_bzero(&r, sizeof(r));
	return rc;
}

int
host_auth_start(void *host, accept_construct *ac, const char *mech,
    const char *initial, size_t len)
{
	struct worker *w = host;
	struct host_exchange *x;

	if ((x = exchange_new(w, ac)) == NULL)
		goto err1;
	if (send_start(x, mech, initial, len) == -1)
		goto err2;
	wait_for_authd(x);
	return 0;
err2:
	exchange_free(x);
err1:
	ac->failure = "authd cannot be asked";
	stats_inc(STATS_AUTH_LATER);
	return -1;
}

int
host_auth_step(void *host, accept_construct *ac, const char *response,
    size_t len)
{
	struct worker *w = host;
	struct host_exchange *x = ac->host_auth;
	struct msg_auth ma = { 0 };

	if (x == NULL || x->is_lost || x->is_waiting ||
	    len > MSG_AUTH_STEP_OCTETS) {
		errno = ENOTCONN;
		goto err1;
	}
	ma.id = x->id;
	if (chanev_send(w->authd, A_STEP, &ma, len > 0 ? response : NULL,
	    (unsigned int)len, -1) == -1)
		goto err1;
	wait_for_authd(x);
	return 0;
err1:
	ac->failure = "authd has ended";
	stats_inc(STATS_AUTH_LATER);
	return -1;
}

void
host_auth_cancel(void *host, accept_construct *ac)
{
	struct worker *w = host;
	struct host_exchange *x = ac->host_auth;
	struct msg_auth ma = { 0 };

	if (x == NULL)
		return;
	ma.id = x->id;
	if (!x->is_lost)
		(void)chanev_send(w->authd, A_CANCEL, &ma, NULL, 0, -1);
	exchange_free(x);
}

const struct esmtp_auth_can *
host_auth_can(void *, accept_construct *ac)
{
	return auth_spec_can(ac->options->auth_backend);
}
