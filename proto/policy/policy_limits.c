/* Limits: messages per session, recipients per message and per session. */

#include "proto/server/esmtp_int.h"

static int
mailfrom(const char *str, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *closure)
{
	int64_t max = ac->options->max_receptions_per_connection;

	(void)str;
	(void)addr;
	(void)closure;
	if (max > 0 && vctx->mc->nmessages >= max)
		return validate_refuse(vctx, RPL_MESSAGES);
	return VALIDATE_CONT;
}

static int
rcptto(const char *str, const struct mailaddr *addr, accept_construct *ac,
    validate_context *vctx, void *closure)
{
	const struct esmtp_options *o = ac->options;
	const message_construct *mc = vctx->mc;

	(void)str;
	(void)addr;
	(void)closure;
	if (o->max_recipients_per_connection > 0 &&
	    mc->nrcpts >= o->max_recipients_per_connection)
		return validate_refuse(vctx, RPL_RCPTS_SESSION);
	/* RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in
	 * another transaction */
	if ((int64_t)mc->txn->rcpts.n >= o->max_recipients_per_message)
		return validate_refuse(vctx, RPL_RCPTS);
	return VALIDATE_CONT;
}

const struct validate_module policy_limits = {
	.name = "limits",
	.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
};
