#include <sys/stat.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/table/hop_logins.h"
#include "test/unit/core/table/table_file.h"

static char err[300];

static struct hop_logins *
load_as(const char *text, size_t len, mode_t mode)
{
	struct hop_logins *t;

	table_write(text, len, mode);
	*err = '\0';
	t = hop_logins_load(table_path, err, sizeof(err));
	unlink(table_path);
	return t;
}

static const char file[] =
    "# who we are elsewhere\n"
    "\n"
    "smarthost.example.net alice:se:cret word \t\r\n"
    "  [2001:db8::1]:587\t\tb\xc3\xb6" "b@example.test:p\n"
    "unix:/run/next x:#";

static const struct {
	const char	*hop, *user, *secret;
} logins[] = {
	{ "smarthost.example.net", "alice", "se:cret word" },
	{ "SMARTHOST.example.net", "alice", "se:cret word" },
	{ "[2001:db8::1]:587", "b\xc3\xb6" "b@example.test", "p" },
	{ "unix:/run/next", "x", "#" },
	{ "smarthost.example.net:25", NULL, NULL },
	{ "# who", NULL, NULL },
	{ "", NULL, NULL },
};

Test(hop_logins, a_line_is_for_the_next_hop_that_it_names)
{
	struct hop_logins *t = load_as(file, strlen(file), 0600);
	const struct hop_login *l;
	size_t i;

	cr_assert_not_null(t, "%s", err);
	for (i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		l = hop_logins_find(t, logins[i].hop);
		cr_assert_eq(l == NULL, logins[i].user == NULL, "%s",
		    logins[i].hop);
		if (l == NULL)
			continue;
		cr_assert_str_eq(l->user, logins[i].user);
		cr_assert_str_eq(l->secret, logins[i].secret);
	}
	hop_logins_free(t);
	hop_logins_free(NULL);
}

#define LINE	":1: expected a next hop as in Route, and user:password"

static const struct {
	const char	*text;
	size_t		 len;
	const char	*fault;
} faults[] = {
	{ "secret", 6, LINE },
	{ "hop secret\n", 11, LINE },
	{ "hop :secret\n", 12, LINE },
	{ "hop secret:\n", 12, LINE },
	{ "hop secret: \r\n", 14, LINE },
	{ "a u:secret\n#\nA u:secret\n", 24, ":3: this next hop has a line "
	    "before" },
	{ "a u:se\0cret\n", 12, ":1: an octet 0" },
	{ "a u:secret\xff\n", 12, ":1: the user or the password is not "
	    "UTF-8" },
	{ "a u\xff:secret\n", 12, "not UTF-8" },
};

/* And no message has anything of the line: it gets into the log. */
Test(hop_logins, a_line_that_is_none_is_refused_with_its_number)
{
	size_t i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		cr_assert_null(load_as(faults[i].text, faults[i].len, 0600),
		    "%zu", i);
		cr_assert(strstr(err, faults[i].fault) != NULL, "%zu: %s", i,
		    err);
		cr_assert(strstr(err, table_path) == err && strstr(err,
		    "secret") == NULL, "%s", err);
	}
}

Test(hop_logins, a_line_is_as_long_as_a_login_can_be)
{
	char text[HOP_LOGINS_SECRET + 400];
	struct hop_logins *t;
	size_t n;

	for (n = 255; n <= 256; n++) {
		snprintf(text, sizeof(text), "h %0*d:p\n", (int)n, 0);
		t = load_as(text, strlen(text), 0600);
		cr_assert_eq(t != NULL, n == 255, "%s", err);
		hop_logins_free(t);
	}
	for (n = HOP_LOGINS_SECRET; n <= HOP_LOGINS_SECRET + 1; n++) {
		snprintf(text, sizeof(text), "h u:%0*d\n", (int)n, 0);
		t = load_as(text, strlen(text), 0600);
		cr_assert_eq(t != NULL, n == HOP_LOGINS_SECRET, "%s", err);
		hop_logins_free(t);
	}
}

Test(hop_logins, a_file_that_others_may_open_is_refused)
{
	static const mode_t bits[] = { 0040, 0020, 0010, 0004, 0002, 0001 };
	struct hop_logins *t;
	size_t i;

	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		cr_assert_null(load_as("h u:p\n", 6, 0600 | bits[i]));
		cr_assert(strstr(err, "others may open it: chmod 600") !=
		    NULL, "%s", err);
	}
	t = load_as("h u:p\n", 6, 0400);
	cr_assert_not_null(t, "%s", err);
	hop_logins_free(t);
}

Test(hop_logins, what_is_no_file_or_too_large_is_refused)
{
	char *text = malloc(HOP_LOGINS_OCTETS + 1);
	struct hop_logins *t;

	cr_assert_null(hop_logins_load("/nonexistent/logins", err,
	    sizeof(err)));
	cr_assert(strstr(err, "/nonexistent/logins: No such file") != NULL,
	    "%s", err);
	cr_assert_null(hop_logins_load("/dev/null", err, sizeof(err)));
	cr_assert(strstr(err, "not a regular file") != NULL, "%s", err);
	memset(text, '\n', HOP_LOGINS_OCTETS + 1);
	cr_assert_null(load_as(text, HOP_LOGINS_OCTETS + 1, 0600));
	cr_assert(strstr(err, "larger than 65536 octets") != NULL, "%s", err);
	t = load_as(text, HOP_LOGINS_OCTETS, 0600);
	cr_assert_not_null(t, "%s", err);
	hop_logins_free(t);
	free(text);
}
