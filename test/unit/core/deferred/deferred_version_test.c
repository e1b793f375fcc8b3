/* Tables of other versions of the deferred store. */

#include "core/deferred/deferred.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "test/unit/core/deferred/deferred_fixture.h"

TestSuite(deferred_version, .init = ds_setup, .fini = ds_teardown);

/* As version 0 has left it */
static const char version0[] =
    "CREATE TABLE deferred (id TEXT NOT NULL, rcpt_index INTEGER NOT NULL,"
    " sender TEXT NOT NULL, rcpt TEXT NOT NULL, transport TEXT NOT NULL,"
    " received_us INTEGER NOT NULL, octets INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, next_attempt INTEGER NOT NULL,"
    " last_error TEXT, PRIMARY KEY (id, rcpt_index)) WITHOUT ROWID;"
    "CREATE INDEX deferred_next ON deferred (next_attempt);"
    "INSERT INTO deferred VALUES ('0000000000005', 1, 'a@x', 'b@y', 'maildir',"
    " 42, 77, 3, 1000, NULL);";

Test(deferred_version, the_table_of_an_earlier_version_is_brought_up_to_date)
{
	const struct spool_origin now = { .segment = 4097, .generation = 2,
		.seq = 3 }, early = { .segment = 12345, .generation = 2,
		.seq = 3, .is_early = true };
	struct deferred_row row = { .id = 5, .rcpt_index = 1, .sender = "a@x",
		.rcpt = "b@y", .transport = "", .attempts = 9, .origin = now };
	const struct spool_origin by_id = { .segment = 5, .generation = 1,
		.seq = 1 };
	uint64_t id;

	deferred_free(ds.d);
	cr_assert_eq(unlinkat(ds.f.folder, "deferred.db", 0), 0);
	cr_assert_eq(ds_exec(version0), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	ds_put_file_of(5, &by_id);		/* as that version wrote it */
	ds_reopen();
	cr_assert_eq(ds_rows_of(5), 1);
	cr_assert_eq(ds.seen[0].attempts, 3);
	cr_assert_eq(ds.seen[0].rcpt_index, 1);
	cr_assert_str_eq(ds.texts[0][1], "b@y");
	cr_assert_eq(ds.seen[0].origin.segment, 0);
	/* a segment of this version has another message */
	cr_assert_eq(deferred_find(ds.d, 5, &now, &id), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(deferred_put(ds.d, &row), -1);
	/* one of that version has the same, read again after a crash */
	cr_assert_eq(deferred_find(ds.d, 5, &early, &id), 1);
	cr_assert_eq(id, 5);
	row.origin = early;
	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_assert_eq(deferred_find(ds.d, 5, &early, &id), 1);
}

/* What version 1 did to it */
static const char version1[] =
    "ALTER TABLE deferred ADD COLUMN segment TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE deferred ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE deferred ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX deferred_origin ON deferred (segment, generation, seq);"
    "UPDATE deferred SET segment = '0000000000001001', generation = 2, seq = 3;"
    "PRAGMA user_version = 1;";

Test(deferred_version, the_table_of_version_1_is_brought_up_to_date)
{
	const struct spool_origin origin = { .segment = 4097, .generation = 2,
		.seq = 3 };
	uint64_t id;

	deferred_free(ds.d);
	cr_assert_eq(unlinkat(ds.f.folder, "deferred.db", 0), 0);
	cr_assert_eq(ds_exec(version0), SQLITE_OK);
	cr_assert_eq(ds_exec(version1), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(5), 1);
	cr_assert_eq(ds.seen[0].attempts, 3);
	cr_assert_eq(ds.seen[0].origin.segment, 4097);
	cr_assert_eq(ds.seen[0].hold_until, 0);
	cr_assert_eq(ds.seen[0].priority, 0);
	cr_assert_eq(deferred_find(ds.d, 5, &origin, &id), 1);
}

Test(deferred_version, a_table_of_a_later_version_is_left_alone)
{
	ds_put(1, 0, 300);
	deferred_free(ds.d);
	cr_assert_eq(ds_exec("ALTER TABLE deferred ADD COLUMN news INTEGER;"
	    "PRAGMA user_version = 99;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_null(ds.d);
	cr_assert_eq(errno, EPROTONOSUPPORT);
	cr_assert_eq(ds_exec("UPDATE deferred SET news = 1 WHERE id ="
	    " '0000000000001'"), SQLITE_OK, "it is where it was");
	cr_assert_eq(ds_exec("PRAGMA user_version = 9;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(1), 1);
}

Test(deferred_version, a_version_that_none_has_is_refused)
{
	static const char *const versions[] = { "-1", "-2147483648", "10",
		"2147483647" };
	char sql[64], want[64], said[LOG_ERROR_MAX];
	size_t i;

	ds_put(1, 0, 300);
	for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		deferred_free(ds.d);
		snprintf(sql, sizeof(sql), "PRAGMA user_version = %s",
		    versions[i]);
		cr_assert_eq(ds_exec(sql), SQLITE_OK);
		ds.d = deferred_open(ds.f.path, ds.f.folder);
		cr_assert_null(ds.d);
		cr_assert_eq(errno, EPROTONOSUPPORT);
		snprintf(want, sizeof(want), "deferred-version "
		    "file=deferred.db version=%s known=9 advice=",
		    versions[i]);
		cr_expect_not_null(strstr(log_last_error(said, sizeof(said)),
		    want), "%s", said);
	}
	cr_assert_eq(ds_exec("PRAGMA user_version = 9;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(1), 1);
}

/* The table has what the upgrade is to add to it. */
Test(deferred_version, why_an_upgrade_fails_is_logged_and_nothing_changed)
{
	static const char *const errors[] = { "duplicate column name: segment",
		"duplicate column name: hold_until",
		"duplicate column name: holder", "deferred_held already exists",
		"duplicate column name: domain",
		"duplicate column name: on_hold",
		"duplicate column name: since",
		"duplicate column name: waits_for",
		"duplicate column name: route" };
	char sql[64], want[64], said[LOG_ERROR_MAX];
	size_t i;

	ds_put(1, 0, 300);
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		deferred_free(ds.d);
		snprintf(sql, sizeof(sql), "PRAGMA user_version = %zu", i);
		cr_assert_eq(ds_exec(sql), SQLITE_OK);
		ds.d = deferred_open(ds.f.path, ds.f.folder);
		cr_assert_null(ds.d);
		cr_assert_eq(errno, EIO);
		snprintf(want, sizeof(want), "step=\"upgrade to version %zu\"",
		    i + 1);
		log_last_error(said, sizeof(said));
		cr_expect_not_null(strstr(said, want), "%s", said);
		cr_expect_not_null(strstr(said, errors[i]), "%s", said);
	}
	cr_assert_eq(ds_exec("PRAGMA user_version = 9;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(1), 1);
}

Test(deferred_version, the_table_of_version_6_is_brought_up_to_date)
{
	ds_put(1, 0, 300);
	deferred_free(ds.d);
	cr_assert_eq(ds_exec("UPDATE deferred SET received_us = 77000001;"
	    "CREATE INDEX held_most ON held (octets);"
	    DS_TO_VERSION6 "PRAGMA user_version = 6;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_eq(ds_rows_of(1), 1);
	cr_assert_eq(ds.seen[0].since, 77);
	cr_assert_eq(ds.seen[0].notify, DEFERRED_NOTIFY_UNKNOWN);
	cr_assert_eq(ds.seen[0].warned, 0);
	cr_assert_eq(ds.seen[0].code, 0);
	cr_expect_neq(ds_exec("SELECT octets FROM held INDEXED BY held_most"),
	    SQLITE_OK, "nobody reads this index");
}
