/* One line of the log while it is put together.
 * Owns: the conversions of log_event(), the escaping, the bound on a line.
 * Knows nothing of where lines go. */

#ifndef CORE_PROCESS_LOG_LINE_H
#define CORE_PROCESS_LOG_LINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/process/log.h"

struct log_line {
	size_t	 len;
	size_t	 room;		/* octets that the line may have, without its end */
	bool	 is_cut;	/* the line was full: the rest is left out */
	char	 buf[LOG_LINE_MAX];
};

/* log_line_init(l): Empty. */
void log_line_init(struct log_line *l);

/* log_line_leave(l, octets): From now on the line has room for so many octets
 * less. */
void log_line_leave(struct log_line *l, size_t octets);

/* log_line_text(l, s, len): Append ${len} octets as they are. */
void log_line_text(struct log_line *l, const char *s, size_t len);
void log_line_str(struct log_line *l, const char *s);
void log_line_number(struct log_line *l, unsigned long long n);

/* log_line_checked(l, s, len): Append ${len} octets; those that are neither
 * printable ASCII nor UTF-8 of characters that can be seen (utf8_visible()) are
 * escaped, so that they can neither end a line nor change what a terminal
 * shows. */
void log_line_checked(struct log_line *l, const char *s, size_t len);

/* log_line_value(l, s, len): Append a value, quoted and escaped if needed. */
void log_line_value(struct log_line *l, const char *s, size_t len);

/* log_line_vformat(l, fmt, ap): The conversions of log.h. */
void log_line_vformat(struct log_line *l, const char *fmt, va_list ap);

/* log_line_end(l): Append the newline, for which there is always room. */
void log_line_end(struct log_line *l);

#endif
