/* Rows that an administrator lets go another way than the configuration says. */

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/core/deferred/deferred_fixture.h"

#define NOW	500
#define LATER	1000

TestSuite(deferred_route, .init = ds_setup, .fini = ds_teardown);

static char seen[512];

static int
see(void *, const struct deferred_row *row)
{
	size_t len = strlen(seen);

	snprintf(seen + len, sizeof(seen) - len, "%u:%s,%s,%lld%s ",
	    row->rcpt_index, row->route, row->waits_for,
	    (long long)row->next_attempt, row->is_on_hold ? ",hold" : "");
	return 0;
}

/* "index:route,waits_for,next_attempt " of each row of the message ${id} */
static const char *
rows(uint64_t id)
{
	const struct deferred_query q = { .what = DEFERRED_OF, .id = id };

	seen[0] = '\0';
	cr_assert_neq(deferred_rows(ds.d, &q, see, NULL), -1);
	return seen;
}

static struct deferred_row
a_row(uint32_t index)
{
	return (struct deferred_row){ .id = 1, .rcpt_index = index,
		.sender = "a@x", .rcpt = "b@y", .transport = "relay",
		.attempts = 1, .next_attempt = LATER };
}

static void
put(struct deferred_row row)
{
	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

Test(deferred_route, what_is_led_elsewhere_is_due_and_waits_for_no_target)
{
	struct deferred_row parked = a_row(1), held = a_row(2);

	put(a_row(0));
	parked.waits_for = "relay a.test";
	put(parked);
	/* nobody has tried it: its time is what its sender has said */
	held.hold_until = LATER;
	held.attempts = 0;
	put(held);
	put(a_row(3));
	cr_assert_eq(deferred_hold(ds.d, 1, 3), 1);
	cr_expect_eq(deferred_route(ds.d, 1, DEFERRED_ANY, "b.test", NOW), 4);
	ds_reopen();
	cr_expect_str_eq(rows(1), "0:b.test,,500 1:b.test,,500 "
	    "2:b.test,,1000 3:b.test,,1000,hold ");
	cr_expect_eq(deferred_release(ds.d, 1, 3, NOW, INT64_MAX), 1);
	cr_expect_eq(deferred_route(ds.d, 1, 0, "", NOW + 1), 1);
	cr_expect_str_eq(rows(1), "0:,,500 1:b.test,,500 2:b.test,,1000 "
	    "3:b.test,,500 ");
	cr_expect_eq(deferred_route(ds.d, 2, DEFERRED_ANY, "b.test", NOW), 0);
}

Test(deferred_route, what_is_over_goes_nowhere)
{
	struct deferred_row over = a_row(0);

	over.outcome = "failed";
	put(over);
	cr_expect_eq(deferred_route(ds.d, 1, 0, "b.test", NOW), 0);
	cr_expect_str_eq(rows(1), "0:,,1000 ");
}

Test(deferred_route, an_attempt_and_another_put_leave_it)
{
	struct deferred_row row = a_row(0);

	row.route = "b.test";
	put(row);
	cr_expect_str_eq(rows(1), "0:b.test,,1000 ");
	row.route = NULL;
	row.attempts = 2;
	cr_assert_eq(deferred_touch(ds.d, &row), 0);
	put(a_row(0));
	cr_expect_str_eq(rows(1), "0:b.test,,1000 ");
	row.route = "c.test";
	put(row);
	cr_expect_str_eq(rows(1), "0:c.test,,1000 ");
}

Test(deferred_route, the_table_of_version_8_is_brought_up_to_date)
{
	put(a_row(0));
	deferred_free(ds.d);
	cr_assert_eq(ds_exec(DS_TO_VERSION8 "PRAGMA user_version = 8;"),
	    SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_expect_str_eq(rows(1), "0:,,1000 ");
	cr_expect_eq(deferred_route(ds.d, 1, 0, "b.test", NOW), 1);
	cr_expect_str_eq(rows(1), "0:b.test,,500 ");
}
