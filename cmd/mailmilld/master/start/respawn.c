/* Starting a process again that has died.
 * Owns: how long that waits (backoff.h), after how many deaths a start has
 * failed. */

#include "cmd/mailmilld/master/start/start.h"

#include <stdlib.h>

#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/state/backoff.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/process/stats.h"

#define START_TRIES	3	/* deaths of a slot before the start has failed; or
				 * a stop goes on without it */

static struct respawn *
respawn_find(struct master *m, enum role_id role, unsigned int slot)
{
	struct respawn *r;

	TAILQ_FOREACH(r, &m->respawns, link)
		if (r->role == role && r->slot == slot)
			return r;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->role = role;
	r->slot = slot;
	TAILQ_INSERT_TAIL(&m->respawns, r, link);
	return r;
}

void
respawn_after(struct master *m, const struct proc *p)
{
	struct respawn *r;
	unsigned int wait_ms;
	char why[SETTINGS_ERROR_MAX];

	if ((r = respawn_find(m, p->role, p->slot)) == NULL) {
		log_err("process-respawn", "role=%s slot=%u",
		    role_name(p->role), p->slot);
		return;
	}
	wait_ms = backoff_next(&r->backoff, m->ops->now_ms() - p->started_ms);
	if (m->phase == MASTER_STARTING && p->state == PROC_STARTING &&
	    r->backoff.deaths >= START_TRIES) {
		master_fail(m, 1, proc_failure(p, why, sizeof(why)));
		return;
	}
	if (m->phase == MASTER_STOPPING && r->backoff.deaths >= START_TRIES)
		return;
	if (wait_ms > 0)
		log_event(LOG_LEVEL_NOTICE, "process-respawn",
		    "role=%s slot=%u wait_ms=%u", role_name(p->role), p->slot,
		    wait_ms);
	r->due_ms = master_after(m, wait_ms);
}

void
respawns_step(struct master *m)
{
	struct respawn *r;

	TAILQ_FOREACH(r, &m->respawns, link) {
		if (!master_is_due(m, &r->due_ms))
			continue;
		if (proc_start(m, r->role, r->slot, &m->config) == 0)
			stats_inc(STATS_RESPAWNS);
		else
			r->due_ms = master_after(m, m->last_ms != 0 ?
			    BACKOFF_FIRST_MS : BACKOFF_MAX_MS);
	}
}

bool
respawns_are_due(const struct master *m)
{
	const struct respawn *r;

	TAILQ_FOREACH(r, &m->respawns, link)
		if (r->due_ms != 0)
			return true;
	return false;
}

void
respawns_hurry(struct master *m)
{
	struct respawn *r;

	TAILQ_FOREACH(r, &m->respawns, link)
		if (r->due_ms != 0)
			r->due_ms = m->ops->now_ms();
	m->has_news = true;
}

static void
forget(struct master *m, bool also_lasting)
{
	struct respawn *r, *next;

	TAILQ_FOREACH_SAFE(r, &m->respawns, link, next)
		if (also_lasting || !role_of(r->role)->is_lasting) {
			TAILQ_REMOVE(&m->respawns, r, link);
			free(r);
		}
}

void
respawns_cancel(struct master *m)
{
	forget(m, false);
}

void
respawns_free(struct master *m)
{
	forget(m, true);
}
