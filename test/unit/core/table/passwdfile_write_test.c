#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/table/passwdfile.h"

static char dir[] = "/tmp/passwdfile-XXXXXX";
static char path[64], err[PASSWDFILE_ERROR_MAX + 64];
static const struct passwdfile_new new = { .mode = 0640, .gid = (gid_t)-1 };

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/passwd", dir);
}

static void
tear_down(void)
{
	char name[400];
	struct dirent *e;
	DIR *d = opendir(dir);

	while ((e = readdir(d)) != NULL) {
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		unlink(name);
	}
	closedir(d);
	rmdir(dir);
}

TestSuite(passwdfile_write, .init = set_up, .fini = tear_down);

static void
put(const char *text)
{
	FILE *fp = fopen(path, "w");

	fputs(text, fp);
	fclose(fp);
}

static char *
content(void)
{
	static char text[65536];
	FILE *fp = fopen(path, "r");
	size_t n = fread(text, 1, sizeof(text) - 1, fp);

	fclose(fp);
	text[n] = '\0';
	return text;
}

static int
entries_of_folder(void)
{
	DIR *d = opendir(dir);
	int n = -2;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
set(const char *name, const char *password, const char *method)
{
	*err = '\0';
	return passwdfile_set(path, name, password, false, method, &new,
	    err, sizeof(err));
}

static struct passwdfile *
reread(void)
{
	struct passwdfile *f = passwdfile_open(path, err, sizeof(err));

	cr_assert_not_null(f, "%s", err);
	return f;
}

Test(passwdfile_write, what_is_set_is_right_by_each_method)
{
	static const char *const methods[] = { PASSWDFILE_METHOD, "bcrypt",
	    "sha512", "plain", NULL }, *const *m = methods;
	const struct passwdfile_entry *e;
	char name[32];
	struct passwdfile *f;
	size_t i;

	for (i = 0; m[i] != NULL; i++) {
		snprintf(name, sizeof(name), "user%zu", i);
		cr_assert_eq(set(name, "gr\xc3\xbc\xc3\x9f: gott ", m[i]), 0,
		    "%s: %s", m[i], err);
	}
	f = reread();
	while (i-- > 0) {
		snprintf(name, sizeof(name), "user%zu", i);
		cr_expect_eq(passwdfile_verify(f, name,
		    "gr\xc3\xbc\xc3\x9f: gott "), 1, "%s", m[i]);
		cr_expect_eq(passwdfile_verify(f, name, "other"), 0);
		e = passwdfile_find(f, name);
		cr_expect_not_null(e->scram[PASSWDFILE_SHA256]);
		cr_expect_not_null(e->scram[PASSWDFILE_SHA1]);
		cr_expect_eq(e->scram[PASSWDFILE_SHA256]->iterations,
		    PASSWDFILE_ITERATIONS);
	}
	passwdfile_free(f);
	cr_expect_eq(entries_of_folder(), 1);
}

Test(passwdfile_write, other_lines_stay_octet_by_octet)
{
	struct passwdfile *f;

	put("# a comment\r\n\n  \nalic:{PLAIN}x  \nalice:{PLAIN}old\t\n#alice:y"
	    "\nalicex:{PLAIN}z");
	cr_assert_eq(set("alice", "new", "plain"), 0, "%s", err);
	cr_expect_eq(strncmp(content(), "# a comment\r\n\n  \nalic:{PLAIN}x  \n"
	    "alice:{PLAIN}new:{SCRAM-SHA-256}", 62), 0, "%s", content());
	cr_expect_not_null(strstr(content(), "\n#alice:y\nalicex:{PLAIN}z\n"));
	f = reread();
	cr_expect_eq(passwdfile_verify(f, "alice", "new"), 1);
	passwdfile_free(f);
}

Test(passwdfile_write, secret_is_made_once)
{
	uint8_t one[PASSWDFILE_SECRET], two[PASSWDFILE_SECRET];
	struct passwdfile *f;

	cr_assert_eq(set("a", "x", "plain"), 0, "%s", err);
	f = reread();
	cr_assert(passwdfile_secret(f, one));
	passwdfile_free(f);
	cr_assert_eq(set("b", "x", "plain"), 0, "%s", err);
	f = reread();
	cr_assert(passwdfile_secret(f, two));
	passwdfile_free(f);
	cr_expect_eq(memcmp(one, two, sizeof(one)), 0);
}

Test(passwdfile_write, token_and_password_leave_each_other_alone)
{
	struct passwdfile *f;

	cr_assert_eq(passwdfile_set(path, "a", "t1", true, "yescrypt",
	    &new, err, sizeof(err)), 0, "%s", err);
	cr_assert_eq(set("a", "pw", "plain"), 0, "%s", err);
	f = reread();
	cr_expect_eq(passwdfile_verify_token(f, "a", "t1"), 1);
	cr_expect_eq(passwdfile_verify(f, "a", "pw"), 1);
	passwdfile_free(f);
	cr_assert_eq(passwdfile_set(path, "a", "t2", true, "bcrypt",
	    &new, err, sizeof(err)), 0, "%s", err);
	f = reread();
	cr_expect_eq(passwdfile_verify_token(f, "a", "t2"), 1);
	cr_expect_eq(passwdfile_verify_token(f, "a", "t1"), 0);
	cr_expect_eq(passwdfile_verify(f, "a", "pw"), 1);
	cr_expect_not_null(passwdfile_find(f, "a")->scram[PASSWDFILE_SHA256]);
	passwdfile_free(f);
}

/* bcrypt takes 72 octets: all of a token counts nevertheless */
Test(passwdfile_write, long_tokens_count_to_their_end)
{
	char token[3001];
	struct passwdfile *f;

	memset(token, 'x', 3000);
	token[3000] = '\0';
	cr_assert_eq(passwdfile_set(path, "a", token, true, "bcrypt",
	    &new, err, sizeof(err)), 0, "%s", err);
	f = reread();
	cr_expect_eq(passwdfile_verify_token(f, "a", token), 1);
	token[2999] = 'y';
	cr_expect_eq(passwdfile_verify_token(f, "a", token), 0);
	passwdfile_free(f);
}

/* One keyboard sends "o" and a diaeresis, another the letter with it. */
Test(passwdfile_write, names_are_prepared_as_logins_are)
{
	struct passwdfile *f;

	cr_assert_eq(set("Jo\xcc\x88rg", "x", "plain"), 0, "%s", err);
	cr_assert_eq(set("J\xc3\xb6rg", "y", "plain"), 0, "%s", err);
	f = reread();
	cr_expect_eq(passwdfile_verify(f, "J\xc3\xb6rg", "y"), 1);
	cr_expect_null(passwdfile_find(f, "Jo\xcc\x88rg"));
	passwdfile_free(f);
	cr_expect_eq(passwdfile_remove(path, "Jo\xcc\x88rg", err,
	    sizeof(err)), 0, "%s", err);
	cr_expect_eq(set("\xc2\xad", "x", "plain"), -1);
}

Test(passwdfile_write, refuses_what_it_cannot_store)
{
	char password[600];

	cr_expect_eq(set("a", "", "yescrypt"), -1);
	cr_expect_str_eq(err, "an empty password");
	cr_expect_eq(set("a", "\xc2\xad", "yescrypt"), -1);
	cr_expect_eq(set("a", "\xff", "yescrypt"), -1);
	cr_expect_str_eq(err, "the password is not UTF-8");
	cr_expect_eq(set("a", "x", "des"), -1);
	cr_expect_not_null(strstr(err, "expected yescrypt, bcrypt"));
	cr_expect_eq(set("a:b", "x", "plain"), -1);
	cr_expect_eq(set("", "x", "plain"), -1);
	cr_expect_eq(set("#a", "x", "plain"), -1);
	memset(password, 'x', sizeof(password));
	password[73] = '\0';
	cr_expect_eq(set("a", password, "bcrypt"), -1);
	cr_expect_not_null(strstr(err, "longer than 72 octets"), "%s", err);
	password[73] = 'x';
	password[512] = '\0';
	cr_expect_eq(set("a", password, "yescrypt"), -1);
	cr_expect_eq(access(path, F_OK), -1);
	password[511] = '\0';
	cr_expect_eq(set("a", password, "plain"), 0, "%s", err);
	password[511] = 'x';
	cr_expect_eq(passwdfile_set(path, "a", "t", true, "plain",
	    &new, err, sizeof(err)), -1);
}

Test(passwdfile_write, file_that_is_bad_is_left_alone)
{
	put("a:*\nb\n");
	cr_expect_eq(set("a", "x", "plain"), -1);
	cr_expect_not_null(strstr(err, ":2: expected NAME:HASH"), "%s", err);
	cr_expect_eq(passwdfile_remove(path, "a", err, sizeof(err)), -1);
	cr_expect_str_eq(content(), "a:*\nb\n");
	cr_expect_eq(entries_of_folder(), 1);
}

Test(passwdfile_write, removes_an_entry_that_is_there)
{
	put("a:*\n# b\nb:*\nc:*");
	cr_expect_eq(passwdfile_remove(path, "b", err, sizeof(err)), 0);
	cr_expect_str_eq(content(), "a:*\n# b\nc:*\n");
	cr_expect_eq(passwdfile_remove(path, "b", err, sizeof(err)), 1);
	cr_expect_str_eq(content(), "a:*\n# b\nc:*\n");
	cr_expect_eq(entries_of_folder(), 1);
	unlink(path);
	cr_expect_eq(passwdfile_remove(path, "b", err, sizeof(err)), -1);
	cr_expect_eq(access(path, F_OK), -1);
}

Test(passwdfile_write, mode_and_owner_stay_and_a_link_stays_one)
{
	char link_path[80];
	struct stat st;

	put("a:*\n");
	cr_assert_eq(chmod(path, 0604), 0);
	if (geteuid() == 0)
		cr_assert_eq(chown(path, 12, 34), 0);
	snprintf(link_path, sizeof(link_path), "%s/link", dir);
	cr_assert_eq(symlink("passwd", link_path), 0);
	cr_assert_eq(passwdfile_set(link_path, "b", "x", false, "plain",
	    &new, err, sizeof(err)), 0, "%s", err);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0604);
	if (geteuid() == 0) {
		cr_expect_eq(st.st_uid, 12);
		cr_expect_eq(st.st_gid, 34);
	}
	cr_assert_eq(lstat(link_path, &st), 0);
	cr_expect(S_ISLNK(st.st_mode));
	cr_expect_not_null(strstr(content(), "\nb:"));
}

/* Neither turns in a circle nor waits for a writer. */
Test(passwdfile_write, link_to_nothing_and_pipe_are_refused, .timeout = 10)
{
	cr_assert_eq(symlink("nothing", path), 0);
	cr_expect_eq(set("a", "x", "plain"), -1);
	cr_expect_not_null(strstr(err, "a symbolic link to a file"), "%s",
	    err);
	cr_expect_eq(passwdfile_remove(path, "a", err, sizeof(err)), -1);
	cr_expect_eq(entries_of_folder(), 1);
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(set("a", "x", "plain"), -1);
	cr_expect_not_null(strstr(err, "cannot be read"), "%s", err);
	cr_expect_eq(entries_of_folder(), 1);
}

Test(passwdfile_write, new_file_has_the_mode_asked_for)
{
	struct passwdfile *f;
	struct stat st;

	cr_assert_eq(set("a", "x", "plain"), 0, "%s", err);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0640);
	f = reread();
	cr_expect_not(passwdfile_is_exposed(f));
	cr_expect_not(passwdfile_is_stale(f));
	cr_assert_eq(chmod(path, 0644), 0);
	cr_expect(passwdfile_is_stale(f));
	passwdfile_free(f);
	f = reread();
	cr_expect(passwdfile_is_exposed(f));
	cr_assert_eq(set("b", "x", "plain"), 0, "%s", err);
	cr_expect(passwdfile_is_stale(f));
	unlink(path);
	cr_expect(passwdfile_is_stale(f));
	passwdfile_free(f);
}

Test(passwdfile_write, many_at_once_lose_nothing)
{
	enum { WRITERS = 6, EACH = 4 };
	struct passwdfile *f;
	char name[32];
	int i, j, status;

	for (i = 0; i < WRITERS; i++) {
		if (fork() != 0)
			continue;
		for (j = 0; j < EACH; j++) {
			snprintf(name, sizeof(name), "w%d-%d", i, j);
			if (set(name, name, "plain") != 0)
				_exit(1);
			if (j % 2 == 1 && passwdfile_remove(path, name, err,
			    sizeof(err)) != 0)
				_exit(2);
		}
		_exit(0);
	}
	for (i = 0; i < WRITERS; i++) {
		cr_assert_neq(wait(&status), -1);
		cr_expect_eq(status, 0);
	}
	f = reread();
	for (i = 0; i < WRITERS; i++) {
		for (j = 0; j < EACH; j++) {
			snprintf(name, sizeof(name), "w%d-%d", i, j);
			cr_expect_eq(passwdfile_verify(f, name, name),
			    j % 2 == 0, "%s", name);
		}
	}
	passwdfile_free(f);
	cr_expect_eq(entries_of_folder(), 1);
}

Test(passwdfile_write, waits_for_the_process_that_has_the_lock)
{
	int fd, status;
	pid_t pid;

	put("a:*\n");
	fd = open(path, O_RDONLY);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	if ((pid = fork()) == 0) {
		close(fd);
		_exit(set("b", "x", "plain") != 0);
	}
	/* meanwhile the file becomes another: that one has to be changed */
	cr_assert_eq(rename(path, strcat(strcpy(err, path), ".old")), 0);
	put("c:*\n");
	flock(fd, LOCK_UN);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	cr_expect_eq(strncmp(content(), "c:*\n", 4), 0);
	cr_expect_not_null(strstr(content(), "\nb:"));
	close(fd);
}

Test(passwdfile_write, failed_write_leaves_the_old_file)
{
	struct rlimit limit;

	put("# some text, longer than what may be written\na:*\n");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 20;
	setrlimit(RLIMIT_FSIZE, &limit);
	cr_expect_eq(set("b", "x", "plain"), -1);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	cr_expect_not_null(strstr(err, "cannot be written"), "%s", err);
	cr_expect_str_eq(content(),
	    "# some text, longer than what may be written\na:*\n");
	cr_expect_eq(entries_of_folder(), 1);
}

/* Killed at any moment: the file is the old one or the new one, and the next
 * change succeeds whatever is left. */
Test(passwdfile_write, killed_in_the_middle_leaves_the_old_file_or_the_new)
{
	struct timespec pause = { 0, 0 };
	struct passwdfile *f;
	int i, status;
	pid_t pid;

	cr_assert_eq(set("keep", "x", "plain"), 0);
	for (i = 0; i < 40; i++) {
		if ((pid = fork()) == 0) {
			for (;;) {
				passwdfile_remove(path, "b", err, sizeof(err));
				set("b", "y", "plain");
			}
		}
		pause.tv_nsec = (20 + i * 2) * 1000000L + i * 77777L;
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		f = reread();
		cr_expect_eq(passwdfile_verify(f, "keep", "x"), 1);
		cr_expect(passwdfile_find(f, "b") == NULL ||
		    passwdfile_verify(f, "b", "y") == 1);
		passwdfile_free(f);
	}
	cr_assert_eq(set("c", "z", "plain"), 0, "%s", err);
	cr_expect_eq(entries_of_folder(), 1);
}
