/* The deferred store: its rows and files, and which message they belong to. */

#include "core/deferred/deferred.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/util/monotonic.h"
#include "test/unit/core/deferred/deferred_fixture.h"
#include "test/unit/core/spool/fault.h"

static int
rows_due(int64_t now, unsigned int limit)
{
	const struct deferred_query q = { .what = DEFERRED_DUE, .now = now,
		.limit = limit };

	return ds_rows(&q);
}

static int
rows_behind(uint64_t id, uint32_t rcpt_index, unsigned int limit)
{
	const struct deferred_query q = { .what = DEFERRED_PAGE, .id = id,
		.rcpt_index = rcpt_index, .limit = limit };

	return ds_rows(&q);
}

TestSuite(deferred, .init = ds_setup, .fini = ds_teardown);

Test(deferred, rows_come_back_as_they_were_put)
{
	ds_put(42, 3, 1000);
	ds_reopen();
	cr_assert_eq(ds_rows_of(42), 1);
	cr_assert_eq(ds.seen[0].id, 42);
	cr_assert_eq(ds.seen[0].rcpt_index, 3);
	cr_assert_eq(ds.seen[0].received_us, 123456789);
	cr_assert_eq(ds.seen[0].octets, 77);
	cr_assert_eq(ds.seen[0].attempts, 1);
	cr_assert_eq(ds.seen[0].next_attempt, 1000);
	cr_assert_str_eq(ds.texts[0][0], "a'b@x");
	cr_assert_str_eq(ds.texts[0][1], "r\"@y");
	cr_assert_str_eq(ds.texts[0][2], "no; DROP TABLE");
	cr_assert_eq(deferred_has(ds.d, 42, 3), 1);
	cr_assert_eq(deferred_has(ds.d, 42, 2), 0);
	cr_assert_eq(deferred_has(ds.d, 42, DEFERRED_ANY), 1);
	cr_assert_eq(deferred_has(ds.d, 43, DEFERRED_ANY), 0);
}

Test(deferred, the_longest_due_come_first_and_others_not)
{
	int64_t next;

	cr_assert_eq(deferred_next(ds.d, &next), 0);
	ds_put(1, 0, 300);
	ds_put(2, 0, 100);
	ds_put(3, 0, 200);
	ds_put(4, 0, 400);
	cr_assert_eq(deferred_next(ds.d, &next), 1);
	cr_assert_eq(next, 100);
	cr_assert_eq(rows_due(300, 10), 3);
	cr_assert_eq(ds.seen[0].id, 2);
	cr_assert_eq(ds.seen[1].id, 3);
	cr_assert_eq(ds.seen[2].id, 1);
	cr_assert_eq(rows_due(300, 1), 1);
}

Test(deferred, rows_that_are_due_come_in_pages)
{
	struct deferred_query q = { .what = DEFERRED_DUE, .now = 300 };
	size_t i;

	for (i = 0; i < 10; i++)
		ds_put(20 - i / 4, (uint32_t)(9 - i), i < 5 ? 200 : -100);
	ds_put(1, 0, 301);
	for (q.limit = 3; ds_rows(&q) > 0;) {
		q.next_attempt = ds.seen[ds.nseen - 1].next_attempt;
		q.id = ds.seen[ds.nseen - 1].id;
		q.rcpt_index = ds.seen[ds.nseen - 1].rcpt_index;
	}
	cr_assert_eq(ds.nseen, 10);
	for (i = 1; i < 10; i++) {
		const struct deferred_row *a = &ds.seen[i - 1], *b = a + 1;

		cr_assert(a->next_attempt < b->next_attempt ||
		    (a->next_attempt == b->next_attempt && (a->id < b->id ||
		    (a->id == b->id && a->rcpt_index < b->rcpt_index))));
	}
}

Test(deferred, pages_follow_the_order_of_ids)
{
	uint64_t id = 0;
	uint32_t rcpt = 0;
	size_t i;

	for (i = 0; i < 10; i++)
		ds_put(1000 - i / 2, (uint32_t)i % 2, 5);
	while (rows_behind(id, rcpt, 3) > 0) {
		id = ds.seen[ds.nseen - 1].id;
		rcpt = ds.seen[ds.nseen - 1].rcpt_index;
	}
	cr_assert_eq(ds.nseen, 10);
	for (i = 0; i < 10; i++) {
		cr_assert_eq(ds.seen[i].id, 996 + i / 2);
		cr_assert_eq(ds.seen[i].rcpt_index, i % 2);
	}
}

Test(deferred, another_failure_changes_the_row_and_hurry_makes_it_due)
{
	const struct deferred_row again = { .id = 1, .transport = "pigeon",
		.attempts = 9, .next_attempt = 900, .last_error = "again" };

	ds_put(1, 0, 300);
	ds_put(2, 0, 300);
	cr_assert_eq(deferred_touch(ds.d, &again), 0);
	ds_rows_of(1);
	cr_assert_eq(ds.seen[0].attempts, 9);
	cr_assert_eq(ds.seen[0].next_attempt, 900);
	cr_assert_str_eq(ds.texts[0][2], "again");
	cr_assert_eq(deferred_hurry(ds.d, 1, 0, 50), 1);
	cr_assert_eq(rows_due(50, 9), 1);
	cr_assert_eq(deferred_hurry(ds.d, 2, DEFERRED_ANY, 50), 1);
	cr_assert_eq(rows_due(50, 9), 2);
	cr_assert_eq(deferred_drop(ds.d, 1, 0), 0);
	cr_assert_eq(deferred_has(ds.d, 1, DEFERRED_ANY), 0);
}

Test(deferred, what_is_rolled_back_was_never_there)
{
	cr_assert_eq(deferred_begin(ds.d), 0);
	ds_put(1, 0, 300);
	deferred_rollback(ds.d);
	cr_assert_eq(deferred_has(ds.d, 1, 0), 0);
	cr_assert_eq(deferred_begin(ds.d), 0);
	ds_put(2, 0, 300);
	cr_assert_eq(deferred_commit(ds.d), 0);
	cr_assert_eq(deferred_has(ds.d, 2, 0), 1);
}

Test(deferred, files_without_a_row_are_leftovers)
{
	char name[64], text[SPOOL_ID_TEXT + 1];
	int fd;

	ds_put_file(5);
	ds_put_file(6);
	ds_put(6, 0, 1);
	spool_id_text(7, text);
	snprintf(name, sizeof(name), "deferred/%s.tmp", text);
	fd = openat(ds.f.folder, name, O_WRONLY | O_CREAT, 0600);
	close(fd);
	ds_reopen();
	cr_assert_eq(deferred_file_open(ds.d, 5), -1);
	cr_assert_eq(errno, ENOENT);
	fd = deferred_file_open(ds.d, 6);
	cr_assert_neq(fd, -1);
	close(fd);
	cr_assert_not(qf_exists(&ds.f, ds.f.folder, name));
	cr_assert_eq(deferred_file_remove(ds.d, 6), 0);
	cr_assert_eq(deferred_file_remove(ds.d, 6), 0);
}

Test(deferred, a_message_is_known_by_its_origin)
{
	const struct spool_origin origin = { .segment = 4097, .generation = 2,
		.seq = 3 }, other = { .segment = 4097, .generation = 2,
		.seq = 4 };
	struct deferred_row row = { .id = 5, .sender = "a@x", .rcpt = "b@y",
		.transport = "", .attempts = 1, .origin = origin };
	uint64_t id = 0;

	cr_assert_eq(deferred_find(ds.d, 5, &origin, &id), 0);
	cr_assert_eq(id, 5);
	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_assert_eq(deferred_find(ds.d, 5, &origin, &id), 1);
	cr_assert_eq(id, 5);
	cr_assert_eq(deferred_find(ds.d, 5, &other, &id), -1);
	cr_assert_eq(errno, EEXIST);
	row.attempts = 7;
	row.origin = other;
	cr_assert_eq(deferred_put(ds.d, &row), -1, "never replaced");
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(ds_rows_of(5), 1);
	cr_assert_eq(ds.seen[0].attempts, 1);
	cr_assert_eq(ds.seen[0].origin.segment, 4097);
	cr_assert_eq(ds.seen[0].origin.generation, 2);
	cr_assert_eq(ds.seen[0].origin.seq, 3);
	row.id = 6;
	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_assert_eq(deferred_find(ds.d, 5, &other, &id), 1);
	cr_assert_eq(id, 6, "under the id that it was given");
	cr_assert_eq(deferred_is_free(ds.d, 6), 0);
	cr_assert_eq(deferred_is_free(ds.d, 7), 1);
}

Test(deferred, a_file_without_rows_yet_has_its_id, .timeout = 10)
{
	const struct spool_origin origin = { .segment = QF_SEGMENT(5),
		.generation = 1, .seq = 1 }, other = { .segment = 4097,
		.generation = 1, .seq = 1 };
	uint64_t id;

	ds_put_file(5);
	cr_assert_eq(deferred_find(ds.d, 5, &origin, &id), 0);
	cr_assert_eq(id, 5);
	cr_assert_eq(deferred_find(ds.d, 5, &other, &id), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(deferred_is_free(ds.d, 5), 0);
}

Test(deferred, origins_come_back_from_the_files)
{
	const struct spool_origin origin = { .segment = 4097, .generation = 2,
		.seq = 3 };
	uint64_t id;

	ds_put_file_of(5, &origin);
	deferred_free(ds.d);
	cr_assert_eq(unlinkat(ds.f.folder, "deferred.db", 0), 0);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_eq(ds_rows_of(5), 2);
	cr_assert_eq(deferred_find(ds.d, 5, &origin, &id), 1);
}

/* What version 5 has added is not there. */
#define TO_VERSION4 DS_TO_VERSION5 \
	"DROP INDEX deferred_domain; ALTER TABLE deferred DROP COLUMN domain;"

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

Test(deferred, the_table_of_an_earlier_version_is_brought_up_to_date)
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

Test(deferred, the_table_of_version_1_is_brought_up_to_date)
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

Test(deferred, a_table_of_a_later_version_is_left_alone)
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

Test(deferred, a_version_that_none_has_is_refused)
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
Test(deferred, why_an_upgrade_fails_is_logged_and_nothing_changed)
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

/* A row of the message ${id} that is held until ${until} */
static void
put_held(uint64_t id, int64_t until)
{
	struct deferred_row row = { .id = id, .sender = "a@x", .rcpt = "b@y",
		.transport = "", .next_attempt = until, .hold_until = until,
		.deliver_by = until + 10, .priority = -9,
		.flags = SPOOL_ENV_BY_RETURN | SPOOL_ENV_RET_FULL };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

Test(deferred, what_the_envelope_says_is_in_the_row)
{
	put_held(1, 5000000000);
	ds_reopen();
	cr_assert_eq(ds_rows_of(1), 1);
	cr_assert_eq(ds.seen[0].hold_until, 5000000000);
	cr_assert_eq(ds.seen[0].deliver_by, 5000000010);
	cr_assert_eq(ds.seen[0].priority, -9);
	cr_assert_eq(ds.seen[0].flags, SPOOL_ENV_BY_RETURN |
	    SPOOL_ENV_RET_FULL);
}

Test(deferred, what_is_held_is_not_hurried)
{
	put_held(1, 1000);
	ds_put(2, 0, 1000);
	cr_assert_eq(deferred_hurry(ds.d, 2, 0, 500), 1);
	cr_assert_eq(rows_due(999, 9), 1);
	cr_assert_eq(ds.seen[0].id, 2);
	cr_assert_eq(deferred_hurry(ds.d, 1, 0, 500), 0);
	ds.nseen = 0;
	cr_assert_eq(rows_due(999, 9), 1);
	cr_assert_eq(deferred_hurry(ds.d, 1, 0, 1001), 0);
	cr_assert_eq(rows_due(1001, 9), 2, "and late, it is due at once");
}

Test(deferred, the_time_of_day_until_which_a_row_is_held_does_not_shift)
{
	int64_t next;

	put_held(1, 100000);
	ds_put(2, 0, 300000);
	/* a bound on waits, and clocks that are set; deliver_by is an interval */
	cr_assert_eq(ds_shift(0, 50000, 100000), 1);
	cr_assert_eq(ds_shift(3600, 60000, 100000), 2);
	cr_assert_eq(ds_shift(-3600, 60000, 100000), 2);
	ds_rows_of(1);
	cr_assert_eq(ds.seen[0].next_attempt, 100000);
	cr_assert_eq(ds.seen[0].hold_until, 100000);
	cr_assert_eq(ds.seen[0].deliver_by, 100010);
	cr_assert_eq(deferred_next(ds.d, &next), 1);
	cr_assert_eq(next, 50000 + 3600 - 3600);
}

/* HOLDFOR: the end of the interval, whatever the clock says of it */
Test(deferred, the_interval_for_which_a_row_is_held_does_shift)
{
	struct deferred_row row = { .id = 1, .sender = "a@x", .rcpt = "b@y",
		.transport = "", .next_attempt = 100000, .hold_until = 100000,
		.flags = SPOOL_ENV_HOLD_FOR };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
	row.rcpt_index = 1;		/* released, has failed */
	row.attempts = 1;
	row.next_attempt = 7000;
	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_assert_eq(ds_shift(3600, 9000, 200000), 2);
	cr_assert_eq(ds_rows_of(1), 2);
	cr_assert_eq(ds.seen[0].hold_until, 103600);
	cr_assert_eq(ds.seen[0].next_attempt, 103600);
	cr_assert_eq(ds.seen[0].deliver_by, 0);
	cr_assert_eq(ds.seen[1].hold_until, 103600);
	cr_assert_eq(ds.seen[1].next_attempt, 9000);
	/* to before 1970: it stays a time */
	ds.nseen = 0;
	cr_assert_eq(ds_shift(-1000000, 9000, 200000), 2);
	cr_assert_eq(ds_rows_of(1), 2);
	cr_assert_eq(ds.seen[0].hold_until, 1);
	cr_assert_eq(ds.seen[0].next_attempt, 1);
}

/* A million rows would be as long in one piece as the queue would stand still. */
Test(deferred, a_clock_that_is_set_is_a_change_in_pieces)
{
	struct deferred_shift at = { .seconds = 10, .latest = 9000,
		.held = 9000 };
	struct deferred_query due = { .what = DEFERRED_DUE, .limit = 1 };
	uint64_t id;
	int n, i;

	for (id = 1; id <= 60; id++)
		ds_put(id, (uint32_t)id % 3, 1000);
	for (i = n = 0; !at.is_over; i++) {
		cr_assert_lt(i, 10);
		due.now = 1000;
		cr_expect_eq(ds_rows(&due), 1, "the others are as they were");
		n += deferred_shift(ds.d, &at, 7);
		cr_expect_eq(n, i == 8 ? 60 : 7 * (i + 1));
	}
	cr_expect_eq(i, 9);
	due.now = 1009;
	cr_expect_eq(ds_rows(&due), 0);
	due.now = 1010;
	cr_expect_eq(ds_rows(&due), 1);
}

/* As each start of the server finds it: the table is not read. */
Test(deferred, where_no_row_is_due_too_late_a_shift_is_over_at_once)
{
	struct deferred_shift at = { .latest = 1000, .held = 9000 };
	uint64_t id;
	int i;

	for (id = 1; id <= 30; id++)
		ds_put(id, 0, 1000);
	for (; id <= 34; id++)
		put_held(id, 9000);
	cr_expect_eq(deferred_shift(ds.d, &at, 5), 0);
	cr_expect(at.is_over && !at.has_begun);
	/* there may be many that are held, which is to be seen in pieces, too */
	put_held(id, 9000);
	at.is_over = false;
	for (i = 0; !at.is_over; i++) {
		cr_assert_lt(i, 10);
		cr_expect_eq(deferred_shift(ds.d, &at, 5), 0);
	}
	cr_expect_eq(i, 8);
	/* and one of them may be held for too long */
	at = (struct deferred_shift){ .latest = 1000, .held = 8000 };
	for (i = 0; !at.is_over;)
		i += deferred_shift(ds.d, &at, 5);
	cr_expect_eq(i, 5);
	at.is_over = at.has_begun = false;
	at.latest = 999;
	at.id[0] = '\0';
	for (i = 0; !at.is_over;)
		i += deferred_shift(ds.d, &at, 50);
	cr_expect_eq(i, 30);
}

/* Somebody may write to the database with sqlite3(1). */
Test(deferred, rows_that_cannot_be_compared_do_not_stop_a_shift)
{
	static const char *const edits[] = {
		"UPDATE deferred SET id = '0' || char(0) || id;",
		"UPDATE deferred SET id = CAST(id AS BLOB);",
		"UPDATE deferred SET rcpt_index = 'x' || rcpt_index;",
		"UPDATE deferred SET id = '' WHERE rcpt_index = 1;",
	};
	struct deferred_shift at;
	unsigned int i;
	int n, k;

	for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		at = (struct deferred_shift){ .seconds = 10, .latest = 9000,
		    .held = 9000 };
		ds_put(1, 0, 1000);
		ds_put(1, 1, 1000);
		ds_put(1, 2, 1000);
		cr_assert_eq(ds_exec(edits[i]), SQLITE_OK, "%u", i);
		for (n = k = 0; !at.is_over; k++) {
			cr_assert_lt(k, 10, "%u", i);
			n += deferred_shift(ds.d, &at, 1);
		}
		cr_expect_eq(n, 3, "%u: %d", i, n);
		cr_assert_eq(ds_exec("DELETE FROM deferred;"), SQLITE_OK);
	}
}

static char holders[256];

static int
note_holder(void *, const char *holder, unsigned int writer, uint64_t octets,
    uint64_t)
{
	size_t n = strlen(holders);

	if (octets != 0)
		snprintf(holders + n, sizeof(holders) - n, "%s/%u=%llu ",
		    holder, writer, (unsigned long long)octets);
	return 0;
}

/* What has come as well */
static int
note_came(void *, const char *holder, unsigned int writer, uint64_t octets,
    uint64_t came)
{
	size_t n = strlen(holders);

	snprintf(holders + n, sizeof(holders) - n, "%s/%u=%llu+%llu ", holder,
	    writer, (unsigned long long)octets, (unsigned long long)came);
	return 0;
}

static const char *
held_and_came(void)
{
	holders[0] = '\0';
	cr_assert_geq(deferred_holders(ds.d, 10, note_came, NULL), 0);
	return holders;
}

/* What logins have held, the most first: "login/writer=octets " of each */
static const char *
held(void)
{
	holders[0] = '\0';
	cr_assert_geq(deferred_holders(ds.d, 10, note_holder, NULL), 0);
	return holders;
}

/* A row of ${holder}, in a message of ${octets} that ${writer} has accepted */
static void
put_of(uint64_t id, uint32_t index, const char *holder, uint64_t octets,
    unsigned int writer)
{
	struct deferred_row row = { .id = id, .rcpt_index = index,
		.sender = "a@x", .rcpt = "b@y", .transport = "",
		.octets = octets, .next_attempt = 1000, .hold_until = 1000,
		.origin = { .segment = id << 12 | writer, .generation = 1,
		    .seq = 1 }, .holder = holder };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

/* The message, the row, and of each message its octets once */
static const char sums[] = "alice/1=66144 bob/1=10120 bob/4094=6121 ";

static void
put_sums(void)
{
	put_of(1, 0, "alice", 60000, 1);
	put_of(1, 1, "alice", 60000, 1);
	put_of(2, 0, "bob", 5000, 1);
	put_of(3, 0, "bob", 1001, 4094);
	put_of(6, 0, NULL, 900000, 1);
	ds_put(7, 0, 1000);
}

Test(deferred, what_logins_have_held_is_known)
{
	cr_assert_str_eq(held(), "");
	put_sums();
	cr_assert_str_eq(held(), sums);
	put_of(1, 0, "alice", 60000, 1);	/* the same row again */
	cr_assert_str_eq(held(), sums);
	cr_assert_eq(deferred_holders(ds.d, 1, note_holder, NULL), 1);
	ds_reopen();
	cr_assert_str_eq(held(), sums);
	cr_assert_eq(deferred_begin(ds.d), 0);
	put_of(8, 0, "bob", 1, 1);
	deferred_rollback(ds.d);
	cr_assert_str_eq(held(), sums);
}

Test(deferred, what_was_tried_or_is_gone_is_not_held)
{
	struct deferred_row row = { .id = 1, .rcpt_index = 0, .attempts = 1,
		.next_attempt = 2000, .transport = "", .last_error = "x" };

	put_sums();
	cr_assert_eq(deferred_touch(ds.d, &row), 0);
	cr_assert_str_eq(held(), "alice/1=65120 bob/1=10120 bob/4094=6121 ");
	cr_assert_eq(deferred_drop(ds.d, 2, DEFERRED_ANY), 0);
	cr_assert_eq(deferred_drop(ds.d, 1, 1), 0);
	cr_assert_str_eq(held(), "bob/4094=6121 ");
	/* what retry, a clock that is set, and an administrator change */
	put_of(1, 2, "alice", 60000, 1);
	cr_assert_eq(deferred_hurry(ds.d, 1, DEFERRED_ANY, 500) +
	    deferred_hurry(ds.d, 7, 0, 500), 2);
	cr_assert_eq(ds_shift(10, 9000, 9000), 2);
	cr_assert_str_eq(held(), "alice/1=65120 bob/4094=6121 ");
	cr_assert_eq(ds_exec("DELETE FROM deferred WHERE holder = 'bob';"
	    "UPDATE deferred SET octets = 1 WHERE id = '0000000000001'"),
	    SQLITE_OK);
	cr_assert_str_eq(held(), "alice/1=5121 ");
	cr_assert_eq(ds_exec("DELETE FROM deferred"), SQLITE_OK);
	cr_assert_str_eq(held(), "");
}

/* A little through each of many writers is much, too. */
Test(deferred, of_logins_those_that_have_the_most_are_named)
{
	unsigned int i;

	put_of(1, 0, "alice", 10000, 1);
	put_of(2, 0, "bob", 20000, 1);
	for (i = 1; i <= 4; i++)
		put_of(2 + i, 0, "carol", 5000, i);
	holders[0] = '\0';
	cr_assert_eq(deferred_holders(ds.d, 2, note_holder, NULL), 5);
	cr_assert_str_eq(holders, "carol/1=10120 carol/2=10120 carol/3=10120 "
	    "carol/4=10120 bob/1=25120 ");
}

Test(deferred, what_has_come_to_be_held_is_known)
{
	struct deferred_row row = { .id = 1, .rcpt_index = 0, .attempts = 1,
		.next_attempt = 2000, .transport = "", .last_error = "x" };

	put_of(1, 0, "alice", 60000, 1);
	put_of(1, 1, "alice", 60000, 1);
	put_of(2, 0, "alice", 1000, 2);
	cr_assert_str_eq(held_and_came(),
	    "alice/1=66144+66144 alice/2=6120+6120 ");
	put_of(1, 1, "alice", 60000, 1);	/* again */
	cr_assert_eq(deferred_touch(ds.d, &row), 0);	/* released */
	put_of(3, 0, "alice", 1000, 1);
	cr_assert_eq(deferred_begin(ds.d), 0);
	put_of(4, 0, "alice", 1, 1);
	deferred_rollback(ds.d);
	cr_assert_str_eq(held_and_came(),
	    "alice/1=71240+72264 alice/2=6120+6120 ");
	/* one after the other between two looks */
	cr_assert_eq(deferred_drop(ds.d, 2, DEFERRED_ANY), 0);
	put_of(5, 0, "alice", 2000, 2);
	cr_assert_eq(deferred_drop(ds.d, 5, DEFERRED_ANY), 0);
	cr_assert_str_eq(held_and_came(),
	    "alice/1=71240+72264 alice/2=0+13240 ");
	put_of(6, 0, "alice", 3000, 2);
	cr_assert_str_eq(held_and_came(),
	    "alice/1=71240+72264 alice/2=8120+21360 ");
	/* it is said once, then it begins again at 0 */
	cr_assert_eq(deferred_drop(ds.d, 6, DEFERRED_ANY), 0);
	cr_assert_str_eq(held_and_came(),
	    "alice/1=71240+72264 alice/2=0+21360 ");
	cr_assert_str_eq(held_and_came(), "alice/1=71240+72264 ");
	put_of(7, 0, "alice", 3000, 2);
	cr_assert_str_eq(held_and_came(),
	    "alice/1=71240+72264 alice/2=8120+8120 ");
	ds_reopen();
	cr_assert_str_eq(held_and_came(), "alice/1=71240+71240 "
	    "alice/2=8120+8120 ");
}

Test(deferred, the_table_of_version_6_is_brought_up_to_date)
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

/* As version 3 had it, in which a message that was held while the store was full
 * has attempts. */
Test(deferred, the_table_of_version_3_is_brought_up_to_date)
{
	uint64_t id;
	int n;

	put_sums();
	deferred_free(ds.d);
	cr_assert_eq(ds_exec(TO_VERSION4 "DROP TRIGGER held_insert;"
	    "DROP TRIGGER held_delete; DROP TRIGGER held_update;"
	    "DROP TABLE held; DROP INDEX deferred_held;"
	    "CREATE INDEX deferred_holder ON deferred (holder, id)"
	    " WHERE holder <> '';"
	    "UPDATE deferred SET attempts = 3 WHERE holder = 'alice';"
	    "PRAGMA user_version = 3;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_assert_str_eq(held(), sums);
	for (id = 1, n = 0; id <= 7; id++)
		n += deferred_hurry(ds.d, id, DEFERRED_ANY, 500);
	cr_assert_eq(n, 1, "they are held");
	cr_assert_eq(ds_rows_of(7), 1);
	cr_assert_eq(ds.seen[0].attempts, 1, "and this was tried");
}

/* Somebody has edited the row, or its record was forged. */
Test(deferred, no_row_is_held_for_ever)
{
	put_held(1, INT64_MAX - 10);
	cr_assert_eq(ds_shift(0, 1000, 5000), 1);
	cr_assert_eq(ds_rows_of(1), 1);
	cr_assert_eq(ds.seen[0].hold_until, 5000);
	cr_assert_eq(ds.seen[0].next_attempt, 5000);
	cr_assert_eq(ds_shift(0, 1000, 5000), 0);
}

/* --- room ----------------------------------------------------------------- */

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

Test(deferred, rows_that_are_gone_take_no_room)
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

Test(deferred, what_was_set_aside_takes_room_until_it_is_removed)
{
	expect_set_aside_counts();
}

Test(deferred, so_it_does_where_folders_do_not_tell_what_is_a_file)
{
	uint64_t before = deferred_octets(ds.d);

	fault_untyped(true);
	cr_expect_eq(deferred_octets(ds.d), before);
	expect_set_aside_counts();
	fault_untyped(false);
}

Test(deferred, those_that_stay_are_kept)
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

Test(deferred, a_database_of_an_earlier_version_becomes_smaller_too)
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

Test(deferred, while_the_disk_is_full_shrinking_takes_little_room)
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

Test(deferred, while_the_disk_is_full_nothing_is_copied)
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

Test(deferred, a_log_that_could_not_be_written_is_cut)
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

Test(deferred, who_reads_the_database_is_not_waited_for)
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

Test(deferred, the_log_of_a_large_transaction_is_cut)
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
Test(deferred, each_failure_has_an_errno_of_its_own)
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
Test(deferred, what_one_file_has_failed_with_is_not_said_of_the_other)
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
