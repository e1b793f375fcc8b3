#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "core/process/log.h"
#include "core/table/passwdfile.h"

static char dir[] = "/tmp/auth-back-XXXXXX";
static char path[64], spec[80], log_path[64], err[AUTH_ERROR_MAX + 64];
static const struct auth_client client = { .session = "s1" };

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/passwd", dir);
	snprintf(spec, sizeof(spec), "passwd:%s", path);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
}

static void
tear_down(void)
{
	unlink(path);
	unlink(log_path);
	rmdir(dir);
}

TestSuite(auth_back, .init = set_up, .fini = tear_down);

/* As an editor does it: another file of that name. */
static void
put(const char *text)
{
	char temp[80];
	FILE *fp;

	snprintf(temp, sizeof(temp), "%s.new", path);
	fp = fopen(temp, "w");
	fputs(text, fp);
	fclose(fp);
	chmod(temp, 0600);
	rename(temp, path);
}

static struct auth_back *
open_back(void)
{
	struct auth_back *b = auth_back_open(spec, err, sizeof(err));

	cr_assert_not_null(b, "%s", err);
	return b;
}

Test(auth_back, what_is_not_well_formed_is_not_opened)
{
	static const char *const bad[] = { "", "passwd:x", "pam:../x", "x:/x" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_null(auth_back_open(bad[i], err, sizeof(err)));
		cr_expect(strstr(err, "passwd:/") != NULL ||
		    strstr(err, "pam:mailmill") != NULL, "%s", err);
	}
}

Test(auth_back, what_cannot_be_opened_says_why)
{
	put("a\n");
	cr_expect_null(auth_back_open(spec, err, sizeof(err)));
	cr_expect_not_null(strstr(err, "/passwd:1: expected NAME:HASH"), "%s",
	    err);
	unlink(path);
	cr_expect_null(auth_back_open(spec, err, sizeof(err)));
	cr_expect_not_null(strstr(err, "/passwd: cannot be opened: No such"),
	    "%s", err);
	cr_expect_null(auth_back_open("pam:no-such-service-here", err,
	    sizeof(err)));
	cr_expect_not_null(strstr(err, "/etc/pam.d/no-such-service-here: "
	    "there is no such file"), "%s", err);
	auth_back_free(NULL);
}

Test(auth_back, passwd_follows_its_file_and_keeps_the_old_when_it_is_bad)
{
	struct auth_back *b;

	put("a:{PLAIN}one\n");
	b = open_back();
	cr_expect_null(b->ops->relay_start);
	cr_expect_eq(auth_back_password(b, &client, "a", "one"), AUTH_YES);
	cr_expect_eq(auth_back_password(b, &client, "a", "two"), AUTH_NO);
	cr_expect_eq(auth_back_password(b, &client, "b", "one"), AUTH_NO);
	cr_expect_eq(auth_back_exists(b, &client, "a"), AUTH_YES);
	cr_expect_eq(auth_back_exists(b, &client, "b"), AUTH_NO);
	put("a:{PLAIN}two\nb:*\n");
	cr_expect_eq(auth_back_password(b, &client, "a", "two"), AUTH_YES);
	cr_expect_eq(auth_back_exists(b, &client, "b"), AUTH_YES);
	put("a:{PLAIN}three\nb\n");
	cr_expect_eq(auth_back_password(b, &client, "a", "two"), AUTH_YES);
	cr_expect_eq(auth_back_password(b, &client, "a", "three"), AUTH_NO);
	unlink(path);
	cr_expect_eq(auth_back_password(b, &client, "a", "two"), AUTH_YES);
	put("a:{PLAIN}four\n");
	cr_expect_eq(auth_back_password(b, &client, "a", "four"), AUTH_YES);
	auth_back_free(b);
}

static int
count_in_log(const char *word)
{
	char line[LOG_LINE_MAX];
	FILE *fp = fopen(log_path, "r");
	int n = 0;

	while (fgets(line, sizeof(line), fp) != NULL)
		n += strstr(line, word) != NULL;
	fclose(fp);
	return n;
}

Test(auth_back, bad_file_is_said_once_and_an_exposed_one_too)
{
	enum log_kind kind;
	struct auth_back *b;
	int fd, i;

	cr_assert_eq(log_open(log_path, &kind, &fd), 0);
	log_init("test", kind, fd, LOG_LEVEL_INFO);
	put("a:*\n");
	chmod(path, 0644);
	b = open_back();
	put("b\n");
	for (i = 0; i < 5; i++)
		auth_back_password(b, &client, "a", "x");
	put("cc\n");
	for (i = 0; i < 5; i++)
		auth_back_password(b, &client, "a", "x");
	auth_back_free(b);
	log_flush();
	cr_expect_eq(count_in_log("event=passwd-bad"), 2);
	cr_expect_eq(count_in_log(":1: expected NAME:HASH"), 2);
	cr_expect_eq(count_in_log("event=passwd-exposed"), 1);
}

Test(auth_back, scram_of_unknown_names_is_like_that_of_known_ones)
{
	static const char text[] =
	    ":{SECRET}hNPyPam19RsyaVZu/wXT+yNgfu74lWf5zSgLkMoNvFw=\n"
	    "a:{SCRAM-SHA-1}5000,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y="
	    ",D+CSWLOshSulAsxiupA+qs2/fTE=\nnone:*\n";
	struct passwdfile_scram s[6];
	struct auth_back *b;

	put(text);
	b = open_back();
	cr_expect_eq(auth_back_scram(b, &client, "a", PASSWDFILE_SHA1, &s[0]),
	    AUTH_YES);
	cr_expect_eq(s[0].salt[0], 0x41);
	cr_expect_eq(s[0].stored_key[0], 0xe9);
	cr_expect_eq(s[0].server_key[0], 0x0f);
	cr_expect_eq(auth_back_scram(b, &client, "x", PASSWDFILE_SHA1, &s[1]),
	    AUTH_NO);
	cr_expect_eq(auth_back_scram(b, &client, "none", PASSWDFILE_SHA1,
	    &s[2]), AUTH_NO);
	cr_expect_eq(auth_back_scram(b, &client, "a", PASSWDFILE_SHA256,
	    &s[3]), AUTH_NO);
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(s[i].iterations, 5000);
		cr_expect_eq(s[i].salt_len, 12);
		cr_expect_eq(s[i].key_len, 20);
	}
	cr_expect_eq(s[3].key_len, 32);
	cr_expect_eq(s[3].salt_len, 16);
	cr_expect_neq(memcmp(s[1].salt, s[2].salt, 12), 0);
	auth_back_free(b);
	/* the same by the next process */
	b = open_back();
	cr_expect_eq(auth_back_scram(b, &client, "x", PASSWDFILE_SHA1, &s[4]),
	    AUTH_NO);
	cr_expect_eq(memcmp(&s[1], &s[4], sizeof(s[1])), 0);
	auth_back_free(b);
}

Test(auth_back, scram_of_unknown_names_stays_also_without_a_secret)
{
	struct passwdfile_scram one, two;
	struct auth_back *b;

	put("a:*\n");
	b = open_back();
	auth_back_scram(b, &client, "x", PASSWDFILE_SHA256, &one);
	put("a:*\nb:*\n");
	auth_back_scram(b, &client, "x", PASSWDFILE_SHA256, &two);
	cr_expect_eq(memcmp(&one, &two, sizeof(one)), 0);
	cr_expect_eq(one.iterations, PASSWDFILE_ITERATIONS);
	auth_back_free(b);
}

Test(auth_back, cleartext_is_given_where_it_is_stored)
{
	char buf[256], again[256];
	struct auth_back *b;

	put("a:{PLAIN}one\nb:*\n");
	b = open_back();
	cr_expect_eq(auth_back_cleartext(b, &client, "a", buf, sizeof(buf)),
	    AUTH_YES);
	cr_expect_str_eq(buf, "one");
	cr_expect_eq(auth_back_cleartext(b, &client, "a", buf, 3),
	    AUTH_UNSURE);
	cr_expect_eq(auth_back_cleartext(b, &client, "b", buf, sizeof(buf)),
	    AUTH_NO);
	cr_expect_eq(auth_back_cleartext(b, &client, "b", again,
	    sizeof(again)), AUTH_NO);
	cr_expect_eq(strlen(buf), 64);
	cr_expect_str_eq(buf, again);
	auth_back_free(b);
}

static void *
ask_often(void *b)
{
	struct passwdfile_scram s;
	int i;

	for (i = 0; i < 500; i++) {
		cr_expect_eq(auth_back_password(b, &client, "a", "one"),
		    AUTH_YES);
		cr_expect_eq(auth_back_scram(b, &client, "a",
		    PASSWDFILE_SHA1, &s), AUTH_NO);
	}
	return NULL;
}

Test(auth_back, file_may_change_while_threads_read_it)
{
	pthread_t threads[4];
	struct auth_back *b;
	int i;

	put("a:{PLAIN}one\n");
	b = open_back();
	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ask_often, b),
		    0);
	for (i = 0; i < 100; i++) {
		put("b:*\na:{PLAIN}one\n");
		put("a:{PLAIN}one\n");
	}
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	auth_back_free(b);
}
