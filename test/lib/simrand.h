/* The tests' random numbers: xorshift64*, the same on every machine. */

#ifndef TEST_LIB_SIMRAND_H
#define TEST_LIB_SIMRAND_H

#include <stdbool.h>
#include <stdint.h>

struct simrand {
	uint64_t state;
};

static inline uint64_t
simrand_next(struct simrand *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline void
simrand_seed(struct simrand *r, uint64_t seed)
{
	/* neighbouring seeds must not give neighbouring streams */
	seed += UINT64_C(0x9e3779b97f4a7c15);
	seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
	r->state = (seed ^ (seed >> 31)) | 1;
	simrand_next(r);
}

/* simrand_below(r, n): 0 .. n - 1; 0 for n = 0. */
static inline uint32_t
simrand_below(struct simrand *r, uint32_t n)
{
	return (uint32_t)(((simrand_next(r) >> 32) * n) >> 32);
}

/* simrand_chance(r, permille): true that often. */
static inline bool
simrand_chance(struct simrand *r, uint32_t permille)
{
	return permille != 0 && simrand_below(r, 1000) < permille;
}

#endif
