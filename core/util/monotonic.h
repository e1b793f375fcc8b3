/* The system's monotonic clock, which is never set: for durations and for
 * deadlines of waits.  Not for proto/, which gets the time from its callers. */

#ifndef CORE_UTIL_MONOTONIC_H
#define CORE_UTIL_MONOTONIC_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* monotonic_ms(), monotonic_ns(): The time. */
uint64_t monotonic_ms(void);
uint64_t monotonic_ns(void);

/* For the functions of pthreads that take a time:
 * monotonic_in(ns): ${ns} from now.
 * monotonic_at(ms): When monotonic_ms() will be ${ms}.
 * monotonic_cond_init(cond): A condition whose timed waits are by this clock.
 * Return 0 or an error number, as pthread_cond_init() does. */
struct timespec monotonic_in(uint64_t ns);
struct timespec monotonic_at(uint64_t ms);
int monotonic_cond_init(pthread_cond_t *cond);

/* monotonic_poll(fd, events, end_ms): Wait until poll(2) tells of ${fd} one of
 * ${events} or an end, however many signals arrive meanwhile, and no longer than
 * until monotonic_ms() is ${end_ms}.  Return 1, or 0 when it is too late, or -1
 * with errno. */
int monotonic_poll(int fd, short events, uint64_t end_ms);

#endif
