/* One-shot timers on the loop.
 * Owns: making and freeing them. */

#include "core/loop/after.h"

#include <stddef.h>

#include "core/scheduler.h"

/* A timer has no I/O, so its io_data holds the callback. */
static int
on_trigger(Event *e, int, void *closure, struct timeval *)
{
	void (*callback)(void *) = (void (*)(void *))e->io_data;

	callback(closure);
	return 0;
}

Event *
after_ms(unsigned int ms, void (*callback)(void *closure), void *closure)
{
	struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = (long)(ms % 1000) * 1000 };
	Event *e;

	if ((e = build_event_from_now(tv, -1, on_trigger, closure)) == NULL)
		return NULL;
	e->io_data = (void *)callback;
	if (schedule_event(e) == -1) {
		event_free(e);
		return NULL;
	}
	return e;
}

void
after_cancel(Event **e)
{
	if (*e == NULL)
		return;
	event_free(*e);
	*e = NULL;
}
