/* The states of a client (smtp_state.def): what each waits for, how long, and
 * which may follow.
 * Owns: the only assignment of a state. */

#include <assert.h>
#include <stddef.h>

#include "proto/client/smtp_client_int.h"

#define B(id)	(1u << SS_##id)

const struct smtp_state_row smtp_state_rows[SMTP_NSTATES] = {
#define SMTP_STATE(id, command, name, seconds, reply, next) \
	[id] = { command, name, seconds, reply, next },
#include "proto/client/smtp_state.def"
#undef SMTP_STATE
};

void
smtp_set_state(struct smtp_client *c, enum smtp_state state)
{
	assert(smtp_state_row(c)->next & (1u << state));
	c->state = (uint8_t)state;
	c->since = c->now;
}

void
smtp_enter(struct smtp_client *c, enum smtp_state state)
{
	if (c->state != state)
		smtp_set_state(c, state);
}

void
smtp_ready(struct smtp_client *c)
{
	smtp_set_state(c, SS_IDLE);
	c->may_ask = true;
}
