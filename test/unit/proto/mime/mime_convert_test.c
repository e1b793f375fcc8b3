/* Messages converted for next hops that lack 8BITMIME or BINARYMIME. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/mime/mime_convert.h"

#define V	"MIME-Version: 1.0\r\n"
#define E	"Content-Transfer-Encoding: "
#define T	"Content-Type: "
#define BINARY	1
#define TAKES_8	2
#define TAKES_U	4
#define HEADER	((const char *)1)	/* refused: a header field */
#define FIXED	((const char *)2)	/* ... a part that stays as it is */

static const struct {
	const char	*name;
	int		 flags;
	const char	*in, *out;	/* NULL: the same */
} cases[] = {
	{ "nothing", 0, "", NULL },
	{ "ASCII", 0, "Subject: a\r\n\r\nb = c\r\n-- \r\n", NULL },
	{ "a header alone", 0, "Subject: a\r\n", NULL },
	{ "text", 0,
	    V E "8bit\r\n" T "text/plain; charset=utf-8\r\n\r\n\xc3\xa4=\r\n",
	    V E "quoted-printable\r\n" T "text/plain; charset=utf-8\r\n\r\n"
	    "=C3=A4=3D\r\n" },
	{ "white space, dashes, no end of the last line", 0,
	    V E "8bit\r\n\r\na \t\r\n \r\n--b\r\n.\r\nFrom x \xe4 ",
	    V E "quoted-printable\r\n"
	    T "text/plain; charset=unknown-8bit\r\n\r\n"
	    "a =09\r\n=20\r\n=2D-b\r\n.\r\nFrom x =E4=20" },
	{ "no fields of MIME", 0, "Subject: a\r\n\r\n\xe4\r\n",
	    "Subject: a\r\n" V T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n=E4\r\n" },
	{ "no header", 0, "\r\n\xe4\r\n",
	    V T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n=E4\r\n" },
	{ "a type and no encoding", 0,
	    V T "text/plain; charset=utf-8\r\n\r\n\xc3\xa4\r\n",
	    V T "text/plain; charset=utf-8\r\n"
	    E "quoted-printable\r\n\r\n=C3=A4\r\n" },
	{ "said to be 7bit", 0, V E "7bit\r\nA: b\r\n\r\na\r\n\xe4\r\n",
	    V E "quoted-printable\r\nA: b\r\n"
	    T "text/plain; charset=unknown-8bit\r\n\r\na\r\n=E4\r\n" },
	{ "octets", 0,
	    V T "image/x\r\n" E "8bit\r\n\r\n\xff\r\n\r\n",
	    V T "image/x\r\n" E "base64\r\n\r\n/w0KDQo=\r\n" },
	{ "folds, comments, capitals", 0,
	    V "content-TRANSFER-encoding :\r\n (8 (bit) \\) )\r\n\t8BIT (a)\r\n"
	    T "text/plain; charset=utf-8\r\n\r\n\xc3\xa4\r\n",
	    V E "quoted-printable\r\n" T "text/plain; charset=utf-8\r\n\r\n"
	    "=C3=A4\r\n" },
	{ "an encoding of its own", 0, V E "base64\r\n\r\n\xe4\r\n", FIXED },
	{ "the same, 7-bit", 0, V E "x-own\r\n\r\na\r\n", NULL },
	{ "twice", 0, V E "8bit\r\n" E "8bit\r\n\r\n\xe4\r\n", FIXED },
	{ "a line that is no field", 0, V "no field\r\n\r\n\xe4\r\n", FIXED },
	{ "a field with 8-bit octets", 0, "A: \xe4\r\n\r\na\r\n", HEADER },
	{ "the same with SMTPUTF8", TAKES_U,
	    "A: \xc3\xa4\r\n" V E "8bit\r\n" T "text/plain\r\n\r\n\xe4\r\n",
	    "A: \xc3\xa4\r\n" V E "quoted-printable\r\n" T "text/plain\r\n\r\n"
	    "=E4\r\n" },
	/* multiparts */
	{ "parts", 0,
	    V T "multipart/mixed; boundary=\"a b\"\r\n" E "8bit\r\n\r\n"
	    "b\xe4\r\n--a b\r\n" E "8bit\r\n" T "text/html\r\n\r\n\xe4\r\n"
	    "\r\n--a b\r\n\r\nplain = \r\n--a b \t\r\n" T "a/b\r\n\r\n\xe4\r\n"
	    "--a b--\r\n\xe4\r\n--a\r\n",
	    V T "multipart/mixed; boundary=\"a b\"\r\n" E "7bit\r\n\r\n"
	    "b?\r\n--a b\r\n" E "quoted-printable\r\n" T "text/html\r\n\r\n"
	    "=E4\r\n\r\n--a b\r\n\r\nplain = \r\n--a b \t\r\n" T "a/b\r\n"
	    E "base64\r\n\r\n5A==\r\n--a b--\r\n?\r\n--a\r\n" },
	{ "empty parts", 0,
	    V T "multipart/mixed; boundary=b\r\n" E "8bit\r\n\r\n"
	    "--b\r\n--b\r\n\r\n--b\r\n" E "8bit\r\n" T "a/b\r\n\r\n--b\r\n"
	    E "8bit\r\n" T "a/b\r\n\r\n\r\n--b\r\n" E "8bit\r\n"
	    T "text/a\r\n\r\n--b--",
	    V T "multipart/mixed; boundary=b\r\n" E "7bit\r\n\r\n"
	    "--b\r\n--b\r\n\r\n--b\r\n" E "base64\r\n" T "a/b\r\n\r\n--b\r\n"
	    E "base64\r\n" T "a/b\r\n\r\n\r\n--b\r\n" E "quoted-printable\r\n"
	    T "text/a\r\n\r\n--b--" },
	{ "a multipart without a part", 0,
	    V T "multipart/mixed; boundary=b\r\n\r\n\xe4\r\n--c\r\n", FIXED },
	{ "the same, 7-bit", 0,
	    V T "multipart/mixed; boundary=b\r\n\r\na\r\n--c\r\n", NULL },
	{ "the end of a multipart without a part", 0,
	    V T "multipart/mixed; boundary=b\r\n\r\n\xe4\r\n--b--\r\n", FIXED },
	{ "a multipart without a part inside another", 0,
	    V T "multipart/mixed; boundary=o\r\n\r\n--o\r\n"
	    T "multipart/mixed; boundary=b\r\n\r\n\xe4\r\n--o--\r\n", FIXED },
	{ "octets before the parts of one multipart, and behind those of another", 0,
	    V T "multipart/mixed; boundary=o\r\n\r\n--o\r\n"
	    T "multipart/mixed; boundary=b\r\n\r\n\xe4\r\n--b\r\n\r\na\r\n"
	    "--b--\r\n\xe4\r\n--o--\r\n\xe4\r\n",
	    V T "multipart/mixed; boundary=o\r\n\r\n--o\r\n"
	    T "multipart/mixed; boundary=b\r\n\r\n?\r\n--b\r\n\r\na\r\n"
	    "--b--\r\n?\r\n--o--\r\n?\r\n" },
	{ "multiparts inside each other, one without an end", 0,
	    V T "multipart/a; boundary=b\r\n\r\n--b\r\n"
	    T "multipart/a; boundary=bb\r\n" E "8bit\r\n\r\n"
	    "--bb\r\n\r\n1\xe4\r\n--bb\r\n\r\n2\xe4\r\n"
	    "--b\r\n\r\n3\xe4\r\n--bb\r\n\r\n--b--\r\n",
	    V T "multipart/a; boundary=b\r\n\r\n--b\r\n"
	    T "multipart/a; boundary=bb\r\n" E "7bit\r\n\r\n"
	    "--bb\r\n" T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n1=E4\r\n"
	    "--bb\r\n" T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n2=E4\r\n"
	    "--b\r\n" T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n3=E4\r\n--bb\r\n\r\n--b--\r\n" },
	{ "a message, a digest", 0,
	    V T "multipart/digest; boundary=----=_b\r\n" E "8bit\r\n\r\n"
	    "------=_b\r\n" E "8bit\r\n\r\nA: b\r\n\r\n\xe4\r\n------=_b\r\n"
	    "\r\nA: b\r\n\r\nc\r\n------=_b--\r\n",
	    V T "multipart/digest; boundary=----=_b\r\n" E "7bit\r\n\r\n"
	    "------=_b\r\n" E "7bit\r\n\r\nA: b\r\n" V
	    T "text/plain; charset=unknown-8bit\r\n" E "quoted-printable\r\n\r\n"
	    "=E4\r\n------=_b\r\n\r\nA: b\r\n\r\nc\r\n------=_b--\r\n" },
	{ "signed", 0,
	    V T "multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xe4\r\n--b--",
	    FIXED },
	{ "signed and 7-bit, beside what is not", 0,
	    V T "multipart/mixed; boundary=o\r\n\r\n--o\r\n"
	    T "multipart/signed; boundary=b\r\n" E "8bit\r\n\r\n--b\r\n"
	    E "8bit\r\n\r\na= \r\n--b--\r\n--o\r\n" T "a/b\r\n\r\n\xe4\r\n--o--",
	    V T "multipart/mixed; boundary=o\r\n\r\n--o\r\n"
	    T "multipart/signed; boundary=b\r\n" E "8bit\r\n\r\n--b\r\n"
	    E "8bit\r\n\r\na= \r\n--b--\r\n--o\r\n" T "a/b\r\n"
	    E "base64\r\n\r\n5A==\r\n--o--" },
	{ "signed, with a boundary that begins as the one around it", 0,
	    V T "multipart/mixed; boundary=b\r\n\r\n--b\r\n"
	    T "multipart/signed; boundary=bb\r\n\r\n--bb\r\n" E "8bit\r\n"
	    "\r\na=\r\n--bb--\r\n--bb\r\n\r\n--b\r\n\r\n--b--\r\n", NULL },
	{ "message/partial", 0,
	    V T "message/partial; id=a\r\n" E "8bit\r\n\r\n\xe4\r\n", FIXED },
	{ "message/global", 0,
	    V T "message/global\r\n" E "8bit\r\n\r\nA: \xc3\xa4\r\n\r\n",
	    V T "message/global\r\n" E "base64\r\n\r\nQTogw6QNCg0K\r\n" },
	{ "a boundary twice", 0,
	    T "multipart/a; boundary=b; boundary=c\r\n\r\n--b\r\n\r\n\xe4\r\n",
	    FIXED },
	{ "a boundary in pieces (RFC 2231)", 0,
	    T "multipart/a; boundary*0=b; boundary*1=c\r\n\r\n--bc\r\n\r\n\xe4",
	    FIXED },
	{ "a boundary without an end of its quotes", 0,
	    T "multipart/a; boundary=\"b\r\n\r\n--b\r\n\r\n\xe4", FIXED },
	{ "no boundary", 0, T "multipart/a\r\n\r\n\xe4", FIXED },
	{ "two types", 0,
	    T "text/plain\r\n" T "multipart/a; boundary=b\r\n\r\n--b\r\n\r\n"
	    "\xe4", FIXED },
	{ "two types of content", 0, V T "a/b\r\n" T "c/d\r\n" E "8bit\r\n\r\n"
	    "\xe4", V T "a/b\r\n" T "c/d\r\n" E "base64\r\n\r\n5A==\r\n" },
	{ "a type that is none", 0, V T ";\r\n" E "8bit\r\n\r\n\xe4",
	    V T ";\r\n" E "quoted-printable\r\n\r\n=E4" },
	/* lines */
	{ "CR and LF alone, in a text", 0, "A: b\n\n\xe4\rb\r",
	    "A: b\r\n" V T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n=E4\r\nb\r\n" },
	{ "binary", BINARY,
	    V T "text/a\r\n" E "binary\r\n\r\na\nb\r\n",
	    V T "text/a\r\n" E "base64\r\n\r\nYQpiDQo=\r\n" },
	{ "binary parts", BINARY,
	    V T "multipart/a; boundary=b\r\n" E "binary\r\n\r\n--b\r\n"
	    E "binary\r\n" T "a/b\r\n\r\n\n--b\r\n--b\r\n\r\n\n\r\n--b--\r\n",
	    V T "multipart/a; boundary=b\r\n" E "7bit\r\n\r\n--b\r\n"
	    E "base64\r\n" T "a/b\r\n\r\nCi0tYg==\r\n--b\r\n"
	    T "text/plain; charset=unknown-8bit\r\n"
	    E "quoted-printable\r\n\r\n=0A\r\n--b--\r\n" },
	{ "binary that is signed", BINARY,
	    V T "multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\n\r\n", FIXED },
	{ "binary before the parts", BINARY,
	    V T "multipart/a; boundary=b\r\n\r\na\n--b\r\n", FIXED },
	{ "the same, a CR", BINARY,
	    V T "multipart/a; boundary=b\r\n\r\na\r\xe4\r\n--b\r\n", FIXED },
	{ "binary to 8-bit", BINARY | TAKES_8,
	    "A: \xe4\r\n" V T "multipart/a; boundary=b\r\n" E "binary\r\n\r\n"
	    "\xe4\r\n--b\r\n" E "8bit\r\n\r\n\xe4\r\n--b\r\n\r\n\xe4\r\n--b\r\n"
	    T "a/b\r\n" E "binary\r\n\r\n\xe4\r\n--b--\r\n",
	    "A: \xe4\r\n" V T "multipart/a; boundary=b\r\n" E "8bit\r\n\r\n"
	    "\xe4\r\n--b\r\n" E "8bit\r\n\r\n\xe4\r\n--b\r\n\r\n\xe4\r\n--b\r\n"
	    T "a/b\r\n" E "base64\r\n\r\n5A==\r\n--b--\r\n" },
};

static bool was_binary;	/* what could not be converted last */

/* Return the octets, or -1. */
static ssize_t
convert(int flags, const char *in, size_t len, size_t piece, char *out,
    size_t size, enum mime_why *why_r)
{
	struct mime_convert_options options = { .is_binary = flags & BINARY,
		.takes_8bit = flags & TAKES_8, .takes_utf8 = flags & TAKES_U };
	struct mime_convert *m = mime_convert_new(&options);
	size_t at = 0, used, n = 0, left;
	char room[MIME_CONVERT_ROOM];
	ssize_t got;

	cr_assert_not_null(m);
	do {
		left = len - at < piece ? len - at : piece;
		got = mime_convert_next(m, in + at, left, at + left == len,
		    &used, room, sizeof(room));
		cr_assert(used <= left);
		if (got == -1)
			break;
		cr_assert((size_t)got <= size - n);
		memcpy(out + n, room, (size_t)got);
		n += (size_t)got;
		at += used;
	} while (got > 0 || used > 0 || at < len);
	*why_r = mime_convert_why(m);
	was_binary = mime_convert_is_binary(m);
	mime_convert_free(m);
	return got == -1 ? -1 : (ssize_t)n;
}

static void
check(size_t i, size_t piece)
{
	const char *want = cases[i].out != NULL ? cases[i].out : cases[i].in;
	enum mime_why why;
	char out[4096];
	ssize_t n;

	n = convert(cases[i].flags, cases[i].in, strlen(cases[i].in), piece,
	    out, sizeof(out) - 1, &why);
	if (want == HEADER || want == FIXED) {
		cr_assert_eq(n, -1, "%s", cases[i].name);
		cr_assert_eq(why, want == HEADER ? MIME_WHY_HEADER :
		    MIME_WHY_FIXED, "%s", cases[i].name);
		return;
	}
	cr_assert_geq(n, 0, "%s: why %d", cases[i].name, why);
	out[n] = '\0';
	cr_assert_str_eq(out, want, "%s, %zu: %s", cases[i].name, piece, out);
}

Test(mime_convert, any_fragments_give_the_same_octets)
{
	size_t i, piece;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (piece = 1; piece <= 40; piece++)
			check(i, piece);
}

Test(mime_convert, what_was_converted_is_not_changed_again)
{
	enum mime_why why;
	char out[4096];
	const char *s;
	ssize_t n;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = cases[i].out != NULL ? cases[i].out : cases[i].in;
		if (s == HEADER || s == FIXED || cases[i].flags != 0)
			continue;
		n = convert(0, s, strlen(s), 7, out, sizeof(out), &why);
		cr_assert_eq(n, (ssize_t)strlen(s), "%s", cases[i].name);
		cr_assert_eq(memcmp(out, s, (size_t)n), 0, "%s", cases[i].name);
	}
}

/* Of a binary message, too, it may be 8-bit text that the next hop does not take. */
Test(mime_convert, it_is_said_whether_8_bit_text_or_binary_data_cannot_be_sent)
{
	static const struct {
		int		 flags;
		const char	*in;
		bool		 is_binary;
	} rows[] = {
		{ 0, "A: \xe4\r\n\r\na\r\n", false },
		{ BINARY, "A: \xe4\r\n\r\na\r\n", false },
		{ BINARY, "A: b\nc\r\n\r\na\r\n", true },
		{ BINARY, E "base64\r\n\r\n\xe4\r\n", false },
		{ BINARY, E "base64\r\n\r\na\rb\r\n", true },
		{ BINARY | TAKES_8, E "base64\r\n\r\n\xe4\n", true },
		/* the first part may not be replaced, which is known at the end */
		{ BINARY, T "multipart/a; boundary=b\r\n\r\n\xe4\r\n", false },
		{ BINARY, T "multipart/a; boundary=b\r\n\r\na\nb", true },
	};
	enum mime_why why;
	char out[1000];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(convert(rows[i].flags, rows[i].in,
		    strlen(rows[i].in), 5000, out, sizeof(out), &why), -1,
		    "%zu", i);
		cr_expect_eq(was_binary, rows[i].is_binary, "%zu", i);
	}
}

/* --- bounds ------------------------------------------------------------------- */

/* ${len} octets of ${fill} between two texts. */
static ssize_t
convert_long(const char *before, char fill, size_t len, const char *after,
    char **out_r, enum mime_why *why_r)
{
	size_t b = strlen(before), a = strlen(after), n = b + len + a;
	char *in = malloc(n);
	ssize_t got;

	*out_r = malloc(4 * n + 1000);
	cr_assert(in != NULL && *out_r != NULL);
	memcpy(in, before, b);
	memset(in + b, fill, len);
	memcpy(in + b + len, after, a);
	got = convert(0, in, n, 5000, *out_r, 4 * n + 999, why_r);
	if (got >= 0)
		(*out_r)[got] = '\0';
	free(in);
	return got;
}

Test(mime_convert, a_header_that_is_too_long_is_not_read)
{
	enum mime_why why;
	char *out;
	ssize_t n;

	n = convert_long("A: ", 'x', LIM_MIME_HELD, "\r\n\r\nb\r\n", &out, &why);
	cr_assert_eq(n, 3 + LIM_MIME_HELD + 7);
	free(out);
	n = convert_long("A: ", 'x', LIM_MIME_HELD, "\r\n\r\n\xe4\r\n", &out,
	    &why);
	cr_assert(n == -1 && why == MIME_WHY_FIXED);
	free(out);
	n = convert_long("A: ", 'x', LIM_MIME_HELD / 2, "\r\n\r\n\xe4\r\n", &out,
	    &why);
	cr_assert(n > 0 && strstr(out, "\r\n\r\n=E4\r\n") != NULL);
	free(out);
}

Test(mime_convert, a_long_7bit_part_is_encoded_unless_it_says_what_it_is)
{
	enum mime_why why;
	char *out;
	ssize_t n;

	n = convert_long("\r\n", 'x', 2 * LIM_MIME_HELD, "\xe4", &out, &why);
	cr_assert(n > 0 && strstr(out, E "quoted-printable\r\n\r\nxxx") != NULL);
	cr_assert_str_eq(strrchr(out, '='), "=E4");
	free(out);
	n = convert_long(E "7bit\r\n\r\n", 'x', 2 * LIM_MIME_HELD, "\r\n", &out,
	    &why);
	cr_assert_eq(n, (ssize_t)strlen(E "7bit\r\n\r\n\r\n") +
	    2 * LIM_MIME_HELD);
	free(out);
	n = convert_long(E "7bit\r\n\r\n", 'x', 2 * LIM_MIME_HELD, "\xe4", &out,
	    &why);
	cr_assert(n == -1 && why == MIME_WHY_LATE);
	free(out);
}

/* The reason is the one of the part in which the octet is. */
Test(mime_convert, a_part_behind_a_long_one_is_refused_for_its_own_reason)
{
	static const char before[] = V T "multipart/a; boundary=b\r\n\r\n--b\r\n"
	    E "7bit\r\n\r\n";
	enum mime_why why;
	char *out;

	cr_assert_eq(convert_long(before, 'x', 2 * LIM_MIME_HELD,
	    "\r\n--b\r\n" E "base64\r\n\r\n\xe4\r\n", &out, &why), -1);
	cr_expect_eq(why, MIME_WHY_FIXED);
	free(out);
	cr_assert_eq(convert_long(before, 'x', 2 * LIM_MIME_HELD,
	    "\xe4\r\n--b--\r\n", &out, &why), -1);
	cr_expect_eq(why, MIME_WHY_LATE);
	free(out);
	cr_expect_gt(convert_long(before, 'x', 2 * LIM_MIME_HELD,
	    "\r\n--b\r\n" E "8bit\r\n\r\n\xe4\r\n--b--\r\n", &out, &why),
	    0);
	free(out);
}

/* ${depth} multiparts inside each other, and a part with ${c}. */
static ssize_t
convert_deep(size_t depth, const char *c, enum mime_why *why_r)
{
	size_t size = depth * 80 + 100, n = 0, i;
	char *in = malloc(size), *out = malloc(2 * size);
	ssize_t got;

	cr_assert(in != NULL && out != NULL);
	for (i = 0; i < depth; i++)
		n += (size_t)snprintf(in + n, size - n,
		    T "multipart/a; boundary=b%zu.\r\n\r\n--b%zu.\r\n", i, i);
	n += (size_t)snprintf(in + n, size - n, "\r\n%s\r\n", c);
	got = convert(0, in, n, 5000, out, 2 * size, why_r);
	free(in);
	free(out);
	return got;
}

Test(mime_convert, too_many_multiparts_are_not_looked_into)
{
	enum mime_why why;

	cr_assert_gt(convert_deep(LIM_MIME_DEPTH, "\xe4", &why), 0);
	cr_assert_eq(convert_deep(LIM_MIME_DEPTH + 1, "\xe4", &why), -1);
	cr_assert_eq(why, MIME_WHY_FIXED);
	cr_assert_gt(convert_deep(10000, "a", &why), 0);
	cr_assert_eq(convert_deep(10000, "\xe4", &why), -1);
}
