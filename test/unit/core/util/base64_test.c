#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"

/* RFC 4648 10: the test vectors, and more */
static const struct {
	const char	*octets, *text;
} rows[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }, { "\xfb\xff\xfe", "+//+" },
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

Test(base64, gives_the_vectors_of_rfc_4648_both_ways)
{
	char text[16], octets[16];
	size_t i, n;

	for (i = 0; i < NROWS; i++) {
		n = strlen(rows[i].octets);
		cr_expect_eq(base64_encode(rows[i].octets, n, text,
		    sizeof(text)), (ssize_t)strlen(rows[i].text));
		cr_expect_str_eq(text, rows[i].text);
		cr_expect_eq(base64_decode(text, strlen(text), octets, n),
		    (ssize_t)n, "%s", text);
		cr_expect_eq(memcmp(octets, rows[i].octets, n), 0);
	}
}

Test(base64, refuses_what_is_not_canonical)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "=Zg=",
		"Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm9v====", "====", "Zg==Zg==",
		"Zm9-", "Zm_v", "\xc3\xa4\xc3\xa4", "Z===" };
	char octets[16];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(base64_decode(bad[i], strlen(bad[i]), octets,
		    sizeof(octets)), -1, "%s", bad[i]);
	cr_expect_eq(base64_decode("Zg\0=", 4, octets, sizeof(octets)), -1);
}

Test(base64, says_when_there_is_no_room)
{
	char text[8], octets[2];

	cr_expect_eq(base64_encode("foobar", 6, text, sizeof(text)), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_eq(base64_decode("Zm9v", 4, octets, sizeof(octets)), -1);
	cr_expect_eq(errno, ENOSPC);
}

Test(base64, all_octets_come_back)
{
	unsigned char in[256], out[256];
	char text[512];
	size_t i, len;
	ssize_t n;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(i * 7);
	for (len = 0; len <= sizeof(in); len++) {
		n = base64_encode(in, len, text, sizeof(text));
		cr_assert_eq(n, (ssize_t)base64_octets(len));
		cr_assert_eq(base64_decode(text, (size_t)n, out, len),
		    (ssize_t)len);
		cr_assert_eq(memcmp(in, out, len), 0);
	}
}
