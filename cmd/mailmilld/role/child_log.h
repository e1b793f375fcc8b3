/* The log of a child.
 * Owns: its descriptor, which the master sends (the socket to the logger, and for
 * the logger the log); the gathering of lines; that the master is asked for
 * another descriptor when the log has failed. */

#ifndef CMD_MAILMILLD_ROLE_CHILD_LOG_H
#define CMD_MAILMILLD_ROLE_CHILD_LOG_H

#include "cmd/mailmilld/role/child.h"

/* M_LOG.  Closure: the struct child. */
msg_fn child_log_on_log;

/* child_log_gather(c): From now on write lines at the end of passes, some of
 * them at once.  Return 0 or -1 with errno. */
int child_log_gather(struct child *c);

#endif
