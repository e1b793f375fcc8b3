/* The lines of a process on their way to the logger: a record is one message of
 * a SOCK_SEQPACKET socket.
 * Owns: the form of a record.  A line in it is a digit, the level; the text,
 * "event key=value ..."; a newline.  The time and the name of the process are
 * not in it: the logger adds them.
 * Its reader takes it for hostile. */

#ifndef CORE_PROCESS_LOG_RECORD_H
#define CORE_PROCESS_LOG_RECORD_H

#include <stddef.h>

#include "core/process/log.h"
#include "core/process/log_line.h"

#define LOG_RECORD_MAX	16384	/* octets: some seventy lines */

/* log_record_begin(l, level): The beginning of a line in a record, up to its
 * event.  Room is left for what the logger puts before it. */
void log_record_begin(struct log_line *l, enum log_level level);

struct log_record_line {
	enum log_level	 level;
	const char	*text;
	size_t		 len;
};

/* log_record_next(rec, len, &at, &line_r): The line at ${*at} of the ${len}
 * octets of a record; ${*at} is then where the next one begins.  Return 1; 0 at
 * the end; -1 when it is none: its level is unknown or it has no event.  The
 * rest of its text may hold any octets but newlines. */
int log_record_next(const char *rec, size_t len, size_t *at,
    struct log_record_line *line_r);

#endif
