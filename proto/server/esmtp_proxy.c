/* The PROXY header before all else: from the wire to the client's address.
 * Owns: that just the header is read, and what a bad one leads to.
 * Knows nothing of its form: proxyhdr.h does. */

#include <errno.h>
#include <string.h>

#include "core/util/addr.h"
#include "proto/parse/proxyhdr.h"
#include "proto/server/esmtp_ext.h"
#include "proto/server/esmtp_int.h"

/* Close without a reply: the peer is a proxy, which reads none, or something
 * that should not connect to this port. */
static enum esmtp_want
refuse(struct esmtp_step *st, const char *why)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_REJECTED };
	char head[PROXYHDR_V1_MAX + 1];
	size_t n = st->in_len < PROXYHDR_V1_MAX ? st->in_len : PROXYHDR_V1_MAX;

	memcpy(head, st->in, n);
	head[n] = '\0';
	esmtp_answering(st, "PROXY", "", 0);
	r.arg = head;
	r.detail = why;
	esmtp_report(st, &r);
	return W_END;
}

void
esmtp_proxy_hear(message_construct *mc)
{
	accept_construct *ac = mc->ac;
	struct answer a;

	if (answers_take(&ac->host->answers, &ac->questions, ASK_PEER, &a))
		esmtp_peer_done(ac, a.value != 0);
}

/* The header names the client: take its address, and the options for it; hear
 * whether the host lets it in. */
static enum esmtp_want
set_peer(struct esmtp_step *st, const struct proxyhdr *h)
{
	struct esmtp_host *host = st->ac->host;
	accept_construct *ac = st->ac;
	bool is_judged = true;

	ac->is_proxied = 1;
	if (h->is_known)
		addr_copy(&ac->remote_addr.sa, &h->source.sa);
	/* the wait begins before the call: the answer may come in it */
	esmtp_wait_for(st, WAIT_CLIENT);
	st->asking = ASK_PEER;
	if (host->ops->peer_changed != NULL)
		is_judged = host->ops->peer_changed(host->closure, ac);
	st->asking = ASK_NONE;
	esmtp_proxy_hear(st->mc);
	st->mc->extensions = esmtp_ext_enabled(ac->options);
	if (st->mc->is_dropped)
		return W_CLOSE;
	if (!is_judged)
		return esmtp_proxy_judged(st);
	esmtp_wait_for(st, WAIT_WRITE);
	return W_GO;
}

static enum esmtp_want
complete(struct esmtp_step *st)
{
	struct proxyhdr h;
	const char *why;

	if (proxyhdr_parse(st->in, st->in_len, &h, &why) == -1)
		return refuse(st, why);
	st->in_len = 0;
	st->mc->wait_since = st->mc->idle_since = moment_of(&st->now);
	st->mc->need_read = 0;
	return set_peer(st, &h);
}

void
esmtp_peer_done(accept_construct *ac, bool is_welcome)
{
	message_construct *mc = accept_construct_get_message_construct(ac);

	if (mc == NULL || mc->wait != WAIT_CLIENT || !esmtp_is_waiting(mc))
		return;
	ac->is_refused = !is_welcome;
	ac->is_async_done = 1;
}

/* The host reports a refusal itself, as it does for clients without a proxy: a
 * client can cause any number of them. */
enum esmtp_want
esmtp_proxy_judged(struct esmtp_step *st)
{
	if (esmtp_is_waiting(st->mc))
		return W_WAIT;
	if (!st->ac->is_refused)
		return W_GO;
	/* a client that expects TLS would not understand a reply */
	if (st->ac->options->use_ssl)
		return W_END;
	st->out_len += esmtp_reply_row_format(RPL_CLIENT_SESSIONS,
	    st->out + st->out_len, st->out_size - st->out_len);
	return W_CLOSE;
}

enum esmtp_want
esmtp_proxy(struct esmtp_step *st)
{
	const char *why;
	int missing, n, need;

	while ((missing = proxyhdr_missing(st->in, st->in_len, &why)) > 0) {
		need = E_READ;
		n = event_read(st->event, st->in + st->in_len, missing,
		    &need);
		if (n == -1 && errno == EAGAIN) {
			st->mc->need_read = (uint8_t)need;
			return esmtp_wait_for(st, WAIT_PROXY);
		}
		if (n <= 0)
			return esmtp_gone(st, n == 0 ? 0 : errno);
		st->in_len += (size_t)n;
	}
	return missing == 0 ? complete(st) : refuse(st, why);
}
