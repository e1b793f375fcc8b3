/* The providers of hooks: see hooks.h.
 * Owns: the list of each hook.  Knows nothing of what they are for.
 * The lists are const when there are sessions, so that all threads may read
 * them. */

#include "proto/hooks.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/lim.h"
#include "proto/base/esmtp_begun.h"

typedef void any_func(void);

struct hook {
	struct {
		any_func	*func;
		void		*closure;
	}		 list[LIM_HOOK_PROVIDERS];
	unsigned int	 n;
};

enum {
#define EC_HOOK_VOID(name, provider, params, args) HOOK_##name,
#define EC_HOOK_INT(name, provider, params, args) HOOK_##name,
#include "proto/hooks.def"
#undef EC_HOOK_VOID
#undef EC_HOOK_INT
	NHOOKS
};

static struct hook hooks[NHOOKS];

static int
add(struct hook *h, any_func *func, void *closure, bool is_first)
{
	unsigned int at = is_first ? 0 : h->n;

	if (func == NULL || esmtp_has_begun() ||
	    h->n == LIM_HOOK_PROVIDERS) {
		errno = func == NULL ? EINVAL : esmtp_has_begun() ? EBUSY :
		    ENOMEM;
		return -1;
	}
	memmove(&h->list[at + 1], &h->list[at],
	    (h->n - at) * sizeof(h->list[0]));
	h->list[at].func = func;
	h->list[at].closure = closure;
	h->n++;
	return 0;
}

#define EC_HOOK_ANY(name) \
int \
has_core_##name##_hook(void) \
{ \
	return hooks[HOOK_##name].n > 0; \
} \
int \
register_core_##name##_hook_first(ec_hook_core_##name##_func_t hook, \
    void *closure) \
{ \
	return add(&hooks[HOOK_##name], (any_func *)hook, closure, true); \
} \
int \
register_core_##name##_hook_last(ec_hook_core_##name##_func_t hook, \
    void *closure) \
{ \
	return add(&hooks[HOOK_##name], (any_func *)hook, closure, false); \
}

#define EC_HOOK_CLOSURE	h->list[i].closure
#define EC_HOOK_CALL(name, args) \
	((ec_hook_core_##name##_func_t)h->list[i].func)args

#define EC_HOOK_VOID(name, provider, params, args) \
EC_HOOK_ANY(name) \
void \
call_core_##name##_hook params \
{ \
	const struct hook *h = &hooks[HOOK_##name]; \
	unsigned int i; \
\
	for (i = 0; i < h->n; i++) \
		EC_HOOK_CALL(name, args); \
}
#define EC_HOOK_INT(name, provider, params, args) \
EC_HOOK_ANY(name) \
int \
call_core_##name##_hook params \
{ \
	const struct hook *h = &hooks[HOOK_##name]; \
	unsigned int i; \
	int result = 0; \
\
	for (i = 0; i < h->n && result == 0; i++) \
		result = EC_HOOK_CALL(name, args); \
	return result; \
}
#include "proto/hooks.def"
