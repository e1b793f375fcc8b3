#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/creds/creds.h"
#include "test/unit/cmd/settings/load.h"

/* Certificates made for each test in a folder of its own. */
static char top[64], err[SETTINGS_ERROR_MAX];

/* A shell's commands in that folder. */
static void
run(const char *commands)
{
	char text[1024];

	snprintf(text, sizeof(text), "cd '%s' && { %s; } >log 2>&1", top,
	    commands);
	cr_assert(system(text) == 0, "%s", commands);
}

static void
make_pair(const char *name)
{
	char text[512];

	snprintf(text, sizeof(text), "n=%s; openssl req -x509 -newkey ec "
	    "-pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $n.key "
	    "-out $n.crt -days 30 -subj /CN=$n.example.test "
	    "-addext subjectAltName=DNS:$n.example.test", name);
	run(text);
}

static void
setup(void)
{
	strcpy(top, "/tmp/mailmill-creds.XXXXXX");
	cr_assert_not_null(mkdtemp(top));
	make_pair("a");
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	cr_assert(system(command) == 0);
}

TestSuite(creds, .init = setup, .fini = teardown);

/* Settings with ${cert} and ${key}, and the file ${path} as ${option}. */
static struct settings *
settings_with(const char *cert, const char *key, const char *option,
    const char *path)
{
	char tls[600] = "", more[300] = "";

	if (cert != NULL)
		snprintf(tls, sizeof(tls), "TLS_Certificate = \"%s/%s\"\n"
		    "TLS_Key = \"%s/%s\"\n", top, cert, top, key);
	if (option != NULL)
		snprintf(more, sizeof(more), "%s = \"%s/%s\"\n", option, top,
		    path);
	return load_good_settings("%s%sESMTP_Listener { "
	    "Listen \"127.0.0.1:25\" { } }\n", tls, more);
}

static struct settings *
settings(const char *cert, const char *key)
{
	return settings_with(cert, key, NULL, NULL);
}

/* creds_open(), and the check that belongs to it. */
static struct creds *
open_and_check(const struct settings *s, uint32_t version)
{
	const struct account ours = { 0, 0 };
	struct creds *c = creds_open(s, version, err, sizeof(err));
	struct probe_spec spec;
	struct probe *p;

	if (c == NULL || s->tls->npairs == 0)
		return c;
	creds_check(c, &ours, &spec);
	cr_assert_not_null(p = probe_start(&spec));
	probe_wait(p);
	if (creds_use(c, p, err, sizeof(err)) == -1) {
		creds_free(c);
		c = NULL;
	}
	probe_free(p);
	return c;
}

/* That fails, and says of ${file}, and of the option that names it: ${why}. */
static void
expect_refused(const char *cert, const char *key, const char *file,
    const char *why)
{
	struct settings *s = settings_with(cert, key, "TLS_Client_CA", "a.crt");
	char start[256];

	snprintf(start, sizeof(start), "': %s/%s: ", top, file);
	cr_expect_null(open_and_check(s, 1), "%s %s",
	    cert, key);
	cr_expect_not_null(strstr(err, start), "%s", err);
	cr_expect_eq(strncmp(err, "m.conf:", 7), 0, "%s", err);
	cr_expect_not_null(strstr(err, ": option 'TLS_"), "%s", err);
	cr_expect_not_null(strstr(err, why), "%s: %s", why, err);
	settings_free(s);
}

Test(creds, without_tls_it_is_empty)
{
	struct settings *s = settings(NULL, NULL);
	struct creds *c = open_and_check(s, 7);

	cr_assert_not_null(c, "%s", err);
	cr_expect_eq(creds_version(c), 7);
	cr_expect_not(creds_changed(c));
	creds_free(c);
	settings_free(s);
}

Test(creds, a_bundle_has_what_the_files_have)
{
	struct settings *s = settings_with("a.crt", "a.key",
	    "TLS_Client_CA", "a.crt");
	struct creds *c = open_and_check(s, 1);
	struct bundle *b;
	int fd;

	cr_assert_not_null(c, "%s", err);
	fd = creds_bundle(c);
	b = bundle_read(fd, s);
	cr_assert_not_null(b);
	cr_expect(strncmp(bundle_cert(b, 0).v, "-----BEGIN CERT", 15) == 0);
	cr_expect_eq(bundle_ocsp(b, 0).len, 0);
	cr_expect_eq(bundle_client_ca(b, 0).len, bundle_cert(b, 0).len);
	/* nobody can change it under another's hands */
	cr_expect_eq(ftruncate(fd, 1), -1);
	cr_expect_eq(pwrite(fd, "x", 1, 0), -1);
	bundle_free(b);
	close(fd);
	creds_free(c);
	settings_free(s);
}

Test(creds, a_certificate_says_its_name_and_its_end)
{
	struct settings *s = settings("a.crt", "a.key");
	struct creds *c = open_and_check(s, 1);
	long long days;

	cr_assert_not_null(c, "%s", err);
	days = (long long)(creds_expiry(c, 0) - time(NULL)) / 86400;
	cr_expect(days >= 29 && days <= 30, "%lld", days);
	cr_expect_str_eq(creds_name(c, 0), "a.example.test");
	creds_free(c);
	settings_free(s);
}

Test(creds, what_is_wrong_is_said_with_its_file)
{
	make_pair("b");
	run(": >empty; echo hello >text; mkdir folder; mkfifo fifo");
	run("openssl ec -in a.key -aes128 -passout pass:x -out locked");
	expect_refused("no.crt", "a.key", "no.crt", "No such file");
	expect_refused("a.crt", "no.key", "no.key", "No such file");
	expect_refused("empty", "a.key", "empty", "is empty");
	expect_refused("a.crt", "empty", "empty", "is empty");
	expect_refused("folder", "a.key", "folder", "regular file");
	expect_refused("a.crt", "fifo", "fifo", "regular file");
	expect_refused("text", "a.key", "text", "");
	expect_refused("a.crt", "text", "text", "");
	expect_refused("a.crt", "locked", "locked", "encrypted");
	expect_refused("a.crt", "b.key", "b.key", "does not belong");
	expect_refused("a.key", "a.key", "a.key", "private key");
}

Test(creds, client_cas_that_are_none_are_refused)
{
	struct settings *s;

	run("echo hello >text");
	s = settings_with("a.crt", "a.key", "TLS_Client_CA", "text");
	cr_expect_null(open_and_check(s, 1));
	cr_expect_not_null(strstr(err, "/text: "), "%s", err);
	settings_free(s);
}

Test(creds, a_missing_ocsp_response_is_no_obstacle)
{
	struct settings *s = settings_with("a.crt", "a.key",
	    "TLS_OCSP_Response", "no.der");
	struct creds *c = open_and_check(s, 1);

	cr_assert_not_null(c, "%s", err);
	creds_free(c);
	settings_free(s);
}

/* Give a file a time that is ${age} seconds ago. */
static void
age(const char *name, int seconds)
{
	char path[128];
	struct timespec ts[2];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	clock_gettime(CLOCK_REALTIME, &ts[0]);
	ts[0].tv_sec -= seconds;
	ts[1] = ts[0];
	cr_assert_eq(utimensat(AT_FDCWD, path, ts, 0), 0);
}

Test(creds, a_file_that_will_not_do_is_tried_again_when_it_is_another)
{
	struct settings *s = settings_with("a.crt", "a.key",
	    "TLS_OCSP_Response", "dir");
	struct creds *c;

	age("a.crt", 100);
	age("a.key", 100);
	run("mkdir dir");
	age("dir", 100);
	c = open_and_check(s, 1);
	cr_assert_not_null(c, "%s", err);
	cr_expect_not(creds_changed(c));
	run("rmdir dir; echo x >dir");
	age("dir", 50);
	cr_expect(creds_changed(c));
	creds_free(c);
	settings_free(s);
}

Test(creds, a_change_is_noticed_once_the_files_are_quiet)
{
	struct settings *s;
	struct creds *c;

	age("a.crt", 100);
	age("a.key", 100);
	s = settings_with("a.crt", "a.key",
	    "TLS_OCSP_Response", "r");
	c = open_and_check(s, 1);
	cr_assert_not_null(c, "%s", err);
	cr_expect_not(creds_changed(c));
	/* in the middle of being replaced */
	age("a.crt", 50);
	age("a.key", 0);
	cr_expect_not(creds_changed(c));
	age("a.key", 100);
	cr_expect(creds_changed(c));
	creds_free(c);
	c = open_and_check(s, 2);
	cr_assert_not_null(c, "%s", err);
	cr_expect_not(creds_changed(c));
	/* a file that comes, another one in its place, one that goes */
	run("echo x >r");
	age("r", 50);
	cr_expect(creds_changed(c));
	run("rm r; cp -p a.key k; mv k a.key");
	cr_expect(creds_changed(c));
	run("rm a.key");
	cr_expect(creds_changed(c));
	creds_free(c);
	settings_free(s);
}

Test(creds, no_process_and_no_descriptor_is_left)
{
	struct settings *s = settings("a.crt", "a.key");
	struct creds *c;
	int before = dup(0), after;

	close(before);
	c = open_and_check(s, 1);
	cr_assert_not_null(c, "%s", err);
	creds_free(c);
	after = dup(0);
	close(after);
	cr_expect_eq(after, before);
	errno = 0;
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_expect_eq(errno, ECHILD);
	settings_free(s);
}

Test(creds, a_bundle_that_is_none_is_refused)
{
	struct settings *s = settings("a.crt", "a.key");
	struct settings *two = settings_with("a.crt", "a.key",
	    "TLS_Client_CA", "a.crt");
	struct creds *c = open_and_check(s, 1);
	int fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_not_null(c, "%s", err);
	fd = creds_bundle(c);
	/* of another configuration */
	cr_expect_null(bundle_read(fd, two));
	cr_expect_null(bundle_read(null, s));
	cr_expect_null(bundle_read(-1, s));
	close(fd);
	close(null);
	creds_free(c);
	settings_free(two);
	settings_free(s);
}
