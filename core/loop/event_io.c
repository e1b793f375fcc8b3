/* Byte I/O of events: the plain opset, and the calls that go through the opset;
 * see event.h.  Nothing here waits. */

#include "core/event.h"

#include <sys/sendfile.h>

#include <errno.h>
#include <unistd.h>

#include "core/util/fileio.h"

static int
plain_accept(Event *e, struct sockaddr *sa, socklen_t *salen)
{
	int fd;

	do
		fd = accept4(e->fd, sa, salen, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (fd == -1 && errno == EINTR);
	return fd;
}

static int
result(ssize_t n, int mask, int *needmask)
{
	if (n == -1 && errno == EAGAIN)
		*needmask = mask;
	return (int)n;
}

static int
plain_read(Event *e, char *buf, int buflen, int *needmask)
{
	ssize_t n;

	do {
		/* another process may have the socket, too, and have made it
		 * a blocking one */
		n = recv(e->fd, buf, (size_t)buflen, MSG_DONTWAIT);
		if (n == -1 && errno == ENOTSOCK)
			n = read(e->fd, buf, (size_t)buflen);
	} while (n == -1 && errno == EINTR);
	return result(n, E_READ, needmask);
}

static int
plain_write(Event *e, const char *buf, int buflen, int *needmask)
{
	ssize_t n;

	/* MSG_NOSIGNAL: a library must neither raise SIGPIPE nor change its
	 * handler */
	do {
		n = send(e->fd, buf, (size_t)buflen, MSG_NOSIGNAL |
		    MSG_DONTWAIT);
		if (n == -1 && errno == ENOTSOCK)
			n = write(e->fd, buf, (size_t)buflen);
	} while (n == -1 && errno == EINTR);
	return result(n, E_WRITE, needmask);
}

static int
plain_close(Event *e)
{
	/* nor does the close of a socket that was passed between processes */
	return fileio_close_passed(e->fd);
}

static int
plain_sendfile(Event *e, int fd, off_t *offset, size_t count, int *needmask)
{
	ssize_t n;

	do
		n = sendfile(e->fd, fd, offset, count);
	while (n == -1 && errno == EINTR);
	return result(n, E_WRITE, needmask);
}

static const event_io_opset plain_opset = {
	.event_accept = plain_accept,
	.event_read = plain_read,
	.event_write = plain_write,
	.event_close = plain_close,
	.event_sendfile = plain_sendfile
};

const event_io_opset *
mailmill_plain_opset(void)
{
	return &plain_opset;
}

int
event_accept(Event *e, struct sockaddr *sa, socklen_t *salen)
{
	return e->io_opset->event_accept(e, sa, salen);
}

int
event_read(Event *e, char *buf, int buflen, int *needmask)
{
	int ignored;

	if (buflen < 0) {
		errno = EINVAL;
		return -1;
	}
	if (needmask == NULL)
		needmask = &ignored;
	*needmask = E_READ;
	return e->io_opset->event_read(e, buf, buflen, needmask);
}

int
event_write(Event *e, const char *buf, int buflen, int *needmask)
{
	int ignored;

	if (buflen < 0) {
		errno = EINVAL;
		return -1;
	}
	return e->io_opset->event_write(e, buf, buflen,
	    needmask != NULL ? needmask : &ignored);
}

int
event_sendfile(Event *e, int fd, off_t *offset, size_t count, int *needmask)
{
	int ignored;

	/* bounded, since an int reports it, and other events get their turn */
	if (count > 0x7ffff000)
		count = 0x7ffff000;
	return e->io_opset->event_sendfile(e, fd, offset, count,
	    needmask != NULL ? needmask : &ignored);
}

int
event_pending(Event *e)
{
	if (e->io_opset->event_pending == NULL)
		return 0;
	return e->io_opset->event_pending(e);
}

void
event_rest(Event *e)
{
	if (e->io_opset->event_rest != NULL)
		e->io_opset->event_rest(e);
}
