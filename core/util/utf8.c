/* UTF-8 that comes from others; see utf8.h. */

#include "core/util/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/* Other (controls, format characters, surrogates, private use, unassigned) and
 * separators */
#define CATEGORIES_UNSEEN	(UC_CATEGORY_MASK_C | UC_CATEGORY_MASK_Z)

bool
utf8_is_ascii(const char *s, size_t len)
{
	unsigned char all = 0;
	size_t i;

	for (i = 0; i < len; i++)
		all |= (unsigned char)s[i];
	return all < 0x80;
}

/* The character at ${s}.  Return its octets, 0: they are not UTF-8. */
static size_t
character(const char *s, size_t len, ucs4_t *uc_r)
{
	int n = len == 0 ? 0 : u8_mbtoucr(uc_r, (const uint8_t *)s, len);

	return n > 0 ? (size_t)n : 0;
}

size_t
utf8_visible(const char *s, size_t len)
{
	ucs4_t uc;
	size_t n;

	if (len > 0 && (unsigned char)*s < 0x80)
		return *s >= ' ' && *s <= '~' ? 1 : 0;
	if ((n = character(s, len, &uc)) == 0 ||
	    uc_is_general_category_withtable(uc, CATEGORIES_UNSEEN) ||
	    uc_is_property_default_ignorable_code_point(uc))
		return 0;
	return n;
}

bool
utf8_is_visible(const char *s, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n)
		if ((n = utf8_visible(s + i, len - i)) == 0)
			return false;
	return true;
}

bool
utf8_is_mark(const char *s, size_t len)
{
	ucs4_t uc;

	return character(s, len, &uc) > 0 &&
	    uc_is_general_category_withtable(uc, UC_CATEGORY_MASK_M);
}

static ssize_t
copy(const char *s, size_t len, char *out, size_t size)
{
	if (len > size) {
		errno = ENOSPC;
		return -1;
	}
	memcpy(out, s, len);
	return (ssize_t)len;
}

/* Take ${result}, ${len} octets, which libunistring has allocated if it has not
 * put it into ${out}. */
static ssize_t
give(uint8_t *result, size_t len, char *out, size_t size)
{
	ssize_t n;

	if (result == NULL)
		return -1;
	if ((char *)result == out)
		return (ssize_t)len;
	n = copy((const char *)result, len, out, size);
	free(result);
	return n;
}

ssize_t
utf8_nfc(const char *s, size_t len, char *out, size_t size)
{
	size_t n = size;
	uint8_t *result;

	if (utf8_is_ascii(s, len))
		return copy(s, len, out, size);
	if (u8_check((const uint8_t *)s, len) != NULL) {
		errno = EILSEQ;
		return -1;
	}
	result = u8_normalize(UNINORM_NFC, (const uint8_t *)s, len,
	    (uint8_t *)out, &n);
	return give(result, n, out, size);
}

ssize_t
utf8_lower(const char *s, size_t len, char *out, size_t size)
{
	size_t i, n = size;
	uint8_t *result;

	if (!utf8_is_ascii(s, len) &&
	    u8_check((const uint8_t *)s, len) == NULL) {
		result = u8_tolower((const uint8_t *)s, len, NULL,
		    UNINORM_NFC, (uint8_t *)out, &n);
		return give(result, n, out, size);
	}
	if (copy(s, len, out, size) == -1)
		return -1;
	for (i = 0; i < len; i++)
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] = (char)(out[i] + ('a' - 'A'));
	return (ssize_t)len;
}
