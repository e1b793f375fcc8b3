#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/utf8.h"
#include "proto/mailaddr.h"

#define ALL	(MAILADDR_ALLOW_UTF8 | MAILADDR_ALLOW_NULL | \
		MAILADDR_ALLOW_POSTMASTER | MAILADDR_ALLOW_LITERAL)
#define NFD	"gru\xcc\x88n"
#define NFC	"gr\xc3\xbcn"

/* text NULL: refused with errnum, 0: EINVAL */
static const struct { const char *in, *text; int errnum; } cases[] = {
	{ "<" NFC "@b.example>", NFC "@b.example", 0 },
	{ "<" NFD "@b.example>", NFC "@b.example", 0 },
	{ "<GR\xc3\x9cN@b.example>", "GR\xc3\x9cN@b.example", 0 },
	{ "<\"" NFD "\"@b.example>", NFC "@b.example", 0 },
	{ "<\"" NFD " x\"@b.example>", "\"" NFC " x\"@b.example", 0 },
	{ "<\"a\\\"" NFD "\"@b.example>", "\"a\\\"" NFC "\"@b.example", 0 },
	{ "<a@" NFD ".Example>", "a@xn--grn-ioa.example", 0 },
	{ "<a@XN--GRN-IOA.example>", "a@xn--grn-ioa.example", 0 },
	{ "<" NFC "@" NFC ".example>", NFC "@xn--grn-ioa.example", 0 },
	{ "<@" NFC ".example:a@b.example>", "a@b.example", 0 },
	{ "<\xf0\x9f\x93\xa7@b.example>", "\xf0\x9f\x93\xa7@b.example", 0 },
	{ "<\xe4\xbe\x8b.\xe3\x81\x88@b.example>",
	    "\xe4\xbe\x8b.\xe3\x81\x88@b.example", 0 },
	/* their normal form is ASCII */
	{ "<\xe2\x84\xaa@b.example>", "K@b.example", 0 },	/* Kelvin */
	{ "<a\xe1\xbf\xaf@b.example>", "a`@b.example", 0 },	/* varia */
	{ "<a\xcd\xbe@b.example>", "\"a;\"@b.example", 0 },	/* question mark */
	{ "<a@b\xe1\xbf\xaf.example>", NULL, EILSEQ },
	{ "<a@\xe2\x84\xaa.example>", "a@k.example", 0 },
	{ "<postmaster@" NFC ".example>", "postmaster@xn--grn-ioa.example", 0 },
	{ "<" NFD "..@b.example>", NULL, 0 },
	/* marks that combine with ASCII */
	{ "<a=\xcc\xb8@b.example>", "a\xe2\x89\xa0@b.example", 0 },
	{ "<\"a>\xcc\xb8\"@b.example>", "a\xe2\x89\xaf@b.example", 0 },
	{ "<\xcc\xb8" "a@b.example>", NULL, EILSEQ },
	{ "<\"\xcc\xb8" "a\"@b.example>", NULL, EILSEQ },
	{ "<a@\xcc\xb8" "b.example>", NULL, EILSEQ },
	/* what cannot be seen */
	{ "<a\xc2\xa0@b.example>", NULL, EILSEQ },
	{ "<a\xe2\x80\x8b@b.example>", NULL, EILSEQ },
	{ "<a\xe2\x80\x8d@b.example>", NULL, EILSEQ },
	{ "<a\xe2\x80\xae@b.example>", NULL, EILSEQ },
	{ "<\"a\xe2\x80\xae\"@b.example>", NULL, EILSEQ },
	{ "<a\xc2\x85@b.example>", NULL, EILSEQ },
	{ "<a\xef\xbb\xbf@b.example>", NULL, EILSEQ },
	{ "<a@b\xe2\x80\x8b.example>", NULL, EILSEQ },
	{ "<a@b\xc2\xad.example>", NULL, EILSEQ },
	/* what nobody has assigned */
	{ "<a\xcd\xb8@b.example>", NULL, EILSEQ },
	{ "<a\xee\x80\x80@b.example>", NULL, EILSEQ },
	/* what is not UTF-8 */
	{ "<a\xff@b.example>", NULL, EILSEQ },
	{ "<a\xc3@b.example>", NULL, EILSEQ },
	{ "<a\xc0\xaf@b.example>", NULL, EILSEQ },
	{ "<a\xed\xa0\x80@b.example>", NULL, EILSEQ },
	{ "<a\xf4\x90\x80\x80@b.example>", NULL, EILSEQ },
	{ "<\"a\xe4\xbe\"@b.example>", NULL, EILSEQ },
	{ "<a@\xfc.example>", NULL, EILSEQ },
	/* what is no domain of IDNA2008 */
	{ "<a@b\xe3\x80\x82" "c.example>", NULL, EILSEQ },
	{ "<a@xn--\xc3\xbc.example>", NULL, EILSEQ },
	{ "<a@i\xe2\x9d\xa4.example>", NULL, EILSEQ },
	/* the grammar is that of RFC 5321 */
	{ "<\"a\\\xc3\xbc\"@b.example>", NULL, 0 },
	{ "<\xc3\xbc..b@b.example>", NULL, 0 },
	{ "<\xc3\xbc>", NULL, 0 },
	{ "<\xc3\xbc@>", NULL, 0 },
	{ "<@\xc3\xbc>", NULL, 0 },
	{ "<a b\xc3\xbc@b.example>", NULL, 0 },
	{ "<\xc3\xbc@[192.0.2.\xc3\xbc]>", NULL, 0 },
	{ "\xc3\xbc<a@b.example>", NULL, 0 },
};

Test(mailaddr_utf8, one_mailbox_has_one_form)
{
	char text[LIM_PATH + 2], again[LIM_PATH + 2], *copy;
	struct mailaddr a;
	size_t i, len;
	int used;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		copy = malloc(len);
		memcpy(copy, cases[i].in, len);
		errno = 0;
		used = mailaddr_parse(copy, len, ALL, &a);
		if (cases[i].text == NULL) {
			cr_expect_eq(used, -1, "%s", cases[i].in);
			cr_expect_eq(errno, cases[i].errnum != 0 ?
			    cases[i].errnum : EINVAL, "%s: %d", cases[i].in,
			    errno);
			free(copy);
			continue;
		}
		cr_assert_eq(used, (int)len, "%s: %d", cases[i].in, used);
		cr_assert_neq(mailaddr_format(&a, text, sizeof(text)), -1);
		cr_expect_str_eq(text, cases[i].text, "%s: %s", cases[i].in,
		    text);
		mailaddr_split(text, &a);
		cr_assert_neq(mailaddr_format(&a, again, sizeof(again)), -1);
		cr_expect_str_eq(again, text);
		free(copy);
	}
}

Test(mailaddr_utf8, dots_of_devices_get_quotes)
{
	static const char path[] = "<" NFD "..@b.example>";
	char text[LIM_PATH + 2];
	struct mailaddr a;

	cr_assert_eq(mailaddr_parse(path, sizeof(path) - 1, ALL |
	    MAILADDR_ALLOW_DOTS, &a), (int)sizeof(path) - 1);
	cr_assert_neq(mailaddr_format(&a, text, sizeof(text)), -1);
	cr_expect_str_eq(text, "\"" NFC "..\"@b.example");
}

Test(mailaddr_utf8, is_refused_where_it_is_not_allowed)
{
	struct mailaddr a;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (utf8_is_ascii(cases[i].in, strlen(cases[i].in)))
			continue;
		errno = 0;
		cr_expect_eq(mailaddr_parse(cases[i].in, strlen(cases[i].in),
		    ALL & ~(unsigned int)MAILADDR_ALLOW_UTF8, &a), -1, "%s",
		    cases[i].in);
		cr_expect_eq(errno, EINVAL);
	}
}

/* RFC 5321 4.5.3.1 counts octets: of the form that all spellings have. */
Test(mailaddr_utf8, the_lengths_are_those_of_the_form)
{
	static const struct { const char *piece; size_t n; bool is_ok; } rows[] = {
		{ "\xc3\xbc", 32, true },
		{ "\xc3\xbc", 33, false },
		/* 3 octets that become 2 */
		{ "u\xcc\x88", 32, true },
		{ "u\xcc\x88", 33, false },
		/* 4 octets that become 12 */
		{ "\xf0\x9d\x85\xa0", 5, true },
		{ "\xf0\x9d\x85\xa0", 6, false },
		{ "\xf0\x9d\x85\xa0", 16, false },
	};
	struct mailaddr a;
	char path[600];
	size_t i, k, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = 0;
		path[n++] = '<';
		for (k = 0; k < rows[i].n; k++, n += strlen(rows[i].piece))
			memcpy(path + n, rows[i].piece, strlen(rows[i].piece));
		memcpy(path + n, "@b.example>", 11);
		n += 11;
		errno = 0;
		cr_expect_eq(mailaddr_parse(path, n, ALL, &a), rows[i].is_ok ?
		    (int)n : -1, "row %zu", i);
		cr_expect_eq(errno, rows[i].is_ok ? 0 : ENAMETOOLONG, "row %zu",
		    i);
	}
	/* 30 labels of two octets become 30 of seven */
	n = (size_t)sprintf(path, "<aaaaaaaaaaaaaaaa@");
	for (k = 0; k < 30; k++)
		n += (size_t)sprintf(path + n, "%s\xc3\xbc", k > 0 ? "." : "");
	path[n++] = '>';
	errno = 0;
	cr_expect_eq(mailaddr_parse(path, n, ALL, &a), -1);
	cr_expect_eq(errno, ENAMETOOLONG);
	/* a label whose A-label has more than 63 octets */
	n = (size_t)sprintf(path, "<a@");
	memset(path + n, 'a', 58);
	n += 58;
	n += (size_t)sprintf(path + n, "\xc3\xbc.example>");
	errno = 0;
	cr_expect_eq(mailaddr_parse(path, n, ALL, &a), -1);
	cr_expect_eq(errno, ENAMETOOLONG);
}

Test(mailaddr_utf8, format_says_when_the_buffer_is_short)
{
	static const char path[] = "<\"a\\;" NFD "\"@" NFC ".example>";
	static const char want[] = "\"a;" NFC "\"@xn--grn-ioa.example";
	struct mailaddr a;
	char *buf;
	size_t n;

	cr_assert_neq(mailaddr_parse(path, sizeof(path) - 1, ALL, &a), -1);
	for (n = 0; n <= sizeof(want); n++) {
		buf = malloc(n > 0 ? n : 1);
		errno = 0;
		cr_expect_eq(mailaddr_format(&a, buf, n), n < sizeof(want) ? -1 :
		    (int)sizeof(want) - 1, "%zu", n);
		cr_expect_eq(errno, n < sizeof(want) ? ENOSPC : 0);
		free(buf);
	}
}

/* Pieces that paths are made of: what matters to the grammar, and to the forms
 * of characters. */
static const char *const pieces[] = {
	"<", ">", "@", "\"", "\\", ".", ",", ":", " ", "-", "_", "[", "]", "a",
	"B", "xn--", "IPv6:", "1", "K", ";", "=", "postmaster", "example",
	"\xc3\xbc", "u\xcc\x88", "\xcc\x88", "\xcc\xb8", "\xcc\xa3", "\xe2\x84\xaa",
	"\xcd\xbe", "\xe1\xbf\xaf", "\xc3\x9f", "\xce\xa3", "\xc4\xb0",
	"\xe4\xbe\x8b", "\xf0\x9d\x85\xa0", "\xf0\x9f\x93\xa7", "\xd7\x90",
	"\xe1\x84\x80\xe1\x85\xa1", "\xe1\x86\xa8", "\xe2\x80\x8d", "\xe2\x80\x8c",
	"\xe0\xa5\x8d", "\xe3\x80\x82", "\xc2\xb7", "l\xc2\xb7l", "\xff", "\xc3",
	"\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80", "\x7f", "\x01",
};
#define NPIECES	(sizeof(pieces) / sizeof(pieces[0]))

static uint32_t
chance(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(*state >> 4) * below) >> 28);
}

/* Whatever the octets are: what is parsed has a form, which is parsed as itself,
 * and no control or bracket comes into it that was not there. */
Test(mailaddr_utf8, the_form_of_any_path_is_stable)
{
	char path[300], text[LIM_PATH + 2], again[LIM_PATH + 4];
	uint32_t state = 1;
	struct mailaddr a, b;
	unsigned int nparsed = 0, nutf8 = 0;
	const char *p;
	size_t n, i;
	int round, used, len;

	for (round = 0; round < 300000; round++) {
		n = 0;
		path[n++] = '<';
		for (i = 1 + chance(&state, 10); i > 0; i--) {
			p = pieces[chance(&state, NPIECES)];
			memcpy(path + n, p, strlen(p));
			n += strlen(p);
			if (i == 3)
				path[n++] = '@';
		}
		path[n++] = '>';
		used = mailaddr_parse(path, n, round % 2 == 0 ? ALL :
		    ALL | MAILADDR_ALLOW_DOTS, &a);
		if (used == -1)
			continue;
		nparsed++;
		len = mailaddr_format(&a, text, sizeof(text));
		cr_assert_neq(len, -1, "%.*s", (int)n, path);
		nutf8 += !utf8_is_ascii(text, (size_t)len);
		cr_assert(utf8_is_visible(text, (size_t)len));
		mailaddr_split(text, &b);
		cr_assert(utf8_is_ascii(b.domain, b.domain_len));
		cr_assert_eq(mailaddr_format(&b, again + 1, LIM_PATH + 2), len);
		cr_assert_str_eq(again + 1, text);
		again[0] = '<';
		again[len + 1] = '>';
		cr_assert_eq(mailaddr_parse(again, (size_t)len + 2, ALL, &b),
		    len + 2, "%.*s: %s", (int)n, path, text);
		cr_assert_eq(b.is_quoted, text[0] == '"');
		cr_assert_eq(b.domain_len, a.domain_len == 0 ? 0 :
		    strlen(strrchr(text, '@') + 1));
	}
	/* the pieces are such that it has happened */
	cr_assert_gt(nparsed, 1000, "%u", nparsed);
	cr_assert_gt(nutf8, 100, "%u", nutf8);
}
