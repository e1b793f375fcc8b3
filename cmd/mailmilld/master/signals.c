/* Signals as events.
 * Owns: the signalfd, which signal means what.
 * A signal is only noted; step.c acts on it. */

#include "cmd/mailmilld/master/master.h"

#include <sys/signalfd.h>
#include <sys/wait.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/state/note.h"
#include "core/loop/watch.h"

static void
on_child(struct master *m, int)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		proc_exited(m, pid, status);
}

static void
on_stop(struct master *m, int signo)
{
	bool is_drain = signo == SIGTERM;

	log_event(LOG_LEVEL_NOTICE, "stop", "signal=SIG%s mode=%s",
	    sigabbrev_np(signo), is_drain ? "drain" : "at-once");
	master_wants_stop(m, is_drain ? STOP_DRAIN : STOP_AT_ONCE);
}

static void
on_hup(struct master *m, int)
{
	(void)master_wants_reload(m);
}

static void
on_usr1(struct master *m, int)
{
	master_wants_relog(m, RELOG_NOW);
}

static const struct {
	int	  signo;
	void	(*act)(struct master *m, int signo);
} signal_rows[] = {
	{ SIGCHLD,	on_child },
	{ SIGTERM,	on_stop },
	{ SIGINT,	on_stop },
	{ SIGQUIT,	on_stop },
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
				signal_rows[i].act(m, (int)si.ssi_signo);
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
	if ((m->signals = watch_fd(fd, E_READ, signals_callback, m)) != NULL)
		return 0;
	close(fd);
	return -1;
}
