/* The master's life: what it opens, its loop, what it closes.
 * Owns: the order of its parts, the end of a pass. */

#include "cmd/mailmilld/master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/auth_limit.h"
#include "cmd/mailmilld/master/certs/certs.h"
#include "cmd/mailmilld/master/control/control.h"
#include "cmd/mailmilld/master/needs/daemon.h"
#include "cmd/mailmilld/master/needs/listen.h"
#include "cmd/mailmilld/master/needs/needs.h"
#include "cmd/mailmilld/master/needs/own_account.h"
#include "cmd/mailmilld/master/needs/owners.h"
#include "cmd/mailmilld/master/needs/spooldir.h"
#include "cmd/mailmilld/master/procs/log_output.h"
#include "cmd/mailmilld/master/procs/output.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/start/start.h"
#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/spawn.h"
#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define SPARE_DESCRIPTORS	32	/* of a worker: log, spool, channels */

const struct role role_master = { .id = ROLE_MASTER };

/* --- once per pass -------------------------------------------------------- */

static const struct master_ops real_ops = {
	.is_traced = spawn_is_traced,
	.spawn = spawn_child,
	.kill = kill,
	.probe = probe_start,
	.timer = after_ms,
	.now_ms = monotonic_ms
};

static void
on_wake(void *closure)
{
	struct master *m = closure;

	m->wake = NULL;
	m->has_news = true;
}

/* Run a pass at the first deadline, or at once when there is more to do.
 * Return 0, or -1 when there will be none. */
static int
set_wake(struct master *m)
{
	uint64_t now = m->ops->now_ms();
	uint64_t at = m->has_news ? now : master_deadline(m);

	after_cancel(&m->wake);
	if (at == 0)
		return 0;
	m->wake = m->ops->timer(at > now ? (unsigned int)(at - now) : 0,
	    on_wake, m);
	if (m->wake != NULL)
		return 0;
	log_err("master", "step=%s", "timer");
	return -1;
}

static int
end_of_pass(void *closure, struct timeval *)
{
	struct master *m = closure;

	/* the log may find out here that it has to be opened again */
	log_flush();
	if (!m->has_news)
		return 0;
	master_step(m);
	log_flush();
	if (set_wake(m) == 0)
		return 0;
	/* there may never be another pass, and a stop has to end */
	if (m->phase == MASTER_STOPPING) {
		master_wants_stop(m, STOP_AT_ONCE);
		master_step(m);
	}
	/* should there be one, whatever wakes it: try again */
	m->has_news = true;
	return 0;
}

int
master_init(struct master *m, const struct master_ops *ops)
{
	m->phase = MASTER_STARTING;
	m->ops = ops;
	m->log_fd = -1;
	m->started_ms = ops->now_ms();
	m->start_ms = master_after(m, READY_LIMIT_MS);
	TAILQ_INIT(&m->procs);
	TAILQ_INIT(&m->respawns);
	TAILQ_INIT(&m->listeners);
	TAILQ_INIT(&m->log_links);
	if ((m->ledger = ledger_create()) == NULL)
		return -1;
	return scheduler_recurrent_func_add(end_of_pass, m);
}

/* --- parts ---------------------------------------------------------------- */

static int
open_stats(void)
{
	int fd = stats_create();

	if (fd == -1 || stats_attach(fd) == -1) {
		log_err("stats", "step=%s", "create");
		return -1;
	}
	close(fd);
	return 0;
}

static int
open_limits(struct master *m)
{
	if ((m->limits_fd = auth_limit_memory(AUTH_LIMIT_ENTRIES)) == -1) {
		log_err("auth-limits", "step=%s", "create");
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

/* An address may be free soon, and there may be memory and descriptors again; but
 * what the configuration says of it stays wrong.  Return the exit status. */
static int
listen_status(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
	case EINVAL:
	case EAFNOSUPPORT:
	case EEXIST:
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
		return EX_CONFIG;
	default:
		return 1;
	}
}

/* Return the exit status: EX_CONFIG where another try would fail as well. */
static int
open_parts(struct master *m)
{
	const struct settings *s = m->config.settings;

	bound_sessions(m);
	privs_gather();
	privs_keep_needed();
	if (master_init(m, &real_ops) == -1 || signals_open(m) == -1 ||
	    output_open(spawn_output()) == -1 ||
	    log_output_open(spawn_lines(), &m->log_fd) == -1) {
		log_err("start", "step=%s", "loop");
		return 1;
	}
	log_on_failure(master_log_failed, m);
	accounts_say();
	if (accounts_find(s, m->is_trial, m->accounts) == -1 ||
	    own_accounts_find(m, s) == -1)
		return EX_CONFIG;
	if (open_stats() == -1 || open_limits(m) == -1)
		return 1;
	if (listeners_bind(m, s) == -1)
		return listen_status(errno);
	/* a spool in use may be free soon */
	if (spooldir_free(s->spool) == -1)
		return 1;
	if (spooldir_make(s->spool, m->accounts) == -1 || needs_reach(m) == -1)
		return EX_CONFIG;
	/* not before: a server that does not know our lock may have them */
	if (daemon_pid() == -1) {
		log_err("pidfile", "file=%s", s->pidfile);
		return EX_CONFIG;
	}
	/* until the log is open, errors are written to standard error */
	if (control_open(m) == -1 || master_log_open(m) == -1)
		return EX_CONFIG;
	return proc_start_all(m, &m->config) == 0 ? 0 : 1;
}

static void
close_parts(struct master *m)
{
	control_close(m);
	listeners_close(m);
	respawns_free(m);
	numbers_free(m);
	owners_end();
	certs_close(m);
	output_close();
	log_output_close();
	watch_close(&m->signals);
	after_cancel(&m->wake);
	log_links_close(m);
	log_flush();
}

int
master_run(struct master *m)
{
	int status;

	if ((m->sched = scheduler_create(NULL)) == NULL) {
		log_err("start", "step=%s", "loop");
		return 1;
	}
	if ((status = open_parts(m)) != 0)
		master_fail(m, status, "cannot start, see above");
	/* what has been noted before the first pass */
	end_of_pass(m, NULL);
	if (scheduler_run(m->sched) == -1) {
		log_err("poll", "role=%s", "master");
		m->status = 1;
	}
	log_event(LOG_LEVEL_NOTICE, "stopped", "status=%d", m->status);
	close_parts(m);
	return m->status;
}
