#include "cmd/sendmail/send_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* ${in} in pieces of ${piece} octets becomes ${want}, and ends before its end or
 * not. */
static void
check(const char *in, size_t piece, bool is_dot_plain, const char *want,
    bool is_end)
{
	struct send_text t = { .is_dot_plain = is_dot_plain };
	char out[256] = "";
	size_t at, n, len = strlen(in), used = 0, k;

	for (at = 0; at < len; at += k) {
		k = len - at < piece ? len - at : piece;
		send_text_next(&t, in + at, k, out + used, &n);
		cr_assert(n <= 2 * k + SEND_TEXT_MORE);
		used += n;
	}
	send_text_end(&t, out + used, &n);
	cr_assert(n <= SEND_TEXT_MORE);
	used += n;
	cr_expect(used == strlen(want) && memcmp(out, want, used) == 0,
	    "\"%s\" in pieces of %zu: \"%.*s\"", in, piece, (int)used, out);
	cr_expect_eq(t.is_end, is_end, "\"%s\"", in);
}

Test(send_text, lines_end_in_crlf_and_a_dot_ends_the_message)
{
	static const struct {
		const char *in, *want, *plain;
		bool is_end;
	} cases[] = {
		{ "", "", "", false },
		{ "a\nb\n", "a\r\nb\r\n", "a\r\nb\r\n", false },
		{ "a\r\nb", "a\r\nb\r\n", "a\r\nb\r\n", false },
		{ "\n\r\n", "\r\n\r\n", "\r\n\r\n", false },
		{ "a\rb\n", "a b\r\n", "a b\r\n", false },
		{ "a\r\rb\n", "a b\r\n", "a b\r\n", false },
		{ "To: a\rBcc: b\n", "To: a Bcc: b\r\n", "To: a Bcc: b\r\n",
		    false },
		{ "a\r\r\n", "a\r\n", "a\r\n", false },
		{ "a\n\r\r\nb\n\rc", "a\r\n\r\nb\r\n c\r\n",
		    "a\r\n\r\nb\r\n c\r\n", false },
		{ "a\r", "a\r\n", "a\r\n", false },
		{ "a\n.\nb\n", "a\r\n", "a\r\n.\r\nb\r\n", true },
		{ "a\n.\r\nb\n", "a\r\n", "a\r\n.\r\nb\r\n", true },
		{ ".", "", ".\r\n", true }, { ".\r", "", ".\r\n", true },
		{ ".\n", "", ".\r\n", true },
		{ "..\n.a\n", "..\r\n.a\r\n", "..\r\n.a\r\n", false },
		{ ".\rx\n", ". x\r\n", ". x\r\n", false },
		{ ".\r\r\nx", "", ".\r\nx\r\n", true },
		{ "a.\n", "a.\r\n", "a.\r\n", false }
	};
	size_t i, piece;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (piece = 1; piece < 8; piece++) {
			check(cases[i].in, piece, false, cases[i].want,
			    cases[i].is_end);
			check(cases[i].in, piece, true, cases[i].plain, false);
		}
}

Test(send_text, it_tells_8_bit_text)
{
	struct send_text t = { .is_dot_plain = false };
	char out[64];
	size_t n;

	send_text_next(&t, "abc\n", 4, out, &n);
	cr_expect_not(t.is_8bit);
	send_text_next(&t, "\xc3\xa4\n", 3, out, &n);
	cr_expect(t.is_8bit);
	cr_expect(n == 4 && memcmp(out, "\xc3\xa4\r\n", 4) == 0);
}
