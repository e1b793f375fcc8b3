/* The worker clock: monotonic underneath, anchored to the wall clock.
 * Owns: the anchor, the detection of a stepped wall clock.
 * Knows nothing of events: the scheduler shifts the triggers. */

#ifndef CORE_LOOP_CLOCK_H
#define CORE_LOOP_CLOCK_H

#include <sys/time.h>

#include <stdint.h>
#include <time.h>

/* The wall clock was stepped if it differs from ours by more than this.  A
 * smaller difference comes from adjtime(3) or NTP, is ignored, and makes time
 * stamps wrong by as much. */
#define LOOPCLOCK_STEP_US	1000000
/* How often the wall clock is read. */
#define LOOPCLOCK_CHECK_US	1000000

struct loopclock {
	int64_t	(*read_us)(clockid_t id);	/* a test puts its own here */
	int64_t	 anchor_us;			/* wall minus monotonic */
	int64_t	 checked_us;			/* monotonic time of last look */
};

/* loopclock_init(c, read_us): Anchor ${c}; NULL ${read_us}: the system's. */
void loopclock_init(struct loopclock *c, int64_t (*read_us)(clockid_t id));

/* loopclock_read(c, &now_us): The time.  Return by how many microseconds the
 * clock was stepped since the last call, 0 as a rule. */
int64_t loopclock_read(struct loopclock *c, int64_t *now_us_r);

/* loopclock_tv(us), loopclock_us(tv): Conversions; the latter takes any value,
 * and saturates, so that absurd deadlines stay ordered. */
struct timeval loopclock_tv(int64_t us);
int64_t loopclock_us(const struct timeval *tv);

#endif
