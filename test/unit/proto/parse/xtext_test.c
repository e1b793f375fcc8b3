#include "proto/parse/xtext.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct xtext_case {
	const char	*xtext;
	const char	*text;		/* NULL: it is none */
	ssize_t		 n;		/* octets of ${text}; 0: up to its NUL */
};

typedef ssize_t decoder(const char *s, size_t len, char *out, size_t outlen);

/* Decode from and to blocks that are just as long, so that a checker sees what is
 * read or written beyond. */
static void
check(const struct xtext_case *c, decoder *decode)
{
	size_t len = strlen(c->xtext), room;
	ssize_t want = c->text == NULL ? -1 : c->n != 0 ? c->n :
	    (ssize_t)strlen(c->text), n;
	char *in = malloc(len + 1), *out;

	memcpy(in, c->xtext, len);
	room = want > 0 ? (size_t)want : len;
	out = malloc(room + 1);
	n = decode(in, len, out, room);
	cr_expect_eq(n, want, "%s: %zd", c->xtext, n);
	if (n == -1)
		cr_expect_eq(errno, EINVAL, "%s", c->xtext);
	else if (n == want)
		cr_expect_eq(memcmp(out, c->text, (size_t)n), 0, "%s",
		    c->xtext);
	if (want > 0) {
		cr_expect_eq(decode(in, len, out, room - 1), -1, "%s",
		    c->xtext);
		cr_expect_eq(errno, ENOSPC);
	}
	free(in);
	free(out);
}

Test(xtext, is_decoded_as_rfc_3461_has_it)
{
	static const struct xtext_case cases[] = {
		{ "", "", 0 }, { "a@b.example", "a@b.example", 0 },
		{ "<>", "<>", 0 }, { "e+3Dmc2", "e=mc2", 0 },
		{ "+2B+2b", NULL, 0 }, { "+2B", "+", 0 }, { "+", NULL, 0 },
		{ "+4", NULL, 0 }, { "+4G", NULL, 0 }, { "a+", NULL, 0 },
		{ "a b", NULL, 0 }, { "a=b", NULL, 0 }, { "a\tb", NULL, 0 },
		{ "a\x80", NULL, 0 }, { "+00x", "\0x", 2 }, { "~!", "~!", 0 },
		{ "+41+42", "AB", 0 }, { "+FF", "\xff", 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i], xtext_decode);
}

Test(xtext, code_points_are_decoded_as_rfc_6533_has_it)
{
	static const struct xtext_case cases[] = {
		{ "", "", 0 }, { "a@b.example", "a@b.example", 0 },
		{ "\\x{E4}@b", "\xc3\xa4@b", 0 },
		{ "\\x{e4}", "\xc3\xa4", 0 }, { "\\x{20}", " ", 0 },
		{ "\\x{5C}\\x{2B}\\x{3D}", "\\+=", 0 },
		{ "\\x{7FF}\\x{800}", "\xdf\xbf\xe0\xa0\x80", 0 },
		{ "\\x{FFFF}\\x{10000}", "\xef\xbf\xbf\xf0\x90\x80\x80", 0 },
		{ "\\x{10FFFF}", "\xf4\x8f\xbf\xbf", 0 },
		{ "\\x{D7FF}\\x{E000}", "\xed\x9f\xbf\xee\x80\x80", 0 },
		{ "\\x{A0}", "\xc2\xa0", 0 },
		/* no characters */
		{ "\\x{D800}", NULL, 0 }, { "\\x{DFFF}", NULL, 0 },
		{ "\\x{110000}", NULL, 0 }, { "\\x{FFFFFF}", NULL, 0 },
		{ "\\x{0}", NULL, 0 }, { "\\x{1F}", NULL, 0 },
		{ "\\x{A}", NULL, 0 }, { "\\x{7F}", NULL, 0 },
		{ "\\x{9F}", NULL, 0 },
		/* what turns a line around */
		{ "\\x{202E}", NULL, 0 }, { "\\x{2066}", NULL, 0 },
		{ "\\x{2028}", NULL, 0 }, { "\\x{200F}", NULL, 0 },
		{ "\\x{61C}", NULL, 0 }, { "\\x{FEFF}", NULL, 0 },
		{ "\\x{202F}", "\xe2\x80\xaf", 0 },
		/* no code points */
		{ "\\", NULL, 0 }, { "\\x", NULL, 0 }, { "\\x{", NULL, 0 },
		{ "\\x{}", NULL, 0 }, { "\\x{E4", NULL, 0 },
		{ "\\X{E4}", NULL, 0 }, { "\\x{G4}", NULL, 0 },
		{ "\\x{0010FFFF}", NULL, 0 }, { "\\x{ E4}", NULL, 0 },
		{ "a\\b", NULL, 0 },
		/* of xtext, and of commands */
		{ "+41", NULL, 0 }, { "a=b", NULL, 0 }, { "a b", NULL, 0 },
		/* utf-8-addr-unitext */
		{ "\xc3\xa4\\x{E4}", "\xc3\xa4\xc3\xa4", 0 },
		{ "\xf0\x9f\x93\xa7", "\xf0\x9f\x93\xa7", 0 },
		{ "\xc3", NULL, 0 }, { "\xff", NULL, 0 },
		{ "\xed\xa0\x80", NULL, 0 }, { "\xc0\xaf", NULL, 0 },
		{ "\xe2\x80\xae", NULL, 0 }, { "\xc2\x9b", NULL, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i], xtext_decode_utf8);
}

Test(xtext, printable_is_graphic_or_space)
{
	cr_assert(xtext_is_printable("", 0));
	cr_assert(xtext_is_printable("a b~!", 5));
	cr_assert_not(xtext_is_printable("a\0b", 3));
	cr_assert_not(xtext_is_printable("\t", 1));
	cr_assert_not(xtext_is_printable("\x7f", 1));
	cr_assert_not(xtext_is_printable("\x80", 1));
}

/* What is encoded can be decoded, and is then the same; of every room that is too
 * small, nothing is written beyond. */
static void
check_both(const char *text, size_t len, const char *xtext,
    ssize_t (*encode)(const char *, size_t, char *, size_t), decoder *decode)
{
	size_t want = strlen(xtext), room;
	char *out, back[64];
	ssize_t n;

	for (room = 0; room <= want; room++) {
		out = malloc(room + 1);
		n = encode(text, len, out, room);
		if (room < want) {
			cr_expect_eq(n, -1, "%s", xtext);
			cr_expect_eq(errno, ENOSPC);
		} else {
			cr_expect_eq(n, (ssize_t)want, "%s: %zd", xtext, n);
			cr_expect_eq(memcmp(out, xtext, want), 0, "%s: %.*s",
			    xtext, (int)want, out);
			n = decode(out, want, back, sizeof(back));
			cr_expect_eq(n, (ssize_t)len);
			cr_expect_eq(memcmp(back, text, len), 0);
		}
		free(out);
	}
}

Test(xtext, is_encoded_as_rfc_3461_has_it)
{
	check_both("", 0, "", xtext_encode, xtext_decode);
	check_both("a@b.example", 11, "a@b.example", xtext_encode,
	    xtext_decode);
	check_both("a+b=c d", 7, "a+2Bb+3Dc+20d", xtext_encode, xtext_decode);
	check_both("\0\x7f\xff~!", 5, "+00+7F+FF~!", xtext_encode,
	    xtext_decode);
}

Test(xtext, utf8_is_encoded_as_rfc_6533_has_it)
{
	char out[64];

	check_both("gr\xc3\xbcn@b", 7, "gr\\x{FC}n@b", xtext_encode_utf8,
	    xtext_decode_utf8);
	check_both("a+b=c\\ d", 8, "a\\x{2B}b\\x{3D}c\\x{5C}\\x{20}d",
	    xtext_encode_utf8, xtext_decode_utf8);
	check_both("\xe2\x82\xac\xf0\x9f\x98\x80", 7,
	    "\\x{20AC}\\x{1F600}", xtext_encode_utf8, xtext_decode_utf8);
	cr_expect_eq(xtext_encode_utf8("a\xc3", 2, out, sizeof(out)), -1);
	cr_expect_eq(errno, EILSEQ);
	cr_expect_eq(xtext_encode_utf8("\xff", 1, out, sizeof(out)), -1);
	cr_expect_eq(xtext_encode_utf8("\xc3\x28", 2, out, sizeof(out)), -1);
}

/* RFC 3461 4.2: an atom */
Test(xtext, types_before_an_address)
{
	static const char *const good[] = { "rfc822", "utf-8", "x-a!#$%&'*+/=?",
		"^_`{|}~" };
	static const char *const bad[] = { "", " ", "a b", "a;b", "a\r\nb",
		"a\x7f", "\xc3\xa4", "a.b", "a@b", "(a)", "<a>", "[a]",
		"a\\b", "\"a\"", "a,b", "a:b" };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(xtext_is_type(good[i], strlen(good[i])), "%s",
		    good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(xtext_is_type(bad[i], strlen(bad[i])), "%s",
		    bad[i]);
	cr_expect_not(xtext_is_type("a\0b", 3));
}

Test(xtext, what_could_not_be_decoded_is_not_encoded)
{
	static const char *const bad[] = { "\n", "a\r", "\x7f", "\xc2\x9b",
		"\xe2\x80\xae", "\xff", "\xc3", "\xed\xa0\x80" };
	char out[64];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(xtext_encode_utf8(bad[i], strlen(bad[i]), out,
		    sizeof(out)), -1, "%zu", i);
		cr_expect_eq(errno, EILSEQ);
	}
}
