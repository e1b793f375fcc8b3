/* Base64 of RFC 4648 4, as RFC 4954 4 wants it: strict.
 * Pure; knows nothing of who needs it. */

#ifndef PROTO_ESMTP_BASE64_H
#define PROTO_ESMTP_BASE64_H

#include <stddef.h>
#include <sys/types.h>

/* octets of the encoding of ${n} octets */
#define ESMTP_BASE64_LEN(n)	(((n) + 2) / 3 * 4)

/* esmtp_base64_decode(s, len, out, outlen): Decode the ${len} octets at ${s}.
 * Nothing that is not of the alphabet is skipped, '=' may only pad the end, and
 * the bits that are left over must be 0, so that there is one encoding for
 * each text.  Return octets written; or -1: EINVAL, or ENOSPC when ${outlen} is
 * too small, and then what ${out} holds is of no meaning. */
ssize_t esmtp_base64_decode(const char *s, size_t len, char *out,
    size_t outlen);

/* esmtp_base64_encode(s, len, out): Write ESMTP_BASE64_LEN(len) octets, without
 * a NUL; return how many. */
size_t esmtp_base64_encode(const char *s, size_t len, char *out);

#endif
