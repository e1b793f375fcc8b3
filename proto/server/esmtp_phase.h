/* The phases of a session in which policies are asked. */

#ifndef PROTO_SERVER_ESMTP_PHASE_H
#define PROTO_SERVER_ESMTP_PHASE_H

#include "proto/server/esmtp_state.h"

/* esmtp_phase.c
 * esmtp_phase(st, phase, str, addr): Run the modules.  Return W_GO, W_REFUSED (the reply is given) or W_WAIT (call again when it is over).
 * A command with several phases is run again as a whole when one of them was
 * suspended: for those before it, which are over, this is W_GO.
 * esmtp_phase_in(st, state, phase, addr): The same in a state of its own, if any
 * module wants the phase.
 * esmtp_phase_is_wanted(phase): Does any?
 * esmtp_is_suspended(mc, phase): Is the command run again because of it?
 * esmtp_phase_end(st): It is over, or given up.
 * esmtp_hook_end(st, is_done): A hook of a phase was called: W_GO, or W_REFUSED,
 * with ${is_done} by the code that it has set, and if it has ended the session. */
static inline bool
esmtp_is_suspended(const message_construct *mc, enum validate_phase phase)
{
	return mc->vctx.suspended == phase + 1;
}

void esmtp_phase_end(struct esmtp_step *st);
bool esmtp_phase_is_wanted(enum validate_phase phase);
enum esmtp_want esmtp_hook_end(struct esmtp_step *st, bool is_done);
enum esmtp_want esmtp_phase_in(struct esmtp_step *st, enum esmtp_state state,
    enum validate_phase phase, const struct mailaddr *addr);
enum esmtp_want esmtp_phase(struct esmtp_step *st, enum validate_phase phase,
    const char *str, const struct mailaddr *addr);

#endif
