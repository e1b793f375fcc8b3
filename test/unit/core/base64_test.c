#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/base64.h"

/* RFC 4648 10 */
static const struct { const char *plain, *text; } vectors[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }, { "\xfb\xef\xbe\xff", "++++/w==" },
};

Test(base64, does_the_vectors_of_the_rfc_both_ways)
{
	char buf[32];
	size_t i, len;
	ssize_t n;

	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		len = strlen(vectors[i].plain);
		cr_expect_eq(base64_octets(len), strlen(vectors[i].text));
		n = base64_encode(vectors[i].plain, len, buf, sizeof(buf));
		cr_expect_eq(n, (ssize_t)strlen(vectors[i].text));
		cr_expect_str_eq(buf, vectors[i].text);
		n = base64_decode(vectors[i].text, strlen(vectors[i].text),
		    buf, sizeof(buf));
		cr_expect_eq(n, (ssize_t)len, "%s", vectors[i].text);
		cr_expect_eq(memcmp(buf, vectors[i].plain, len), 0);
	}
}

Test(base64, every_octet_survives)
{
	char in[256], text[400], out[256];
	size_t len, i;
	ssize_t n;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7 + 3);
	for (len = 0; len <= sizeof(in); len++) {
		n = base64_encode(in, len, text, sizeof(text));
		cr_assert_eq(n, (ssize_t)base64_octets(len));
		cr_assert_eq(base64_decode(text, (size_t)n, out, len),
		    (ssize_t)len);
		cr_assert_eq(memcmp(in, out, len), 0);
	}
}

/* RFC 4954 4, RFC 4648 3: nothing is skipped, completed or rounded. */
static const char *const bad[] = {
	"A", "AA", "AAA", "AAAAA", "=", "==", "===", "====", "A===", "=AAA",
	"AA=A", "AAA=BBB=", "AAA=BBBB", "Zg==Zg==", "Zh==", "Zm9=", "Zm 9",
	" Zm9", "Zm9\n", "Zm9v\r\n==", "Zm-_", "Zm9*", "Zm9\x80", "*",
};

Test(base64, what_is_not_exact_is_refused)
{
	char buf[32];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(base64_decode(bad[i], strlen(bad[i]), buf,
		    sizeof(buf)), -1, "%s", bad[i]);
		cr_expect_eq(errno, EINVAL, "%s", bad[i]);
	}
	cr_expect_eq(base64_decode("Zm\0v", 4, buf, sizeof(buf)), -1);
}

Test(base64, a_buffer_too_small_is_not_written_over)
{
	char buf[8] = "xxxxxxx";

	cr_expect_eq(base64_decode("Zm9vYmFy", 8, buf, 5), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_eq(buf[5], 'x');
	cr_expect_eq(base64_decode("Zm9vYmE=", 8, buf, 5), 5);
	cr_expect_eq(base64_encode("foo", 3, buf, 4), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_eq(base64_encode("foo", 3, buf, 5), 4);
}
