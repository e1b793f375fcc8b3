#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/utf8.h"

#define OUT_MAX	64

/* Octets of U+${point}, which may be none that UTF-8 has. */
static size_t
put(uint32_t point, char out[4])
{
	size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t i;

	for (i = n - 1; i > 0; i--, point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(first[n] | point);
	return n;
}

Test(utf8, what_is_seen_is_visible_and_nothing_else)
{
	static const struct { const char *s; size_t n; } cases[] = {
		{ "a", 1 }, { " ", 1 }, { "~", 1 }, { "\xc3\xbc", 2 },
		{ "\xe4\xbe\x8b", 3 }, { "\xf0\x9f\x93\xa7", 4 },
		{ "\xcc\x88", 2 },		/* a mark */
		{ "\x1f", 0 }, { "\x7f", 0 }, { "", 0 },
		{ "\xc2\x80", 0 }, { "\xc2\x9b", 0 },	/* C1 */
		{ "\xc2\xa0", 0 },		/* no-break space */
		{ "\xe3\x80\x80", 0 },		/* ideographic space */
		{ "\xc2\xad", 0 },		/* soft hyphen */
		{ "\xe2\x80\x8b", 0 },		/* zero width space */
		{ "\xe2\x80\x8d", 0 },		/* zero width joiner */
		{ "\xe2\x80\xae", 0 },		/* right-to-left override */
		{ "\xe2\x81\xa6", 0 },		/* isolate */
		{ "\xe2\x80\xa8", 0 },		/* line separator */
		{ "\xef\xbb\xbf", 0 },		/* byte order mark */
		{ "\xef\xb8\x8f", 0 },		/* variation selector */
		{ "\xe3\x85\xa4", 0 },		/* Hangul filler */
		{ "\xcd\x8f", 0 },		/* combining grapheme joiner */
		{ "\xee\x80\x80", 0 },		/* private use */
		{ "\xef\xbf\xbf", 0 },		/* no character */
		{ "\xf3\xa0\x80\x81", 0 },	/* tag */
		{ "\xcd\xb8", 0 },		/* unassigned: U+0378 */
		/* not UTF-8: RFC 3629 3 */
		{ "\x80", 0 }, { "\xbf", 0 }, { "\xff", 0 }, { "\xc3", 0 },
		{ "\xc0\xaf", 0 }, { "\xc1\xbf", 0 }, { "\xe0\x9f\xbf", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 }, { "\xed\xa0\x80", 0 },
		{ "\xed\xbf\xbf", 0 }, { "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 }, { "\xe4\xbe", 0 },
		{ "\xf0\x9f\x93", 0 }, { "\xc3" "a", 0 },
		{ "\xf8\x88\x80\x80\x80", 0 },
	};
	char *copy;
	size_t i, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].s);
		/* of exactly that size, for AddressSanitizer */
		copy = malloc(len > 0 ? len : 1);
		memcpy(copy, cases[i].s, len);
		cr_expect_eq(utf8_visible(copy, len), cases[i].n, "case %zu", i);
		cr_expect_eq(utf8_is_visible(copy, len), len == 0 ||
		    cases[i].n == len, "case %zu", i);
		free(copy);
	}
	cr_expect(utf8_is_mark("\xcc\x88z", 3));
	cr_expect_not(utf8_is_mark("z\xcc\x88", 3));
	cr_expect_not(utf8_is_mark("", 0));
	cr_expect(utf8_is_ascii("\x01z\x7f", 3));
	cr_expect_not(utf8_is_ascii("z\x80", 2));
}

/* Of every code point: forms are stable, stay visible, and have a bound. */
Test(utf8, forms_of_every_character_are_stable)
{
	char s[4], once[OUT_MAX], twice[OUT_MAX];
	ssize_t n, m;
	size_t len;
	uint32_t u;

	for (u = 0x80; u < 0x110000; u++) {
		len = put(u, s);
		if (u >= 0xd800 && u < 0xe000) {
			cr_assert_eq(utf8_nfc(s, len, once, OUT_MAX), -1);
			cr_assert_eq(errno, EILSEQ);
			continue;
		}
		n = utf8_nfc(s, len, once, OUT_MAX);
		cr_assert(n > 0 && (size_t)n <= 3 * len, "U+%04X", u);
		m = utf8_nfc(once, (size_t)n, twice, OUT_MAX);
		cr_assert(m == n && memcmp(once, twice, (size_t)n) == 0,
		    "U+%04X", u);
		if (utf8_visible(s, len) > 0)
			cr_assert(utf8_is_visible(once, (size_t)n), "U+%04X", u);
		n = utf8_lower(s, len, once, OUT_MAX);
		cr_assert(n > 0 && (size_t)n <= 3 * len, "U+%04X", u);
		m = utf8_lower(once, (size_t)n, twice, OUT_MAX);
		cr_assert(m == n && memcmp(once, twice, (size_t)n) == 0,
		    "U+%04X", u);
	}
}

Test(utf8, texts_that_are_the_same_have_one_key)
{
	static const struct { const char *a, *b; } same[] = {
		{ "ABC-1", "abc-1" },
		{ "GR\xc3\x9cN", "gr\xc3\xbcn" },
		{ "GRU\xcc\x88N", "gr\xc3\xbcn" },
		{ "\xe2\x84\xab", "\xc3\xa5" },		/* Angstrom */
		{ "\xce\xa3\xce\x91\xce\xa3", "\xcf\x83\xce\xb1\xcf\x82" },
		/* marks in another order */
		{ "a\xcc\xa3\xcc\x88", "a\xcc\x88\xcc\xa3" },
	};
	static const struct { const char *a, *b; } other[] = {
		{ "stra\xc3\x9f" "e", "strasse" },
		{ "\xef\xbd\x81", "a" },		/* full width */
		{ "\xd0\xb0", "a" },			/* Cyrillic */
		{ "\xc3\xbc", "u" },
	};
	char a[OUT_MAX], b[OUT_MAX];
	ssize_t n, m;
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		n = utf8_lower(same[i].a, strlen(same[i].a), a, OUT_MAX);
		m = utf8_lower(same[i].b, strlen(same[i].b), b, OUT_MAX);
		cr_expect(n > 0 && n == m && memcmp(a, b, (size_t)n) == 0,
		    "row %zu", i);
	}
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		n = utf8_lower(other[i].a, strlen(other[i].a), a, OUT_MAX);
		m = utf8_lower(other[i].b, strlen(other[i].b), b, OUT_MAX);
		cr_expect(n != m || memcmp(a, b, (size_t)n) != 0, "row %zu", i);
	}
}

Test(utf8, what_is_no_utf8_has_itself_as_a_key)
{
	char out[OUT_MAX];

	cr_assert_eq(utf8_lower("A\xff\xc3", 3, out, OUT_MAX), 3);
	cr_expect_eq(memcmp(out, "a\xff\xc3", 3), 0);
	errno = 0;
	cr_expect_eq(utf8_nfc("A\xff", 2, out, OUT_MAX), -1);
	cr_expect_eq(errno, EILSEQ);
}

Test(utf8, a_short_buffer_is_not_written_beyond)
{
	/* three times as long: U+1D160 */
	static const char s[] = "\xf0\x9d\x85\xa0\xf0\x9d\x85\xa0";
	char *out;
	size_t n;

	for (n = 0; n <= 24; n++) {
		out = malloc(n > 0 ? n : 1);
		errno = 0;
		cr_expect_eq(utf8_nfc(s, 8, out, n), n < 24 ? -1 : 24, "%zu", n);
		cr_expect_eq(errno, n < 24 ? ENOSPC : 0);
		cr_expect_eq(utf8_lower(s, 8, out, n), n < 24 ? -1 : 24);
		cr_expect_eq(utf8_lower("ABC", 3, out, n), n < 3 ? -1 : 3);
		free(out);
	}
}
