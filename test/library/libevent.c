/* mailmill in libevent's loop: both headers in one source.  Both libraries have
 * functions that are called event_free and event_pending: here these names are
 * libevent's, and in receiver.c ours. */

#define MAILMILL_PREFIX_ONLY

#include <event2/event.h>

#include <stddef.h>

#include "receiver.h"

static struct event_base *base;
static struct event *watched;
static int nfired, has_failed;

/* The members of an opset have the documented names also here. */
static event_io_opset opset;
static int nread;

static int
count_read(Event *e, char *buf, int buflen, int *needmask)
{
	int n = mailmill_plain_opset()->event_read(e, buf, buflen, needmask);

	if (n > 0)
		nread += n;
	return n;
}

static void wait_for(Event *e, int mask);

/* The step may close the descriptor: libevent is told before. */
static void
step(Event *e, int type)
{
	if (watched != NULL)
		event_free(watched);
	watched = NULL;
	wait_for(e, receiver_step(e, type));
}

static void
on_event(evutil_socket_t fd, short what, void *closure)
{
	Event *e = (Event *)closure;
	int type = 0;

	(void)fd;
	nfired++;
	/* of libevent's event: it has fired, so it waits no more */
	if (event_pending(watched, EV_READ | EV_WRITE | EV_TIMEOUT, NULL))
		has_failed = 1;
	if (what & EV_READ)
		type |= E_READ;
	if (what & EV_WRITE)
		type |= E_WRITE;
	if (what & EV_TIMEOUT)
		type |= E_TIMEOUT;
	/* of our event: octets that no select(2) sees */
	type |= mailmill_event_pending(e);
	step(e, type);
}

static void
on_disk(evutil_socket_t fd, short what, void *closure)
{
	Event *e = (Event *)closure;

	(void)fd, (void)what;
	receiver_commit();
	step(e, E_ASYNC);
}

static void
wait_for(Event *e, int mask)
{
	struct timeval soon = { 0, 1000 }, timeout = { 0, 0 };
	short what = 0;
	long ms;

	if (mask == 0) {
		event_base_loopbreak(base);
		return;
	}
	if (mask & E_READ)
		what |= EV_READ;
	if (mask & E_WRITE)
		what |= EV_WRITE;
	if (receiver_must_commit())
		event_base_once(base, -1, EV_TIMEOUT, on_disk, e, &soon);
	if (what == 0 && !(mask & E_TIMEOUT))
		return;
	if (mask & E_TIMEOUT) {
		ms = receiver_timeout_ms(e);
		timeout.tv_sec = ms / 1000;
		timeout.tv_usec = ms % 1000 * 1000;
	}
	/* without a descriptor a session has its deadline all the same */
	watched = event_new(base, what != 0 ? e->fd : -1, what, on_event, e);
	event_add(watched, mask & E_TIMEOUT ? &timeout : NULL);
}

int
main(void)
{
	Event *e = receiver_start();

	opset = *mailmill_plain_opset();
	opset.event_read = count_read;
	e->io_opset = &opset;
	base = event_base_new();
	wait_for(e, E_WRITE);
	event_base_dispatch(base);
	event_base_free(base);
	return has_failed || nfired < 6 || nread == 0 ? 1 : receiver_check("libevent");
}
