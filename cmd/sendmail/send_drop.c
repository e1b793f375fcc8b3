/* See send_drop.h. */

#include "cmd/sendmail/send_drop.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define COPY_OCTETS	65536

/* Return the process, or -1 after a message. */
static pid_t
start(const char *const *argv, int in)
{
	pid_t pid = fork();

	if (pid == -1)
		fprintf(stderr, "mailmill-sendmail: %s: %s\n", argv[0],
		    strerror(errno));
	if (pid != 0)
		return pid;
	if (in != -1 && dup2(in, STDIN_FILENO) == -1)
		_exit(EX_OSERR);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	/* execv() changes none of them */
	execv(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "mailmill-sendmail: %s: %s\n", argv[0],
	    strerror(errno));
	_exit(EX_UNAVAILABLE);
}

static int
status_of(pid_t pid, const char *program)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return EX_OSERR;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "mailmill-sendmail: %s: it was killed by signal %d\n",
	    program, WTERMSIG(status));
	return EX_TEMPFAIL;
}

int
send_drop_run(const char *const *argv, int in)
{
	pid_t pid = start(argv, in);

	return pid == -1 ? EX_TEMPFAIL : status_of(pid, argv[0]);
}

static int
put_message(int fd, const struct send_message *m)
{
	char buf[COPY_OCTETS];
	uint64_t at = 0;
	ssize_t n;

	while ((n = send_message_pread(m, at, buf, sizeof(buf))) > 0) {
		if (fileio_write(fd, buf, (size_t)n) == -1)
			return -1;
		at += (uint64_t)n;
	}
	return n == 0 ? 0 : -1;
}

/* What the program reads, on ${fd}.  If it takes less, it says why. */
static void
feed(int fd, const char *head, size_t len, const struct send_message *m)
{
	if (fileio_write(fd, head, len) == 0 && put_message(fd, m) == -1 &&
	    errno != EPIPE)
		fprintf(stderr, "mailmill-sendmail: the message: %s\n",
		    strerror(errno));
}

/* The envelope as the maildrop has it.  Return it, or NULL after a message, with a
 * status. */
static char *
compose(const struct send_envelope *env, size_t *len_r, int *status_r)
{
	char *head = NULL;
	FILE *out = open_memstream(&head, len_r);

	if (out != NULL)
		send_envelope_write(env, out);
	if (out == NULL || fclose(out) != 0) {
		fprintf(stderr, "mailmill-sendmail: the maildrop: %s\n",
		    strerror(errno));
		*status_r = EX_OSERR;
	} else if (*len_r > SEND_ENVELOPE_MAX ||
	    env->rcpts.n > SEND_ENVELOPE_RCPTS) {
		/* nobody would read it */
		fprintf(stderr, "mailmill-sendmail: the maildrop: too many "
		    "recipients: there may be %d, with %d MiB of addresses\n",
		    SEND_ENVELOPE_RCPTS, SEND_ENVELOPE_MAX >> 20);
		*status_r = EX_TEMPFAIL;
	} else
		return head;
	free(head);
	return NULL;
}

int
send_drop(const char *program, const char *folder,
    const struct send_envelope *env, const struct send_message *m)
{
	const char *argv[] = { program, "-s", NULL, NULL, NULL, NULL };
	char size[32], *head;
	int fds[2], status = EX_OSERR;
	size_t len = 0;
	pid_t pid;

	if ((head = compose(env, &len, &status)) == NULL)
		return status;
	if (pipe2(fds, O_CLOEXEC) == -1) {
		fprintf(stderr, "mailmill-sendmail: the maildrop: %s\n",
		    strerror(errno));
		free(head);
		return EX_OSERR;
	}
	snprintf(size, sizeof(size), "%" PRIu64, len + m->octets);
	argv[2] = size;
	if (folder != NULL) {
		argv[3] = "-d";
		argv[4] = folder;
	}
	pid = start(argv, fds[0]);
	close(fds[0]);
	if (pid != -1)
		feed(fds[1], head, len, m);
	close(fds[1]);
	if (pid != -1)
		status = status_of(pid, program);
	free(head);
	return status;
}

int
send_drop_list(const char *program, const char *folder)
{
	const char *argv[] = { program, "-l", NULL, NULL, NULL };

	if (folder != NULL) {
		argv[2] = "-d";
		argv[3] = folder;
	}
	return send_drop_run(argv, -1);
}
