/* mailmill in GLib's main loop. */

#include <glib-unix.h>

#include "receiver.h"

static GMainLoop *loop;
static guint watched, deadline;

static void wait_for(Event *e, int mask);

static gboolean
on_event(gint fd, GIOCondition what, gpointer closure)
{
	Event *e = (Event *)closure;
	int type = 0;

	(void)fd;
	watched = 0;
	if (what & (G_IO_IN | G_IO_HUP | G_IO_ERR))
		type |= E_READ;
	if (what & G_IO_OUT)
		type |= E_WRITE;
	wait_for(e, receiver_step(e, type));
	return G_SOURCE_REMOVE;
}

static gboolean
on_deadline(gpointer closure)
{
	Event *e = (Event *)closure;

	deadline = 0;
	wait_for(e, receiver_step(e, E_TIMEOUT));
	return G_SOURCE_REMOVE;
}

static gboolean
on_disk(gpointer closure)
{
	Event *e = (Event *)closure;

	receiver_commit();
	wait_for(e, receiver_step(e, E_ASYNC));
	return G_SOURCE_REMOVE;
}

static void
forget(guint *source)
{
	if (*source != 0)
		g_source_remove(*source);
	*source = 0;
}

static void
wait_for(Event *e, int mask)
{
	int what = 0;

	forget(&watched);
	forget(&deadline);
	if (mask == 0) {
		g_main_loop_quit(loop);
		return;
	}
	if (mask & E_READ)
		what |= G_IO_IN;
	if (mask & E_WRITE)
		what |= G_IO_OUT;
	if (what != 0)
		watched = g_unix_fd_add(e->fd, (GIOCondition)what, on_event, e);
	if (mask & E_TIMEOUT)
		deadline = g_timeout_add((guint)receiver_timeout_ms(e),
		    on_deadline, e);
	if (receiver_must_commit())
		g_timeout_add(1, on_disk, e);
}

int
main(void)
{
	Event *e = receiver_start();

	loop = g_main_loop_new(NULL, FALSE);
	wait_for(e, E_WRITE);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
	return receiver_check("GLib");
}
