/* SASLprep over GNU SASL, which has it from libidn. */

#include "core/util/saslprep.h"

#include <errno.h>
#include <gsasl.h>
#include <string.h>

/* The sequences of RFC 3629 4: first octets, and second octets they allow. */
struct utf8_row {
	unsigned char	first_min, first_max, second_min, second_max;
	size_t		len;
};

static const struct utf8_row utf8_rows[] = {
	{ 0x01, 0x7f, 0x00, 0x00, 1 },
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 },
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* Octets of the sequence at ${s}, or 0. */
static size_t
sequence(const unsigned char *s, size_t len)
{
	const struct utf8_row *r = utf8_rows;
	const struct utf8_row *end = r + sizeof(utf8_rows) / sizeof(*r);
	size_t i;

	while (r < end && (*s < r->first_min || *s > r->first_max))
		r++;
	if (r == end || len < r->len)
		return 0;
	if (r->len > 1 && (s[1] < r->second_min || s[1] > r->second_max))
		return 0;
	for (i = 2; i < r->len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return r->len;
}

int
saslprep_is_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		if ((n = sequence(p, len)) == 0)
			return 0;
	}
	return 1;
}

static int
give(const char *s, char *out_r, size_t size)
{
	size_t len = strlen(s);

	if (len == 0)
		return errno = EINVAL, -1;
	if (len >= size)
		return errno = ENAMETOOLONG, -1;
	memcpy(out_r, s, len + 1);
	return 0;
}

/* RFC 4013 neither changes nor forbids printable ASCII.  So the library, which
 * leaves copies of a password in memory, need not be called. */
static int
is_printable_ascii(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < 0x20 || *s > 0x7e)
			return 0;
	}
	return 1;
}

int
saslprep_text(const char *in, char *out_r, size_t size)
{
	char *prepared = NULL;
	int res;

	if (size == 0)
		return errno = ENAMETOOLONG, -1;
	out_r[0] = '\0';
	if (is_printable_ascii(in))
		return give(in, out_r, size);
	/* libidn would read beyond the end of a truncated sequence */
	if (!saslprep_is_utf8(in, strlen(in)))
		return errno = EILSEQ, -1;
	res = gsasl_saslprep(in, GSASL_ALLOW_UNASSIGNED, &prepared, NULL);
	if (res == GSASL_MALLOC_ERROR)
		return errno = ENOMEM, -1;
	if (res != GSASL_OK)
		return give(in, out_r, size);
	res = give(prepared, out_r, size);
	explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return res;
}
