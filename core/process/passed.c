/* Descriptors that come with messages; see passed.h. */

#include "core/process/passed.h"

#include <errno.h>
#include <string.h>

#include "core/util/fileio.h"

unsigned int
passed_take(struct msghdr *mh, int *fd_r)
{
	struct cmsghdr *cm;
	unsigned int nfds = 0;
	size_t i, n;
	int fd;

	*fd_r = -1;
	for (cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(int));
			if (nfds++ == 0)
				*fd_r = fd;
			else
				(void)fileio_close_passed(fd);
		}
	}
	return nfds;
}

int
passed_discard(int fd)
{
	union passed_control control;
	struct msghdr mh = { .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	ssize_t n;
	int first;

	do
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n == -1 && (errno == EINTR || errno == ECONNRESET));
	if (n == -1)
		return -1;
	/* a message without octets has at least its sender's credentials */
	if (n == 0 && mh.msg_controllen == 0 &&
	    (mh.msg_flags & MSG_TRUNC) == 0) {
		errno = ENODATA;
		return -1;
	}
	(void)passed_take(&mh, &first);
	(void)fileio_close_passed(first);
	return 0;
}

void
passed_close(int fd)
{
	(void)shutdown(fd, SHUT_RD);
	while (passed_discard(fd) == 0)
		continue;
	fileio_close(fd);
}
