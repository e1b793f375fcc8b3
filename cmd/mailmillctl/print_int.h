/* What the files that print answers share. */

#ifndef CMD_MAILMILLCTL_PRINT_INT_H
#define CMD_MAILMILLCTL_PRINT_INT_H

#include "cmd/mailmillctl/ctl.h"

/* The text ${key} of ${o}; "": it has none. */
static inline const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

/* The number ${key} of ${o}; 0: it has none. */
static inline long long
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* put_safe(fp, s): Print ${s}, with "?" for each octet or character that is not
 * visible UTF-8; a tab is.
 * put_time(fp, when): Print ${when}, unix seconds, as the local date and time. */
void put_safe(FILE *fp, const char *s);
void put_time(FILE *fp, long long when);

#endif
