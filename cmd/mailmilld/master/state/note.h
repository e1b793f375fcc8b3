/* Noting what has happened, for master_step(), and deadlines. */

#ifndef CMD_MAILMILLD_MASTER_STATE_NOTE_H
#define CMD_MAILMILLD_MASTER_STATE_NOTE_H

#include "cmd/mailmilld/master/state/state.h"

/* master_has_news(m): Run master_step() at the end of this pass. */
void master_has_news(void *m);
void master_wants_stop(struct master *m, enum stop_mode mode);
void master_wants_relog(struct master *m, enum relog how);
/* Return its number, for m->reload_answered. */
unsigned int master_wants_reload(struct master *m);
/* master_fail(m, status, why): Started badly: say so, and end with ${status}. */
void master_fail(struct master *m, int status, const char *why);

/* proc_offends(p, message): Note that ${p} has sent what no honest process
 * sends: it will be logged, counted and killed.  ${message} is static. */
void proc_offends(struct proc *p, const char *message);

/* master_after(m, ms): The deadline that is ${ms} from now.
 * master_is_due(m, &at): Has it passed?  Then it is 0 now. */
uint64_t master_after(const struct master *m, uint64_t ms);
bool master_is_due(const struct master *m, uint64_t *at_ms);
/* proc_is_debugged(p): Has a debugger hold of ${p}, and is the sandbox off for
 * that?  Then it may be stopped for as long as its user likes. */
bool proc_is_debugged(const struct proc *p);

#endif
