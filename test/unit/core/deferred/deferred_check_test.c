/* The deferred store: its files are compared with the rows in pieces, while mail is
 * deferred and delivered. */

#include "core/deferred/deferred.h"

#include <sys/param.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_format.h"
#include "core/spool/spool_id.h"
#include "test/unit/core/deferred/deferred_fixture.h"
#include "test/unit/core/spool/fault.h"

#define MANY	400		/* more than deferred_open() looks at */
#define PIECE	50
#define MARK	"deferred.rebuild"
#define ROW(n)	(1000 + 2 * (uint64_t)(n))	/* ids with a row, and without one */
#define LEFT(n)	(1001 + 2 * (uint64_t)(n))

static int files;		/* deferred/ */

/* The file ${id} gets another name. */
static void
link_as(uint64_t id, const char *as)
{
	char text[SPOOL_ID_TEXT + 1];

	spool_id_text(id, text);
	cr_assert_eq(linkat(files, text, files, as, 0), 0, "%s: %s", as,
	    strerror(errno));
}

static void
link_id(uint64_t id, uint64_t as)
{
	char text[SPOOL_ID_TEXT + 1];

	spool_id_text(as, text);
	link_as(id, text);
}

static bool
has_file(uint64_t id)
{
	char text[SPOOL_ID_TEXT + 1];

	spool_id_text(id, text);
	return faccessat(files, text, F_OK, 0) == 0;
}

/* How many of the MANY files with or without a row are there? */
static unsigned int
nfiles(bool has_row)
{
	unsigned int i, n = 0;

	for (i = 0; i < MANY; i++)
		n += has_file(has_row ? ROW(i) : LEFT(i));
	return n;
}

static void
setup(void)
{
	ds_setup();
	files = openat(ds.f.folder, "deferred", O_RDONLY | O_DIRECTORY);
	ds_put_file(5);
	ds_put(5, 0, 1);
}

static void
teardown(void)
{
	close(files);
	ds_teardown();
}

TestSuite(deferred_check, .init = setup, .fini = teardown);

/* MANY files with a row, and as many without one; the store is open. */
static void
fill(void)
{
	unsigned int i;

	cr_assert_eq(deferred_begin(ds.d), 0);
	for (i = 0; i < MANY; i++) {
		link_id(5, ROW(i));
		ds_put(ROW(i), 0, 1);
		link_id(5, LEFT(i));
	}
	cr_assert_eq(deferred_commit(ds.d), 0);
	ds_reopen();
}

/* What the files take, as they are counted when they are looked at all at once */
static uint64_t
octets_of_all(void)
{
	DIR *dir = fdopendir(dup(files));
	uint64_t octets = 0;
	struct dirent *de;
	struct stat st;

	rewinddir(dir);
	while ((de = readdir(dir)) != NULL)
		if (fstatat(files, de->d_name, &st, 0) == 0 &&
		    S_ISREG(st.st_mode))
			octets += roundup((uint64_t)st.st_size, SPOOL_PAGE);
	closedir(dir);
	return octets;
}

/* And those of the folder of the database alone */
static uint64_t
octets_of_folder(void)
{
	char path[96];
	struct stat st;
	uint64_t octets = 0;
	struct dirent *de;
	DIR *dir;

	snprintf(path, sizeof(path), "%s", ds.f.path);
	dir = opendir(path);
	while ((de = readdir(dir)) != NULL)
		if (fstatat(dirfd(dir), de->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			octets += roundup((uint64_t)st.st_size, SPOOL_PAGE);
	closedir(dir);
	return octets;
}

static void
expect_counted(const char *what)
{
	uint64_t octets = octets_of_all() + octets_of_folder();

	cr_expect_eq(deferred_octets(ds.d), octets, "%s: %lld too many", what,
	    (long long)(deferred_octets(ds.d) - octets));
}

/* Pieces until all is done; return how many */
static unsigned int
check_to_the_end(void)
{
	unsigned int n;
	int rc;

	for (n = 1; (rc = deferred_check(ds.d, PIECE)) == 1; n++)
		cr_assert_lt(n, 100 * MANY / PIECE);
	cr_assert_eq(rc, 0);
	cr_expect_eq(deferred_check(ds.d, PIECE), 0, "nothing begins again");
	return n;
}

Test(deferred_check, many_files_are_looked_at_in_pieces)
{
	unsigned int before, now, i;

	fill();
	before = nfiles(false);
	cr_expect_gt(before, 0, "not all by the open");
	for (i = 0; before > 0; i++) {
		cr_assert_lt(i, 10 * MANY / PIECE);
		cr_assert_eq(deferred_check(ds.d, PIECE), 1);
		now = nfiles(false);
		cr_expect_leq(before - now, PIECE);
		before = now;
	}
	cr_expect_geq(check_to_the_end(), MANY / PIECE);
	cr_expect_eq(nfiles(true), MANY);
	cr_expect(has_file(5));
	expect_counted("all");
}

Test(deferred_check, few_are_looked_at_when_it_is_opened)
{
	link_id(5, LEFT(1));
	link_as(5, "X.tmp");
	ds_reopen();
	cr_expect_not(has_file(LEFT(1)));
	cr_expect_neq(faccessat(files, "X.tmp", F_OK, 0), 0);
	cr_expect_eq(deferred_check(ds.d, PIECE), 0);
	expect_counted("few");
}

/* Wherever the check is: a file is written that gets a row, one with a row is
 * removed. */
Test(deferred_check, what_is_written_and_removed_meanwhile_is_counted_once)
{
	unsigned int at, i;
	char what[32];

	for (at = 0; at < 40; at += 3) {
		fill();
		for (i = 0; i < at; i++)
			(void)deferred_check(ds.d, PIECE);
		snprintf(what, sizeof(what), "after %u pieces", at);
		for (i = 0; i < MANY; i += MANY / 8) {
			cr_assert_eq(deferred_drop(ds.d, ROW(i), 0), 0);
			cr_assert_eq(deferred_file_remove(ds.d, ROW(i)), 0);
		}
		ds_put_file(900 + at);		/* before all, */
		ds_put(900 + at, 0, 1);
		ds_put_file(9000 + at);		/* behind, */
		ds_put(9000 + at, 0, 1);
		ds_put_file(ROW(at + 1));	/* once more */
		check_to_the_end();
		cr_expect(has_file(900 + at), "%s", what);
		cr_expect(has_file(9000 + at), "%s", what);
		expect_counted(what);
		/* for fill() */
		for (i = 0; i < MANY; i++)
			cr_assert_eq(deferred_file_remove(ds.d, ROW(i)), 0);
	}
}

/* spool_quota must not be wider after each start. */
Test(deferred_check, until_all_is_counted_what_was_told_before_counts)
{
	uint64_t before;

	fill();
	deferred_assume(ds.d, 1ULL << 40);
	cr_expect_eq(deferred_octets(ds.d), 1ULL << 40);
	before = octets_of_all();
	ds_put_file(9000);
	cr_expect_eq(deferred_octets(ds.d), (1ULL << 40) + octets_of_all() -
	    before);
	ds_put(9000, 0, 1);
	check_to_the_end();
	expect_counted("then");
}

/* An administrator has made it, to get the rows that are missing. */
Test(deferred_check, with_the_mark_no_file_is_removed)
{
	unsigned int before;
	int fd;

	fill();
	before = nfiles(false);
	cr_assert_gt(before, 0);
	fd = openat(ds.f.folder, MARK, O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	close(fd);
	check_to_the_end();
	cr_expect_eq(nfiles(false), before);
	cr_assert_eq(unlinkat(ds.f.folder, MARK, 0), 0);
	ds_reopen();
	check_to_the_end();
	cr_expect_eq(nfiles(false), 0);
}

Test(deferred_check, a_folder_that_cannot_be_read_is_looked_at_again)
{
	fill();
	(void)deferred_check(ds.d, PIECE);
	fault_arm(FAULT_READDIR, 20, 1, EIO);
	cr_expect_eq(deferred_check(ds.d, PIECE), -1);
	cr_expect_eq(errno, EIO);
	check_to_the_end();
	cr_expect_eq(nfiles(false), 0);
	cr_expect_eq(nfiles(true), MANY);
	expect_counted("again");
}

/* The pages of the rows are damaged where deferred_open() does not look. */
Test(deferred_check, damage_that_is_found_later_has_the_database_made_again)
{
	int rc;

	fill();
	ds_damage();
	while ((rc = deferred_check(ds.d, PIECE)) == 1)
		continue;
	cr_expect_eq(rc, -1);
	cr_expect_eq(errno, EBADMSG);
	cr_expect(qf_exists(&ds.f, ds.f.folder, MARK));
	/* the only file whose name and message agree */
	ds_reopen();
	cr_expect_eq(ds_rows_of(5), 2);
	cr_expect_not(qf_exists(&ds.f, ds.f.folder, MARK));
}

/* Whenever it is killed: nothing with a row is lost, and the next one removes the
 * rest. */
Test(deferred_check, a_check_that_is_killed_is_begun_again)
{
	unsigned int i, n;
	int status = 0;
	pid_t pid;

	fill();
	deferred_free(ds.d);
	ds.d = NULL;
	for (n = 1; !WIFEXITED(status) || n == 1; n += 37) {
		for (i = 0; i < MANY; i++)
			if (!has_file(LEFT(i)))
				link_id(5, LEFT(i));
		cr_assert_neq(pid = fork(), -1);
		if (pid == 0) {
			fault_kill_at((int)n);
			ds.d = deferred_open(ds.f.path, ds.f.folder);
			while (ds.d != NULL && deferred_check(ds.d, PIECE) == 1)
				continue;
			_exit(ds.d == NULL);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_expect_eq(nfiles(true), MANY, "killed at %u", n);
	}
	cr_expect_eq(WEXITSTATUS(status), 0);
	cr_expect_gt(n, MANY / 2, "it was killed while it went on");
	cr_expect_eq(nfiles(false), 0);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	for (i = 0; i < MANY; i++)
		cr_assert_eq(deferred_has(ds.d, ROW(i), 0), 1);
}
