/* A guard: it starts one program, waits for it, and ends all that it has started.
 * Owns: what a program inherits (nothing but what mailmill-deliver(7) says), its
 * limits, its end.
 * Knows nothing of mail.
 *
 * A program may fork twice, or begin sessions of its own: what loses its parent
 * becomes a child of the guard (PR_SET_CHILD_SUBREAPER), and is found there.  The
 * guard has the account of the program, which can end it: then its children become
 * the starter's, and the starter ends them. */

#include "cmd/mailmilld/pipe/pipe_int.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/close_range.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/monotonic.h"

#define NOFILE		1024	/* descriptors, as most systems allow: select(2) */
#define MEMLOCK_OCTETS	(8 << 20)	/* as the kernel's default */
#define NICE_MS		10	/* between looks at what is to end */

/* --- the program's process ----------------------------------------------------- */

/* Tell the guard why there is no program. */
static void __attribute__((noreturn))
fail(int fd, int kind)
{
	struct pipe_end end = { .kind = kind, .value = errno };

	(void)!write(fd, &end, sizeof(end));
	_exit(127);
}

static void
limit(int fd, int what, rlim_t value)
{
	struct rlimit rl = { value, value };
	struct rlimit had;

	/* never more than this process may have */
	if (getrlimit(what, &had) == 0 && had.rlim_max < value)
		rl.rlim_cur = rl.rlim_max = had.rlim_max;
	if (setrlimit(what, &rl) == -1)
		fail(fd, PIPE_NO_PROCESS);
}

static void
reset_signals(void)
{
	sigset_t none;
	int signo;

	/* those that are ignored would be, in the program, too */
	for (signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
become_program(const struct pipe_program *p, int fd)
{
	const struct sched_param param = { .sched_priority = 0 };
	const struct settings_domain *d = p->domain;

	/* a session of its own, without a terminal: its number is that of the
	 * group of processes */
	(void)setsid();
	if (dup2(p->input, STDIN_FILENO) == -1 ||
	    dup2(p->output, STDOUT_FILENO) == -1 ||
	    dup2(p->output, STDERR_FILENO) == -1 ||
	    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == -1)
		fail(fd, PIPE_NO_PROCESS);
	if (chdir(d->pipe_folder) == -1)
		fail(fd, PIPE_NO_FOLDER);
	(void)umask(077);
	(void)sched_setscheduler(0, SCHED_OTHER, &param);
	limit(fd, RLIMIT_CORE, 0);
	limit(fd, RLIMIT_NOFILE, NOFILE);
	limit(fd, RLIMIT_MEMLOCK, MEMLOCK_OCTETS);
	if (d->pipe_memory > 0)
		limit(fd, RLIMIT_AS, (rlim_t)d->pipe_memory);
	reset_signals();
	execve(p->argv[0], p->argv, p->environment);
	fail(fd, PIPE_NOT_RUN);
}

/* --- ending ---------------------------------------------------------------------- */

unsigned int
pipe_kill_children(const pid_t *spared, size_t n)
{
	char path[64];
	unsigned int killed = 0;
	FILE *fp;
	size_t i;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
	    (int)getpid());
	if ((fp = fopen(path, "re")) == NULL)
		return 0;
	while (fscanf(fp, "%d", &pid) == 1) {
		for (i = 0; i < n && spared[i] != pid; i++)
			continue;
		if (i == n && kill(pid, SIGKILL) == 0)
			killed++;
	}
	fclose(fp);
	return killed;
}

/* End what is left of the program.  A process that is ended leaves its children to
 * this one: again, until there are none. */
static void
end_all(void)
{
	uint64_t until = monotonic_ms() + PIPE_KILL_MS;
	pid_t pid;

	while (monotonic_ms() < until) {
		(void)pipe_kill_children(NULL, 0);
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			continue;
		if (pid == -1)
			return;		/* ECHILD */
		(void)poll(NULL, 0, NICE_MS);
	}
}

/* --- waiting ----------------------------------------------------------------------- */

struct guard {
	const struct pipe_program *program;
	pid_t		pid;
	int		signals;
	bool		is_over;
	struct pipe_end	end;
};

static void
reap(struct guard *g)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	while (read(g->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != g->pid)
			continue;
		g->is_over = true;
		if (WIFEXITED(status))
			g->end = (struct pipe_end){ .kind = PIPE_EXITED,
				.value = WEXITSTATUS(status) };
		else
			g->end = (struct pipe_end){ .kind = PIPE_KILLED,
				.value = WTERMSIG(status) };
	}
}

/* Wait until the program ends, or is to be ended, or until ${limit_ms} have passed
 * (-1: as long as it takes).  The agent sends an octet, or is gone. */
static void
wait_for_program(struct guard *g, bool is_asked, int limit_ms)
{
	struct pollfd pfd[2] = {
		{ .fd = g->signals, .events = POLLIN },
		{ .fd = is_asked ? -1 : g->program->guard, .events = POLLIN }
	};
	uint64_t until = monotonic_ms() + (uint64_t)(limit_ms < 0 ? 0 :
	    limit_ms);
	int left = limit_ms;

	for (;;) {
		reap(g);
		if (g->is_over || poll(pfd, 2, left) == 0 || pfd[1].revents != 0)
			return;
		if (limit_ms < 0)
			continue;
		if (monotonic_ms() >= until)
			return;
		left = (int)(until - monotonic_ms());
	}
}

/* Return 0, or -1: it could not be executed, and g->end says why. */
static int
start(struct guard *g)
{
	const struct pipe_program *p = g->program;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1 || (g->pid = fork()) == -1) {
		g->end = (struct pipe_end){ .kind = PIPE_NO_PROCESS,
			.value = errno };
		return -1;
	}
	if (g->pid == 0)
		become_program(p, fds[1]);
	/* so that the agent sees the end of what the program reads and writes */
	close(fds[1]);
	close(p->input);
	close(p->output);
	/* the end of the pipe: it is executed */
	if (read(fds[0], &g->end, sizeof(g->end)) == (ssize_t)sizeof(g->end))
		return -1;
	close(fds[0]);
	return 0;
}

void
pipe_guard(const struct pipe_program *p)
{
	struct guard g = { .program = p };
	sigset_t set;

	/* the program ends neither this process nor the starter when it ends its
	 * group, or that of its parent */
	(void)setsid();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGTERM);
	(void)signal(SIGCHLD, SIG_DFL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1 ||
	    (g.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) == -1)
		_exit(1);
	if (start(&g) == 0) {
		wait_for_program(&g, false, -1);
		if (!g.is_over) {
			(void)kill(-g.pid, SIGTERM);
			wait_for_program(&g, true, PIPE_TERM_MS);
		}
		if (!g.is_over) {
			/* it has not been waited for: the number is its own */
			(void)kill(-g.pid, SIGKILL);
			g.end = (struct pipe_end){ .kind = PIPE_KILLED,
				.value = SIGKILL };
		}
		end_all();
	}
	(void)send(p->guard, &g.end, sizeof(g.end), MSG_NOSIGNAL);
	_exit(0);
}
