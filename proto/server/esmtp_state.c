/* The session of a connection, and its states: their names, and which may follow
 * which.
 * Owns: the only assignment of a state.
 * Knows nothing of why a step is made. */

#include <assert.h>

#include "proto/server/esmtp_state.h"

#define B(id)		(1u << ES_##id)
#define AWAITING	(B(EHLO) | B(MAIL) | B(RCPT))

static const struct {
	const char	*name;
	unsigned int	 next;
} states[ES_NSTATES] = {
#define ESMTP_STATE(id, name, next) [id] = { name, next },
#include "proto/server/esmtp_state.def"
#undef ESMTP_STATE
};

const char *
esmtp_message_factory_state(int state)
{
	return state >= 0 && state < ES_NSTATES ? states[state].name :
	    "unknown";
}

message_construct *
accept_construct_get_message_construct(accept_construct *ac)
{
	return esmtp_session_in(ac);
}

int
esmtp_session_state(const accept_construct *ac)
{
	const message_construct *mc = esmtp_session_in(ac);

	return mc != NULL ? mc->state : ES_CONNECTED;
}

void
esmtp_set_state(message_construct *mc, enum esmtp_state state)
{
	assert(states[mc->state].next & (1u << state));
	mc->state = (uint8_t)state;
}

void
esmtp_enter(message_construct *mc, enum esmtp_state state)
{
	if (mc->state != state)
		esmtp_set_state(mc, state);
}

static enum esmtp_state
awaited(const message_construct *mc)
{
	if (esmtp_is_answering(mc))
		return (enum esmtp_state)mc->state;
	if (mc->txn != NULL)
		return mc->txn->is_in_body ? ES_BODY : ES_RCPT;
	return mc->helo != NULL ? ES_MAIL : ES_EHLO;
}

void
esmtp_settle(message_construct *mc)
{
	enum esmtp_state to = awaited(mc);

	/* while TLS is started, esmtp_tls_step() makes the steps */
	if (mc->tls_stage == TLS_IDLE && mc->vctx.suspended == 0 &&
	    to != mc->state &&
	    states[mc->state].next & AWAITING)
		esmtp_set_state(mc, to);
}
