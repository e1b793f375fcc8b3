/* Starting a child: this binary again, in an address space of its own.
 * It gets a session of its own, no terminal, and of our environment only what
 * names files of libraries. */

#ifndef CMD_MAILMILLD_ROLE_SPAWN_H
#define CMD_MAILMILLD_ROLE_SPAWN_H

#include <sys/types.h>

#include <stdbool.h>

#include "cmd/mailmilld/role/roles.h"

/* spawn_init(is_foreground): Before the first.  In the foreground children write
 * their standard output and error into a pipe, else nowhere.  Return 0, or -1
 * with errno. */
int spawn_init(bool is_foreground);

/* spawn_is_absolute(value, parted_by): Does each path in ${value}, parted by one
 * of the octets ${parted_by}, begin with '/'? */
bool spawn_is_absolute(const char *value, const char *parted_by);

/* spawn_output(): Where that pipe is read, non-blocking; -1: there is none.
 * spawn_lines(): The same, of the pipe of spawn_log(). */
int spawn_output(void);
int spawn_lines(void);

/* spawn_log(fd): The descriptor that the logger gets for the log ${fd}: a
 * duplicate, or, where ${fd} is a terminal, one of a pipe that no other child
 * has.  -1 with errno. */
int spawn_log(int fd);

/* spawn_child(role, &fd_r): Fork and execute ourselves as ${role}; *fd_r is our
 * end of the channel, non-blocking and close-on-exec.  Return its process id,
 * or -1 with errno. */
pid_t spawn_child(enum role_id role, int *fd_r);

/* spawn_is_traced(pid): Does ptrace(2) have hold of that process? */
bool spawn_is_traced(pid_t pid);

#endif
