/* TXT records that are a version and fields, "v=STSv1; id=1;": those of MTA-STS (RFC
 * 8461 3.1) and of TLS reporting (RFC 8460 3).
 * Owns: where a field begins and ends, which names and values there may be.
 * Knows nothing of what fields mean.
 * Pure: no allocation, no system call.  All octets are hostile. */

#ifndef CMD_MAILMILLD_LOOKUP_TXT_H
#define CMD_MAILMILLD_LOOKUP_TXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets of a text, without a NUL at their end. */
struct txt_span {
	const char	*s;
	size_t		 len;
};

/* txt_is(a, text): Is it that?
 * txt_trim(a): Take spaces and tabs at both ends away.
 * txt_take(from, delim): Take what comes before the next ${delim} away, and the
 * delimiter; all that is left if there is none. */
bool txt_is(const struct txt_span *a, const char *text);
void txt_trim(struct txt_span *a);
struct txt_span txt_take(struct txt_span *from, char delim);

/* txt_is_name(a): Is it the name of a field: sts-ext-name of RFC 8461 3.1, which is
 * tlsrpt-ext-name of RFC 8460 3?
 * txt_is_value(a): The same of sts-ext-value, which is tlsrpt-ext-value. */
bool txt_is_name(const struct txt_span *a);
bool txt_is_value(const struct txt_span *a);

/* txt_begin(text, len, version, rest_r): Does the record begin with ${version}, which
 * ends in ";"?  Then *rest_r is what comes after it.
 * txt_next(rest, name_r, value_r): Take the next field away: what is before its "=",
 * and what is behind; neither is checked.  Return 1; 0: there are no more; -1: it has
 * no "=". */
bool txt_begin(const uint8_t *text, size_t len, const char *version,
    struct txt_span *rest_r);
int txt_next(struct txt_span *rest, struct txt_span *name_r,
    struct txt_span *value_r);

#endif
