/* For the logger, which writes the lines of the other processes: these go
 * through its own log (log.h). */

#ifndef CORE_PROCESS_LOG_RELAY_H
#define CORE_PROCESS_LOG_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/process/log.h"
#include "core/process/log_prefix.h"

/* log_has_room(): Is there room for a line, perhaps after a flush? */
bool log_has_room(void);

/* log_relay(who, level, text, len): Log a line of the process ${who}, with the
 * present time.  ${text} is "event key=value ..."; octets that are
 * neither printable ASCII nor UTF-8 that can be seen are escaped.  Return whether there was room for it. */
bool log_relay(const struct log_ident *who, enum log_level level,
    const char *text, size_t len);

/* log_is_written(): Have all lines been written that log_relay() has taken? */
bool log_is_written(void);

#endif
