#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/esmtp_options.h"
#include "proto/parse/esmtp_line.h"

#define ROOM	8000

/* Read ${in} in pieces of which the first has ${cut} octets and the others
 * ${rest}; return the octets of ${out}. */
static size_t
run(struct esmtp_line *l, int policy, const char *in, size_t len, size_t cut,
    size_t rest, char out[ROOM])
{
	size_t at = 0, end = cut, used, n, total = 0, looks = 0, i, have;
	const char *piece;

	*l = (struct esmtp_line){ .policy = (uint8_t)policy };
	for (; at < len; at = end, end = at + rest < len ? at + rest : len) {
		/* of exactly that size, for AddressSanitizer */
		char *copy = malloc(end - at + 1);

		have = end - at;
		memcpy(copy, in + at, have);
		for (i = 0; i < have; i += used) {
			used = esmtp_line_next(l, copy + i, have - i, &piece,
			    &n);
			cr_assert(used > 0 || n > 0, "nothing at %zu", i);
			cr_assert_leq(total + n, ROOM);
			memcpy(out + total, piece, n);
			total += n;
			cr_assert_lt(looks++, 3 * len + 3, "it goes on");
		}
		free(copy);
	}
	return total;
}

/* ${n} times ${c}, and ${tail}, behind ${head} */
static size_t
make(char *buf, const char *head, size_t n, char c, const char *tail)
{
	size_t len = strlen(head);

	memcpy(buf, head, len);
	memset(buf + len, c, n);
	len += n;
	memcpy(buf + len, tail, strlen(tail));
	return len + strlen(tail);
}

/* RFC 5322 2.1.1: 998 octets, and the CRLF */
static const struct {
	const char	*head;
	size_t		 n;	/* times x */
	const char	*tail;
	bool		 is_long;
} lines[] = {
	{ "", 998, "\r\n", false },
	{ "", 998, "\n", false },
	{ "", 998, "", false },
	{ "", 998, "\r", false },
	{ "", 999, "\r\n", true },
	{ "", 999, "", true },
	{ "", 998, "\rx", true },
	{ "", 997, "\rx", true },
	{ "", 996, "\rx", false },
	{ "", 996, "\r\r\n", false },
	{ "", 997, "\r\r\n", false },
	{ "", 998, "\r\r\n", true },
	{ "", 998, " \r\n", true },
	{ "", 997, " \r\n", false },
	{ "short\r\n", 998, "\r\nshort\r\n", false },
	{ "short\r\n", 999, "\r\nshort\r\n", true },
	{ "\n\n", 999, "\n", true },
	{ "", 996, "\xc3\xa9\r\n", false },
	{ "", 997, "\xc3\xa9\r\n", true },
	{ "", 994, "\xf0\x9f\x93\xab\n", false },
	{ "", 995, "\xf0\x9f\x93\xab\n", true },
};

Test(esmtp_line, a_line_of_more_than_998_octets_is_long_for_any_fragmentation)
{
	static char in[ROOM], out[ROOM];
	struct esmtp_line l;
	size_t i, cut, len, n;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		len = make(in, lines[i].head, lines[i].n, 'x', lines[i].tail);
		for (cut = 0; cut <= len; cut++) {
			n = run(&l, ESMTP_LINE_PEDANTIC, in, len, cut, len,
			    out);
			cr_expect_eq(l.is_long, lines[i].is_long,
			    "line %zu at %zu", i, cut);
			cr_expect(n == len && memcmp(in, out, n) == 0,
			    "line %zu at %zu is changed", i, cut);
		}
		n = run(&l, ESMTP_LINE_PEDANTIC, in, len, 0, 1, out);
		cr_expect_eq(l.is_long, lines[i].is_long, "line %zu", i);
		n = run(&l, ESMTP_LINE_FIX, in, len, len, len, out);
		/* blanks at the end are left out */
		cr_expect_eq(n != len, lines[i].is_long, "line %zu", i);
		n = run(&l, ESMTP_LINE_IGNORE, in, len, len, len, out);
		cr_expect(n == len && memcmp(in, out, n) == 0, "line %zu", i);
	}
}

/* What ESMTP_LINE_FIX makes of it, octet by octet; the slow and simple way. */
static size_t
model(const char *in, size_t len, char out[ROOM])
{
	bool has_cr = false, is_due = false, is_beyond;
	size_t column = 0, at = 0, i, n;
	unsigned char c;

	for (i = 0; i < len; i++) {
		c = (unsigned char)in[i];
		if (c == '\n') {
			column = 0;
			has_cr = is_due = false;
			out[at++] = in[i];
			continue;
		}
		column += has_cr;
		has_cr = c == '\r';
		if (is_due && (c == ' ' || c == '\t'))
			continue;
		n = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 :
		    c >= 0xc2 && c < 0xe0 ? 2 : 1;
		is_beyond = has_cr ? column > ESMTP_LINE_MAX :
		    column + n > ESMTP_LINE_MAX;
		if (is_beyond && (c == ' ' || c == '\t')) {
			is_due = true;
			continue;
		}
		if (is_beyond || (is_due && !has_cr)) {
			memcpy(out + at, "\r\n ", 3);
			at += 3;
			column = 1;
		}
		is_due = false;
		column += !has_cr;
		out[at++] = in[i];
	}
	return at;
}

static void
fill(char *in, size_t len, unsigned int seed)
{
	static const char octets[] = "xxxxxxxxxxxxxx \t\r\n\xc3\xa9\xf0\x9f";
	size_t i;

	srand(seed);
	for (i = 0; i < len; i++) {
		size_t which = (size_t)rand() % (sizeof(octets) - 1);

		/* line ends are rare, so that most lines are long */
		in[i] = which >= 16 && which < 18 && rand() % 400 != 0 ? 'y' :
		    octets[which];
	}
}

Test(esmtp_line, breaks_long_lines_the_same_for_any_fragmentation)
{
	static char in[5000], out[ROOM], want[ROOM];
	struct esmtp_line l;
	unsigned int seed;
	size_t n, expected, each;

	for (seed = 0; seed < 60; seed++) {
		fill(in, sizeof(in), seed);
		expected = model(in, sizeof(in), want);
		cr_assert_gt(expected, sizeof(in));
		for (each = 1; each < 3000; each += 1 + each / 2) {
			n = run(&l, ESMTP_LINE_FIX, in, sizeof(in), seed * 17,
			    each, out);
			cr_expect(n == expected && memcmp(out, want, n) == 0,
			    "seed %u, pieces of %zu", seed, each);
		}
		n = run(&l, ESMTP_LINE_FIX, in, sizeof(in), sizeof(in), 1, out);
		cr_expect(n == expected && memcmp(out, want, n) == 0,
		    "seed %u", seed);
	}
}

Test(esmtp_line, a_character_of_utf_8_stays_whole)
{
	static char in[ROOM], out[ROOM];
	struct esmtp_line l;
	size_t len, n;

	len = make(in, "", 997, 'x', "\xc3\xa9z\r\n");
	n = run(&l, ESMTP_LINE_FIX, in, len, len, len, out);
	cr_expect_eq(n, len + 3);
	cr_expect_eq(memcmp(out + 997, "\r\n \xc3\xa9z\r\n", 8), 0);
}

/* A line without an end, of octets that count only when the next one is seen. */
Test(esmtp_line, no_number_of_crs_is_short)
{
	static char in[70000], *out;
	struct esmtp_line l = { .policy = ESMTP_LINE_PEDANTIC };
	const char *piece;
	size_t n, used, at, nbreaks = 0;

	memset(in, '\r', sizeof(in));
	cr_expect_eq(esmtp_line_next(&l, in, sizeof(in), &piece, &n),
	    sizeof(in));
	cr_expect(l.is_long);
	l = (struct esmtp_line){ .policy = ESMTP_LINE_FIX };
	out = in;
	for (at = 0; at < sizeof(in); at += used) {
		used = esmtp_line_next(&l, out + at, sizeof(in) - at, &piece,
		    &n);
		nbreaks += used == 0;
		cr_assert_leq(used, ESMTP_LINE_MAX + 1);
	}
	cr_expect_geq(nbreaks, sizeof(in) / (ESMTP_LINE_MAX + 1));
}

/* RFC 5322 3.2.2: it would be obsolete, and look like an empty one. */
Test(esmtp_line, no_line_of_blanks_alone_is_made)
{
	static char in[ROOM], out[ROOM];
	struct esmtp_line l;
	size_t len, n;

	len = make(in, "", 998, 'x', " \t \r\ny\r\n");
	n = run(&l, ESMTP_LINE_FIX, in, len, len, len, out);
	cr_expect_eq(n, 998 + 5);
	cr_expect_eq(memcmp(out + 998, "\r\ny\r\n", 5), 0);
	len = make(in, "", 998, 'x', "  y\r\n");
	n = run(&l, ESMTP_LINE_FIX, in, len, len, len, out);
	cr_expect_eq(n, 998 + 6);
	cr_expect_eq(memcmp(out + 998, "\r\n y\r\n", 6), 0);
}
