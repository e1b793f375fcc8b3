/* Quoted-printable and base64, octet by octet, against decoders. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "proto/mime/mime_encode.h"
#include "test/lib/simrand.h"

#define OCTETS	400

static size_t
encode(bool is_base64, bool is_delimited, const char *in, size_t len, char *out)
{
	struct mime_encoder e = { .is_base64 = is_base64 };
	size_t i, n = 0, got;

	for (i = 0; i < len; i++, n += got) {
		got = mime_encode(&e, (unsigned char)in[i], out + n);
		cr_assert_leq(got, MIME_ENCODE_MORE);
	}
	got = mime_encode_end(&e, is_delimited, out + n);
	cr_assert_leq(got, MIME_ENCODE_MORE);
	return n + got;
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ?
	    c - 'A' + 10 : -1;
}

/* RFC 2045 6.7: decode, and check each line. */
static size_t
decode_qp(const char *s, size_t len, char *out)
{
	size_t i = 0, n = 0, column = 0;

	while (i < len) {
		cr_assert(s[i] > 0 && s[i] < 127);
		cr_assert(column > 0 || s[i] != '-');
		column++;
		if (s[i] == '=' && s[i + 1] == '\r') {
			cr_assert_leq(column, 76);
			i += 3;
			column = 0;
		} else if (s[i] == '=') {
			cr_assert(digit(s[i + 1]) >= 0 && digit(s[i + 2]) >= 0);
			out[n++] = (char)(digit(s[i + 1]) << 4 |
			    digit(s[i + 2]));
			column += 2;
			i += 3;
		} else if (s[i] == '\r') {
			cr_assert(s[i + 1] == '\n' && column <= 77);
			cr_assert(i == 0 || (s[i - 1] != ' ' &&
			    s[i - 1] != '\t'));
			memcpy(out + n, "\r\n", 2);
			n += 2;
			i += 2;
			column = 0;
		} else
			out[n++] = s[i++];
	}
	return n;
}

static size_t
decode_base64(const char *s, size_t len, char *out)
{
	char text[4 * OCTETS];
	size_t i, n = 0, column = 0;
	ssize_t got;

	for (i = 0; i < len; i++) {
		if (s[i] == '\r') {
			cr_assert(s[i + 1] == '\n' && column <= 76);
			column = 0;
			i++;
		} else {
			text[n++] = s[i];
			column++;
		}
	}
	got = base64_decode(text, n, out, OCTETS + 8);
	cr_assert_geq(got, 0);
	return (size_t)got;
}

Test(mime_encode, what_is_decoded_is_the_same)
{
	static const char set[] = "a=- \t\r\n\r\n\xe4";
	char in[OCTETS + 2], out[4 * OCTETS + 64], back[OCTETS + 8];
	struct simrand r;
	size_t i, n, len, got, round;

	simrand_seed(&r, 1);
	for (round = 0; round < 20000; round++) {
		len = simrand_below(&r, OCTETS);
		for (i = 0; i < len; i++)
			in[i] = round % 2 == 0 ? (char)simrand_below(&r, 256) :
			    set[simrand_below(&r, sizeof(set) - 1)];
		n = encode(false, false, in, len, out);
		got = decode_qp(out, n, back);
		cr_assert(got == len && memcmp(in, back, len) == 0);
		n = encode(true, false, in, len, out);
		got = decode_base64(out, n, back);
		cr_assert(got == len && memcmp(in, back, len) == 0);
	}
}

/* The CRLF before a boundary is none of the content. */
Test(mime_encode, what_a_boundary_ends_has_one_line_end_less)
{
	char out[64];
	size_t n;

	n = encode(true, true, "abc\r\n", 5, out);
	cr_assert(n == 6 && memcmp(out, "YWJj\r\n", n) == 0);
	n = encode(true, true, "\r\n", 2, out);
	cr_assert(n == 2 && memcmp(out, "\r\n", n) == 0);
	cr_assert_eq(encode(true, true, "", 0, out), 0);
	n = encode(false, true, "a \r\n", 4, out);
	cr_assert(n == 6 && memcmp(out, "a=20\r\n", n) == 0);
	cr_assert_eq(encode(false, true, "", 0, out), 0);
	n = encode(true, false, "abc\r\n", 5, out);
	cr_assert(n == 10 && memcmp(out, "YWJjDQo=\r\n", n) == 0);
}
