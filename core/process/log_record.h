/* The lines of a process on their way to the logger: a record is one message of
 * a SOCK_SEQPACKET socket.
 * Owns: the form of a record.  A line in it is a digit, the level; the text,
 * "event key=value ..."; a newline.  The time and the name of the process are
 * not in it: the logger adds them.
 * The logger must expect any octets: the sender may be hostile. */

#ifndef CORE_PROCESS_LOG_RECORD_H
#define CORE_PROCESS_LOG_RECORD_H

#include <stddef.h>

#include "core/process/log.h"
#include "core/process/log_line.h"

#define LOG_RECORD_MAX	16384	/* octets: some seventy lines */

/* log_record_begin(l, level): Begin a line of a record, up to its event.  The
 * line gets less room, since the logger puts the time and the process before
 * it. */
void log_record_begin(struct log_line *l, enum log_level level);

struct log_record_line {
	enum log_level	 level;
	const char	*text;
	size_t		 len;
};

/* log_record_next(rec, len, &at, &line_r): Find the line at ${*at} in the
 * ${len} octets of a record, and set ${*at} to the beginning of the next one.
 * Return 1; 0 at the end; -1: the line is not valid, its level is unknown or it
 * has no event.  The rest of its text may have any octets but newlines. */
int log_record_next(const char *rec, size_t len, size_t *at,
    struct log_record_line *line_r);

#endif
