/* Base64, both ways. */

#include "core/util/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

ssize_t
base64_encode(const void *in, size_t len, char *out_r, size_t size)
{
	const uint8_t *p = in;
	char *out = out_r;
	uint32_t v;
	size_t n;

	if (len > SIZE_MAX / 2 || base64_octets(len) >= size)
		return errno = ENOSPC, -1;
	for (; len > 0; p += n, len -= n) {
		n = len < 3 ? len : 3;
		v = (uint32_t)p[0] << 16;
		if (n > 1)
			v |= (uint32_t)p[1] << 8;
		if (n > 2)
			v |= p[2];
		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = n > 1 ? alphabet[v >> 6 & 63] : '=';
		*out++ = n > 2 ? alphabet[v & 63] : '=';
	}
	*out = '\0';
	return out - out_r;
}

/* The value of a digit, or -1. */
static int
digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decode a group of four that ends in ${pad} '=' into ${v_r}; 0 or -1. */
static int
group(const char *s, size_t pad, uint32_t *v_r)
{
	uint32_t v = 0;
	size_t i;
	int d;

	for (i = 0; i < 4; i++) {
		d = i < 4 - pad ? digit(s[i]) : 0;
		if (d == -1)
			return -1;
		v = v << 6 | (uint32_t)d;
	}
	/* RFC 4648 3.5: bits that the padding leaves unused are zero */
	if ((v & ((UINT32_C(1) << pad * 8) - 1)) != 0)
		return -1;
	*v_r = v;
	return 0;
}

ssize_t
base64_decode(const char *s, size_t len, void *out_r, size_t size)
{
	uint8_t *out = out_r;
	size_t pad = 0, n = 0, i, j;
	uint32_t v;

	if (len % 4 != 0)
		return errno = EINVAL, -1;
	while (pad < 2 && pad < len && s[len - 1 - pad] == '=')
		pad++;
	if (len / 4 * 3 - pad > size)
		return errno = ENOSPC, -1;
	for (i = 0; i < len; i += 4) {
		if (group(s + i, i + 4 == len ? pad : 0, &v) == -1)
			return errno = EINVAL, -1;
		for (j = 0; j < 3 && n < len / 4 * 3 - pad; j++)
			out[n++] = (uint8_t)(v >> (16 - 8 * j));
	}
	return (ssize_t)n;
}
