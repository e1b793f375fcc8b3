/* A virtual clock for tests, and what is to happen on it.
 * Owns: the time, the list of happenings (deliveries, commits: anything that
 * is not a timer of the code under test), the scheduler_backend whose wait()
 * turns the clock forward instead of sleeping.
 * Knows nothing of wires and spools: they register themselves. */

#ifndef TEST_LIB_SIMCLOCK_H
#define TEST_LIB_SIMCLOCK_H

#include <sys/time.h>

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/scheduler.h"

/* Greater than 0 while the test's own code allocates: an allocator that makes
 * requests fail or counts them must leave these alone.  Volatile: the compiler
 * assumes that malloc() reads none of our variables. */
extern volatile unsigned int simalloc_quiet;

struct simclock;

typedef void (*simclock_func)(void *arg, uint64_t value);
typedef int (*simclock_poll_func)(void *arg, struct pollfd *fds, nfds_t nfds);

struct simclock_happening {
	uint64_t	 when_us;
	uint64_t	 seq;		/* same moment: in order of entry */
	simclock_func	 func;
	void		*arg;
	uint64_t	 value;
};

struct simclock {
	uint64_t			 now_us;
	uint64_t			 limit_us;	/* wait() goes no further; 0: none */
	uint64_t			 seq;
	struct simclock_happening	*heap;
	size_t				 nheap, heap_size;
	simclock_poll_func		 poll;		/* the wire's readiness */
	void				*poll_arg;
	uint64_t			 nwaits;
	bool				 is_stuck;	/* waited for ever for nothing */
};

/* simclock_init(c, start_us): Start at ${start_us} microseconds. */
void simclock_init(struct simclock *c, uint64_t start_us);
void simclock_clear(struct simclock *c);

/* simclock_reset(c, start_us): As clear and init, but keeps memory. */
void simclock_reset(struct simclock *c, uint64_t start_us);

void simclock_now(const struct simclock *c, struct timeval *now_r);
uint64_t simclock_us(const struct timeval *tv);

/* simclock_at(c, delay_us, func, arg, value): Have ${func} called ${delay_us}
 * from now, out of wait(). */
void simclock_at(struct simclock *c, uint64_t delay_us, simclock_func func,
    void *arg, uint64_t value);

/* simclock_next(c, &when_us_r): The moment of the next happening. */
bool simclock_next(const struct simclock *c, uint64_t *when_us_r);

/* simclock_run_due(c): Call what is due; return how many were. */
int simclock_run_due(struct simclock *c);

/* simclock_set(c, delta_us): The clock is set, forward or back: what is to happen
 * waits as long as it would have. */
void simclock_set(struct simclock *c, int64_t delta_us);

/* simclock_backend(c, b): Fill in a backend for scheduler_create(). */
void simclock_backend(struct simclock *c, struct scheduler_backend *b);

/* simclock_settle(c, s, each, arg): Run passes of ${s}, which has the backend,
 * until there is nothing to do now; after each of them each(arg), unless it is
 * NULL.  Return how many events were dispatched; or -1 with errno: ELOOP, it
 * never comes to rest.
 * simclock_advance(c, s, us, each, arg): The same, until ${us} have passed.
 * 0 or -1. */
int simclock_settle(struct simclock *c, struct scheduler *s,
    void (*each)(void *arg), void *arg);
int simclock_advance(struct simclock *c, struct scheduler *s, uint64_t us,
    void (*each)(void *arg), void *arg);

#endif
