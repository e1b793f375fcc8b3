/* Events: making, closing and freeing them; see event.h. */

#include "core/event.h"

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
	/* its callback is running: the dispatcher frees it */
	if (e->is_cleared)
		e->is_freed = 1;
	else
		free(e);
}

int
event_close(Event *e)
{
	int rc;

	if (e == NULL || e->fd == -1)
		return 0;
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
	*dst = *src;
	dst->active_ms = 0;
	dst->loop = NULL;
	dst->link.next = dst->link.prev = NULL;
	dst->async_mask = 0;
	dst->all_slot = dst->poll_slot = dst->timer_slot = 0;
	dst->is_parked = dst->is_cleared = dst->is_freed = 0;
	dst->is_floating = 0;
}
