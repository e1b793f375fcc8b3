/* Lines of the log about something that a client can repeat at will: one in a
 * while, with the number of times since the last. */

#ifndef CORE_UTIL_LOG_BOUND_H
#define CORE_UTIL_LOG_BOUND_H

#include <stdint.h>

#define LOG_BOUND_MS	10000	/* between two lines */

struct log_bound {
	uint64_t	next_ms;	/* no line before */
	uint64_t	n;		/* times since the last line */
};

/* log_bound_count(b, now_ms): It has happened once more.  Return the number of
 * times for the line that is due now; 0: none is. */
static inline uint64_t
log_bound_count(struct log_bound *b, uint64_t now_ms)
{
	uint64_t n = ++b->n;

	if (now_ms < b->next_ms)
		return 0;
	b->next_ms = now_ms + LOG_BOUND_MS;
	b->n = 0;
	return n;
}

/* The same for lines of which each says something of its own: so many at once. */
struct log_burst {
	uint64_t	next_ms;
	uint64_t	n;
	unsigned int	nlines;		/* in this time */
};

/* log_burst_count(b, now_ms, max): As log_bound_count(), but ${max} lines are due
 * in LOG_BOUND_MS. */
static inline uint64_t
log_burst_count(struct log_burst *b, uint64_t now_ms, unsigned int max)
{
	uint64_t n = ++b->n;

	if (now_ms >= b->next_ms) {
		b->next_ms = now_ms + LOG_BOUND_MS;
		b->nlines = 0;
	}
	if (b->nlines >= max)
		return 0;
	b->nlines++;
	b->n = 0;
	return n;
}

#endif
