/* xtext, the coding of RFC 3461 4. */

#include "proto/parse/xtext.h"

#include <errno.h>

static int
hex(char c)
{
	/* RFC 3461 4: hexchar has capitals */
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
bad(int errnum)
{
	errno = errnum;
	return -1;
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
