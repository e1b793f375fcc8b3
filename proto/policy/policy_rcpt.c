/* Recipients: does the mailbox exist?  The host knows. */

#include "proto/validate.h"

static int
rcptto(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	switch (validate_context_lookup_rcpt(vctx, addr)) {
	case ESMTP_RCPT_OK:
	case ESMTP_RCPT_RELAY:	/* policy_relay has allowed it */
		return VALIDATE_CONT;
	case ESMTP_RCPT_UNKNOWN:
		return validate_refuse(vctx, RPL_USER);
	case ESMTP_RCPT_FOREIGN:
		/* policy_relay allowed it, but the host delivers to its own
		 * domains only */
		return validate_refuse(vctx, RPL_NOROUTE);
	default:
		return validate_refuse(vctx, RPL_LOOKUP_LATER);
	}
}

const struct validate_module policy_rcpt = {
	.size = sizeof(struct validate_module), .name = "rcpt",
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
};
