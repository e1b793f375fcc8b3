/* Events: making, closing and freeing them; see event.h. */

#include "core/event.h"

#include <errno.h>
#include <stdlib.h>

Event *
build_fd_event(int fd, int mask, int aggressive, EventFunc callback,
    void *closure)
{
	Event *e;

	e = calloc(1, sizeof *e);
	if (e == NULL)
		return NULL;
	e->io_opset = &event_plain_opset;
	e->fd = fd;
	e->mask = mask;
	e->aggressive = (unsigned int)aggressive & 0xf;
	e->callback = callback;
	e->closure = closure;
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
	/* the opset may hold more than the descriptor (a TLS session) */
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
