/* One request, one answer.
 * Owns: the exchange with the server, and the advice when it does not answer. */

#include "cmd/mailmillctl/ctl.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS	120000	/* a reload starts processes */
#define ANSWER_MAX		(256u * 1024 * 1024)

static const char *
advice(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "no server is running there: start mailmilld, or name "
		    "its configuration with -c or its socket with -s";
	case EACCES:
	case EPERM:
		return "not allowed: use the account that started the server "
		    "(root)";
	default:
		return strerror(error);
	}
}

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		fprintf(stderr, "mailmillctl: %s: the path is too long\n",
		    path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	error = errno;
	if (fd != -1)
		close(fd);
	fprintf(stderr, "mailmillctl: %s: %s\n", path, advice(error));
	return -1;
}

static int
send_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, buf, len, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
send_request(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	int rc;

	if (text == NULL)
		return -1;
	rc = send_all(fd, text, strlen(text));
	free(text);
	return rc == -1 ? -1 : send_all(fd, "\n", 1);
}

/* Read up to the end of the line, or until the server closes.  Return octets, or
 * -1. */
static ssize_t
receive(int fd, char **buf_r)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char *buf = NULL, *more;
	size_t size = 0, len = 0;
	ssize_t n;

	for (;;) {
		if (len == size) {
			size = size == 0 ? 65536 : size * 2;
			if (size > ANSWER_MAX ||
			    (more = realloc(buf, size)) == NULL)
				break;
			buf = more;
		}
		if (poll(&pfd, 1, ANSWER_TIMEOUT_MS) <= 0)
			break;
		n = recv(fd, buf + len, size - len, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			break;
		len += (size_t)n;
		if (n == 0 || buf[len - 1] == '\n') {
			*buf_r = buf;
			return (ssize_t)len;
		}
	}
	free(buf);
	return -1;
}

json_t *
ask(const char *path, const json_t *request, int *fd_r)
{
	json_t *answer = NULL;
	char *buf = NULL;
	ssize_t len;
	int fd;

	if ((fd = connect_to(path)) == -1)
		return NULL;
	if (send_request(fd, request) == -1 || (len = receive(fd, &buf)) == -1)
		fprintf(stderr, "mailmillctl: %s: no answer; the log of "
		    "mailmilld may say why\n", path);
	else if ((answer = json_loadb(buf, (size_t)len, 0, NULL)) == NULL)
		fprintf(stderr, "mailmillctl: %s: the answer ended early; "
		    "try again\n", path);
	free(buf);
	if (fd_r == NULL || answer == NULL)
		close(fd);
	else
		*fd_r = fd;
	return answer;
}

int
wait_for_end(int fd, long limit_s)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	time_t end = time(NULL) + limit_s;
	char c;

	for (;;) {
		if (poll(&pfd, 1, 200) > 0 && recv(fd, &c, 1, 0) <= 0)
			return 0;
		if (time(NULL) > end)
			return -1;
	}
}
