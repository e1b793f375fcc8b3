/* The client's address, where another host connects for the client: by the
 * PROXY header, which comes before all else, or by XCLIENT later.
 * Owns: reading the header and not an octet more, what a bad header leads to,
 * asking the host whether the client is let in.
 * Knows nothing of the form of a header: proxyhdr.h does. */

#include <errno.h>
#include <string.h>

#include "core/util/addr.h"
#include "proto/parse/proxyhdr.h"
#include "proto/server/esmtp_ext.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_proxy.h"
#include "proto/server/esmtp_wait.h"

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

/* The client has another address now: have the host set its options, and ask
 * whether it lets the client in.  Return whether the host has answered that. */
static bool
ask_host(struct esmtp_step *st, enum esmtp_wait wait)
{
	struct esmtp_host *host = st->ac->host;
	accept_construct *ac = st->ac;
	bool is_judged = true;

	ac->is_proxied = 1;
	ac->is_refused = 0;
	/* an answer about an earlier address does not count for this one */
	answers_drop(&host->answers, &ac->questions, ASK_PEER);
	/* the wait begins before the call: the host may answer inside it */
	esmtp_wait_for(st, wait);
	st->asking = ASK_PEER;
	if (host->ops->peer_changed != NULL)
		is_judged = host->ops->peer_changed(host->closure, ac);
	st->asking = ASK_NONE;
	esmtp_proxy_hear(st->mc);
	st->mc->extensions = esmtp_ext_enabled(ac->options);
	return is_judged;
}

/* The header names the client. */
static enum esmtp_want
set_peer(struct esmtp_step *st, const struct proxyhdr *h)
{
	bool is_judged;

	if (h->is_known)
		addr_copy(&st->ac->remote_addr.sa, &h->source.sa);
	is_judged = ask_host(st, WAIT_CLIENT);
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
	if (st->mc->has_dest)
		*st->mc->dest = h.dest;
	st->in_len = 0;
	st->mc->wait_since = st->mc->idle_since = moment_of(&st->now);
	st->mc->need_read = 0;
	return set_peer(st, &h);
}

void
esmtp_peer_done(accept_construct *ac, bool is_welcome)
{
	message_construct *mc = accept_construct_get_message_construct(ac);

	if (mc == NULL || !esmtp_is_waiting(mc) ||
	    (mc->wait != WAIT_CLIENT && mc->wait != WAIT_CLAIM))
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
	/* if the host has answered with esmtp_peer_done(), its ticket is still
	 * open */
	answers_drop(&st->ac->host->answers, &st->ac->questions, ASK_PEER);
	if (!st->ac->is_refused)
		return W_GO;
	/* a client that expects TLS would not understand a reply */
	if (st->mc->wait == WAIT_CLIENT && st->ac->options->use_ssl)
		return W_END;
	st->out_len += esmtp_reply_row_format(RPL_CLIENT_SESSIONS,
	    st->out + st->out_len, st->out_size - st->out_len);
	return W_CLOSE;
}

/* Forget what modules have noted about the client before this one, and what the
 * limits have counted. */
static void
forget_client(message_construct *mc)
{
	validate_context_clear(&mc->vctx, VCTX_CONN);
	mc->nmessages = mc->nrcpts = mc->nerrors = 0;
	mc->nrejected = mc->nauth_failed = 0;
}

/* The session begins anew: esmtp_setup_resume() goes on with that when the line
 * has been used up. */
void
esmtp_peer_claim(struct esmtp_step *st, const struct sockaddr *peer)
{
	struct esmtp_report r = { .kind = ESMTP_REPORT_CLIENT };
	accept_construct *ac = st->ac;
	struct esmtp_told *told = st->mc->told;
	bool is_judged = true;

	if (!told->is_named)
		addr_copy(&told->via.sa, &ac->remote_addr.sa);
	told->is_named = true;
	if (peer != NULL)
		addr_copy(&ac->remote_addr.sa, peer);
	/* before the counts are set to 0 */
	esmtp_report(st, &r);
	if (st->mc->is_dropped)
		return;
	forget_client(st->mc);
	esmtp_set_state(st->mc, ES_SETUP);
	esmtp_wait_for(st, WAIT_CLAIM);
	if (peer != NULL)
		is_judged = ask_host(st, WAIT_CLAIM);
	if (is_judged)
		ac->is_async_done = 1;
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
