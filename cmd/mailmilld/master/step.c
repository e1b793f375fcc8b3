/* What the master does next: its state machine, run at the end of a pass in
 * which something has happened.
 * Owns: the phases and what moves the master from one to the next:
 *	STARTING -> RUNNING	all processes are ready
 *	any -> STOPPING		wish.stop: a signal, mailmillctl, a failed start
 * and what the end of a child means.
 * A stop goes by steps: a process drains when all those have ended that ask it
 * for something (role->peers): first the workers, which wait for their clients,
 * then the queue process, which waits for what the agents have, then these, and
 * at last the logger, which has lines of all of them.
 * The times nest.  Workers are killed when drain_time has passed.  The queue process
 * hears how much of it is left, LEAST_MS at least, waits for the agents no longer
 * than that, and is killed FINISH_MS after drain_time: so it has time to note what
 * they have done, which would be done again.
 * The other files note what they learn in struct master and struct proc and set
 * m->has_news; only this one decides what follows. */

#include "cmd/mailmilld/master/master.h"

#include <sys/param.h>
#include <sys/wait.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/certs/certs.h"
#include "cmd/mailmilld/master/config/config.h"
#include "cmd/mailmilld/master/control/control.h"
#include "cmd/mailmilld/master/needs/daemon.h"
#include "cmd/mailmilld/master/needs/listen.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/sessions/sessions.h"
#include "cmd/mailmilld/master/start/start.h"
#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/process/syscalls.h"
#include "core/scheduler.h"
#include "core/version.h"

#define FINISH_MS	5000	/* beyond the time to wait for others: to write down what these have done or sent */
#define LEAST_MS	2000	/* to wait for others: for what the last sessions have sent */
#define LAST_START_MS	2000	/* for one to start that has died before */

/* --- stop ----------------------------------------------------------------- */

/* Kill ${p} for no fault of its own: its clients are slow, or the server stops. */
static void
kill_excused(struct proc *p)
{
	if (!p->is_killed)
		p->is_excused = true;
	proc_kill(p);
}

/* The logger ends when it has written why. */
static void
kill_all(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (!role_of(p->role)->is_lasting)
			kill_excused(p);
}

/* Do what m->wish.stop says. */
static void
take_stop(struct master *m)
{
	enum stop_mode mode = m->wish.stop;

	m->wish.stop = STOP_NOT;
	if (mode == STOP_NOT)
		return;
	if (m->phase != MASTER_STOPPING) {
		daemon_stopping();
		m->phase = MASTER_STOPPING;
		respawns_cancel(m);
		certs_stop(m);
		m->accept_ms = m->start_ms = m->outage.hold_ms = 0;
		listeners_close(m);
		m->stop_ms = master_after(m, (uint64_t)
		    m->config.settings->drain_time * 1000);
	}
	if (mode > STOP_DRAIN) {
		kill_all(m);
		m->stop_ms = 0;
	}
}

/* --- children ------------------------------------------------------------- */

/* Has the filter of system calls killed it? */
static bool
is_refusal(const struct proc *p)
{
	return WIFSIGNALED(p->status) && WTERMSIG(p->status) == SIGSYS;
}

/* Was it told to end, and has it done so as an honest process does? */
static bool
has_drained(const struct proc *p)
{
	return p->state == PROC_DRAINING && WIFEXITED(p->status) &&
	    WEXITSTATUS(p->status) == 0;
}

static void
log_death(const struct proc *p)
{
	int status = p->status;

	log_event(has_drained(p) ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
	    "process-end", "role=%s slot=%u pid=%d %s=%d sessions=%u",
	    role_name(p->role), p->slot, (int)p->pid,
	    WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	    p->book == NULL ? 0 : book_sessions(p->book));
}

/* It has made a system call that its role does not make: it has a fault, or an
 * attacker controls it.  Which call it was is only what the process itself
 * said; the signal comes from the kernel. */
static void
log_refusal(const struct proc *p)
{
	char call[SYSCALLS_NAME_MAX] = "unknown";

	if (!is_refusal(p))
		return;
	stats_inc(STATS_SANDBOX_KILLS);
	if (p->was_refused)
		syscalls_name(p->call, call, sizeof(call));
	log_errx("sandbox", "role=%s slot=%u pid=%d call=%s effect=%s",
	    role_name(p->role), p->slot, (int)p->pid, call,
	    "killed: its role does not make this system call");
}

/* Of a fault, and not of one that somebody else sends to end it? */
static bool
has_crashed(const struct proc *p)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT,
		SIGSYS, SIGTRAP };
	size_t i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (WIFSIGNALED(p->status) && WTERMSIG(p->status) == faults[i])
			return true;
	return false;
}

/* A module has crashed it.  Which one of its modules is what the process itself
 * said; an attacker may blame any of them. */
static void
log_crash(const struct proc *p)
{
	if (p->crashed == NULL || !has_crashed(p))
		return;
	log_errx("module-crashed", "role=%s slot=%u pid=%d module=%s "
	    "signal=%d", role_name(p->role), p->slot, (int)p->pid, p->crashed,
	    WTERMSIG(p->status));
}

/* Has it ended by the master's SIGKILL?  A process that the master kills may have
 * ended before that; so the status decides. */
static bool
was_killed(const struct proc *p)
{
	return p->is_killed && WIFSIGNALED(p->status) &&
	    WTERMSIG(p->status) == SIGKILL;
}

/* May an attacker have controlled this worker, and have the keys of tickets that
 * it had?  It has sent what no honest worker sends, it has made a system call that
 * is not its role's, or it has crashed.  Or it has had clients, and has ended in
 * any other way than an honest worker, which drains as it was told, or is killed
 * for no fault of its own. */
static bool
is_suspect(const struct proc *p)
{
	if (p->role != ROLE_WORKER)
		return false;
	if (p->offence != NULL || p->is_beyond ||
	    (WIFSIGNALED(p->status) && !was_killed(p)))
		return true;
	return p->handed.is_any && !has_drained(p) &&
	    !(p->is_excused && was_killed(p));
}

/* ${p} has sent what no honest process sends. */
static void
tell_offence(struct proc *p, const char *effect)
{
	if (p->offence == NULL || p->is_offence_told)
		return;
	p->is_offence_told = true;
	stats_inc(STATS_HOSTILE_KILLS);
	log_errx("hostile", "role=%s slot=%u pid=%d message=%s effect=%s",
	    role_name(p->role), p->slot, (int)p->pid, p->offence, effect);
}

/* ${p} has ended. */
static void
bury(struct master *m, struct proc *p)
{
	char why[SETTINGS_ERROR_MAX];
	struct chanev *ce = p->ce;

	/* read its last messages: among them may be sessions that go on in
	 * another worker, the system call that it was refused, and the module
	 * that has crashed it */
	p->ce = NULL;
	chanev_finish(ce);
	proc_collect(p);
	tell_offence(p, "it has ended: an honest process does not send this "
	    "message");
	log_refusal(p);
	log_crash(p);
	log_death(p);
	TAILQ_REMOVE(&m->procs, p, link);
	if (is_suspect(p))
		certs_distrust(m);
	if (p->role == ROLE_QUEUE && *p->trouble != '\0')
		strlcpy(m->outage.reason, p->trouble,
		    sizeof(m->outage.reason));
	/* a process that was told to end has no successor; a stop needs only
	 * the logger */
	if (p->state == PROC_DRAINING || (m->phase == MASTER_STOPPING &&
	    !role_of(p->role)->is_lasting))
		;
	else if (p->generation == m->config.generation)
		respawn_after(m, p);
	else if (p->generation > m->config.generation)
		reload_abort(m, proc_failure(p, why, sizeof(why)));
	proc_free(p);
}

/* One that has sent what no honest process sends, takes no sessions, or fills the
 * disk, is ended before it does more. */
static void
punish(struct proc *p)
{
	if (p->handed.is_stuck)
		proc_kill(p);
	if (p->is_beyond && !p->is_killed && !p->has_exited) {
		stats_inc(STATS_HOSTILE_KILLS);
		log_errx("worker-beyond", "slot=%u pid=%d effect=%s", p->slot,
		    (int)p->pid, "killed: it goes on to write to the spool "
		    "when it has its share, or keeps files that spoold "
		    "cannot watch");
		proc_kill(p);
	}
	if (p->offence == NULL || p->has_exited)
		return;
	tell_offence(p, "killed: an honest process does not send this message");
	proc_kill(p);
}

/* Why ${p}, which drains, is killed. */
static const char *
late_why(const struct proc *p)
{
	const struct role *role = role_of(p->role);

	return role->is_lasting ? "it does not write the last lines of the "
	    "others, killed" : role->has_clients ? "reload_drain_time has "
	    "passed, killed" : "drain_time has passed, killed";
}

/* A worker is ready when spoold has told it what its files are called. */
static bool
has_spoold(const struct proc *p)
{
	const struct proc *o;

	TAILQ_FOREACH(o, &p->master->procs, link)
		if (o->role == ROLE_SPOOLD && o->state == PROC_READY &&
		    !o->has_exited)
			return true;
	return false;
}

/* ${p}, which takes the place of another, has not become ready. */
static void
end_unready(struct proc *p)
{
	bool is_kept = proc_is_debugged(p);

	if (!has_spoold(p)) {
		p->ready_ms = master_after(p->master, READY_LIMIT_MS);
		return;
	}
	log_event(is_kept ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR,
	    "process-unready", "role=%s slot=%u pid=%d seconds=%d effect=%s",
	    role_name(p->role), p->slot, (int)p->pid, READY_LIMIT_MS / 1000,
	    is_kept ? "kept: a debugger has hold of it, and sandbox is off" :
	    "killed: another one is started");
	if (is_kept)
		p->ready_ms = master_after(p->master, READY_LIMIT_MS);
	else
		kill_excused(p);
}

static void
proc_step(struct master *m, struct proc *p)
{
	if (p->said_ready && p->state == PROC_STARTING) {
		p->state = PROC_READY;
		p->ready_ms = 0;
		log_event(LOG_LEVEL_DEBUG, "process-ready",
		    "role=%s slot=%u pid=%d", role_name(p->role), p->slot,
		    (int)p->pid);
	}
	p->said_ready = false;
	punish(p);
	if (p->has_exited) {
		bury(m, p);
		return;
	}
	/* without its channel it is of no use, should it still be alive */
	if (p->ce == NULL && p->state != PROC_DRAINING)
		proc_kill(p);
	if (master_is_due(m, &p->ready_ms) && p->state == PROC_STARTING &&
	    !p->is_killed)
		end_unready(p);
	if (master_is_due(m, &p->kill_ms)) {
		log_warnx("process-drain", "role=%s slot=%u pid=%d effect=%s",
		    role_name(p->role), p->slot, (int)p->pid, late_why(p));
		kill_excused(p);
	}
}

static void
procs_step(struct master *m)
{
	struct proc *p, *next;

	TAILQ_FOREACH_SAFE(p, &m->procs, link, next)
		proc_step(m, p);
}

/* --- phases --------------------------------------------------------------- */

static void
starting_step(struct master *m)
{
	char err[SETTINGS_ERROR_MAX];

	switch (procs_are_ready(m, &m->config, &m->start_ms, err,
	    sizeof(err))) {
	case 0:
		return;
	case 1:
		break;
	default:
		master_fail(m, 1, err);
		return;
	}
	m->start_ms = 0;
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
	unsigned int id, askers = role_of(p->role)->is_lasting ?
	    ~role_lasting() : role_askers(p->role);

	for (id = 0; id < NROLES; id++)
		if ((askers & ROLE_BIT(id)) != 0 &&
		    procs_count(m, id, generation) > 0)
			return true;
	return false;
}

/* A process of an older configuration ends when those have that ask it, or at
 * once when its successor takes over from it.  Should it die before, nobody
 * takes its place: workers that drain begin no handshake and no login.  A
 * worker that has clients may take long, since they may send slowly, but not
 * for ever: an attacker may control it, and it keeps its channels as long as it
 * runs. */
static void
retire(struct master *m)
{
	const struct settings *s = m->config.settings;
	uint64_t limit_ms, extra_ms;
	const struct role *role;
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link) {
		role = role_of(p->role);
		limit_ms = 1000ULL * (uint64_t)(role->has_clients ?
		    s->reload_drain_time : s->drain_time);
		extra_ms = role->has_clients ? 0 : FINISH_MS;
		if (p->generation < m->config.generation &&
		    (role->is_replaced || !is_asked(m, p, p->generation)))
			proc_drain(p, true, MAX(limit_ms, LEAST_MS),
			    limit_ms + extra_ms);
	}
}

static void
running_step(struct master *m)
{
	outage_step(m);
	reload_step(m);
	retire(m);
	if (handout_wants(m))
		listeners_watch(m, handout_accept);
}

/* All have ended, and the logger, too.  Does the next one have to write what
 * others have sent?  However the server stops, that is waited for a little. */
static bool
awaits_logger(struct master *m)
{
	if (TAILQ_EMPTY(&m->log_links) || !respawns_are_due(m))
		return false;
	if (m->last_ms == 0) {
		m->last_ms = master_after(m, LAST_START_MS);
		respawns_hurry(m);
	} else if (master_is_due(m, &m->last_ms)) {
		log_warnx("stop", "effect=%s", "the logger does not start, "
		    "the last lines of the others are lost");
		respawns_free(m);
		return false;
	}
	return true;
}

/* drain_time has passed. */
static void
end_sessions(struct master *m)
{
	unsigned int n = 0;
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (role_of(p->role)->has_clients && !p->has_exited) {
			n++;
			kill_excused(p);
		}
	if (n > 0)
		log_warnx("stop", "effect=%s", "drain_time has passed, the "
		    "workers that have sessions are killed");
}

/* Tell ${p} to end.  Its time follows that of the sessions, which m->stop_ms
 * bounds. */
static void
stop_one(struct master *m, struct proc *p)
{
	const struct role *role = role_of(p->role);
	uint64_t now = m->ops->now_ms(), left_ms;

	left_ms = m->stop_ms > now && !role->is_lasting ? m->stop_ms - now : 0;
	proc_drain(p, false, MAX(left_ms, LEAST_MS), role->has_clients ? 0 :
	    left_ms + FINISH_MS);
}

static void
stopping_step(struct master *m)
{
	struct proc *p;

	reload_refuse(m, "the server is stopping");
	if (master_is_due(m, &m->stop_ms))
		end_sessions(m);
	TAILQ_FOREACH(p, &m->procs, link)
		if (!is_asked(m, p, 0))
			stop_one(m, p);
	if (TAILQ_EMPTY(&m->procs) && !awaits_logger(m))
		scheduler_stop(m->sched);
}

/* --- the step ------------------------------------------------------------- */

static void
step(struct master *m)
{
	(void)master_is_due(m, &m->accept_ms);
	take_stop(m);
	taken_step(m);
	procs_step(m);
	respawns_step(m);
	if (m->phase != MASTER_STOPPING)
		certs_step(m);
	if (m->phase == MASTER_STARTING)
		starting_step(m);
	if (m->phase == MASTER_RUNNING)
		running_step(m);
	if (m->phase == MASTER_STOPPING)
		stopping_step(m);
	control_step(m);
	master_log_step(m);
}

void
master_step(struct master *m)
{
	/* the step itself may note something */
	while (m->has_news) {
		m->has_news = false;
		step(m);
	}
}

static void
earlier(uint64_t *first, uint64_t at_ms)
{
	if (at_ms != 0 && (*first == 0 || at_ms < *first))
		*first = at_ms;
}

uint64_t
master_deadline(const struct master *m)
{
	const struct respawn *r;
	const struct proc *p;
	uint64_t first = 0;

	TAILQ_FOREACH(p, &m->procs, link) {
		earlier(&first, p->ready_ms);
		earlier(&first, p->kill_ms);
	}
	TAILQ_FOREACH(r, &m->respawns, link)
		earlier(&first, r->due_ms);
	earlier(&first, m->start_ms);
	earlier(&first, m->stop_ms);
	earlier(&first, m->last_ms);
	earlier(&first, m->accept_ms);
	earlier(&first, m->relog_ms);
	earlier(&first, m->taken_ms);
	earlier(&first, m->outage.hold_ms);
	earlier(&first, reload_deadline(m));
	earlier(&first, m->certs.look_ms);
	earlier(&first, m->certs.rotate_ms);
	return first;
}
