/* The master's children.
 * Owns: their list, what they say, their death
 * and their successors.
 * Knows nothing of sessions but which have ended: those that their worker says,
 * and all of a dead one. */

#include "cmd/mailmilld/master/procs_int.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "cmd/mailmilld/master/certs.h"
#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/process/stats.h"
#include "core/util/monotonic.h"

#define START_TRIES	3	/* deaths of a slot before the start has failed */
#define RELOG_PAUSE_MS	1000	/* between reopenings that children ask for */

/* --- looking -------------------------------------------------------------- */

unsigned int
procs_count(const struct master *m, enum role_id role, unsigned int generation)
{
	const struct proc *p;
	unsigned int n = 0;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == role &&
		    (generation == 0 || p->generation == generation))
			n++;
	return n;
}

bool
procs_ready(const struct master *m, const struct config *config)
{
	const struct proc *p;
	unsigned int n[NROLES] = { 0 }, id;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->state == PROC_READY &&
		    p->generation == config->generation)
			n[p->role]++;
	for (id = 0; id < NROLES; id++)
		if (role_of(id)->is_awaited &&
		    n[id] != role_count(config->settings, id))
			return false;
	return true;
}

struct proc *
proc_find(struct master *m, enum role_id role, unsigned int generation)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == role && p->generation == generation &&
		    p->state != PROC_DRAINING && p->ce != NULL)
			return p;
	return NULL;
}

/* --- what they say -------------------------------------------------------- */

static void
on_ready(struct proc *p)
{
	if (p->state != PROC_STARTING)
		return;
	p->state = PROC_READY;
	log_event(LOG_LEVEL_DEBUG, "process-ready", "role=%s slot=%u pid=%d",
	    role_name(p->role), p->slot, (int)p->pid);
	master_step(p->master);
}

/* A sound worker names only sessions that it has. */
static void
log_unknown(const struct proc *p, unsigned int n, uint64_t handle)
{
	if (n > 0)
		log_warnx("session-unknown", "worker=%u handle=%llx n=%u",
		    p->slot, (unsigned long long)handle, n);
}

/* What the worker ${p} has left behind in its memory. */
static void
collect(struct proc *p)
{
	uint64_t handle, unknown = 0;
	unsigned int i, nunknown = 0;

	if (p->ended == NULL)
		return;
	for (i = 0; i < ENDED_MAX && ended_get(p->ended, &handle); i++)
		if (book_remove(p->book, handle) == -1) {
			unknown = handle;
			nunknown++;
		}
	log_unknown(p, nunknown, unknown);
}

/* Its memory was full. */
static void
on_closed(struct proc *p, const struct channel_msg *msg)
{
	const uint64_t *handles = msg->entries;
	uint64_t unknown = 0;
	unsigned int i, nunknown = 0;

	if (p->book == NULL)
		return;
	for (i = 0; i < msg->nentries; i++)
		if (book_remove(p->book, handles[i]) == -1) {
			unknown = handles[i];
			nunknown++;
		}
	log_unknown(p, nunknown, unknown);
	collect(p);
}

void
procs_collect(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		collect(p);
}

static void
on_relog(struct proc *p)
{
	struct master *m = p->master;

	if (monotonic_ms() - m->relogged_ms >= RELOG_PAUSE_MS)
		master_relog(m);
	else
		/* The child may have asked before it got the new one; or that
		 * is no better, and it asks for each line that it has. */
		master_relog_later(m);
}

static void
proc_message(struct chanev *ce, struct channel_msg *msg, void *closure)
{
	struct proc *p = closure;
	struct msg_keys_ready ready;

	(void)ce;
	switch (msg->type) {
	case M_READY:
		on_ready(p);
		break;
	case M_CLOSED:
		on_closed(p, msg);
		break;
	case M_RELOG:
		on_relog(p);
		break;
	case M_KEYS_READY:
		memcpy(&ready, msg->base, sizeof(ready));
		certs_keys_ready(p, &ready);
		break;
	}
}

static void
proc_gone(struct chanev *ce, void *closure)
{
	struct proc *p = closure;

	chanev_free(ce);
	p->ce = NULL;
	/* without its channel it is of no use, should it still be alive */
	if (p->state != PROC_DRAINING)
		proc_kill(p);
}

const struct chanev_ops proc_ops = {
	.message = proc_message,
	.gone = proc_gone
};

/* --- ending --------------------------------------------------------------- */

void
proc_kill(struct proc *p)
{
	if (kill(p->pid, SIGKILL) == -1 && errno != ESRCH)
		log_warn("process-kill", "role=%s slot=%u pid=%d",
		    role_name(p->role), p->slot, (int)p->pid);
}

static int
drain_too_long(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct proc *p = closure;

	(void)e;
	(void)eventtype;
	(void)now;
	p->kill_timer = NULL;
	log_warnx("process-drain", "role=%s slot=%u pid=%d effect=%s",
	    role_name(p->role), p->slot, (int)p->pid,
	    "drain_time has passed, killed");
	proc_kill(p);
	return 0;
}

void
proc_drain(struct proc *p, bool is_reconfig, unsigned int limit_s)
{
	struct msg_drain drain = { .is_reconfig = is_reconfig };

	if (p->state == PROC_DRAINING)
		return;
	p->state = PROC_DRAINING;
	if (chanev_send(p->ce, M_DRAIN, &drain, NULL, 0, -1) == -1)
		proc_kill(p);
	else if (limit_s > 0)
		p->kill_timer = after_ms(limit_s * 1000, drain_too_long, p);
}

/* --- dying and coming back ------------------------------------------------ */

static struct respawn *
respawn_find(struct master *m, enum role_id role, unsigned int slot)
{
	struct respawn *r;

	TAILQ_FOREACH(r, &m->respawns, link)
		if (r->role == role && r->slot == slot)
			return r;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->master = m;
	r->role = role;
	r->slot = slot;
	TAILQ_INSERT_TAIL(&m->respawns, r, link);
	return r;
}

static int respawn_now(Event *e, int eventtype, void *closure,
    struct timeval *now);

static void
respawn_after(struct respawn *r, unsigned int ms)
{
	after_cancel(&r->timer);
	r->timer = after_ms(ms, respawn_now, r);
	if (r->timer == NULL)
		log_err("process-respawn", "role=%s slot=%u",
		    role_name(r->role), r->slot);
}

static int
respawn_now(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct respawn *r = closure;
	struct master *m = r->master;

	(void)e;
	(void)eventtype;
	(void)now;
	r->timer = NULL;
	if (m->phase == MASTER_STOPPING)
		return 0;
	if (proc_start(m, r->role, r->slot, &m->config) == 0)
		stats_inc(STATS_RESPAWNS);
	else
		respawn_after(r, BACKOFF_MAX_MS);
	return 0;
}

void
respawns_cancel(struct master *m)
{
	struct respawn *r;

	while ((r = TAILQ_FIRST(&m->respawns)) != NULL) {
		TAILQ_REMOVE(&m->respawns, r, link);
		after_cancel(&r->timer);
		free(r);
	}
}

/* ${p} of the configuration in use has died: start its successor. */
static void
respawn(struct master *m, const struct proc *p)
{
	struct respawn *r;
	unsigned int wait_ms;

	if ((r = respawn_find(m, p->role, p->slot)) == NULL) {
		log_err("process-respawn", "role=%s slot=%u",
		    role_name(p->role), p->slot);
		return;
	}
	wait_ms = backoff_next(&r->backoff, monotonic_ms() - p->started_ms);
	if (m->phase == MASTER_STARTING && p->state == PROC_STARTING &&
	    r->backoff.deaths >= START_TRIES) {
		master_fail(m, "a process does not start, the log says why");
		return;
	}
	if (wait_ms > 0)
		log_event(LOG_LEVEL_NOTICE, "process-respawn",
		    "role=%s slot=%u wait_ms=%u", role_name(p->role), p->slot,
		    wait_ms);
	respawn_after(r, wait_ms);
}

static void
log_death(const struct proc *p, int status)
{
	bool is_expected = p->state == PROC_DRAINING && WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0;

	log_event(is_expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
	    "process-end", "role=%s slot=%u pid=%d %s=%d sessions=%u",
	    role_name(p->role), p->slot, (int)p->pid,
	    WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	    p->book == NULL ? 0 : book_sessions(p->book));
}

static void
proc_dead(struct master *m, struct proc *p, int status)
{
	collect(p);
	log_death(p, status);
	TAILQ_REMOVE(&m->procs, p, link);
	if (m->phase == MASTER_STOPPING)
		;
	else if (p->generation == m->config.generation &&
	    p->state != PROC_DRAINING)
		respawn(m, p);
	else if (m->reload != NULL && p->generation > m->config.generation)
		reload_abort(m, "a process does not start with it, "
		    "the log says why");
	proc_free(p);
	master_step(m);
}

void
procs_reap(struct master *m)
{
	struct proc *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		TAILQ_FOREACH(p, &m->procs, link)
			if (p->pid == pid)
				break;
		if (p != NULL)
			proc_dead(m, p, status);
	}
}
