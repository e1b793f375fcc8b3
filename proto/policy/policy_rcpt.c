/* Recipients: does the mailbox exist?  The host knows; this asks it. */

#include "proto/server/esmtp_int.h"

/* Asked once per RCPT command. */
enum esmtp_rcpt_status
esmtp_lookup_rcpt(accept_construct *ac, const struct mailaddr *addr)
{
	message_construct *mc = ac->accept_construct_closure.vptr;
	struct esmtp_host *host = ac->host;
	struct esmtp_step *st = mc->step;

	if (host->ops->lookup_rcpt == NULL)
		return ESMTP_RCPT_OK;
	if (st->rcpt_status == -1)
		st->rcpt_status = (int)host->ops->lookup_rcpt(host->closure,
		    ac, addr);
	return (enum esmtp_rcpt_status)st->rcpt_status;
}

static int
rcptto(const char *str, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *closure)
{
	(void)str;
	(void)closure;
	switch (esmtp_lookup_rcpt(ac, addr)) {
	case ESMTP_RCPT_OK:
		return VALIDATE_CONT;
	case ESMTP_RCPT_UNKNOWN:
		return validate_refuse(vctx, RPL_USER);
	case ESMTP_RCPT_FOREIGN:
		/* relaying was allowed, but nothing carries it there */
		return validate_refuse(vctx, RPL_NOROUTE);
	default:
		return validate_refuse(vctx, RPL_LOOKUP_LATER);
	}
}

const struct validate_module policy_rcpt = {
	.name = "rcpt",
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
};
