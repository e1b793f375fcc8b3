/* Times without a queue process.
 * Owns: since when there is none, when that is too long, what workers do then.
 * Mail that is accepted meanwhile is safe in the spool, but nobody delivers it:
 * when that lasts, clients had better keep their mail. */

#include "cmd/mailmilld/master/procs/procs.h"

#include <string.h>

#include "cmd/mailmilld/master/state/note.h"

/* Does a queue process work?  A queue process that is to replace another is not
 * ready before that one has ended; until then the other one counts. */
static bool
is_served(const struct master *m)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_QUEUE && p->state != PROC_STARTING &&
		    !p->is_killed && p->ce != NULL && *p->trouble == '\0')
			return true;
	return false;
}

const char *
outage_reason(const struct master *m)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_QUEUE && *p->trouble != '\0')
			return p->trouble;
	return m->outage.reason;
}

int
outage_tell(struct master *m, struct proc *p)
{
	struct msg_hold hold = { .is_held = m->outage.is_held };

	if (p->role != ROLE_WORKER)
		return 0;
	return chanev_send(p->ce, M_HOLD, &hold, NULL, 0, -1);
}

static void
hold(struct master *m, bool is_held)
{
	struct proc *p;

	if (m->outage.is_held == is_held)
		return;
	m->outage.is_held = is_held;
	TAILQ_FOREACH(p, &m->procs, link)
		if (outage_tell(m, p) == -1)
			log_warn("queue-down", "role=%s slot=%u", "worker",
			    p->slot);
}

static unsigned int
seconds(const struct master *m)
{
	return (unsigned int)
	    ((m->ops->now_ms() - m->outage.since_ms) / 1000);
}

static void
begin(struct master *m)
{
	int64_t limit_s = m->config.settings->max_queue_downtime;

	m->outage.since_ms = m->ops->now_ms();
	m->outage.hold_ms = limit_s == 0 ? 0 :
	    master_after(m, (uint64_t)limit_s * 1000);
}

static void
end(struct master *m)
{
	if (m->outage.is_held)
		log_event(LOG_LEVEL_NOTICE, "queue-up", "seconds=%u effect=%s",
		    seconds(m), "MAIL is accepted again");
	hold(m, false);
	m->outage.since_ms = m->outage.hold_ms = 0;
	*m->outage.reason = '\0';
}

void
outage_step(struct master *m)
{
	if (is_served(m)) {
		if (m->outage.since_ms != 0)
			end(m);
		return;
	}
	if (m->outage.since_ms == 0)
		begin(m);
	if (!master_is_due(m, &m->outage.hold_ms))
		return;
	log_errx("queue-down", "seconds=%u reason=%s effect=%s", seconds(m),
	    outage_reason(m), "MAIL is answered 451");
	hold(m, true);
}
