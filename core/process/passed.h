/* Descriptors that come with a message of a Unix socket, from a sender that may
 * be hostile.
 * Owns: how much room they need, and how they are closed.  A message that is
 * read without room for them is as dangerous as one that is not read: the
 * kernel then closes them, and waits there for a connection that lingers as
 * long as its sender has said (SO_LINGER). */

#ifndef CORE_PROCESS_PASSED_H
#define CORE_PROCESS_PASSED_H

#include <sys/socket.h>
#include <sys/types.h>

#define PASSED_MAX	253	/* the kernel's SCM_MAX_FD */

/* Room for all that can come with a message: its sender's credentials, too. */
union passed_control {
	struct cmsghdr	align;
	char		buf[CMSG_SPACE(sizeof(int) * PASSED_MAX) +
			    CMSG_SPACE(sizeof(struct ucred))];
};

/* passed_take(mh, fd_r): Of the descriptors that recvmsg(2) has put into
 * ${mh}, *fd_r is the first, now the caller's, or -1; close the others.  Return
 * how many came. */
unsigned int passed_take(struct msghdr *mh, int *fd_r);

/* passed_discard(fd): Take the next message of the socket, which has
 * SO_PASSCRED, and close what came with it.  Never waits.  Return 0, or -1:
 * there is none (EAGAIN), there will be none (ENODATA), or an error of
 * recvmsg(2). */
int passed_discard(int fd);

/* passed_close(fd): Close such a socket, without waiting for what was not read.
 * Whoever has a duplicate of it reads nothing more, either. */
void passed_close(int fd);

#endif
