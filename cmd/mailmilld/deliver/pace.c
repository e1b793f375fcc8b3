/* When the next batch begins.  Looks at no clock. */

#include "cmd/mailmilld/deliver/pace.h"

#include <sys/param.h>

#include "core/maildir/deliver.h"

static uint64_t
gathered(const struct pace *p)
{
	return p->ran_ms + MIN(MAX(2 * p->took_ms, PACE_GATHER_MIN_MS),
	    PACE_GATHER_MAX_MS);
}

/* While a batch is written nothing is read: that no job has come says nothing. */
static uint64_t
quiet(const struct pace *p)
{
	return MAX(p->ran_ms, p->came_ms) + PACE_QUIET_MS;
}

uint64_t
pace_due(const struct pace *p, size_t njobs, size_t nunflushed)
{
	if (njobs >= JOBS_AT_ONCE)
		return 1;
	if (njobs >= PACE_ENOUGH)
		return MIN(gathered(p), quiet(p));
	if (njobs >= PACE_FEW || (njobs > 0 && nunflushed < PACE_ENOUGH))
		return gathered(p);
	return nunflushed > 0 ? p->ran_ms + PACE_FLUSH_MS : 0;
}
