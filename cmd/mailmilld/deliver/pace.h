/* The pace of the agent that puts messages into Maildirs: when the next batch
 * begins.
 *
 * A job that comes when the agent is idle is done at once.  Under load jobs
 * gather after a batch for twice the time that it took, or until there are as
 * many as a batch may have, so that many of them share one flush of the disk.
 * The flush writes also what the workers have to write: too many of them slow
 * down the commits.
 * When there are enough to share a flush and no more come, none waits for the
 * rest of that time: the last batch of a burst begins soon after its last job.
 * Enough: with 32 there are a tenth more flushes under a steady load, and with
 * 160 the end of a burst waits longer.
 * Renames are flushed with the next batch, and their results are told then.  The
 * queue may have to hear of them before it gives out more, which the agent cannot
 * know.  Therefore PACE_ENOUGH renames are flushed after PACE_FLUSH_MS, unless
 * PACE_FEW jobs have come meanwhile. */

#ifndef CMD_MAILMILLD_DELIVER_PACE_H
#define CMD_MAILMILLD_DELIVER_PACE_H

#include <stddef.h>
#include <stdint.h>

#define PACE_GATHER_MIN_MS	20	/* between batches that are not full */
#define PACE_GATHER_MAX_MS	100
#define PACE_ENOUGH		96	/* jobs, or renames, to share a flush */
#define PACE_FEW		8	/* jobs: a steady load brings more in PACE_FLUSH_MS */
#define PACE_QUIET_MS		15	/* without a job: no more come */
#define PACE_FLUSH_MS		15	/* renames wait for another batch's flush */

/* All of it in ms of one clock; zeros: no batch was, and no job has come. */
struct pace {
	uint64_t	ran_ms;		/* end of the last batch */
	uint64_t	took_ms;	/* by that batch */
	uint64_t	came_ms;	/* the last jobs */
};

/* pace_due(p, njobs, nunflushed): When the next batch begins, if ${njobs} wait
 * for it and ${nunflushed} renames for a flush: a time, maybe one that is over,
 * never 0.  0: there is nothing to do. */
uint64_t pace_due(const struct pace *p, size_t njobs, size_t nunflushed);

#endif
