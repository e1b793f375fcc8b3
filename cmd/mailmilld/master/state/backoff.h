/* How long to wait before a process that died is started again. */

#ifndef CMD_MAILMILLD_MASTER_STATE_BACKOFF_H
#define CMD_MAILMILLD_MASTER_STATE_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS	250	/* before the second start in a row */
#define BACKOFF_MAX_MS		10000
#define BACKOFF_FORGET_MS	20000	/* a life this long clears the record */

struct backoff {
	unsigned int	deaths;		/* in a row, each after a short life */
};

/* backoff_next(b, lived_ms): A process has died after ${lived_ms}.  Return the
 * milliseconds to wait before its successor is started: 0 at first, then
 * doubling from BACKOFF_FIRST_MS to BACKOFF_MAX_MS. */
unsigned int backoff_next(struct backoff *b, uint64_t lived_ms);

#endif
