/* Validation modules: their order, what one of them has decided, the jobs that
 * it waits for.
 * Owns: the list of modules.
 * Knows nothing of sessions: esmtp_phase.c calls modules. */

#include "proto/validate/validate_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ec_malloc.h"
#include "core/lim.h"
#include "core/util/sized.h"
#include "proto/base/esmtp_begun.h"
#include "proto/base/reply_line.h"

#define POLICY(name) extern const struct validate_module policy_##name;
#include "proto/validate/policy.def"
#undef POLICY

/* Our own come first.  Registered ones are added before the first session;
 * const afterwards. */
static const struct validate_module *modules[LIM_VALIDATE_MODULES] = {
#define POLICY(name) &policy_##name,
#include "proto/validate/policy.def"
#undef POLICY
};
static struct validate_module added[LIM_VALIDATE_MODULES];
static size_t nmodules = 0
#define POLICY(name) + 1
#include "proto/validate/policy.def"
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

const struct validate_module *const *
validate_modules(size_t *n_r)
{
	*n_r = nmodules;
	return modules;
}

/* --- what a module has decided ------------------------------------------- */

void
validate_forget_code(validate_context *vctx)
{
	free(vctx->text);
	vctx->text = NULL;
	vctx->code = 0;
	vctx->reply = -1;
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
	validate_forget_code(vctx);
	if (text == NULL) {
		validate_refuse(vctx, RPL_NOMEM);
		return 0;
	}
	vctx->text = text;
	vctx->code = (int16_t)code;
	return 1;
}

int
validate_refuse(validate_context *vctx, enum esmtp_reply_id id)
{
	if ((size_t)id >= ESMTP_NREPLIES || esmtp_reply_rows[id].code < 400)
		id = RPL_RESOURCES;
	validate_forget_code(vctx);
	vctx->reply = (int16_t)id;
	vctx->code = (int16_t)esmtp_reply_rows[id].code;
	return VALIDATE_DONE;
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
	return vctx->ac->event;
}

void
ec_async_wake_validation_module(void *job, validate_context *ctx)
{
	static const struct ec_async_module module = { job_queued, job_done };
	ec_async_job *j = job;

	j->completion = ECTP_COMPLETE_MODULE;
	j->r.e = (struct _ec_thread_pool_job_r_e){ .ctx = ctx,
	    .event = ctx->ac->event, .mask = E_ASYNC };
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
validate_context_init(validate_context *vctx, accept_construct *ac)
{
	memset(vctx, 0, sizeof(*vctx));
	vctx->ac = ac;
	vctx->reply = -1;
}

void
validate_context_destroy(validate_context *vctx)
{
	forget_jobs(vctx);
	validate_context_clear(vctx, VCTX_CONN);
	validate_context_clear(vctx, VCTX_MESS);
	validate_forget_code(vctx);
}
