/* A time of the worker clock in one number, for what is kept of it in each
 * session: microseconds, half the size of a struct timeval.
 * Times further away than MOMENT_MAX are taken for that: sums and differences
 * of two do not overflow. */

#ifndef PROTO_BASE_MOMENT_H
#define PROTO_BASE_MOMENT_H

#include <sys/time.h>

#include <stdint.h>

#define MOMENT_S	((int64_t)1000000)	/* a second */
#define MOMENT_MAX_S	((int64_t)1 << 40)	/* 35,000 years */
#define MOMENT_MAX	(MOMENT_MAX_S * MOMENT_S)

/* moment_of(tv): ${tv} as a number. */
static inline int64_t
moment_of(const struct timeval *tv)
{
	if (tv->tv_sec >= MOMENT_MAX_S)
		return MOMENT_MAX;
	if (tv->tv_sec <= -MOMENT_MAX_S)
		return -MOMENT_MAX;
	return tv->tv_sec * MOMENT_S + tv->tv_usec % MOMENT_S;
}

/* moment_in(seconds): So long; no longer than MOMENT_MAX. */
static inline int64_t
moment_in(int64_t seconds)
{
	return (seconds < MOMENT_MAX_S ? seconds : MOMENT_MAX_S) * MOMENT_S;
}

/* moment_tv(moment): It as a struct timeval, whose microseconds are never
 * negative. */
static inline struct timeval
moment_tv(int64_t moment)
{
	struct timeval tv = { .tv_sec = (time_t)(moment / MOMENT_S),
		.tv_usec = (suseconds_t)(moment % MOMENT_S) };

	if (tv.tv_usec < 0) {
		tv.tv_sec--;
		tv.tv_usec += MOMENT_S;
	}
	return tv;
}

#endif
