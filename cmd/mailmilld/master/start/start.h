/* Starting processes: at the start, after the death of one, and by a reload. */

#ifndef CMD_MAILMILLD_MASTER_START_START_H
#define CMD_MAILMILLD_MASTER_START_START_H

#include "cmd/mailmilld/master/state/state.h"

/* proc_start.c */

/* proc_start(m, role, slot, config): Start one; it shows up in m->procs.
 * Return 0, or -1 having logged why. */
int proc_start(struct master *m, enum role_id role, unsigned int slot,
    const struct config *config);
/* proc_start_all(m, config): All that ${config} needs; a role's peers before
 * it.  Return 0, or -1 having logged why. */
int proc_start_all(struct master *m, const struct config *config);

/* numbers.c */

/* instance_next(m, role, spool, &instance_r): The instance of a new process.
 * That of a worker has in its low bits a number that no living worker has.  No
 * file that another worker has left in ${spool} has it either, so that only the
 * writer of a file can name it; only if all numbers are in such names is one
 * used again.  Return 0 or -1 (ENOMEM). */
int instance_next(struct master *m, enum role_id role, const char *spool,
    unsigned int *instance_r);
void numbers_free(struct master *m);

/* respawn.c */

/* respawn_after(m, p): ${p}, of the configuration in use, has died: its
 * successor will start, now or later.  When it has never been ready, and this
 * has happened a few times, the start has failed. */
void respawn_after(struct master *m, const struct proc *p);
/* respawns_step(m): see master_step()
 * respawns_are_due(m): Does one wait for its time?
 * respawns_hurry(m): The time of those that wait has come.
 * respawns_cancel(m): Start none again, but those of roles that last.
 * respawns_free(m): Those, too. */
void respawns_step(struct master *m);
bool respawns_are_due(const struct master *m);
void respawns_hurry(struct master *m);
void respawns_cancel(struct master *m);
void respawns_free(struct master *m);

/* reload.c */

/* reload_step(m): see master_step() */
void reload_step(struct master *m);
/* reload_deadline(m): see master_deadline() */
uint64_t reload_deadline(const struct master *m);
/* reload_abort(m, why): End the one in progress, if there is one, and keep the
 * old configuration.
 * reload_refuse(m, why): Also answer requests for one that has not begun. */
void reload_abort(struct master *m, const char *why);
void reload_refuse(struct master *m, const char *why);

#endif
