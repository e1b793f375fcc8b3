#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/sockfile.h"

static char top[64], path[128];
static struct sockfile_spec spec;
static const char *why;

static void
setup(void)
{
	strcpy(top, "/tmp/mailmill-sockfile.XXXXXX");
	cr_assert_not_null(mkdtemp(top));
	snprintf(path, sizeof(path), "%s/s", top);
	spec = (struct sockfile_spec){ .path = path, .mode = 0640,
		.uid = geteuid(), .gid = getegid() };
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	cr_assert(system(command) == 0);
}

TestSuite(sockfile, .init = setup, .fini = teardown);

static int
new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	cr_assert_neq(fd, -1);
	return fd;
}

/* Return the descriptor, or -1 with errno and ${why}. */
static int
open_listening(struct sockfile *f_r)
{
	int fd = new_socket(SOCK_STREAM), saved;

	why = NULL;
	if (sockfile_listen(fd, &spec, 5, f_r, &why) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
connects(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int rc, fd = new_socket(SOCK_STREAM), saved;

	strcpy(un.sun_path, path);
	rc = connect(fd, (struct sockaddr *)&un, sizeof(un));
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static void
expect_mode(mode_t mode)
{
	struct stat st;

	cr_assert_eq(lstat(path, &st), 0, "%s", strerror(errno));
	cr_expect(S_ISSOCK(st.st_mode));
	cr_expect_eq(st.st_mode & 07777, mode, "%o", st.st_mode);
}

/* Neither check nor start take it, and what is there stays. */
static void
expect_refused(int errnum, const char *reason)
{
	struct stat before, after;
	bool was_there = lstat(path, &before) == 0;
	struct sockfile f;

	why = NULL;
	cr_expect_eq(sockfile_check(&spec, &why), -1);
	cr_expect_eq(errno, errnum, "%s", strerror(errno));
	if (reason != NULL && why != NULL)
		cr_expect_not_null(strstr(why, reason), "%s", why);
	else
		cr_expect_eq(why, reason);
	cr_expect_eq(open_listening(&f), -1);
	cr_expect_eq(errno, errnum, "%s", strerror(errno));
	if (reason != NULL && why != NULL)
		cr_expect_not_null(strstr(why, reason), "%s", why);
	else
		cr_expect_eq(why, reason);
	cr_expect_not(f.is_made);
	cr_expect_eq(lstat(path, &after) == 0, was_there);
	if (was_there)
		cr_expect_eq(before.st_ino, after.st_ino);
}

Test(sockfile, is_made_with_its_mode_and_removed_again)
{
	mode_t before = umask(077);
	struct sockfile f;
	int fd;

	cr_expect_eq(sockfile_check(&spec, &why), 0);
	cr_expect_eq(access(path, F_OK), -1);
	fd = open_listening(&f);
	cr_assert_neq(fd, -1, "%s %s", strerror(errno), why);
	expect_mode(0640);
	/* the process has the mask that it had */
	cr_expect_eq(umask(before), 077);
	cr_expect_eq(connects(), 0);
	cr_expect(sockfile_is_there(&f, path));
	spec.mode = 0600;
	cr_expect_eq(sockfile_change(&f, &spec), 0);
	expect_mode(0600);
	sockfile_remove(&f, path);
	cr_expect_eq(access(path, F_OK), -1);
	cr_expect_not(sockfile_is_there(&f, path));
	close(fd);
	/* and nothing else is left */
	cr_expect_eq(rmdir(top), 0);
	cr_expect_eq(mkdir(top, 0700), 0);
}

Test(sockfile, one_of_nobody_is_replaced)
{
	struct sockfile f, g;
	int fd = open_listening(&f);

	cr_assert_neq(fd, -1);
	close(fd);
	cr_expect_eq(connects(), -1);
	expect_mode(0640);
	cr_expect_eq(sockfile_check(&spec, &why), 0);
	fd = open_listening(&g);
	cr_assert_neq(fd, -1, "%s %s", strerror(errno), why);
	cr_expect_eq(connects(), 0);
	cr_expect(sockfile_is_there(&g, path));
	close(fd);
}

Test(sockfile, one_that_is_in_use_is_left_alone)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockfile f;
	int i, fd = open_listening(&f), waiting[16], datagrams;

	cr_assert_neq(fd, -1);
	expect_refused(EADDRINUSE, "another process listens there");
	cr_expect(sockfile_is_there(&f, path));
	/* also when its backlog is full */
	strcpy(un.sun_path, path);
	for (i = 0; i < 16; i++) {
		waiting[i] = new_socket(SOCK_STREAM);
		if (connect(waiting[i], (struct sockaddr *)&un,
		    sizeof(un)) == -1)
			cr_expect_eq(errno, EAGAIN);
	}
	expect_refused(EADDRINUSE, "another process listens there");
	for (i = 0; i < 16; i++)
		close(waiting[i]);
	close(fd);
	/* and one of another type */
	cr_assert_eq(unlink(path), 0);
	datagrams = new_socket(SOCK_DGRAM);
	cr_assert_eq(bind(datagrams, (struct sockaddr *)&un, sizeof(un)), 0);
	expect_refused(EADDRINUSE, "another process listens there");
	close(datagrams);
}

Test(sockfile, something_else_is_left_alone)
{
	char other[128];
	int fd;

	cr_assert_eq(mkdir(path, 0700), 0);
	expect_refused(EEXIST, "something else than a socket");
	cr_assert_eq(rmdir(path), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	expect_refused(EEXIST, "something else than a socket");
	/* a link is not followed: neither to a file, nor to a socket */
	snprintf(other, sizeof(other), "%s/other", top);
	cr_assert_eq(rename(path, other), 0);
	cr_assert_eq(symlink(other, path), 0);
	expect_refused(EEXIST, "something else than a socket");
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(symlink("nowhere", path), 0);
	expect_refused(EEXIST, "something else than a socket");
}

Test(sockfile, a_folder_that_others_can_write_to_is_refused)
{
	static const mode_t wide[] = { 0777, 0775, 0757 };
	char inner[96];
	size_t i;

	cr_assert_eq(chmod(top, 0770), 0);
	expect_refused(EPERM, "other accounts can write to the folder");
	/* sticky: nobody could replace it, but have the name before */
	cr_assert_eq(chmod(top, 01777), 0);
	expect_refused(EPERM, "other accounts can write to the folder");
	cr_assert_eq(chmod(top, 0755), 0);
	cr_expect_eq(sockfile_check(&spec, &why), 0);
	/* nor one that others can put another in the place of */
	snprintf(inner, sizeof(inner), "%s/in", top);
	snprintf(path, sizeof(path), "%s/s", inner);
	cr_assert_eq(mkdir(inner, 0700), 0);
	cr_expect_eq(sockfile_check(&spec, &why), 0);
	for (i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		cr_assert_eq(chmod(top, wide[i]), 0);
		expect_refused(EPERM, "can write to a folder above");
		cr_assert_eq(chmod(top, wide[i] | S_ISVTX), 0);
		cr_expect_eq(sockfile_check(&spec, &why), 0);
	}
}

/* The owner of a folder above can replace what is in it, sticky or not. */
Test(sockfile, a_folder_above_is_of_an_account_that_is_trusted)
{
	static const mode_t modes[] = { 0755, 01777 };
	char inner[96];
	size_t i;

	if (geteuid() != 0)
		cr_skip_test("this needs root");
	snprintf(inner, sizeof(inner), "%s/in", top);
	snprintf(path, sizeof(path), "%s/s", inner);
	cr_assert_eq(mkdir(inner, 0755), 0);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		cr_assert_eq(chmod(top, modes[i]), 0);
		cr_assert_eq(chown(top, 12346, 0), 0);
		spec.uid = 0;
		expect_refused(EPERM, "a folder above must belong to root");
		spec.uid = 12346;
		cr_expect_eq(sockfile_check(&spec, &why), 0);
		cr_assert_eq(chown(top, 0, 12346), 0);
		spec.uid = 0;
		cr_expect_eq(sockfile_check(&spec, &why), 0);
	}
}

/* The lock's file must be ours alone. */
Test(sockfile, a_lock_that_somebody_else_could_keep_is_none)
{
	struct sockfile f;
	char lock[128];
	int fd;

	snprintf(lock, sizeof(lock), "%s/.s.mailmill-lock", top);
	fd = open(lock, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(fchmod(fd, 0666), 0);
	cr_expect_eq(open_listening(&f), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_not_null(strstr(why, "lock"), "%s", why);
	/* one that is ours may be left */
	cr_assert_eq(fchmod(fd, 0600), 0);
	/* another server has it and does not end: this one does not wait
	 * for ever */
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	cr_expect_eq(open_listening(&f), -1);
	cr_expect_eq(errno, EADDRINUSE);
	cr_expect_eq(access(path, F_OK), -1);
	close(fd);
	fd = open_listening(&f);
	cr_expect_neq(fd, -1);
	cr_expect_eq(access(lock, F_OK), -1);
	close(fd);
}

Test(sockfile, what_has_taken_its_place_is_not_removed)
{
	struct sockfile f, g;
	int old = open_listening(&f), fd, gd;

	cr_assert_neq(old, -1);
	/* while it is open, no new file gets its number */
	gd = open(path, O_PATH | O_CLOEXEC);
	cr_assert_eq(unlink(path), 0);
	cr_expect_not(sockfile_is_there(&f, path));
	fd = open_listening(&g);
	cr_assert_neq(fd, -1);
	spec.mode = 0777;
	cr_expect_eq(sockfile_change(&f, &spec), -1);
	sockfile_remove(&f, path);
	expect_mode(0640);
	cr_expect(sockfile_is_there(&g, path));
	close(old);
	close(fd);
	close(gd);
}

/* The names of this system's accounts are not ours: 0 is root's everywhere. */
Test(sockfile, accounts_are_names_or_numbers)
{
	cr_assert_eq(sockfile_accounts("", "", &spec, &why), 0);
	cr_expect_eq(spec.uid, geteuid());
	cr_expect_eq(spec.gid, getegid());
	cr_assert_eq(sockfile_accounts("root", "root", &spec, &why), 0);
	cr_expect_eq(spec.uid, 0);
	cr_expect_eq(spec.gid, 0);
	cr_assert_eq(sockfile_accounts("1000", "4294967294", &spec, &why), 0);
	cr_expect_eq(spec.uid, 1000);
	cr_expect_eq(spec.gid, 4294967294u);
	cr_expect_eq(sockfile_accounts("no such", "", &spec, &why), -1);
	cr_expect_not_null(strstr(why, "File_Owner"));
	cr_expect_eq(sockfile_accounts("", "4294967295", &spec, &why), -1);
	cr_expect_not_null(strstr(why, "File_Group"));
	cr_expect_eq(sockfile_accounts("-1", "", &spec, &why), -1);
}

/* Root gives the file away; the folder may be the new owner's. */
Test(sockfile, the_file_is_given_to_its_owner)
{
	struct sockfile f;
	struct stat st;
	int fd;

	if (geteuid() != 0)
		cr_skip_test("this needs root");
	spec.uid = 12345;
	spec.gid = 54321;
	fd = open_listening(&f);
	cr_assert_neq(fd, -1, "%s %s", strerror(errno), why);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect_eq(st.st_uid, 12345);
	cr_expect_eq(st.st_gid, 54321);
	expect_mode(0640);
	/* and back */
	spec.uid = spec.gid = 0;
	cr_assert_eq(sockfile_change(&f, &spec), 0);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect_eq(st.st_uid, 0);
	cr_expect_eq(st.st_gid, 0);
	spec.uid = 12345;
	sockfile_remove(&f, path);
	close(fd);
	cr_assert_eq(chown(top, 12345, 12345), 0);
	cr_expect_eq(sockfile_check(&spec, &why), 0);
	fd = open_listening(&f);
	cr_assert_neq(fd, -1, "%s %s", strerror(errno), why);
	sockfile_remove(&f, path);
	close(fd);
	/* but not anybody's */
	cr_assert_eq(chown(top, 12346, 0), 0);
	expect_refused(EPERM, "the folder must belong to root");
}
