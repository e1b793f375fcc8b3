#include <criterion/criterion.h>
#include <string.h>

#include "proto/options/options.h"

/* RFC 3865 2.3 */
static const struct {
	const char	*text;
	size_t		 len, used;
} rows[] = {
	{ "", 0, 0 },
	{ "a", 1, 1 },
	{ "Z", 1, 1 },
	{ "net.example:ADV", 15, 15 },
	{ "a-b_c.d:1", 9, 9 },
	{ "abc", 2, 2 },
	{ "a,b", 3, 1 },
	{ "a b", 3, 1 },
	{ "1a", 2, 0 },
	{ "-a", 2, 0 },
	{ ":a", 2, 0 },
	{ "@", 1, 0 },
	{ "[", 1, 0 },
	{ "a/b", 3, 1 },
	{ "a\0b", 3, 1 },
	{ "\0", 1, 0 },
	{ "\xe4", 1, 0 },
	{ "a\xc1", 2, 1 },
};

Test(options_class, a_class_is_a_letter_and_what_may_follow)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(options_class(rows[i].text, rows[i].len),
		    rows[i].used, "%zu", i);
}
