/* The master's life: start, run, stop.
 * Owns: the order of its parts, the phases and what moves it from one to the
 * next:
 *	STARTING -> RUNNING	all workers are up (master_step)
 *	any -> STOPPING		a signal, mailmillctl stop, a failed start
 * A stop goes by steps: a process drains when all those have ended that ask it
 * for something (role->peers): first the workers, at last the deliver
 * processes. */

#include "cmd/mailmilld/master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "cmd/mailmilld/master/certs.h"
#include "cmd/mailmilld/master/daemon.h"
#include "cmd/mailmilld/master/config.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/master/spooldir.h"
#include "cmd/settings/version.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define SPARE_DESCRIPTORS	32	/* of a worker: log, spool, channels */

const struct role role_master = { .id = ROLE_MASTER, .name = "master" };

/* --- phases --------------------------------------------------------------- */

static void
started(struct master *m)
{
	listeners_switch(m);
	m->phase = MASTER_RUNNING;
	log_event(LOG_LEVEL_NOTICE, "ready", "version=%s workers=%lld pid=%d",
	    MAILMILL_VERSION, (long long)m->config.settings->workers,
	    (int)getpid());
	config_warn(&m->config);
	certs_use(m);
	daemon_ready();
}

/* Is there a process that may still ask ${p} for something?  ${generation}: of
 * that generation; 0: of any. */
static bool
is_asked(const struct master *m, const struct proc *p,
    unsigned int generation)
{
	unsigned int id, askers = role_askers(p->role);

	for (id = 0; id < NROLES; id++)
		if ((askers & ROLE_BIT(id)) != 0 &&
		    procs_count(m, id, generation) > 0)
			return true;
	return false;
}

static void
stop_step(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (!is_asked(m, p, 0))
			proc_drain(p, false, 0);
	if (TAILQ_EMPTY(&m->procs))
		scheduler_stop(m->sched);
}

/* A process of an older configuration ends when those have that ask it, or at
 * once when its successor takes over from it.  Should it die before, nobody
 * takes its place: workers that drain begin no handshake and no login. */
static void
retire(struct master *m)
{
	/* 0 would be no limit */
	unsigned int limit_s =
	    (unsigned int)m->config.settings->drain_time + 1;
	const struct role *role;
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link) {
		role = role_of(p->role);
		if (p->generation < m->config.generation &&
		    (role->is_replaced || !is_asked(m, p, p->generation)))
			proc_drain(p, true, role->has_clients ? 0 : limit_s);
	}
}

void
master_step(struct master *m)
{
	switch (m->phase) {
	case MASTER_STARTING:
		if (!procs_ready(m, &m->config))
			break;
		started(m);
		/* FALLTHROUGH */
	case MASTER_RUNNING:
		reload_step(m);
		certs_step(m);
		retire(m);
		break;
	case MASTER_STOPPING:
		stop_step(m);
		return;
	}
	handout_update(m);
	control_step(m);
}

static void
kill_all(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		proc_kill(p);
}

static int
stop_too_long(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct master *m = closure;

	(void)e;
	(void)eventtype;
	(void)now;
	m->stop_timer = NULL;
	log_warnx("stop", "effect=%s",
	    "drain_time has passed, the remaining processes are killed");
	kill_all(m);
	return 0;
}

void
master_stop(struct master *m, bool is_at_once)
{
	if (m->phase != MASTER_STOPPING) {
		daemon_stopping();
		m->phase = MASTER_STOPPING;
		reload_abort(m, "the server is stopping");
		respawns_cancel(m);
		after_cancel(&m->accept_timer);
		listeners_close(m);
		m->stop_timer = after_ms((unsigned int)
		    m->config.settings->drain_time * 1000, stop_too_long, m);
		if (m->stop_timer == NULL)
			is_at_once = true;
	}
	if (is_at_once)
		kill_all(m);
	stop_step(m);
}

void
master_fail(struct master *m, const char *why)
{
	m->status = 1;
	log_errx("start-failed", "reason=%s", why);
	if (m->log_fd != -1 && m->log_kind != LOG_TO_STDERR)
		fprintf(stderr, "mailmilld: %s\n", why);
	master_stop(m, true);
}

/* --- once per pass -------------------------------------------------------- */

static void
end_of_pass(struct timeval *now, void *closure)
{
	struct master *m = closure;

	(void)now;
	if (m->is_relog_wanted) {
		m->is_relog_wanted = false;
		master_relog_later(m);
	}
	log_flush();
}

/* --- parts ---------------------------------------------------------------- */

static int
open_stats(struct master *m)
{
	if ((m->stats_fd = stats_create()) == -1 ||
	    stats_attach(m->stats_fd, 0) == -1) {
		log_err("stats", "step=%s", "create");
		return -1;
	}
	return 0;
}

/* A worker must never run out of descriptors: it would lose connections
 * without an answer, or its channel to a new queue process.  A third is for the
 * body files of large messages: a session with one holds two. */
static void
bound_sessions(struct master *m)
{
	unsigned long nofile = privs_raise_nofile(), kept;

	kept = SPARE_DESCRIPTORS + nofile / 3;
	m->worker_sessions_max = nofile > kept + 1 ?
	    (unsigned int)(nofile - kept) : 1;
	m->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int
open_parts(struct master *m)
{
	const struct settings *s = m->config.settings;

	TAILQ_INIT(&m->procs);
	TAILQ_INIT(&m->respawns);
	TAILQ_INIT(&m->listeners);
	bound_sessions(m);
	privs_gather();
	if ((m->sched = scheduler_create(NULL)) == NULL ||
	    (m->ledger = ledger_create()) == NULL || signals_open(m) == -1) {
		log_err("start", "step=%s", "loop");
		return -1;
	}
	m->started_ms = monotonic_ms();
	scheduler_recurrent_func_add(end_of_pass, m);
	log_on_failure(master_log_failed, m);
	accounts_say();
	if (accounts_find(s, m->is_foreground, m->accounts) == -1 ||
	    spooldir_make(s->spool, m->accounts) == -1 ||
	    open_stats(m) == -1 ||
	    listeners_bind(m, s) == -1 || control_open(m) == -1)
		return -1;
	/* up to here whoever started us reads it on stderr */
	if (master_log_open(m) == -1)
		return -1;
	return proc_start_all(m, &m->config);
}

static void
close_parts(struct master *m)
{
	control_close(m);
	if (m->sched == NULL)
		return;
	listeners_close(m);
	respawns_cancel(m);
	certs_close(m);
	signals_close(m);
	after_cancel(&m->accept_timer);
	after_cancel(&m->stop_timer);
	after_cancel(&m->relog_timer);
	log_flush();
}

int
master_run(struct master *m)
{
	m->phase = MASTER_STARTING;
	m->log_fd = -1;
	if (open_parts(m) == -1) {
		if (m->sched == NULL)
			return 1;
		master_fail(m, "cannot start, see above");
	}
	if (scheduler_run(m->sched) == -1) {
		log_err("poll", "process=%s", "master");
		m->status = 1;
	}
	log_event(LOG_LEVEL_NOTICE, "stopped", "status=%d", m->status);
	close_parts(m);
	return m->status;
}
