/* Regular looks at the files that workers have open.
 * Owns: when that is.
 * Knows nothing of what is too much: spoold_share.c does. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include "core/loop/after.h"
#include "core/util/monotonic.h"

static void
look(void *closure)
{
	struct spoold *sp = closure;
	uint64_t now_ms = monotonic_ms();
	struct spoold_worker *w;
	bool is_any_over = false;

	sp->watch = NULL;
	TAILQ_FOREACH (w, &sp->workers, link) {
		if (spoold_share_watch(w, now_ms))
			sp->beyond(sp->closure, &w->who);
		is_any_over = is_any_over || w->share.is_over;
	}
	if (!TAILQ_EMPTY(&sp->workers))
		sp->watch = after_ms(is_any_over ? SPOOLD_WATCH_OVER_MS :
		    SPOOLD_WATCH_MS, look, sp);
}

void
spoold_watch(struct spoold *sp)
{
	/* where there is only one worker, it may have all */
	if (sp->watch == NULL && sp->settings->workers > 1)
		sp->watch = after_ms(SPOOLD_WATCH_MS, look, sp);
}

void
spoold_watch_stop(struct spoold *sp)
{
	after_cancel(&sp->watch);
}
