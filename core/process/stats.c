/* Counters in shared memory.
 * Owns: the mappings, the private array of a process without one.
 * A child can write its own counters and no others; nothing is decided by
 * them.  A child that an attacker controls may write anything there.  No sum
 * overflows or decreases by it; and when a counter is larger than that of any
 * honest process can be, none of the child's counters is read any more. */

#include "core/process/stats.h"

#include <sys/mman.h>
#include <sys/queue.h>

#include <stdbool.h>
#include <stdlib.h>

#include "core/process/sealed.h"

#define CACHE_LINE	64
#define SUM_MAX		((uint64_t)INT64_MAX)

struct slot {
	_Alignas(CACHE_LINE) uint64_t	v[STATS_NCOUNTERS];
};

struct stats_child {
	LIST_ENTRY(stats_child)	 link;
	struct slot		*slot;
	struct slot		 believed;	/* of it, when it was last looked at */
	bool			 is_left_out;	/* it is not looked at any more */
};

static const struct {
	const char	*name;
	bool		 is_parent;	/* no child counts it */
} rows[STATS_NCOUNTERS] = {
#define STATS_COUNTER(id, name) [STATS_##id] = { name, false },
#define STATS_PARENT(id, name) [STATS_##id] = { name, true },
#include "core/process/stats.def"
#undef STATS_PARENT
#undef STATS_COUNTER
};

static struct slot private_slot;
static struct slot *own = &private_slot;
static struct slot past;		/* of children that have ended */
static LIST_HEAD(, stats_child) children = LIST_HEAD_INITIALIZER(children);

static uint64_t
value(const struct slot *slot, unsigned int id)
{
	return __atomic_load_n(&slot->v[id], __ATOMIC_RELAXED);
}

int
stats_create(void)
{
	return sealed_create("mailmill-stats", sizeof(struct slot));
}

int
stats_attach(int fd)
{
	struct slot *slot = sealed_map(fd, sizeof(*slot)), *old = own;
	unsigned int i;

	if (slot == NULL)
		return -1;
	own = slot;
	for (i = 0; i < STATS_NCOUNTERS; i++)
		if (value(old, i) != 0)
			stats_add((enum stats_id)i, value(old, i));
	if (old == &private_slot)
		private_slot = (struct slot){ 0 };
	else
		munmap(old, sizeof(*old));
	return 0;
}

void
stats_add(enum stats_id id, uint64_t n)
{
	/* atomic, since several threads of a process add */
	__atomic_fetch_add(&own->v[id], n, __ATOMIC_RELAXED);
}

static void
add(uint64_t *sum, uint64_t n)
{
	*sum = n > SUM_MAX - *sum ? SUM_MAX : *sum + n;
}

/* What the child has counted by now. */
static void
look(struct stats_child *sc)
{
	uint64_t v[STATS_NCOUNTERS];
	unsigned int i;

	for (i = 0; i < STATS_NCOUNTERS && !sc->is_left_out; i++) {
		v[i] = value(sc->slot, i);
		if (v[i] <= STATS_CHILD_MAX || rows[i].is_parent)
			continue;
		sc->is_left_out = true;
		stats_inc(STATS_LEFT_OUT);
	}
	for (i = 0; i < STATS_NCOUNTERS && !sc->is_left_out; i++)
		if (v[i] > sc->believed.v[i])
			sc->believed.v[i] = v[i];
}

struct stats_child *
stats_watch(int fd)
{
	struct stats_child *sc;

	/* a slot has the alignment of a cache line */
	if ((sc = aligned_alloc(CACHE_LINE, sizeof(*sc))) == NULL)
		return NULL;
	*sc = (struct stats_child){ .is_left_out = false };
	if ((sc->slot = sealed_map(fd, sizeof(*sc->slot))) == NULL) {
		free(sc);
		return NULL;
	}
	LIST_INSERT_HEAD(&children, sc, link);
	return sc;
}

void
stats_unwatch(struct stats_child *sc)
{
	unsigned int i;

	if (sc == NULL)
		return;
	look(sc);
	for (i = 0; i < STATS_NCOUNTERS; i++)
		add(&past.v[i], sc->believed.v[i]);
	LIST_REMOVE(sc, link);
	munmap(sc->slot, sizeof(*sc->slot));
	free(sc);
}

bool
stats_is_left_out(struct stats_child *sc)
{
	look(sc);
	return sc->is_left_out;
}

uint64_t
stats_sum(enum stats_id id)
{
	struct stats_child *sc;
	uint64_t sum = 0;

	/* this process counts itself when a child is left out */
	LIST_FOREACH(sc, &children, link)
		look(sc);
	add(&sum, value(own, id));
	if (rows[id].is_parent)
		return sum;
	add(&sum, past.v[id]);
	LIST_FOREACH(sc, &children, link)
		add(&sum, sc->believed.v[id]);
	return sum;
}

const char *
stats_name(enum stats_id id)
{
	return (unsigned int)id < STATS_NCOUNTERS ? rows[id].name : "unknown";
}
