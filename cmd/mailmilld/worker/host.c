/* What the protocol asks of the worker: struct esmtp_host, filled in.
 * Owns: the table of functions; each group has a file host_*.c of its own. */

#include "cmd/mailmilld/worker/worker_int.h"

static const struct esmtp_host_ops ops = {
	.report = host_report,
	.lookup_rcpt = host_rcpt_lookup,
	.tls_start = wire_tls_start,
	.tls_handshake = wire_tls_handshake,
	.auth_start = wire_auth_start,
	.auth_step = wire_auth_step,
	.auth_cancel = wire_auth_cancel,
	.auth_mechanisms = wire_auth_mechanisms,
	.may_send_as = wire_may_send_as,
	.peer_changed = session_set_options,
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
}
