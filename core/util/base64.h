/* Base64 as RFC 4648 4 has it: the whole alphabet, padded, nothing else.
 * Knows nothing of lines or of what is in it. */

#ifndef CORE_UTIL_BASE64_H
#define CORE_UTIL_BASE64_H

#include <sys/types.h>

#include <stddef.h>

/* base64_octets(len): Length of the text for ${len} octets, without a NUL. */
static inline size_t
base64_octets(size_t len)
{
	return (len + 2) / 3 * 4;
}

/* base64_encode(in, len, out_r, size): With a NUL.  Return the octets before
 * it, or -1 with ENOSPC. */
ssize_t base64_encode(const void *in, size_t len, char *out_r, size_t size);

/* base64_decode(s, len, out_r, size): ${s} is not NUL terminated.  White space,
 * missing padding and bits that should be zero are refused (RFC 4648 3.1 to
 * 3.5).  Return octets, or -1 with EINVAL or ENOSPC. */
ssize_t base64_decode(const char *s, size_t len, void *out_r, size_t size);

#endif
