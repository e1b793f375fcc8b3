/* A check in a process of its own: see probe.h. */

#include "cmd/mailmilld/role/probe.h"

#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define ANSWER_MAX	(4 * 1024 * 1024)	/* octets: a line for each certificate */
#define READ_OCTETS	(64 * 1024)		/* what a pipe holds */

enum probe_end { RUNNING, ENDED, TOO_LATE, TOO_LONG };

struct probe {
	char		*what;
	int		 fd;		/* of the pipe; -1: closed */
	int		 pidfd;		/* -1: closed, or a test plays it */
	unsigned int	 limit_ms;
	uint64_t	 deadline_ms;
	enum probe_end	 end;
	char		*answer;
	size_t		 len;
	Event		*event;
	void		(*done)(void *closure);
	void		*closure;
};

/* --- in the process ------------------------------------------------------- */

void
probe_say(int fd, const char *fmt, ...)
{
	char text[PROBE_TEXT_MAX];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = strlen(text) + 1;
	if (write(fd, text, len) != (ssize_t)len)
		_exit(1);
}

static int
fd_cmp(const void *va, const void *vb)
{
	const int *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

/* Close what the process need not have: a channel, the log, a socket. */
static int
close_others(const struct probe_spec *spec, int fd)
{
	unsigned int from = STDERR_FILENO + 1;
	size_t i, n = spec->nfds + 1;
	int *kept;

	if ((kept = calloc(n, sizeof(*kept))) == NULL)
		return -1;
	if (spec->nfds > 0)
		memcpy(kept, spec->fds, spec->nfds * sizeof(*kept));
	kept[spec->nfds] = fd;
	qsort(kept, n, sizeof(*kept), fd_cmp);
	for (i = 0; i < n; i++) {
		if ((unsigned int)kept[i] > from)
			close_range(from, (unsigned int)kept[i] - 1, 0);
		from = (unsigned int)kept[i] + 1;
	}
	close_range(from, ~0U, 0);
	free(kept);
	return 0;
}

static int
drop(const struct probe_spec *spec)
{
	const struct account *a = &spec->account;

	if (spec->name != NULL)
		return privs_drop_account(spec->name, a->uid, a->gid);
	return privs_drop(a->uid, a->gid, NULL);
}

static void __attribute__((noreturn))
probe_process(const struct probe_spec *spec, int fd)
{
	setproctitle("check");		/* ps(1): not a second master */
	/* neither a core file nor a debugger gets what it reads, and it ends
	 * with its parent.  A change of account would reset both, so they come
	 * after it */
	if (close_others(spec, fd) == -1 || drop(spec) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		_exit(1);
	spec->run(fd, spec);
	_exit(0);
}

/* --- beginning and end ---------------------------------------------------- */

struct probe *
probe_adopt(const char *what, int fd, int pidfd, unsigned int limit_ms)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->what = strdup(what)) == NULL) {
		free(p);
		close(fd);
		if (pidfd != -1)
			close(pidfd);
		errno = ENOMEM;
		return NULL;
	}
	p->fd = fd;
	p->pidfd = pidfd;
	p->limit_ms = limit_ms;
	p->deadline_ms = monotonic_ms() + limit_ms;
	return p;
}

struct probe *
probe_start(const struct probe_spec *spec)
{
	int fds[2], pidfd, saved;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return NULL;
	/* or the process would write it a second time */
	log_flush();
	if ((pid = fork()) == 0)
		probe_process(spec, fds[1]);
	saved = errno;
	close(fds[1]);
	if (pid == -1)
		goto err1;
	/* The process is signalled by this descriptor: its number may be
	 * another's as soon as somebody has waited for it. */
	if ((pidfd = pidfd_open(pid, 0)) == -1) {
		saved = errno;
		kill(pid, SIGKILL);
		goto err1;
	}
	return probe_adopt(spec->what, fds[0], pidfd, spec->limit_ms);
err1:
	close(fds[0]);
	errno = saved;
	return NULL;
}

/* Close the pipe and end the process.  One that took too long is not waited
 * for: while it waits for a file server that is down, even SIGKILL does not end
 * it. */
static void
leave(struct probe *p)
{
	siginfo_t si;

	event_free(p->event);
	p->event = NULL;
	if (p->fd != -1)
		close(p->fd);
	p->fd = -1;
	if (p->pidfd == -1)
		return;
	/* whatever it still does, nobody reads it */
	pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
	/* on the loop the handler of SIGCHLD waits for it as well */
	while (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED |
	    (p->end == ENDED && p->done == NULL ? 0 : WNOHANG)) == -1 &&
	    errno == EINTR)
		;
	close(p->pidfd);
	p->pidfd = -1;
}

void
probe_free(struct probe *p)
{
	if (p == NULL)
		return;
	leave(p);
	free(p->answer);
	free(p->what);
	free(p);
}

/* --- the answer ----------------------------------------------------------- */

/* Read what there is, up to the end. */
static void
take(struct probe *p)
{
	char *answer;
	ssize_t n;

	if (p->len + READ_OCTETS > ANSWER_MAX || (answer = realloc(p->answer,
	    p->len + READ_OCTETS + 1)) == NULL) {
		p->end = TOO_LONG;
		return;
	}
	p->answer = answer;
	n = read(p->fd, p->answer + p->len, READ_OCTETS);
	if (n > 0)
		p->len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		p->end = ENDED;
	p->answer[p->len] = '\0';
}

static int
on_answer(Event *, int eventtype, void *closure, struct timeval *)
{
	struct probe *p = closure;

	if ((eventtype & (E_READ | E_EXCEPTION)) != 0)
		take(p);
	else if ((eventtype & E_TIMEOUT) != 0)
		p->end = TOO_LATE;
	if (p->end == RUNNING)
		return E_READ | E_TIMEOUT;
	p->event = NULL;	/* the scheduler frees it */
	leave(p);
	p->done(p->closure);
	return 0;
}

int
probe_watch(struct probe *p, void (*done)(void *closure), void *closure)
{
	if (fcntl(p->fd, F_SETFL, O_NONBLOCK) == -1)
		return -1;
	p->event = build_event_from_now_f(p->limit_ms / 1000.0, p->fd,
	    on_answer, p);
	if (p->event == NULL)
		return -1;
	p->event->mask = E_READ | E_TIMEOUT;
	if (schedule_event(p->event) == -1) {
		event_free(p->event);
		p->event = NULL;
		return -1;
	}
	p->done = done;
	p->closure = closure;
	return 0;
}

void
probe_wait(struct probe *p)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	uint64_t now;

	while (p->end == RUNNING) {
		now = monotonic_ms();
		if (now >= p->deadline_ms)
			p->end = TOO_LATE;
		else if (poll(&pfd, 1, (int)(p->deadline_ms - now)) == 1)
			take(p);
	}
	leave(p);
}

bool
probe_has_ended(const struct probe *p)
{
	return p->end != RUNNING;
}

int
probe_judge(const struct probe *p,
    void (*notice)(void *closure, const char *text), void *closure,
    char *err_r, size_t errlen)
{
	const char *text;
	size_t i;

	if (p->end == TOO_LATE) {
		snprintf(err_r, errlen, "%s takes longer than %u seconds",
		    p->what, p->limit_ms / 1000);
		return -1;
	}
	for (i = 0; p->end == ENDED && i < p->len; i += strlen(text) + 1) {
		text = p->answer + i;
		if (strcmp(text, PROBE_GOOD) == 0)
			return 0;
		if (strncmp(text, PROBE_BAD, strlen(PROBE_BAD)) == 0) {
			snprintf(err_r, errlen, "%s", text + strlen(PROBE_BAD));
			return -1;
		}
		if (notice != NULL)
			notice(closure, text);
	}
	snprintf(err_r, errlen, "%s has failed: its process %s", p->what,
	    p->end == TOO_LONG ? "says too much" : "has died");
	return -1;
}
