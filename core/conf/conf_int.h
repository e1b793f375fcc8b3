/* Shared by the files of the configuration engine alone. */

#ifndef CORE_CONF_INT_H
#define CORE_CONF_INT_H

#include "core/conf/conf.h"

/* conf_scan(c, text, len): Make ${text} fit for libConfuse: comments become
 * blanks; what it would accept but misread is refused.  Return 0 or -1
 * (noted). */
int conf_scan(struct conf *c, char *text, size_t len);

/* conf_value_add(c, section, row, value, line): Append ${value} (NULL: make it
 * an empty list) to the values of ${row} in ${section} (NULL: the overrides).
 * Return 0, or -1 (noted). */
int conf_value_add(struct conf *c, struct conf_section *section, size_t row,
    const char *value, int line);

/* conf_value_check(c, row, value, line): The row's own check. */
int conf_value_check(struct conf *c, size_t row, const char *value, int line);

/* conf_override(c, text): One "name=value". */
int conf_override(struct conf *c, const char *text);

/* conf_nomem(c): Note it.  Return -1. */
int conf_nomem(struct conf *c);

#endif
