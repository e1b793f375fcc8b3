/* Starting a child of the master: what it is told before it begins.
 * Owns: the order of the start-up conversation (child.h is its other side).
 * Knows nothing of what becomes of it: procs.c does. */

#include "cmd/mailmilld/master/start/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/certs/certs.h"
#include "cmd/mailmilld/master/needs/own_account.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/spawn.h"
#include "cmd/settings/settings_tls.h"
#include "core/process/stats.h"
#include "core/util/fileio.h"

/* --- what a new process is told ------------------------------------------ */

/* Open the file again, so that the child reads it with its own offset. */
static int
reopen(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Is there a process of its role that it is to take over from? */
static bool
has_older(const struct master *m, const struct proc *p)
{
	const struct proc *o;

	TAILQ_FOREACH(o, &m->procs, link)
		if (o->role == p->role && o->generation < p->generation &&
		    o->state != PROC_STARTING && !o->is_killed)
			return true;
	return false;
}

static int
send_init(struct master *m, struct proc *p, const struct config *config)
{
	struct msg_init init = {
		.slot = p->slot, .instance = p->instance,
		.uid = p->account.uid, .gid = p->account.gid,
		.is_successor = role_of(p->role)->is_replaced &&
		    has_older(m, p)
	};

	return proc_send_fd(p, M_INIT, &init, reopen(config->fd));
}

/* The memory in which a worker lists ended sessions (ended.h). */
static int
send_ended(struct proc *p)
{
	struct msg_empty empty = { 0 };
	int fd;

	if (p->role != ROLE_WORKER)
		return 0;
	if ((fd = ended_create()) == -1)
		return -1;
	if ((p->ended = ended_attach(fd)) != NULL)
		return proc_send_fd(p, M_ENDED, &empty, fd);
	fileio_close(fd);
	return -1;
}

/* The memory of its counters, which no other process has but this one. */
static int
send_stats(struct proc *p)
{
	struct msg_empty empty = { 0 };
	int fd = stats_create();

	if (fd == -1)
		return -1;
	if ((p->stats = stats_watch(fd)) != NULL)
		return proc_send_fd(p, M_STATS, &empty, fd);
	fileio_close(fd);
	return -1;
}

/* Where it logs: the logger to the log, the others to the logger. */
static int
send_log(struct master *m, struct proc *p, const struct settings *s)
{
	bool is_logger = p->role == ROLE_LOGGER;
	struct msg_log log = { .kind = is_logger ? m->log_kind :
		LOG_TO_LOGGER };

	return proc_send_fd(p, M_LOG, &log, is_logger ?
	    spawn_log(m->log_fd) : log_link_open(m, p, s));
}

static int
send_start(struct master *m, struct proc *p, const struct config *config)
{
	struct msg_empty empty = { 0 };

	if (send_init(m, p, config) == -1 ||
	    send_log(m, p, config->settings) == -1 ||
	    send_stats(p) == -1 || send_ended(p) == -1)
		return -1;
	if (p->role == ROLE_LOGGER && log_links_give(m, p) == -1)
		return -1;
	/* before its channels to the workers, whose logins are counted there */
	if (p->role == ROLE_AUTHD && proc_send_fd(p, M_LIMITS, &empty,
	    fcntl(m->limits_fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return -1;
	p->has_tls = config->settings->tls->npairs > 0;
	p->has_sandbox = config->settings->sandbox != SANDBOX_OFF;
	if (certs_send(m, p, config) == -1 || outage_tell(m, p) == -1)
		return -1;
	links_connect(m, p, config->settings);
	return chanev_send(p->ce, M_START, &empty, NULL, 0, -1);
}

/* --- starting ------------------------------------------------------------- */

static int
open_book(struct proc *p, const struct settings *s)
{
	struct master *m = p->master;

	p->book = book_open(m->ledger, m->worker_sessions_max);
	if (p->book == NULL)
		return -1;
	return role_count(s, ROLE_AUTHD) > 0 ? book_show(p->book) : 0;
}

/* Its configuration may be gone before it is. */
static int
note_modules(struct proc *p, const struct settings *s)
{
	size_t i;

	if (s->nmodules == 0)
		return 0;
	if ((p->modules = calloc(s->nmodules, sizeof(*p->modules))) == NULL)
		return -1;
	for (i = 0; i < s->nmodules; i++)
		strlcpy(p->modules[i].module, s->modules[i].path,
		    sizeof(p->modules[i].module));
	p->nmodules = s->nmodules;
	return 0;
}

static struct proc *
proc_new(struct master *m, enum role_id role, unsigned int slot,
    const struct settings *s)
{
	struct proc *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->master = m;
	p->role = role;
	p->slot = slot;
	p->started_ms = m->ops->now_ms();
	if (instance_next(m, role, s->spool, &p->instance) == -1) {
		free(p);
		return NULL;
	}
	if (own_account(m, s, role, slot, &p->account) == -1) {
		free(p);
		errno = EAGAIN;
		return NULL;
	}
	if (role == ROLE_WORKER && (note_modules(p, s) == -1 ||
	    open_book(p, s) == -1)) {
		proc_free(p);
		return NULL;
	}
	return p;
}

int
proc_start(struct master *m, enum role_id role, unsigned int slot,
    const struct config *config)
{
	struct proc *p;
	int fd;

	if ((p = proc_new(m, role, slot, config->settings)) == NULL)
		goto err1;
	p->generation = config->generation;
	/* Nobody waits for one that takes the place of another.  A worker runs
	 * code of others (Module) before it is ready; the other roles may have to
	 * wait for a lock, or have much to read. */
	if (role == ROLE_WORKER && m->phase == MASTER_RUNNING &&
	    config == &m->config)
		p->ready_ms = master_after(m, READY_LIMIT_MS);
	if ((p->pid = m->ops->spawn(role, &fd)) == -1)
		goto err2;
	TAILQ_INSERT_TAIL(&m->procs, p, link);
	log_event(LOG_LEVEL_INFO, "process-start",
	    "role=%s slot=%u pid=%d generation=%u", role_name(role), slot,
	    (int)p->pid, p->generation);
	p->ce = chanev_open(fd, ROLE_MASTER, role, &proc_ops, p);
	chanev_name(p->ce, slot, p->instance);
	if (p->ce == NULL || send_start(m, p, config) == -1) {
		/* it is in m->procs already, and will be started again */
		log_warn("process-start", "role=%s slot=%u", role_name(role),
		    slot);
		proc_kill(p);
	}
	return 0;
err2:
	proc_free(p);
err1:
	log_err("process-start", "role=%s slot=%u", role_name(role), slot);
	return -1;
}

/* Start the roles of ${ids}, each after its peers; *started has those that are
 * started already. */
static int
start_roles(struct master *m, const struct config *config, unsigned int ids,
    unsigned int *started)
{
	unsigned int id, slot;

	for (id = 0; id < NROLES; id++) {
		if ((ids & ~*started & ROLE_BIT(id)) == 0)
			continue;
		*started |= ROLE_BIT(id);
		if (start_roles(m, config, role_of(id)->peers, started) == -1)
			return -1;
		for (slot = 1; slot <= role_count(config->settings, id);
		    slot++)
			if (proc_start(m, id, slot, config) == -1)
				return -1;
	}
	return 0;
}

int
proc_start_all(struct master *m, const struct config *config)
{
	unsigned int started = ROLE_BIT(ROLE_MASTER);

	/* at a reload those are there that last */
	if (m->phase != MASTER_STARTING)
		started |= role_lasting();
	else if (start_roles(m, config, role_lasting(), &started) == -1)
		return -1;
	return start_roles(m, config, ~0U, &started);
}
