#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/util/saslprep.h"

/* RFC 4013 3, and what this server makes of the two that it forbids. */
Test(saslprep, prepares_the_examples_of_rfc_4013)
{
	static const struct {
		const char	*in, *out;
	} rows[] = {
		{ "I\xc2\xadX", "IX" },		/* soft hyphen: nothing */
		{ "user", "user" },
		{ "USER", "USER" },
		{ "\xc2\xaa", "a" },		/* NFKC */
		{ "\xe2\x85\xa8", "IX" },
		{ "\x07", "\x07" },		/* prohibited: as it is */
		{ "\xd8\xa7" "1", "\xd8\xa7" "1" }, /* bidi: as it is */
		{ "a\xc2\xa0" "b", "a b" },	/* C.1.2: a space */
		{ "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91" }, /* unassigned */
	};
	char out[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_eq(saslprep_text(rows[i].in, out, sizeof(out)), 0,
		    "row %zu", i);
		cr_assert_str_eq(out, rows[i].out, "row %zu", i);
	}
}

Test(saslprep, refuses_what_is_no_utf8_with_eilseq)
{
	static const char *const rows[] = {
		"\xff", "\x80", "a\xc3", "\xc0\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xe2\x82", "M\xfcller", "\xf0\x80\x80\x80",
	};
	char out[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		strcpy(out, "x");
		cr_assert_eq(saslprep_text(rows[i], out, sizeof(out)), -1,
		    "row %zu", i);
		cr_assert_eq(errno, EILSEQ, "row %zu", i);
		cr_assert_str_eq(out, "", "row %zu", i);
	}
}

Test(saslprep, refuses_what_leaves_nothing_with_einval)
{
	char out[8];

	cr_assert_eq(saslprep_text("", out, sizeof(out)), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(saslprep_text("\xc2\xad", out, sizeof(out)), -1);
	cr_assert_eq(errno, EINVAL);
}

Test(saslprep, refuses_what_does_not_fit_with_enametoolong)
{
	char out[4];

	cr_assert_eq(saslprep_text("abc", out, sizeof(out)), 0);
	cr_assert_eq(saslprep_text("abcd", out, sizeof(out)), -1);
	cr_assert_eq(errno, ENAMETOOLONG);
	cr_assert_str_eq(out, "");
}

Test(saslprep, a_nul_is_no_text)
{
	cr_assert(saslprep_is_utf8("ab", 2));
	cr_assert_not(saslprep_is_utf8("a\0b", 3));
	cr_assert(saslprep_is_utf8("", 0));
}
