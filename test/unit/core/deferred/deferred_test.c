/* The deferred store: its rows and files, and which message they belong to. */

#include "core/deferred/deferred.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "test/unit/core/deferred/deferred_fixture.h"

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
	cr_assert_eq(ds_rows_due(300, 10), 3);
	cr_assert_eq(ds.seen[0].id, 2);
	cr_assert_eq(ds.seen[1].id, 3);
	cr_assert_eq(ds.seen[2].id, 1);
	cr_assert_eq(ds_rows_due(300, 1), 1);
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
	cr_assert_eq(ds_rows_due(50, 9), 1);
	cr_assert_eq(deferred_hurry(ds.d, 2, DEFERRED_ANY, 50), 1);
	cr_assert_eq(ds_rows_due(50, 9), 2);
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
