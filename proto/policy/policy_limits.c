/* Limits: messages per session, recipients per message and per session. */

#include "proto/validate.h"

/* A limit of 0 is none. */
static bool
is_reached(const validate_context *vctx, enum validate_count which,
    int64_t max)
{
	return max > 0 && validate_context_count(vctx, which) >= (uint64_t)max;
}

static int
mailfrom(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	const struct esmtp_options *o = validate_context_options(vctx);

	if (is_reached(vctx, VALIDATE_COUNT_SESSION_MESSAGES,
	    o->max_receptions_per_connection))
		return validate_refuse(vctx, RPL_MESSAGES);
	return VALIDATE_CONT;
}

static int
rcptto(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	const struct esmtp_options *o = validate_context_options(vctx);

	if (is_reached(vctx, VALIDATE_COUNT_SESSION_RCPTS,
	    o->max_recipients_per_connection))
		return validate_refuse(vctx, RPL_RCPTS_SESSION);
	/* RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in
	 * another transaction */
	if (is_reached(vctx, VALIDATE_COUNT_RCPTS,
	    o->max_recipients_per_message))
		return validate_refuse(vctx, RPL_RCPTS);
	return VALIDATE_CONT;
}

const struct validate_module policy_limits = {
	.name = "limits",
	.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
};
