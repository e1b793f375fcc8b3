/* Byte I/O of events: the plain opset, and transfers of a fixed length; see
 * event.h.  Nothing here waits. */

#include "core/event.h"

#include <sys/sendfile.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	if (n == -1 && errno == EAGAIN && needmask != NULL)
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

const event_io_opset event_plain_opset = {
	.event_accept = plain_accept,
	.event_read = plain_read,
	.event_write = plain_write,
	.event_close = plain_close,
	.event_sendfile = plain_sendfile
};

int
event_accept(Event *e, struct sockaddr *sa, socklen_t *salen)
{
	return e->io_opset->event_accept(e, sa, salen);
}

int
event_read(Event *e, char *buf, int buflen, int *needmask)
{
	if (buflen < 0) {
		errno = EINVAL;
		return -1;
	}
	return e->io_opset->event_read(e, buf, buflen, needmask);
}

int
event_write(Event *e, const char *buf, int buflen, int *needmask)
{
	if (buflen < 0) {
		errno = EINVAL;
		return -1;
	}
	return e->io_opset->event_write(e, buf, buflen, needmask);
}

int
event_sendfile(Event *e, int fd, off_t *offset, size_t count, int *needmask)
{
	/* bounded, since an int reports it, and other events get their turn */
	if (count > 0x7ffff000)
		count = 0x7ffff000;
	return e->io_opset->event_sendfile(e, fd, offset, count, needmask);
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

static int
start(Event *e, event_io_state *state, event_io_state with)
{
	*state = with;
	if (with.buflen < 0) {
		errno = EINVAL;
		return EVENT_IO_FAILED;
	}
	return event_io_retry(e, state);
}

int
event_io_read(Event *e, char *buf, int buflen, event_io_state *state)
{
	return start(e, state, (event_io_state) {
	    .buf = buf, .buflen = buflen });
}

int
event_io_write(Event *e, const char *buf, int buflen, event_io_state *state)
{
	union {
		const char *in;
		char *out;
	} alias = { .in = buf };

	/* is_write: the octets are only read */
	return start(e, state, (event_io_state) {
	    .buf = alias.out, .buflen = buflen, .is_write = 1 });
}

int
event_io_printf(Event *e, event_io_state *state, const char *fmt, ...)
{
	va_list ap;
	char *buf;
	int len;

	memset(state, 0, sizeof *state);
	va_start(ap, fmt);
	len = vasprintf(&buf, fmt, ap);
	va_end(ap);
	if (len == -1) {
		errno = ENOMEM;
		return EVENT_IO_FAILED;
	}
	return start(e, state, (event_io_state) {
	    .buf = buf, .buflen = len, .is_write = 1, .is_owned = 1 });
}

int
event_io_retry(Event *e, event_io_state *state)
{
	int n, left;

	while ((left = state->buflen - state->done) > 0) {
		state->needmask = 0;
		if (state->is_write)
			n = event_write(e, state->buf + state->done, left,
			    &state->needmask);
		else
			n = event_read(e, state->buf + state->done, left,
			    &state->needmask);
		if (n == -1)
			return errno == EAGAIN ? EVENT_IO_AGAIN :
			    EVENT_IO_FAILED;
		if (n == 0) {
			errno = 0;
			return EVENT_IO_FAILED;
		}
		state->done += n;
	}
	return EVENT_IO_DONE;
}

void
event_io_state_clean(event_io_state *state)
{
	if (state->is_owned)
		free(state->buf);
	memset(state, 0, sizeof *state);
}
