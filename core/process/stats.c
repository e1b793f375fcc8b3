/* Counters in shared memory.
 * Owns: the mapping, the private array of a process without a mapping.
 * A slot is one cache-line-aligned array of counters.  A process adds only to
 * its own slot, so processors do not compete for cache lines. */

#include "core/process/stats.h"

#include <sys/mman.h>

#include <errno.h>

#include "core/process/sealed.h"

#define CACHE_LINE	64
#define COUNTERS_PER_LINE (CACHE_LINE / sizeof(uint64_t))
#define SLOT_COUNTERS \
	((STATS_NCOUNTERS + COUNTERS_PER_LINE - 1) / COUNTERS_PER_LINE * \
	    COUNTERS_PER_LINE)
#define MAP_OCTETS	(STATS_NSLOTS * SLOT_COUNTERS * sizeof(uint64_t))

static const char *const names[STATS_NCOUNTERS] = {
#define STATS_COUNTER(id, name) [STATS_##id] = name,
#include "core/process/stats.def"
#undef STATS_COUNTER
};

static uint64_t private_slot[SLOT_COUNTERS];
static uint64_t *map;			/* NULL: private_slot only */
static uint64_t *own = private_slot;

int
stats_create(void)
{
	return sealed_create("mailmill-stats", MAP_OCTETS);
}

int
stats_attach(int fd, unsigned int slot)
{
	void *p;
	size_t i;

	if (slot >= STATS_NSLOTS) {
		errno = EINVAL;
		return -1;
	}
	if ((p = sealed_map(fd, MAP_OCTETS)) == NULL)
		return -1;
	if (map != NULL)
		munmap(map, MAP_OCTETS);
	map = p;
	own = map + slot * SLOT_COUNTERS;
	for (i = 0; i < STATS_NCOUNTERS; i++) {
		if (private_slot[i] == 0)
			continue;
		stats_add((enum stats_id)i, private_slot[i]);
		private_slot[i] = 0;
	}
	return 0;
}

void
stats_add(enum stats_id id, uint64_t n)
{
	/* atomic, since several threads of a process add */
	__atomic_fetch_add(&own[id], n, __ATOMIC_RELAXED);
}

uint64_t
stats_sum(enum stats_id id)
{
	uint64_t sum = 0;
	size_t slot;

	if (map == NULL)
		return __atomic_load_n(&private_slot[id], __ATOMIC_RELAXED);
	for (slot = 0; slot < STATS_NSLOTS; slot++)
		sum += __atomic_load_n(&map[slot * SLOT_COUNTERS + id],
		    __ATOMIC_RELAXED);
	return sum;
}

const char *
stats_name(enum stats_id id)
{
	return (unsigned int)id < STATS_NCOUNTERS ? names[id] : "unknown";
}
