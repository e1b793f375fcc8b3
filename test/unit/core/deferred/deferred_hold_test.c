/* The deferred store: rows that an administrator has put on hold, and pages of the
 * rows of one domain. */

#include "core/deferred/deferred.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <string.h>

#include "test/unit/core/deferred/deferred_fixture.h"

#define LATER	1000
#define NOW	500
#define FAR	5000

TestSuite(deferred_hold, .init = ds_setup, .fini = ds_teardown);

static void
put(uint64_t id, uint32_t index, const char *rcpt, int64_t next)
{
	struct deferred_row row = { .id = id, .rcpt_index = index,
		.sender = "a@x", .rcpt = rcpt, .transport = "maildir",
		.attempts = 1, .next_attempt = next };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

static int
ndue(int64_t now)
{
	const struct deferred_query q = { .what = DEFERRED_DUE, .now = now,
		.limit = 64 };

	ds.nseen = 0;
	return ds_rows(&q);
}

Test(deferred_hold, what_is_on_hold_is_never_due)
{
	struct deferred_domain at = { .is_over = false };
	int64_t next;

	put(1, 0, "one@a.test", 10);
	put(1, 1, "two@a.test", LATER);
	put(2, 0, "one@a.test", 20);
	cr_assert_eq(deferred_hold(ds.d, 1, DEFERRED_ANY), 2);
	cr_expect_eq(deferred_hold(ds.d, 1, 0), 0, "it is already");
	cr_expect_eq(ndue(NOW), 1);
	cr_expect_eq(ds.seen[0].id, 2);
	cr_expect_eq(deferred_next(ds.d, &next), 1);
	cr_expect_eq(next, 20);
	cr_expect_eq(deferred_hurry(ds.d, 1, DEFERRED_ANY, NOW), 0);
	cr_expect_eq(deferred_hurry_domain(ds.d, "a.test", false, &at, 50,
	    NOW), 0);
	ds_reopen();
	cr_expect_eq(ndue(10 * LATER), 1, "after a restart, too");
	ds.nseen = 0;
	cr_assert_eq(ds_rows_of(1), 2);
	cr_expect(ds.seen[0].is_on_hold && ds.seen[1].is_on_hold);
	cr_assert_eq(deferred_drop(ds.d, 2, 0), 0);
	cr_expect_eq(deferred_next(ds.d, &next), 0);
}

Test(deferred_hold, another_failure_and_another_put_leave_it_on_hold)
{
	const struct deferred_row again = { .id = 1, .transport = "",
		.attempts = 2, .next_attempt = 10 };

	put(1, 0, "one@a.test", 10);
	cr_assert_eq(deferred_hold(ds.d, 1, 0), 1);
	cr_assert_eq(deferred_touch(ds.d, &again), 0);
	put(1, 0, "one@a.test", 10);
	cr_expect_eq(ndue(NOW), 0);
}

Test(deferred_hold, what_is_released_is_due_unless_its_sender_holds_it)
{
	struct deferred_row row = { .id = 2, .sender = "a@x",
		.rcpt = "one@a.test", .transport = "", .next_attempt = LATER,
		.hold_until = LATER, .is_on_hold = true };

	put(1, 0, "one@a.test", LATER);
	put(1, 1, "two@a.test", LATER);
	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_assert_eq(deferred_hold(ds.d, 1, 0), 1);
	cr_expect_eq(deferred_release(ds.d, 1, DEFERRED_ANY, NOW, FAR), 1);
	cr_expect_eq(deferred_release(ds.d, 2, 0, NOW, FAR), 1);
	cr_expect_eq(ndue(NOW), 1);
	cr_expect_eq(ds.seen[0].rcpt_index, 0);
	cr_expect_eq(ndue(LATER), 3);
}

/* A clock that was set may have made its time one that never comes. */
Test(deferred_hold, what_is_released_is_not_held_for_ever)
{
	struct deferred_row row = { .id = 2, .sender = "a@x",
		.rcpt = "one@a.test", .transport = "",
		.next_attempt = 10 * FAR, .hold_until = 10 * FAR,
		.is_on_hold = true };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_expect_eq(deferred_release(ds.d, 2, 0, NOW, FAR), 1);
	cr_expect_eq(ndue(FAR - 1), 0);
	cr_expect_eq(ndue(FAR), 1);
}

Test(deferred_hold, the_table_of_version_5_is_brought_up_to_date)
{
	put(1, 0, "one@a.test", 10);
	put(2, 0, "one@a.test", 20);
	deferred_free(ds.d);
	cr_assert_eq(ds_exec(DS_TO_VERSION5 "PRAGMA user_version = 5;"),
	    SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_expect_eq(ndue(NOW), 2);
	cr_expect(!ds.seen[0].is_on_hold);
	cr_expect_eq(deferred_hold(ds.d, 1, 0), 1);
	cr_expect_eq(ndue(NOW), 1);
	/* a pass with a million rows on hold would read them all without it */
	cr_expect_eq(ds_exec("SELECT id FROM deferred INDEXED BY deferred_next"
	    " WHERE next_attempt <= 10 AND on_hold = 0"), SQLITE_OK);
	cr_expect_neq(ds_exec("SELECT id FROM deferred INDEXED BY deferred_next"
	    " WHERE next_attempt <= 10"), SQLITE_OK);
	ds_reopen();
	cr_expect_eq(ndue(NOW), 1);
}

Test(deferred_hold, a_page_of_one_domain_has_its_rows_in_order)
{
	struct deferred_query q = { .what = DEFERRED_PAGE, .limit = 2,
		.domain = "a.test" };

	put(1, 0, "one@a.test", 10);
	put(1, 1, "one@b.test", 10);
	put(1, 2, "two@A.test", 10);
	put(2, 0, "one@sub.a.test", 10);
	put(3, 0, "one@a.test", 10);
	cr_assert_eq(ds_rows(&q), 2);
	cr_expect(ds.seen[0].id == 1 && ds.seen[0].rcpt_index == 0);
	cr_expect(ds.seen[1].id == 1 && ds.seen[1].rcpt_index == 2);
	q.id = 1;
	q.rcpt_index = 2;
	cr_assert_eq(ds_rows(&q), 1);
	cr_expect_eq(ds.seen[2].id, 3);
	q.id = 3;
	q.rcpt_index = 0;
	cr_expect_eq(ds_rows(&q), 0);
}
