/* The way to TLS: the STARTTLS verb, implicit TLS, the handshake.
 * Owns: the order of things (the 220 leaves in the clear, what follows is a
 * handshake), what is forgotten after it.
 * Knows nothing of TLS itself: the host does that, below the session's Event.
 *
 * tls_start() is asked before the 220, so that its failure can still be the
 * 454 that RFC 3207 4 has for it.  Until the 220 has left, the session's Event
 * keeps the opset it had, and mc->opset and mc->io_data hold the TLS one. */

#include <errno.h>
#include <stdlib.h>

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_txn.h"
#include "proto/server/esmtp_verb.h"
#include "proto/server/esmtp_wait.h"

static void *
closure_of(const struct esmtp_host *host)
{
	return host->ops->tls_closure != NULL ? host->ops->tls_closure :
	    host->closure;
}

void
esmtp_tls_end(accept_construct *ac)
{
	const struct esmtp_host *host = ac->host;

	if (host->ops->tls_end != NULL)
		host->ops->tls_end(closure_of(host), ac);
}

static bool
is_available(const message_construct *mc)
{
	const struct esmtp_host_ops *ops = mc->ac->host->ops;

	return ops->tls_start != NULL && ops->tls_handshake != NULL &&
	    (ops->tls_closure != NULL ||
	    mc->ac->options->tls_certificate.n > 0);
}

/* RFC 3207 4.2: not again after the handshake. */
enum esmtp_reply_id
esmtp_tls_may_start(const message_construct *mc)
{
	if (mc->ac->tls != NULL)
		return RPL_TLS_ACTIVE;
	return is_available(mc) ? RPL_OK : RPL_NOT_IMPLEMENTED;
}

/* Exchange the Event's opset and the one kept. */
static void
swap_opset(message_construct *mc)
{
	Event *e = mc->ac->event;
	const event_io_opset *opset = e->io_opset;
	void *data = e->io_data;

	e->io_opset = mc->opset;
	e->io_data = mc->io_data;
	mc->opset = opset;
	mc->io_data = data;
}

void
esmtp_tls_raise(message_construct *mc)
{
	if (mc->tls_stage != TLS_GO_AHEAD)
		return;
	swap_opset(mc);
	mc->tls_stage = TLS_HANDSHAKE;
}

/* Have the host set the opset of TLS, and keep it aside until the 220 is
 * written. */
static int
start_below(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	struct esmtp_host *host = st->ac->host;

	mc->opset = st->event->io_opset;
	mc->io_data = st->event->io_data;
	st->ac->failure = NULL;
	if (host->ops->tls_start(closure_of(host), st->ac) == -1)
		return -1;
	swap_opset(mc);
	mc->tls_stage = TLS_GO_AHEAD;
	return 0;
}

enum esmtp_want
esmtp_cmd_starttls(struct esmtp_step *st, const char *, size_t)
{
	message_construct *mc = st->mc;
	enum esmtp_reply_id id = RPL_TLS_GO;
	enum esmtp_want w;

	/* RFC 3207 4: a client sends nothing between STARTTLS and the reply.
	 * Input that is there already comes from a confused client, or from
	 * an attacker on the way whose commands would be taken for the
	 * client's (CVE-2011-0411).  It may be a ClientHello: no commands. */
	if (st->has_more && st->ac->options->starttls_injection_policy ==
	    ESMTP_INJECTION_REJECT) {
		id = RPL_TLS_INJECTION;
		mc->is_closing = 1;
	} else if ((w = esmtp_flush(st)) != W_GO)
		return w;	/* replies to what came before go first */
	else if (start_below(st) == -1)
		id = RPL_TLS_LATER;
	esmtp_set_state(mc, ES_EXTENSION1);
	esmtp_reply(st, id);
	return W_GO;
}

/* The 220 has to be written before the first octet of TLS. */
static enum esmtp_want
go_ahead(struct esmtp_step *st)
{
	message_construct *mc = st->mc;
	enum esmtp_want w = esmtp_flush(st);

	if (w != W_GO)
		return w;
	esmtp_tls_raise(mc);
	esmtp_set_state(mc, ES_EXTENSION2);
	/* Allowed: it is kept, and read as if it had come inside TLS */
	if (st->ac->options->starttls_injection_policy !=
	    ESMTP_INJECTION_ALLOW)
		st->in_len = 0;
	esmtp_wait_for(st, WAIT_TLS);
	return W_GO;
}

enum esmtp_want
esmtp_tls_begin(struct esmtp_step *st)
{
	struct esmtp_host *host = st->ac->host;

	if (!is_available(st->mc))
		return esmtp_tls_failed(st, "no certificate is configured", 0);
	if (host->ops->tls_start(closure_of(host), st->ac) == -1)
		return esmtp_tls_failed(st, "cannot start TLS", errno);
	st->mc->tls_stage = TLS_HANDSHAKE;
	esmtp_wait_for(st, WAIT_TLS);
	return W_GO;
}

enum esmtp_want
esmtp_tls_failed(struct esmtp_step *st, const char *why, int errnum)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_TLS_FAILED };

	r.detail = why;
	r.errnum = errnum;
	esmtp_report(st, &r);
	return W_END;
}

/* RFC 3207 4.2: what the client has said before the handshake is discarded.
 * The counts that limits look at stay: the client did not say those. */
void
esmtp_forget(message_construct *mc)
{
	esmtp_txn_reset(mc);
	validate_context_forget(&mc->vctx);
	esmtp_auth_forget(mc);
	free(mc->helo);
	mc->helo = NULL;
	mc->is_esmtp = 0;
	mc->is_swallowing = 0;
}

static enum esmtp_want
handshake_done(struct esmtp_step *st)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_TLS };
	message_construct *mc = st->mc;

	mc->tls_stage = TLS_IDLE;
	mc->need_read = mc->need_write = 0;
	r.elapsed = moment_tv(moment_of(&st->now) - mc->wait_since);
	mc->wait_since = mc->idle_since = moment_of(&st->now);
	esmtp_wait_for(st, WAIT_WRITE);
	esmtp_report(st, &r);
	if (mc->state == ES_EXTENSION2) {
		esmtp_forget(mc);
		esmtp_set_state(mc, ES_EHLO);
	}
	/* the first command may have come with the end of the handshake */
	st->may_read = true;
	return W_GO;
}

enum esmtp_want
esmtp_tls_step(struct esmtp_step *st)
{
	struct esmtp_host *host = st->ac->host;
	enum esmtp_want w;
	int need = E_READ, errnum;

	if (st->mc->tls_stage == TLS_GO_AHEAD &&
	    (w = go_ahead(st)) != W_GO)
		return w;
	errno = 0;
	switch (host->ops->tls_handshake(closure_of(host), st->ac, &need)) {
	case 0:
		st->mc->need_read = (uint8_t)need;
		return esmtp_wait_for(st, WAIT_TLS);
	case 1:
		return handshake_done(st);
	default:
		errnum = errno;
		return esmtp_tls_failed(st, st->ac->failure != NULL ?
		    st->ac->failure : "the handshake failed", errnum);
	}
}
