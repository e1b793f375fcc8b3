/* The deferred store: rows in SQLite.  Files: deferred_file.c.
 * Owns: the schema, the statements, what an SQLite error is as an errno.
 * WAL with synchronous=FULL: a commit that returned is on disk. */

#include "core/queue/deferred_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"

#define BUSY_MS		1000	/* somebody has it open with sqlite3(1) */
#define COLUMNS		"id, rcpt_index, sender, rcpt, transport, received_us," \
			" octets, attempts, next_attempt, last_error"

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS deferred ("
    " id TEXT NOT NULL,"
    " rcpt_index INTEGER NOT NULL,"
    " sender TEXT NOT NULL,"
    " rcpt TEXT NOT NULL,"
    " transport TEXT NOT NULL,"
    " received_us INTEGER NOT NULL,"
    " octets INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " next_attempt INTEGER NOT NULL,"
    " last_error TEXT,"
    " PRIMARY KEY (id, rcpt_index)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS deferred_next ON deferred (next_attempt);";

static const char *const statements[DEFERRED_NSTATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_PUT] = "INSERT OR REPLACE INTO deferred (" COLUMNS ")"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[ST_DROP] = "DELETE FROM deferred WHERE id = ?1 AND rcpt_index = ?2",
	[ST_TOUCH] = "UPDATE deferred SET attempts = ?3, next_attempt = ?4,"
	    " last_error = ?5 WHERE id = ?1 AND rcpt_index = ?2",
	[ST_HURRY] = "UPDATE deferred SET next_attempt = ?2 WHERE id = ?1",
	[ST_HURRY_ALL] = "UPDATE deferred SET next_attempt = ?1"
	    " WHERE next_attempt > ?1",
	[ST_DUE] = "SELECT " COLUMNS " FROM deferred WHERE next_attempt <= ?1"
	    " ORDER BY next_attempt LIMIT ?2",
	[ST_PAGE] = "SELECT " COLUMNS " FROM deferred"
	    " WHERE (id, rcpt_index) > (?1, ?2)"
	    " ORDER BY id, rcpt_index LIMIT ?3",
	[ST_OF] = "SELECT " COLUMNS " FROM deferred WHERE id = ?1"
	    " ORDER BY rcpt_index",
	[ST_NEXT] = "SELECT min(next_attempt) FROM deferred",
	[ST_HAS] = "SELECT 1 FROM deferred WHERE id = ?1 AND rcpt_index = ?2",
	[ST_HAS_ANY] = "SELECT 1 FROM deferred WHERE id = ?1 LIMIT 1",
};

/* What SQLite says, as an errno; 0 only for SQLITE_OK, ROW and DONE */
static int
errno_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_CANTOPEN:
		return ENOENT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	default:
		return EIO;
	}
}

/* Log what went wrong, once per kind until something works again. */
static int
failed(struct deferred *d, int rc, const char *what)
{
	int errnum = errno_of(rc);

	if (d->last_logged != errnum)
		log_errx("deferred-store", "file=%s what=%s error=%s",
		    DEFERRED_DB, what, d->db != NULL ? sqlite3_errmsg(d->db) :
		    strerror(errnum));
	d->last_logged = errnum;
	errno = errnum;
	return -1;
}

/* Step a statement that gives no rows, and make it ready for the next time. */
static int
run(struct deferred *d, enum deferred_statement which)
{
	sqlite3_stmt *st = d->st[which];
	int rc = sqlite3_step(st);

	/* the message belongs to the step: log before the reset */
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		failed(d, rc, statements[which]);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
		errno = errno_of(rc);
		return -1;
	}
	d->last_logged = 0;
	return 0;
}

static void
bind_id(sqlite3_stmt *st, int column, uint64_t id)
{
	char text[SPOOL_ID_TEXT + 1];

	spool_id_text(id, text);
	sqlite3_bind_text(st, column, text, -1, SQLITE_TRANSIENT);
}

static void
close_db(struct deferred *d)
{
	size_t i;

	for (i = 0; i < DEFERRED_NSTATEMENTS; i++) {
		sqlite3_finalize(d->st[i]);
		d->st[i] = NULL;
	}
	sqlite3_close(d->db);
	d->db = NULL;
}

static int
open_db(struct deferred *d, const char *path)
{
	size_t i;
	int rc;

	rc = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		goto err1;
	sqlite3_busy_timeout(d->db, BUSY_MS);
	rc = sqlite3_exec(d->db, schema, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto err1;
	for (i = 0; i < DEFERRED_NSTATEMENTS; i++) {
		rc = sqlite3_prepare_v3(d->db, statements[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &d->st[i], NULL);
		if (rc != SQLITE_OK)
			goto err1;
	}
	return 0;
err1:
	failed(d, rc, "open");
	close_db(d);
	errno = errno_of(rc);
	return -1;
}

/* Move a damaged database out of the way, for somebody to look at. */
static int
set_aside(struct deferred *d)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	char from[64], to[96];
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(from, sizeof(from), "%s%s", DEFERRED_DB, parts[i]);
		snprintf(to, sizeof(to), "%s.damaged.%lld%s", DEFERRED_DB,
		    (long long)time(NULL), parts[i]);
		if (renameat(d->dirfd, from, d->dirfd, to) == -1 &&
		    errno != ENOENT)
			return -1;
	}
	log_errx("deferred-store-damaged", "file=%s action=%s", DEFERRED_DB,
	    "moved aside; a new one is made from the files in deferred/");
	return 0;
}

struct deferred *
deferred_open(const char *folder, int dirfd)
{
	struct deferred *d;
	bool is_fresh = false;
	char path[1024];
	int saved;

	if (snprintf(path, sizeof(path), "%s/%s", folder, DEFERRED_DB) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->dirfd = dirfd;
	if ((d->filesfd = deferred_files_folder(dirfd)) == -1)
		goto err1;
	if (faccessat(dirfd, DEFERRED_DB, F_OK, 0) == -1 && errno == ENOENT)
		is_fresh = true;
	if (open_db(d, path) == -1) {
		if (errno != EBADMSG || set_aside(d) == -1 ||
		    open_db(d, path) == -1)
			goto err1;
		is_fresh = true;
	}
	if (deferred_files_check(d, is_fresh) == -1)
		goto err1;
	return d;
err1:
	saved = errno;
	deferred_free(d);
	errno = saved;
	return NULL;
}

void
deferred_free(struct deferred *d)
{
	if (d == NULL)
		return;
	close_db(d);
	if (d->filesfd != -1)
		close(d->filesfd);
	free(d);
}

int
deferred_begin(struct deferred *d)
{
	return run(d, ST_BEGIN);
}

int
deferred_commit(struct deferred *d)
{
	int saved;

	if (run(d, ST_COMMIT) == 0)
		return 0;
	saved = errno;
	deferred_rollback(d);
	errno = saved;
	return -1;
}

void
deferred_rollback(struct deferred *d)
{
	/* a full disk may have rolled it back already */
	if (sqlite3_get_autocommit(d->db) == 0)
		run(d, ST_ROLLBACK);
}

int
deferred_put(struct deferred *d, const struct deferred_row *row)
{
	sqlite3_stmt *st = d->st[ST_PUT];

	bind_id(st, 1, row->id);
	sqlite3_bind_int64(st, 2, row->rcpt_index);
	sqlite3_bind_text(st, 3, row->sender, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, row->rcpt, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, row->transport, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 6, (sqlite3_int64)row->received_us);
	sqlite3_bind_int64(st, 7, (sqlite3_int64)row->octets);
	sqlite3_bind_int64(st, 8, row->attempts);
	sqlite3_bind_int64(st, 9, row->next_attempt);
	sqlite3_bind_text(st, 10, row->last_error, -1, SQLITE_STATIC);
	return run(d, ST_PUT);
}

int
deferred_drop(struct deferred *d, uint64_t id, uint32_t rcpt_index)
{
	bind_id(d->st[ST_DROP], 1, id);
	sqlite3_bind_int64(d->st[ST_DROP], 2, rcpt_index);
	return run(d, ST_DROP);
}

int
deferred_touch(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    uint32_t attempts, int64_t next_attempt, const char *error)
{
	sqlite3_stmt *st = d->st[ST_TOUCH];

	bind_id(st, 1, id);
	sqlite3_bind_int64(st, 2, rcpt_index);
	sqlite3_bind_int64(st, 3, attempts);
	sqlite3_bind_int64(st, 4, next_attempt);
	sqlite3_bind_text(st, 5, error, -1, SQLITE_STATIC);
	return run(d, ST_TOUCH);
}

int
deferred_hurry(struct deferred *d, uint64_t id, int64_t now)
{
	enum deferred_statement which = id == 0 ? ST_HURRY_ALL : ST_HURRY;

	if (id != 0)
		bind_id(d->st[which], 1, id);
	sqlite3_bind_int64(d->st[which], id == 0 ? 1 : 2, now);
	return run(d, which) == -1 ? -1 : sqlite3_changes(d->db);
}

static const char *
column_text(sqlite3_stmt *st, int column)
{
	const unsigned char *s = sqlite3_column_text(st, column);

	return s == NULL ? "" : (const char *)s;
}

/* A row as edited by whoever: -1 if it cannot be one of ours. */
static int
read_row(sqlite3_stmt *st, struct deferred_row *row)
{
	const char *id = column_text(st, 0);
	sqlite3_int64 index = sqlite3_column_int64(st, 1);

	if (spool_id_parse(id, strlen(id), &row->id) == -1 || index < 0 ||
	    index >= UINT32_MAX)
		return -1;
	row->rcpt_index = (uint32_t)index;
	row->sender = column_text(st, 2);
	row->rcpt = column_text(st, 3);
	row->transport = column_text(st, 4);
	row->received_us = (uint64_t)sqlite3_column_int64(st, 5);
	row->octets = (uint64_t)sqlite3_column_int64(st, 6);
	row->attempts = (uint32_t)sqlite3_column_int64(st, 7);
	row->next_attempt = sqlite3_column_int64(st, 8);
	row->last_error = sqlite3_column_type(st, 9) == SQLITE_NULL ? NULL :
	    column_text(st, 9);
	return 0;
}

static int
each_row(struct deferred *d, enum deferred_statement which, deferred_func each,
    void *closure)
{
	sqlite3_stmt *st = d->st[which];
	struct deferred_row row;
	int n = 0, rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		n++;
		if (read_row(st, &row) == 0 && each(closure, &row) != 0)
			break;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		failed(d, rc, "select");
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return n;
	errno = errno_of(rc);
	return -1;
}

int
deferred_due(struct deferred *d, int64_t now, unsigned int limit,
    deferred_func each, void *closure)
{
	sqlite3_bind_int64(d->st[ST_DUE], 1, now);
	sqlite3_bind_int64(d->st[ST_DUE], 2, limit);
	return each_row(d, ST_DUE, each, closure);
}

int
deferred_page(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    unsigned int limit, deferred_func each, void *closure)
{
	bind_id(d->st[ST_PAGE], 1, id);
	sqlite3_bind_int64(d->st[ST_PAGE], 2, rcpt_index);
	sqlite3_bind_int64(d->st[ST_PAGE], 3, limit);
	return each_row(d, ST_PAGE, each, closure);
}

int
deferred_of(struct deferred *d, uint64_t id, deferred_func each, void *closure)
{
	bind_id(d->st[ST_OF], 1, id);
	return each_row(d, ST_OF, each, closure);
}

int
deferred_next(struct deferred *d, int64_t *next_r)
{
	sqlite3_stmt *st = d->st[ST_NEXT];
	int rc = sqlite3_step(st), found = 0;

	if (rc == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL) {
		*next_r = sqlite3_column_int64(st, 0);
		found = 1;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		found = failed(d, rc, "select");
	sqlite3_reset(st);
	return found;
}

int
deferred_has(struct deferred *d, uint64_t id, uint32_t rcpt_index)
{
	enum deferred_statement which =
	    rcpt_index == DEFERRED_ANY ? ST_HAS_ANY : ST_HAS;
	sqlite3_stmt *st = d->st[which];
	int rc;

	bind_id(st, 1, id);
	if (which == ST_HAS)
		sqlite3_bind_int64(st, 2, rcpt_index);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		failed(d, rc, "select");
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	errno = errno_of(rc);
	return -1;
}
