#include <sys/resource.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/spooldir.h"
#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/spool/spool_segment.h"
#include "test/unit/core/spool/fault.h"

static char top[64];

static void
setup(void)
{
	strcpy(top, "/tmp/mailmill-spooldir.XXXXXX");
	cr_assert_not_null(mkdtemp(top));
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	cr_assert(system(command) == 0);
}

TestSuite(spooldir, .init = setup, .fini = teardown);

static struct stat
look(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	cr_assert(lstat(path, &st) == 0, "%s", path);
	return st;
}

static int
make(void)
{
	struct account accounts[NROLES];
	char path[256];
	unsigned int i;

	for (i = 0; i < NROLES; i++)
		accounts[i] = (struct account){ geteuid(), getegid() };
	snprintf(path, sizeof(path), "%s/a/b/spool", top);
	return spooldir_make(path, accounts);
}

Test(spooldir, all_folders_are_made_with_their_modes)
{
	cr_assert(make() == 0);
	cr_assert((look("a/b/spool").st_mode & 07777) == 0755);
	cr_assert((look("a/b/spool/incoming").st_mode & 07777) == 0700);
	cr_assert((look("a/b/spool/queue").st_mode & 07777) == 0700);
	cr_assert((look("a/b/spool/queue/deferred").st_mode & 07777) == 0700);
}

Test(spooldir, a_second_start_corrects_the_modes)
{
	char path[256];

	cr_assert(make() == 0);
	snprintf(path, sizeof(path), "%s/a/b/spool/incoming", top);
	cr_assert(chmod(path, 0777) == 0);
	cr_assert(make() == 0);
	cr_assert((look("a/b/spool/incoming").st_mode & 07777) == 0700);
}

Test(spooldir, a_link_in_place_of_a_folder_is_not_followed)
{
	char path[256];

	cr_assert(make() == 0);
	snprintf(path, sizeof(path), "%s/a/b/spool/incoming", top);
	cr_assert(rmdir(path) == 0);
	cr_assert(symlink("/tmp", path) == 0);
	cr_assert(make() == -1);
}

Test(spooldir, the_folder_of_a_file_is_made_when_only_it_is_missing)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/run/pid", top);
	cr_assert(rundir_make(path) == 0);
	cr_assert(S_ISDIR(look("run").st_mode));
	cr_assert(rundir_make(path) == 0);
	snprintf(path, sizeof(path), "%s/no/run/pid", top);
	cr_assert(rundir_make(path) == -1);
}

Test(spooldir, the_empty_folder_is_made_and_must_stay_empty)
{
	char path[256];

	cr_assert(make() == 0);
	cr_assert((look("a/b/spool/empty").st_mode & 07777) == 0755);
	snprintf(path, sizeof(path), "%s/a/b/spool/empty/x", top);
	cr_assert(mkdir(path, 0700) == 0);
	cr_assert(make() == -1);
}

Test(spooldir, what_could_be_made_is_found_out_without_making_it)
{
	char path[256], file[256];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/a/b/spool", top);
	cr_expect_eq(spooldir_check(path), 0);
	cr_expect_eq(access(path, F_OK), -1);
	cr_expect_eq(spooldir_could_make(path, 2), 0);
	cr_expect_eq(spooldir_could_make(path, 1), -1);
	cr_expect_eq(errno, ENOENT);
	snprintf(file, sizeof(file), "%s/file", top);
	cr_assert_not_null(fp = fopen(file, "w"));
	fclose(fp);
	snprintf(path, sizeof(path), "%s/file/spool", top);
	cr_expect_eq(spooldir_check(path), -1);
	cr_expect_eq(errno, ENOTDIR);
	cr_expect_eq(spooldir_check(file), -1);
	cr_expect_eq(errno, ENOTDIR);
	cr_expect_eq(spooldir_could_make("/mailmill-test", 0),
	    access("/", W_OK));
}

Test(spooldir, a_spool_is_checked_as_it_would_be_corrected)
{
	char path[256], command[1200];

	cr_assert(make() == 0);
	snprintf(path, sizeof(path), "%s/a/b/spool", top);
	cr_expect_eq(spooldir_check(path), 0);
	snprintf(command, sizeof(command), "touch '%s/empty/x'", path);
	cr_assert(system(command) == 0);
	cr_expect_eq(spooldir_check(path), -1);
	snprintf(command, sizeof(command), "rm '%s/empty/x'; mv '%s/queue' "
	    "'%s/q'; ln -s q '%s/queue'", path, path, path, path);
	cr_assert(system(command) == 0);
	cr_expect_eq(spooldir_check(path), -1);
	cr_expect_eq(make(), -1);
}

/* A file in a folder of the spool */
static void
put_file(const char *name)
{
	char path[256];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/a/b/spool/%s", top, name);
	fp = fopen(path, "w");
	cr_assert_not_null(fp, "%s", path);
	fclose(fp);
}

Test(spooldir, numbers_are_of_the_files_of_workers_and_of_deferred_messages)
{
	struct spooldir_numbers numbers;
	char path[256], name[96], id[SPOOL_NAME];

	cr_assert(make() == 0);
	snprintf(path, sizeof(path), "%s/a/b/spool", top);
	spool_segment_name("seg", 7ULL << SPOOL_NUMBER_BITS | 5, id);
	snprintf(name, sizeof(name), "incoming/%s", id);
	put_file(name);
	spool_id_text(1700000000000000ULL << SPOOL_NUMBER_BITS | 77, id);
	snprintf(name, sizeof(name), "queue/deferred/%s", id);
	put_file(name);
	put_file("queue/deferred/other.tmp");
	cr_assert_eq(spooldir_numbers(path, &numbers), 0);
	cr_assert(spooldir_has_number(&numbers, 5));
	cr_assert(spooldir_has_number(&numbers, 77));
	cr_assert_not(spooldir_has_number(&numbers, 6));
	cr_assert_eq(spooldir_numbers(top, &numbers), 0, "no folders");
	cr_assert_not(spooldir_has_number(&numbers, 77));
}

/* None is known of a folder that cannot be read, which is not the same as
 * none. */
Test(spooldir, numbers_that_cannot_be_read_are_an_error)
{
	struct rlimit old, few;
	struct spooldir_numbers numbers;
	unsigned int left;
	int free_fd, error;
	char path[256];

	cr_assert(make() == 0);
	snprintf(path, sizeof(path), "%s/a/b/spool", top);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	close(free_fd = dup(0));
	/* none for the folder; and one for it, but none for its entries */
	for (left = 0; left < 2; left++) {
		few = old;
		few.rlim_cur = (rlim_t)free_fd + left;
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		error = spooldir_numbers(path, &numbers) == -1 ? errno : 0;
		cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		cr_expect_eq(error, EMFILE, "%u: %d", left, error);
	}
	cr_expect_eq(spooldir_numbers(path, &numbers), 0);
}

/* Let each readdir(3) of ${run} fail, one after the other: it is never taken for
 * the end of a folder.  Return how many there were. */
static int
fail_each_read(int (*run)(const char *path), const char *path)
{
	int n, left, rc, error;

	for (n = 0; n < 1000; n++) {
		fault_arm(FAULT_READDIR, n, 1, EIO);
		rc = run(path);
		error = errno;
		left = fault_left(FAULT_READDIR);
		fault_arm(FAULT_READDIR, 0, 0, 0);
		if (left > 0) {
			cr_expect_eq(rc, 0);
			break;
		}
		cr_expect_eq(rc, -1, "read %d", n);
		cr_expect_eq(error, EIO, "read %d: %s", n, strerror(error));
	}
	return n;
}

static int
make_at(const char *)
{
	char line[LOG_ERROR_MAX];
	int rc = make();

	log_last_error(line, sizeof(line));
	if (rc == -1) {
		cr_expect_not_null(strstr(line, strerror(EIO)), "%s", line);
		errno = EIO;
	}
	return rc;
}

static int
numbers_at(const char *path)
{
	struct spooldir_numbers numbers;

	return spooldir_numbers(path, &numbers);
}

Test(spooldir, a_read_that_fails_is_not_the_end_of_a_folder)
{
	char path[256];

	cr_assert(make() == 0);
	snprintf(path, sizeof(path), "%s/a/b/spool", top);
	put_file("incoming/x");
	put_file("queue/deferred/x");
	/* the entries of "empty", and that it ends; of root's folders, too */
	cr_expect_geq(fail_each_read(make_at, path), geteuid() == 0 ? 9 : 3);
	cr_expect_eq(fail_each_read(spooldir_check, path), 3);
	cr_expect_eq(fail_each_read(numbers_at, path), 8);
}
