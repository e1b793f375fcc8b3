/* Signals as events.
 * Owns: the signalfd, which signal means what.
 * A signal is only noted; step.c acts on it. */

#include "cmd/mailmilld/master/master.h"

#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"

static void
on_child(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		proc_exited(m, pid, status);
}

static void
on_term(struct master *m)
{
	log_event(LOG_LEVEL_NOTICE, "stop", "signal=SIGTERM mode=drain");
	master_wants_stop(m, STOP_DRAIN);
}

static void
on_int(struct master *m)
{
	log_event(LOG_LEVEL_NOTICE, "stop", "signal=SIGINT mode=at-once");
	master_wants_stop(m, STOP_AT_ONCE);
}

static void
on_quit(struct master *m)
{
	log_event(LOG_LEVEL_NOTICE, "stop", "signal=SIGQUIT mode=at-once");
	master_wants_stop(m, STOP_AT_ONCE);
}

static void
on_hup(struct master *m)
{
	(void)master_wants_reload(m);
}

static void
on_usr1(struct master *m)
{
	master_wants_relog(m, RELOG_NOW);
}

static const struct {
	int	  signo;
	void	(*act)(struct master *m);
} signal_rows[] = {
	{ SIGCHLD,	on_child },
	{ SIGTERM,	on_term },
	{ SIGINT,	on_int },
	{ SIGQUIT,	on_quit },
	{ SIGHUP,	on_hup },
	{ SIGUSR1,	on_usr1 },
};
#define NSIGNALS (sizeof(signal_rows) / sizeof(signal_rows[0]))

static int
signals_callback(Event *e, int, void *closure, struct timeval *)
{
	struct master *m = closure;
	struct signalfd_siginfo si;
	size_t i;

	while (read(e->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		for (i = 0; i < NSIGNALS; i++)
			if (signal_rows[i].signo == (int)si.ssi_signo)
				signal_rows[i].act(m);
	return E_READ;
}

int
signals_open(struct master *m)
{
	sigset_t set;
	size_t i;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* EFBIG is an error like others */
	sigemptyset(&set);
	for (i = 0; i < NSIGNALS; i++)
		sigaddset(&set, signal_rows[i].signo);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) == -1)
		return -1;
	m->signals = build_fd_event(fd, E_READ, E_AGGRESSIVE_NONE,
	    signals_callback, m);
	if (m->signals == NULL || schedule_event(m->signals) == -1) {
		event_free(m->signals);
		m->signals = NULL;
		close(fd);
		return -1;
	}
	return 0;
}

void
signals_close(struct master *m)
{
	if (m->signals == NULL)
		return;
	event_unschedule(m->signals);
	event_close(m->signals);
	event_free(m->signals);
	m->signals = NULL;
}
