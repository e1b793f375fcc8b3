/* Parking: descriptors that have been idle for a while, behind one epoll
 * descriptor, which costs poll(2) as much as one of them.
 * Owns: the epoll descriptor and what is registered there.
 * Knows nothing of events: pollset.c decides who is parked, and when. */

#ifndef CORE_LOOP_PARK_H
#define CORE_LOOP_PARK_H

#include <stddef.h>

/* Descriptors told of by one park_collect(). */
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

/* park_add(p, fd): Park ${fd}, to be told of when it is readable or in error.
 * Return 0, or -1 with errno: then it has to be polled for. */
int park_add(struct park *p, int fd);

/* park_remove(p, fd): ${fd} is no longer parked.  Must be called before it is
 * closed: a duplicate of it elsewhere would keep it registered. */
void park_remove(struct park *p, int fd);

/* park_collect(p, ready_r, n): Up to ${n} (at most PARK_BATCH) parked
 * descriptors with something to report; never waits.  They stay parked.
 * Return how many. */
size_t park_collect(struct park *p, struct park_ready *ready_r, size_t n);

void park_free(struct park *p);

#endif
