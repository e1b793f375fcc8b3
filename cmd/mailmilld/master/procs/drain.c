/* What a reload did to the sessions of the workers before it.
 * Owns: the sums over these workers, and the line of the log when all of them
 * have told or ended.  A further reload has sums of its own. */

#include "cmd/mailmilld/master/procs/procs.h"

#include <stdlib.h>

#include "cmd/mailmilld/role/roles.h"

struct drain {
	unsigned int	 generation;	/* that replaces them */
	unsigned int	 nawaited;	/* workers; with the last it is freed */
	uint64_t	 nsessions, nmoved, ntold;
};

void
drain_begin(struct master *m)
{
	struct drain *d;
	struct proc *p;

	if ((d = calloc(1, sizeof(*d))) == NULL) {
		log_err("drain", "generation=%u", m->config.generation);
		return;
	}
	d->generation = m->config.generation;
	TAILQ_FOREACH(p, &m->procs, link)
		if (p->role == ROLE_WORKER && p->state != PROC_DRAINING &&
		    p->generation < m->config.generation) {
			p->drain = d;
			d->nawaited++;
		}
	if (d->nawaited == 0)
		free(d);
}

void
drain_told(struct proc *p, const struct msg_drained *md)
{
	struct drain *d = p->drain;

	/* the worker was not asked, or its numbers contradict each other: it
	 * has a fault, or an attacker controls it */
	if (d == NULL || md->nmoved > md->nsessions ||
	    md->ntold > md->nsessions - md->nmoved)
		return;
	d->nsessions += md->nsessions;
	d->nmoved += md->nmoved;
	d->ntold += md->ntold;
	drain_ended(p);
}

void
drain_ended(struct proc *p)
{
	struct drain *d = p->drain;

	p->drain = NULL;
	if (d == NULL || --d->nawaited > 0)
		return;
	log_event(LOG_LEVEL_INFO, "drain", "generation=%u sessions=%llu "
	    "moved=%llu told=%llu left=%llu", d->generation,
	    (unsigned long long)d->nsessions, (unsigned long long)d->nmoved,
	    (unsigned long long)d->ntold, (unsigned long long)(d->nsessions -
	    d->nmoved - d->ntold));
	free(d);
}
