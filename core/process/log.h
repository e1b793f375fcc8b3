/* The log: key=value, one line per event, to stderr, a file or syslog.
 * Owns: levels, escaping, the line buffer that is flushed once per pass.
 * A line: <time> <process> level=<level> event=<event> key=value ...
 * (syslog adds time and process itself).  Values with spaces, quotes, controls
 * or 8-bit octets are quoted; of those octets, UTF-8 of characters that can be
 * seen stays as it is, and all else is escaped, so that nothing a client sends can
 * forge a line or a key. */

#ifndef CORE_PROCESS_LOG_H
#define CORE_PROCESS_LOG_H

#include <sys/time.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG };

/* LOG_TO_LOGGER: to the process that writes the lines of all processes
 * (log_record.h) */
enum log_kind { LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_SYSLOG, LOG_TO_LOGGER };

#define LOG_LINE_MAX	2048	/* octets of a line; what is longer is cut */
#define LOG_VALUE_MAX	512	/* octets of a value before escaping */
#define LOG_BUFFER	32768	/* octets kept until the next flush */

/* log_init(ident, kind, fd, level): Log to ${fd}, which stays the caller's: a
 * file descriptor; for syslog a datagram socket connected to /dev/log; for the
 * logger a SOCK_SEQPACKET socket.
 * ${ident} (copied) is the name of this process in each line, "mailmilld" or
 * "mailmilld/worker-1"; blanks and unprintable octets in it become '-'.
 * Before this call lines go to stderr, level notice. */
void log_init(const char *ident, enum log_kind kind, int fd,
    enum log_level level);

/* log_open(target, &kind_r, &fd_r): Open "stderr", "syslog" or a file's path
 * for log_init() of this process or another's.  A pipe or terminal that is
 * stderr is opened anew where possible: the new descriptor is non-blocking, and
 * stderr itself is unchanged.  Return 0 or -1 with errno. */
int log_open(const char *target, enum log_kind *kind_r, int *fd_r);

/* log_on_failure(func, closure): Call ${func}, which may ask for a new
 * descriptor, when writing has failed for good (the syslog daemon was
 * restarted): once, and again only after log_init().  Meanwhile lines are kept
 * until the buffer is full.  ${func} may be called from within any log function
 * and must not log. */
void log_on_failure(void (*func)(void *closure), void *closure);

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* log_event(level, event, fmt, ...): One line.  ${fmt} is a list of
 * key=%conversion pairs, one space between two; the expansion of each
 * conversion is escaped as one value.  Conversions: %s (NULL is -), %d %u %ld
 * %lu %lld %llu %zu %zd %x %c %%.  A value longer than LOG_VALUE_MAX octets is
 * cut and ends in "...".  Thread safe.
 *	log_event(LOG_LEVEL_INFO, "accepted", "session=%s id=%s size=%llu", ...); */
#define log_event(level, ...)	log_put(level, 0, __VA_ARGS__)

/* log_seconds(tv, buf): "12.000034", for seconds=%s.  Return ${buf}. */
#define LOG_SECONDS	32
const char *log_seconds(const struct timeval *tv, char buf[LOG_SECONDS]);

/* log_warn adds error=strerror(errno), log_warnx does not (level warning).
 * log_err, log_errx likewise (level error). */
#define log_warn(...)	log_put(LOG_LEVEL_WARNING, errno, __VA_ARGS__)
#define log_warnx(...)	log_put(LOG_LEVEL_WARNING, 0, __VA_ARGS__)
#define log_err(...)	log_put(LOG_LEVEL_ERROR, errno, __VA_ARGS__)
#define log_errx(...)	log_put(LOG_LEVEL_ERROR, 0, __VA_ARGS__)

/* log_put(level, errnum, event, fmt, ...): What the macros above call; with an
 * ${errnum} of 0 the line has no error=. */
void log_put(enum log_level level, int errnum, const char *event,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* log_flush(): Write the buffered lines, without blocking.  A loop calls it
 * once per pass; error, warning and exit() do it by themselves.
 * A line for which the buffer has no room is lost; a line with log_lost=N tells
 * how many, as soon as there is room. */
void log_flush(void);

/* log_last_error(buf, len): What the last line of level error said, without time,
 * process and level: "spool dir=/var/spool error=\"Permission denied\""; "" when
 * there was none.  Return ${buf}. */
#define LOG_ERROR_MAX	400
const char *log_last_error(char *buf, size_t len);

/* log_pending(): Octets that wait for log_flush(). */
size_t log_pending(void);

#endif
