/* A token bucket: limits a rate, and allows short bursts. */

#ifndef CORE_UTIL_BUCKET_H
#define CORE_UTIL_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t	rate;		/* tokens a second */
	uint64_t	room;		/* thousandths of tokens it holds */
	uint64_t	level;		/* thousandths in it at then_ms */
	uint64_t	then_ms;
};

/* bucket_init(b, rate, now_ms): Full: a tenth of a second's tokens, at least
 * one.  ${rate} is not 0. */
void bucket_init(struct bucket *b, uint64_t rate, uint64_t now_ms);

/* bucket_init_room(b, rate, room, now_ms): The same, but it holds ${room}. */
void bucket_init_room(struct bucket *b, uint64_t rate, uint64_t room,
    uint64_t now_ms);

/* bucket_resize(b, rate, room, now_ms): It gets ${rate}, which is not 0, since
 * something was last taken, and holds ${room}. */
void bucket_resize(struct bucket *b, uint64_t rate, uint64_t room,
    uint64_t now_ms);

/* bucket_take_n(b, n, now_ms): Take ${n} when there are so many, else none.
 * Return whether there were. */
bool bucket_take_n(struct bucket *b, uint64_t n, uint64_t now_ms);

/* bucket_take(b, now_ms): Take one; an empty bucket stays empty.  Return in how
 * many milliseconds there is another; 0: there is one now. */
unsigned int bucket_take(struct bucket *b, uint64_t now_ms);

/* bucket_wait(b, now_ms): The same, but take none. */
unsigned int bucket_wait(struct bucket *b, uint64_t now_ms);

#endif
