/* An event on the loop in one call.
 * Owns: what becomes of it when it cannot be scheduled. */

#include "core/loop/watch.h"

#include <errno.h>
#include <stddef.h>

#include "core/scheduler.h"

Event *
watch_fd(int fd, int mask, EventFunc callback, void *closure)
{
	Event *e;
	int saved;

	e = build_fd_event(fd, mask, E_AGGRESSIVE_NONE, callback, closure);
	if (e == NULL || schedule_event(e) == 0)
		return e;
	saved = errno;
	event_free(e);
	errno = saved;
	return NULL;
}

void
watch_close(Event **e)
{
	if (*e == NULL)
		return;
	event_close(*e);
	event_free(*e);
	*e = NULL;
}
