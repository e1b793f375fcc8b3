/* The file of a Unix socket on which the server listens. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_SOCKFILE_H
#define CMD_MAILMILLD_MASTER_NEEDS_SOCKFILE_H

#include <sys/types.h>

#include <stdbool.h>

struct sockfile_spec {
	const char	*path;		/* absolute; fits into a sockaddr_un */
	mode_t		 mode;
	uid_t		 uid;
	gid_t		 gid;
};

/* Which file one is, so that the file of another socket is not taken for it. */
struct sockfile {
	bool	is_made;
	dev_t	dev;
	ino_t	ino;
};

/* A function that returns -1 sets errno, and ${why_r} to what is wrong and what to
 * do about it; or to NULL if errno says all.
 *
 * sockfile_accounts(owner, group, spec, &why_r): The accounts with these names or
 * numbers, "" for the server's own, into ${spec}.  Return 0 or -1 (EINVAL).
 * sockfile_check(spec, &why_r): Could sockfile_listen() make the file?  This changes
 * nothing.  Return 0 or -1: EADDRINUSE, a process listens there; else as
 * sockfile_listen() does.
 * sockfile_listen(fd, spec, backlog, f_r, &why_r): Bind the Unix socket ${fd} to
 * the path, and listen.  The file has its owner, group and mode before anybody can
 * connect.  A socket on which nobody listens any more is replaced.
 * The folder may be one of another account: what that can put there while this
 * function works gets no other owner or mode, and nothing but a socket that was
 * made here is removed.  Return 0, or -1 and there is no file:
 * EADDRINUSE, a process listens there; EEXIST, something else than a socket is
 * there; EPERM, accounts that should not can write to the folder; of a call. */
int sockfile_accounts(const char *owner, const char *group,
    struct sockfile_spec *spec, const char **why_r);
int sockfile_check(const struct sockfile_spec *spec, const char **why_r);
int sockfile_listen(int fd, const struct sockfile_spec *spec, int backlog,
    struct sockfile *f_r, const char **why_r);

/* sockfile_is_there(f, path): Is it still at ${path}?
 * sockfile_change(f, spec): Give it another owner, group and mode.  Return 0 or -1
 * with errno.
 * sockfile_remove(f, path): Remove it, if it is there, before its socket is
 * closed: from then on another server may put its own socket there. */
bool sockfile_is_there(const struct sockfile *f, const char *path);
int sockfile_change(const struct sockfile *f, const struct sockfile_spec *spec);
void sockfile_remove(struct sockfile *f, const char *path);

#endif
