#include "core/queue/deferred.h"

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

struct fixture {
	struct qf		 f;
	struct deferred		*d;
	struct deferred_row	 seen[64];
	char			 texts[64][3][64];
	size_t			 nseen;
};

static struct fixture x;

static int
see(void *, const struct deferred_row *row)
{
	cr_assert_lt(x.nseen, 64);
	x.seen[x.nseen] = *row;
	strlcpy(x.texts[x.nseen][0], row->sender, 64);
	strlcpy(x.texts[x.nseen][1], row->rcpt, 64);
	strlcpy(x.texts[x.nseen][2],
	    row->last_error == NULL ? "(null)" : row->last_error, 64);
	x.nseen++;
	return 0;
}

static void
setup(void)
{
	qf_init(&x.f);
	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_not_null(x.d);
}

static void
reopen(void)
{
	deferred_free(x.d);
	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_not_null(x.d);
	x.nseen = 0;
}

static void
teardown(void)
{
	deferred_free(x.d);
	qf_free(&x.f);
}

static int
rows_of(uint64_t id)
{
	const struct deferred_query q = { .what = DEFERRED_OF, .id = id };

	return deferred_rows(x.d, &q, see, NULL);
}

static int
rows_due(int64_t now, unsigned int limit)
{
	const struct deferred_query q = { .what = DEFERRED_DUE, .now = now,
		.limit = limit };

	return deferred_rows(x.d, &q, see, NULL);
}

static int
rows_behind(uint64_t id, uint32_t rcpt_index, unsigned int limit)
{
	const struct deferred_query q = { .what = DEFERRED_PAGE, .id = id,
		.rcpt_index = rcpt_index, .limit = limit };

	return deferred_rows(x.d, &q, see, NULL);
}

TestSuite(deferred, .init = setup, .fini = teardown);

static void
put(uint64_t id, uint32_t index, int64_t next)
{
	struct deferred_row row = { .id = id, .rcpt_index = index,
		.sender = "a'b@x", .rcpt = "r\"@y", .transport = "maildir",
		.received_us = 123456789, .octets = 77, .attempts = 1,
		.next_attempt = next, .last_error = "no; DROP TABLE" };

	cr_assert_eq(deferred_put(x.d, &row), 0);
}

/* A file for message ${id} with two recipients */
static void
put_file_of(uint64_t id, const struct spool_origin *origin)
{
	static const char *const rcpts[] = { "one@x.test", "two@x.test" };
	struct spool_readbuf *buf = spool_readbuf_new();
	struct spool_damage damage;
	struct qf_segment s;
	struct spool_reader *r;
	struct spool_header header;
	struct spool_view view;
	uint64_t offset;
	int fd;

	qf_segment(&x.f, &s, id);
	offset = qf_append(&s, id, "s@x.test", rcpts, 2, "body");
	fd = spool_segment_open(x.f.incoming, QF_SEGMENT(id), &header);
	r = spool_reader_new(fd, buf, 0);
	cr_assert_eq(spool_reader_at(r, offset, &view, &damage), 1);
	cr_assert_eq(deferred_file_write(x.d, id, &view, origin, fd, -1),
	    0);
	cr_assert_eq(deferred_files_sync(x.d), 0);
	spool_reader_free(r);
	spool_readbuf_free(buf);
	close(fd);
	spool_segment_close(&s.file);
}

static void
put_file(uint64_t id)
{
	const struct spool_origin origin = { .segment = QF_SEGMENT(id),
		.generation = 1, .seq = 1 };

	put_file_of(id, &origin);
}

Test(deferred, rows_come_back_as_they_were_put)
{
	put(42, 3, 1000);
	reopen();
	cr_assert_eq(rows_of(42), 1);
	cr_assert_eq(x.seen[0].id, 42);
	cr_assert_eq(x.seen[0].rcpt_index, 3);
	cr_assert_eq(x.seen[0].received_us, 123456789);
	cr_assert_eq(x.seen[0].octets, 77);
	cr_assert_eq(x.seen[0].attempts, 1);
	cr_assert_eq(x.seen[0].next_attempt, 1000);
	cr_assert_str_eq(x.texts[0][0], "a'b@x");
	cr_assert_str_eq(x.texts[0][1], "r\"@y");
	cr_assert_str_eq(x.texts[0][2], "no; DROP TABLE");
	cr_assert_eq(deferred_has(x.d, 42, 3), 1);
	cr_assert_eq(deferred_has(x.d, 42, 2), 0);
	cr_assert_eq(deferred_has(x.d, 42, DEFERRED_ANY), 1);
	cr_assert_eq(deferred_has(x.d, 43, DEFERRED_ANY), 0);
}

Test(deferred, the_longest_due_come_first_and_others_not)
{
	int64_t next;

	cr_assert_eq(deferred_next(x.d, &next), 0);
	put(1, 0, 300);
	put(2, 0, 100);
	put(3, 0, 200);
	put(4, 0, 400);
	cr_assert_eq(deferred_next(x.d, &next), 1);
	cr_assert_eq(next, 100);
	cr_assert_eq(rows_due(300, 10), 3);
	cr_assert_eq(x.seen[0].id, 2);
	cr_assert_eq(x.seen[1].id, 3);
	cr_assert_eq(x.seen[2].id, 1);
	cr_assert_eq(rows_due(300, 1), 1);
}

Test(deferred, pages_follow_the_order_of_ids)
{
	uint64_t id = 0;
	uint32_t rcpt = 0;
	size_t i;

	for (i = 0; i < 10; i++)
		put(1000 - i / 2, (uint32_t)i % 2, 5);
	while (rows_behind(id, rcpt, 3) > 0) {
		id = x.seen[x.nseen - 1].id;
		rcpt = x.seen[x.nseen - 1].rcpt_index;
	}
	cr_assert_eq(x.nseen, 10);
	for (i = 0; i < 10; i++) {
		cr_assert_eq(x.seen[i].id, 996 + i / 2);
		cr_assert_eq(x.seen[i].rcpt_index, i % 2);
	}
}

Test(deferred, another_failure_changes_the_row_and_hurry_makes_it_due)
{
	const struct deferred_row again = { .id = 1, .transport = "pigeon",
		.attempts = 9, .next_attempt = 900, .last_error = "again" };

	put(1, 0, 300);
	put(2, 0, 300);
	cr_assert_eq(deferred_touch(x.d, &again), 0);
	rows_of(1);
	cr_assert_eq(x.seen[0].attempts, 9);
	cr_assert_eq(x.seen[0].next_attempt, 900);
	cr_assert_str_eq(x.texts[0][2], "again");
	cr_assert_eq(deferred_hurry(x.d, 1, 50), 1);
	cr_assert_eq(rows_due(50, 9), 1);
	cr_assert_eq(deferred_hurry(x.d, 0, 50), 1);
	cr_assert_eq(rows_due(50, 9), 2);
	cr_assert_eq(deferred_drop(x.d, 1, 0), 0);
	cr_assert_eq(deferred_has(x.d, 1, DEFERRED_ANY), 0);
}

Test(deferred, what_is_rolled_back_was_never_there)
{
	cr_assert_eq(deferred_begin(x.d), 0);
	put(1, 0, 300);
	deferred_rollback(x.d);
	cr_assert_eq(deferred_has(x.d, 1, 0), 0);
	cr_assert_eq(deferred_begin(x.d), 0);
	put(2, 0, 300);
	cr_assert_eq(deferred_commit(x.d), 0);
	cr_assert_eq(deferred_has(x.d, 2, 0), 1);
}

Test(deferred, files_without_a_row_are_leftovers)
{
	char name[64], text[SPOOL_ID_TEXT + 1];
	int fd;

	put_file(5);
	put_file(6);
	put(6, 0, 1);
	spool_id_text(7, text);
	snprintf(name, sizeof(name), "deferred/%s.tmp", text);
	fd = openat(x.f.folder, name, O_WRONLY | O_CREAT, 0600);
	close(fd);
	reopen();
	cr_assert_eq(deferred_file_open(x.d, 5), -1);
	cr_assert_eq(errno, ENOENT);
	fd = deferred_file_open(x.d, 6);
	cr_assert_neq(fd, -1);
	close(fd);
	cr_assert_not(qf_exists(&x.f, x.f.folder, name));
	cr_assert_eq(deferred_file_remove(x.d, 6), 0);
	cr_assert_eq(deferred_file_remove(x.d, 6), 0);
}

Test(deferred, a_damaged_database_is_made_again_from_the_files)
{
	char cmd[200];

	put_file(5);
	put(5, 0, 1);
	deferred_free(x.d);
	snprintf(cmd, sizeof(cmd), "cd %s && rm -f deferred.db-* && "
	    "head -c 5000 /dev/zero | tr '\\0' x > deferred.db", x.f.path);
	cr_assert_eq(system(cmd), 0);
	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_not_null(x.d);
	cr_assert_eq(rows_of(5), 2);
	cr_assert_str_eq(x.texts[0][0], "s@x.test");
	cr_assert_str_eq(x.texts[0][1], "one@x.test");
	cr_assert_str_eq(x.texts[1][1], "two@x.test");
	snprintf(cmd, sizeof(cmd), "ls %s/deferred.db.damaged.* > /dev/null",
	    x.f.path);
	cr_assert_eq(system(cmd), 0);
}

static int
exec(const char *sql)
{
	char path[128];
	sqlite3 *db;
	int rc;

	snprintf(path, sizeof(path), "%s/deferred.db", x.f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	return rc;
}

/* --- made again ----------------------------------------------------------- */

#define MARK	"deferred.rebuild"

/* The store is closed: two files, of which the second has a row for its first
 * recipient alone, and a leftover. */
static void
make_files(void)
{
	put_file(5);
	put_file(6);
	put(6, 0, 1);
	deferred_free(x.d);
	x.d = NULL;
}

static void
lose_database(void)
{
	static const char *const parts[] = { "deferred.db", "deferred.db-wal",
		"deferred.db-shm" };
	size_t i;

	for (i = 0; i < 3; i++)
		(void)unlinkat(x.f.folder, parts[i], 0);
}

/* Open it; then both files have rows for both recipients. */
static void
expect_rebuilt(const char *what, int n)
{
	char text[SPOOL_ID_TEXT + 1], name[64];
	uint64_t id;

	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_not_null(x.d, "%s %d", what, n);
	x.nseen = 0;
	cr_assert_eq(rows_of(5), 2, "%s %d", what, n);
	cr_assert_eq(rows_of(6), 2, "%s %d", what, n);
	cr_assert_not(qf_exists(&x.f, x.f.folder, MARK), "%s %d", what, n);
	for (id = 5; id < 7; id++) {
		spool_id_text(id, text);
		snprintf(name, sizeof(name), "deferred/%s", text);
		cr_assert(qf_exists(&x.f, x.f.folder, name), "%s %d", what, n);
	}
	deferred_free(x.d);
	x.d = NULL;
}

/* A file without rows is a leftover again. */
static void
expect_leftovers(void)
{
	put_file(9);
	reopen();
	cr_assert_eq(deferred_file_open(x.d, 9), -1);
}

Test(deferred, a_missing_database_is_made_again_from_the_files)
{
	make_files();
	lose_database();
	expect_rebuilt("missing", 0);
	reopen();
	expect_leftovers();
}

Test(deferred, a_database_that_was_never_finished_is_made_again)
{
	int fd;

	make_files();
	lose_database();
	/* as an open that was killed leaves it */
	fd = openat(x.f.folder, "deferred.db", O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	close(fd);
	expect_rebuilt("empty", 0);
	cr_assert_eq(exec("DROP TABLE deferred"), SQLITE_OK);
	expect_rebuilt("no table", 0);
}

Test(deferred, while_the_mark_is_there_no_file_is_a_leftover)
{
	int fd;

	make_files();
	/* the table was made, and its rows were not committed; or an
	 * administrator has put an older one in its place */
	fd = openat(x.f.folder, MARK, O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	close(fd);
	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_not_null(x.d);
	cr_assert_eq(rows_of(5), 2);
	cr_assert_eq(rows_of(6), 1, "those that it had stay as they were");
	cr_assert_not(qf_exists(&x.f, x.f.folder, MARK));
	expect_leftovers();
}

/* Whatever call fails once, or has the process killed: the next open has it
 * all. */
static void
fail_at_each(const char *what, enum fault_call call, bool is_damaged)
{
	int n, left = 0;

	for (n = 0; left == 0; n++) {
		lose_database();
		if (is_damaged)
			cr_assert_eq(exec("CREATE TABLE other (a);"
			    "INSERT INTO other VALUES (zeroblob(9000));"
			    "PRAGMA writable_schema = 1;"
			    "UPDATE sqlite_master SET sql = 'nonsense';"),
			    SQLITE_OK);
		fault_arm(call, n, 1, call == FAULT_DATABASE ? ENOSPC : EIO);
		x.d = deferred_open(x.f.path, x.f.folder);
		deferred_free(x.d);
		x.d = NULL;
		left = fault_left(call);
		fault_arm(call, 0, 0, 0);
		expect_rebuilt(what, n);
	}
	cr_assert_gt(n, 1, "%s: it has failed", what);
}

Test(deferred, a_rebuild_that_fails_is_begun_again)
{
	make_files();
	fail_at_each("write of the database", FAULT_DATABASE, false);
	fail_at_each("fsync", FAULT_FSYNC, false);
	fail_at_each("fdatasync", FAULT_FDATASYNC, false);
	fail_at_each("write, damaged", FAULT_DATABASE, true);
	fail_at_each("fsync, damaged", FAULT_FSYNC, true);
}

Test(deferred, a_rebuild_that_is_killed_is_begun_again)
{
	int n, status;
	pid_t pid;

	make_files();
	for (n = 1; ; n++) {
		lose_database();
		pid = fork();
		cr_assert_neq(pid, -1);
		if (pid == 0) {
			fault_kill_at(n);
			x.d = deferred_open(x.f.path, x.f.folder);
			fault_kill_at(0);
			_exit(x.d == NULL);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		expect_rebuilt("killed at", n);
		if (WIFEXITED(status))
			break;
	}
	cr_assert_eq(WEXITSTATUS(status), 0);
	cr_assert_gt(n, 5);
}

Test(deferred, without_the_mark_nothing_is_made)
{
	make_files();
	lose_database();
	cr_assert_eq(mkdirat(x.f.folder, MARK, 0700), 0);
	cr_assert_null(deferred_open(x.f.path, x.f.folder));
	cr_assert_eq(unlinkat(x.f.folder, MARK, AT_REMOVEDIR), 0);
	expect_rebuilt("no mark", 0);
}

/* Once the mark was gone it would be a leftover. */
Test(deferred, a_file_that_cannot_be_read_is_kept)
{
	char text[SPOOL_ID_TEXT + 1], name[64], kept[64];
	int fd;

	put_file(8);
	make_files();
	lose_database();
	spool_id_text(8, text);
	snprintf(name, sizeof(name), "deferred/%s", text);
	snprintf(kept, sizeof(kept), "deferred/damaged.%s", text);
	fd = openat(x.f.folder, name, O_WRONLY);
	cr_assert_eq(pwrite(fd, "xxxxxxxx", 8, SPOOL_PAGE), 8);
	close(fd);
	fault_names(true);
	expect_rebuilt("unreadable", 0);
	/* its new name was on disk before the mark was gone */
	fd = openat(x.f.folder, "deferred", O_RDONLY | O_DIRECTORY);
	fault_power_cut(fd);
	fault_names(false);
	close(fd);
	cr_assert_not(qf_exists(&x.f, x.f.folder, name));
	cr_assert(qf_exists(&x.f, x.f.folder, kept));
	expect_rebuilt("again", 0);
	cr_assert(qf_exists(&x.f, x.f.folder, kept));
}

/* A page that is bad is found only when the rows are looked at. */
Test(deferred, damage_that_the_first_look_does_not_show_is_found)
{
	static const char junk[] = "junkjunkjunkjunkjunkjunkjunkjunk";
	char cmd[200];
	off_t at;
	int fd;

	make_files();
	cr_assert_eq(exec("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
	fd = openat(x.f.folder, "deferred.db", O_WRONLY);
	cr_assert_neq(fd, -1);
	/* behind the schema */
	for (at = 4096; at < 40960; at += 64)
		cr_assert_eq(pwrite(fd, junk, 32, at), 32);
	close(fd);
	expect_rebuilt("bad page", 0);
	snprintf(cmd, sizeof(cmd), "ls %s/deferred.db.damaged.* > /dev/null",
	    x.f.path);
	cr_assert_eq(system(cmd), 0);
}

Test(deferred, a_message_is_known_by_its_origin)
{
	const struct spool_origin origin = { .segment = 4097, .generation = 2,
		.seq = 3 }, other = { .segment = 4097, .generation = 2,
		.seq = 4 };
	struct deferred_row row = { .id = 5, .sender = "a@x", .rcpt = "b@y",
		.transport = "", .attempts = 1, .origin = origin };
	uint64_t id = 0;

	cr_assert_eq(deferred_find(x.d, 5, &origin, &id), 0);
	cr_assert_eq(id, 5);
	cr_assert_eq(deferred_put(x.d, &row), 0);
	cr_assert_eq(deferred_find(x.d, 5, &origin, &id), 1);
	cr_assert_eq(id, 5);
	cr_assert_eq(deferred_find(x.d, 5, &other, &id), -1);
	cr_assert_eq(errno, EEXIST);
	row.attempts = 7;
	row.origin = other;
	cr_assert_eq(deferred_put(x.d, &row), -1, "never replaced");
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(rows_of(5), 1);
	cr_assert_eq(x.seen[0].attempts, 1);
	cr_assert_eq(x.seen[0].origin.segment, 4097);
	cr_assert_eq(x.seen[0].origin.generation, 2);
	cr_assert_eq(x.seen[0].origin.seq, 3);
	row.id = 6;
	cr_assert_eq(deferred_put(x.d, &row), 0);
	cr_assert_eq(deferred_find(x.d, 5, &other, &id), 1);
	cr_assert_eq(id, 6, "under the id that it was given");
	cr_assert_eq(deferred_is_free(x.d, 6), 0);
	cr_assert_eq(deferred_is_free(x.d, 7), 1);
}

Test(deferred, a_file_without_rows_yet_has_its_id, .timeout = 10)
{
	const struct spool_origin origin = { .segment = QF_SEGMENT(5),
		.generation = 1, .seq = 1 }, other = { .segment = 4097,
		.generation = 1, .seq = 1 };
	uint64_t id;

	put_file(5);
	cr_assert_eq(deferred_find(x.d, 5, &origin, &id), 0);
	cr_assert_eq(id, 5);
	cr_assert_eq(deferred_find(x.d, 5, &other, &id), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(deferred_is_free(x.d, 5), 0);
}

Test(deferred, origins_come_back_from_the_files)
{
	const struct spool_origin origin = { .segment = 4097, .generation = 2,
		.seq = 3 };
	uint64_t id;

	put_file_of(5, &origin);
	deferred_free(x.d);
	cr_assert_eq(unlinkat(x.f.folder, "deferred.db", 0), 0);
	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_eq(rows_of(5), 2);
	cr_assert_eq(deferred_find(x.d, 5, &origin, &id), 1);
}

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

	deferred_free(x.d);
	cr_assert_eq(unlinkat(x.f.folder, "deferred.db", 0), 0);
	cr_assert_eq(exec(version0), SQLITE_OK);
	x.d = deferred_open(x.f.path, x.f.folder);
	cr_assert_not_null(x.d);
	put_file_of(5, &by_id);		/* as that version wrote it */
	reopen();
	cr_assert_eq(rows_of(5), 1);
	cr_assert_eq(x.seen[0].attempts, 3);
	cr_assert_eq(x.seen[0].rcpt_index, 1);
	cr_assert_str_eq(x.texts[0][1], "b@y");
	cr_assert_eq(x.seen[0].origin.segment, 0);
	/* a segment of this version has another message */
	cr_assert_eq(deferred_find(x.d, 5, &now, &id), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(deferred_put(x.d, &row), -1);
	/* one of that version has the same, read again after a crash */
	cr_assert_eq(deferred_find(x.d, 5, &early, &id), 1);
	cr_assert_eq(id, 5);
	row.origin = early;
	cr_assert_eq(deferred_put(x.d, &row), 0);
	cr_assert_eq(deferred_find(x.d, 5, &early, &id), 1);
}
