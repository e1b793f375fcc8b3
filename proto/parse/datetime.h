/* Dates of RFC 3339, as parameters and the EHLO reply have them:
 * "2026-11-26T13:00:00Z". */

#ifndef PROTO_PARSE_DATETIME_H
#define PROTO_PARSE_DATETIME_H

#include <stddef.h>
#include <stdint.h>

/* datetime_parse(s, len, seconds_r): Parse all ${len} octets of ${s}.  A
 * fraction of a second counts as a second.  Return 0, or -1 (EINVAL): it is no
 * date of the years 1970 to 9999. */
int datetime_parse(const char *s, size_t len, int64_t *seconds_r);

/* datetime_format(seconds, buf): NUL terminated; a time outside of these years
 * becomes the nearest in them. */
#define DATETIME_MAX	21
void datetime_format(int64_t seconds, char buf[DATETIME_MAX]);

#endif
