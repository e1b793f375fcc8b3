/* Values as a configuration has them: what conf.h reads, written.
 * Owns: quotes, lists, what cannot be written. */

#ifndef CORE_CONF_CONF_PRINT_H
#define CORE_CONF_CONF_PRINT_H

#include <stdio.h>

#include "core/util/conf_field.h"

/* conf_print_quoted(fp, s): Write ${s} in double quotes.  An octet that is not
 * printable is written as \xNN, so that it can neither end the line nor act on
 * a terminal; a configuration with such an escape is refused.
 * conf_print_plain(fp, s): The same without quotes, for a comment. */
void conf_print_quoted(FILE *fp, const char *s);
void conf_print_plain(FILE *fp, const char *s);

/* conf_print_value(fp, base, f): Write the value of the field of the struct at
 * ${base}, on one line. */
void conf_print_value(FILE *fp, const void *base, const struct conf_field *f);

#endif
