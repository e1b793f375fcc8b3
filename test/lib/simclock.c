/* The virtual clock: see simclock.h. */

#include "test/lib/simclock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MAX	200000	/* passes, after which it never comes to rest */
#define WAIT_MAX_MS	1000000000

volatile unsigned int simalloc_quiet;

void
simclock_init(struct simclock *c, uint64_t start_us)
{
	memset(c, 0, sizeof(*c));
	c->now_us = start_us;
}

void
simclock_clear(struct simclock *c)
{
	simalloc_quiet++;
	free(c->heap);
	simalloc_quiet--;
	memset(c, 0, sizeof(*c));
}

void
simclock_reset(struct simclock *c, uint64_t start_us)
{
	c->now_us = start_us;
	c->limit_us = 0;
	c->seq = 0;
	c->nheap = 0;
	c->nwaits = 0;
	c->is_stuck = false;
}

void
simclock_now(const struct simclock *c, struct timeval *now_r)
{
	now_r->tv_sec = (time_t)(c->now_us / 1000000);
	now_r->tv_usec = (suseconds_t)(c->now_us % 1000000);
}

uint64_t
simclock_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

static bool
earlier(const struct simclock_happening *a, const struct simclock_happening *b)
{
	if (a->when_us != b->when_us)
		return a->when_us < b->when_us;
	return a->seq < b->seq;
}

static void
heap_up(struct simclock *c, size_t i)
{
	struct simclock_happening h = c->heap[i];

	for (; i > 0 && earlier(&h, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
		c->heap[i] = c->heap[(i - 1) / 2];
	c->heap[i] = h;
}

static void
heap_down(struct simclock *c, size_t i)
{
	struct simclock_happening h = c->heap[i];
	size_t child;

	while ((child = 2 * i + 1) < c->nheap) {
		if (child + 1 < c->nheap
		    && earlier(&c->heap[child + 1], &c->heap[child]))
			child++;
		if (!earlier(&c->heap[child], &h))
			break;
		c->heap[i] = c->heap[child];
		i = child;
	}
	c->heap[i] = h;
}

void
simclock_at(struct simclock *c, uint64_t delay_us, simclock_func func,
    void *arg, uint64_t value)
{
	size_t size;

	if (c->nheap == c->heap_size) {
		size = c->heap_size == 0 ? 64 : 2 * c->heap_size;
		simalloc_quiet++;
		c->heap = reallocarray(c->heap, size, sizeof(*c->heap));
		simalloc_quiet--;
		if (c->heap == NULL)
			abort();
		c->heap_size = size;
	}
	c->heap[c->nheap] = (struct simclock_happening) {
		.when_us = c->now_us + delay_us,
		.seq = c->seq++,
		.func = func,
		.arg = arg,
		.value = value,
	};
	heap_up(c, c->nheap++);
}

bool
simclock_next(const struct simclock *c, uint64_t *when_us_r)
{
	if (c->nheap == 0)
		return false;
	*when_us_r = c->heap[0].when_us;
	return true;
}

int
simclock_run_due(struct simclock *c)
{
	struct simclock_happening h;
	int n = 0;

	while (c->nheap > 0 && c->heap[0].when_us <= c->now_us) {
		h = c->heap[0];
		c->heap[0] = c->heap[--c->nheap];
		if (c->nheap > 0)
			heap_down(c, 0);
		h.func(h.arg, h.value);
		n++;
	}
	return n;
}

void
simclock_set(struct simclock *c, int64_t delta_us)
{
	size_t i;

	c->now_us += (uint64_t)delta_us;
	if (c->limit_us != 0)
		c->limit_us += (uint64_t)delta_us;
	for (i = 0; i < c->nheap; i++)
		c->heap[i].when_us += (uint64_t)delta_us;
}

static void
backend_now(void *closure, struct timeval *now_r)
{
	simclock_now(closure, now_r);
}

/* As poll(2), but where poll would sleep, the clock jumps to what comes first:
 * the caller's timeout (its next timer) or the next happening. */
static int
backend_wait(void *closure, struct pollfd *fds, nfds_t nfds, int timeout_ms)
{
	struct simclock *c = closure;
	uint64_t when, next;
	int n, nrun;

	c->nwaits++;
	nrun = simclock_run_due(c);
	n = c->poll(c->poll_arg, fds, nfds);
	/* a happening may have posted a completion: let the loop look */
	if (n != 0 || nrun > 0 || timeout_ms == 0)
		return n;
	when = timeout_ms < 0 ? UINT64_MAX
	    : c->now_us + (uint64_t)timeout_ms * 1000;
	if (simclock_next(c, &next) && next < when)
		when = next;
	if (c->limit_us != 0 && when > c->limit_us)
		when = c->limit_us > c->now_us ? c->limit_us : c->now_us;
	if (when == UINT64_MAX) {
		c->is_stuck = true;
		return 0;
	}
	c->now_us = when;
	simclock_run_due(c);
	return c->poll(c->poll_arg, fds, nfds);
}

void
simclock_backend(struct simclock *c, struct scheduler_backend *b)
{
	*b = (struct scheduler_backend) {
		.size = sizeof(*b),
		.now = backend_now,
		.wait = backend_wait,
		.closure = c,
		.has_epoll = false,
	};
}

/* --- the loop ------------------------------------------------------------- */

static int
pass(struct scheduler *s, int timeout_ms, void (*each)(void *arg), void *arg)
{
	int n = scheduler_pass(s, timeout_ms);

	if (n >= 0 && each != NULL)
		each(arg);
	return n;
}

int
simclock_settle(struct simclock *c, struct scheduler *s,
    void (*each)(void *arg), void *arg)
{
	uint64_t next;
	int n, total = 0, npasses;

	for (npasses = 0; npasses < SETTLE_MAX; npasses++) {
		if ((n = pass(s, 0, each, arg)) < 0)
			return -1;
		total += n;
		if (n == 0 && !(simclock_next(c, &next) && next <= c->now_us))
			return total;
	}
	errno = ELOOP;
	return -1;
}

int
simclock_advance(struct simclock *c, struct scheduler *s, uint64_t us,
    void (*each)(void *arg), void *arg)
{
	uint64_t until = c->now_us + us, left_ms;
	int n = simclock_settle(c, s, each, arg);

	while (n >= 0 && c->now_us < until) {
		left_ms = (until - c->now_us + 999) / 1000;
		c->limit_us = until;
		n = pass(s, left_ms > WAIT_MAX_MS ? WAIT_MAX_MS :
		    (int)left_ms, each, arg);
		c->limit_us = 0;
		if (n >= 0)
			n = simclock_settle(c, s, each, arg);
	}
	return n < 0 ? -1 : 0;
}
