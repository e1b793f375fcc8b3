/* An event on the loop in one call. */

#ifndef CORE_LOOP_WATCH_H
#define CORE_LOOP_WATCH_H

#include "core/event.h"

/* watch_fd(fd, mask, callback, closure): build_fd_event() and schedule_event():
 * call ${callback} when ${fd} is ready.  ${fd} -1: only for completions
 * (E_ASYNC).  NULL with errno. */
Event *watch_fd(int fd, int mask, EventFunc callback, void *closure);

/* watch_close(&e): Forget it and close its descriptor; *e is NULL afterwards.
 * Not from its callback.  Nothing happens when *e is NULL already. */
void watch_close(Event **e);

#endif
