/* Mail loops: a message that has been through too many servers (RFC 5321 6.3).
 * Each of them has added a Received field to its header. */

#include "proto/validate.h"

static int
data_spool(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	const struct esmtp_options *o = validate_context_options(vctx);

	if (validate_context_count(vctx, VALIDATE_COUNT_RECEIVED) >
	    (uint64_t)o->max_received_headers)
		return validate_refuse(vctx, RPL_LOOP);
	return VALIDATE_CONT;
}

const struct validate_module policy_loop = {
	.name = "loop",
	.phase[VALIDATE_PHASE_DATA_SPOOL] = data_spool,
};
