/* Hooks: functions of others that a session calls at certain points, by the
 * names of the documented API: see ec_hooks(3).  hooks.def has a row for each.
 *
 * has_core_NAME_hook(): Is there a provider?
 * register_core_NAME_hook_first(hook, closure), _last: Add one, in front of the
 * others or behind them.  Before the first session of the process.  Return 0,
 * or -1 with errno (the reference has no result): EINVAL without ${hook}; EBUSY,
 * a session has begun; ENOMEM, LIM_HOOK_PROVIDERS are registered.
 * call_core_NAME_hook(...): What a session does.  0 if nothing is registered.
 *
 * A provider may do what a callback of validate.h may. */

#ifndef PROTO_HOOKS_H
#define PROTO_HOOKS_H

#include <mailmill/api.h>
#include <mailmill/ec_string.h>
#include <mailmill/esmtp_factory.h>
#include <mailmill/validate.h>

MAILMILL_BEGIN

/* The message of a session, without a documented member: validate.h answers what
 * a provider may know of it. */
typedef struct _ec_message ec_message;

/* results of final_validation2 */
#define EC_HOOK_CONT	0
#define EC_HOOK_DONE	1	/* refuse the message */
#define EC_HOOK_RETRY	2	/* refuse it for now */

#define EC_HOOK_ANY(name, result, provider, params) \
	typedef result (*ec_hook_core_##name##_func_t)provider; \
	int has_core_##name##_hook(void); \
	int register_core_##name##_hook_first( \
	    ec_hook_core_##name##_func_t hook, void *closure); \
	int register_core_##name##_hook_last( \
	    ec_hook_core_##name##_func_t hook, void *closure); \
	result call_core_##name##_hook params;
#define EC_HOOK_VOID(name, provider, params, args) \
	EC_HOOK_ANY(name, void, provider, params)
#define EC_HOOK_INT(name, provider, params, args) \
	EC_HOOK_ANY(name, int, provider, params)
#include <mailmill/hooks.def>
#undef EC_HOOK_VOID
#undef EC_HOOK_INT
#undef EC_HOOK_ANY

/* mailmill_session_command(c, &len): The line that post_smtp_command is called
 * for, without its CRLF; not terminated by a NUL.  NULL: none is at hand. */
const char *mailmill_session_command(const message_construct *c,
    size_t *len_r);

MAILMILL_END

#endif
