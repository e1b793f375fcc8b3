#include "cmd/sendmail/send_address.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The addresses of ${text}, with a space behind each; or "!" and the bad one */
static const char *
take(const char *text)
{
	static char out[4096];
	struct send_list list = { .v = NULL };
	char bad[SEND_ADDRESS_MAX];
	size_t i, n = 0;

	*out = '\0';
	if (send_list_take(&list, text, "host.test", bad) == -1) {
		cr_expect_eq(errno, EINVAL);
		snprintf(out, sizeof(out), "!%s", bad);
	} else
		for (i = 0; i < list.n; i++)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s ",
			    list.v[i]);
	send_list_free(&list);
	return out;
}

Test(send_address, an_argument_has_one_or_several)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "root", "root@host.test " },
		{ "<root>", "root@host.test " },
		{ "A.B@Example.ORG", "A.B@example.org " },
		{ "a@x.test,b@x.test , c", "a@x.test b@x.test c@host.test " },
		{ "\"Doe, J.\" <j@x.test>, k@x.test (K.)", "j@x.test k@x.test " },
		{ "team: a@x.test, b;", "a@x.test b@host.test " },
		{ "\"a b\"@x.test", "\"a b\"@x.test " },
		{ "a@[192.0.2.1]", "a@[192.0.2.1] " },
		{ "", "" }, { "none:;", "" },
		{ "a b@x.test", "!a b@x.test" }, { "a@", "!a@" },
		{ "@x.test", "!@x.test" }, { "a@b@c", "!a@b@c" },
		{ "a\nb", "!a\nb" }, { "a\r", "!a\r" }, { "a@x..y", "!a@x..y" }
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(take(cases[i].text), cases[i].want, "%s",
		    cases[i].text);
}

Test(send_address, one_that_is_too_long_is_none)
{
	char text[3000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_expect_eq(take(text)[0], '!');
	/* and one that becomes so with its domain */
	text[250] = '\0';
	cr_expect_eq(take(text)[0], '!');
	text[240] = '\0';
	cr_expect_eq(take(text)[0], 'a');
}

Test(send_address, without_a_domain_only_where_one_is_known)
{
	char out[SEND_ADDRESS_MAX];

	cr_expect_eq(send_address("a", 1, NULL, out), -1);
	cr_expect_eq(send_address("a", 1, "", out), -1);
	cr_expect_eq(send_address("", 0, "x", out), -1);
	cr_expect_eq(send_address("a@b", 3, NULL, out), 0);
	cr_expect_str_eq(out, "a@b");
}

Test(send_address, each_is_in_the_list_once)
{
	struct send_list list = { .v = NULL };
	char bad[SEND_ADDRESS_MAX];

	send_list_unique(&list);
	cr_expect_eq(send_list_take(&list, "b,a,b,c,a,a", "x", bad), 6);
	send_list_unique(&list);
	cr_assert_eq(list.n, 3);
	cr_expect_str_eq(list.v[0], "a@x");
	cr_expect_str_eq(list.v[2], "c@x");
	send_list_free(&list);
}
