/* Base64 of RFC 4648 4, as RFC 4954 4 wants it: strict.
 * Pure; knows nothing of who needs it.  libmailmill.a stands alone, so this is
 * no library's. */

#include "proto/esmtp_base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of one character, or -1. */
static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int
bad(int errnum)
{
	errno = errnum;
	return -1;
}

/* The ${n} characters (2 to 4) of one group into its n - 1 octets.  Return 0
 * or -1. */
static int
decode_group(const char *s, size_t n, char *out)
{
	uint32_t bits = 0;
	size_t i;
	int v;

	for (i = 0; i < 4; i++) {
		v = i < n ? value_of(s[i]) : 0;
		if (v == -1)
			return -1;
		bits = bits << 6 | (uint32_t)v;
	}
	/* RFC 4648 3.5: what is left over is 0 */
	if (bits & ((UINT32_C(1) << (8 * (4 - n))) - 1))
		return -1;
	for (i = 0; i + 1 < n; i++)
		out[i] = (char)(bits >> (16 - 8 * i));
	return 0;
}

ssize_t
esmtp_base64_decode(const char *s, size_t len, char *out, size_t outlen)
{
	size_t i, n, done = 0;

	if (len % 4 != 0)
		return bad(EINVAL);
	for (i = 0; i < len; i += 4) {
		n = 4;
		/* RFC 4954 4: '=' stands nowhere but at the end */
		while (i + 4 == len && n > 2 && s[i + n - 1] == '=')
			n--;
		if (done + n - 1 > outlen)
			return bad(ENOSPC);
		if (decode_group(s + i, n, out + done) == -1)
			return bad(EINVAL);
		done += n - 1;
	}
	return (ssize_t)done;
}

size_t
esmtp_base64_encode(const char *s, size_t len, char *out)
{
	size_t i, k, n, done = 0;
	uint32_t bits;

	for (i = 0; i < len; i += 3) {
		n = len - i < 3 ? len - i : 3;
		bits = 0;
		for (k = 0; k < 3; k++)
			bits = bits << 8 |
			    (k < n ? (unsigned char)s[i + k] : 0);
		for (k = 0; k < 4; k++)
			out[done++] = k > n ? '=' :
			    alphabet[bits >> (18 - 6 * k) & 63];
	}
	return done;
}
