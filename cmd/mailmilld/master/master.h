/* The master: the process that binds, accepts, hands sockets to workers, and
 * starts, watches and ends the others. */

#ifndef CMD_MAILMILLD_MASTER_MASTER_H
#define CMD_MAILMILLD_MASTER_MASTER_H

#include "cmd/mailmilld/master/state/state.h"

/* master.c */

/* master_init(m, ops): Begin on this thread's scheduler, m->sched, which calls
 * master_step() at the end of each pass from now on.  m->config is filled in;
 * everything else is zero.  Return 0, or -1 with errno. */
int master_init(struct master *m, const struct master_ops *ops);
/* master_run(m): Serve with m->config and the flags filled in; everything else
 * is zero.  Return the exit status. */
int master_run(struct master *m);

/* step.c */

/* master_step(m): Do what follows from all that has been noted. */
void master_step(struct master *m);
/* master_deadline(m): When master_step() has something to do although nothing
 * is noted; 0: never. */
uint64_t master_deadline(const struct master *m);

/* signals.c */
int signals_open(struct master *m);	/* 0 or -1 with errno; m->signals */

#endif
