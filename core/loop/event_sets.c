/* Sets of events, and events that float: see scheduler.h.
 * An event that floats stays scheduled, with the mask E_ASYNC: neither its
 * descriptor nor its trigger is looked at, and a post is what wakes it. */

#include "core/scheduler.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/loop/scheduler_int.h"

static int
by_fd(const void *a, const void *b)
{
	const Event *x = *(Event *const *)a, *y = *(Event *const *)b;

	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

/* The events of the calling thread's scheduler that float, or those with a
 * descriptor that do not. */
static void
collect(bool is_floating, Event ***set, int *count)
{
	const struct scheduler *s = scheduler_of_thread;
	Event **found;
	size_t i, n = 0;

	*set = NULL;
	*count = 0;
	if (s == NULL || s->nall == 0 ||
	    (found = reallocarray(NULL, s->nall, sizeof(*found))) == NULL)
		return;
	for (i = 0; i < s->nall; i++)
		if (s->all[i]->is_floating == is_floating &&
		    (is_floating || s->all[i]->fd != -1))
			found[n++] = s->all[i];
	if (n == 0) {
		free(found);
		return;
	}
	qsort(found, n, sizeof(*found), by_fd);
	*set = found;
	*count = (int)n;
}

void
get_fd_event_set(Event ***set, int *count)
{
	collect(false, set, count);
}

void
get_floating_event_set(Event ***set, int *count)
{
	collect(true, set, count);
}

void
float_event(Event *event)
{
	struct scheduler *s = scheduler_of_thread;

	if (event == NULL || s == NULL || scheduler_of(event) != s)
		return;
	event->is_floating = 1;
	event->mask = E_ASYNC;
	if (event->fd != -1)
		pollset_follow(&s->pollset, event);
	timers_remove(&s->timers, event);
	/* keep what others have posted until the event goes on; drop what the
	 * loop itself has posted, since it does not hold any more */
	postq_hold(&s->postq, event, E_TIMEOUT | E_PENDING);
	if (s->current == event) {
		s->current = NULL;
		s->floated = event;
	}
}
