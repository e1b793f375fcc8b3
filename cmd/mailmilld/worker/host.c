/* What the protocol asks of the worker: struct esmtp_host, filled in.
 * Owns: the table of functions; each group has a file host_*.c of its own. */

#include "cmd/mailmilld/worker/worker_int.h"

#include "core/lim.h"

static const struct esmtp_host_ops ops = {
	.report = host_report,
	.lookup_rcpt = host_rcpt_lookup,
	.tls_start = host_tls_start,
	.tls_handshake = host_tls_handshake,
	.auth_start = host_auth_start,
	.auth_step = host_auth_step,
	.auth_cancel = host_auth_cancel,
	.auth_can = host_auth_can,
	.may_send_as = host_sender_may_use,
	.postmaster_domain = host_postmaster_domain,
	.peer_changed = session_peer_changed,
	.session_move = session_move,
	.session_end = session_end
};

void
host_init(struct worker *w)
{
	w->host.ops = &ops;
	w->host.closure = w;
	w->host.scratch = w->scratch;
	w->host.scratch_octets = sizeof(w->scratch);
	w->host.output = w->output;
	w->host.output_octets = sizeof(w->output);
	w->host.held_max = LIM_RCPTS_WORKER;
}
