/* What the protocol asks of the worker: the host of its sessions.
 * Owns: the table of functions; each group has a file host_*.c of its own. */

#include "cmd/mailmilld/worker/worker_int.h"

#include "core/lim.h"
#include "core/process/log.h"

static const struct esmtp_host_ops ops = {
	.size = sizeof(ops),
	.report = host_report,
	.lookup_rcpt = host_rcpt_lookup,
	.tls_start = host_tls_start,
	.tls_handshake = host_tls_handshake,
	.tls_end = host_tls_end,
	.auth_start = host_auth_start,
	.auth_step = host_auth_step,
	.auth_cancel = host_auth_cancel,
	.auth_can = host_auth_can,
	.may_send_as = host_sender_may_use,
	.may_hold = host_held_may,
	.start_queue = host_etrn_start,
	.postmaster_domain = host_postmaster_domain,
	.peer_changed = session_peer_changed,
	.session_move = session_move,
	.session_end = session_end
};

int
host_open(struct worker *w)
{
	w->host = esmtp_host_new(&ops, w, &spool_writer_ops, w->spool);
	if (w->host == NULL) {
		log_err("start", "role=%s step=%s", "worker", "host");
		return -1;
	}
	host_etrn_open(w);
	(void)esmtp_host_set(w->host, ESMTP_HOST_RCPTS_MAX, LIM_RCPTS_WORKER);
	(void)esmtp_host_set(w->host, ESMTP_HOST_CLIENT_RCPTS_MAX,
	    LIM_RCPTS_CLIENT);
	return 0;
}
