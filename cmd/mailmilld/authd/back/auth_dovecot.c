/* Dovecot's auth protocol on a Unix socket, as its documentation describes it
 * (doc.dovecot.org, "Dovecot Authentication Protocol"). */

#include "cmd/mailmilld/authd/back/auth_dovecot.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util/monotonic.h"

#define HANDSHAKE_LINES	256	/* more than there are mechanisms */
#define MAJOR		"1"	/* the other number may be any */
#define CONNECT_PAUSE_MS 20

/* The octets that are escaped in a value, and the letter that stands for each
 * behind a \001. */
static const struct {
	char	octet, name;
} escapes[] = {
	{ '\001', '1' }, { '\t', 't' }, { '\r', 'r' }, { '\n', 'n' },
};
#define NESCAPES	(sizeof(escapes) / sizeof(escapes[0]))

int
auth_dovecot_escape(const char *s, char *out_r, size_t size)
{
	size_t n = 0, i;

	for (; *s != '\0'; s++) {
		for (i = 0; i < NESCAPES && escapes[i].octet != *s; i++)
			;
		if (n + 3 > size)
			return -1;
		if (i < NESCAPES) {
			out_r[n++] = '\001';
			out_r[n++] = escapes[i].name;
		} else
			out_r[n++] = *s;
	}
	if (n >= size)
		return -1;
	out_r[n] = '\0';
	return (int)n;
}

void
auth_dovecot_unescape(char *s)
{
	char *out = s;
	size_t i;

	for (; *s != '\0'; s++) {
		if (*s != '\001' || s[1] == '\0') {
			*out++ = *s;
			continue;
		}
		s++;
		for (i = 0; i < NESCAPES && escapes[i].name != *s; i++)
			;
		/* an escaped NUL is left out: it would end the text */
		if (*s != '0')
			*out++ = i < NESCAPES ? escapes[i].octet : *s;
	}
	*out = '\0';
}

static int
fail(struct auth_dovecot *d, const char *problem)
{
	d->problem = problem;
	return -1;
}

/* Wait until the socket is ready for ${events}. */
static int
await(struct auth_dovecot *d, short events)
{
	int rc = monotonic_poll(d->fd, events, d->deadline_ms);

	if (rc == -1)
		return fail(d, "poll(2) fails");
	return rc == 1 ? 0 : fail(d, "no answer in time");
}

/* Connect; retry while the socket's backlog is full. */
static int
connect_to(struct auth_dovecot *d, const struct sockaddr_un *sun)
{
	const struct timespec pause = { .tv_nsec = CONNECT_PAUSE_MS * 1000000L };

	while (connect(d->fd, (const struct sockaddr *)sun,
	    sizeof(*sun)) == -1) {
		if (errno == EISCONN)
			return 0;
		if (errno == ENOENT || errno == ECONNREFUSED)
			return fail(d, "nobody listens at the socket: is "
			    "Dovecot running?");
		if (errno == EACCES || errno == EPERM)
			return fail(d, "the socket's mode keeps us out: see "
			    "mode, user and group of unix_listener in "
			    "Dovecot's configuration");
		if (errno != EAGAIN && errno != EINTR)
			return fail(d, "connect(2) fails");
		if (monotonic_ms() >= d->deadline_ms)
			return fail(d, "no connection in time");
		nanosleep(&pause, NULL);
	}
	return 0;
}

int
auth_dovecot_send(struct auth_dovecot *d, const char *line, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(d->fd, line, len, MSG_NOSIGNAL);
		if (n > 0) {
			line += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (await(d, POLLOUT) == -1)
				return -1;
		} else if (errno != EINTR)
			return fail(d, "it has closed the connection");
	}
	return 0;
}

/* Read more: 0, or -1. */
static int
fill(struct auth_dovecot *d)
{
	ssize_t n;

	memmove(d->buf, d->buf + d->begin, d->end - d->begin);
	d->end -= d->begin;
	d->begin = 0;
	if (d->end == sizeof(d->buf))
		return fail(d, "a line longer than the protocol's");
	do {
		if (await(d, POLLIN) == -1)
			return -1;
		n = recv(d->fd, d->buf + d->end, sizeof(d->buf) - d->end, 0);
	} while (n == -1 && (errno == EAGAIN || errno == EINTR));
	if (n <= 0)
		return fail(d, "it has closed the connection");
	d->end += (size_t)n;
	return 0;
}

int
auth_dovecot_receive(struct auth_dovecot *d,
    char *fields_r[AUTH_DOVECOT_FIELDS])
{
	size_t seen = 0;
	char *line, *nl;
	int n = 0;

	while ((nl = memchr(d->buf + d->begin + seen, '\n',
	    d->end - d->begin - seen)) == NULL) {
		seen = d->end - d->begin;
		if (fill(d) == -1)
			return -1;
	}
	line = d->buf + d->begin;
	d->begin = (size_t)(nl + 1 - d->buf);
	*nl = '\0';
	if (strlen(line) != (size_t)(nl - line))
		return fail(d, "a NUL in a line");
	while (line != NULL && n < AUTH_DOVECOT_FIELDS)
		fields_r[n++] = strsep(&line, "\t");
	return n;
}

/* The handshake: VERSION comes first, then other lines in any order, then
 * DONE. */
static int
shake_hands(struct auth_dovecot *d, const char *mech)
{
	char *fields[AUTH_DOVECOT_FIELDS], hello[64];
	bool is_offered = false;
	int i, n;

	/* Dovecot refuses a second connection with the same CPID, so our
	 * process id cannot be used; these numbers are above all of those */
	n = snprintf(hello, sizeof(hello), "VERSION\t" MAJOR "\t1\nCPID\t%u\n",
	    arc4random() | 0x80000000u);
	if (auth_dovecot_send(d, hello, (size_t)n) == -1)
		return -1;
	for (i = 0; i < HANDSHAKE_LINES; i++) {
		if ((n = auth_dovecot_receive(d, fields)) == -1)
			return -1;
		if (i == 0 && (strcmp(fields[0], "VERSION") != 0 || n < 2 ||
		    strcmp(fields[1], MAJOR) != 0))
			return fail(d, "it does not speak version 1 of "
			    "Dovecot's auth protocol");
		if (strcmp(fields[0], "MECH") == 0 && n > 1 &&
		    strcmp(fields[1], mech) == 0)
			is_offered = true;
		if (strcmp(fields[0], "DONE") == 0)
			return is_offered ? 0 : fail(d, "it does not offer the "
			    "mechanism: see auth_mechanisms in Dovecot's "
			    "configuration");
	}
	return fail(d, "a handshake without end");
}

int
auth_dovecot_open(struct auth_dovecot *d, const char *path, const char *mech)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	d->begin = d->end = 0;
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd == -1)
		return fail(d, "no descriptor");
	return connect_to(d, &sun) == -1 ? -1 : shake_hands(d, mech);
}

void
auth_dovecot_close(struct auth_dovecot *d)
{
	if (d->fd != -1)
		close(d->fd);
}
