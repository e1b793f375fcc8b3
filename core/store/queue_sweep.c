/* Removal of files that crashes and dead writers have left in incoming/.
 * Owns: when a sweep begins, how fast it goes on, its lines in the log.
 * Which files may be removed: core/spool/spool_sweep.h. */

#include "core/store/queue_spool_int.h"

#include <sys/param.h>

#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_sweep.h"
#include "core/spool/spool_torn.h"

static bool
body_is_known(void *closure, uint64_t id)
{
	struct queue_spool *sp = closure;
	size_t i;

	for (i = 0; i < sp->nbodies; i++)
		if (sp->bodies[i] == id)
			return true;
	return sp->user->holds(sp->queue, id) > 0;
}

/* Bodies could not be removed.  Where a later sweep may remove them without
 * help, sweep again soon; else log what an administrator can do. */
static void
bodies_kept(void *closure, unsigned int number, unsigned int n,
    enum spool_sweep_why why)
{
	static const char *const reasons[] = {
		[SPOOL_SWEEP_SET_ASIDE] = "what is lost in a segment of that "
		    "number may have named them: remove incoming/damaged.* "
		    "when you have looked at it",
		[SPOOL_SWEEP_DAMAGE] = "a segment of that number cannot be "
		    "read to its end",
	};
	struct queue_spool *sp = closure;

	if (why == SPOOL_SWEEP_MANY)
		sp->sweep_again_ms = MIN(sp->sweep_again_ms, QUEUE_SCAN_MS);
	else
		log_event(LOG_LEVEL_NOTICE, "sweep-kept",
		    "number=%u bodies=%u reason=%s", number, n, reasons[why]);
}

static const struct spool_sweep_ops sweep_ops = {
	.is_known = body_is_known,
	.kept = bodies_kept
};

static int
remove_free(void *closure, enum spool_entry kind, uint64_t id,
    const char *name)
{
	struct queue_spool *sp = closure;

	if (kind == SPOOL_ENTRY_FREE &&
	    sp->writers[spool_number(id)].nchannels == 0)
		(void)unlinkat(sp->config.incoming_dirfd, name, 0);
	return 0;
}

/* Remove the free segments of writers that have ended, and torn segments that
 * were kept for long enough; begin to look for bodies that no record names. */
static void
begin(struct queue_spool *sp)
{
	int dirfd = sp->config.incoming_dirfd;

	(void)spool_scan(dirfd, remove_free, sp);
	if (spool_torn_expire(dirfd) == -1)
		log_warn("spool-sweep", "folder=%s", "incoming");
	sp->sweep_began_ms = sp->now_ms;
	sp->sweep_again_ms = QUEUE_SWEEP_MS;
	sp->sweep = spool_sweep_new(dirfd, QUEUE_SWEEP_GRACE_S, &sweep_ops,
	    sp);
	if (sp->sweep == NULL)
		log_warn("spool-sweep", "folder=%s", "incoming");
}

void
queue_sweep(struct queue_spool *sp)
{
	unsigned int n;
	int rc;

	if (sp->sweep == NULL)
		begin(sp);
	rc = sp->sweep == NULL ? 0 : spool_sweep_step(sp->sweep);
	if (rc == 1) {
		sp->sweep_ms = sp->now_ms + QUEUE_SWEEP_STEP_MS;
		return;
	}
	if (rc == -1)
		log_warn("spool-sweep", "folder=%s", "incoming");
	n = sp->sweep == NULL ? 0 : spool_sweep_removed(sp->sweep);
	if (n > 0)
		log_event(LOG_LEVEL_NOTICE, "spool-sweep",
		    "removed=%u reason=%s", n,
		    "files of workers that died before they committed");
	queue_sweep_stop(sp);
	sp->sweep_ms = sp->sweep_began_ms < sp->sweep_wanted_ms ?
	    MAX(sp->now_ms, sp->sweep_wanted_ms) :
	    sp->now_ms + sp->sweep_again_ms;
}

void
queue_sweep_soon(struct queue_spool *sp)
{
	/* a sweep that is in progress, or begins before that time, misses it */
	sp->sweep_wanted_ms = sp->now_ms + QUEUE_DEATH_MS;
	if (sp->sweep == NULL)
		sp->sweep_ms = MIN(sp->sweep_ms, sp->sweep_wanted_ms);
}

void
queue_sweep_stop(struct queue_spool *sp)
{
	spool_sweep_free(sp->sweep);
	sp->sweep = NULL;
}
