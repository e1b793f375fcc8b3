/* A token bucket.  It counts in thousandths of a token: one a second is one
 * thousandth a millisecond, so integers are exact. */

#include "core/util/bucket.h"

#define TOKEN	1000	/* thousandths */

static void
init(struct bucket *b, uint64_t rate, uint64_t room, uint64_t now_ms)
{
	b->rate = rate;
	b->room = room;
	b->level = b->room;
	b->then_ms = now_ms;
}

void
bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ms)
{
	init(b, rate, rate < 10 ? TOKEN : rate * TOKEN / 10, now_ms);
}

void
bucket_init_room(struct bucket *b, uint64_t rate, uint64_t room,
    uint64_t now_ms)
{
	init(b, rate, room * TOKEN, now_ms);
}

static void
fill(struct bucket *b, uint64_t now_ms)
{
	uint64_t passed = now_ms - b->then_ms;

	b->then_ms = now_ms;
	/* bounded, so that the product does not overflow: it is full anyway */
	if (passed >= b->room / b->rate + 1)
		b->level = b->room;
	else
		b->level += passed * b->rate;
	if (b->level > b->room)
		b->level = b->room;
}

void
bucket_resize(struct bucket *b, uint64_t rate, uint64_t room, uint64_t now_ms)
{
	b->rate = rate;
	b->room = room * TOKEN;
	fill(b, now_ms);
}

bool
bucket_take_n(struct bucket *b, uint64_t n, uint64_t now_ms)
{
	fill(b, now_ms);
	if (b->level / TOKEN < n)
		return false;
	b->level -= n * TOKEN;
	return true;
}

unsigned int
bucket_wait(struct bucket *b, uint64_t now_ms)
{
	fill(b, now_ms);
	if (b->level >= TOKEN)
		return 0;
	return (unsigned int)((TOKEN - b->level + b->rate - 1) / b->rate);
}

unsigned int
bucket_take(struct bucket *b, uint64_t now_ms)
{
	fill(b, now_ms);
	b->level = b->level < TOKEN ? 0 : b->level - TOKEN;
	return bucket_wait(b, now_ms);
}
