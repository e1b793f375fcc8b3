/* The spool writer on a scheduler.
 * Owns: the Event on its eventfd, the call at the end of each pass. */

#include <errno.h>
#include <stddef.h>

#include "core/loop/watch.h"
#include "core/scheduler.h"
#include "core/spool/spool_writer.h"

static int
writer_event(Event *, int, void *closure, struct timeval *)
{
	spool_writer_dispatch(closure);
	return (E_READ);
}

static int
writer_pass(void *closure, struct timeval *)
{
	spool_writer_pass(closure);
	return 0;
}

int
spool_writer_attach(struct spool_writer *w)
{
	Event *event;
	int save;

	if ((event = watch_fd(spool_writer_fd(w), E_READ, writer_event, w)) ==
	    NULL)
		return (-1);
	if (scheduler_recurrent_func_add(writer_pass, w) == 0)
		return (0);
	save = errno;
	event_free(event);
	errno = save;
	return (-1);
}
