/* Which processor a worker stays on.
 * A worker is woken thousands of times a second, for some microseconds each.
 * A scheduler that may move it queues it behind other processes, while the
 * processor that it had is idle: that costs up to a fifth of the time. */

#ifndef CMD_MAILMILLD_WORKER_AFFINITY_H
#define CMD_MAILMILLD_WORKER_AFFINITY_H

#include <sched.h>
#include <stdbool.h>

/* affinity_pick(set, nworkers, slot): The processor of ${set} for worker
 * ${slot} (from 1) of ${nworkers}; -1: any.  Each processor gets equally many
 * workers, or nobody is bound: with fewer workers than processors, several
 * servers on one machine would all bind to the same ones. */
int affinity_pick(const cpu_set_t *set, unsigned int nworkers,
    unsigned int slot);

/* affinity_bind(nworkers, slot, before_r): Bind the calling thread, and the
 * threads that it starts, to that processor.  Where the system refuses, the
 * worker runs unbound.  Return whether it is bound; then ${before_r} has the
 * processors that it had. */
bool affinity_bind(unsigned int nworkers, unsigned int slot,
    cpu_set_t *before_r);

#endif
