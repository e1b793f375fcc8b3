/* Fields of TXT records, as octets without an end of their own. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/txt.h"

#define VERSION	"v=X1;"

/* The fields as "name|value\n"; "!" in the place of one without "=".  NULL: it has
 * another version. */
static const char *
fields(const char *record)
{
	static char text[512];
	struct txt_span rest, name, value;
	/* as in an answer: nothing may be read behind it */
	size_t len = strlen(record), at = 0;
	uint8_t octets[256];
	int rc;

	memset(octets, '=', sizeof(octets));
	memcpy(octets, record, len);
	if (!txt_begin(octets, len, VERSION, &rest))
		return NULL;
	*text = '\0';
	while ((rc = txt_next(&rest, &name, &value)) == 1)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%.*s|%.*s\n", (int)name.len, name.s, (int)value.len,
		    value.s);
	if (rc == -1)
		snprintf(text + at, sizeof(text) - at, "!");
	return text;
}

Test(txt, a_record_is_a_version_and_fields)
{
	cr_expect_str_eq(fields("v=X1; id=1; b=c=d \t;\te = f;"),
	    "id|1\nb|c=d\ne | f\n");
	cr_expect_str_eq(fields("v=X1;id=1"), "id|1\n");
	cr_expect_str_eq(fields("v=X1;=;a="), "|\na|\n");
	cr_expect_str_eq(fields("v=X1;"), "");
	cr_expect_str_eq(fields("v=X1; \t "), "");
}

Test(txt, a_field_has_an_equals_sign)
{
	cr_expect_str_eq(fields("v=X1; id=1; b"), "id|1\n!");
	cr_expect_str_eq(fields("v=X1;;id=1"), "!");
	cr_expect_str_eq(fields("v=X1; ;"), "!");
}

Test(txt, the_version_is_the_first_word_as_it_is)
{
	cr_expect_null(fields(""));
	cr_expect_null(fields("v=X1"));
	cr_expect_null(fields("V=X1;id=1"));
	cr_expect_null(fields(" v=X1;id=1"));
	cr_expect_null(fields("v=X1 ;id=1"));
	cr_expect_null(fields("v=X12;id=1"));
}

static bool
is(bool (*fn)(const struct txt_span *), const char *s, size_t len)
{
	const struct txt_span a = { s, len };

	return fn(&a);
}

Test(txt, names_and_values)
{
	static const char *const names[] = { "a", "7", "a_b-c.d",
		"a2345678901234567890123456789012" },
	    *const no_names[] = { "", "_a", "-a", ".a", "a b", "a=b", "\xe9",
		"a23456789012345678901234567890123" },
	    *const no_values[] = { "", " ", "a b", "a\tb", "a=b", "\x7f", "\xe9" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_expect(is(txt_is_name, names[i], strlen(names[i])), "%s",
		    names[i]);
	for (i = 0; i < sizeof(no_names) / sizeof(no_names[0]); i++)
		cr_expect_not(is(txt_is_name, no_names[i],
		    strlen(no_names[i])), "%s", no_names[i]);
	for (i = 0; i < sizeof(no_values) / sizeof(no_values[0]); i++)
		cr_expect_not(is(txt_is_value, no_values[i],
		    strlen(no_values[i])), "%s", no_values[i]);
	cr_expect(is(txt_is_value, "a,b/~!", 6));
	cr_expect_not(is(txt_is_name, "a\0b", 3));
	cr_expect_not(is(txt_is_value, "a\0b", 3));
}
