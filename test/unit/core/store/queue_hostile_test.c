/* A worker that has been taken over: what it says, and what it writes into its
 * own segments. */

#include <sys/file.h>
#include <sys/stat.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "core/process/stats.h"
#include "core/spool/spool_id.h"
#include "test/unit/core/queue/queue_fixture.h"
#include "test/unit/core/spool/fault.h"

#define HOSTILE	2		/* its number */
#define QF_SEQ_MAX	(1U << 24)
#define FOREIGN(id)	(((id) & ~(uint64_t)QF_WRITER) | HOSTILE)

static struct qf f;
static struct qf_segment s;

static void
setup(void)
{
	qf_init(&f);
	qf_open(&f);
	queue_writer_add(f.q, HOSTILE);
}

static void
teardown(void)
{
	spool_segment_close(&s.file);
	qf_free(&f);
}

TestSuite(queue_hostile, .init = setup, .fini = teardown);

/* All that was handed out is delivered.  Return how much that was. */
static size_t
deliver(int ms)
{
	size_t n;

	qf_pass(&f, ms);
	n = f.njobs;
	qf_finish(&f, 0);
	return n;
}

Test(queue_hostile, a_forged_seal_or_end_of_a_foreign_segment_is_ignored)
{
	uint64_t before = stats_sum(STATS_SPOOL_REFUSED), end;
	size_t n = 0;
	int i;

	qf_segment(&f, &s, 1);
	for (i = 0; i < 60; i++)
		qf_mail(&s, QF_ID(i));
	end = s.file.header.size_octets;
	queue_committed(f.q, HOSTILE, QF_SEGMENT(1), 1, SPOOL_PAGE, true);
	queue_committed(f.q, HOSTILE, QF_SEGMENT(1), 1, end, false);
	queue_committed(f.q, HOSTILE, QF_SEGMENT(1), 1, end, true);
	queue_committed(f.q, 0, QF_SEGMENT(1), 1, end, true);
	cr_assert_eq(stats_sum(STATS_SPOOL_REFUSED), before + 4);
	cr_assert_eq(deliver(1000), 0, "its writer has said nothing");
	qf_committed(&f, &s, false);
	n += deliver(1000);
	cr_assert_eq(n, 60);
	spool_segment_close(&s.file);
	n += deliver(10000);
	cr_assert_eq(n, 60);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_DAMAGED), 0, "no damage");
}

Test(queue_hostile, a_forged_seal_loses_nothing_that_is_written_later)
{
	int i;

	qf_segment(&f, &s, 1);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, SPOOL_PAGE, true);
	cr_assert_eq(deliver(5000), 0);
	for (i = 0; i < 60; i++)
		qf_mail(&s, QF_ID(i));
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 1);
	qf_committed(&f, &s, false);
	cr_assert_eq(deliver(1000), 60, "a growing end in any state");
	qf_mail(&s, QF_ID(60));
	/* not told of any more */
	spool_segment_close(&s.file);
	cr_assert_eq(deliver(5000), 1);
	cr_assert_eq(deliver(5000), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

Test(queue_hostile, a_forged_end_beyond_the_truth_loses_nothing)
{
	size_t n = 0;
	int i;

	qf_segment(&f, &s, 1);
	for (i = 0; i < 20; i++)
		qf_mail(&s, QF_ID(i));
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1,
	    s.file.header.size_octets, false);
	n += deliver(100);
	cr_assert_eq(n, 20);
	for (; i < 60; i++) {
		qf_mail(&s, QF_ID(i));
		qf_committed(&f, &s, false);
		n += deliver(100);
	}
	spool_segment_close(&s.file);
	n += deliver(10000);
	cr_assert_eq(n, 60);
	cr_assert_eq(qf_listed(&f), 0);
}

Test(queue_hostile, what_looked_like_damage_while_it_was_written_is_read)
{
	uint64_t first;
	size_t n = 0;
	char buf[64];

	qf_segment(&f, &s, 1);
	first = qf_mail(&s, QF_ID(1));
	qf_mail(&s, QF_ID(2));
	/* as if the first one had not been written yet */
	memset(buf, 0, sizeof(buf));
	cr_assert_eq(pwrite(s.file.fd, buf, sizeof(buf), (off_t)first),
	    (ssize_t)sizeof(buf));
	qf_committed(&f, &s, false);
	n += deliver(100);
	cr_assert_eq(n, 1);
	s.end = first;
	s.seq = 0;
	qf_mail(&s, QF_ID(1));
	spool_segment_close(&s.file);
	n += deliver(10000);
	cr_assert_eq(n, 2);
}

Test(queue_hostile, an_end_that_its_file_does_not_have_is_damage_and_is_kept)
{
	unsigned char mark[SPOOL_RECORD_HEADER];
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE);

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	spool_end_encode(s.end, 2, s.file.header.nonce, mark);
	cr_assert_eq(pwrite(s.file.fd, mark, sizeof(mark), (off_t)s.end),
	    (ssize_t)sizeof(mark));
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, s.end + 4096, true);
	spool_segment_close(&s.file);
	cr_assert_eq(deliver(10000), 1);
	qf_pass(&f, 5000);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

Test(queue_hostile, a_record_with_the_id_of_another_writer_is_damage)
{
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE);

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_mail(&s, FOREIGN(QF_ID(2)));
	qf_mail(&s, QF_ID(3));
	qf_committed(&f, &s, false);
	cr_assert_eq(deliver(1000), 2);
	cr_assert_eq(qf_listed(&f), 0, "it is not shown either");
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	spool_segment_close(&s.file);
	cr_assert_eq(deliver(5000), 0);
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 1);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

/* Before this version a segment's number had nothing to do with its writer. */
Test(queue_hostile, the_segments_of_an_earlier_version_are_read_and_removed)
{
	qf_close(&f);
	qf_segment(&f, &s, 1);
	cr_assert_eq(fchmod(s.file.fd, 0660), 0);
	qf_mail(&s, FOREIGN(QF_ID(1)));
	qf_mail(&s, FOREIGN(QF_ID(2)) + 77);
	spool_segment_close(&s.file);
	qf_open(&f);
	cr_assert_eq(deliver(1000), 2);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0,
	    "no worker gets it");
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_DAMAGED), 0);
}

Test(queue_hostile, a_free_segment_is_kept_only_for_its_living_writer)
{
	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, false);
	cr_assert_eq(deliver(0), 1);
	spool_segment_close(&s.file);
	qf_pass(&f, 3000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 1);
	queue_writer_gone(f.q, QF_WRITER);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0);
	qf_segment(&f, &s, 2);
	qf_mail(&s, QF_ID(2));
	spool_segment_close(&s.file);
	queue_writer_gone(f.q, HOSTILE);
	cr_assert_eq(deliver(1000), 1);
	qf_pass(&f, 5000);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_FREE), 0);
	cr_assert_eq(qf_count(&f, SPOOL_ENTRY_SEGMENT), 0);
}

/* The rows of the deferred store: "id rcpt;" each, by recipient */
static char *
rows(void)
{
	static char text[1024];
	char path[128];
	sqlite3_stmt *st;
	sqlite3 *db;

	text[0] = '\0';
	snprintf(path, sizeof(path), "%s/deferred.db", f.path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT id, rcpt FROM deferred"
	    " ORDER BY rcpt", -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%s %s;", (const char *)sqlite3_column_text(st, 0),
		    (const char *)sqlite3_column_text(st, 1));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return text;
}

Test(queue_hostile, a_record_with_the_id_of_a_deferred_message_replaces_nothing)
{
	static const char *const victim[] = { "a-victim@x.test" };
	static const char *const forged[] = { "b-forged@x.test" };
	char id[SPOOL_ID_TEXT + 1], *text, *second;
	uint64_t kept;
	size_t n = 0;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", victim, 1, "victim\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	qf_append(&s, QF_ID(1), "x@y", forged, 1, "forged\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	spool_id_text(QF_ID(1), id);
	text = rows();
	cr_assert_eq(strncmp(text, id, SPOOL_ID_TEXT), 0, "%s", text);
	cr_assert_not_null(strstr(text, " a-victim@x.test;"), "%s", text);
	second = strchr(text, ';') + 1;
	cr_assert_not_null(strstr(second, " b-forged@x.test;"), "%s", text);
	cr_assert_eq(spool_id_parse(second, SPOOL_ID_TEXT, &kept), 0);
	cr_assert_eq(spool_number(kept), SPOOL_NUMBER_QUEUE, "%s", text);
	/* each is delivered, with its own body */
	n += deliver(70000);
	cr_assert_eq(n, 2);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_listed(&f), 0);
}

/* Give the table of deferred messages another name: no look-up succeeds. */
static void
rename_table(const char *from, const char *to)
{
	char path[128], sql[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/deferred.db", f.path);
	snprintf(sql, sizeof(sql), "ALTER TABLE %s RENAME TO %s", from, to);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
	    sqlite3_errmsg(db));
	sqlite3_close(db);
}

Test(queue_hostile, what_cannot_be_looked_up_is_not_delivered_again)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	/* the log is lost, the rows are not */
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "ack.1", 0), 0);
	spool_segment_close(&s.file);
	qf_open(&f);
	rename_table("deferred", "gone");
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0);
	rename_table("gone", "deferred");
	qf_pass(&f, 7000);
	cr_assert_eq(f.njobs, 0, "all are deferred already");
	cr_assert_eq(qf_listed(&f), 1);
	qf_pass(&f, 70000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, 0);
}

Test(queue_hostile, two_records_with_one_id_that_fail_together_are_both_kept)
{
	char rcpt[2][64];
	size_t i;

	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", &qf_three[0], 1, "one\r\n");
	qf_append(&s, QF_ID(1), "x@y", &qf_three[1], 1, "two\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	cr_assert_eq(f.njobs, 2);
	qf_finish(&f, EACCES);
	qf_pass(&f, 70000);
	cr_assert_eq(f.njobs, 2);
	for (i = 0; i < 2; i++)
		qf_rcpt(&f, i, rcpt[i], sizeof(rcpt[i]));
	cr_assert_str_neq(rcpt[0], rcpt[1]);
	qf_finish(&f, 0);
}

Test(queue_hostile, the_same_record_after_a_crash_is_the_same_message)
{
	qf_segment(&f, &s, 1);
	qf_append(&s, QF_ID(1), "x@y", qf_three, 3, "body\r\n");
	qf_committed(&f, &s, false);
	qf_pass(&f, 0);
	qf_finish(&f, EACCES);
	qf_pass(&f, 1000);
	cr_assert_eq(qf_listed(&f), 1);
	/* the log is lost, the rows are not */
	qf_close(&f);
	cr_assert_eq(unlinkat(f.folder, "ack.1", 0), 0);
	spool_segment_close(&s.file);
	qf_open(&f);
	qf_pass(&f, 1000);
	cr_assert_eq(f.njobs, 0, "all are deferred already");
	cr_assert_eq(qf_listed(&f), 1);
	qf_pass(&f, 70000);
	cr_assert_eq(f.njobs, 3);
	qf_finish(&f, 0);
}

/* A bit for each would take megabytes. */
Test(queue_hostile, a_sequence_number_that_is_too_great_for_its_place_is_damage)
{
	uint64_t before = stats_sum(STATS_SPOOL_DAMAGE);

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	s.seq = (uint32_t)((s.end - SPOOL_PAGE) / SPOOL_ALIGN);
	qf_mail(&s, QF_ID(2));
	s.seq = (uint32_t)((s.end - SPOOL_PAGE) / SPOOL_ALIGN) + 1;
	qf_mail(&s, QF_ID(3));
	s.seq = QF_SEQ_MAX - 1;
	qf_mail(&s, QF_ID(4));
	qf_committed(&f, &s, false);
	cr_assert_eq(deliver(1000), 2);
	cr_assert_eq(qf_listed(&f), 0, "it is not shown either");
	cr_assert_eq(stats_sum(STATS_SPOOL_DAMAGE), before + 2);
	spool_segment_close(&s.file);
	cr_assert_eq(deliver(5000), 0);
	cr_assert(qf_exists(&f, f.incoming, "damaged.0000000000001001.1"));
}

/* The body of a worker that died before its record was written */
Test(queue_hostile, many_workers_do_not_keep_leftovers_from_being_removed)
{
	enum { WRITERS = 12 };
	const struct timespec old[2] = { { .tv_sec = 1000000000 },
		{ .tv_sec = 1000000000 } };
	struct qf_segment held[2 * WRITERS];
	char name[SPOOL_NAME];
	int fd;
	unsigned int i;

	for (i = 3; i < WRITERS + 1; i++)
		queue_writer_add(f.q, i);
	for (i = 0; i < 2 * WRITERS; i++)
		qf_segment(&f, &held[i], 1 + i);
	spool_body_name(QF_ID(9), name);
	fd = openat(f.incoming, name, O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	cr_assert_eq(futimens(fd, old), 0);
	close(fd);
	qf_pass(&f, 1300000);
	cr_assert_not(qf_exists(&f, f.incoming, name));
	for (i = 0; i < 2 * WRITERS; i++)
		spool_segment_close(&held[i].file);
}

/* Each search for what follows costs up to megabytes of reading. */
Test(queue_hostile, a_closed_segment_is_searched_once_for_an_end_that_is_not_there)
{
	int fd;

	qf_segment(&f, &s, 1);
	qf_mail(&s, QF_ID(1));
	qf_committed(&f, &s, true);
	fd = fcntl(s.file.fd, F_DUPFD_CLOEXEC, 0);
	cr_assert_eq(flock(fd, LOCK_UN), 0);
	qf_pass(&f, 5000);
	cr_assert_eq(f.njobs, 1);
	/* that there is more is believed as long as it is so */
	qf_mail(&s, QF_ID(2));
	qf_committed(&f, &s, false);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 2);
	queue_committed(f.q, QF_WRITER, QF_SEGMENT(1), 1, s.end + 8192, false);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 2);
	qf_mail(&s, QF_ID(3));
	qf_committed(&f, &s, false);
	qf_pass(&f, 100);
	cr_assert_eq(f.njobs, 2);
	qf_finish(&f, 0);
	spool_segment_close(&s.file);
	close(fd);
}
