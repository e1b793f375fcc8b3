#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/conf_field.h"

struct box {
	bool		 flag;
	int64_t		 count, size, time, mode;
	int		 choice;
	char		*string, *text;
	struct conf_list list, networks;
};

static const struct conf_field rows[] = {
	CONF_FIELD(box, "Flag", flag, BOOL, "true"),
	CONF_FIELD(box, "Count", count, INT, "3", -11, 11, "boxes"),
	CONF_FIELD(box, "Size", size, SIZE, "10M", 1 << 10, 1LL << 40),
	CONF_FIELD(box, "Time", time, TIME, "1h30m", 0, 604800,
	    "0 for none"),
	CONF_FIELD(box, "Mode", mode, MODE, "0660", 0, 0777),
	CONF_FIELD(box, "Choice", choice, CHOICE, "red|green=verdant|blue"),
	CONF_FIELD(box, "String", string, STRING, "\xc3\xa4", 1, 4),
	CONF_FIELD(box, "Text", text, TEXT, "", 0, 4),
	CONF_FIELD(box, "List", list, LIST, "a,b", 1, 4),
	CONF_FIELD(box, "Networks", networks, NETWORKS, "", 1, 255),
};
enum { FLAG, COUNT, SIZE, TIME, MODE, CHOICE, STRING, TEXT, LIST, NETWORKS, N };

static char expected[200];

static int
set(struct box *b, size_t row, const char *value)
{
	return conf_field_set(b, &rows[row], &value, 1, expected,
	    sizeof(expected));
}

static void
defaults(struct box *b)
{
	size_t i;

	memset(b, 0, sizeof(*b));
	for (i = 0; i < N; i++)
		cr_assert_eq(conf_field_default(b, &rows[i]), 0, "%s",
		    rows[i].name);
}

static void
box_free(struct box *b)
{
	size_t i;

	for (i = 0; i < N; i++)
		conf_field_free(b, &rows[i]);
}

Test(conf_field, defaults_are_written_as_values_are)
{
	struct box b;

	defaults(&b);
	cr_expect(b.flag);
	cr_expect_eq(b.count, 3);
	cr_expect_eq(b.size, 10 << 20);
	cr_expect_eq(b.time, 5400);
	cr_expect_eq(b.mode, 0660);
	cr_expect_eq(b.choice, 0);
	cr_expect_str_eq(b.string, "\xc3\xa4");
	cr_expect_str_eq(b.text, "");
	cr_assert_eq(b.list.n, 2);
	cr_expect_str_eq(b.list.v[1], "b");
	cr_expect_eq(b.networks.n, 0);
	box_free(&b);
	cr_expect_null(b.string);
	cr_expect_null(b.list.v);
	box_free(&b);
}

/* values of Size and Time, and what they are; -1: refused */
static const struct {
	size_t		 row;
	const char	*value;
	int64_t		 n;
} numbers[] = {
	{ SIZE, "4096", 4096 }, { SIZE, "1K", 1024 }, { SIZE, "1k", 1024 },
	{ SIZE, "10M", 10485760 }, { SIZE, "1G", 1 << 30 },
	{ SIZE, "1024G", 1LL << 40 }, { SIZE, "1048576K", 1 << 30 },
	{ SIZE, "10X", -1 }, { SIZE, "10m", -1 }, { SIZE, "5g", -1 },
	{ SIZE, "10MB", -1 }, { SIZE, "1M1K", -1 }, { SIZE, "M", -1 },
	{ SIZE, "-1M", -1 }, { SIZE, "+1M", -1 }, { SIZE, "1.5M", -1 },
	{ SIZE, "1 M", -1 }, { SIZE, " 4096", -1 }, { SIZE, "", -1 },
	{ SIZE, "1023", -1 }, { SIZE, "1025G", -1 },
	{ SIZE, "9223372036854775807G", -1 },
	{ SIZE, "99999999999999999999", -1 }, { SIZE, "0x1000", -1 },
	{ TIME, "0", 0 }, { TIME, "300", 300 }, { TIME, "300s", 300 },
	{ TIME, "5m", 300 }, { TIME, "90m", 5400 }, { TIME, "1h30m", 5400 },
	{ TIME, "1d2h3m4s", 93784 }, { TIME, "1h1s", 3601 },
	{ TIME, "7d", 604800 }, { TIME, "0h5m", 300 },
	{ TIME, "30m1h", -1 }, { TIME, "1h1h", -1 }, { TIME, "1h30", -1 },
	{ TIME, "0h30", -1 }, { TIME, "5M", -1 }, { TIME, "5x", -1 },
	{ TIME, "h", -1 }, { TIME, "1hm", -1 }, { TIME, "-5m", -1 },
	{ TIME, "8d", -1 }, { TIME, "7d1s", -1 }, { TIME, "5 m", -1 },
	{ TIME, "106751991167301d", -1 },
	{ TIME, "9223372036854775807s", -1 },
	{ TIME, "100000000000000d9223372036854775807s", -1 },
	{ COUNT, "11", 11 }, { COUNT, "0", 0 }, { COUNT, "12", -1 },
	{ COUNT, "1K", -1 }, { COUNT, "5m", -1 }, { COUNT, "", -1 },
	{ COUNT, "-", -1 }, { COUNT, "+1", -1 }, { COUNT, " 1", -1 },
	{ COUNT, "1 ", -1 }, { COUNT, "0x10", -1 }, { COUNT, "1e3", -1 },
	{ COUNT, "9223372036854775808", -1 }, { COUNT, "-12", -1 },
	{ MODE, "0660", 0660 }, { MODE, "660", 0660 }, { MODE, "0", 0 },
	{ MODE, "0777", 0777 }, { MODE, "1777", -1 }, { MODE, "0668", -1 },
	{ MODE, "00660", -1 }, { MODE, "", -1 }, { MODE, "-660", -1 },
	{ MODE, "0x1b0", -1 }, { MODE, "0660 ", -1 }, { MODE, "u=rw", -1 },
};

Test(conf_field, numbers_sizes_and_times)
{
	struct box b;
	int64_t *n;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		memset(&b, 0, sizeof(b));
		n = numbers[i].row == SIZE ? &b.size :
		    numbers[i].row == TIME ? &b.time :
		    numbers[i].row == MODE ? &b.mode : &b.count;
		*n = 77;
		rc = set(&b, numbers[i].row, numbers[i].value);
		cr_expect_eq(rc, numbers[i].n == -1 ? -1 : 0, "%s",
		    numbers[i].value);
		cr_expect_eq(*n, numbers[i].n == -1 ? 77 : numbers[i].n,
		    "%s is %lld", numbers[i].value, (long long)*n);
		cr_expect_eq(conf_field_check(&rows[numbers[i].row],
		    numbers[i].value, expected, sizeof(expected)), rc, "%s",
		    numbers[i].value);
	}
	cr_expect_eq(set(&b, COUNT, "-11"), 0);
	cr_expect_eq(b.count, -11);
}

Test(conf_field, truths_and_choices_are_words_in_any_case)
{
	struct box b = { .flag = false };

	cr_expect_eq(set(&b, FLAG, "YES"), 0);
	cr_expect(b.flag);
	cr_expect_eq(set(&b, FLAG, "off"), 0);
	cr_expect_not(b.flag);
	cr_expect_eq(set(&b, CHOICE, "Green"), 0);
	cr_expect_eq(b.choice, 1);
	cr_expect_eq(set(&b, CHOICE, "blue"), 0);
	cr_expect_eq(b.choice, 2);
	cr_expect_eq(set(&b, CHOICE, "VERDANT"), 0);
	cr_expect_eq(b.choice, 1);
	cr_expect_eq(set(&b, CHOICE, "green=verdant"), -1);
	cr_expect_eq(set(&b, CHOICE, "gree"), -1);
	cr_expect_eq(set(&b, CHOICE, ""), -1);
	cr_expect_eq(set(&b, CHOICE, "red|green"), -1);
}

/* What is written is read as the same value. */
Test(conf_field, values_are_written_as_they_may_be_read)
{
	static const struct { size_t row; const char *value, *want; } c[] = {
		{ FLAG, "on", "true" }, { FLAG, "0", "false" },
		{ COUNT, "-11", "-11" }, { COUNT, "0", "0" },
		{ SIZE, "1024", "1K" }, { SIZE, "1025", "1025" },
		{ SIZE, "10M", "10M" }, { SIZE, "1024G", "1024G" },
		{ TIME, "0", "0" }, { TIME, "59", "59s" },
		{ TIME, "1h30m", "90m" }, { TIME, "1d", "1d" },
		{ TIME, "1d1s", "86401s" },
		{ CHOICE, "RED", "red" }, { CHOICE, "green", "green" }, { CHOICE, "verdant", "green" },
		{ CHOICE, "blue", "blue" },
	};
	char text[CONF_FIELD_TEXT], again[CONF_FIELD_TEXT];
	struct box b;
	size_t i;

	defaults(&b);
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		cr_assert_eq(set(&b, c[i].row, c[i].value), 0, "%s",
		    c[i].value);
		cr_assert_not_null(conf_field_text(&b, &rows[c[i].row], text));
		cr_expect_str_eq(text, c[i].want);
		cr_expect_eq(set(&b, c[i].row, text), 0);
		cr_expect_str_eq(conf_field_text(&b, &rows[c[i].row], again),
		    text);
	}
	for (i = STRING; i < N; i++)
		cr_expect_null(conf_field_text(&b, &rows[i], text));
	box_free(&b);
}

Test(conf_field, what_was_expected_is_said)
{
	static const struct {
		size_t row; const char *value; int errnum; const char *text;
	} c[] = {
		{ FLAG, "maybe", EINVAL, "true or false" },
		{ COUNT, "12", ERANGE, "a number from -11 to 11 (boxes)" },
		{ SIZE, "10X", EINVAL, "a size from 1K to 1024G (octets, or "
		    "with K, M or G)" },
		{ SIZE, "1000000G", ERANGE, "a size from 1K to 1024G (octets, "
		    "or with K, M or G)" },
		{ TIME, "5x", EINVAL, "a time from 0 to 7d (seconds, or such "
		    "as 5m or 1h30m; 0 for none)" },
		{ MODE, "rw", EINVAL, "the rights of a file in octal, from "
		    "0000 to 0777, such as 0660" },
		{ MODE, "1777", ERANGE, "the rights of a file in octal, from "
		    "0000 to 0777, such as 0660" },
		{ CHOICE, "x", EINVAL, "red, green (or: verdant) or blue" },
		{ STRING, "abcde", ERANGE, "a text of 1 to 4 octets" },
		{ STRING, "", ERANGE, "a text of 1 to 4 octets" },
		{ TEXT, "abcde", ERANGE, "a text of at most 4 printable ASCII "
		    "characters" },
		{ TEXT, "a\nb", EINVAL, "a text of at most 4 printable ASCII "
		    "characters" },
		{ TEXT, "\xc3\xa4", EINVAL, "a text of at most 4 printable "
		    "ASCII characters" },
		{ LIST, "", ERANGE, "texts of 1 to 4 printable ASCII "
		    "characters" },
		{ NETWORKS, "10.0.0.1/8", EDOM, "a network without bits set "
		    "behind its prefix" },
		{ NETWORKS, "x", EINVAL, "an address or network such as "
		    "192.0.2.0/24 or 2001:db8::/32, or \"unix\" or "
		    "\"unix:1000\" for Unix sockets" },
	};
	struct box b;
	size_t i;

	defaults(&b);
	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		errno = 0;
		cr_expect_eq(set(&b, c[i].row, c[i].value), -1, "%s",
		    c[i].value);
		cr_expect_eq(errno, c[i].errnum, "%s", c[i].value);
		cr_expect_str_eq(expected, c[i].text);
	}
	cr_expect_str_eq(b.string, "\xc3\xa4");	/* as it was */
	cr_expect_eq(b.list.n, 2);
	box_free(&b);
}

Test(conf_field, a_domain_in_utf8_becomes_one_of_a_labels)
{
	static const struct conf_field one = CONF_FIELD(box, "Domain", text,
	    DOMAIN, "", 0, 12);
	static const struct conf_field many = CONF_FIELD(box, "Domains", list,
	    DOMAINS, "", 1, 255);
	static const char *const good[] = { "*.M\xc3\xbc.test", "Mx.test", "*" };
	static const char *const bad[] = { "m\xfc.test", "m\xe2\x80\x8b.test",
		"\xc3\xbc*.test", "\xc3\xbc\n.test" };
	struct box b = { .flag = false };
	const char *value = "m\xc3\xbc.test";
	size_t i;

	cr_expect(conf_field_is_text(&one) && conf_field_is_list(&many));
	cr_assert_eq(conf_field_default(&b, &one), 0);
	cr_assert_eq(conf_field_default(&b, &many), 0);
	/* the length is that of the A-labels: 13 */
	cr_expect_eq(conf_field_check(&one, value, expected, sizeof(expected)),
	    -1);
	cr_expect_eq(errno, ERANGE);
	value = "m\xc3\xbc.x";
	cr_assert_eq(conf_field_set(&b, &one, &value, 1, expected,
	    sizeof(expected)), 0);
	cr_expect_str_eq(b.text, "xn--m-eha.x");
	cr_assert_eq(conf_field_set(&b, &many, good, 3, expected,
	    sizeof(expected)), 0);
	cr_expect_str_eq(b.list.v[0], "*.xn--m-eha.test");
	cr_expect_str_eq(b.list.v[1], "Mx.test");
	cr_expect_str_eq(b.list.v[2], "*");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(conf_field_set(&b, &many, &bad[i], 1, expected,
		    sizeof(expected)), -1, "%zu", i);
		cr_expect_eq(errno, EINVAL, "%zu", i);
	}
	cr_expect_str_eq(expected, "texts of 1 to 255 printable ASCII "
	    "characters, or a domain of IDNA2008 in UTF-8");
	cr_expect_eq(b.list.n, 3);
	conf_field_free(&b, &one);
	conf_field_free(&b, &many);
}

Test(conf_field, lists_take_any_number_of_values_others_one)
{
	static const char *const values[] = { "x", "y", "z" };
	struct box b;

	defaults(&b);
	cr_expect_eq(conf_field_set(&b, &rows[LIST], values, 3, expected,
	    sizeof(expected)), 0);
	cr_expect_eq(b.list.n, 3);
	cr_expect_eq(conf_field_set(&b, &rows[LIST], NULL, 0, expected,
	    sizeof(expected)), 0);
	cr_expect_eq(b.list.n, 0);
	cr_expect_eq(conf_field_set(&b, &rows[TEXT], values, 2, expected,
	    sizeof(expected)), -1);
	cr_expect_eq(conf_field_set(&b, &rows[TEXT], NULL, 0, expected,
	    sizeof(expected)), -1);
	box_free(&b);
}
