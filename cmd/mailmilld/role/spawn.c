/* Starting a child.
 * Owns: fork, descriptor 3, what a child inherits (nothing else), exec.
 * Knows nothing of why a child is started. */

#include "cmd/mailmilld/role/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/child.h"
#include "core/lim.h"

#define SELF	"/proc/self/exe"

static bool keeps_stdio;

void
spawn_init(bool is_foreground)
{
	keeps_stdio = is_foreground;
}

/* The program that started us may read our output until its end: in the
 * background no child may keep that open. */
static void
leave_stdio(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null == -1)
		return;
	dup2(null, STDIN_FILENO);
	if (!keeps_stdio) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
}

/* In the child, between fork and exec: only async-signal-safe calls. */
static void __attribute__((noreturn))
become_child(char **argv, int fd)
{
	sigset_t none;

	if (fd == CHILD_CHANNEL_FD)
		fcntl(fd, F_SETFD, 0);
	else if (dup2(fd, CHILD_CHANNEL_FD) == -1)
		_exit(127);
	leave_stdio();
	/* no child gets a listening socket, or another child's channel */
	if (close_range(CHILD_CHANNEL_FD + 1, ~0U, 0) == -1)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(SELF, argv);
	_exit(127);
}

pid_t
spawn_child(enum role_id role, int *fd_r)
{
	char self[] = "mailmilld", flag[] = "-x", name[LIM_NAME];
	char *argv[] = { self, flag, name, NULL };
	int fds[2], saved;
	pid_t pid;

	strlcpy(name, role_name(role), sizeof(name));
	if (channel_pair(fds) == -1)
		return -1;
	if ((pid = fork()) == 0)
		become_child(argv, fds[1]);
	saved = errno;
	close(fds[1]);
	if (pid == -1)
		close(fds[0]);
	else
		*fd_r = fds[0];
	errno = saved;
	return pid;
}
