/* xtext and utf-8-addr-xtext, decoded and encoded.
 * Owns: their grammar.  Knows nothing of what they say. */

#include "proto/parse/xtext.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/util/utf8.h"

#define HEXPOINT_MAX	6	/* digits of 10FFFF, RFC 6533 3 */

static int
bad(int errnum)
{
	errno = errnum;
	return -1;
}

static int
hex(char c)
{
	/* RFC 3461 4: hexchar has capitals */
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t
xtext_decode(const char *s, size_t len, char *out, size_t outlen)
{
	size_t i, n = 0;
	int c;

	for (i = 0; i < len; i++) {
		c = s[i];
		if (c == '+') {
			if (len - i < 3 || hex(s[i + 1]) == -1 ||
			    hex(s[i + 2]) == -1)
				return bad(EINVAL);
			c = hex(s[i + 1]) << 4 | hex(s[i + 2]);
			i += 2;
		} else if (c < '!' || c > '~' || c == '=')
			return bad(EINVAL);
		if (n == outlen)
			return bad(ENOSPC);
		out[n++] = (char)c;
	}
	return (ssize_t)n;
}

/* Is this code point no text?  Controls and surrogates are not; nor are line
 * separators and the controls of direction (UAX 9), which would change the
 * order of other text on the same line of a terminal. */
static bool
is_no_text(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
	    (point >= 0xd800 && point < 0xe000) || point > 0x10ffff ||
	    point == 0x061c || point == 0x200e || point == 0x200f ||
	    (point >= 0x2028 && point <= 0x202e) ||
	    (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

/* The code point of "\x{HEX}" at ${s}.  Return the octets used, or 0: it is not
 * one, or one of no character. */
static size_t
embedded(const char *s, size_t len, uint32_t *point_r)
{
	size_t i;
	int digit;

	*point_r = 0;
	if (len < strlen("\\x{0}") || memcmp(s, "\\x{", 3) != 0)
		return 0;
	for (i = 3; i < len && s[i] != '}'; i++) {
		/* ABNF has HEXDIG in both cases */
		digit = hex(s[i] >= 'a' && s[i] <= 'f' ? (char)(s[i] - 32) :
		    s[i]);
		if (digit == -1 || i - 3 == HEXPOINT_MAX)
			return 0;
		*point_r = *point_r << 4 | (uint32_t)digit;
	}
	if (i == 3 || i == len || is_no_text(*point_r))
		return 0;
	return i + 1;
}

/* RFC 3629 3.  Return the octets written to ${out}, at most 4. */
static size_t
put_utf8(uint32_t point, char *out)
{
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 :
	    4, i;

	if (n == 1) {
		out[0] = (char)point;
		return 1;
	}
	for (i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (point & 0x3f));
		point >>= 6;
	}
	out[0] = (char)(first[n] | point);
	return n;
}

ssize_t
xtext_decode_utf8(const char *s, size_t len, char *out, size_t outlen)
{
	size_t i = 0, n = 0, used, octets;
	const char *from;
	uint32_t point;
	char utf8[4];

	while (i < len) {
		/* RFC 6533 3: QCHAR has no "+", "=" and "\" */
		from = s + i;
		if (*from == '\\') {
			if ((used = embedded(from, len - i, &point)) == 0)
				return bad(EINVAL);
			octets = put_utf8(point, utf8);
			from = utf8;
		} else if (*from == ' ' || *from == '+' || *from == '=' ||
		    (used = octets = utf8_visible(from, len - i)) == 0)
			return bad(EINVAL);
		if (outlen - n < octets)
			return bad(ENOSPC);
		memcpy(out + n, from, octets);
		n += octets;
		i += used;
	}
	return (ssize_t)n;
}

/* Write "+3D" or "\\x{3D}". */
static int
put_escape(const char *begin, uint32_t point, const char *end, char *out,
    size_t outlen)
{
	char text[16];
	int n;

	n = snprintf(text, sizeof(text), "%s%02X%s", begin, (unsigned)point,
	    end);
	if ((size_t)n > outlen)
		return bad(ENOSPC);
	memcpy(out, text, (size_t)n);
	return n;
}

ssize_t
xtext_encode(const char *s, size_t len, char *out, size_t outlen)
{
	size_t i, n = 0;
	int octets;

	for (i = 0; i < len; i++) {
		octets = 1;
		if (s[i] < '!' || s[i] > '~' || s[i] == '+' || s[i] == '=')
			octets = put_escape("+", (unsigned char)s[i], "",
			    out + n, outlen - n);
		else if (n == outlen)
			return bad(ENOSPC);
		else
			out[n] = s[i];
		if (octets == -1)
			return -1;
		n += (size_t)octets;
	}
	return (ssize_t)n;
}

/* The code point that ${s} begins with, which is UTF-8.  Return its octets, or
 * 0. */
static size_t
code_point(const char *s, size_t len, uint32_t *point_r)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t octets = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 :
	    u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0, i;

	if (octets == 0 || octets > len)
		return 0;
	*point_r = octets == 1 ? u[0] : u[0] & (0x7fu >> octets);
	for (i = 1; i < octets; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		*point_r = *point_r << 6 | (u[i] & 0x3f);
	}
	return octets;
}

ssize_t
xtext_encode_utf8(const char *s, size_t len, char *out, size_t outlen)
{
	size_t i, n = 0, used;
	uint32_t point;
	int octets;

	for (i = 0; i < len; i += used) {
		/* and what no decoder takes */
		if ((used = code_point(s + i, len - i, &point)) == 0 ||
		    is_no_text(point))
			return bad(EILSEQ);
		octets = 1;
		/* RFC 6533 3: QCHAR */
		if (point < '!' || point > '~' || strchr("+=\\", (int)point))
			octets = put_escape("\\x{", point, "}", out + n,
			    outlen - n);
		else if (n == outlen)
			return bad(ENOSPC);
		else
			out[n] = s[i];
		if (octets == -1)
			return -1;
		n += (size_t)octets;
	}
	return (ssize_t)n;
}

bool
xtext_is_printable(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~')
			return false;
	return true;
}

bool
xtext_is_type(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] > '~' ||
		    strchr("()<>@,;:\\\".[]", s[i]) != NULL)
			return false;
	return len > 0;
}
