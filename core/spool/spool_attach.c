/* The spool writer on a scheduler.
 * Owns: the Event on its eventfd, the call at the end of each pass. */

#include <errno.h>
#include <stddef.h>

#include "core/scheduler.h"
#include "core/spool/spool_writer.h"

static int
writer_event(Event *, int, void *closure, struct timeval *)
{
	spool_writer_dispatch(closure);
	return (E_READ);
}

static void
writer_pass(struct timeval *, void *closure)
{
	spool_writer_pass(closure);
}

int
spool_writer_attach(struct spool_writer *w)
{
	Event *event;
	int save;

	if ((event = build_fd_event(spool_writer_fd(w), E_READ,
	    E_AGGRESSIVE_NONE, writer_event, w)) == NULL)
		return (-1);
	if (schedule_event(event) == -1)
		goto err1;
	if (scheduler_recurrent_func_add(writer_pass, w) == -1)
		goto err0;
	return (0);

err0:	event_unschedule(event);
err1:	save = errno;
	event_free(event);
	errno = save;
	return (-1);
}
