#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings.h"
#include "test/unit/cmd/settings/load.h"

#define REST	"ESMTP_Listener { Listen \":25\" { } }\n"

static void
expect_key(const struct settings_module *m, size_t i, const char *name,
    const char *value, int line)
{
	cr_assert_lt(i, m->nkeys);
	cr_expect_str_eq(m->keys[i].name, name);
	cr_expect_str_eq(m->keys[i].value, value);
	cr_expect_str_eq(m->keys[i].at.file, "m.conf");
	cr_expect_eq(m->keys[i].at.line, line);
}

static void
expect_two(const struct settings *s)
{
	cr_assert_eq(s->nmodules, 2);
	cr_expect_str_eq(s->modules[0].path, "/m/z.so");
	cr_expect_eq(s->modules[0].at.line, 1);
	cr_expect_eq(s->modules[0].nkeys, 3);
	expect_key(&s->modules[0], 0, "Hostname", "own", 2);
	expect_key(&s->modules[0], 1, "List", "a", 3);
	expect_key(&s->modules[0], 2, "List", "", 3);
	cr_expect_str_eq(s->modules[1].path, "/m/a.so");
	cr_expect_eq(s->modules[1].nkeys, 0);
}

/* A name that is an option of the server's means nothing there. */
Test(settings_module, sections_are_kept_in_their_order_and_packed)
{
	char err[SETTINGS_ERROR_MAX];
	struct settings *s = load_good_settings("Module \"/m/z.so\" {\n"
	    "Hostname = own\n"
	    "List = { a, \"\" }\n"
	    "}\n"
	    REST
	    "module /m/a.so { }\n");
	int fd;

	cr_assert_not_null(s);
	expect_two(s);
	cr_expect_str_neq(s->hostname, "own");
	cr_assert_neq(fd = settings_pack(s), -1);
	settings_free(s);
	s = settings_unpack(fd, err, sizeof(err));
	cr_assert_not_null(s, "%s", err);
	expect_two(s);
	settings_free(s);
	close(fd);
}

static void
expect_refused(const char *text, const char *message)
{
	cr_expect_null(load_settings(NULL, "%s", text));
	cr_expect_str_eq(load_error, message, "%s", load_error);
}

Test(settings_module, what_is_no_module_is_refused)
{
	char text[SETTINGS_MODULES_MAX * 40 + 80];
	size_t n = 0;
	int i;

	expect_refused(REST "Module \"x.so\" { }", "m.conf:2:8: option "
	    "'Module': expected an absolute path, found \"x.so\"");
	expect_refused(REST "Module { }", "m.conf:2:8: expected a title for "
	    "section 'Module', found '{'");
	expect_refused("ESMTP_Listener { Module \"/x.so\" { } }",
	    "m.conf:1:18: option 'Module' is not allowed here (allowed: "
	    "outside all sections)");
	for (i = 0; i <= SETTINGS_MODULES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "Module \"/m/%d.so\" { }\n", i);
	snprintf(text + n, sizeof(text) - n, REST);
	expect_refused(text, "m.conf:33:1: option 'Module': more than 32 "
	    "sections");
}
