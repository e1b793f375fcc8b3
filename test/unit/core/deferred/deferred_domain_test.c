/* The deferred store: making due what waits for one domain. */

#include "core/deferred/deferred.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "core/process/log.h"
#include "test/unit/core/deferred/deferred_fixture.h"

#define LATER	1000
#define NOW	500

TestSuite(deferred_domain, .init = ds_setup, .fini = ds_teardown);

static void
put(uint64_t id, uint32_t index, const char *rcpt)
{
	struct deferred_row row = { .id = id, .rcpt_index = index,
		.sender = "a@x", .rcpt = rcpt, .transport = "maildir",
		.attempts = 1, .next_attempt = LATER };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

/* All pages of a start.  Return rows changed; in *npages_r the pages. */
static int
hurry(const char *domain, bool has_subdomains, unsigned int limit,
    unsigned int *npages_r)
{
	struct deferred_domain at = { .is_over = false };
	int n = 0, rc;

	for (*npages_r = 0; !at.is_over; (*npages_r)++) {
		cr_assert_lt(*npages_r, 10000);
		rc = deferred_hurry_domain(ds.d, domain, has_subdomains, &at,
		    limit, NOW);
		cr_assert_geq(rc, 0);
		cr_expect_leq(rc, (int)limit);
		n += rc;
	}
	return n;
}

/* Has a start an end, whatever one page does? */
static void
expect_end(const char *domain, bool has_subdomains)
{
	struct deferred_domain at = { .is_over = false };
	int i;

	for (i = 0; !at.is_over; i++) {
		cr_assert_lt(i, 20, "%s", domain);
		cr_assert_geq(deferred_hurry_domain(ds.d, domain,
		    has_subdomains, &at, 2, NOW), 0);
	}
}

static int
hurried(const char *domain, bool has_subdomains)
{
	unsigned int npages;

	return hurry(domain, has_subdomains, 100, &npages);
}

static int
ndue(void)
{
	const struct deferred_query q = { .what = DEFERRED_DUE, .now = NOW,
		.limit = 64 };

	ds.nseen = 0;
	return ds_rows(&q);
}

Test(deferred_domain, its_recipients_alone_are_due)
{
	put(1, 0, "one@a.test");
	put(1, 1, "two@b.test");
	put(2, 0, "one@A.Test");
	put(3, 0, "one@sub.a.test");
	put(4, 0, "\"x@a.test\"@c.test");
	put(5, 0, "\"x@c.test\"@a.test");
	put(6, 0, "postmaster");
	put(7, 0, "one@xa.test");
	cr_expect_eq(hurried("a.test", false), 3);
	cr_expect_eq(ndue(), 3);
	cr_expect_eq(hurried("a.test", false), 0, "they are due already");
	cr_expect_eq(hurried("test", false), 0);
	cr_expect_eq(hurried("postmaster", false), 0);
	cr_expect_eq(hurried("a.test", true), 1);
	cr_expect_eq(ndue(), 4);
	cr_expect_eq(hurried("test", true), 3, "b.test, c.test, xa.test");
	cr_expect_eq(ndue(), 7);
}

Test(deferred_domain, what_is_held_is_not_hurried)
{
	struct deferred_row row = { .id = 1, .sender = "a@x",
		.rcpt = "one@a.test", .transport = "", .next_attempt = LATER,
		.hold_until = LATER };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
	row.id = 2;			/* it was released, and has failed */
	row.attempts = 1;
	row.hold_until = LATER;
	cr_assert_eq(deferred_put(ds.d, &row), 0);
	cr_expect_eq(hurried("a.test", false), 1);
	cr_expect_eq(ndue(), 1);
	cr_expect_eq(ds.seen[0].id, 2);
}

Test(deferred_domain, a_page_looks_at_no_more_than_it_may)
{
	unsigned int npages;
	char rcpt[32];
	uint64_t id;

	for (id = 1; id <= 300; id++) {
		snprintf(rcpt, sizeof(rcpt), "u@%s", id % 3 == 0 ? "b.test" :
		    "a.test");
		put(id, (uint32_t)id % 5, rcpt);
		put(id, (uint32_t)id % 5 + 1, rcpt);
	}
	cr_expect_eq(hurry("a.test", false, 50, &npages), 400);
	cr_expect_geq(npages, 8);
	cr_expect_leq(npages, 10);
	cr_expect_eq(hurry("a.test", false, 50, &npages), 0);
	cr_expect_eq(hurry("b.test", false, 1, &npages), 200);
	/* many domains, which have no more than are looked at, take pages, too */
	for (id = 1001; id <= 1300; id++) {
		snprintf(rcpt, sizeof(rcpt), "u@d%d.test", (int)id);
		put(id, 0, rcpt);
		put(id, 1, rcpt);
	}
	cr_expect_eq(hurry("test", true, 50, &npages), 600);
	cr_expect_geq(npages, 12);
	cr_expect_eq(hurry("example", true, 50, &npages), 0);
	cr_expect_geq(npages, 6);
}

/* A row that was changed behind it is not looked at again: a start has an end. */
Test(deferred_domain, what_fails_meanwhile_waits)
{
	struct deferred_domain at = { .is_over = false };
	struct deferred_row again = { .id = 1, .transport = "", .attempts = 2,
		.next_attempt = LATER };
	uint64_t id;

	for (id = 1; id <= 10; id++)
		put(id, 0, "u@a.test");
	/* the domain itself is looked at, too */
	cr_assert_eq(deferred_hurry_domain(ds.d, "a.test", false, &at, 6, NOW),
	    5);
	for (again.id = 1; again.id <= 5; again.id++)
		cr_assert_eq(deferred_touch(ds.d, &again), 0);
	cr_assert_eq(deferred_hurry_domain(ds.d, "a.test", false, &at, 100,
	    NOW), 5);
	cr_assert_eq(deferred_hurry_domain(ds.d, "a.test", false, &at, 100,
	    NOW), 0);
	cr_expect(at.is_over);
	cr_expect_eq(ndue(), 5);
}

/* Somebody may write to the database with sqlite3(1). */
Test(deferred_domain, rows_that_were_edited_are_no_trouble)
{
	unsigned int npages;

	put(1, 0, "u@a.test");
	put(2, 0, "u@a.test");
	put(3, 0, "u@b.test");
	cr_assert_eq(ds_exec("UPDATE deferred SET rcpt = 'u@c.test'"
	    " WHERE id = '0000000000003';"
	    "INSERT INTO deferred (id, rcpt_index, sender, rcpt, transport,"
	    " received_us, octets, attempts, next_attempt)"
	    " VALUES ('an id that is longer than any', -7, '', 'u@a.test', '',"
	    " 0, 0, 1, 1000),"
	    " ('0000000000009', 0, '', 'u@' || hex(zeroblob(300)), '',"
	    " 0, 0, 1, 1000)"), SQLITE_OK);
	cr_expect_eq(hurried("b.test", false), 0);
	cr_expect_eq(hurried("c.test", false), 1);
	cr_expect_eq(hurry("a.test", false, 3, &npages), 3);
	cr_expect_eq(hurried("test", true), 0);
}

/* What is looked for behind such a row would find it again, for ever. */
Test(deferred_domain, rows_that_cannot_be_compared_have_an_end)
{
	static const char *const edits[] = {
		"UPDATE deferred SET rcpt = 'u@b' || char(0) || 'c.test'"
		    " WHERE rcpt_index = 0;",
		"UPDATE deferred SET rcpt = CAST('u@b.test' AS BLOB)"
		    " WHERE rcpt_index = 0;",
		"UPDATE deferred SET id = '0' || char(0) || id;",
		"UPDATE deferred SET id = CAST(id AS BLOB);",
		"UPDATE deferred SET rcpt_index = 'x' || rcpt_index;",
	};
	unsigned int i;
	uint32_t k;

	for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		cr_assert_eq(ds_exec("DELETE FROM deferred;"), SQLITE_OK);
		for (k = 0; k < 6; k++)
			put(1, k, "u@b.test");
		put(2, 0, "u@z.test");
		put(2, 1, "u@z.test");
		cr_assert_eq(ds_exec(edits[i]), SQLITE_OK, "%u", i);
		expect_end("b.test", false);
		expect_end("test", true);
	}
}

/* A name with a NUL, where it has come into the table otherwise. */
Test(deferred_domain, names_that_cannot_be_compared_have_an_end)
{
	put(1, 0, "u@b.test");
	deferred_free(ds.d);
	cr_assert_eq(ds_exec("DROP INDEX deferred_domain;"
	    "ALTER TABLE deferred DROP COLUMN domain;"
	    "ALTER TABLE deferred ADD COLUMN domain TEXT;"
	    "CREATE INDEX deferred_domain ON deferred (domain);"
	    "UPDATE deferred SET domain = 'b' || char(0) || '.test';"),
	    SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	expect_end("test", true);
}

/* It has an index: else each start would read the whole table. */
Test(deferred_domain, the_table_of_version_4_is_brought_up_to_date)
{
	put(1, 0, "one@a.test");
	put(2, 0, "one@B.test");
	deferred_free(ds.d);
	cr_assert_eq(ds_exec(DS_TO_VERSION5 "DROP INDEX deferred_domain;"
	    "ALTER TABLE deferred DROP COLUMN domain;"
	    "PRAGMA user_version = 4;"), SQLITE_OK);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	cr_expect_eq(hurried("b.test", false), 1);
	cr_expect_eq(hurried("a.test", false), 1);
	cr_expect_eq(ds_rows_of(1), 1);
	cr_expect_eq(ds_exec("SELECT domain FROM deferred"
	    " INDEXED BY deferred_domain WHERE domain = 'a.test'"), SQLITE_OK);
}

Test(deferred_domain, where_it_cannot_be_written_nothing_has_happened)
{
	struct deferred_domain at = { .is_over = false };
	sqlite3 *db;
	char path[128];

	put(1, 0, "one@a.test");
	snprintf(path, sizeof(path), "%s/deferred.db", ds.f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	cr_expect_eq(deferred_hurry_domain(ds.d, "a.test", false, &at, 5, NOW),
	    -1);
	cr_expect_eq(errno, EBUSY);
	cr_expect(!at.is_over && at.name[0] == '\0');
	cr_assert_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	cr_expect_eq(deferred_hurry_domain(ds.d, "a.test", false, &at, 5, NOW),
	    1);
}

/* What is due already, or held, is looked at all the same: many small domains of
 * it must not make one call long. */
Test(deferred_domain, rows_that_stay_as_they_are_count)
{
	unsigned int i, npages;
	char rcpt[32];

	for (i = 0; i < 60 * 50; i++) {
		snprintf(rcpt, sizeof(rcpt), "u%u@s%u.a.test", i, i / 50);
		put(1, i, rcpt);
	}
	cr_expect_eq(hurry("a.test", true, 1000, &npages), 60 * 50);
	cr_expect_eq(hurry("a.test", true, 1000, &npages), 0);
	cr_expect_geq(npages, 3, "%u", npages);
}
