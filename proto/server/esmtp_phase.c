/* The validation phases of a session: its modules in their order, the module
 * that has suspended a phase, the reply that a module has chosen.
 * Owns: when a module is called, and called again.
 * Knows nothing of what modules check. */

#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_phase.h"
#include "proto/server/esmtp_wait.h"

/* A module has returned VALIDATE_DONE. */
static enum esmtp_want
decided(struct esmtp_step *st)
{
	validate_context *vctx = &st->mc->vctx;

	if (vctx->code < 400) {
		validate_forget_code(vctx);
		return W_GO;
	}
	if (vctx->reply != -1)
		esmtp_reply(st, (enum esmtp_reply_id)vctx->reply);
	else
		esmtp_reply_code(st, vctx->code, vctx->text);
	validate_forget_code(vctx);
	return W_REFUSED;
}

/* A module has decided.  Keep the answers that it got: the next module may ask
 * the same. */
static void
module_end(struct esmtp_step *st)
{
	st->mc->vctx.module = st->mc->vctx.suspended = 0;
	answers_close(&st->ac->host->answers, &st->ac->questions, ASK_RCPT);
	esmtp_wait_for(st, WAIT_WRITE);
}

void
esmtp_phase_end(struct esmtp_step *st)
{
	module_end(st);
	answers_drop(&st->ac->host->answers, &st->ac->questions, ASK_RCPT);
	/* a hook may look up another address that lies in the same memory */
	st->addr = NULL;
	st->rcpt_status = -1;
}

/* What the session waits for while a module has suspended ${phase}. */
static enum esmtp_wait
wait_of(const struct esmtp_step *st, enum validate_phase phase)
{
	if (phase == VALIDATE_PHASE_ACCEPT)
		return WAIT_ACCEPT;
	if (st->is_asked)
		return WAIT_RCPT;
	return phase >= VALIDATE_PHASE_DATA_SPOOL ? WAIT_MESSAGE : WAIT_POLICY;
}

/* Call one module.  If it has asked for a look-up that is not answered yet, its
 * result does not count: it is called again when the answer has come. */
static int
run_module(struct esmtp_step *st, const struct validate_module *m,
    validate_func f, const char *str, const struct mailaddr *addr)
{
	int result;

	st->is_asked = false;
	/* the one that has suspended the phase; it hears no more of it.  Nor do
	 * those that were still to be asked about a message */
	if (st->is_overdue || esmtp_is_answer_late(st->mc,
	    moment_of(&st->now))) {
		st->is_overdue = false;
		return validate_refuse(&st->mc->vctx, RPL_POLICY_TIMEOUT);
	}
	st->is_in_phase = true;
	result = f(str, addr, st->ac, &st->mc->vctx, m->closure);
	st->is_in_phase = false;
	if (!st->is_asked || st->mc->is_dropped)
		return result;
	validate_forget_code(&st->mc->vctx);
	return VALIDATE_AGAIN;
}

enum esmtp_want
esmtp_hook_end(struct esmtp_step *st, bool is_done)
{
	if (is_done && !st->mc->is_dropped)
		return decided(st);
	validate_forget_code(&st->mc->vctx);
	return st->mc->is_dropped ? W_REFUSED : W_GO;
}

bool
esmtp_phase_is_wanted(enum validate_phase phase)
{
	size_t i, n;
	const struct validate_module *const *modules = validate_modules(&n);

	for (i = 0; i < n; i++)
		if (modules[i]->phase[phase] != NULL)
			return true;
	return false;
}

enum esmtp_want
esmtp_phase_in(struct esmtp_step *st, enum esmtp_state state,
    enum validate_phase phase, const struct mailaddr *addr)
{
	if (st->mc->vctx.suspended > phase + 1 || !esmtp_phase_is_wanted(phase))
		return W_GO;
	esmtp_enter(st->mc, state);
	return esmtp_phase(st, phase, NULL, addr);
}

enum esmtp_want
esmtp_phase(struct esmtp_step *st, enum validate_phase phase, const char *str,
    const struct mailaddr *addr)
{
	message_construct *mc = st->mc;
	size_t i = mc->vctx.module, n;
	const struct validate_module *const *modules = validate_modules(&n);
	validate_func f;
	int result;

	if (mc->vctx.suspended > phase + 1)
		return W_GO;
	st->addr = addr;
	st->rcpt_status = -1;
	for (; i < n; i++) {
		if ((f = modules[i]->phase[phase]) == NULL)
			continue;
		result = run_module(st, modules[i], f, str, addr);
		if (mc->is_dropped) {
			/* the session ends: stop as after a refusal */
			esmtp_phase_end(st);
			validate_forget_code(&mc->vctx);
			return W_REFUSED;
		}
		/* it may have asked again, having got no answer in time */
		if (result == VALIDATE_AGAIN &&
		    esmtp_is_command_late(mc, moment_of(&st->now)))
			result = validate_refuse(&mc->vctx,
			    RPL_POLICY_TIMEOUT);
		if (result == VALIDATE_AGAIN) {
			mc->vctx.module = (uint8_t)i;
			mc->vctx.suspended = (uint8_t)(phase + 1);
			st->addr = NULL;
			return esmtp_wait_for(st, wait_of(st, phase));
		}
		if (result == VALIDATE_DONE) {
			esmtp_phase_end(st);
			return decided(st);
		}
		module_end(st);
	}
	esmtp_phase_end(st);
	validate_forget_code(&mc->vctx);
	return W_GO;
}
