/* Counters: each process has memory of its own for them, which it shares with its
 * parent; the parent sums them.
 * Owns: the layout. */

#ifndef CORE_PROCESS_STATS_H
#define CORE_PROCESS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stats_id {
#define STATS_COUNTER(id, name) STATS_##id,
#define STATS_PARENT(id, name) STATS_##id,
#include "core/process/stats.def"
#undef STATS_PARENT
#undef STATS_COUNTER
	STATS_NCOUNTERS
};

struct stats_child;		/* the counters of a child */

/* stats_create(): A memfd of fixed size for one process; -1 with errno. */
int stats_create(void);

/* stats_attach(fd): Map it; later additions go there.  Before this call (tests,
 * embedders) additions go to a private array.  Return 0 or -1. */
int stats_attach(int fd);

void stats_add(enum stats_id id, uint64_t n);
static inline void
stats_inc(enum stats_id id)
{
	stats_add(id, 1);
}

/* stats_watch(fd): The parent's: sum what the child with ${fd} counts, too.
 * NULL with errno.
 * stats_unwatch(sc): It has ended: its sums stay, as they are now.  NULL does
 * nothing.
 * stats_is_left_out(sc): Has one of its counters been above STATS_CHILD_MAX?  No
 * honest process counts so much, not even octets in years.  From then on what the
 * child writes is left out of the sums. */
#define STATS_CHILD_MAX	(1ULL << 56)
struct stats_child *stats_watch(int fd);
void stats_unwatch(struct stats_child *sc);
bool stats_is_left_out(struct stats_child *sc);

/* stats_sum(id): Of this process and its children, INT64_MAX at most; what a child
 * has once counted stays in it.  Of a counter that is the parent's (STATS_PARENT),
 * of this process alone: what a child that an attacker controls writes into its
 * memory does not change it.
 * stats_name(id): Of the row. */
uint64_t stats_sum(enum stats_id id);
const char *stats_name(enum stats_id id);

#endif
