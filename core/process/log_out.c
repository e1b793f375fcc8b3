/* Where the lines of the log are written: see log_out.h. */

#include "core/process/log_out.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log_record.h"

#define BATCH	64		/* datagrams per sendmmsg(2) */

/* Find out whether writing to the descriptor may block, and how much may be
 * written at once. */
void
log_out_set(struct log_out *o, enum log_kind kind, int fd)
{
	struct stat st;
	int flags;

	*o = (struct log_out){ .kind = kind, .fd = fd,
		.write_max = LOG_BUFFER };
	if (kind == LOG_TO_LOGGER)
		o->write_max = LOG_RECORD_MAX;
	if (kind >= LOG_TO_SYSLOG || fstat(fd, &st) == -1 ||
	    S_ISREG(st.st_mode))
		return;
	/* up to PIPE_BUF octets are written as a whole: lines of several
	 * processes are not mixed */
	o->write_max = PIPE_BUF;
	flags = fcntl(fd, F_GETFL);
	o->may_block = flags == -1 || (flags & O_NONBLOCK) == 0;
}

/* Whether the errno ${e} is temporary. */
static bool
passes(int e)
{
	return e == EAGAIN || e == ENOBUFS || e == ENOMEM || e == ENOSPC ||
	    e == EDQUOT;
}

/* How many of the ${len} octets to write at once. */
static size_t
whole_lines(const char *lines, size_t len, size_t max)
{
	const char *nl;

	if (len <= max)
		return len;
	nl = memrchr(lines, '\n', max);
	return nl == NULL ? max : (size_t)(nl - lines) + 1;
}

/* One write(2), or one record. */
static ssize_t
write_once(const struct log_out *o, const char *lines, size_t len)
{
	len = whole_lines(lines, len, o->write_max);
	return o->kind == LOG_TO_LOGGER ?
	    send(o->fd, lines, len, MSG_DONTWAIT | MSG_NOSIGNAL) :
	    write(o->fd, lines, len);
}

static size_t
write_stream(struct log_out *o, const char *lines, size_t len)
{
	struct pollfd pfd = { .fd = o->fd, .events = POLLOUT };
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		if (o->may_block && poll(&pfd, 1, 0) != 1)
			break;
		n = write_once(o, lines + done, len - done);
		if (n > 0) {
			done += (size_t)n;
		} else if (errno != EINTR) {
			o->is_dead = !passes(errno);
			break;
		}
	}
	return done;
}

/* One datagram per line. */
static size_t
write_syslog(struct log_out *o, const char *lines, size_t len, uint64_t *lost)
{
	struct mmsghdr mm[BATCH];
	struct iovec iov[BATCH];
	const char *p = lines, *end = lines + len, *nl, *at;
	int n, i;

	while (p < end) {
		memset(mm, 0, sizeof(mm));
		for (n = 0, at = p; n < BATCH && at < end; n++, at = nl + 1) {
			nl = memchr(at, '\n', (size_t)(end - at));
			iov[n].iov_base = (void *)(uintptr_t)at;
			iov[n].iov_len = (size_t)(nl - at);
			mm[n].msg_hdr.msg_iov = &iov[n];
			mm[n].msg_hdr.msg_iovlen = 1;
		}
		i = sendmmsg(o->fd, mm, (unsigned int)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (i == -1 && errno == EMSGSIZE) {
			++*lost;
			i = 1;
		}
		if (i > 0) {
			p = (const char *)iov[i - 1].iov_base +
			    iov[i - 1].iov_len + 1;
		} else if (errno != EINTR) {
			o->is_dead = !passes(errno);
			break;
		}
	}
	return (size_t)(p - lines);
}

size_t
log_out_write(struct log_out *o, const char *lines, size_t len,
    uint64_t *lost)
{
	if (o->is_dead || len == 0)
		return 0;
	return o->kind == LOG_TO_SYSLOG ? write_syslog(o, lines, len, lost) :
	    write_stream(o, lines, len);
}
