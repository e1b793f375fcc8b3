/* The lock of a spool: a file that the queue process keeps locked while it has
 * the spool, and that names its master. */

#ifndef CMD_MAILMILLD_ROLE_SPOOLLOCK_H
#define CMD_MAILMILLD_ROLE_SPOOLLOCK_H

#include <sys/types.h>

#include <stdbool.h>

#define SPOOLLOCK	"queue/lock"	/* in the spool */

/* spoollock_owner(fd, &is_alive_r): The process id of the master whose queue
 * process has the lock; 0: the file does not say.  This master may have died;
 * then its queue process ends soon. */
pid_t spoollock_owner(int fd, bool *is_alive_r);

/* spoollock_sign(fd, master): The lock is ours: say so in the file.  Return 0, or
 * -1 with errno: then others only cannot name us. */
int spoollock_sign(int fd, pid_t master);

#endif
