/* The master's children.
 * Owns: their list, what they say, how they are told to end.
 * What is heard of them is noted; step.c acts on it.
 * Knows nothing of sessions: collect.c, handout.c and admit.c do. */

#include "cmd/mailmilld/master/procs/procs.h"

#include <sys/param.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/master/sessions/sessions.h"
#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/util/fileio.h"

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

/* A role of which a process is not ready; NROLES: all are. */
static enum role_id
awaited(const struct master *m, const struct config *config)
{
	const struct proc *p;
	unsigned int n[NROLES] = { 0 }, id;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->state == PROC_READY && !p->is_killed &&
		    (p->generation == config->generation ||
		    role_of(p->role)->is_lasting))
			n[p->role]++;
	/* the master itself is not in the list */
	for (id = 0; id < NROLES; id++)
		if (id != ROLE_MASTER &&
		    n[id] != role_count(config->settings, id))
			break;
	return id;
}

/* What a process of ${role} says that is not ready; "": nothing. */
static const char *
trouble_of(const struct master *m, enum role_id role, unsigned int generation)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == role && p->generation == generation &&
		    p->state != PROC_READY && *p->trouble != '\0')
			return p->trouble;
	return "";
}

int
procs_are_ready(const struct master *m, const struct config *config,
    uint64_t *limit_ms, char *err_r, size_t errlen)
{
	enum role_id id = awaited(m, config);
	const char *trouble;

	if (id == NROLES)
		return 1;
	if (!master_is_due(m, limit_ms))
		return 0;
	trouble = trouble_of(m, id, config->generation);
	snprintf(err_r, errlen, "a process does not get ready in %d seconds: "
	    "%s%s%s", READY_LIMIT_MS / 1000, role_name(id),
	    *trouble == '\0' ? "" : ": ", trouble);
	return -1;
}

struct proc *
proc_find(struct master *m, enum role_id role, unsigned int generation)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == role && p->generation == generation &&
		    p->state != PROC_DRAINING && p->ce != NULL &&
		    !p->has_exited)
			return p;
	return NULL;
}

/* --- what they say -------------------------------------------------------- */

#define WORDS_MAX	100	/* that a child may say at once, and one a second: an
				 * honest one says a few in its life */

/* May ${p} send one more message of a kind that nothing else bounds?  Each
 * costs the master a step.  The number of other messages is bounded by what
 * they are about: a session, a socket of lines, a version of keys. */
static bool
may_say(struct proc *p, const char *message)
{
	uint64_t now_ms = p->master->ops->now_ms();

	if (p->words_ms < now_ms)
		p->words_ms = now_ms;
	p->words_ms += 1000;
	if (p->words_ms - now_ms <= WORDS_MAX * 1000)
		return true;
	proc_offends(p, message);
	return false;
}

static void
on_bad(void *closure)
{
	proc_offends(closure, "malformed");
}

static void
on_ready(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	struct msg_ready ready;

	if (p->has_been_ready) {
		proc_offends(p, "M_READY");
		return;
	}
	p->has_been_ready = true;
	memcpy(&ready, msg->base, sizeof(ready));
	p->measures = ready.measures;
	p->said_ready = true;
	p->master->has_news = true;
}

static void
on_refused(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	struct msg_refused refused;

	if (!may_say(p, "M_REFUSED"))
		return;
	memcpy(&refused, msg->base, sizeof(refused));
	p->was_refused = true;
	p->call = refused.call;
}

static void
on_crashed(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	struct msg_crashed crashed;
	size_t i;

	if (!may_say(p, "M_CRASHED"))
		return;
	memcpy(&crashed, msg->base, sizeof(crashed));
	crashed.module[sizeof(crashed.module) - 1] = '\0';
	for (i = 0; i < p->nmodules; i++)
		if (strcmp(p->modules[i].module, crashed.module) == 0) {
			p->crashed = p->modules[i].module;
			return;
		}
	proc_offends(p, "M_CRASHED");
}

/* That memory was full: the worker sends the sessions that have ended. */
static void
on_closed(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;

	if (msg->nentries == 0) {
		proc_offends(p, "M_CLOSED");
		return;
	}
	proc_sessions_ended(p, "M_CLOSED", msg->entries, msg->nentries);
	proc_collect(p);
}

static void
on_move(void *closure, struct channel_msg *msg)
{
	struct msg_move move;

	memcpy(&move, msg->base, sizeof(move));
	if (handout_move(closure, &move, msg->fd) == 0)
		msg->fd = -1;
}

/* A proxy has named the client of a session. */
static void
on_proxied(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	struct msg_verdict verdict = { 0 };
	struct msg_proxied mp;
	int rc;

	memcpy(&mp, msg->base, sizeof(mp));
	if ((rc = admit_proxied(p, &mp)) == -1) {
		proc_offends(p, "M_PROXIED");
		return;
	}
	verdict.handle = mp.handle;
	verdict.is_refused = rc == 1;
	(void)chanev_send(p->ce, M_VERDICT, &verdict, NULL, 0, -1);
}

static void
on_drained(void *closure, struct channel_msg *msg)
{
	struct msg_drained md;

	if (!may_say(closure, "M_DRAINED"))
		return;
	memcpy(&md, msg->base, sizeof(md));
	drain_told(closure, &md);
}

/* A keyd answers each version that it was sent once, in their order.  Only the
 * answer to what it was sent last counts. */
static void
on_keys_ready(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	struct msg_keys_ready answer;

	memcpy(&answer, msg->base, sizeof(answer));
	if (p->certs_awaited == 0 || answer.version <= p->certs_answered ||
	    answer.version > p->certs_sent) {
		proc_offends(p, "M_KEYS_READY");
		return;
	}
	p->certs_awaited--;
	p->certs_answered = answer.version;
	if (answer.version != p->certs_sent)
		return;
	p->keys_answer = answer;
	p->has_keys_answer = true;
	p->master->has_news = true;
}

/* Keep the child's reason: it is shown in the log, on standard error and by
 * mailmillctl. */
static void
on_trouble(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	const char *text = msg->entries;
	unsigned int i;

	if (!may_say(p, "M_TROUBLE"))
		return;
	for (i = 0; i < msg->nentries && text[i] != '\0'; i++)
		p->trouble[i] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
	p->trouble[i] = '\0';
	p->master->has_news = true;
}

static void
on_relog(void *closure, struct channel_msg *)
{
	struct proc *p = closure;

	if (may_say(p, "M_RELOG"))
		master_wants_relog(p->master, RELOG_SOON);
}

static void
on_writer_end(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure;
	struct msg_writer_end end;

	memcpy(&end, msg->base, sizeof(end));
	if (log_link_ended(p, end.instance) == -1)
		proc_offends(p, "M_WRITER_END");
}

/* A worker writes beyond its share; spoold can only refuse it more files. */
static void
on_beyond(void *closure, struct channel_msg *msg)
{
	struct proc *p = closure, *w;
	struct msg_beyond beyond;

	if (!may_say(p, "M_BEYOND"))
		return;
	memcpy(&beyond, msg->base, sizeof(beyond));
	/* it may have ended meanwhile */
	TAILQ_FOREACH(w, &p->master->procs, link)
		if (w->role == ROLE_WORKER && w->instance == beyond.instance)
			w->is_beyond = p->master->has_news = true;
}

static void
proc_gone(void *closure)
{
	struct proc *p = closure;

	p->ce = NULL;
	p->master->has_news = true;
}

const struct chanev_ops proc_ops = {
	.on = {
		[M_READY] = on_ready,
		[M_REFUSED] = on_refused,
		[M_CRASHED] = on_crashed,
		[M_TROUBLE] = on_trouble,
		[M_RELOG] = on_relog,
		[M_WRITER_END] = on_writer_end,
		[M_BEYOND] = on_beyond,
		[M_CLOSED] = on_closed,
		[M_PROXIED] = on_proxied,
		[M_MOVE] = on_move,
		[M_DRAINED] = on_drained,
		[M_KEYS_READY] = on_keys_ready
	},
	.gone = proc_gone,
	.bad = on_bad
};

/* --- telling -------------------------------------------------------------- */

int
proc_send_fd(struct proc *p, enum msg_type type, const void *base, int fd)
{
	if (fd == -1)
		return -1;
	if (chanev_send(p->ce, type, base, NULL, 0, fd) == 0)
		return 0;
	fileio_close(fd);
	return -1;
}

/* --- ending --------------------------------------------------------------- */

void
proc_kill(struct proc *p)
{
	/* once: and its number may be another's when it has been waited for */
	if (p->is_killed || p->has_exited)
		return;
	p->is_killed = true;
	p->kill_ms = 0;
	if (p->master->ops->kill(p->pid, SIGKILL) == -1 && errno != ESRCH)
		log_warn("process-kill", "role=%s slot=%u pid=%d",
		    role_name(p->role), p->slot, (int)p->pid);
}

void
proc_drain(struct proc *p, bool is_reconfig, uint64_t limit_ms,
    uint64_t kill_ms)
{
	struct msg_drain drain = { .is_reconfig = is_reconfig,
		.limit_ms = (uint32_t)MIN(limit_ms, UINT32_MAX) };

	if (p->state == PROC_DRAINING)
		return;
	p->state = PROC_DRAINING;
	if (p->is_killed)
		return;
	if (chanev_send(p->ce, M_DRAIN, &drain, NULL, 0, -1) == -1)
		proc_kill(p);
	else if (kill_ms > 0)
		p->kill_ms = master_after(p->master, kill_ms);
}

const char *
proc_failure(const struct proc *p, char *buf, size_t len)
{
	snprintf(buf, len, "%s %u does not start: %s", role_name(p->role),
	    p->slot, *p->trouble != '\0' ? p->trouble : "the log says why");
	return buf;
}

void
proc_free(struct proc *p)
{
	drain_ended(p);
	chanev_free(p->ce);
	book_close(p->book);
	ended_free(p->ended);
	stats_unwatch(p->stats);
	free(p->modules);
	free(p);
}

void
proc_exited(struct master *m, pid_t pid, int status)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->pid == pid && !p->has_exited) {
			p->has_exited = true;
			p->status = status;
			m->has_news = true;
			return;
		}
}
