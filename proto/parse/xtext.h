/* xtext, the coding of RFC 3461 4: values of parameters in printable ASCII, other
 * octets as "+" and two hexadecimal digits.
 * Pure: no allocation, no system call. */

#ifndef PROTO_PARSE_XTEXT_H
#define PROTO_PARSE_XTEXT_H

#include <sys/types.h>

#include <stddef.h>

/* xtext_decode(s, len, out, outlen): Decode ${len} octets at ${s}; ${out} is not
 * NUL terminated, and may hold any octets, also NUL, CR and LF.  Return octets
 * written, or -1 with errno (EINVAL: not xtext; ENOSPC). */
ssize_t xtext_decode(const char *s, size_t len, char *out, size_t outlen);

#endif
