/* Going into the background, the pid file, messages to the init system.
 * Owns: the parent that waits, the lock, NOTIFY_SOCKET. */

#include "cmd/mailmilld/master/daemon.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libutil.h>

static struct pidfh *lock;
static int ready_fd = -1;	/* pipe to the waiting parent */

int
daemon_lock(const char *path)
{
	pid_t other = -1;

	if ((lock = pidfile_open(path, 0644, &other)) != NULL)
		return 0;
	if (errno == EEXIST)
		fprintf(stderr, "mailmilld: already running, process %ld "
		    "(%s is locked)\n", (long)other, path);
	else
		fprintf(stderr, "mailmilld: pidfile %s: %s\n", path,
		    strerror(errno));
	return -1;
}

/* In the parent: wait for one octet, or for the child's end. */
static void __attribute__((noreturn))
wait_for_child(int fd)
{
	char c;
	ssize_t n;

	do
		n = read(fd, &c, 1);
	while (n == -1 && errno == EINTR);
	_exit(n == 1 ? 0 : 1);
}

int
daemon_fork(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return -1;
	fflush(NULL);
	switch (fork()) {
	case -1:
		close(fds[0]);
		close(fds[1]);
		return -1;
	case 0:
		break;
	default:
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	ready_fd = fds[1];
	return setsid() == -1 ? -1 : 0;
}

int
daemon_pid(void)
{
	return pidfile_write(lock);
}

/* Send one message as sd_notify(3) describes it.  It is no error when nobody
 * receives it. */
static void
notify(const char *state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	len = strlen(path);
	if (len >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, len);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (struct sockaddr *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void
daemon_ready(void)
{
	int null;

	notify("READY=1");
	if (ready_fd == -1)
		return;
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) != -1) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	while (write(ready_fd, "", 1) == -1 && errno == EINTR)
		;
	close(ready_fd);
	ready_fd = -1;
}

void
daemon_stopping(void)
{
	notify("STOPPING=1");
}

void
daemon_unlock(void)
{
	pidfile_remove(lock);
	lock = NULL;
}
