/* Deadlines of events: a binary heap.
 * Owns: the heap, Event.timer_slot.
 * Knows nothing of masks and triggers: an entry's key may be earlier than the
 * event's trigger; then the scheduler moves it when the key is due. */

#ifndef CORE_LOOP_TIMERS_H
#define CORE_LOOP_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "core/event.h"

struct timer_entry {
	int64_t	 key_us;
	Event	*event;
};

struct timers {
	struct timer_entry	*heap;
	size_t			 n;
	size_t			 size;
};

/* timers_reserve(t, n): Make room for ${n} entries in all.  Return 0, or -1
 * with errno ENOMEM; nothing else here can fail. */
int timers_reserve(struct timers *t, size_t n);

/* timers_set(t, e, key_us): Insert ${e}, or move it if it is there. */
void timers_set(struct timers *t, Event *e, int64_t key_us);

/* timers_key(t, e): The key of ${e}, which must be in the heap. */
int64_t timers_key(const struct timers *t, const Event *e);

/* timers_remove(t, e): Take ${e} out; no effect if it is not in. */
void timers_remove(struct timers *t, Event *e);

/* timers_first(t, &key_us): The event with the earliest key; NULL if empty. */
Event *timers_first(const struct timers *t, int64_t *key_us_r);

/* timers_shift(t, delta_us): Add ${delta_us} to every key. */
void timers_shift(struct timers *t, int64_t delta_us);

void timers_free(struct timers *t);

#endif
