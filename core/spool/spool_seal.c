/* Sealing a segment: nothing more is written to it, and its descriptor is
 * closed.
 * Owns: when a segment is sealed before it is full.
 * An attacker who controls a worker can write to all descriptors that the
 * worker has open.  So the descriptor of a segment with acknowledged mail is
 * closed soon: SPOOL_SEAL_MS after its first record, if the next segment is a
 * recycled one, which costs only a rename.  A new segment has to be filled with
 * zeros, so for a new one this is done only once in SPOOL_SEAL_NEW_MS.  If
 * there is no next segment, the worker goes on in this one, for else no mail
 * could come in. */

#include <sys/param.h>

#include "core/spool/spool_writer_int.h"
#include "core/util/monotonic.h"

#define UNRETURNED	3	/* segments sealed since the last recycled one: the queue does not keep up, so the rest of a segment is given back */

uint64_t
spool_seal_due(const struct spool_writer *w)
{
	uint64_t due;

	if (w->cur == NULL || w->cur->first_ms == 0 || w->next == NULL)
		return (UINT64_MAX);
	due = w->cur->first_ms + w->config.seal_ms;
	if (!w->next->is_recycled && w->seal_new_ms != 0)
		due = MAX(due, w->seal_new_ms + w->config.seal_new_ms);
	return (due);
}

void
spool_seal_locked(struct spool_writer *w)
{
	w->cur->is_sealed = true;
	w->cur->is_dirty = true;
	w->cur = NULL;
	w->nsealed++;
	__atomic_store_n(&w->cur_left, 0, __ATOMIC_RELAXED);
	spool_post_locked(w);
}

void
spool_seal(struct spool_writer *w)
{
	/* Unlock it first: when the queue is told of the end, it recycles the
	 * segment, if that is not locked. */
	spool_segment_close(&w->cur->segment);
	(void)pthread_mutex_lock(&w->lock);
	spool_seal_locked(w);
	(void)pthread_mutex_unlock(&w->lock);
}

void
spool_seal_early(struct spool_writer *w)
{
	bool is_new, is_trimmed;

	(void)pthread_mutex_lock(&w->lock);
	is_new = !w->next->is_recycled;
	is_trimmed = is_new && w->nsealed >= UNRETURNED;
	(void)pthread_mutex_unlock(&w->lock);
	if (is_new)
		w->seal_new_ms = monotonic_ms();
	if (is_trimmed)
		spool_segment_trim(&w->cur->segment, w->cur->end);
	spool_seal(w);
}
