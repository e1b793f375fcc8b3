/* How long to wait before a process is started again: see backoff.h.
 * Knows no clock. */

#include "cmd/mailmilld/master/state/backoff.h"

unsigned int
backoff_next(struct backoff *b, uint64_t lived_ms)
{
	unsigned int wait_ms = BACKOFF_FIRST_MS, i;

	if (lived_ms >= BACKOFF_FORGET_MS)
		b->deaths = 0;
	if (b->deaths++ == 0)
		return 0;
	for (i = 2; i < b->deaths && wait_ms < BACKOFF_MAX_MS; i++)
		wait_ms *= 2;
	if (b->deaths > 1000)
		b->deaths = 1000;
	return wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
}
