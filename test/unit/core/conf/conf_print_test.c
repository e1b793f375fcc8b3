#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/conf_print.h"

struct box {
	bool		 flag;
	char		*text;
	struct conf_list list;
};

static const struct conf_field rows[] = {
	CONF_FIELD(box, "Flag", flag, BOOL, "true"),
	CONF_FIELD(box, "Text", text, STRING, "", 0, 100),
	CONF_FIELD(box, "List", list, LIST, "", 1, 100),
};
enum { FLAG, TEXT, LIST, N };

static char *written;

static FILE *
begin(void)
{
	static size_t len;

	free(written);
	return open_memstream(&written, &len);
}

static const char *
quoted(const char *s)
{
	FILE *fp = begin();

	conf_print_quoted(fp, s);
	fclose(fp);
	return written;
}

Test(conf_print, quotes_hold_what_the_parser_reads)
{
	static const struct { const char *text, *want; } c[] = {
		{ "", "\"\"" }, { "a b", "\"a b\"" },
		{ "a\"b", "\"a\\\"b\"" }, { "a\\b", "\"a\\\\b\"" },
		{ "${HOME}", "\"\\${HOME}\"" }, { "$5", "\"$5\"" },
		{ "# // /* { } = ,", "\"# // /* { } = ,\"" },
		{ "'", "\"'\"" }, { "b\xc3\xbc" "cher", "\"b\xc3\xbc" "cher\"" },
	};
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		cr_expect_str_eq(quoted(c[i].text), c[i].want);
	free(written);
}

/* No octet can end the line or act on a terminal. */
Test(conf_print, what_is_not_printable_is_written_as_hex)
{
	char text[3] = "x", want[16];
	int i;

	for (i = 1; i < 256; i++) {
		text[0] = (char)i;
		text[1] = '\0';
		quoted(text);
		snprintf(want, sizeof(want), "\"\\x%02x\"", i);
		if (i < 32 || i > 126)
			cr_expect_str_eq(written, want);
		else
			cr_expect_eq(strcspn(written, text), i == '"' ? 0 : 1,
			    "%d", i);
	}
	/* control characters of two octets; the next one is a letter */
	cr_expect_str_eq(quoted("a\xc2\x9b" "2J"), "\"a\\xc2\\x9b2J\"");
	cr_expect_str_eq(quoted("\xc2\xa1"), "\"\xc2\xa1\"");
	/* one octet that is not UTF-8 among some that are */
	cr_expect_str_eq(quoted("\xc3\xbc\xff"), "\"\\xc3\\xbc\\xff\"");
	free(written);
}

Test(conf_print, every_kind_of_value_is_on_one_line)
{
	static char a[] = "a", b[] = "b,\"c\"";
	char *v[] = { a, b };
	struct box box = { true, b, { v, 2 } };
	FILE *fp = begin();
	size_t i;

	for (i = 0; i < N; i++) {
		conf_print_value(fp, &box, &rows[i]);
		putc('\n', fp);
	}
	box.list.n = 0;
	conf_print_value(fp, &box, &rows[LIST]);
	putc(' ', fp);
	conf_print_plain(fp, "a\"\n");
	fclose(fp);
	cr_expect_str_eq(written, "true\n\"b,\\\"c\\\"\"\n"
	    "{ \"a\", \"b,\\\"c\\\"\" }\n{ } a\"\\x0a");
	free(written);
}
