/* Which process holds an address that is in use. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_HOLDER_H
#define CMD_MAILMILLD_MASTER_NEEDS_HOLDER_H

#include <sys/types.h>

#include <stdbool.h>

struct sockaddr;

/* holder_is(pid, sa): Whether process ${pid} has all the listening sockets
 * that keep others from binding to ${sa}, so that it will be free when that
 * process has ended.  False also when it cannot be found out.
 * holder_is_at(pid, path): The same of the Unix sockets that listen at ${path}. */
bool holder_is(pid_t pid, const struct sockaddr *sa);
bool holder_is_at(pid_t pid, const char *path);

#endif
