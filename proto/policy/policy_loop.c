/* Mail loops: a message that has been through too many servers, RFC 5321 6.3.
 * The count is kept by the header scanner as the message arrives. */

#include "proto/server/esmtp_int.h"

static int
data_spool(const char *str, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *closure)
{
	(void)str;
	(void)addr;
	(void)closure;
	if (vctx->mc->txn->header.nreceived > ac->options->max_received_headers)
		return validate_refuse(vctx, RPL_LOOP);
	return VALIDATE_CONT;
}

const struct validate_module policy_loop = {
	.name = "loop",
	.phase[VALIDATE_PHASE_DATA_SPOOL] = data_spool,
};
