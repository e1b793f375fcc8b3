/* Going into the background as an init system expects it, and the lock that
 * lets only one server run. */

#ifndef CMD_MAILMILLD_MASTER_DAEMON_H
#define CMD_MAILMILLD_MASTER_DAEMON_H

#include <stdbool.h>

/* daemon_lock(path): Take the pid file's lock.  Return 0, or -1 having said
 * why on stderr (with the process id of the server that has it). */
int daemon_lock(const char *path);

/* daemon_fork(): Go on in a child without a terminal.  The caller's process
 * waits for daemon_ready() and exits with 0, or with 1 when the child ends
 * before that.  Return 0 (in the child), or -1 with errno. */
int daemon_fork(void);

/* daemon_pid(): Write this process's id into the locked file.  0 or -1. */
int daemon_pid(void);

/* daemon_ready(): Tell systemd, where NOTIFY_SOCKET asks for it.  After
 * daemon_fork() also have the waiting parent exit, and close stdin, stdout and
 * stderr. */
void daemon_ready(void);

/* daemon_stopping(): Tell systemd. */
void daemon_stopping(void);

/* daemon_unlock(): Remove the pid file. */
void daemon_unlock(void);

#endif
