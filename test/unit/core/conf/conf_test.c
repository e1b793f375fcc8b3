#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf/conf.h"

enum { IN_FILE = 1, IN_BOX = 2, IN_LID = 4, IN_BAG = 8 };
enum { ROW_COUNT, ROW_NAME, ROW_LIST, ROW_FLAG };

struct fields {
	int64_t		 count;
	char		*name;
	struct conf_list list;
	bool		 flag;
};

static const struct conf_field fields[] = {
	[ROW_COUNT] = CONF_FIELD(fields, "Count", count, INT, "1", 1, 9,
	    "boxes"),
	[ROW_NAME] = CONF_FIELD(fields, "Name", name, STRING, "", 0, 300),
	[ROW_LIST] = CONF_FIELD(fields, "List", list, LIST, "", 1, 300),
	[ROW_FLAG] = CONF_FIELD(fields, "Flag", flag, BOOL, "false"),
};

/* No 7 is wanted. */
static int
check(size_t row, const char *value, char *expected_r, size_t len)
{
	if (row != ROW_COUNT || strcmp(value, "7") != 0)
		return 0;
	snprintf(expected_r, len, "any but 7");
	return -1;
}

static int
check_title(const char *value, char *expected_r, size_t len)
{
	if (*value != 'x')
		return 0;
	snprintf(expected_r, len, "no x");
	return -1;
}

static const struct conf_row rows[] = {
	[ROW_COUNT] = { &fields[ROW_COUNT], IN_FILE | IN_BOX | IN_LID },
	[ROW_NAME] = { &fields[ROW_NAME], IN_BOX },
	[ROW_LIST] = { &fields[ROW_LIST], IN_FILE | IN_BOX | IN_LID },
	[ROW_FLAG] = { &fields[ROW_FLAG], IN_LID },
};

static const struct conf_section_row sections[] = {
	{ .name = "", .scope = IN_FILE },
	{ .name = "Box", .scope = IN_BOX, .parents = IN_FILE,
	    .has_title = true, .check_title = check_title },
	{ .name = "Lid", .scope = IN_LID, .parents = IN_BOX },
	{ .name = "Bag", .scope = IN_BAG, .parents = IN_FILE,
	    .has_title = true, .check_title = check_title, .is_free = true },
};

static const struct conf_schema schema = { rows, 4, sections, 4, check };

static char err[400];
static struct conf_input *input;	/* of the last parse() */

static struct conf *
parse(const char *text, size_t len, const char *override)
{
	FILE *fp = tmpfile();
	struct conf *c;

	cr_assert_not_null(fp);
	fwrite(text, 1, len, fp);
	rewind(fp);
	*err = '\0';
	conf_input_free(input);
	input = conf_input_new(fp, "t.conf", &override, override != NULL);
	cr_assert_not_null(input);
	c = conf_parse(input, &schema, err, sizeof(err));
	fclose(fp);
	return c;
}

static struct conf *
parse_good(const char *text)
{
	struct conf *c = parse(text, strlen(text), NULL);

	cr_assert_not_null(c, "%s", err);
	return c;
}

static void
expect_error(const char *text, const char *override, const char *message)
{
	struct conf *c = parse(text, strlen(text), override);

	cr_expect_null(c, "%s", text);
	cr_expect_str_eq(err, message, "%s\n\tsaid: %s\n\tnot:  %s", text, err,
	    message);
	conf_free(c);
}

/* The value of ${row} as a,b,c; "-" if it is not set. */
static const char *
joined(const struct conf *c, const struct conf_section *s, size_t row)
{
	static char buf[200];
	const struct conf_value *value = conf_get(c, s, row);
	size_t i;

	if (value == NULL)
		return "-";
	*buf = '\0';
	for (i = 0; i < value->n; i++) {
		if (i > 0)
			strcat(buf, ",");
		strcat(buf, value->v[i]);
	}
	return buf;
}

Test(conf, keeps_sections_values_and_lines)
{
	struct conf *c = parse_good(
	    "# a comment\n"
	    "count = 3\n"
	    "BOX one {\n"
	    "	NAME = \"a b\"\n"
	    "	list = { x, 'y',\n"
	    "	    z }\n"
	    "	lid { flag = yes }\n"
	    "	lid {\n"
	    "		count = 9\n"
	    "	}\n"
	    "	count = 4 }\n"
	    "box \"two\" {\n"
	    "}\n");
	const struct conf_section *one = STAILQ_FIRST(&c->root->children);
	const struct conf_section *two = STAILQ_NEXT(one, link);
	const struct conf_section *lid = STAILQ_FIRST(&one->children);

	cr_expect_str_eq(joined(c, c->root, ROW_COUNT), "3");
	cr_expect_eq(conf_get(c, c->root, ROW_COUNT)->at.line, 2);
	cr_expect_str_eq(one->title, "one");
	cr_expect_eq(one->at.line, 3);
	cr_expect_eq(one->row, 1);
	cr_expect_str_eq(joined(c, one, ROW_NAME), "a b");
	cr_expect_eq(conf_get(c, one, ROW_NAME)->at.line, 4);
	cr_expect_str_eq(joined(c, one, ROW_LIST), "x,y,z");
	cr_expect_eq(conf_get(c, one, ROW_LIST)->at.line, 5);
	cr_expect_str_eq(joined(c, one, ROW_COUNT), "4");
	cr_expect_eq(conf_get(c, one, ROW_COUNT)->at.line, 11);
	cr_expect_str_eq(joined(c, lid, ROW_FLAG), "yes");
	cr_expect_eq(lid->at.line, 7);
	cr_expect_eq(lid->parent, one);
	lid = STAILQ_NEXT(lid, link);
	cr_expect_eq(lid->at.line, 8);
	cr_expect_str_eq(joined(c, lid, ROW_COUNT), "9");
	cr_expect_null(STAILQ_NEXT(lid, link));
	cr_expect_str_eq(two->title, "two");
	cr_expect_eq(two->at.line, 12);
	cr_expect_str_eq(joined(c, two, ROW_COUNT), "-");
	cr_expect_null(STAILQ_NEXT(two, link));
	conf_free(c);
}

/* The settings of a section that takes any: "name=value:line ..." */
static const char *
pairs_of(const struct conf_section *s)
{
	static char buf[400];
	const struct conf_pair *pair;
	size_t n = 0;

	*buf = '\0';
	STAILQ_FOREACH(pair, &s->pairs, link)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%s=%s:%d",
		    n == 0 ? "" : " ", pair->name, pair->value,
		    pair->at.line);
	return buf;
}

Test(conf, a_free_section_keeps_any_setting_in_its_order)
{
	struct conf *c = parse_good("bag a {\n"
	    "	Zebra = 1\n"
	    "	count = \"a b\" # no Count of the server's\n"
	    "	list = { x,\n"
	    "	    y }\n"
	    "	apple = \"\"\n"
	    "	LIST += z\n"
	    "}\n"
	    "bag b { }\n");
	const struct conf_section *bag = STAILQ_FIRST(&c->root->children);

	cr_expect_str_eq(pairs_of(bag), "Zebra=1:2 count=a b:3 list=x:4 "
	    "list=y:5 apple=:6 LIST=z:7");
	cr_expect(STAILQ_EMPTY(&bag->values));
	cr_expect_str_eq(pairs_of(STAILQ_NEXT(bag, link)), "");
	conf_free(c);
}

Test(conf, a_free_section_has_the_syntax_of_the_others)
{
	expect_error("bag a {\n x = 1\n X = 2 }", NULL, "t.conf:3:2: option "
	    "'X' is set twice, first in line 2");
	expect_error("bag a { x }", NULL, "t.conf:1:11: expected '=' or '+=' "
	    "after option 'x', found '}'");
	expect_error("bag a { x = }", NULL, "t.conf:1:13: expected a value for "
	    "option 'x', found '}'");
	expect_error("bag a { x = { y", NULL, "t.conf:1:16: expected ',' or "
	    "'}', found the end of the file");
	expect_error("bag a { \"x\" = y }", NULL, "t.conf:1:9: expected a name, "
	    "found \"x\"");
	expect_error("bag a { lid { } }", NULL, "t.conf:1:13: expected '=' or "
	    "'+=' after option 'lid', found '{'");
	expect_error("bag a { }\nbag A { }", NULL, "t.conf:2:5: section 'Bag "
	    "\"A\"' is there already, in line 1");
	expect_error("box a { bag b { } }", NULL, "t.conf:1:9: option 'bag' is "
	    "not allowed here (allowed: outside all sections)");
	expect_error("bag a { x = 1 }", "x=2", "-D: no such option 'x'");
}

Test(conf, an_empty_file_is_good)
{
	struct conf *c = parse_good("");

	cr_expect(STAILQ_EMPTY(&c->root->children));
	conf_free(c);
}

Test(conf, an_empty_list_is_set)
{
	struct conf *c = parse_good("list = {}\nbox a { lid { list = { } } }");
	const struct conf_section *box = STAILQ_FIRST(&c->root->children);

	cr_expect_str_eq(joined(c, c->root, ROW_LIST), "");
	cr_expect_str_eq(joined(c, box, ROW_LIST), "-");
	cr_expect_str_eq(joined(c, STAILQ_FIRST(&box->children), ROW_LIST),
	    "");
	conf_free(c);
}

Test(conf, lists_may_be_appended_to_and_need_no_braces)
{
	struct conf *c = parse_good("list = {a}\nlist += {b, c}\nlist += d\n");

	cr_expect_str_eq(joined(c, c->root, ROW_LIST), "a,b,c,d");
	conf_free(c);
}

Test(conf, what_appends_to_a_list_is_noted)
{
	struct conf *c = parse_good("list += {a}\n\nlist += {b,\nc}\n"
	    "list += d\n");
	const struct conf_value *value = conf_get(c, c->root, ROW_LIST);

	cr_expect_eq(value->at.line, 1);
	cr_assert_eq(value->nmore, 2);
	cr_expect_eq(value->more[0].line, 3);
	cr_expect_eq(value->more[1].line, 5);
	conf_free(c);
}

Test(conf, an_error_names_file_line_and_option)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "count = 3\n\ncount = 10\n",
		    "t.conf:3:1: option 'Count' is set twice, first in line 1" },
		{ "\ncount = 10\n", "t.conf:2:9: option 'Count': expected a "
		    "number from 1 to 9 (boxes), found \"10\"" },
		{ "count = 7", "t.conf:1:9: option 'Count': expected any but 7, "
		    "found \"7\"" },
		{ "count = ten", "t.conf:1:9: option 'Count': expected a "
		    "number from 1 to 9 (boxes), found \"ten\"" },
		{ "count = \"\"", "t.conf:1:9: option 'Count': expected a "
		    "number from 1 to 9 (boxes), found \"\"" },
		{ "count = 1x", "t.conf:1:9: option 'Count': expected a "
		    "number from 1 to 9 (boxes), found \"1x\"" },
		{ "box a {\n lid {\n\n flag = maybe } }",
		    "t.conf:4:9: option 'Flag': expected true or false, found "
		    "\"maybe\"" },
		{ "box a { }\n\nbox A { }",
		    "t.conf:3:5: section 'Box \"A\"' is there already, "
		    "in line 1" },
		{ "\nbox x1 {\n\n}", "t.conf:2:5: option 'Box': expected no x, "
		    "found \"x1\"" },
		{ "\ncuont = 1", "t.conf:2:1: no such option 'cuont'" },
		{ "box a {\n nmae = 1 }", "t.conf:2:2: no such option 'nmae'" },
		{ "\nname = a", "t.conf:2:1: option 'name' is not allowed "
		    "here (allowed: Box)" },
		{ "box a {\n FLAG = on }", "t.conf:2:2: option 'FLAG' is not "
		    "allowed here (allowed: Lid)" },
		{ "lid { }", "t.conf:1:1: option 'lid' is not allowed here "
		    "(allowed: Box)" },
		{ "box a { lid { lid { } } }", "t.conf:1:15: option 'lid' is "
		    "not allowed here (allowed: Box)" },
		{ "list = {a}\nlist = {b}",
		    "t.conf:2:1: option 'List' is set twice, first in line 1" },
		{ "count = {1}", "t.conf:1:9: expected a value for option "
		    "'Count', found '{'" },
		{ "box {\n }", "t.conf:1:5: expected a title for section "
		    "'Box', found '{'" },
		{ "box a {\n count = 1\n", "t.conf:3:1: premature end of file: "
		    "the '{' of line 1 has no '}'" },
		{ "box a { }\n'count' = 2", "t.conf:2:1: expected a name, "
		    "found \"count\"" },
		{ "count += 2", "t.conf:1:7: expected '=' after option "
		    "'Count', found '+='" },
		{ "list a", "t.conf:1:6: expected '=' or '+=' after option "
		    "'List', found \"a\"" },
		{ "list = { a b }", "t.conf:1:12: expected ',' or '}', found "
		    "\"b\"" },
		{ "list = { , }", "t.conf:1:10: expected a value or '}', found "
		    "','" },
		{ "count =\n", "t.conf:2:1: expected a value for option "
		    "'Count', found the end of the file" },
		{ "box a b { }", "t.conf:1:7: expected '{', found \"b\"" },
		{ "\nbox 'a {\n}", "t.conf:2:5: the quote has no end" },
		{ "\n/* x\n", "t.conf:2:1: the comment has no end" },
		{ "# c\n// d\n/*\n{ */ # {\n\nname", "t.conf:6:1: option "
		    "'name' is not allowed here (allowed: Box)" },
		{ "count 1", "t.conf:1:7: expected '=' after option "
		    "'Count', found \"1\"" },
		{ "}", "t.conf:1:1: expected a name, found '}'" },
		{ "box a {\n name = \"a\\n\" }", "t.conf:2:11: in double "
		    "quotes, \\ is only allowed before \\, \" or $" },
		{ "box a { name = \"x${HOME}\" }", "t.conf:1:18: ${...}: the "
		    "environment is not used; write \\${ in double quotes "
		    "for these two characters" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_error(cases[i].text, NULL, cases[i].message);
}

Test(conf, the_environment_is_not_used)
{
	struct conf *c = parse_good("# ${HOME}\n// ${HOME}\n/* ${HOME} */\n"
	    "box a { name = '${HOME}' }\nbox b { name = \"\\${HOME}\" }");
	const struct conf_section *box = STAILQ_FIRST(&c->root->children);

	cr_expect_str_eq(joined(c, box, ROW_NAME), "${HOME}");
	cr_expect_str_eq(joined(c, STAILQ_NEXT(box, link), ROW_NAME),
	    "${HOME}");
	conf_free(c);
}

Test(conf, slashes_in_a_word_are_no_comment)
{
	struct conf *c = parse_good("box a { name = file:///etc//x }");

	cr_expect_str_eq(joined(c, STAILQ_FIRST(&c->root->children),
	    ROW_NAME), "file:///etc//x");
	conf_free(c);
}

Test(conf, nul_octets_are_refused)
{
	cr_expect_null(parse("count = 1\n\0count", 16, NULL));
	cr_expect_str_eq(err, "t.conf:2:1: a NUL octet in the file");
}

Test(conf, found_values_are_cut_and_made_printable)
{
	char text[300];

	snprintf(text, sizeof(text), "count = \"a\tb%0200d\"", 0);
	cr_expect_null(parse(text, strlen(text), NULL));
	cr_expect_not_null(strstr(err, "found \"a?b000"));
	cr_expect_not_null(strstr(err, "000...\""));
	cr_expect_lt(strlen(err), 200);
}

Test(conf, overrides_win_over_every_scope)
{
	struct conf *c = parse("count = 1\nbox a { count = 2 }", 29,
	    " COUNT = 5 ");

	cr_assert_not_null(c, "%s", err);
	cr_expect_str_eq(joined(c, c->root, ROW_COUNT), "5");
	cr_expect_str_eq(joined(c, STAILQ_FIRST(&c->root->children),
	    ROW_COUNT), "5");
	cr_expect_null(conf_get(c, c->root, ROW_COUNT)->at.file);
	conf_free(c);
	c = parse("list = {a}", 10, "List=x, y,,z");
	cr_expect_str_eq(joined(c, c->root, ROW_LIST), "x,y,z");
	conf_free(c);
	c = parse("list = {a}", 10, "List=");
	cr_expect_str_eq(joined(c, c->root, ROW_LIST), "");
	conf_free(c);
}

Test(conf, wrong_overrides_are_named)
{
	expect_error("", "cuont=1", "-D: no such option 'cuont'");
	expect_error("", "count", "-D: expected name=value, found \"count\"");
	expect_error("", "count=0", "-D: option 'Count': expected a number "
	    "from 1 to 9 (boxes), found \"0\"");
}

Test(conf, quotes_take_anything)
{
	struct conf *c = parse_good("box a { name = \"\\\\ \\\" \\$ ' # // /* "
	    "{\n\" }\nbox b { name = '\\ \\n \" # { ${x}\n' }\n"
	    "box c { name = \"\" }");
	const struct conf_section *box = STAILQ_FIRST(&c->root->children);

	cr_expect_str_eq(joined(c, box, ROW_NAME), "\\ \" $ ' # // /* {\n");
	box = STAILQ_NEXT(box, link);
	cr_expect_str_eq(joined(c, box, ROW_NAME), "\\ \\n \" # { ${x}\n");
	box = STAILQ_NEXT(box, link);
	cr_expect_str_eq(joined(c, box, ROW_NAME), "");
	cr_expect_eq(box->at.line, 5);
	conf_free(c);
}

Test(conf, white_space_is_needed_only_between_words)
{
	struct conf *c = parse_good("count=3 list={a,b,}list+=c box'w'{count=4}"
	    "box y/*z*/{name=a+b*(c);}");
	const struct conf_section *box = STAILQ_FIRST(&c->root->children);

	cr_expect_str_eq(joined(c, c->root, ROW_LIST), "a,b,c");
	cr_expect_str_eq(joined(c, box, ROW_COUNT), "4");
	cr_expect_str_eq(joined(c, STAILQ_NEXT(box, link), ROW_NAME),
	    "a+b*(c);");
	conf_free(c);
}
