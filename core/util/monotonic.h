/* The system's monotonic clock, which is never set: for durations and for
 * deadlines of waits.  Not for proto/, which gets the time from its callers. */

#ifndef CORE_UTIL_MONOTONIC_H
#define CORE_UTIL_MONOTONIC_H

#include <stdint.h>
#include <time.h>

/* monotonic_ms(), monotonic_ns(): The time. */
uint64_t monotonic_ms(void);
uint64_t monotonic_ns(void);

/* monotonic_in(ns): ${ns} from now, for the functions of pthreads that take a
 * time of CLOCK_MONOTONIC. */
struct timespec monotonic_in(uint64_t ns);

#endif
