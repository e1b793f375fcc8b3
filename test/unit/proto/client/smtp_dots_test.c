/* What DATA and BDAT make of a message: against a second reading, and read by
 * our server. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client/smtp_dots.h"
#include "test/lib/simrand.h"

static const struct {
	const char	*in, *data, *chunk;
} cases[] = {
	{ "", ".\r\n", "" },
	{ "a", "a\r\n.\r\n", "a\r\n" },
	{ "a\r\n", "a\r\n.\r\n", "a\r\n" },
	{ ".", "..\r\n.\r\n", ".\r\n" },
	{ "\r\n.\r\n", "\r\n..\r\n.\r\n", "\r\n.\r\n" },
	{ "a.\r\n.b\r\n..\r\n", "a.\r\n..b\r\n...\r\n.\r\n",
	    "a.\r\n.b\r\n..\r\n" },
	/* alone */
	{ "a\nb", "a\r\nb\r\n.\r\n", "a\r\nb\r\n" },
	{ "a\rb", "a\r\nb\r\n.\r\n", "a\r\nb\r\n" },
	{ "a\n.\nb\n", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n" },
	{ "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n" },
	{ "a\r\r\n.\r\n", "a\r\n\r\n..\r\n.\r\n", "a\r\n\r\n.\r\n" },
	{ "a\n\r.", "a\r\n\r\n..\r\n.\r\n", "a\r\n\r\n.\r\n" },
	{ "a\r", "a\r\n.\r\n", "a\r\n" },
	{ "\r", "\r\n.\r\n", "\r\n" },
	{ "\n", "\r\n.\r\n", "\r\n" },
};

static size_t
convert(const char *in, size_t len, size_t piece, bool is_chunk, char *out)
{
	struct smtp_dots d = { .is_chunk = is_chunk };
	size_t n = 0, m, got;

	for (; len > 0; in += m, len -= m) {
		m = len < piece ? len : piece;
		got = smtp_dots_next(&d, in, m, out + n);
		cr_assert(got <= SMTP_DOTS_GROWTH * m + SMTP_DOTS_MORE);
		n += got;
	}
	got = smtp_dots_end(&d, out + n);
	cr_assert(got <= SMTP_DOTS_MORE);
	return n + got;
}

Test(smtp_dots, any_fragments_give_the_same_octets)
{
	char out[200];
	size_t i, piece, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (piece = 1; piece <= 16; piece++) {
			n = convert(cases[i].in, strlen(cases[i].in), piece,
			    false, out);
			out[n] = '\0';
			cr_assert_str_eq(out, cases[i].data, "case %zu, %zu",
			    i, piece);
			n = convert(cases[i].in, strlen(cases[i].in), piece,
			    true, out);
			out[n] = '\0';
			cr_assert_str_eq(out, cases[i].chunk, "case %zu, %zu",
			    i, piece);
		}
}

/* The end of the data is there once, at the end, whoever reads it: one who
 * takes a CR or LF that stands alone for the end of a line sees the same. */
static void
check_end(const char *s, size_t len)
{
	size_t i;

	cr_assert(len >= 3 && memcmp(s + len - 3, ".\r\n", 3) == 0);
	for (i = 0; i < len; i++) {
		if (s[i] == '\n')
			cr_assert(i > 0 && s[i - 1] == '\r');
		if (s[i] == '\r')
			cr_assert(i + 1 < len && s[i + 1] == '\n');
		if (s[i] == '.' && (i == 0 || s[i - 1] == '\n') &&
		    s[i + 1] == '\r')
			cr_assert_eq(i, len - 3);
	}
}

Test(smtp_dots, no_octets_of_a_message_end_it)
{
	static const char set[] = "a..\r\r\n\n";
	char in[64], out[200];
	struct simrand r;
	size_t i, n, round;

	simrand_seed(&r, 1);
	for (round = 0; round < 200000; round++) {
		n = simrand_below(&r, sizeof(in));
		for (i = 0; i < n; i++)
			in[i] = set[simrand_below(&r, sizeof(set) - 1)];
		i = convert(in, n, 1 + simrand_below(&r, 9), false, out);
		check_end(out, i);
	}
}
