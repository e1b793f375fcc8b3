/* For the tests of the deferred store: see deferred_fixture.h. */

#include "test/unit/core/deferred/deferred_fixture.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct deferred_fixture ds;

static int
see(void *, const struct deferred_row *row)
{
	cr_assert_lt(ds.nseen, 64);
	ds.seen[ds.nseen] = *row;
	strlcpy(ds.texts[ds.nseen][0], row->sender, 64);
	strlcpy(ds.texts[ds.nseen][1], row->rcpt, 64);
	strlcpy(ds.texts[ds.nseen][2],
	    row->last_error == NULL ? "(null)" : row->last_error, 64);
	ds.nseen++;
	return 0;
}

void
ds_setup(void)
{
	qf_init(&ds.f);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
}

void
ds_reopen(void)
{
	deferred_free(ds.d);
	ds.d = deferred_open(ds.f.path, ds.f.folder);
	cr_assert_not_null(ds.d);
	ds.nseen = 0;
}

void
ds_teardown(void)
{
	deferred_free(ds.d);
	qf_free(&ds.f);
}

int
ds_rows(const struct deferred_query *q)
{
	return deferred_rows(ds.d, q, see, NULL);
}

int
ds_rows_of(uint64_t id)
{
	const struct deferred_query q = { .what = DEFERRED_OF, .id = id };

	return ds_rows(&q);
}

int
ds_shift(int64_t seconds, int64_t latest, int64_t held)
{
	struct deferred_shift at = { .seconds = seconds, .latest = latest,
		.held = held };
	int n = 0, rc;

	while (!at.is_over) {
		rc = deferred_shift(ds.d, &at, 2);
		cr_assert_geq(rc, 0);
		cr_assert_leq(rc, 2);
		n += rc;
	}
	return n;
}

void
ds_put(uint64_t id, uint32_t index, int64_t next)
{
	struct deferred_row row = { .id = id, .rcpt_index = index,
		.sender = "a'b@x", .rcpt = "r\"@y", .transport = "maildir",
		.received_us = 123456789, .octets = 77, .attempts = 1,
		.next_attempt = next, .last_error = "no; DROP TABLE" };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}

void
ds_put_file_of(uint64_t id, const struct spool_origin *origin)
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

	qf_segment(&ds.f, &s, id);
	offset = qf_append(&s, id, "s@x.test", rcpts, 2, "body");
	fd = spool_segment_open(ds.f.incoming, QF_SEGMENT(id), &header);
	r = spool_reader_new(fd, buf, 0);
	cr_assert_eq(spool_reader_at(r, offset, &view, &damage), 1);
	cr_assert_eq(deferred_file_write(ds.d, id, &view, origin, fd, -1), 0);
	cr_assert_eq(deferred_files_sync(ds.d), 0);
	spool_reader_free(r);
	spool_readbuf_free(buf);
	close(fd);
	spool_segment_close(&s.file);
}

void
ds_put_file(uint64_t id)
{
	const struct spool_origin origin = { .segment = QF_SEGMENT(id),
		.generation = 1, .seq = 1 };

	ds_put_file_of(id, &origin);
}

int
ds_exec_in(const char *folder, const char *sql)
{
	char path[128];
	sqlite3 *db;
	int rc;

	snprintf(path, sizeof(path), "%s/deferred.db", folder);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	return rc;
}

int
ds_exec(const char *sql)
{
	return ds_exec_in(ds.f.path, sql);
}

void
ds_damage_in(const char *folder)
{
	static const char junk[] = "junkjunkjunkjunkjunkjunkjunkjunk";
	char path[128];
	struct stat st;
	off_t at;
	int fd;

	cr_assert_eq(ds_exec_in(folder, "PRAGMA wal_checkpoint(TRUNCATE)"),
	    SQLITE_OK);
	snprintf(path, sizeof(path), "%s/deferred.db", folder);
	cr_assert_neq(fd = open(path, O_WRONLY), -1);
	cr_assert_eq(fstat(fd, &st), 0);
	for (at = 4096; at < st.st_size; at += 64)
		cr_assert_eq(pwrite(fd, junk, 32, at), 32);
	close(fd);
	/* a change, or what others have read of it would still be good */
	cr_assert_eq(ds_exec_in(folder, "PRAGMA user_version = 9"), SQLITE_OK);
}

void
ds_damage(void)
{
	ds_damage_in(ds.f.path);
}

int
ds_rows_due(int64_t now, unsigned int limit)
{
	const struct deferred_query q = { .what = DEFERRED_DUE, .now = now,
		.limit = limit };

	return ds_rows(&q);
}

void
ds_put_held(uint64_t id, int64_t until)
{
	struct deferred_row row = { .id = id, .sender = "a@x", .rcpt = "b@y",
		.transport = "", .next_attempt = until, .hold_until = until,
		.deliver_by = until + 10, .priority = -9,
		.flags = SPOOL_ENV_BY_RETURN | SPOOL_ENV_RET_FULL };

	cr_assert_eq(deferred_put(ds.d, &row), 0);
}
