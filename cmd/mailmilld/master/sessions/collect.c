/* Sessions that have ended, as their workers say.
 * Owns: taking them off the books.  Those of a dead worker go with its book. */

#include "cmd/mailmilld/master/sessions/sessions.h"

#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/master/state/note.h"
#include "cmd/mailmilld/role/ended.h"

/* Sessions of the worker ${p} have ended.  It tells that of each session once,
 * and of none that it has given away. */
void
proc_sessions_ended(struct proc *p, const char *message,
    const uint64_t *handles, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (book_remove(p->book, handles[i]) == -1)
			proc_offends(p, message);
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
	proc_sessions_ended(p, "M_ENDED", handles, n);
}

void
procs_collect(struct master *m)
{
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		proc_collect(p);
}
