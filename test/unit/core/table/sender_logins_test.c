#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table/sender_logins.h"
#include "test/unit/core/table/table_file.h"
#include "test/unit/core/util/utf8_fail.h"

static char err[300];

static const char *
as_it_is(const void *, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	memcpy(text_r, s, *len);
	return NULL;
}

static struct textfile *
load(const char *text, size_t len)
{
	struct textfile *t;

	table_write(text, len, 0600);
	*err = '\0';
	t = sender_logins_load(table_path, as_it_is, NULL, err, sizeof(err));
	unlink(table_path);
	return t;
}

static const char file[] =
    "# who may be whom\n"
    "Alice@Example.Test alice\n"
    "\n"
    "  sales@example.test\talice  bob # both\r\n"
    "sales@example.test carol\n"
    "@example.test boss\n"
    "@open.example *\n"
    "ceo@open.example boss\n"
    "last@example.test d\xc3\xbc" "rer";

static const struct {
	const char	*login, *address;
	bool		 may;
} cases[] = {
	{ "alice", "alice@example.test", true },
	{ "alice", "ALICE@EXAMPLE.TEST", true },
	{ "Alice", "alice@example.test", false },
	{ "bob", "alice@example.test", false },
	/* the exact entry decides, not that of the domain */
	{ "boss", "alice@example.test", false },
	{ "boss", "other@example.test", true },
	{ "alice", "other@example.test", false },
	{ "alice", "sales@example.test", true },
	{ "bob", "sales@example.test", true },
	{ "carol", "sales@example.test", true },
	{ "dave", "sales@example.test", false },
	{ "dave", "x@open.example", true },
	{ "dave", "ceo@open.example", false },
	{ "dave", "CEO@open.example", false },
	{ "boss", "ceo@open.example", true },
	{ "boss", "x@sub.example.test", false },
	{ "boss", "x@elsewhere.example", false },
	{ "d\xc3\xbc" "rer", "last@example.test", true },
	{ "*", "alice@example.test", false },
	{ "", "alice@example.test", false },
	{ "boss", "postmaster", false },
	{ "boss", "@example.test", true },
	{ "boss", "", false },
};

Test(sender_logins, the_most_exact_entry_decides)
{
	struct textfile *t = load(file, sizeof(file) - 1);
	size_t i;

	cr_assert_not_null(t, "%s", err);
	cr_expect_eq(t->nlines, 7);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(sender_logins_may(t, cases[i].login,
		    cases[i].address), cases[i].may, "%s as %s",
		    cases[i].login, cases[i].address);
	textfile_free(t);
}

Test(sender_logins, a_star_is_for_all_that_has_no_entry)
{
	static const char text[] = "* alice\n@example.test bob\n";
	struct textfile *t = load(text, sizeof(text) - 1);

	cr_assert_not_null(t, "%s", err);
	cr_expect(sender_logins_may(t, "alice", "x@elsewhere.example"));
	cr_expect_not(sender_logins_may(t, "bob", "x@elsewhere.example"));
	cr_expect_not(sender_logins_may(t, "alice", "x@example.test"));
	cr_expect(sender_logins_may(t, "bob", "x@example.test"));
	textfile_free(t);
}

Test(sender_logins, an_empty_file_allows_nothing)
{
	struct textfile *t = load("", 0);

	cr_assert_not_null(t, "%s", err);
	cr_expect_eq(t->nlines, 0);
	cr_expect_not(sender_logins_may(t, "alice", "alice@example.test"));
	textfile_free(t);
}

Test(sender_logins, an_address_too_long_is_nobody_s)
{
	struct textfile *t = load("* *\n", 4);
	char address[1200];

	cr_assert_not_null(t, "%s", err);
	memset(address, 'a', sizeof(address) - 1);
	address[sizeof(address) - 1] = '\0';
	address[600] = '@';
	cr_expect_not(sender_logins_may(t, "alice", address));
	textfile_free(t);
}

/* text, line, message */
static const struct { const char *text; int line; const char *why; } bad[] = {
	{ "alice@example.test\n", 1, "expected a login after the sender" },
	{ "\n# x\nalice@example.test # alice\n", 3,
	    "expected a login after the sender" },
	{ "a@b.example x\nalice alice\n", 2,
	    "expected an address, @domain or * first" },
	{ "alice@ alice\n", 1, "expected an address, @domain or * first" },
	{ "** alice\n", 1, "expected an address, @domain or * first" },
	{ "a@b.example al\x01ice\n", 1, "a control character" },
	{ "\"a@b\" alice\n", 1, "expected an address, @domain or * first" },
	{ "\xef\xbb\xbf" "a@b.example alice\n", 1,
	    "a byte order mark: save the file as UTF-8 without BOM" },
	{ "\n\n\xef\xbb\xbf# x\n", 3,
	    "a byte order mark: save the file as UTF-8 without BOM" },
	/* U+00A0 */
	{ "a@b.example alice\xc2\xa0\n", 1, "no login is equal to this one, "
	    "since SASLprep (RFC 4013) changes it (a no-break space?)" },
	{ "a@b.example al\xff\n", 1, "no login is equal to this one, "
	    "since SASLprep (RFC 4013) changes it (a no-break space?)" },
};

Test(sender_logins, a_bad_line_is_named)
{
	char want[400];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_null(load(bad[i].text, strlen(bad[i].text)));
		snprintf(want, sizeof(want), "%s:%d: %s", table_path,
		    bad[i].line, bad[i].why);
		cr_expect_str_eq(err, want);
	}
	cr_assert_null(load("a@b.example x\0y\n", 16));
	cr_expect_not_null(strstr(err, ":1: a control character"), "%s", err);
}

Test(sender_logins, long_words_are_refused)
{
	char text[2000];

	memset(text, 'a', sizeof(text));
	memcpy(text + 700, "@b.example x\n", 13);
	cr_assert_null(load(text, 713));
	cr_expect_not_null(strstr(err, "longer than an address"), "%s", err);
	memset(text, 'a', sizeof(text));
	memcpy(text, "a@b.example ", 12);
	text[12 + 256] = '\n';
	cr_assert_null(load(text, 12 + 257));
	cr_expect_not_null(strstr(err, "longer than a login"), "%s", err);
}

Test(sender_logins, a_file_that_is_not_there_is_named)
{
	cr_assert_null(sender_logins_load("/nowhere/senders", as_it_is, NULL,
	    err, sizeof(err)));
	cr_expect_str_eq(err,
	    "/nowhere/senders: cannot be read: No such file or directory");
	cr_assert_null(sender_logins_load("/tmp", as_it_is, NULL, err,
	    sizeof(err)));
	cr_expect_not_null(strstr(err, "cannot be read"), "%s", err);
}

Test(sender_logins, many_lines_for_one_sender_add_up)
{
	size_t i, n = 100000, len = 0;
	char *text = malloc(n * 40);
	struct textfile *t;

	for (i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "@example.test u%zu\n", i);
	t = load(text, len);
	cr_assert_not_null(t, "%s", err);
	cr_expect_eq(t->nlines, n);
	cr_expect(sender_logins_may(t, "u0", "a@example.test"));
	cr_expect(sender_logins_may(t, "u99999", "a@example.test"));
	cr_expect_not(sender_logins_may(t, "u100000", "a@example.test"));
	textfile_free(t);
	free(text);
}

/* The entry of an address that cannot be looked for is not passed over in favour
 * of one that allows more. */
Test(sender_logins, without_memory_no_one_may)
{
	static const char text[] = "chef@b.test boss\nch\xc3\xa9" "f@b.test boss\n"
	    "@b.test *\n* *\n";
	struct textfile *t = load(text, sizeof(text) - 1);

	cr_assert_not_null(t);
	utf8_fail(true);
	cr_expect_not(sender_logins_may(t, "eve", "ch\xc3\xa9" "f@b.test"));
	cr_expect_not(sender_logins_may(t, "eve", "chef@b.test"));
	cr_expect(sender_logins_may(t, "eve", "eve@b.test"));
	utf8_fail(false);
	cr_expect_not(sender_logins_may(t, "eve", "ch\xc3\xa9" "f@b.test"));
	cr_expect(sender_logins_may(t, "boss", "CH\xc3\x89" "F@b.test"));
	textfile_free(t);
}
