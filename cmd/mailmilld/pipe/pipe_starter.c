/* The starter of programs: a process beside the agent, and the agent's side of what
 * they say to each other.
 * Owns: which program is started with which arguments and environment.
 * Knows nothing of the spool, and reads no message.
 *
 * What the agent may say is bounded: it names a Domain section, of those with the
 * account of this process, and the values of the arguments.  Whoever has taken the
 * agent over can run the programs that the configuration names, with such values,
 * and nothing else. */

#include "cmd/mailmilld/pipe/pipe_int.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/privs.h"
#include "cmd/mailmilld/role/sandbox.h"
#include "core/process/log.h"
#include "core/process/syscalls.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define STRINGS_MAX	(PIPE_REQUEST_RCPTS + 100)
#define ARGV_MAX	(PIPE_ARGS_MAX * 100 + 1)
#define ARGV_OCTETS	(1 << 20)	/* of all arguments: the kernel takes a quarter of the stack, 2 MiB */
#define ENV_MAX		(NPIPE_MACROS + 8)

struct starter {
	const struct settings	*settings;
	unsigned int		 account;	/* index of pipe_accounts */
	int			 fd;		/* to the agent */
	int			 signals;
	char			*user, *home;	/* of the account */
	pid_t			 guards[2 * PIPE_RUNS_MAX]; /* also some that are about to end */
	size_t			 nguards;
};

/* --- descriptors ------------------------------------------------------------------ */

union control {
	struct cmsghdr	align;
	char		buf[CMSG_SPACE(sizeof(int) * PIPE_NFDS)];
};

/* Return 0 or -1. */
static int
send_answer(int fd, const struct pipe_answer *answer, const int *fds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)answer,
		.iov_len = sizeof(*answer) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { .buf = { 0 } };
	struct cmsghdr *cm;

	if (fds != NULL) {
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * PIPE_NFDS);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * PIPE_NFDS);
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL) == -1 ? -1 : 0;
}

/* Return how many descriptors came: ${fds_r} has those. */
static size_t
take_fds(struct msghdr *mh, int fds_r[PIPE_NFDS])
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(mh);
	size_t n;

	if (cm == NULL || cm->cmsg_level != SOL_SOCKET ||
	    cm->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds_r, CMSG_DATA(cm), n * sizeof(int));
	return n;
}

/* Return 0, or -1: it has not answered as it should. */
static int
recv_answer(int fd, struct pipe_answer *answer_r, int fds_r[PIPE_NFDS])
{
	struct iovec iov = { .iov_base = answer_r,
		.iov_len = sizeof(*answer_r) };
	union control control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	ssize_t got = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	size_t n = got == -1 ? 0 : take_fds(&mh, fds_r);

	if (got == (ssize_t)sizeof(*answer_r) &&
	    n == (answer_r->errnum == 0 ? PIPE_NFDS : 0)) {
		answer_r->enhanced[sizeof(answer_r->enhanced) - 1] = '\0';
		answer_r->text[sizeof(answer_r->text) - 1] = '\0';
		return 0;
	}
	while (n > 0)
		fileio_close(fds_r[--n]);
	return -1;
}

/* --- the agent's side ---------------------------------------------------------------- */

static size_t
put_string(char *buf, size_t n, const char *s)
{
	size_t len = strlen(s) + 1;

	if (len > PIPE_REQUEST_MAX - n)
		return PIPE_REQUEST_MAX + 1;
	memcpy(buf + n, s, len);
	return n + len;
}

/* Return octets, or 0: it is too large. */
static size_t
make_request(const struct pipe_mail *m, char *buf)
{
	const char *first[PIPE_REQUEST_RCPTS] = { [PIPE_REQUEST_ID] = m->id,
		[PIPE_REQUEST_SENDER] = m->sender,
		[PIPE_REQUEST_CLIENT] = m->client,
		[PIPE_REQUEST_HELO] = m->helo };
	struct pipe_request pr = { .domain = (uint32_t)m->domain,
		.nstrings = PIPE_REQUEST_RCPTS + (uint32_t)m->njobs,
		.size = m->record.body_octets };
	size_t i, n = sizeof(pr);

	memcpy(buf, &pr, sizeof(pr));
	for (i = 0; i < PIPE_REQUEST_RCPTS && n <= PIPE_REQUEST_MAX; i++)
		n = put_string(buf, n, first[i]);
	for (i = 0; i < m->njobs && n <= PIPE_REQUEST_MAX; i++)
		n = put_string(buf, n, m->rcpts[i]);
	return n <= PIPE_REQUEST_MAX ? n : 0;
}

static bool
has_answered(int fd)
{
	return monotonic_poll(fd, POLLIN, monotonic_ms() + PIPE_STARTER_MS) == 1;
}

int
pipe_starter_ask(int fd, const struct pipe_mail *m,
    struct pipe_answer *answer_r, int fds_r[PIPE_NFDS])
{
	char *buf = malloc(PIPE_REQUEST_MAX);
	size_t len = buf == NULL ? 0 : make_request(m, buf);
	ssize_t sent;

	if (len == 0) {
		*answer_r = (struct pipe_answer){ .errnum = buf == NULL ?
			ENOMEM : E2BIG, .text = "no room for the envelope" };
		free(buf);
		return 0;
	}
	sent = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(buf);
	if (sent != (ssize_t)len || !has_answered(fd))
		return -1;
	return recv_answer(fd, answer_r, fds_r);
}

/* --- arguments and environment --------------------------------------------------------- */

/* What a program is started with; all is owned. */
struct args {
	char	*argv[ARGV_MAX];
	size_t	 nargv, octets;
	char	*env[ENV_MAX];
	size_t	 nenv;
};

static void
args_free(struct args *a)
{
	size_t i;

	for (i = 0; a != NULL && i < a->nargv; i++)
		free(a->argv[i]);
	for (i = 0; a != NULL && i < a->nenv; i++)
		free(a->env[i]);
	free(a);
}

/* RFC 3463 3.2: 1.3 is a bad destination mailbox address, 1.7 a bad sender's */
static void
refuse(struct pipe_answer *answer_r, int errnum, enum pipe_macro bad)
{
	answer_r->errnum = errnum;
	if (errnum != EINVAL) {
		strlcpy(answer_r->enhanced, "4.3.0",
		    sizeof(answer_r->enhanced));
		snprintf(answer_r->text, sizeof(answer_r->text),
		    "no arguments for the program: %s", strerror(errnum));
		return;
	}
	strlcpy(answer_r->enhanced, pipe_macro_is_of_rcpt(bad) ? "5.1.3" :
	    bad == PIPE_SENDER ? "5.1.7" : "5.3.5",
	    sizeof(answer_r->enhanced));
	snprintf(answer_r->text, sizeof(answer_r->text), "its %s begins with a "
	    "hyphen or has a control character, and may not be an argument of "
	    "the program", pipe_macro_name(bad));
}

/* Return 0, or -1 having refused. */
static int
add_arg(struct args *a, const char *arg, const struct pipe_values *values,
    struct pipe_answer *answer_r)
{
	enum pipe_macro bad = NPIPE_MACROS;
	char *s = pipe_args_expand(arg, values, &bad);
	size_t len = s == NULL ? 0 : strlen(s) + 1;

	if (s != NULL && a->nargv + 1 < ARGV_MAX &&
	    len <= ARGV_OCTETS - a->octets) {
		a->argv[a->nargv++] = s;
		a->octets += len;
		return 0;
	}
	refuse(answer_r, s != NULL ? E2BIG : errno, bad);
	free(s);
	return -1;
}

/* An argument that names a recipient is there once for each. */
static int
add_args(struct args *a, const struct settings_domain *d,
    const char *const *rcpts, size_t nrcpts, struct pipe_values *values,
    struct pipe_answer *answer_r)
{
	struct pipe_rcpt rcpt;
	size_t i, j, n;

	for (i = 0; i < d->command.n; i++) {
		n = pipe_args_is_of_rcpt(d->command.v[i]) ? nrcpts : 1;
		for (j = 0; j < n; j++)
			if (pipe_args_rcpt(rcpts[j], &rcpt, values) == -1) {
				refuse(answer_r, EINVAL, PIPE_RECIPIENT);
				return -1;
			} else if (add_arg(a, d->command.v[i], values,
			    answer_r) == -1)
				return -1;
	}
	return 0;
}

static int
add_variable(struct args *a, const char *name, const char *value)
{
	char *s;

	if (a->nenv + 1 == ENV_MAX || asprintf(&s, "%s=%s", name, value) == -1)
		return -1;
	a->env[a->nenv++] = s;
	return 0;
}

static int
add_environment(struct args *a, const struct starter *st,
    const char *const *rcpts, size_t nrcpts, struct pipe_values *values)
{
	struct pipe_rcpt rcpt;
	unsigned int m;

	if (add_variable(a, "PATH", "/usr/local/bin:/usr/bin:/bin") == -1 ||
	    add_variable(a, "HOME", st->home) == -1 ||
	    add_variable(a, "USER", st->user) == -1 ||
	    add_variable(a, "LOGNAME", st->user) == -1 ||
	    add_variable(a, "SHELL", "/bin/sh") == -1 ||
	    pipe_args_rcpt(rcpts[0], &rcpt, values) == -1)
		return -1;
	for (m = 0; m < NPIPE_MACROS; m++)
		if ((nrcpts == 1 || !pipe_macro_is_of_rcpt(m)) &&
		    add_variable(a, pipe_macro_variable(m),
		    values->v[m]) == -1)
			return -1;
	return 0;
}

/* NULL, having refused. */
static struct args *
args_new(const struct starter *st, const struct settings_domain *d,
    uint64_t size, const char *const *strings, size_t n,
    struct pipe_answer *answer_r)
{
	const char *const *rcpts = strings + PIPE_REQUEST_RCPTS;
	const char *sender = strings[PIPE_REQUEST_SENDER];
	struct pipe_values values;
	struct args *a = calloc(1, sizeof(*a));
	char octets[24];

	n -= PIPE_REQUEST_RCPTS;
	snprintf(octets, sizeof(octets), "%llu", (unsigned long long)size);
	values.v[PIPE_SIZE] = octets;
	values.v[PIPE_QUEUE_ID] = strings[PIPE_REQUEST_ID];
	values.v[PIPE_CLIENT] = strings[PIPE_REQUEST_CLIENT];
	values.v[PIPE_HELO] = strings[PIPE_REQUEST_HELO];
	/* programs know it by that name, and an argument without octets may
	 * confuse them */
	values.v[PIPE_SENDER] = *sender == '\0' ? "MAILER-DAEMON" : sender;
	if (a == NULL) {
		refuse(answer_r, ENOMEM, NPIPE_MACROS);
		return NULL;
	}
	if (add_args(a, d, rcpts, n, &values, answer_r) == -1)
		goto err1;
	values.v[PIPE_SENDER] = sender;
	if (add_environment(a, st, rcpts, n, &values) == 0)
		return a;
	refuse(answer_r, ENOMEM, NPIPE_MACROS);
err1:
	args_free(a);
	return NULL;
}

/* --- starting ---------------------------------------------------------------------------- */

/* The strings of a request of ${len} octets.  Return their number, or 0: it is no
 * request. */
static size_t
parse(const char *buf, size_t len, struct pipe_request *pr_r,
    const char *strings_r[STRINGS_MAX])
{
	const char *p = buf + sizeof(*pr_r), *end = buf + len, *nul;
	size_t i;

	if (len < sizeof(*pr_r))
		return 0;
	memcpy(pr_r, buf, sizeof(*pr_r));
	if (pr_r->nstrings <= PIPE_REQUEST_RCPTS ||
	    pr_r->nstrings > STRINGS_MAX)
		return 0;
	for (i = 0; i < pr_r->nstrings; i++) {
		if ((nul = memchr(p, '\0', (size_t)(end - p))) == NULL)
			return 0;
		strings_r[i] = p;
		p = nul + 1;
	}
	return p == end ? i : 0;
}

static const struct settings_domain *
find_domain(const struct starter *st, uint32_t i)
{
	const struct settings_domain *d;

	if (i >= st->settings->ndomains)
		return NULL;
	d = &st->settings->domains[i];
	return settings_is_piped(d) && d->pipe_account == st->account ? d :
	    NULL;
}

static int
not_blocking(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Fork the guard.  ${fds_r}: for the agent.  Return 0, or -1 with errno. */
static int
start(struct starter *st, struct pipe_program *p, int fds_r[PIPE_NFDS])
{
	int in[2], out[2], guard[2], saved;
	pid_t pid;

	if (st->nguards == 2 * PIPE_RUNS_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if (pipe2(in, O_CLOEXEC) == -1)
		return -1;
	if (pipe2(out, O_CLOEXEC) == -1)
		goto err1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, guard) == -1)
		goto err2;
	*p = (struct pipe_program){ p->domain, p->argv, p->environment,
		.input = in[0], .output = out[1], .guard = guard[1] };
	if (not_blocking(in[1]) == -1 || not_blocking(out[0]) == -1 ||
	    not_blocking(guard[0]) == -1 || (pid = fork()) == -1)
		goto err3;
	if (pid == 0) {
		close(in[1]);
		close(out[0]);
		close(guard[0]);
		close(st->fd);
		close(st->signals);
		setproctitle("program of %s", p->domain->name);
		pipe_guard(p);
	}
	st->guards[st->nguards++] = pid;
	close(in[0]);
	close(out[1]);
	close(guard[1]);
	fds_r[PIPE_FD_INPUT] = in[1];
	fds_r[PIPE_FD_OUTPUT] = out[0];
	fds_r[PIPE_FD_GUARD] = guard[0];
	return 0;
err3:
	saved = errno;
	close(guard[0]);
	close(guard[1]);
	errno = saved;
err2:
	saved = errno;
	close(out[0]);
	close(out[1]);
	errno = saved;
err1:
	saved = errno;
	close(in[0]);
	close(in[1]);
	errno = saved;
	return -1;
}

/* Return 0, or -1: the agent is gone, or it is not one of ours. */
static int
on_request(struct starter *st, const char *buf, size_t len)
{
	const char *strings[STRINGS_MAX];
	struct pipe_answer answer = { .errnum = 0 };
	struct pipe_program program = { .domain = NULL };
	struct pipe_request pr;
	struct args *a = NULL;
	size_t n = parse(buf, len, &pr, strings), i;
	int fds[PIPE_NFDS], rc;

	if (n == 0 || (program.domain = find_domain(st, pr.domain)) == NULL)
		return -1;
	a = args_new(st, program.domain, pr.size, strings, n, &answer);
	if (a != NULL) {
		program.argv = a->argv;
		program.environment = a->env;
		if (start(st, &program, fds) == -1) {
			answer.errnum = errno;
			strlcpy(answer.enhanced, "4.3.0",
			    sizeof(answer.enhanced));
			snprintf(answer.text, sizeof(answer.text),
			    "no process for the program: %s", strerror(errno));
		}
	}
	rc = send_answer(st->fd, &answer, answer.errnum == 0 ? fds : NULL);
	for (i = 0; answer.errnum == 0 && i < PIPE_NFDS; i++)
		close(fds[i]);
	args_free(a);
	return rc;
}

/* --- the process ----------------------------------------------------------------------------- */

/* A guard that has been killed leaves its program to this process. */
static void
reap(struct starter *st)
{
	struct signalfd_siginfo si;
	bool is_left = false;
	int status;
	pid_t pid;
	size_t i;

	while (read(st->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
		continue;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < st->nguards && st->guards[i] != pid; i++)
			continue;
		/* also what has lost its parent, the program, just now */
		is_left = is_left || i == st->nguards || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0;
		if (i < st->nguards)
			st->guards[i] = st->guards[--st->nguards];
	}
	if (is_left)
		(void)pipe_kill_children(st->guards, st->nguards);
}

/* The agent is gone, and so the guards end their programs. */
static void
wait_for_guards(struct starter *st)
{
	struct pollfd pfd = { .fd = st->signals, .events = POLLIN };
	uint64_t until = monotonic_ms() + PIPE_GUARD_MS;

	reap(st);
	while (st->nguards > 0 && monotonic_ms() < until) {
		(void)poll(&pfd, 1, 1000);
		reap(st);
	}
	(void)pipe_kill_children(NULL, 0);
}

static void __attribute__((noreturn))
run(struct starter *st)
{
	struct pollfd pfd[2] = { { .fd = st->fd, .events = POLLIN },
		{ .fd = st->signals, .events = POLLIN } };
	static char buf[PIPE_REQUEST_MAX];
	ssize_t n;

	for (;;) {
		if (poll(pfd, 2, -1) == -1 && errno != EINTR)
			break;
		reap(st);
		if (pfd[0].revents == 0)
			continue;
		n = recv(st->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0 || on_request(st, buf, (size_t)n) == -1)
			break;
	}
	close(st->fd);
	wait_for_guards(st);
	_exit(0);
}

/* Whose home and name the programs find in their environment. */
static int
look_up(struct starter *st, uid_t uid)
{
	const struct settings *s = st->settings;
	const char *name = st->account < s->npipe_accounts ?
	    s->pipe_accounts[st->account].user : "";
	const struct passwd *pw = uid != 0 ? getpwnam(name) :
	    getpwuid(geteuid());

	st->user = strdup(pw != NULL ? pw->pw_name : name);
	st->home = strdup(pw != NULL && pw->pw_dir[0] == '/' ? pw->pw_dir :
	    "/");
	return st->user == NULL || st->home == NULL ? -1 : 0;
}

/* What holds for the program, too: no program gives it more rights
 * (no_new_privs), and of the kernel's means to reach other processes it has
 * none. */
static int
bind_starter(const struct settings *s, unsigned int slot, uid_t uid,
    gid_t gid)
{
	char err[SYSCALLS_ERROR_MAX];

	if (privs_drop(uid, gid, NULL) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) == -1)
		return -1;
	if (s->sandbox == SANDBOX_ON && syscalls_forbid(&sandbox_never, 1, err,
	    sizeof(err)) == -1)
		log_warnx("sandbox-measure", "role=%s slot=%u measure=%s "
		    "reason=%s", "pipe", slot, "programs", err);
	return 0;
}

static void __attribute__((noreturn))
starter_main(const struct settings *s, unsigned int slot, uid_t uid, gid_t gid,
    int fd)
{
	struct starter st = { .settings = s, .account = slot - 1 };
	sigset_t set;

	/* nothing of the agent's: its channels, its log */
	if (dup2(fd, STDERR_FILENO + 1) == -1)
		_exit(1);
	(void)fcntl(STDERR_FILENO + 1, F_SETFD, FD_CLOEXEC);
	st.fd = STDERR_FILENO + 1;
	setproctitle("programs %u", slot);
	if (look_up(&st, uid) == -1 || bind_starter(s, slot, uid, gid) == -1) {
		log_err("pipe-start", "step=%s", "bind");
		log_flush();
		_exit(1);
	}
	log_flush();
	(void)close_range(STDERR_FILENO + 2, ~0U, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)signal(SIGCHLD, SIG_DFL);
	/* the agent decides when it ends */
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		_exit(1);
	sigdelset(&set, SIGTERM);
	if ((st.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) == -1)
		_exit(1);
	(void)send(st.fd, "", 1, MSG_NOSIGNAL);
	run(&st);
}

int
pipe_starter_fork(const struct settings *s, unsigned int slot, uid_t uid,
    gid_t gid)
{
	char ready;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		goto err1;
	/* or the starter would write it a second time */
	log_flush();
	/* nobody waits for it: its socket says that it has ended */
	(void)signal(SIGCHLD, SIG_IGN);
	if ((pid = fork()) == 0)
		starter_main(s, slot, uid, gid, fds[1]);
	fileio_close(fds[1]);
	if (pid != -1 && has_answered(fds[0]) &&
	    recv(fds[0], &ready, 1, MSG_DONTWAIT) == 1)
		return fds[0];
	fileio_close(fds[0]);
err1:
	log_err("pipe-start", "step=%s", "starter");
	return -1;
}
