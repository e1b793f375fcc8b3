/* Rows that wait for a target, and not for their time. */

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/core/deferred/deferred_fixture.h"

TestSuite(deferred_waits, .init = ds_setup, .fini = ds_teardown);

static void
put(uint64_t id, uint32_t index, const char *waits_for)
{
	struct deferred_row row = { .id = id, .rcpt_index = index,
		.sender = "a@x", .rcpt = "b@y", .transport = "relay",
		.next_attempt = 5000, .waits_for = waits_for };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

static int
waiting(const char *name, unsigned int limit)
{
	const struct deferred_query q = { .what = DEFERRED_WAITS,
		.waits_for = name, .limit = limit };

	return ds_rows(&q);
}

Test(deferred_waits, they_are_found_by_the_target_the_oldest_first)
{
	put(3, 1, "relay a.test");
	put(2, 0, "relay b.test");
	put(1, 0, "");
	put(4, 0, NULL);
	put(3, 0, "relay a.test");
	put(2, 7, "relay a.test");
	cr_assert_eq(waiting("relay a.test", 10), 3);
	cr_expect_eq(ds.seen[0].id, 2);
	cr_expect_eq(ds.seen[1].id, 3);
	cr_expect_eq(ds.seen[1].rcpt_index, 0);
	cr_expect_eq(ds.seen[2].rcpt_index, 1);
	cr_expect_eq(waiting("relay a.test", 2), 2);
	cr_expect_eq(waiting("relay c.test", 10), 0);
	cr_expect_eq(waiting("relay A.test", 10), 0);
}

Test(deferred_waits, they_come_in_pages)
{
	struct deferred_query q = { .what = DEFERRED_WAITS,
		.waits_for = "relay a.test", .limit = 2 };
	size_t i;

	for (i = 0; i < 7; i++)
		put(9 - i / 3, (uint32_t)(i * 5 % 7), "relay a.test");
	put(7, 9, "relay b.test");
	while (ds_rows(&q) > 0) {
		q.id = ds.seen[ds.nseen - 1].id;
		q.rcpt_index = ds.seen[ds.nseen - 1].rcpt_index;
	}
	cr_assert_eq(ds.nseen, 7);
	for (i = 1; i < 7; i++)
		cr_assert(ds.seen[i - 1].id < ds.seen[i].id ||
		    (ds.seen[i - 1].id == ds.seen[i].id &&
		    ds.seen[i - 1].rcpt_index < ds.seen[i].rcpt_index));
}

Test(deferred_waits, an_attempt_ends_it)
{
	struct deferred_row row = { .id = 1, .transport = "relay",
		.attempts = 2, .next_attempt = 7, .last_error = "no",
		.waits_for = "relay b.test" };

	put(1, 0, "relay a.test");
	cr_assert_eq(deferred_touch(ds.d, &row), 0);
	cr_expect_eq(waiting("relay a.test", 10), 0);
	cr_expect_eq(waiting("relay b.test", 10), 1);
	row.waits_for = NULL;
	cr_assert_eq(deferred_touch(ds.d, &row), 0);
	cr_expect_eq(waiting("relay b.test", 10), 0);
	cr_expect_eq(ds_rows_of(1), 1);
	put(1, 0, "relay c.test");
	cr_expect_eq(waiting("relay c.test", 10), 1, "put again");
	ds_reopen();
	cr_expect_eq(waiting("relay c.test", 10), 1);
}

Test(deferred_waits, each_target_is_listed_once)
{
	char name[16] = "";
	uint64_t i;

	cr_assert_eq(deferred_waited_for(ds.d, "", name, sizeof(name)), 0);
	for (i = 1; i <= 30; i++)
		put(i, 0, i % 3 == 0 ? "relay b" : i % 3 == 1 ? "relay a" :
		    NULL);
	put(40, 0, "relay of a longer name");
	put(41, 0, "smtp z");
	cr_assert_eq(deferred_waited_for(ds.d, name, name, sizeof(name)), 1);
	cr_expect_str_eq(name, "relay a");
	cr_assert_eq(deferred_waited_for(ds.d, name, name, sizeof(name)), 1);
	cr_expect_str_eq(name, "relay b");
	cr_assert_eq(deferred_waited_for(ds.d, name, name, sizeof(name)), 1);
	cr_expect_str_eq(name, "smtp z");
	cr_assert_eq(deferred_waited_for(ds.d, name, name, sizeof(name)), 0);
}

/* With an index: else each look would read the whole table. */
Test(deferred_waits, the_table_of_version_7_is_brought_up_to_date)
{
	ds_put(1, 0, 300);
	deferred_free(ds.d);
	cr_assert_eq(ds_exec(DS_TO_VERSION7 "PRAGMA user_version = 7;"),
	    SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_expect_eq(ds_rows_of(1), 1);
	put(2, 0, "relay a.test");
	cr_expect_eq(waiting("relay a.test", 10), 1);
	cr_expect_eq(ds_exec("SELECT id FROM deferred INDEXED BY deferred_waits"
	    " WHERE waits_for <> ''"), SQLITE_OK);
}
