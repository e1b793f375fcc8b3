/* Counters in shared memory: each process writes its own slot without locks,
 * and any process with the mapping can sum them.
 * Owns: the layout, the slots. */

#ifndef CORE_PROCESS_STATS_H
#define CORE_PROCESS_STATS_H

#include <stddef.h>
#include <stdint.h>

enum stats_id {
#define STATS_COUNTER(id, name) STATS_##id,
#include "core/process/stats.def"
#undef STATS_COUNTER
	STATS_NCOUNTERS
};

#define STATS_NSLOTS	1024	/* a slot is used again when its process is gone; its sums stay */

/* stats_create(): A memfd of fixed size for all slots; -1 with errno. */
int stats_create(void);

/* stats_attach(fd, slot): Map it; later additions go to ${slot}.  Before this
 * call (tests, embedders) additions go to a private array.  Return 0 or -1. */
int stats_attach(int fd, unsigned int slot);

void stats_add(enum stats_id id, uint64_t n);
static inline void
stats_inc(enum stats_id id)
{
	stats_add(id, 1);
}

/* stats_sum(id): Over all slots.  stats_name(id): Of the row. */
uint64_t stats_sum(enum stats_id id);
const char *stats_name(enum stats_id id);

#endif
