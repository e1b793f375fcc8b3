/* Sessions that have been sent to a worker and that it has not taken yet.
 * Owns: how many there may be, when a worker is late, when one that stays late
 * is killed.
 * A worker counts in shared memory what it takes (ended.h).  One that hangs, or
 * lies about that, holds no more than TAKEN_MAX clients that get no answer. */

#include "cmd/mailmilld/master/sessions/sessions.h"

#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/roles.h"

#define LOOK_MS		2000	/* between looks, while there are such sessions */
#define TAKEN_SOME	(TAKEN_MAX / 2)	/* when it has no more, it has caught up */

/* How many there are.  One that has taken more than it was sent lies. */
static uint32_t
left(struct proc *p)
{
	uint32_t n = p->ended == NULL ? 0 :
	    p->handed.n - ended_taken(p->ended);

	if (n <= INT32_MAX)
		return n;
	proc_offends(p, "M_ENDED");
	return 0;
}

void
taken_add(struct proc *p)
{
	struct master *m = p->master;

	p->handed.n++;
	p->handed.is_any = true;
	if (m->taken_ms != 0)
		return;
	m->taken_ms = master_after(m, LOOK_MS);
	master_has_news(m);
}

bool
taken_is_late(const struct proc *p)
{
	return p->handed.late_ms != 0;
}

bool
taken_has_room(struct proc *p)
{
	struct handed *h = &p->handed;
	uint32_t n = left(p);

	if (n < TAKEN_SOME)
		h->behind_ms = 0;
	else if (n >= TAKEN_MAX && h->behind_ms == 0)
		h->behind_ms = p->master->ops->now_ms();
	/* it may just have been found to lie */
	return !taken_is_late(p) && n < TAKEN_MAX && p->offence == NULL;
}

bool
taken_has_room_soon(const struct proc *p)
{
	const struct handed *h = &p->handed;

	return !taken_is_late(p) && (h->behind_ms == 0 ||
	    p->master->ops->now_ms() - h->behind_ms < TAKEN_WAIT_MS);
}

static void
is_back(struct proc *p)
{
	if (p->handed.late_ms != 0)
		log_event(LOG_LEVEL_NOTICE, "worker-back", "slot=%u pid=%d "
		    "effect=%s", p->slot, (int)p->pid,
		    "it gets connections again");
	p->handed.late_ms = 0;
}

/* It has been late for very long. */
static void
is_hanging(struct proc *p, uint32_t n, uint64_t now_ms)
{
	struct handed *h = &p->handed;
	bool is_kept = proc_is_debugged(p);

	log_event(is_kept ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR,
	    "worker-stuck", "slot=%u pid=%d sessions=%u seconds=%llu effect=%s",
	    p->slot, (int)p->pid, n,
	    (unsigned long long)(now_ms - h->mark_ms) / 1000, is_kept ?
	    "kept: a debugger has hold of it, and sandbox is off" :
	    "killed: it takes no connections");
	if (is_kept) {
		/* asked again after the same time */
		h->late_ms = now_ms;
		return;
	}
	stats_inc(STATS_LATE_KILLS);
	h->is_stuck = true;
}

/* The oldest has not been taken since mark_ms. */
static void
is_waiting(struct proc *p, uint32_t n, uint64_t now_ms)
{
	struct handed *h = &p->handed;

	if (h->late_ms == 0 && now_ms - h->mark_ms >= TAKEN_LATE_MS) {
		h->late_ms = now_ms;
		log_warnx("worker-late", "slot=%u pid=%d sessions=%u "
		    "seconds=%llu effect=%s", p->slot, (int)p->pid, n,
		    (unsigned long long)(now_ms - h->mark_ms) / 1000,
		    "it gets no connections until it takes those it has");
	} else if (h->late_ms != 0 && !h->is_stuck &&
	    now_ms - h->late_ms >= TAKEN_KILL_MS) {
		is_hanging(p, n, now_ms);
	}
}

/* Return whether there are sessions that ${p} has not taken. */
static bool
look(struct proc *p, uint64_t now_ms)
{
	struct handed *h = &p->handed;
	uint32_t n = left(p);

	if (n > 0 && h->mark_ms != 0 && n > h->n - h->mark) {
		is_waiting(p, n, now_ms);
		return true;
	}
	/* it has taken all that there were at the mark */
	is_back(p);
	h->mark = h->n;
	h->mark_ms = n == 0 ? 0 : now_ms;
	return n > 0;
}

void
taken_step(struct master *m)
{
	uint64_t now_ms = m->ops->now_ms();
	bool is_left = false;
	struct proc *p;

	if (!master_is_due(m, &m->taken_ms))
		return;
	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_WORKER)
			is_left |= look(p, now_ms);
	if (is_left)
		m->taken_ms = master_after(m, LOOK_MS);
}
