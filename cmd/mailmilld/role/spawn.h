/* Starting a child: this binary again, in an address space of its own. */

#ifndef CMD_MAILMILLD_ROLE_SPAWN_H
#define CMD_MAILMILLD_ROLE_SPAWN_H

#include <sys/types.h>

#include <stdbool.h>

#include "cmd/mailmilld/role/roles.h"

/* spawn_init(is_foreground): In the foreground children keep stdout and
 * stderr. */
void spawn_init(bool is_foreground);

/* spawn_child(role, &fd_r): Fork and execute ourselves as ${role}; *fd_r is our
 * end of the channel, non-blocking and close-on-exec.  Return its process id,
 * or -1 with errno. */
pid_t spawn_child(enum role_id role, int *fd_r);

#endif
