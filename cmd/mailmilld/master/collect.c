/* Sessions that have ended, as their workers say.
 * Owns: taking them off the books.  Those of a dead worker go with its book. */

#include "cmd/mailmilld/master/master.h"

#include "cmd/mailmilld/role/ended.h"

/* Sessions of the worker ${p} have ended.  One that names others than its own is
 * broken, or in bad hands. */
void
proc_sessions_ended(const struct proc *p, const uint64_t *handles,
    unsigned int n)
{
	uint64_t unknown = 0;
	unsigned int i, nunknown = 0;

	for (i = 0; i < n; i++)
		if (book_remove(p->book, handles[i]) == -1) {
			unknown = handles[i];
			nunknown++;
		}
	if (nunknown > 0)
		log_warnx("session-unknown", "slot=%u handle=%llx n=%u",
		    p->slot, (unsigned long long)unknown, nunknown);
}

/* Take off the books the sessions that the worker ${p} has listed in the memory
 * it shares with the master (ended.h). */
void
proc_collect(struct proc *p)
{
	uint64_t handles[ENDED_MAX];
	unsigned int n = 0;

	while (p->ended != NULL && n < ENDED_MAX &&
	    ended_get(p->ended, &handles[n]))
		n++;
	proc_sessions_ended(p, handles, n);
}

void
procs_collect(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		proc_collect(p);
}
