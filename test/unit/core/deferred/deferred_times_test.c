/* Until when rows of the deferred store are held, and clocks that are set. */

#include "core/deferred/deferred.h"

#include <criterion/criterion.h>
#include <sqlite3.h>

#include "test/unit/core/deferred/deferred_fixture.h"

TestSuite(deferred_times, .init = ds_setup, .fini = ds_teardown);

Test(deferred_times, what_the_envelope_says_is_in_the_row)
{
	ds_put_held(1, 5000000000);
	ds_reopen();
	cr_assert_eq(ds_rows_of(1), 1);
	cr_assert_eq(ds.seen[0].hold_until, 5000000000);
	cr_assert_eq(ds.seen[0].deliver_by, 5000000010);
	cr_assert_eq(ds.seen[0].priority, -9);
	cr_assert_eq(ds.seen[0].flags, SPOOL_ENV_BY_RETURN |
	    SPOOL_ENV_RET_FULL);
}

Test(deferred_times, what_is_held_is_not_hurried)
{
	ds_put_held(1, 1000);
	ds_put(2, 0, 1000);
	cr_assert_eq(deferred_hurry(ds.d, 2, 0, 500), 1);
	cr_assert_eq(ds_rows_due(999, 9), 1);
	cr_assert_eq(ds.seen[0].id, 2);
	cr_assert_eq(deferred_hurry(ds.d, 1, 0, 500), 0);
	ds.nseen = 0;
	cr_assert_eq(ds_rows_due(999, 9), 1);
	cr_assert_eq(deferred_hurry(ds.d, 1, 0, 1001), 0);
	cr_assert_eq(ds_rows_due(1001, 9), 2, "and late, it is due at once");
}

Test(deferred_times, the_time_of_day_until_which_a_row_is_held_does_not_shift)
{
	int64_t next;

	ds_put_held(1, 100000);
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
Test(deferred_times, the_interval_for_which_a_row_is_held_does_shift)
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
Test(deferred_times, a_clock_that_is_set_is_a_change_in_pieces)
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
Test(deferred_times, where_no_row_is_due_too_late_a_shift_is_over_at_once)
{
	struct deferred_shift at = { .latest = 1000, .held = 9000 };
	uint64_t id;
	int i;

	for (id = 1; id <= 30; id++)
		ds_put(id, 0, 1000);
	for (; id <= 34; id++)
		ds_put_held(id, 9000);
	cr_expect_eq(deferred_shift(ds.d, &at, 5), 0);
	cr_expect(at.is_over && !at.has_begun);
	/* there may be many that are held, which is to be seen in pieces, too */
	ds_put_held(id, 9000);
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
Test(deferred_times, rows_that_cannot_be_compared_do_not_stop_a_shift)
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

/* Somebody has edited the row, or its record was forged. */
Test(deferred_times, no_row_is_held_for_ever)
{
	ds_put_held(1, INT64_MAX - 10);
	cr_assert_eq(ds_shift(0, 1000, 5000), 1);
	cr_assert_eq(ds_rows_of(1), 1);
	cr_assert_eq(ds.seen[0].hold_until, 5000);
	cr_assert_eq(ds.seen[0].next_attempt, 5000);
	cr_assert_eq(ds_shift(0, 1000, 5000), 0);
}
