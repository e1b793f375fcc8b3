/* Going into the background as an init system expects it, the lock that lets
 * only one server run, and what a service manager is told. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_DAEMON_H
#define CMD_MAILMILLD_MASTER_NEEDS_DAEMON_H

#include <sys/types.h>

#include <stdbool.h>

/* daemon_running(path): The process id in the pid file, if that process is a
 * master; else 0.
 * daemon_check(path): Could the pid file and its lock be made?  This changes
 * nothing.  Return 0, or -1 with errno. */
pid_t daemon_running(const char *path);
int daemon_check(const char *path);

/* daemon_lock(path): Lock a file beside the pid file that only this account can
 * open.  The pid file itself would not do: every account can open it to read,
 * and so could lock it.  Return 0, or -1 having said why on stderr (with the
 * process id of the server that has the lock). */
int daemon_lock(const char *path);

/* daemon_pid(): Write this process's id into the pid file.  0, or -1 with
 * errno. */
int daemon_pid(void);

/* daemon_unlock(): Remove the pid file, give up the lock. */
void daemon_unlock(void);

/* daemon_fork(): Go on in a child without a terminal, in the folder "/".  The
 * caller's process waits for daemon_ready() or daemon_tell_parent(), and exits
 * with 0 or that status; with 1 when the child ends before that.  Return 0 (in
 * the child), or -1 with errno. */
int daemon_fork(void);
void daemon_tell_parent(int status);

/* daemon_notify_init(): Take NOTIFY_SOCKET out of the environment.  Return
 * whether a service manager has asked to be told there; see sd_notify(3). */
bool daemon_notify_init(void);

/* daemon_ready(): Tell the service manager.  After daemon_fork() also have the
 * waiting parent exit, and close stdin, stdout and stderr.
 * daemon_reloading(), daemon_reloaded(error), daemon_stopping(): Tell the
 * service manager; ${error} is "" after a good reload. */
void daemon_ready(void);
void daemon_reloading(void);
void daemon_reloaded(const char *error);
void daemon_stopping(void);

#endif
