/* Where the lines of the log are written.
 * Owns: how each kind of log takes lines: a file and a pipe, syslog, the logger.
 * Knows nothing of what a line says.  Nothing here blocks. */

#ifndef CORE_PROCESS_LOG_OUT_H
#define CORE_PROCESS_LOG_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/process/log.h"

struct log_out {
	enum log_kind	 kind;
	int		 fd;
	bool		 may_block;	/* ask poll(2) before each write */
	size_t		 write_max;	/* octets of one write(2) */
	bool		 is_dead;	/* failed; until log_out_set() */
};

/* log_out_set(o, kind, fd): From now on to ${fd}, which stays the caller's. */
void log_out_set(struct log_out *o, enum log_kind kind, int fd);

/* log_out_write(o, lines, len, &lost): Write as many of the ${len} octets of
 * ${lines}, which are whole lines, as can be written without waiting.  Return
 * their number; o->is_dead is set when writing has failed for good.  Lines that
 * can never be written count as written, and are added to *lost. */
size_t log_out_write(struct log_out *o, const char *lines, size_t len,
    uint64_t *lost);

#endif
