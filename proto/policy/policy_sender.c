/* Sender addresses: may this login use this one?  The host knows, from
 * Sender_Login. */

#include "proto/validate.h"

static int
mailfrom(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	/* RFC 5321 4.5.5: bounces and other notifications have no sender */
	if (addr->local_len == 0 || validate_context_may_send(vctx, addr))
		return VALIDATE_CONT;
	return validate_refuse(vctx, RPL_SENDER_LOGIN);
}

const struct validate_module policy_sender = {
	.size = sizeof(struct validate_module), .name = "sender",
	.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
};
