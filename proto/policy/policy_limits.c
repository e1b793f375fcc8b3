/* Limits: messages per session, recipients per message and per session, and
 * Received fields: mail loops. */

#include "proto/options/options.h"
#include "proto/validate.h"

/* Refuse with ${id} when ${max} is reached; a limit of 0 is none. */
static int
limit(validate_context *vctx, enum validate_count which, int64_t max,
    enum esmtp_reply_id id)
{
	if (max > 0 && validate_context_count(vctx, which) >= (uint64_t)max)
		return validate_refuse(vctx, id);
	return VALIDATE_CONT;
}

static int
mailfrom(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	return limit(vctx, VALIDATE_COUNT_SESSION_MESSAGES,
	    validate_context_options(vctx)->max_receptions_per_connection,
	    RPL_MESSAGES);
}

static int
rcptto(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	const struct esmtp_options *o = validate_context_options(vctx);

	if (limit(vctx, VALIDATE_COUNT_SESSION_RCPTS,
	    o->max_recipients_per_connection, RPL_RCPTS_SESSION) ==
	    VALIDATE_DONE)
		return VALIDATE_DONE;
	/* RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in
	 * another transaction */
	return limit(vctx, VALIDATE_COUNT_RCPTS, o->max_recipients_per_message,
	    RPL_RCPTS);
}

/* RFC 5321 6.3: each server that a message has been through has added a
 * Received field to its header. */
static int
data_spool(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	return limit(vctx, VALIDATE_COUNT_RECEIVED,
	    validate_context_options(vctx)->max_received_headers + 1,
	    RPL_LOOP);
}

const struct validate_module policy_limits = {
	.size = sizeof(struct validate_module), .name = "limits",
	.phase[VALIDATE_PHASE_MAILFROM] = mailfrom,
	.phase[VALIDATE_PHASE_RCPTTO] = rcptto,
	.phase[VALIDATE_PHASE_DATA_SPOOL] = data_spool,
};
