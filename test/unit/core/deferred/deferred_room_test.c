/* How much room the database of the deferred store takes, and what it says when
 * there is none. */

#include "core/deferred/deferred.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util/monotonic.h"
#include "test/unit/core/deferred/deferred_fixture.h"
#include "test/unit/core/spool/fault.h"

TestSuite(deferred_room, .init = ds_setup, .fini = ds_teardown);

#define NMANY	60000
#define MIB	(1 << 20)

/* Each with an id of its own, from 1 on. */
static void
put_many(unsigned int n)
{
	unsigned int i;

	cr_assert_eq(deferred_begin(ds.d), 0);
	for (i = 1; i <= n; i++)
		ds_put(i, 0, 300);
	cr_assert_eq(deferred_commit(ds.d), 0);
}

/* All but each ${kept}th. */
static void
drop_many(unsigned int n, unsigned int kept)
{
	unsigned int i;

	cr_assert_eq(deferred_begin(ds.d), 0);
	for (i = 1; i <= n; i++)
		if (i % kept != 0)
			cr_assert_eq(deferred_drop(ds.d, i, 0), 0);
	cr_assert_eq(deferred_commit(ds.d), 0);
}

/* As the queue process does it again and again */
static uint64_t
octets_in_the_end(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		deferred_shrink(ds.d, false);
	return deferred_octets(ds.d);
}

Test(deferred_room, rows_that_are_gone_take_no_room)
{
	put_many(NMANY);
	cr_assert_gt(octets_in_the_end(), 3 * MIB);
	drop_many(NMANY, NMANY + 1);
	cr_assert_lt(octets_in_the_end(), MIB + MIB / 4);
	ds_reopen();
	put_many(NMANY);
	cr_assert_gt(octets_in_the_end(), 3 * MIB);
}

static void
expect_set_aside_counts(void)
{
	uint64_t before = deferred_octets(ds.d);
	int fd = openat(ds.f.folder, "deferred.db.damaged.1700000000",
	    O_WRONLY | O_CREAT, 0600);

	cr_assert_neq(fd, -1);
	cr_assert_eq(ftruncate(fd, MIB), 0);
	close(fd);
	cr_expect_eq(deferred_octets(ds.d), before + MIB);
	cr_assert_eq(unlinkat(ds.f.folder, "deferred.db.damaged.1700000000",
	    0), 0);
	cr_expect_eq(deferred_octets(ds.d), before);
}

Test(deferred_room, what_was_set_aside_takes_room_until_it_is_removed)
{
	expect_set_aside_counts();
}

Test(deferred_room, so_it_does_where_folders_do_not_tell_what_is_a_file)
{
	uint64_t before = deferred_octets(ds.d);

	fault_untyped(true);
	cr_expect_eq(deferred_octets(ds.d), before);
	expect_set_aside_counts();
	fault_untyped(false);
}

Test(deferred_room, those_that_stay_are_kept)
{
	unsigned int i;

	put_many(NMANY);
	drop_many(NMANY, 100);
	cr_assert_lt(octets_in_the_end(), MIB + MIB / 2);
	ds_reopen();
	for (i = 1; i <= NMANY; i++)
		cr_assert_eq(deferred_has(ds.d, i, 0), i % 100 == 0);
	cr_assert_eq(ds_rows_of(500), 1);
	cr_assert_str_eq(ds.texts[0][1], "r\"@y");
}

Test(deferred_room, a_database_of_an_earlier_version_becomes_smaller_too)
{
	cr_assert_eq(ds_exec("PRAGMA auto_vacuum = NONE; VACUUM"), SQLITE_OK);
	ds_reopen();
	put_many(NMANY);
	drop_many(NMANY, 100);
	cr_assert_gt(deferred_octets(ds.d), 3 * MIB);
	cr_assert_lt(octets_in_the_end(), MIB + MIB / 2);
	cr_assert_eq(deferred_has(ds.d, 500, 0), 1);
	cr_assert_eq(deferred_has(ds.d, 501, 0), 0);
	/* and goes on */
	put_many(10);
	cr_assert_eq(ds_rows_of(7), 1);
}

/* What the file ${name} has. */
static int64_t
octets_of(const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(ds.f.folder, name, &st, 0), 0);
	return st.st_size;
}

/* Much of the database is free, and its log is empty. */
static void
make_free_pages(void)
{
	put_many(NMANY);
	drop_many(NMANY, 100);
	deferred_shrink(ds.d, true);
	cr_assert_eq(octets_of("deferred.db-wal"), 0);
}

Test(deferred_room, while_the_disk_is_full_shrinking_takes_little_room)
{
	int64_t before, now;

	make_free_pages();
	before = octets_of("deferred.db");
	deferred_shrink(ds.d, true);
	now = octets_of("deferred.db");
	cr_expect_lt(now, before);
	cr_expect_leq(before - now, 130 * 4096);
	cr_expect_eq(octets_of("deferred.db-wal"), 0);
	deferred_shrink(ds.d, false);
	cr_expect_gt(now - octets_of("deferred.db"), MIB);
}

Test(deferred_room, while_the_disk_is_full_nothing_is_copied)
{
	uint64_t before;

	cr_assert_eq(ds_exec("PRAGMA auto_vacuum = NONE; VACUUM"), SQLITE_OK);
	ds_reopen();
	put_many(NMANY);
	drop_many(NMANY, 100);
	before = deferred_octets(ds.d);
	deferred_shrink(ds.d, true);
	cr_expect_eq(deferred_octets(ds.d), before);
	cr_expect_lt(octets_in_the_end(), MIB + MIB / 2);
}

Test(deferred_room, a_log_that_could_not_be_written_is_cut)
{
	make_free_pages();
	fault_arm(FAULT_DATABASE, 20, 1, ENOSPC);
	deferred_shrink(ds.d, false);
	cr_expect_eq(fault_left(FAULT_DATABASE), 0);
	cr_expect_eq(octets_of("deferred.db-wal"), 0);
	cr_expect_lt(octets_in_the_end(), MIB + MIB / 2);
}

/* Somebody reads the database, until the result is closed. */
static sqlite3 *
read_on(void)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/deferred.db", ds.f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM deferred",
	    NULL, NULL, NULL), SQLITE_OK);
	return db;
}

Test(deferred_room, who_reads_the_database_is_not_waited_for)
{
	uint64_t began_ms;
	unsigned int i;
	int64_t most;
	sqlite3 *db;

	make_free_pages();
	db = read_on();
	deferred_shrink(ds.d, false);
	most = octets_of("deferred.db-wal");
	began_ms = monotonic_ms();
	for (i = 0; i < 5; i++)
		deferred_shrink(ds.d, false);
	/* each would wait a second */
	cr_expect_lt(monotonic_ms() - began_ms, 3000);
	cr_expect_gt(most, 0);
	cr_expect_eq(octets_of("deferred.db-wal"), most);
	sqlite3_close(db);
	cr_expect_lt(octets_in_the_end(), MIB + MIB / 2);
	cr_expect_eq(octets_of("deferred.db-wal"), 0);
}

Test(deferred_room, the_log_of_a_large_transaction_is_cut)
{
	struct stat st;

	put_many(2 * NMANY);
	cr_assert_eq(fstatat(ds.f.folder, "deferred.db-wal", &st, 0), 0);
	cr_assert_gt(st.st_size, 8 * MIB);
	ds_put(2 * NMANY + 1, 0, 300);
	cr_assert_eq(fstatat(ds.f.folder, "deferred.db-wal", &st, 0), 0);
	cr_assert_leq(st.st_size, 8 * MIB);
}

/* --- errors --------------------------------------------------------------- */

/* With what errno does a row, or with ${in_two} its commit, fail while a file of the
 * database cannot be written because of ${errnum}?  0: it does not. */
static int
put_with(int errnum, bool in_two)
{
	static uint64_t id = 1000000;
	const struct deferred_row row = { .id = ++id, .sender = "a@x",
		.rcpt = "b@y", .transport = "", .next_attempt = 300 };
	int rc, failed;

	if (in_two)
		cr_assert_eq(deferred_begin(ds.d), 0);
	if (errnum != 0)
		fault_arm(FAULT_DATABASE, 0, 1, errnum);
	rc = deferred_put(ds.d, &row);
	if (in_two) {
		cr_assert_eq(rc, 0);
		rc = deferred_commit(ds.d);
	}
	failed = rc == -1 ? errno : 0;
	cr_expect_eq(fault_left(FAULT_DATABASE), 0);
	return failed;
}

/* A file of SQLite keeps the errno of its last failure. */
Test(deferred_room, each_failure_has_an_errno_of_its_own)
{
	static const int errnums[] = { EDQUOT, 0, EIO, EDQUOT, ENOSPC, EIO, 0,
		ENOSPC, EDQUOT, EDQUOT, 0, 0, EIO };
	const size_t n = sizeof(errnums) / sizeof(errnums[0]);
	size_t i;
	int got;

	for (i = 0; i < 2 * n; i++) {
		got = put_with(errnums[i % n], i >= n);
		cr_expect_eq(got, errnums[i % n], "%zu: %s", i, strerror(got));
	}
}

/* The database itself could not be written when its log was to be cut.  What its
 * log fails with later is another matter. */
Test(deferred_room, what_one_file_has_failed_with_is_not_said_of_the_other)
{
	sqlite3 *db;

	make_free_pages();
	db = read_on();
	deferred_shrink(ds.d, false);
	sqlite3_close(db);
	fault_arm(FAULT_DATABASE, 0, 1, EDQUOT);
	deferred_shrink(ds.d, false);
	cr_assert_eq(fault_left(FAULT_DATABASE), 0);
	cr_expect_eq(put_with(EIO, false), EIO);
	cr_expect_eq(put_with(EIO, true), EIO);
	cr_expect_eq(put_with(0, false), 0);
	cr_expect_eq(put_with(EDQUOT, true), EDQUOT);
}
