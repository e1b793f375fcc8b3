/* See send_session.h. */

#include "cmd/sendmail/send_session.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/sendmail/send_submit.h"
#include "core/util/fileio.h"

#define PIECE_OCTETS	32768

/* Octets on their way in one direction */
struct way {
	int	from, to;
	char	buf[PIECE_OCTETS];
	size_t	at, len;
	bool	is_over;
};

/* Read from ${w}, and if that has ended, tell the server. */
static void
fill(struct way *w, int server)
{
	ssize_t n = read(w->from, w->buf, sizeof(w->buf));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	w->at = 0;
	w->len = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return;
	w->is_over = true;
	if (w->to == server)
		(void)shutdown(server, SHUT_WR);
}

static void
drain(struct way *w)
{
	ssize_t n = write(w->to, w->buf + w->at, w->len - w->at);

	if (n > 0)
		w->at += (size_t)n;
	else if (n == -1 && errno != EAGAIN && errno != EINTR) {
		w->is_over = true;
		w->at = w->len;
	}
}

/* What one direction waits for: room, or octets */
static struct pollfd
wanted(const struct way *w)
{
	if (w->at < w->len)
		return (struct pollfd){ .fd = w->to, .events = POLLOUT };
	return (struct pollfd){ .fd = w->is_over ? -1 : w->from,
		.events = POLLIN };
}

static void
step(struct way *w, const struct pollfd *p, int server)
{
	if (p->revents == 0)
		return;
	if (w->at < w->len)
		drain(w);
	else
		fill(w, server);
}

int
send_session(const char *path, int in, int out)
{
	static const char none[] = "421 4.3.2 The mail server does not run "
	    "here\r\n";
	static struct way to, from;
	struct pollfd fds[2];
	int server = send_submit_connect(path, SOCK_STREAM);

	if (server == -1) {
		(void)fileio_write(out, none, sizeof(none) - 1);
		return EX_TEMPFAIL;
	}
	to = (struct way){ .from = in, .to = server };
	from = (struct way){ .from = server, .to = out };
	/* when the server has ended, nothing is left to do */
	while (!from.is_over || from.at < from.len) {
		fds[0] = wanted(&to);
		fds[1] = wanted(&from);
		if (poll(fds, 2, -1) == -1 && errno != EINTR)
			break;
		step(&to, &fds[0], server);
		step(&from, &fds[1], server);
	}
	close(server);
	return from.is_over ? 0 : EX_IOERR;
}
