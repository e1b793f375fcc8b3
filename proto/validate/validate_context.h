/* The validation context of a session, and the list of modules: what the engine
 * knows of both.  Modules have validate.h.
 * Owns: the form of a context; what it holds ends with it. */

#ifndef PROTO_VALIDATE_VALIDATE_CONTEXT_H
#define PROTO_VALIDATE_VALIDATE_CONTEXT_H

#include "core/ec_thread_pool.h"
#include "proto/validate.h"

struct validate_pair;

struct validate_context {
	accept_construct	*ac;		/* whose session it is; NULL: of none, in tests */
	struct validate_pair	*pairs[2];	/* VCTX_CONN, VCTX_MESS */
	ec_async_job		*jobs;		/* of modules, queued and not completed */
	char			*text;		/* of set_code; NULL: none */
	int16_t			 code;		/* 0: none was set */
	int16_t			 reply;		/* enum esmtp_reply_id, of validate_refuse(); -1: none */
	uint8_t			 module;	/* where a suspended phase goes on; else 0 */
	uint8_t			 suspended;	/* that phase, + 1; 0: none */
};

/* validate_modules(&n_r): All ${n} modules, in the order in which they are
 * called. */
const struct validate_module *const *validate_modules(size_t *n_r);

/* validate_context_init(vctx, ac), validate_context_destroy(vctx): With the
 * session.  ${ac} is kept; its session is found through it. */
void validate_context_init(validate_context *vctx, accept_construct *ac);
void validate_context_destroy(validate_context *vctx);

/* validate_forget_code(vctx): No module has decided anything. */
void validate_forget_code(validate_context *vctx);

/* validate_dict.c
 * validate_context_clear(vctx, which): Forget the pairs of a dictionary.
 * validate_context_keep(vctx): The connect phase is over: what it has set
 * survives validate_context_forget(), unless it is set anew.
 * validate_context_forget(vctx): Clear all else. */
void validate_context_clear(validate_context *vctx, int which);
void validate_context_keep(validate_context *vctx);
void validate_context_forget(validate_context *vctx);
/* validate_context_tell(vctx, key, value): As validate_context_set() for the
 * connection, of what a client says.  EPERM: a module has set that pair, which is
 * not for clients to change.
 * validate_context_is_untold(vctx, key): Has one? */
int validate_context_tell(validate_context *vctx, const char *key,
    const char *value);
bool validate_context_is_untold(validate_context *vctx, const char *key);
/* validate_context_at(vctx, which, i, key_r, value_r): Pair number ${i}, from 0, or
 * false: there are not so many. */
bool validate_context_at(const validate_context *vctx, int which, size_t i,
    const char **key_r, const char **value_r);

#endif
