/* Parking: descriptors that have been idle for a while, behind one epoll
 * descriptor, so that poll(2) has one descriptor to check instead of many.
 * Owns: the epoll descriptor and what is registered there.
 * Knows nothing of events: pollset.c decides which are parked, and when. */

#ifndef CORE_LOOP_PARK_H
#define CORE_LOOP_PARK_H

#include <stddef.h>

/* Descriptors that one park_collect() returns at most. */
#define PARK_BATCH	64

struct park {
	int	epfd;		/* -1: not open */
	size_t	count;		/* descriptors behind it */
};

struct park_ready {
	int	fd;
	short	revents;	/* as of poll(2) */
};

/* park_init(p): Opens nothing yet. */
void park_init(struct park *p);

/* park_add(p, fd): Park ${fd}: park_collect() returns it when it is readable
 * or in error.  Return 0, or -1 with errno: poll(2) has to watch it. */
int park_add(struct park *p, int fd);

/* park_remove(p, fd): ${fd} is no longer parked.  Must be called before it is
 * closed: a duplicate of it elsewhere would keep it registered. */
void park_remove(struct park *p, int fd);

/* park_collect(p, ready_r, n): Up to ${n} (at most PARK_BATCH) parked
 * descriptors with something to report; never waits.  They stay parked.
 * Return how many. */
size_t park_collect(struct park *p, struct park_ready *ready_r, size_t n);

void park_free(struct park *p);

/* park_abandon(p): In a child that was forked off by another thread than the
 * one that uses ${p}: close the copy of the descriptor, and nothing else. */
void park_abandon(struct park *p);

#endif
