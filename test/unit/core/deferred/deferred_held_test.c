/* What logins have held in the deferred store. */

#include "core/deferred/deferred.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/core/deferred/deferred_fixture.h"

TestSuite(deferred_held, .init = ds_setup, .fini = ds_teardown);

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

Test(deferred_held, what_logins_have_held_is_known)
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

Test(deferred_held, what_was_tried_or_is_gone_is_not_held)
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
Test(deferred_held, of_logins_those_that_have_the_most_are_named)
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

Test(deferred_held, what_has_come_to_be_held_is_known)
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

/* As version 3 had it, in which a message that was held while the store was full
 * has attempts. */
Test(deferred_held, the_table_of_version_3_is_brought_up_to_date)
{
	uint64_t id;
	int n;

	put_sums();
	deferred_free(ds.d);
	cr_assert_eq(ds_exec(DS_TO_VERSION4 "DROP TRIGGER held_insert;"
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
