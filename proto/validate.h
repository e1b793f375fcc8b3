/* The validation phases and their contexts.
 * A policy module is one struct with the callbacks it wants; NULL for the
 * phases it does not.  Modules run in the order of registration.
 * Owns: the phase order, the dictionaries of connection and message. */

#ifndef PROTO_VALIDATE_H
#define PROTO_VALIDATE_H

#include "proto/esmtp_factory.h"
#include "proto/mailaddr.h"

/* results of a callback */
#define VALIDATE_CONT	0	/* go on with the next module */
#define VALIDATE_AGAIN	1	/* suspended: call me again after E_ASYNC */
#define VALIDATE_DONE	2	/* decided: the code that was set, or success */

/* phases, in the order they happen */
enum validate_phase {
	VALIDATE_PHASE_CONNECT,
	VALIDATE_PHASE_EHLO,
	VALIDATE_PHASE_AUTH,
	VALIDATE_PHASE_MAILFROM,
	VALIDATE_PHASE_RCPTTO,
	VALIDATE_PHASE_DATA,		/* at DATA, before 354 */
	VALIDATE_PHASE_DATA_SPOOL,	/* message complete, before the commit */
	VALIDATE_NPHASES
};

/* dictionaries: which */
#define VCTX_CONN	0	/* lives as long as the connection */
#define VCTX_MESS	1	/* lives as long as the message */

typedef struct validate_context validate_context;

/* A callback.  For VALIDATE_AGAIN it has arranged that ac->event is dispatched
 * with E_ASYNC; it may be called again for other reasons as well, and then
 * answers VALIDATE_AGAIN again.  ${str} is the phase's text: EHLO argument, AUTH identity, or
 * NULL; ${addr} the sender or recipient of MAILFROM and RCPTTO, else NULL. */
typedef int (*validate_func)(const char *str, const struct mailaddr *addr,
    accept_construct *ac, validate_context *vctx, void *closure);

struct validate_module {
	const char	*name;
	validate_func	 phase[VALIDATE_NPHASES];
	void		*closure;
};

/* validate_module_register(m): Append a module, behind our own (limits,
 * relaying, recipients, loops); ${m} is kept.  Before the first session.  Return 0 or -1 (ENOMEM; EEXIST for a name taken). */
int validate_module_register(const struct validate_module *m);

/* A session's context is made and destroyed with it; these two are for the
 * engine. */
void validate_context_init(validate_context *vctx);
void validate_context_destroy(validate_context *vctx);

/* set copies key and value; get returns NULL if there is none.  Keys and
 * values are bounded (LIM_VCTX_*).  set returns 0 or -1 (ENOMEM, E2BIG). */
int validate_context_set(validate_context *vctx, int which, const char *key,
    const char *value);
const char *validate_context_get(validate_context *vctx, int which,
    const char *key);
int validate_context_exists(validate_context *vctx, int which,
    const char *key);
int validate_context_exists_and_get(validate_context *vctx, int which,
    const char *key, const char **value);
void validate_context_delete(validate_context *vctx, int which,
    const char *key);

/* validate_context_set_code(vctx, code, str): The reply to send when the phase
 * ends with VALIDATE_DONE: ${code} 4xx or 5xx rejects (421 closes), 2xx (or no
 * code set) accepts; ${str} is "x.y.z text" or text, copied.  Return 1, or 0
 * for a code out of range (200 to 299, 400 to 599), or without memory: then
 * the reply of VALIDATE_DONE is 451.  What is set is forgotten at the end of
 * the phase. */
int validate_context_set_code(validate_context *vctx, int code,
    const char *str);

/* The recipients of the message, for DATA and DATA_SPOOL.
 * iterate: point *addr at recipient number ${pos}, from 0; return 1, or 0 if
 * there are not so many.  add: local@domain as it is to be delivered; with
 * ${uniq} not a second time; return 1 added, 0 there already, -1 with errno
 * (EPERM: not now; ENOMEM; EINVAL).  remove, remove_all: return how many were
 * removed.  can_modify: 1 from MAIL until the commit, else 0. */
int validate_context_iterate_rcpt(validate_context *ctx, int pos, char **addr);
int validate_context_add_rcpt(validate_context *ctx, const char *addr,
    int uniq);
int validate_context_remove_rcpt(validate_context *ctx, const char *addr);
int validate_context_remove_all_rcpts(validate_context *ctx);
int validate_context_can_modify_rcpts(validate_context *ctx);

/* Return 1 with the session, or 0. */
int validate_context_find_message_construct(validate_context *vctx,
    message_construct **mc);

#endif
