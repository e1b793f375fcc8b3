#include "core/table/aliases.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/lim.h"
#include "test/unit/core/table/table_file.h"

static char err[400];

/* What an address may be is not the table's. */
static const char *
as_it_is(const void *, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	memcpy(text_r, s, *len);
	return *len == 3 && memcmp(s, "bad", 3) == 0 ? "not an address" : NULL;
}

static struct aliases *
load(const char *text, size_t len)
{
	struct aliases *a;

	table_write(text, len, 0600);
	*err = '\0';
	a = aliases_load(table_path, as_it_is, as_it_is, NULL, err,
	    sizeof(err));
	unlink(table_path);
	return a;
}

static struct aliases *
good(const char *text)
{
	struct aliases *a = load(text, strlen(text));

	cr_assert_not_null(a, "%s", err);
	return a;
}

/* Who gets the mail of ${address}, with " " between them */
static const char *
who(const struct aliases *a, const char *address, bool is_exact)
{
	static char text[400];
	const char *s = aliases_find(a, address, is_exact);

	*text = '\0';
	if (s == NULL) {
		cr_expect_eq(errno, ENOENT);
		return "none";
	}
	for (; *s != '\0'; s += strlen(s) + 1) {
		if (*text != '\0')
			strcat(text, " ");
		strcat(text, s);
	}
	return text;
}

#define WHO(address, text) \
	cr_expect_str_eq(who(a, address, false), text, "%s", address)

Test(aliases, reads_the_tables_of_virtual_5)
{
	struct aliases *a = good(
	    "# our people\n"
	    "\n"
	    "ann@a.test\tann.b@b.test, Carl@c.test\n"
	    "team\t\tann,bob  carl\r\n"
	    "# who came last\n"
	    "    dora@d.test,\n"
	    "\n"
	    "\t, eve\n"
	    "@moved.test\t@new.test\n"
	    "\"a b\"@a.test x\n"
	    "user@[IPv6:2001:db8::1] y");

	cr_expect_eq(aliases_count(a), 5);
	WHO("ann@a.test", "ann.b@b.test Carl@c.test");
	WHO("ANN@A.Test", "ann.b@b.test Carl@c.test");
	WHO("ann@b.test", "none");
	WHO("team@any.test", "ann bob carl dora@d.test eve");
	WHO("joe@moved.test", "@new.test");
	WHO("team@moved.test", "ann bob carl dora@d.test eve");
	WHO("\"a b\"@a.test", "x");
	WHO("user@[IPv6:2001:db8::1]", "y");
	WHO("", "none");
	WHO("@", "none");
	cr_expect_str_eq(who(a, "joe@moved.test", true), "none");
	aliases_free(a);
}

Test(aliases, reads_the_tables_of_aliases_5)
{
	struct aliases *a = good(
	    "postmaster: root\n"
	    "root:joe,ann@x.test\n"
	    "list :\n"
	    "  a,\n"
	    "  b\n"
	    "owner-list: ann\n"
	    "\"with space\": joe\n"
	    "u@[IPv6:::1]: v\n");

	WHO("postmaster@a.test", "root");
	WHO("root@a.test", "joe ann@x.test");
	WHO("list@a.test", "a b");
	WHO("owner-list@a.test", "ann");
	WHO("\"with space\"@a.test", "joe");
	WHO("u@[IPv6:::1]", "v");
	aliases_free(a);
}

Test(aliases, an_empty_file_has_none)
{
	struct aliases *a = good("");

	WHO("a@b.test", "none");
	cr_expect_eq(aliases_count(a), 0);
	aliases_free(a);
	aliases_free(NULL);
}

static const struct {
	const char	*text;
	const char	*why;
} bad[] = {
	{ "a: |/bin/sh\n", ":1: |/bin/sh: mail is not given to a program" },
	{ "a: \"|/bin/sh -c x\"\n", ":1: \"|/bin/sh -c x\": mail is not given" },
	{ "a: b\nc: /dev/null\n", ":2: /dev/null: mail is not appended" },
	{ "a: \"/var/mail/x\"\n", "mail is not appended" },
	{ "a: :include:/etc/list\n", "no other files are included" },
	{ "a: \\a\n", "a backslash before an address" },
	{ "a:\nb: c\n", ":1: nobody gets the mail of this alias" },
	{ "b: c\na\n", ":2: nobody gets the mail of this alias" },
	{ "a ,\n", "nobody gets the mail" },
	{ ": a\n", ":1: expected an address first" },
	{ " a: b\n", ":1: the first line begins with white space" },
	{ "a: b\n\nA: c\n", ":3: this alias is also in line 1" },
	{ "bad: b\n", ":1: not an address" },
	{ "a: b\n bad\n", ":2: bad: not an address" },
	{ "a: b\001\n", ":1: a control character" },
	{ "\xef\xbb\xbf" "a: b\n", ":1: a byte order mark" },
};

Test(aliases, says_which_line_is_wrong_and_why)
{
	struct aliases *a;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = load(bad[i].text, strlen(bad[i].text));
		cr_expect_null(a, "%s", bad[i].text);
		cr_expect_not_null(strstr(err, bad[i].why), "%s", err);
		aliases_free(a);
	}
	cr_expect_null(load("a: b\0c\n", 7));
	cr_expect_null(aliases_load("/nowhere/a", as_it_is, as_it_is, NULL, err,
	    sizeof(err)));
	cr_expect_not_null(strstr(err, "/nowhere/a: cannot be read: "));
}

Test(aliases, one_that_is_longer_than_an_address_is_refused)
{
	char text[TEXTFILE_ADDRESS_MAX + 20];
	struct aliases *a;
	size_t max = TEXTFILE_ADDRESS_MAX;

	memset(text, 'x', sizeof(text));
	memcpy(text + max, ": b\n", 5);
	a = good(text);
	aliases_free(a);
	memset(text, 'x', sizeof(text));
	memcpy(text + max + 1, ": b\n", 5);
	cr_expect_null(load(text, strlen(text)));
	cr_expect_not_null(strstr(err, "longer than an address"), "%s", err);
	memset(text, 'x', sizeof(text));
	memcpy(text, "a: ", 3);
	memcpy(text + 3 + max + 1, "\n", 2);
	cr_expect_null(load(text, strlen(text)));
	cr_expect_not_null(strstr(err, "longer than an address"), "%s", err);
}

/* What could never be delivered is refused; in all there may be more. */
Test(aliases, one_that_lists_too_many_is_refused)
{
	size_t n = LIM_ALIAS_RCPTS, i, len;
	char *text = malloc(2 * n * 12 + 20), *p = text;

	p += sprintf(p, "a:");
	for (i = 0; i < n; i++)
		p += sprintf(p, " m%zu\n", i);
	p += sprintf(p, "b:");
	for (i = 0; i < n; i++)
		p += sprintf(p, " m%zu\n", i);
	aliases_free(good(text));
	len = (size_t)(p - text);
	memcpy(p, " x\n", 4);
	cr_expect_null(load(text, len + 3));
	cr_expect_not_null(strstr(err, ":100001: more than 50000 addresses"),
	    "%s", err);
	free(text);
}

Test(aliases, a_list_of_many_and_many_lists)
{
	size_t n = 20000, len = 0, i, found = 0;
	char *text = malloc(n * 60), address[60];
	struct aliases *a;
	const char *s;

	len += (size_t)sprintf(text + len, "list:\n");
	for (i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, " member%zu@m.test,\n", i);
	for (i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "a%zu: b%zu\n", i, i);
	a = good(text);
	free(text);
	cr_expect_eq(aliases_count(a), n + 1);
	for (s = aliases_find(a, "list@a.test", false); *s != '\0';
	    s += strlen(s) + 1)
		found++;
	cr_expect_eq(found, n);
	snprintf(address, sizeof(address), "a%zu@x.test", n - 1);
	WHO(address, "b19999");
	aliases_free(a);
}
