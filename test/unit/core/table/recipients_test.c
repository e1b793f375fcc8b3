#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table/recipients.h"
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
	struct textfile *r;

	table_write(text, len, 0600);
	*err = '\0';
	r = recipients_load(table_path, as_it_is, NULL, err, sizeof(err));
	unlink(table_path);
	return r;
}

static bool
has(const struct textfile *r, const char *local, const char *domain)
{
	char address[600];

	snprintf(address, sizeof(address), "%s@%s", local, domain);
	return recipients_has(r, address) == 1;
}

Test(recipients, finds_what_is_listed_in_any_case)
{
	static const char text[] =
	    "# who we have\n"
	    "alice\n"
	    "\n"
	    "  Bob@Example.Test \t# only there\r\n"
	    "carol@example.test\r\n"
	    "d\xc3\xbc" "rer\n"
	    "alice\n"
	    "last";
	struct textfile *r = load(text, sizeof(text) - 1);

	cr_assert_not_null(r, "%s", err);
	cr_expect_eq(r->nlines, 6);
	cr_expect(has(r, "alice", "example.test"));
	cr_expect(has(r, "ALICE", "other.test"));
	cr_expect(has(r, "bob", "example.test"));
	cr_expect(has(r, "BOB", "EXAMPLE.TEST"));
	cr_expect_not(has(r, "bob", "other.test"));
	cr_expect(has(r, "d\xc3\xbc" "rer", "example.test"));
	cr_expect(has(r, "last", "example.test"));
	cr_expect_not(has(r, "las", "example.test"));
	cr_expect_not(has(r, "lastx", "example.test"));
	cr_expect_not(has(r, "", "example.test"));
	cr_expect_not(has(r, "# who we have", "example.test"));
	textfile_free(r);
}

Test(recipients, an_empty_file_lists_nobody)
{
	struct textfile *r = load("", 0);

	cr_assert_not_null(r, "%s", err);
	cr_expect_eq(r->nlines, 0);
	cr_expect_not(has(r, "alice", "example.test"));
	textfile_free(r);
}

Test(recipients, many_entries_are_all_found)
{
	size_t i, n = 5000, len = 0;
	char *text = malloc(n * 32), local[32];
	struct textfile *r;

	for (i = 0; i < n; i++)
		len += (size_t)sprintf(text + len, "user%zu\n", i);
	r = load(text, len);
	cr_assert_not_null(r, "%s", err);
	cr_expect_eq(r->nlines, n);
	for (i = 0; i < n; i++) {
		snprintf(local, sizeof(local), "user%zu", i);
		cr_assert(has(r, local, "a"), "%s", local);
	}
	cr_expect_not(has(r, "user5000", "a"));
	textfile_free(r);
	free(text);
}

Test(recipients, a_fault_is_told_with_file_and_line)
{
	static const struct {
		const char *text;
		size_t len;
		const char *fault;
	} cases[] = {
		{ "a\n\nb c\n", 7, ":3: more than one address in a line" },
		{ "a\n@example.test\n", 16,
		    ":2: expected a local part or an address" },
		{ "a@", 2, ":1: expected a local part or an address" },
		{ "a\n\0\n", 4, ":2: a control character" },
		{ "a\x01z\n", 4, ":1: a control character" },
		{ "\xef\xbb\xbf" "a\n", 5, ":1: a byte order mark: save the "
		    "file as UTF-8 without BOM" },
		{ "\"a b\"@c d\n", 10, ":1: more than one address in a line" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaa\n", 66, ":1: longer than a local part can be" },
	};
	char expected[300];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_null(load(cases[i].text, cases[i].len));
		snprintf(expected, sizeof(expected), "%s%s", table_path,
		    cases[i].fault);
		cr_expect_str_eq(err, expected, "%s, not %s", err, expected);
	}
}

Test(recipients, a_missing_file_is_told)
{
	cr_expect_null(recipients_load("/nonexistent/users", as_it_is, NULL,
	    err, sizeof(err)));
	cr_expect_str_eq(err, "/nonexistent/users: cannot be read: "
	    "No such file or directory");
	cr_expect_null(recipients_load("/tmp", as_it_is, NULL, err,
	    sizeof(err)));
}

Test(recipients, hostile_names_are_not_found)
{
	struct textfile *r = load("alice\n", 6);
	char *longest = malloc(100001);

	memset(longest, 'a', 100000);
	longest[100000] = '\0';
	cr_expect_not(recipients_has(r, longest));
	longest[50000] = '@';
	cr_expect_not(recipients_has(r, longest));
	cr_expect_not(recipients_has(r, "@"));
	cr_expect_not(recipients_has(r, "@alice"));
	cr_expect_not(recipients_has(r, ""));
	textfile_free(r);
	free(longest);
}

Test(recipients, a_quoted_local_part_may_have_a_space_and_a_hash)
{
	static const char text[] =
	    "\"odd user\"@example.test # comment\n"
	    "\"a # b\" # comment\n"
	    "\"c \\\" d\"\n";
	struct textfile *r = load(text, sizeof(text) - 1);

	cr_assert_not_null(r, "%s", err);
	cr_expect_eq(r->nlines, 3);
	cr_expect(has(r, "\"odd user\"", "example.test"));
	cr_expect(has(r, "\"Odd User\"", "EXAMPLE.TEST"));
	cr_expect_not(has(r, "\"odd user\"", "other.test"));
	cr_expect(has(r, "\"a # b\"", "other.test"));
	cr_expect(has(r, "\"c \\\" d\"", "other.test"));
	cr_expect_not(has(r, "\"odd", "example.test"));
	cr_expect_not(has(r, "\"a", "example.test"));
	textfile_free(r);
}

/* An address that cannot be looked for is not one that is not listed. */
Test(recipients, without_memory_it_is_not_known)
{
	static const char text[] = "gr\xc3\xbcn\nalice\n";
	struct textfile *r = load(text, sizeof(text) - 1);

	cr_assert_not_null(r);
	utf8_fail(true);
	cr_expect_eq(recipients_has(r, "gr\xc3\xbcn@x.test"), -1);
	cr_expect_eq(errno, ENOMEM);
	cr_expect_eq(recipients_has(r, "bl\xc3\xa4u@x.test"), -1);
	cr_expect_eq(recipients_has(r, "alice@x.test"), 1);
	cr_expect_eq(recipients_has(r, "bob@x.test"), 0);
	utf8_fail(false);
	cr_expect_eq(recipients_has(r, "GR\xc3\x9cN@x.test"), 1);
	cr_expect_eq(recipients_has(r, "bl\xc3\xa4u@x.test"), 0);
	textfile_free(r);
}
