/* The log, which the master opens for itself and for the logger.
 * Owns: where it goes, opening it again. */

#include "cmd/mailmilld/master/procs/procs.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/spawn.h"

#define RELOG_MS	2000	/* between tries to reopen a log */
#define RELOG_PAUSE_MS	1000	/* between reopenings that children ask for */

static const char *
log_target(const struct master *m)
{
	const char *target = m->config.settings->log;

	if (*target == '\0')
		return m->is_trial ? "stderr" : "syslog";
	/* in the background nobody reads stderr */
	return strcasecmp(target, "stderr") == 0 && !m->is_foreground ?
	    "syslog" : target;
}

/* A log that is not there (yet): the first line finds out, and then it is
 * tried again until it is. */
static int
open_nowhere(enum log_kind *kind_r, int *fd_r)
{
	*kind_r = LOG_TO_SYSLOG;
	*fd_r = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return *fd_r == -1 ? -1 : 0;
}

int
master_log_open(struct master *m)
{
	const char *target = log_target(m);
	enum log_kind kind;
	int fd;

	if (log_open(target, &kind, &fd) == -1) {
		fprintf(stderr, "mailmilld: log %s: %s\n", target,
		    strerror(errno));
		/* a syslog daemon may come up after us */
		if (strcasecmp(target, "syslog") != 0 ||
		    open_nowhere(&kind, &fd) == -1)
			return -1;
	}
	log_init("mailmilld", kind, fd, m->config.settings->level);
	m->log_kind = kind;
	m->log_fd = fd;
	return 0;
}

void
master_relog(struct master *m)
{
	struct msg_log log;
	struct proc *p;
	enum log_kind kind;
	int fd, old = m->log_fd;

	m->relogged_ms = m->ops->now_ms();
	if (log_open(log_target(m), &kind, &fd) == -1) {
		log_warn("log-reopen", "log=%s", log_target(m));
		m->relog_ms = master_after(m, RELOG_MS);
		return;
	}
	m->relog_ms = 0;
	log_init("mailmilld", kind, fd, m->config.settings->level);
	m->log_kind = kind;
	m->log_fd = fd;
	close(old);
	log.kind = kind;
	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_LOGGER)
			(void)proc_send_fd(p, M_LOG, &log,
			    spawn_log(m->log_fd));
	log_event(LOG_LEVEL_INFO, "log-reopen", "log=%s", log_target(m));
}

void
master_log_step(struct master *m)
{
	enum relog how = m->wish.relog;
	bool is_due = master_is_due(m, &m->relog_ms);

	m->wish.relog = RELOG_NOT;
	/* The child may have asked before it got the new one; or that is no
	 * better, and it asks for each line that it has. */
	if (how == RELOG_SOON &&
	    m->ops->now_ms() - m->relogged_ms >= RELOG_PAUSE_MS)
		how = RELOG_NOW;
	if (is_due || how == RELOG_NOW)
		master_relog(m);
	else if (how != RELOG_NOT && m->relog_ms == 0)
		m->relog_ms = master_after(m, RELOG_MS);
}

void
master_log_failed(void *closure)
{
	master_wants_relog(closure, RELOG_LATER);
}
