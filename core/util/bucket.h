/* A token bucket: so many a second, some more at once. */

#ifndef CORE_UTIL_BUCKET_H
#define CORE_UTIL_BUCKET_H

#include <stdint.h>

struct bucket {
	uint64_t	rate;		/* tokens a second */
	uint64_t	room;		/* thousandths of tokens it holds */
	uint64_t	level;		/* likewise, now */
	uint64_t	then_ms;	/* when that was */
};

/* bucket_init(b, rate, now_ms): Full: a tenth of a second's tokens, at least
 * one.  ${rate} is not 0. */
void bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ms);

/* bucket_take(b, now_ms): Take one, from an empty bucket too, which then has
 * none.  Return in how many milliseconds there is another; 0: there is. */
unsigned int bucket_take(struct bucket *b, uint64_t now_ms);

#endif
