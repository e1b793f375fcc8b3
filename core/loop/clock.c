/* The worker clock; see clock.h. */

#include "core/loop/clock.h"

static int64_t
system_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
loopclock_init(struct loopclock *c, int64_t (*read_us)(clockid_t id))
{
	c->read_us = read_us != NULL ? read_us : system_us;
	c->checked_us = c->read_us(CLOCK_MONOTONIC);
	c->anchor_us = c->read_us(CLOCK_REALTIME) - c->checked_us;
}

int64_t
loopclock_read(struct loopclock *c, int64_t *now_us_r)
{
	int64_t mono, step = 0;

	mono = c->read_us(CLOCK_MONOTONIC);
	if (mono - c->checked_us >= LOOPCLOCK_CHECK_US) {
		c->checked_us = mono;
		step = c->read_us(CLOCK_REALTIME) - mono - c->anchor_us;
		if (step <= LOOPCLOCK_STEP_US && step >= -LOOPCLOCK_STEP_US)
			step = 0;
		c->anchor_us += step;
	}
	*now_us_r = mono + c->anchor_us;
	return step;
}

struct timeval
loopclock_tv(int64_t us)
{
	struct timeval tv;

	tv.tv_sec = us / 1000000;
	tv.tv_usec = us % 1000000;
	if (tv.tv_usec < 0) {
		tv.tv_sec--;
		tv.tv_usec += 1000000;
	}
	return tv;
}

static int64_t
bounded(int64_t n, int64_t most)
{
	return n > most ? most : n < -most ? -most : n;
}

int64_t
loopclock_us(const struct timeval *tv)
{
	/* a quarter of the range, so that differences and shifts of two such
	 * values do not overflow either */
	const int64_t most = INT64_MAX / 4;

	return bounded(bounded(tv->tv_sec, most / 1000000) * 1000000 +
	    bounded(tv->tv_usec, most), most);
}
