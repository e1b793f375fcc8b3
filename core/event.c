/* Events: making, closing and freeing them; see event.h. */

#include "core/event.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/scheduler.h"

static Event *
new_event(int fd, int mask, EventFunc callback, void *closure)
{
	Event *e;

	e = calloc(1, sizeof *e);
	if (e == NULL)
		return NULL;
	e->io_opset = &event_plain_opset;
	e->fd = fd;
	e->mask = mask;
	e->callback = callback;
	e->closure = closure;
	return e;
}

Event *
build_event(struct timeval when, int whence, int fd, EventFunc callback,
    void *closure)
{
	Event *e;

	e = new_event(fd, E_TIMEOUT, callback, closure);
	if (e == NULL)
		return NULL;
	e->trigger = when;
	if (whence == EVENT_WHENCE_NOW)
		timeradd(scheduler_now(), &when, &e->trigger);
	return e;
}

Event *
build_event_from_now(struct timeval offset, int fd, EventFunc callback,
    void *closure)
{
	return build_event(offset, EVENT_WHENCE_NOW, fd, callback, closure);
}

Event *
build_event_from_now_f(float offset_seconds, int fd, EventFunc callback,
    void *closure)
{
	/* double: a float has 24 bits, which microseconds of a day exceed */
	return build_event_from_now(
	    loopclock_tv((int64_t)((double)offset_seconds * 1e6)), fd,
	    callback, closure);
}

Event *
build_fd_event(int fd, int mask, int aggressive, EventFunc callback,
    void *closure)
{
	Event *e;

	e = new_event(fd, mask, callback, closure);
	if (e != NULL)
		e->aggressive = (unsigned int)aggressive & 0xf;
	return e;
}

void
event_free(Event *e)
{
	if (e == NULL)
		return;
	if (e->loop != NULL)
		e->loop->freeing(e);
	free(e);
}

int
event_close(Event *e)
{
	int rc;

	if (e->fd == -1) {
		errno = EBADF;
		return -1;
	}
	if (e->loop != NULL)
		e->loop->fd_closing(e);
	/* the opset may have more to let go of than the descriptor */
	rc = e->io_opset->event_close(e);
	e->fd = -1;
	return rc;
}

void
event_post_dup(Event *dst, Event *src)
{
	dst->io_opset = src->io_opset;
	dst->io_data = src->io_data;
}
