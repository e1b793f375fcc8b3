#include <criterion/criterion.h>
#include <string.h>

#include "cmd/settings/settings_int.h"

/* out NULL: refused, with a text in which ${why} is */
static const struct { const char *in, *out, *why; } cases[] = {
	{ "user", "user", NULL },
	{ "user@Example.Test", "user@example.test", NULL },
	{ "@Example.Test", "@example.test", NULL },
	{ "*", "*", NULL },
	{ "@[192.0.2.1]", "@[192.0.2.1]", NULL },
	/* RFC 5321 4.1.2: the form that a session makes of it */
	{ "\"user\"@example.test", "user@example.test", NULL },
	{ "\"us\\er\"", "user", NULL },
	{ "\"odd\\ user\"@example.test", "\"odd user\"@example.test", NULL },
	{ "\"odd user\"", "\"odd user\"", NULL },
	{ "\"a@b\"", "\"a@b\"", NULL },
	{ "\"a@b\"@example.test", "\"a@b\"@example.test", NULL },
	{ "<user@example.test>", NULL, "without < and >" },
	{ "user@example.test>", NULL, "without < and >" },
	{ "<user>", NULL, "without < and >" },
	{ "user@example.test.", NULL, "without a dot" },
	{ "@example.test.", NULL, "without a dot" },
	{ "user\xc2\xa0", NULL, "invisible" },
	{ "user@example.test\xc2\xa0", NULL, "IDNA2008" },
	{ "d\xc3\xbcrer@example.test", "d\xc3\xbcrer@example.test", NULL },
	{ "du\xcc\x88rer", "d\xc3\xbcrer", NULL },
	{ "@D\xc3\x9cRER.test", "@xn--drer-0ra.test", NULL },
	{ "@XN--drer-0ra.test", "@xn--drer-0ra.test", NULL },
	{ "d\xfcrer", NULL, "not UTF-8" },
	{ "user@", NULL, "not an address" },
	{ "a..b@example.test", NULL, "not an address" },
	{ "user@exam!ple.test", NULL, "not an address" },
	{ "@x.test:user@example.test", NULL, "not an address" },
	{ "mailto:user@example.test", NULL, "not an address" },
	{ "\"user", NULL, "not an address" },
	{ "user@_", NULL, "not an address" },
};

Test(settings_address, is_as_a_session_has_it_or_refused)
{
	const char *why;
	size_t i, len;
	char text[TEXTFILE_ADDRESS_MAX];

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		why = settings_address(NULL, cases[i].in, &len, text);
		if (cases[i].out == NULL) {
			cr_expect_not_null(why, "%s", cases[i].in);
			cr_expect(why != NULL && strstr(why, cases[i].why) !=
			    NULL, "%s: %s", cases[i].in, why);
			continue;
		}
		cr_expect_null(why, "%s: %s", cases[i].in, why);
		cr_expect(len == strlen(cases[i].out) &&
		    memcmp(text, cases[i].out, len) == 0, "%s: %.*s",
		    cases[i].in, (int)len, text);
	}
}

Test(settings_address, one_that_is_too_long_is_refused)
{
	char in[511], text[TEXTFILE_ADDRESS_MAX];
	size_t len = sizeof(in);

	memset(in, 'a', sizeof(in));
	in[100] = '@';
	cr_expect_not_null(settings_address(NULL, in, &len, text));
}
