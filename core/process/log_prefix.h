/* How a line of the log begins: the time, the process, the level.
 * Owns: the form of the time stamp, for files and for syslog, which is made
 * once a second; the names of the levels. */

#ifndef CORE_PROCESS_LOG_PREFIX_H
#define CORE_PROCESS_LOG_PREFIX_H

#include <sys/types.h>

#include <stddef.h>

#include "core/lim.h"
#include "core/process/log.h"
#include "core/process/log_line.h"

/* A process, as its lines name it. */
struct log_ident {
	size_t	 len;
	char	 text[LIM_NAME + 16];
};

#define LOG_PREFIX_MAX	136	/* octets of the beginning of a line */

/* log_ident_set(id, name, pid): "name[pid]"; blanks and unprintable octets in
 * ${name} become '-', and what is longer than LIM_NAME is cut. */
void log_ident_set(struct log_ident *id, const char *name, pid_t pid);

/* log_prefix_setup(): Read the time zone, which a chroot would hide. */
void log_prefix_setup(void);

/* log_prefix(l, kind, id, level): Append the beginning of a line up to
 * "event=".  Not from two threads at once. */
void log_prefix(struct log_line *l, enum log_kind kind,
    const struct log_ident *id, enum log_level level);

#endif
