/* The variables of Context. */

#include "proto/options/options.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *text, *name, *value;	/* NULL: it is no such text */
} cases[] = {
	{ "a=b", "a", "b" },
	{ "a=", "a", "" },
	{ "a = b c ", "a", "b c " },
	{ "A_b-c.9==", "A_b-c.9", "=" },
	{ "", NULL, NULL },
	{ "a", NULL, NULL },
	{ "=b", NULL, NULL },
	{ " a=b", NULL, NULL },
	{ "a:b=c", NULL, NULL },
	{ "a\xc3\xbc=c", NULL, NULL },
};

Test(options_pair, is_a_name_and_a_value)
{
	char name[LIM_VCTX_KEY + 1];
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		value = options_pair(cases[i].text, name);
		cr_expect_eq(value == NULL, cases[i].value == NULL, "%zu", i);
		if (value == NULL || cases[i].value == NULL)
			continue;
		cr_expect_str_eq(name, cases[i].name);
		cr_expect_str_eq(value, cases[i].value);
	}
}

/* "k...k=v...v" */
static const char *
pair(size_t key, size_t value)
{
	static char text[4096];

	memset(text, 'k', key);
	text[key] = '=';
	memset(text + key + 1, 'v', value);
	text[key + 1 + value] = '\0';
	return text;
}

Test(options_pair, lengths_are_those_of_the_dictionary)
{
	char why[256];
	const char *text;

	text = pair(LIM_VCTX_KEY, LIM_VCTX_VALUE);
	cr_expect_eq(options_pairs(&text, 1, why, sizeof(why)), 0);
	text = pair(LIM_VCTX_KEY + 1, 1);
	cr_expect_eq(options_pairs(&text, 1, why, sizeof(why)), -1);
	text = pair(1, LIM_VCTX_VALUE + 1);
	errno = 0;
	cr_expect_eq(options_pairs(&text, 1, why, sizeof(why)), -1);
	cr_expect_eq(errno, EINVAL);
}

Test(options_pair, half_of_the_dictionary_is_for_others)
{
	char texts[OPTIONS_PAIRS_MAX + 1][16], why[256];
	const char *values[OPTIONS_PAIRS_MAX + 1];
	size_t i;

	for (i = 0; i <= OPTIONS_PAIRS_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "k%zu=v", i);
		values[i] = texts[i];
	}
	cr_expect_eq(options_pairs(values, OPTIONS_PAIRS_MAX, why,
	    sizeof(why)), 0);
	cr_expect_eq(options_pairs(values, OPTIONS_PAIRS_MAX + 1, why,
	    sizeof(why)), -1);
	cr_expect_str_eq(why, "at most 32 variables, since policies and "
	    "clients need room for theirs");
}
