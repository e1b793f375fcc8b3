/* Sender addresses: may who has logged in use this one (Sender_Login)?  The
 * host knows; this asks it. */

#include "proto/server/esmtp_int.h"

static int
mailfrom(const char *str, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *closure)
{
	struct esmtp_host *host = ac->host;
	const char *login = esmtp_session_login(ac);

	(void)str;
	(void)closure;
	/* RFC 5321 4.5.5: bounces and other notifications have no sender */
	if (login == NULL || addr->local_len == 0 ||
	    host->ops->may_send_as == NULL ||
	    host->ops->may_send_as(host->closure, ac, login, addr))
		return VALIDATE_CONT;
	return validate_refuse(vctx, RPL_SENDER_LOGIN);
}

const struct validate_module policy_sender = {
	.name = "sender",
	.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
};
