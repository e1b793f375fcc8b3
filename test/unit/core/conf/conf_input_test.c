#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf/conf.h"

enum { IN_FILE = 1, IN_BOX = 2 };

struct fields {
	struct conf_list list;
	int64_t		 count;
};

static const struct conf_field fields[] = {
	CONF_FIELD(fields, "List", list, LIST, "", 1, 300),
	CONF_FIELD(fields, "Count", count, INT, "1", 1, 9, "boxes"),
};
static const struct conf_row rows[] = {
	{ &fields[0], IN_FILE | IN_BOX }, { &fields[1], IN_FILE | IN_BOX },
};

static int
any(const char *, char *, size_t)
{
	return 0;
}

static int
check(size_t, const char *value, char *expected_r, size_t len)
{
	return any(value, expected_r, len);
}

static const struct conf_section_row sections[] = {
	{ .name = "", .scope = IN_FILE },
	{ .name = "Box", .scope = IN_BOX, .parents = IN_FILE,
	    .has_title = true, .check_title = any },
};
static const struct conf_schema schema = { rows, 2, sections, 2, check };

static char dir[64], err[1024];
static struct conf_input *input;

static void
set_up(void)
{
	strcpy(dir, "/tmp/conf-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void
tear_down(void)
{
	char command[100];

	conf_input_free(input);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(conf_input, .init = set_up, .fini = tear_down);

/* A file of ${dir}. */
static void
put(const char *name, const char *text)
{
	char path[200];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_not_null(fp = fopen(path, "w"));
	fputs(text, fp);
	fclose(fp);
}

static void
folder(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_eq(mkdir(path, 0700), 0);
}

static struct conf *
parse(const char *name)
{
	char path[200];
	struct conf *c;
	FILE *fp;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_not_null(fp = fopen(path, "r"));
	conf_input_free(input);
	input = conf_input_new(fp, path, NULL, 0);
	fclose(fp);
	*err = '\0';
	c = conf_parse(input, &schema, err, sizeof(err));
	return c;
}

/* The list of ${s} as a,b,c. */
static const char *
list(const struct conf *c, const struct conf_section *s)
{
	static char buf[300];
	const struct conf_value *v = conf_get(c, s, 0);
	size_t i;

	*buf = '\0';
	for (i = 0; v != NULL && i < v->n; i++) {
		strcat(buf, i == 0 ? "" : ",");
		strcat(buf, v->v[i]);
	}
	return buf;
}

/* ${name} is refused with this message; %D is the folder. */
static void
refused(const char *name, const char *message)
{
	struct conf *c = parse(name);
	char want[1024], *to = want;
	const char *p;

	cr_expect_null(c, "%s", name);
	conf_free(c);
	for (p = message; *p != '\0'; p++) {
		if (p[0] == '%' && p[1] == 'D') {
			to = stpcpy(to, dir);
			p++;
		} else
			*to++ = *p;
	}
	*to = '\0';
	cr_expect_str_eq(err, want, "said: %s\nnot:  %s", err, want);
}

Test(conf_input, files_are_included_sorted_and_beside_the_file_that_does)
{
	struct conf *c;

	folder("conf.d");
	folder("conf.d/more");
	put("m.conf", "list = {0}\ninclude \"conf.d/*.conf\"\nlist += 9\n");
	put("conf.d/20.conf", "list += 2\n");
	put("conf.d/10.conf", "list += 1 include more/x\n");
	put("conf.d/30.conf~", "list += backup\n");
	put("conf.d/.40.conf", "list += hidden\n");
	put("conf.d/more/x", "list += x");
	c = parse("m.conf");
	cr_assert_not_null(c, "%s", err);
	cr_expect_str_eq(list(c, c->root), "0,1,x,2,9");
	conf_free(c);
}

Test(conf_input, a_section_may_include)
{
	const struct conf_section *box;
	struct conf *c;

	put("m.conf", "Box a { include \"a.inc\" }\ninclude \"b.inc\"");
	put("a.inc", "list = {a}\n# no newline");
	put("b.inc", "Box b {\n list = {b} }");
	c = parse("m.conf");
	cr_assert_not_null(c, "%s", err);
	box = STAILQ_FIRST(&c->root->children);
	cr_expect_str_eq(list(c, box), "a");
	box = STAILQ_NEXT(box, link);
	cr_expect_str_eq(list(c, box), "b");
	cr_expect_eq(box->at.line, 1);
	cr_expect_str_eq(strrchr(box->at.file, '/'), "/b.inc");
	conf_free(c);
}

Test(conf_input, a_pattern_may_match_nothing_a_name_may_not)
{
	struct conf *c;

	put("m.conf", "include \"conf.d/*\"\ninclude \"x?\"\ninclude \"[x]\"");
	c = parse("m.conf");
	cr_expect_not_null(c, "%s", err);
	conf_free(c);
	put("n.conf", "\n include \"x\"");
	refused("n.conf", "%D/n.conf:2:10: include: \"%D/x\": No such file or "
	    "directory");
	put("d.conf", "include \"/\"");
	refused("d.conf", "%D/d.conf:1:9: include: \"/\": Is a directory");
	put("e.conf", "include\n\"\"");
	refused("e.conf", "%D/e.conf:2:1: expected the name of a file, found "
	    "\"\"");
	put("f.conf", "include = x");
	refused("f.conf", "%D/f.conf:1:9: expected the name of a file, found "
	    "'='");
}

Test(conf_input, what_is_no_regular_file_is_refused_without_waiting)
{
	char path[PATH_MAX];

	/* nobody ever writes to it */
	snprintf(path, sizeof(path), "%s/fifo", dir);
	cr_assert_eq(mkfifo(path, 0600), 0);
	put("m.conf", "include fifo");
	refused("m.conf", "%D/m.conf:1:9: include: \"%D/fifo\": not a "
	    "regular file");
	put("n.conf", "include \"fif*\"");
	refused("n.conf", "%D/n.conf:1:9: include: \"%D/fifo\": not a "
	    "regular file");
}

Test(conf_input, a_folder_is_no_pattern)
{
	struct conf *c;

	folder("a[b]*");
	put("a[b]*/m.conf", "include \"*.inc\" include x");
	put("a[b]*/y.inc", "list += y");
	put("a[b]*/x", "list += x");
	c = parse("a[b]*/m.conf");
	cr_assert_not_null(c, "%s", err);
	cr_expect_str_eq(list(c, c->root), "y,x");
	conf_free(c);
}

Test(conf_input, what_is_wrong_is_named_in_its_file)
{
	put("m.conf", "count = 3\ninclude \"b.inc\"\n");
	put("b.inc", "\n  count = 4\n");
	refused("m.conf", "%D/b.inc:2:3: option 'Count' is set twice, first in "
	    "%D/m.conf:1:9");
	put("b.inc", "\nlist = {x,\n\n");
	refused("m.conf", "%D/b.inc:4:1: expected a value or '}', found the "
	    "end of the file");
	put("b.inc", "Box b {\n");
	refused("m.conf", "%D/b.inc:2:1: premature end of file: the '{' of "
	    "line 1 has no '}'");
	put("b.inc", "Box b { count = 10 }\n");
	refused("m.conf", "%D/b.inc:1:17: option 'Count': expected a number "
	    "from 1 to 9 (boxes), found \"10\"");
	put("m.conf", "Box b {\ninclude \"b.inc\"");
	put("b.inc", "list = {b}\n}\n");
	refused("m.conf", "%D/b.inc:2:1: expected a name, found '}'");
	put("m.conf", "Box b { }\ninclude \"b.inc\"");
	put("b.inc", " Box B { }\n");
	refused("m.conf", "%D/b.inc:1:6: section 'Box \"B\"' is there already, "
	    "in %D/m.conf:1:1");
}

Test(conf_input, no_file_includes_itself)
{
	put("m.conf", "include \"a\"\n");
	put("a", "\ninclude \"b\"\n");
	put("b", "list += b include \"a\"\n");
	refused("m.conf", "%D/b:1:19: include: \"%D/a\" would include itself");
	put("s", "include \"s*\"");
	refused("s", "%D/s:1:9: include: \"%D/s\" would include itself");
	/* by other names it is found all the same */
	put("a", "include \"./a\"");
	cr_expect_null(parse("a"));
	cr_expect_not_null(strstr(err, "more than 10 files deep"), "%s", err);
}

Test(conf_input, ten_files_deep_is_enough)
{
	char name[20], text[40];
	struct conf *c;
	int i;

	for (i = 0; i < 11; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		snprintf(text, sizeof(text), "include \"f%d\"\n", i + 1);
		put(name, i < 10 ? text : "list += x\n");
	}
	c = parse("f1");
	cr_expect_not_null(c, "%s", err);
	conf_free(c);
	refused("f0", "%D/f9:1:9: include: more than 10 files deep");
}

Test(conf_input, a_copy_has_all_and_reads_nothing)
{
	FILE *out = tmpfile();
	char pack[2000];
	struct conf *c;
	size_t len, i;

	put("m.conf", "include \"*.inc\"\ninclude \"*.none\" include b\n");
	put("a.inc", "list += a\n");
	put("b", "list += b\n");
	put("empty.inc", "");
	conf_free(parse("m.conf"));
	cr_expect_str_eq(err, "");
	cr_assert_eq(conf_input_pack(input, fileno(out)), 0);
	len = (size_t)lseek(fileno(out), 0, SEEK_CUR);
	cr_assert_lt(len, sizeof(pack));
	rewind(out);
	cr_assert_eq(fread(pack, 1, len, out), len);
	fclose(out);
	put("a.inc", "list += changed\n");
	put("c.none", "list += new\n");
	conf_input_free(input);
	input = conf_input_unpack(pack, len);
	cr_assert_not_null(input);
	c = conf_parse(input, &schema, err, sizeof(err));
	cr_assert_not_null(c, "%s", err);
	cr_expect_str_eq(list(c, c->root), "a,b");
	conf_free(c);
	/* a part of it is none, or has less than was read */
	for (i = 0; i < len; i++) {
		conf_input_free(input);
		if ((input = conf_input_unpack(pack, i)) == NULL)
			continue;
		c = conf_parse(input, &schema, err, sizeof(err));
		cr_expect_null(c, "%zu", i);
		conf_free(c);
	}
}
