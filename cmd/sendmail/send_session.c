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
#include "cmd/sendmail/send_turn.h"
#include "core/util/fileio.h"

#define PIECE_OCTETS	32768

/* Octets on their way to a descriptor */
struct way {
	int	fd;
	char	buf[PIECE_OCTETS];
	size_t	at, len;
};

struct session {
	int		 in, server;
	bool		 is_in_over, is_server_over;
	char		 buf[PIECE_OCTETS / 2];	/* what the program has said */
	size_t		 at, len;
	struct send_turn turn;
	struct way	 to, from;
};

static bool
is_empty(const struct way *w)
{
	return w->at == w->len;
}

/* Return how many octets were read; 0: there is nothing now, or, with *${is_over_r},
 * nothing more. */
static size_t
get(int fd, char *buf, size_t size, bool *is_over_r)
{
	ssize_t n = read(fd, buf, size);

	*is_over_r = n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR);
	return n > 0 ? (size_t)n : 0;
}

/* Return -1: nobody reads there any more. */
static int
drain(struct way *w)
{
	ssize_t n = write(w->fd, w->buf + w->at, w->len - w->at);

	if (n > 0)
		w->at += (size_t)n;
	return n == -1 && errno != EAGAIN && errno != EINTR ? -1 : 0;
}

/* Send on what is the program's turn to say.  If that has ended, tell the server. */
static void
take_turn(struct session *s)
{
	if (!is_empty(&s->to))
		return;
	s->to.at = 0;
	s->at += send_turn_input(&s->turn, s->buf + s->at, s->len - s->at,
	    s->to.buf, &s->to.len);
	if (s->to.len == 0 && s->at == s->len && s->is_in_over)
		(void)shutdown(s->server, SHUT_WR);
}

static void
from_program(struct session *s)
{
	s->at = 0;
	s->len = get(s->in, s->buf, sizeof(s->buf), &s->is_in_over);
}

static void
from_server(struct session *s)
{
	s->from.at = 0;
	s->from.len = get(s->server, s->from.buf, sizeof(s->from.buf),
	    &s->is_server_over);
	send_turn_reply(&s->turn, s->from.buf, s->from.len);
}

/* What is waited for: [0] the way to the server, [1] the way back */
static void
wanted(const struct session *s, struct pollfd fds[2])
{
	fds[0] = (struct pollfd){ .fd = -1 };
	if (!is_empty(&s->to))
		fds[0] = (struct pollfd){ .fd = s->server, .events = POLLOUT };
	else if (s->at == s->len && !s->is_in_over)
		fds[0] = (struct pollfd){ .fd = s->in, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = s->server, .events = POLLIN };
	if (!is_empty(&s->from))
		fds[1] = (struct pollfd){ .fd = s->from.fd, .events = POLLOUT };
}

static void
step(struct session *s, const struct pollfd fds[2])
{
	if (fds[0].revents != 0 && is_empty(&s->to))
		from_program(s);
	else if (fds[0].revents != 0 && drain(&s->to) == -1) {
		s->to.at = s->to.len;
		s->at = s->len;
		s->is_in_over = true;
	}
	if (fds[1].revents != 0 && is_empty(&s->from))
		from_server(s);
	else if (fds[1].revents != 0 && drain(&s->from) == -1) {
		s->from.at = s->from.len;
		s->is_server_over = true;
	}
}

int
send_session(const char *path, int in, int out)
{
	static const char none[] = "421 4.3.2 The mail server does not run "
	    "here\r\n";
	static struct session s;
	struct pollfd fds[2];

	s.in = in;
	s.from.fd = out;
	s.server = s.to.fd = send_submit_connect(path, SOCK_STREAM);
	if (s.server == -1) {
		(void)fileio_write(out, none, sizeof(none) - 1);
		return EX_TEMPFAIL;
	}
	/* when the server has ended, nothing is left to do */
	while (!s.is_server_over || !is_empty(&s.from)) {
		take_turn(&s);
		wanted(&s, fds);
		if (poll(fds, 2, -1) == -1 && errno != EINTR)
			break;
		step(&s, fds);
	}
	close(s.server);
	return s.is_server_over ? 0 : EX_IOERR;
}
