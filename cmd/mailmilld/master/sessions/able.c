/* Which workers can get sessions.
 * Knows nothing of limits. */

#include "cmd/mailmilld/master/sessions/sessions.h"

#include "cmd/mailmilld/master/state/ledger.h"

bool
able_is(const struct proc *p)
{
	return p->role == ROLE_WORKER && p->state == PROC_READY &&
	    p->generation == p->master->config.generation && p->ce != NULL &&
	    !p->is_lost && !p->is_killed && !p->is_beyond &&
	    p->offence == NULL;
}

bool
able_is_alone(const struct proc *p)
{
	const struct proc *o;

	TAILQ_FOREACH(o, &p->master->procs, link)
		if (o != p && able_is(o) && !taken_is_late(o) &&
		    !book_is_full(o->book))
			return false;
	return true;
}
