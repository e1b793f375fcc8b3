/* The system's monotonic clock; see monotonic.h. */

#include "core/util/monotonic.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

uint64_t
monotonic_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t
monotonic_ms(void)
{
	return monotonic_ns() / 1000000;
}

struct timespec
monotonic_in(uint64_t ns)
{
	uint64_t then = monotonic_ns() + ns;

	return (struct timespec){ .tv_sec = (time_t)(then / 1000000000),
		.tv_nsec = (long)(then % 1000000000) };
}

struct timespec
monotonic_at(uint64_t ms)
{
	return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };
}

int
monotonic_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int error;

	if ((error = pthread_condattr_init(&attr)) != 0)
		return error;
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	error = pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	return error;
}

int
monotonic_poll(int fd, short events, uint64_t end_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t now, left;
	int n;

	while ((now = monotonic_ms()) < end_ms) {
		left = end_ms - now;
		n = poll(&pfd, 1, left < INT_MAX ? (int)left : INT_MAX);
		if (n > 0 || (n == -1 && errno != EINTR))
			return n;
	}
	return 0;
}
