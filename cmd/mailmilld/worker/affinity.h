/* Which processor a worker stays on.
 * A worker is woken thousands of times a second, for some microseconds each.
 * Where the scheduler may move it, it is put behind whatever runs just then,
 * while the processor that it had falls idle: up to a fifth of all time. */

#ifndef CMD_MAILMILLD_AFFINITY_H
#define CMD_MAILMILLD_AFFINITY_H

#include <sched.h>

/* affinity_pick(set, nworkers, slot): The processor of ${set} for worker
 * ${slot} (from 1) of ${nworkers}; -1: any.  Each processor gets equally many
 * workers, or nobody is bound: with fewer workers than processors, several
 * servers on one machine would all bind to the same ones. */
int affinity_pick(const cpu_set_t *set, unsigned int nworkers,
    unsigned int slot);

/* affinity_bind(nworkers, slot): Bind the calling thread, and those that it
 * will start, so.  A system that does not let it goes on without. */
void affinity_bind(unsigned int nworkers, unsigned int slot);

#endif
