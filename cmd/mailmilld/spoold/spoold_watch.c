/* Regular looks at the files that workers have open.
 * Owns: when that is; the files of workers that have closed their channels.
 * An honest worker closes its channel when it ends, or when it gets one to another
 * spoold, which watches its files then, but for those that have lost their
 * names: to these no honest worker has any more.  So one that keeps such a file,
 * or any when there is no other spoold, is ended.
 * Knows nothing of what is too much: spoold_share.c does. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <stdlib.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

static bool
has_channel(const struct spoold *sp, unsigned int instance)
{
	const struct spoold_worker *w;

	TAILQ_FOREACH (w, &sp->workers, link)
		if (w->who.instance == instance)
			return true;
	return false;
}

static void
left_free(struct spoold *sp, struct spoold_left *l)
{
	TAILQ_REMOVE(&sp->lefts, l, link);
	spoold_given_free(sp, &l->segments);
	spoold_given_free(sp, &l->bodies);
	free(l);
}

/* Return whether the worker still has files open that it may not have. */
static bool
left_look(struct spoold *sp, struct spoold_left *l, uint64_t now_ms)
{
	bool is_moved = sp->is_draining || has_channel(sp, l->who.instance);

	spoold_given_prune(sp, &l->segments, !is_moved);
	spoold_given_prune(sp, &l->bodies, !is_moved);
	if (l->segments.n + l->bodies.n == 0)
		return false;
	if (now_ms - l->since_ms < SPOOLD_LEFT_MS)
		return true;
	log_errx("spoold-left", "slot=%u instance=%u files=%zu effect=%s",
	    l->who.slot, l->who.instance, l->segments.n + l->bodies.n,
	    "the master ends it: it keeps files open that this process can "
	    "not watch any more");
	sp->beyond(sp->closure, &l->who);
	/* in case it lives on */
	l->since_ms = now_ms;
	return true;
}

/* Return whether one is left. */
static bool
look_at_left(struct spoold *sp, uint64_t now_ms)
{
	struct spoold_left *l, *next;

	TAILQ_FOREACH_SAFE (l, &sp->lefts, link, next)
		if (!left_look(sp, l, now_ms))
			left_free(sp, l);
	return !TAILQ_EMPTY(&sp->lefts);
}

static void
look(void *closure)
{
	struct spoold *sp = closure;
	uint64_t now_ms = monotonic_ms();
	struct spoold_worker *w;
	bool is_any_over = false, was_any_left = !TAILQ_EMPTY(&sp->lefts);
	bool is_any_left;

	sp->watch = NULL;
	TAILQ_FOREACH (w, &sp->workers, link) {
		if (spoold_share_watch(w, now_ms))
			sp->beyond(sp->closure, &w->who);
		is_any_over = is_any_over || w->share.is_over;
	}
	is_any_left = look_at_left(sp, now_ms);
	if (is_any_left || !TAILQ_EMPTY(&sp->workers))
		sp->watch = after_ms(is_any_left ? SPOOLD_WATCH_LEFT_MS :
		    is_any_over ? SPOOLD_WATCH_OVER_MS :
		    SPOOLD_WATCH_MS, look, sp);
	else if (was_any_left)
		sp->done(sp->closure);
}

void
spoold_watch(struct spoold *sp)
{
	/* where there is only one worker, it may have all */
	if (sp->watch == NULL && sp->settings->workers > 1)
		sp->watch = after_ms(SPOOLD_WATCH_MS, look, sp);
}

void
spoold_watch_left(struct spoold_worker *w)
{
	struct spoold *sp = w->sp;
	struct spoold_left *l;

	spoold_given_prune(sp, &w->segments, true);
	spoold_given_prune(sp, &w->bodies, true);
	if (w->segments.n + w->bodies.n == 0 || sp->settings->workers < 2 ||
	    (l = calloc(1, sizeof(*l))) == NULL)
		return;
	l->who = w->who;
	l->segments = w->segments;
	l->bodies = w->bodies;
	l->since_ms = monotonic_ms();
	w->segments = w->bodies = (struct spoold_given){ .files = NULL };
	TAILQ_INSERT_TAIL(&sp->lefts, l, link);
	after_cancel(&sp->watch);
	sp->watch = after_ms(SPOOLD_WATCH_LEFT_MS, look, sp);
}

void
spoold_watch_stop(struct spoold *sp)
{
	after_cancel(&sp->watch);
	while (!TAILQ_EMPTY(&sp->lefts))
		left_free(sp, TAILQ_FIRST(&sp->lefts));
}
