/* Domains whose names are not ASCII; see idna.h. */

#include "core/util/idna.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/util/utf8.h"

static int
errno_of(int rc)
{
	switch (rc) {
	case IDN2_MALLOC:
		return ENOMEM;
	case IDN2_PUNYCODE_BIG_OUTPUT:
	case IDN2_TOO_BIG_LABEL:
	case IDN2_TOO_BIG_DOMAIN:
		return ENAMETOOLONG;
	default:
		return EILSEQ;
	}
}

/* RFC 5891 4.2.3.1, RFC 5890 2.3.2.1: which octets of ASCII a U-label may have,
 * and where no hyphen may be.  The library looks at the other characters; and
 * there may be none: U+1FEF is the same as '`'. */
static bool
is_ldh(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x80 && s[i] != '-' &&
		    !(s[i] >= 'a' && s[i] <= 'z') &&
		    !(s[i] >= '0' && s[i] <= '9'))
			return false;
	return len > 0 && s[0] != '-' && s[len - 1] != '-';
}

/* The U-label as an A-label, NUL terminated.  Return its octets, or -1 with
 * errno. */
static ssize_t
u_label(const char *s, size_t len, char out[IDN2_LABEL_MAX_LENGTH + 1])
{
	char lower[IDNA_MAX + 1];
	uint8_t *ascii;
	ssize_t n;
	int rc;

	/* RFC 5895 2.1: what users type.  Without the mapping of UTS 46, which
	 * would make others of its characters dots, slashes, or nothing */
	if (len > IDNA_MAX ||
	    (n = utf8_lower(s, len, lower, IDNA_MAX)) == -1) {
		errno = len <= IDNA_MAX && errno == ENOMEM ? ENOMEM :
		    ENAMETOOLONG;
		return -1;
	}
	lower[n] = '\0';
	rc = !is_ldh(lower, (size_t)n) ? IDN2_DISALLOWED :
	    idn2_lookup_u8((const uint8_t *)lower, &ascii,
	    IDN2_NFC_INPUT | IDN2_NO_TR46);
	if (rc != IDN2_OK) {
		errno = errno_of(rc);
		return -1;
	}
	n = (ssize_t)strlen((const char *)ascii);
	if (n <= IDN2_LABEL_MAX_LENGTH)
		memcpy(out, ascii, (size_t)n + 1);
	else {
		errno = ENAMETOOLONG;
		n = -1;
	}
	idn2_free(ascii);
	return n;
}

/* The A-label as a U-label, NUL terminated.  Return its octets; 0: it stands for
 * none, or for what is not to be shown. */
static size_t
a_label(const char *s, size_t len, char out[IDNA_MAX + 1])
{
	char label[IDN2_LABEL_MAX_LENGTH + 1], again[IDNA_MAX + 1];
	char *unicode;
	size_t n = 0;

	if (len > IDN2_LABEL_MAX_LENGTH || len < 4 ||
	    memcmp(s, "xn--", 4) != 0 || memchr(s, '\0', len) != NULL)
		return 0;
	memcpy(label, s, len);
	label[len] = '\0';
	if (idn2_to_unicode_8z8z(label, &unicode, 0) != IDN2_OK)
		return 0;
	if (strlen(unicode) <= IDNA_MAX)
		n = strlen(strcpy(out, unicode));
	idn2_free(unicode);
	/* punycode can spell what no U-label is */
	return utf8_is_visible(out, n) && idna_ascii(out, n, again,
	    sizeof(again)) != -1 && strcmp(again, label) == 0 ? n : 0;
}

ssize_t
idna_unicode(const char *s, size_t len, char *out, size_t size)
{
	char label[IDNA_MAX + 1];
	size_t i, n, octets, used = 0;
	const char *dot, *from;

	for (i = 0;; i += n + 1) {
		dot = memchr(s + i, '.', len - i);
		n = dot != NULL ? (size_t)(dot - s) - i : len - i;
		octets = a_label(s + i, n, label);
		from = octets > 0 ? label : s + i;
		if (octets == 0)
			octets = n;
		/* and a dot or the NUL */
		if (octets >= size - used)
			return -1;
		memcpy(out + used, from, octets);
		used += octets;
		if (dot == NULL)
			break;
		out[used++] = '.';
		if (used == size)
			return -1;
	}
	out[used] = '\0';
	return (ssize_t)used;
}

ssize_t
idna_ascii(const char *s, size_t len, char *out, size_t size)
{
	char label[IDN2_LABEL_MAX_LENGTH + 1];
	size_t i, n, used = 0;
	const char *dot;
	ssize_t octets;

	for (i = 0;; i += n + 1) {
		dot = memchr(s + i, '.', len - i);
		n = dot != NULL ? (size_t)(dot - s) - i : len - i;
		if (utf8_is_ascii(s + i, n))
			octets = used + n < size ? utf8_lower(s + i, n,
			    out + used, n) : (ssize_t)n;
		else if ((octets = u_label(s + i, n, label)) == -1)
			return -1;
		else if (used + (size_t)octets < size)
			memcpy(out + used, label, (size_t)octets);
		used += (size_t)octets;
		if (used > IDNA_MAX || used >= size) {
			errno = used > IDNA_MAX ? ENAMETOOLONG : ENOSPC;
			return -1;
		}
		if (dot == NULL)
			break;
		out[used++] = '.';
	}
	out[used] = '\0';
	return (ssize_t)used;
}
