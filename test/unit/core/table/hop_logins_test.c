#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
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

/* --- tokens --------------------------------------------------------------- */

static char token_path[] = "/tmp/hop-token-XXXXXX";

/* A table with a token, whose file has ${text}. */
static struct hop_logins *
load_token(const char *text, mode_t mode)
{
	char line[100];
	int fd;

	strcpy(token_path + strlen(token_path) - 6, "XXXXXX");
	fd = mkstemp(token_path);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
	snprintf(line, sizeof(line), "h a b@x.test \t token:%s\n",
	    token_path);
	return load_as(line, strlen(line), 0600);
}

static void
write_token(const char *text)
{
	FILE *fp = fopen(token_path, "w");

	fputs(text, fp);
	fclose(fp);
}

Test(hop_logins, a_token_is_what_its_file_has_now)
{
	static const struct { const char *text; int errnum; } rows[] = {
		{ "xyz\n", 0 }, { "xyz\r\n", 0 }, { "", EBADMSG },
		{ "\n", EBADMSG }, { "xyz", EBADMSG }, { "x z\n", EBADMSG },
		{ "x\nz\n", EBADMSG }, { "x\001\n", EBADMSG },
		{ "\r\n", EBADMSG }, { "x\xc3\xb6\n", EBADMSG },
		{ "xyz\n", 0 },
	};
	struct hop_logins *t = load_token("abc.-_~+/=\n", 0600);
	char token[HOP_LOGINS_TOKEN + 1], text[HOP_LOGINS_TOKEN + 9];
	const struct hop_login *l;
	size_t i;

	cr_assert_not_null(t, "%s", err);
	l = hop_logins_each(t, 0);
	cr_assert_str_eq(l->user, "a b@x.test");
	cr_assert_null(l->secret);
	cr_assert_str_eq(l->path, token_path);
	cr_assert_null(hop_logins_each(t, 1));
	cr_assert_eq(hop_login_token(l, token), 0);
	cr_assert_str_eq(token, "abc.-_~+/=");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_token(rows[i].text);
		errno = 0;
		cr_expect_eq(hop_login_token(l, token),
		    rows[i].errnum == 0 ? 0 : -1, "%zu", i);
		cr_expect_eq(errno, rows[i].errnum, "%zu", i);
		cr_expect(rows[i].errnum != 0 || strcmp(token, "xyz") == 0);
	}
	for (i = HOP_LOGINS_TOKEN; i < HOP_LOGINS_TOKEN + 4; i++) {
		snprintf(text, sizeof(text), "%0*d\n", (int)i, 0);
		write_token(text);
		cr_expect_eq(hop_login_token(l, token),
		    i == HOP_LOGINS_TOKEN ? 0 : -1, "%zu", i);
		cr_expect(i == HOP_LOGINS_TOKEN || errno == EFBIG);
	}
	unlink(token_path);
	cr_assert_eq(hop_login_token(l, token), -1);
	cr_assert_eq(errno, ESTALE);
	hop_logins_free(t);
}

Test(hop_logins, the_file_of_a_token_is_as_private_as_the_other)
{
	static const struct { const char *line, *fault; } rows[] = {
		{ "h u token:x\n", "does not begin with /" },
		{ "h u token:/nonexistent/x\n", "token for h: /nonexistent/x: "
		    "No such file" },
		{ "h u token:/dev/null\n", "/dev/null: not a regular file" },
		{ "h u token:\n", "expected a next hop" },
	};
	char text[HOP_LOGINS_TOKENS * 40 + 100];
	size_t i, n;

	cr_assert_null(load_token("x\n", 0644));
	cr_assert(strstr(err, token_path) != NULL &&
	    strstr(err, "others may open it: chmod 600") != NULL, "%s", err);
	unlink(token_path);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_assert_null(load_as(rows[i].line, strlen(rows[i].line),
		    0600));
		cr_assert(strstr(err, rows[i].fault) != NULL, "%s", err);
	}
	for (n = 0, i = 0; i <= HOP_LOGINS_TOKENS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "h%zu u token:/nonexistent\n", i);
	cr_assert_null(load_as(text, n, 0600));
	cr_assert(strstr(err, ":65: the file has more than 64 tokens") != NULL,
	    "%s", err);
}

/* A name that only looks like it is a name. */
Test(hop_logins, a_password_may_look_like_a_token)
{
	static const char text[] = "a token:/x\nb xtoken:/y\nc u:token:/z\n";
	struct hop_logins *t = load_as(text, strlen(text), 0600);

	cr_assert_not_null(t, "%s", err);
	cr_assert_str_eq(hop_logins_find(t, "a")->secret, "/x");
	cr_assert_str_eq(hop_logins_find(t, "b")->secret, "/y");
	cr_assert_str_eq(hop_logins_find(t, "c")->secret, "token:/z");
	hop_logins_free(t);
}

/* --- faults --------------------------------------------------------------- */

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
