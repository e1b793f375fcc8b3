/* One request, one answer.
 * Owns: the exchange with the server, and the advice when it does not answer. */

#include "cmd/mailmillctl/ctl.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/monotonic.h"

#define ANSWER_TIMEOUT_S	120	/* a reload starts processes */

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

/* Return a connection, or -1 with errno. */
static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	error = errno;
	if (fd != -1)
		close(fd);
	errno = error;
	return -1;
}

/* Send one line.  A request is small: the socket takes it as a whole.  If the
 * server does not take it, it does not answer either. */
static void
send_request(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);

	if (text != NULL) {
		(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
		(void)send(fd, "\n", 1, MSG_NOSIGNAL);
	}
	free(text);
}

/* Read the answer, up to its last brace. */
static json_t *
receive(FILE *fp, const char *path)
{
	const struct timeval limit = { .tv_sec = ANSWER_TIMEOUT_S };
	json_error_t error = { .position = 0 };
	json_t *answer;

	(void)setsockopt(fileno(fp), SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	answer = json_loadf(fp, JSON_DISABLE_EOF_CHECK, &error);
	if (answer == NULL)
		fprintf(stderr, "mailmillctl: %s: %s\n", path,
		    error.position > 0 ? "the answer ended early; try again" :
		    "no answer; the log of mailmilld may say why");
	return answer;
}

/* The connection to the server at ${path}, or to the process that answers in its
 * place; the request is sent.  Return -1 after a message on stderr. */
static int
begin(const char *path, const json_t *request, const char *filename)
{
	int fd = connect_to(path);

	if (fd != -1) {
		send_request(fd, request);
		return fd;
	}
	if (filename != NULL && (errno == ENOENT || errno == ECONNREFUSED))
		return offline_ask(filename, request);
	fprintf(stderr, "mailmillctl: %s: %s\n", path, advice(errno));
	return -1;
}

json_t *
ask(const char *path, const json_t *request, const char *filename,
    FILE **fp_r)
{
	json_t *answer;
	int fd;

	if ((fd = begin(path, request, filename)) == -1)
		return NULL;
	if ((*fp_r = fdopen(fd, "r")) == NULL) {
		fprintf(stderr, "mailmillctl: out of memory\n");
		close(fd);
		return NULL;
	}
	if ((answer = receive(*fp_r, path)) == NULL)
		fclose(*fp_r);
	return answer;
}

int
wait_for_end(int fd, long limit_s)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t end = monotonic_ms() + (uint64_t)limit_s * 1000;
	char c;

	for (;;) {
		if (poll(&pfd, 1, 200) > 0 && recv(fd, &c, 1, 0) <= 0)
			return 0;
		if (monotonic_ms() > end)
			return -1;
	}
}
