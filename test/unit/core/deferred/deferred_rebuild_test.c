/* The deferred store: a database that is damaged, or was lost, is made again
 * from the files. */

#include "core/deferred/deferred.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "test/unit/core/deferred/deferred_fixture.h"
#include "test/unit/core/spool/fault.h"

TestSuite(deferred_rebuild, .init = ds_setup, .fini = ds_teardown);

/* Close the store, and make ${octets} octets that are no database in its
 * place. */
static void
damage(unsigned int octets)
{
	char cmd[200];

	deferred_free(ds.d);
	snprintf(cmd, sizeof(cmd), "cd %s && rm -f deferred.db-* && "
	    "head -c %u /dev/zero | tr '\\0' x > deferred.db", ds.f.path,
	    octets);
	cr_assert_eq(system(cmd), 0);
}

/* The log names the file in which the damaged database is.  Copy that name. */
static void
name_of_kept(char *buf, size_t len)
{
	char line[LOG_ERROR_MAX], *name;

	log_last_error(line, sizeof(line));
	cr_assert_not_null(strstr(line, "deferred-store-damaged "), "%s", line);
	cr_assert_not_null(name = strstr(line, " kept_as="), "%s", line);
	name += strlen(" kept_as=");
	name[strcspn(name, " ")] = '\0';
	strlcpy(buf, name, len);
	cr_assert(qf_exists(&ds.f, ds.f.folder, buf), "%s", buf);
}

Test(deferred_rebuild, a_damaged_database_is_made_again_from_the_files)
{
	char kept[LOG_ERROR_MAX];

	ds_put_file(5);
	ds_put(5, 0, 1);
	damage(5000);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(5), 2);
	cr_assert_str_eq(ds.texts[0][0], "s@x.test");
	cr_assert_str_eq(ds.texts[0][1], "one@x.test");
	cr_assert_str_eq(ds.texts[1][1], "two@x.test");
	name_of_kept(kept, sizeof(kept));
}

/* Within a second, too: the name has the time in seconds. */
Test(deferred_rebuild, each_damaged_database_is_kept)
{
	char kept[3][LOG_ERROR_MAX];
	unsigned int i;
	struct stat st;

	for (i = 0; i < 3; i++) {
		damage(5000 + i);
		ds.d = deferred_open(ds.f.path, ds.f.folder);
		cr_assert_not_null(ds.d);
		name_of_kept(kept[i], sizeof(kept[i]));
	}
	for (i = 0; i < 3; i++) {
		cr_assert_eq(fstatat(ds.f.folder, kept[i], &st, 0), 0);
		cr_expect_eq(st.st_size, 5000 + i);
	}
}

#define MARK	"deferred.rebuild"

/* The store is closed: two files, of which the second has a row for its first
 * recipient alone, and a leftover. */
static void
make_files(void)
{
	ds_put_file(5);
	ds_put_file(6);
	ds_put(6, 0, 1);
	deferred_free(ds.d);
	ds.d = NULL;
}

static void
lose_database(void)
{
	static const char *const parts[] = { "deferred.db", "deferred.db-wal",
		"deferred.db-shm" };
	size_t i;

	for (i = 0; i < 3; i++)
		(void)unlinkat(ds.f.folder, parts[i], 0);
}

/* Open it; then both files have rows for both recipients. */
static void
expect_rebuilt(const char *what, int n)
{
	char text[SPOOL_ID_TEXT + 1], name[64];
	uint64_t id;

	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d, "%s %d", what, n);
	ds.nseen = 0;
	cr_assert_eq(ds_rows_of(5), 2, "%s %d", what, n);
	cr_assert_eq(ds_rows_of(6), 2, "%s %d", what, n);
	cr_assert_not(qf_exists(&ds.f, ds.f.folder, MARK), "%s %d", what, n);
	for (id = 5; id < 7; id++) {
		spool_id_text(id, text);
		snprintf(name, sizeof(name), "deferred/%s", text);
		cr_assert(qf_exists(&ds.f, ds.f.folder, name), "%s %d", what,
		    n);
	}
	deferred_free(ds.d);
	ds.d = NULL;
}

/* A file without rows is a leftover again. */
static void
expect_leftovers(void)
{
	ds_put_file(9);
	ds_reopen();
	cr_assert_eq(deferred_file_open(ds.d, 9), -1);
}

Test(deferred_rebuild, a_missing_database_is_made_again_from_the_files)
{
	make_files();
	lose_database();
	expect_rebuilt("missing", 0);
	ds_reopen();
	expect_leftovers();
}

Test(deferred_rebuild, a_database_that_was_never_finished_is_made_again)
{
	int fd;

	make_files();
	lose_database();
	/* as an open that was killed leaves it */
	fd = openat(ds.f.folder, "deferred.db", O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	close(fd);
	expect_rebuilt("empty", 0);
	cr_assert_eq(ds_exec("DROP TABLE deferred"), SQLITE_OK);
	expect_rebuilt("no table", 0);
}

Test(deferred_rebuild, while_the_mark_is_there_no_file_is_a_leftover)
{
	int fd;

	make_files();
	/* the table was made, and its rows were not committed; or an
	 * administrator has put an older one in its place */
	fd = openat(ds.f.folder, MARK, O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	close(fd);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(5), 2);
	cr_assert_eq(ds_rows_of(6), 1, "those that it had stay as they were");
	cr_assert_not(qf_exists(&ds.f, ds.f.folder, MARK));
	expect_leftovers();
}

/* Whatever call fails once, or has the process killed: the next open has it
 * all. */
static void
fail_at_each(const char *what, enum fault_call call, bool is_damaged)
{
	int n, left = 0;

	for (n = 0; left == 0; n++) {
		lose_database();
		if (is_damaged)
			cr_assert_eq(ds_exec("CREATE TABLE other (a);"
			    "INSERT INTO other VALUES (zeroblob(9000));"
			    "PRAGMA writable_schema = 1;"
			    "UPDATE sqlite_master SET sql = 'nonsense';"),
			    SQLITE_OK);
		fault_arm(call, n, 1, call == FAULT_DATABASE ? ENOSPC : EIO);
		ds.d = deferred_open(ds.f.path, ds.f.folder);
		deferred_free(ds.d);
		ds.d = NULL;
		left = fault_left(call);
		fault_arm(call, 0, 0, 0);
		expect_rebuilt(what, n);
	}
	cr_assert_gt(n, 1, "%s: it has failed", what);
}

Test(deferred_rebuild, a_rebuild_that_fails_is_begun_again)
{
	make_files();
	fail_at_each("write of the database", FAULT_DATABASE, false);
	fail_at_each("fsync", FAULT_FSYNC, false);
	fail_at_each("fdatasync", FAULT_FDATASYNC, false);
	fail_at_each("readdir", FAULT_READDIR, false);
	fail_at_each("write, damaged", FAULT_DATABASE, true);
	fail_at_each("fsync, damaged", FAULT_FSYNC, true);
}

Test(deferred_rebuild, a_rebuild_that_is_killed_is_begun_again)
{
	int n, status;
	pid_t pid;

	make_files();
	for (n = 1; ; n++) {
		lose_database();
		pid = fork();
		cr_assert_neq(pid, -1);
		if (pid == 0) {
			fault_kill_at(n);
			ds.d = deferred_open(ds.f.path, ds.f.folder);
			fault_kill_at(0);
			_exit(ds.d == NULL);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		expect_rebuilt("killed at", n);
		if (WIFEXITED(status))
			break;
	}
	cr_assert_eq(WEXITSTATUS(status), 0);
	cr_assert_gt(n, 5);
}

Test(deferred_rebuild, without_the_mark_nothing_is_made)
{
	make_files();
	lose_database();
	cr_assert_eq(mkdirat(ds.f.folder, MARK, 0700), 0);
	cr_assert_null(deferred_open(ds.f.path, ds.f.folder));
	cr_assert_eq(unlinkat(ds.f.folder, MARK, AT_REMOVEDIR), 0);
	expect_rebuilt("no mark", 0);
}

/* Once the mark was gone it would be a leftover. */
Test(deferred_rebuild, a_file_that_cannot_be_read_is_kept)
{
	char text[SPOOL_ID_TEXT + 1], name[64], kept[64];
	int fd;

	ds_put_file(8);
	make_files();
	lose_database();
	spool_id_text(8, text);
	snprintf(name, sizeof(name), "deferred/%s", text);
	snprintf(kept, sizeof(kept), "deferred/damaged.%s", text);
	fd = openat(ds.f.folder, name, O_WRONLY);
	cr_assert_eq(pwrite(fd, "xxxxxxxx", 8, SPOOL_PAGE), 8);
	close(fd);
	fault_names(true);
	expect_rebuilt("unreadable", 0);
	/* its new name was on disk before the mark was gone */
	fd = openat(ds.f.folder, "deferred", O_RDONLY | O_DIRECTORY);
	fault_power_cut(fd);
	fault_names(false);
	close(fd);
	cr_assert_not(qf_exists(&ds.f, ds.f.folder, name));
	cr_assert(qf_exists(&ds.f, ds.f.folder, kept));
	expect_rebuilt("again", 0);
	cr_assert(qf_exists(&ds.f, ds.f.folder, kept));
}

/* A page that is bad is found only when the rows are looked at. */
Test(deferred_rebuild, damage_that_the_first_look_does_not_show_is_found)
{
	static const char junk[] = "junkjunkjunkjunkjunkjunkjunkjunk";
	char kept[LOG_ERROR_MAX];
	off_t at;
	int fd;

	make_files();
	cr_assert_eq(ds_exec("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
	fd = openat(ds.f.folder, "deferred.db", O_WRONLY);
	cr_assert_neq(fd, -1);
	/* behind the schema */
	for (at = 4096; at < 40960; at += 64)
		cr_assert_eq(pwrite(fd, junk, 32, at), 32);
	close(fd);
	expect_rebuilt("bad page", 0);
	name_of_kept(kept, sizeof(kept));
}
