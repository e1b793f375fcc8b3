/* Sessions that go on in another process, which has another configuration.
 * Owns: which sessions can, what of a session goes along.
 * These cannot go on elsewhere:
 * - a session over TLS, since its keys and counters are in this process;
 * - one with a login, or with a client that a proxy or XCLIENT has named, since
 *   the other process would have to believe that;
 * - one whose client may send the body of a DATA that was refused, since only
 *   this process knows that it is not to be run as commands;
 * - one in which a verb of the program reads. */

#include <stdio.h>
#include <string.h>

#include "core/lim.h"
#include "proto/factory/esmtp_factory_int.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_ext.h"
#include "proto/server/esmtp_output.h"

_Static_assert(ESMTP_MOVED_HELO > LIM_DOMAIN, "a name does not fit");

bool
esmtp_can_move(const struct esmtp_step *st)
{
	const message_construct *mc = st->mc;
	const accept_construct *ac = st->ac;

	return ac->host->is_reconfigured && ac->host->ops->session_move != NULL &&
	    ac->tls == NULL && mc->tls_stage == TLS_IDLE && mc->login == NULL &&
	    mc->auth == NULL && !mc->is_swallowing && !mc->is_in_chunk &&
	    mc->in == NULL &&
	    st->in_len == 0 && mc->vctx.pairs[VCTX_CONN] == NULL &&
	    !mc->is_body_refused && mc->reader == NULL && !ac->is_proxied &&
	    mc->told == NULL;
}

bool
esmtp_move(struct esmtp_step *st)
{
	const message_construct *mc = st->mc;
	struct esmtp_moved moved = { .size = sizeof(moved),
		.nmessages = mc->nmessages,
		.nrcpts = mc->nrcpts, .nerrors = mc->nerrors,
		.is_esmtp = mc->is_esmtp, .has_helo = mc->helo != NULL,
		.kind = (uint32_t)st->ac->options->kind };
	struct esmtp_host *host = st->ac->host;

	if (!esmtp_can_move(st) || esmtp_flush(st) != W_GO)
		return false;
	esmtp_settle(st->mc);
	if (mc->state != ES_EHLO && mc->state != ES_MAIL)
		return false;
	if (mc->helo != NULL)
		snprintf(moved.helo, sizeof(moved.helo), "%s", mc->helo);
	memcpy(moved.id, st->ac->id, sizeof(moved.id));
	return host->ops->session_move(host->closure, st->ac, &moved) == 0;
}
