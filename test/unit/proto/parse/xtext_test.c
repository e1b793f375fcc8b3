/* xtext: what is one, and what it stands for. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/parse/xtext.h"

static const struct { const char *xtext, *text; } good_xtext[] = {
	{ "", "" }, { "a@b.example", "a@b.example" }, { "<>", "<>" },
	{ "e+3Dmc2", "e=mc2" }, { "+2B+2b", NULL }, { "+2B", "+" },
	{ "+", NULL }, { "+4", NULL }, { "+4G", NULL }, { "a+", NULL },
	{ "a b", NULL }, { "a=b", NULL }, { "a\tb", NULL },
	{ "a\x80", NULL }, { "+00x", "\0x" }, { "~!", "~!" },
};

Test(xtext, is_decoded_as_rfc_3461_has_it)
{
	char buf[32];
	ssize_t n, want;
	size_t i;

	for (i = 0; i < sizeof(good_xtext) / sizeof(good_xtext[0]); i++) {
		n = xtext_decode(good_xtext[i].xtext,
		    strlen(good_xtext[i].xtext), buf, sizeof(buf));
		want = good_xtext[i].text == NULL ? -1 :
		    strcmp(good_xtext[i].xtext, "+00x") == 0 ? 2 :
		    (ssize_t)strlen(good_xtext[i].text);
		cr_expect_eq(n, want, "%s: %zd", good_xtext[i].xtext, n);
		if (n > 0 && want == n)
			cr_expect_eq(memcmp(buf, good_xtext[i].text,
			    (size_t)n), 0, "%s", good_xtext[i].xtext);
	}
	cr_expect_eq(xtext_decode("abc", 3, buf, 2), -1);
	cr_expect_eq(errno, ENOSPC);
	cr_expect_eq(xtext_decode("+41+42", 6, buf, 2), 2);
}
