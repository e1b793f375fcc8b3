/* The validation phases: modules, their order, the suspended one, the reply
 * that a module chose.
 * Owns: the list of modules.  Knows nothing of what they check. */

#include "proto/validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ec_malloc.h"
#include "core/lim.h"
#include "core/util/sized.h"
#include "proto/server/esmtp_int.h"

#define POLICY(name) extern const struct validate_module policy_##name;
#include "proto/server/policy.def"
#undef POLICY

/* Our own come first.  Registered ones are added before the first session;
 * const afterwards. */
static const struct validate_module *modules[LIM_VALIDATE_MODULES] = {
#define POLICY(name) &policy_##name,
#include "proto/server/policy.def"
#undef POLICY
};
static struct validate_module added[LIM_VALIDATE_MODULES];
static size_t nmodules = 0
#define POLICY(name) + 1
#include "proto/server/policy.def"
#undef POLICY
;

int
validate_module_register(const struct validate_module *m)
{
	struct validate_module *copy = &added[nmodules];
	size_t i;

	if (esmtp_has_begun()) {
		errno = EBUSY;
		return -1;
	}
	if (nmodules == LIM_VALIDATE_MODULES) {
		errno = ENOMEM;
		return -1;
	}
	if (sized_copy(copy, sizeof(*copy), m) == -1)
		return -1;
	if (copy->name == NULL) {
		errno = EINVAL;
		return -1;
	}
	for (i = 0; i < nmodules; i++)
		if (strcmp(modules[i]->name, copy->name) == 0) {
			errno = EEXIST;
			return -1;
		}
	modules[nmodules++] = copy;
	return 0;
}

static void
forget_code(validate_context *vctx)
{
	free(vctx->text);
	vctx->text = NULL;
	vctx->code = 0;
	vctx->reply = -1;
}

void
validate_context_init(validate_context *vctx)
{
	memset(vctx, 0, sizeof(*vctx));
	vctx->reply = -1;
}

/* --- jobs of modules ------------------------------------------------------ */

static void
job_queued(ec_async_job *job)
{
	validate_context *vctx = job->r.e.ctx;

	job->module_next = vctx->jobs;
	vctx->jobs = job;
}

/* Which job it is does not matter: each module finds out what it waits for. */
static Event *
job_done(ec_async_job *job)
{
	validate_context *vctx = job->r.e.ctx;
	ec_async_job **at;

	for (at = &vctx->jobs; *at != job; at = &(*at)->module_next)
		continue;
	*at = job->module_next;
	return vctx->mc->ac->event;
}

void
ec_async_wake_validation_module(void *job, validate_context *ctx)
{
	static const struct ec_async_module module = { job_queued, job_done };
	ec_async_job *j = job;

	j->completion = ECTP_COMPLETE_MODULE;
	j->r.e = (struct _ec_thread_pool_job_r_e){ .ctx = ctx,
	    .event = ctx->mc->ac->event, .mask = E_ASYNC };
	j->module = &module;
}

static void
forget_jobs(validate_context *vctx)
{
	ec_async_job *job;
	int memtype;

	while ((job = vctx->jobs) != NULL) {
		vctx->jobs = job->module_next;
		/* its scheduler had ended before */
		if (__atomic_exchange_n(&job->module, NULL,
		    __ATOMIC_ACQ_REL) == NULL) {
			memtype = job->free_on_completion_memtype;
			__atomic_store_n(&job->in_use, 0, __ATOMIC_RELEASE);
			if (memtype != 0)
				ec_free(memtype, job);
		}
	}
}

/* --- the context of a session --------------------------------------------- */

void
validate_context_destroy(validate_context *vctx)
{
	forget_jobs(vctx);
	validate_context_clear(vctx, VCTX_CONN);
	validate_context_clear(vctx, VCTX_MESS);
	forget_code(vctx);
}

int
validate_context_set_code(validate_context *vctx, int code, const char *str)
{
	char *text;

	/* The module may mean to refuse: an error must not become an
	 * acceptance. */
	if (code < 200 || code > 599 || code / 100 == 3) {
		validate_refuse(vctx, RPL_RESOURCES);
		return 0;
	}
	/* without words: those of the table */
	text = strndup(str != NULL ? str : "", LIM_REPLY_LINE);
	forget_code(vctx);
	if (text == NULL) {
		validate_refuse(vctx, RPL_NOMEM);
		return 0;
	}
	vctx->text = text;
	vctx->code = code;
	return 1;
}

int
validate_refuse(validate_context *vctx, enum esmtp_reply_id id)
{
	if ((size_t)id >= ESMTP_NREPLIES || esmtp_reply_rows[id].code < 400)
		id = RPL_RESOURCES;
	forget_code(vctx);
	vctx->reply = (int)id;
	vctx->code = esmtp_reply_rows[id].code;
	return VALIDATE_DONE;
}

/* A module has returned VALIDATE_DONE. */
static enum esmtp_want
decided(struct esmtp_step *st)
{
	validate_context *vctx = &st->mc->vctx;

	if (vctx->code < 400) {
		forget_code(vctx);
		return W_GO;
	}
	if (vctx->reply != -1)
		esmtp_reply(st, (enum esmtp_reply_id)vctx->reply);
	else
		esmtp_reply_code(st, vctx->code, vctx->text);
	forget_code(vctx);
	return W_REFUSED;
}

/* A module has decided; the next one may ask for what this one was answered. */
static void
module_end(struct esmtp_step *st)
{
	st->mc->module = st->mc->suspended = 0;
	answers_close(&st->ac->host->answers, &st->ac->questions, ASK_RCPT);
	esmtp_wait_for(st, WAIT_WRITE);
}

void
esmtp_phase_end(struct esmtp_step *st)
{
	module_end(st);
	answers_drop(&st->ac->host->answers, &st->ac->questions, ASK_RCPT);
	/* a hook may look up another one that is in the same memory */
	st->addr = NULL;
	st->rcpt_status = -1;
}

/* One module.  What it has come to does not count when it has looked something
 * up that is not answered yet: it is called again then. */
static int
run_module(struct esmtp_step *st, const struct validate_module *m,
    validate_func f, const char *str, const struct mailaddr *addr)
{
	int result;

	st->is_in_phase = true;
	st->is_asked = false;
	result = f(str, addr, st->ac, &st->mc->vctx, m->closure);
	st->is_in_phase = false;
	if (!st->is_asked || st->mc->is_dropped)
		return result;
	forget_code(&st->mc->vctx);
	return VALIDATE_AGAIN;
}

enum esmtp_want
esmtp_hook_end(struct esmtp_step *st, bool is_done)
{
	if (is_done && !st->mc->is_dropped)
		return decided(st);
	forget_code(&st->mc->vctx);
	return st->mc->is_dropped ? W_REFUSED : W_GO;
}

bool
esmtp_phase_is_wanted(enum validate_phase phase)
{
	size_t i;

	for (i = 0; i < nmodules; i++)
		if (modules[i]->phase[phase] != NULL)
			return true;
	return false;
}

enum esmtp_want
esmtp_phase_in(struct esmtp_step *st, enum esmtp_state state,
    enum validate_phase phase, const struct mailaddr *addr)
{
	if (st->mc->suspended > phase + 1 || !esmtp_phase_is_wanted(phase))
		return W_GO;
	esmtp_enter(st->mc, state);
	return esmtp_phase(st, phase, NULL, addr);
}

enum esmtp_want
esmtp_phase(struct esmtp_step *st, enum validate_phase phase, const char *str,
    const struct mailaddr *addr)
{
	message_construct *mc = st->mc;
	size_t i = mc->module;
	validate_func f;
	int result;

	if (mc->suspended > phase + 1)
		return W_GO;
	st->addr = addr;
	st->rcpt_status = -1;
	for (; i < nmodules; i++) {
		if ((f = modules[i]->phase[phase]) == NULL)
			continue;
		result = run_module(st, modules[i], f, str, addr);
		if (mc->is_dropped) {
			/* as if refused: nothing more comes of it */
			esmtp_phase_end(st);
			forget_code(&mc->vctx);
			return W_REFUSED;
		}
		if (result == VALIDATE_AGAIN) {
			mc->module = (uint8_t)i;
			mc->suspended = (uint8_t)(phase + 1);
			st->addr = NULL;
			return esmtp_wait_for(st, phase ==
			    VALIDATE_PHASE_ACCEPT ? WAIT_ACCEPT :
			    st->is_asked ? WAIT_RCPT : WAIT_POLICY);
		}
		if (result == VALIDATE_DONE) {
			esmtp_phase_end(st);
			return decided(st);
		}
		module_end(st);
	}
	esmtp_phase_end(st);
	forget_code(&mc->vctx);
	return W_GO;
}
