/* A function that is misused on purpose; see misuse.h. */

#include "test/lib/misuse.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void __attribute__((noreturn))
child(void (*f)(void *arg), void *arg, int fd)
{
	const struct rlimit none = { 0, 0 };

	/* whatever the test runner does with it */
	signal(SIGABRT, SIG_DFL);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)dup2(fd, STDERR_FILENO);
	f(arg);
	_exit(0);
}

const char *
misuse_ends(void (*f)(void *arg), void *arg)
{
	static char said[1024];
	size_t len = 0;
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) == -1 || (pid = fork()) == -1)
		abort();
	if (pid == 0)
		child(f, arg, fds[1]);
	close(fds[1]);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	close(fds[0]);
	if (waitpid(pid, &status, 0) != pid)
		abort();
	said[len] = '\0';
	said[strcspn(said, "\n")] = '\0';
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		return said;
	if (status != 0) {
		/* a crash, or what a sanitizer has found */
		fprintf(stderr, "misuse: status 0x%x: %s\n",
		    (unsigned int)status, said);
		abort();
	}
	return NULL;
}
