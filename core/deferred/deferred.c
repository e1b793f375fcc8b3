/* The deferred store: opening and closing it.
 * Owns: the schema, the text of the statements, what is done about a database
 * that is damaged.  Its rows: deferred_rows.c.  Its files: deferred_file.c.
 * WAL with synchronous=FULL: a commit that returned is on disk. */

#include "core/deferred/deferred_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/fileio.h"

#define COLUMNS		"id, rcpt_index, sender, rcpt, transport, received_us," \
			" octets, attempts, next_attempt, last_error," \
			" segment, generation, seq," \
			" hold_until, deliver_by, priority, flags, holder," \
			" on_hold, since, notify, warned, outcome," \
			" last_attempt, code, enhanced, remote, waits_for"
/* Of ST_SHIFT */
#define IS_HELD		"(hold_until <> 0 AND next_attempt = hold_until)"
#define IS_INTERVAL	"(flags & 256) <> 0"	/* SPOOL_ENV_HOLD_FOR */
#define HOLD_UNTIL	"CASE WHEN hold_until = 0 THEN 0 WHEN " IS_INTERVAL \
			" THEN min(max(hold_until + ?1, 1), ?3)" \
			" ELSE min(hold_until, ?3) END"
#define VERSION		8	/* of the table; PRAGMA user_version */
#define NAMES_MAX	1000	/* tried for a damaged database */

/* What each login has held, by writer: the table "held", which triggers keep.
 * A message that was not tried yet counts for its octets and MESSAGE, once, and
 * each of its rows for ROW.  Databases have these numbers in their triggers. */
#define TEXT_OF(n)	#n
#define TEXT(n)		TEXT_OF(n)
#define MESSAGE		TEXT(LIM_HELD_MESSAGE)
#define ROW		TEXT(LIM_HELD_RCPT)
#define COUNTS(r)	r "holder <> '' AND " r "attempts = 0"
/* the end of the segment's number is that of its writer: spool_number() */
#define WRITER(r)	"substr(" r "segment, -3)"
#define HELD_OCTETS(r)	"(" ROW " + CASE WHEN EXISTS (SELECT 1 FROM deferred" \
			" INDEXED BY deferred_held WHERE id = " r "id" \
			" AND rcpt_index <> " r "rcpt_index AND " COUNTS("") \
			") THEN 0 ELSE " r "octets + " MESSAGE " END)"
#define HELD_MORE(r)	"INSERT INTO held SELECT " r "holder, " WRITER(r) "," \
			" " HELD_OCTETS(r) " WHERE " COUNTS(r) \
			" ON CONFLICT (holder, writer)" \
			" DO UPDATE SET octets = octets + excluded.octets;"
#define HELD_LESS(r)	"UPDATE held SET octets = octets - " HELD_OCTETS(r) \
			" WHERE " COUNTS(r) " AND holder = " r "holder" \
			" AND writer = " WRITER(r) ";" \
			"DELETE FROM held WHERE holder = " r "holder" \
			" AND writer = " WRITER(r) " AND octets <= 0;"

/* What is behind the last "@" of an address: the column "domain", which is not
 * stored, and has an index. */
#define DOMAIN		"CASE WHEN instr(rcpt, '@') = 0 THEN '' ELSE" \
			" lower(substr(rcpt, 1 + length(rtrim(rcpt," \
			" replace(rcpt, '@', ''))))) END"

/* What was held when this process has opened the database, and what has come since:
 * the table "came", of this connection alone.  A row that is put again counts once. */
#define IS_GONE		"NOT EXISTS (SELECT 1 FROM held" \
			" WHERE held.holder = came.holder" \
			" AND held.writer = came.writer)"

static const char temporary[] =
    "CREATE TEMP TABLE came ("
    " holder TEXT NOT NULL,"
    " writer TEXT NOT NULL,"
    " octets INTEGER NOT NULL,"
    " is_gone INTEGER NOT NULL,"	/* and was told so */
    " PRIMARY KEY (holder, writer)) WITHOUT ROWID;"
    "CREATE TEMP TRIGGER came_insert AFTER INSERT ON main.deferred"
    " WHEN " COUNTS("NEW.")
    " BEGIN INSERT INTO came SELECT NEW.holder, " WRITER("NEW.") ","
    " " HELD_OCTETS("NEW.") ", 0 WHERE " COUNTS("NEW.")
    " ON CONFLICT (holder, writer) DO UPDATE"
    " SET octets = octets + excluded.octets, is_gone = 0; END;";

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    /* more than it has by itself after 1000 pages: a larger one was a large
     * transaction, and is cut */
    "PRAGMA journal_size_limit = 8388608;"
    /* the queue opens no file but its own */
    "PRAGMA temp_store = MEMORY;"
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
    "CREATE INDEX IF NOT EXISTS deferred_next ON deferred (next_attempt);"
    /* of an earlier version, and read by nobody */
    "DROP INDEX IF EXISTS held_most;";

/* What brings the table of an earlier version to the next version.  Index: the
 * earlier version. */
static const char *const upgrades[VERSION] = {
	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN segment TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE deferred ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX deferred_origin ON deferred (segment, generation, seq);"
	"PRAGMA user_version = 1;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN hold_until INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN deliver_by INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;"
	"PRAGMA user_version = 2;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN holder TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX deferred_holder ON deferred (holder, id)"
	" WHERE holder <> '';"
	"PRAGMA user_version = 3;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	/* that the store was full counted as an attempt */
	"UPDATE deferred SET attempts = 0"
	" WHERE " IS_HELD " AND last_error IS NULL;"
	"DROP INDEX IF EXISTS deferred_holder;"
	"CREATE INDEX deferred_held ON deferred (id)"
	" WHERE " COUNTS("") ";"
	"DROP TABLE IF EXISTS held;"	/* of a table that was lost */
	"CREATE TABLE held ("
	" holder TEXT NOT NULL,"
	" writer TEXT NOT NULL,"
	" octets INTEGER NOT NULL,"
	" PRIMARY KEY (holder, writer)) WITHOUT ROWID;"
	"INSERT INTO held SELECT holder, " WRITER("") ", sum(octets)"
	" FROM (SELECT holder, segment,"
	" max(octets) + " MESSAGE " + count(*) * " ROW " AS octets"
	" FROM deferred WHERE " COUNTS("") " GROUP BY holder, segment, id)"
	" GROUP BY 1, 2;"
	"CREATE TRIGGER held_insert AFTER INSERT ON deferred"
	" WHEN " COUNTS("NEW.")
	" BEGIN " HELD_MORE("NEW.") " END;"
	"CREATE TRIGGER held_delete AFTER DELETE ON deferred"
	" WHEN " COUNTS("OLD.")
	" BEGIN " HELD_LESS("OLD.") " END;"
	"CREATE TRIGGER held_update AFTER UPDATE"
	" OF id, rcpt_index, holder, segment, octets, attempts ON deferred"
	" WHEN OLD.holder <> '' OR NEW.holder <> ''"
	" BEGIN " HELD_LESS("OLD.") HELD_MORE("NEW.") " END;"
	"PRAGMA user_version = 4;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN domain TEXT"
	" GENERATED ALWAYS AS (" DOMAIN ") VIRTUAL;"
	"CREATE INDEX deferred_domain ON deferred (domain);"
	"PRAGMA user_version = 5;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN on_hold INTEGER NOT NULL DEFAULT 0;"
	/* what is on hold is never due */
	"DROP INDEX IF EXISTS deferred_next;"
	"CREATE INDEX deferred_next ON deferred (next_attempt)"
	" WHERE on_hold = 0;"
	"PRAGMA user_version = 6;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN since INTEGER NOT NULL DEFAULT 0;"
	/* DEFERRED_NOTIFY_UNKNOWN */
	"ALTER TABLE deferred ADD COLUMN notify INTEGER NOT NULL DEFAULT 16;"
	"ALTER TABLE deferred ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN outcome TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE deferred ADD COLUMN last_attempt INTEGER NOT NULL"
	" DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN code INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE deferred ADD COLUMN enhanced TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE deferred ADD COLUMN remote TEXT NOT NULL DEFAULT '';"
	"UPDATE deferred SET since = received_us / 1000000;"
	"PRAGMA user_version = 7;"
	"COMMIT;",

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN waits_for TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX deferred_waits ON deferred (waits_for)"
	" WHERE waits_for <> '';"
	"PRAGMA user_version = 8;"
	"COMMIT;",
};

static const char *const statements[DEFERRED_NSTATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	/* if the row belongs to another message, it stays: 0 rows are
	 * changed */
	[ST_PUT] = "INSERT INTO deferred (" COLUMNS ")"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	    " ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27,"
	    " ?28, ?29)"
	    " ON CONFLICT (id, rcpt_index) DO UPDATE SET"
	    " sender = excluded.sender, rcpt = excluded.rcpt,"
	    " transport = excluded.transport,"
	    " received_us = excluded.received_us, octets = excluded.octets,"
	    " attempts = excluded.attempts,"
	    " next_attempt = excluded.next_attempt,"
	    " last_error = excluded.last_error, segment = excluded.segment,"
	    " generation = excluded.generation, seq = excluded.seq,"
	    " hold_until = excluded.hold_until,"
	    " deliver_by = excluded.deliver_by,"
	    " priority = excluded.priority, flags = excluded.flags,"
	    " holder = excluded.holder,"
	    " on_hold = max(on_hold, excluded.on_hold),"
	    " since = excluded.since,"
	    " notify = excluded.notify, warned = excluded.warned,"
	    " outcome = excluded.outcome,"
	    " last_attempt = excluded.last_attempt, code = excluded.code,"
	    " enhanced = excluded.enhanced, remote = excluded.remote,"
	    " waits_for = excluded.waits_for"
	    " WHERE (segment = ?11 AND generation = ?12 AND seq = ?13)"
	    " OR (segment = '' AND ?14)",
	[ST_DROP] = "DELETE FROM deferred WHERE id = ?1"
	    " AND rcpt_index BETWEEN ?2 AND ?3",
	[ST_TOUCH] = "UPDATE deferred SET attempts = ?3, next_attempt = ?4,"
	    " last_error = ?5, transport = ?6, warned = ?7, outcome = ?8,"
	    " last_attempt = ?9, code = ?10, enhanced = ?11, remote = ?12,"
	    " waits_for = ?13"
	    " WHERE id = ?1 AND rcpt_index = ?2",
	[ST_HURRY] = "UPDATE deferred SET next_attempt = ?4"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3"
	    " AND next_attempt > ?4"
	    " AND on_hold = 0 AND (hold_until <= ?4 OR attempts > 0)",
	[ST_HOLD] = "UPDATE deferred SET on_hold = 1"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3 AND on_hold = 0",
	/* one that its sender has had held goes on to wait for its time */
	[ST_RELEASE] = "UPDATE deferred SET on_hold = 0, next_attempt ="
	    " CASE WHEN hold_until > ?4 AND attempts = 0 THEN hold_until"
	    " ELSE ?4 END"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3 AND on_hold <> 0",
	/* with the index, a row behind the other.  What is changed is not in
	 * it */
	[ST_HURRY_SOME] = "UPDATE deferred INDEXED BY deferred_domain"
	    " SET next_attempt = ?6"
	    " WHERE domain = ?1 AND (id, rcpt_index) > (?2, ?3)"
	    " AND (id, rcpt_index) <= (?4, ?5) AND next_attempt > ?6"
	    " AND on_hold = 0 AND (hold_until <= ?6 OR attempts > 0)",
	/* an address that was edited may be of any length */
	[ST_DOMAIN] = "SELECT domain FROM deferred INDEXED BY deferred_domain"
	    " WHERE domain > ?1 AND length(CAST(domain AS BLOB)) <= ?2"
	    /* or it would be found again behind itself */
	    " AND instr(CAST(domain AS BLOB), x'00') = 0"
	    " ORDER BY domain LIMIT 1",
	[ST_DOMAIN_END] = "SELECT id, rcpt_index FROM deferred"
	    " INDEXED BY deferred_domain"
	    " WHERE domain = ?1 AND (id, rcpt_index) > (?2, ?3)"
	    " ORDER BY id, rcpt_index LIMIT 1 OFFSET ?4",
	/* one that is held until a time of day stays so */
	[ST_SHIFT] = "UPDATE deferred SET"
	    " next_attempt = CASE WHEN NOT " IS_HELD
	    " THEN min(next_attempt + ?1, ?2) ELSE " HOLD_UNTIL " END,"
	    " hold_until = " HOLD_UNTIL ","
	    " since = CASE WHEN since <> 0 THEN min(max(since + ?1, 1), ?2)"
	    " ELSE 0 END,"
	    " deliver_by = CASE WHEN deliver_by <> 0"
	    " THEN max(deliver_by + ?1, 1) ELSE 0 END"
	    " WHERE CASE WHEN ?1 <> 0"
	    " THEN NOT " IS_HELD " OR " IS_INTERVAL " OR deliver_by <> 0"
	    " OR hold_until > ?3"
	    " ELSE next_attempt > CASE WHEN " IS_HELD " THEN ?3 ELSE ?2 END END",
	/* by login: what it has through many writers, a little through each,
	 * counts as much */
	[ST_HOLDERS] = "WITH most AS (SELECT holder, sum(octets) AS total"
	    " FROM held GROUP BY holder ORDER BY total DESC LIMIT ?1)"
	    " SELECT held.holder, held.writer, held.octets,"
	    " ifnull(came.octets, 0), most.total"
	    " FROM most JOIN held ON held.holder = most.holder"
	    " LEFT JOIN came ON came.holder = held.holder"
	    " AND came.writer = held.writer"
	    " UNION ALL SELECT holder, writer, 0, octets, 0 FROM came"
	    " WHERE NOT is_gone AND " IS_GONE
	    " ORDER BY 5 DESC, 1, 3 DESC, 2 LIMIT ?2",
	[ST_CAME_DROP] = "DELETE FROM came WHERE is_gone",
	[ST_CAME_GONE] = "UPDATE came SET is_gone = 1"
	    " WHERE NOT is_gone AND " IS_GONE,
	[ST_DUE] = "SELECT " COLUMNS " FROM deferred WHERE next_attempt <= ?1"
	    " AND on_hold = 0 AND (next_attempt, id, rcpt_index) > (?2, ?3, ?4)"
	    " ORDER BY next_attempt, id, rcpt_index LIMIT ?5",
	[ST_PAGE] = "SELECT " COLUMNS " FROM deferred"
	    " WHERE (id, rcpt_index) > (?1, ?2)"
	    " ORDER BY id, rcpt_index LIMIT ?3",
	[ST_PAGE_DOMAIN] = "SELECT " COLUMNS " FROM deferred"
	    " INDEXED BY deferred_domain"
	    " WHERE domain = ?4 AND (id, rcpt_index) > (?1, ?2)"
	    " ORDER BY id, rcpt_index LIMIT ?3",
	[ST_OF] = "SELECT " COLUMNS " FROM deferred WHERE id = ?1"
	    " ORDER BY rcpt_index",
	/* with the index, the oldest first */
	[ST_WAITS] = "SELECT " COLUMNS " FROM deferred"
	    " INDEXED BY deferred_waits"
	    " WHERE waits_for <> '' AND waits_for = ?1 AND on_hold = 0"
	    " AND (id, rcpt_index) > (?2, ?3)"
	    " ORDER BY id, rcpt_index LIMIT ?4",
	[ST_WAITED_FOR] = "SELECT waits_for FROM deferred"
	    " INDEXED BY deferred_waits"
	    " WHERE waits_for <> '' AND waits_for > ?1"
	    " AND length(CAST(waits_for AS BLOB)) <= ?2"
	    " ORDER BY waits_for LIMIT 1",
	[ST_NEXT] = "SELECT next_attempt FROM deferred WHERE on_hold = 0"
	    " ORDER BY next_attempt LIMIT 1",
	[ST_FIND] = "SELECT id FROM deferred WHERE segment = ?1"
	    " AND generation = ?2 AND seq = ?3 LIMIT 1",
	[ST_LAST_OF] = "SELECT generation FROM deferred WHERE segment = ?1"
	    " ORDER BY generation DESC LIMIT 1",
	[ST_HAS] = "SELECT 1 FROM deferred WHERE id = ?1"
	    " AND rcpt_index BETWEEN ?2 AND ?3 LIMIT 1",
};

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
take_version(void *closure, int, char **values, char **)
{
	*(int *)closure = atoi(values[0]);
	return 0;
}

/* A later version's table may say what this one does not know; and no version
 * of mailmill has made one with a negative number. */
static int
check_version(int version)
{
	if (version >= 0 && version <= VERSION)
		return 0;
	log_errx("deferred-version", "file=%s version=%d known=%d advice=%s",
	    DEFERRED_DB, version, VERSION, version > VERSION ?
	    "a later version of mailmill has made it: start that one" :
	    "no version of mailmill has set such a PRAGMA user_version: set the "
	    "one that the database had, or bring back a copy of it");
	errno = EPROTONOSUPPORT;
	return -1;
}

/* Bring the table of the earlier version ${version} to VERSION.  Return 0, or -1
 * with errno, having logged why. */
static int
upgrade(struct deferred *d, int version)
{
	char what[32];
	int rc, saved;

	for (; version < VERSION; version++) {
		rc = sqlite3_exec(d->db, upgrades[version], NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			continue;
		/* log it first: ROLLBACK succeeds, and has a text of its own */
		snprintf(what, sizeof(what), "upgrade to version %d",
		    version + 1);
		deferred_failed(d, rc, what);
		saved = errno;
		if (sqlite3_get_autocommit(d->db) == 0)
			(void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL,
			    NULL);
		errno = saved;
		return -1;
	}
	return 0;
}

/* Make the mark: from now on no file without a row is removed, not even after a
 * crash. */
static int
mark_rebuild(struct deferred *d)
{
	int fd = openat(d->dirfd, DEFERRED_REBUILD, O_WRONLY | O_CREAT |
	    O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	rc = fd == -1 || fsync(fd) == -1 || fsync(d->dirfd) == -1 ? -1 : 0;
	fileio_close(fd);
	if (rc == -1)
		log_err("deferred-rebuild", "file=%s step=%s",
		    DEFERRED_REBUILD, "make");
	return rc;
}

/* The rows are on disk: remove the mark.  Before that the name of the database
 * must be on disk, and the names of the files that were set aside; and the
 * removal must be, before files without a row may be taken for leftovers. */
static int
unmark_rebuild(struct deferred *d)
{
	if (fsync(d->filesfd) == 0 && fsync(d->dirfd) == 0 &&
	    unlinkat(d->dirfd, DEFERRED_REBUILD, 0) == 0 &&
	    fsync(d->dirfd) == 0)
		return 0;
	log_err("deferred-rebuild", "file=%s step=%s", DEFERRED_REBUILD,
	    "remove");
	return -1;
}

static int
see_mark(struct deferred *d)
{
	d->is_rebuilding = faccessat(d->dirfd, DEFERRED_REBUILD, F_OK,
	    AT_SYMLINK_NOFOLLOW) == 0;
	if (d->is_rebuilding || errno == ENOENT)
		return 0;
	log_err("deferred-rebuild", "file=%s step=%s", DEFERRED_REBUILD,
	    "look");
	return -1;
}

static int
take_row(void *closure, int, char **, char **)
{
	*(bool *)closure = true;
	return 0;
}

/* Has the database a table?  One that is missing, or was never finished, has
 * none. */
static int
has_table(struct deferred *d, bool *has_r)
{
	*has_r = false;
	return sqlite3_exec(d->db, "SELECT 1 FROM sqlite_master"
	    " WHERE type = 'table' AND name = 'deferred'", take_row, has_r,
	    NULL);
}

static int
open_db(struct deferred *d, const char *path)
{
	bool has;
	size_t i;
	int rc, saved, version = 0;

	rc = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		goto err1;
	sqlite3_busy_timeout(d->db, DEFERRED_BUSY_MS);
	if ((rc = has_table(d, &has)) != SQLITE_OK)
		goto err1;
	if (has)
		rc = sqlite3_exec(d->db, "PRAGMA user_version", take_version,
		    &version, NULL);
	if (rc != SQLITE_OK)
		goto err1;
	if ((!has && mark_rebuild(d) == -1) || check_version(version) == -1)
		goto err2;
	if (!has)
		/* the first before all that writes: see deferred_shrink() */
		rc = sqlite3_exec(d->db, "PRAGMA auto_vacuum = INCREMENTAL;"
		    "PRAGMA user_version = 0", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->db, schema, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		goto err1;
	if (upgrade(d, version) == -1)
		goto err2;
	rc = sqlite3_exec(d->db, temporary, NULL, NULL, NULL);
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
	deferred_failed(d, rc, "open");
err2:
	saved = errno;
	close_db(d);
	errno = saved;
	return -1;
}

/* It begins with what is held, also by rows that were made from files. */
static int
begin_came(struct deferred *d)
{
	int rc = sqlite3_exec(d->db, "DELETE FROM came; INSERT INTO came"
	    " SELECT holder, writer, octets, 0 FROM held", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		return 0;
	deferred_failed(d, rc, "open");
	return -1;
}

/* Open the database, and make rows and files agree. */
static int
open_all(struct deferred *d, const char *path)
{
	int saved;

	if (open_db(d, path) == -1)
		return -1;
	if (see_mark(d) == 0 && deferred_files_check(d) == 0 &&
	    (!d->is_rebuilding || unmark_rebuild(d) == 0) &&
	    begin_came(d) == 0) {
		if (d->nrestored > 0)
			log_warnx("deferred-rebuilt", "file=%s messages=%u "
			    "effect=%s", DEFERRED_DB, d->nrestored,
			    "their recipients are tried again now, but for "
			    "those that their senders have had held; which "
			    "were put on hold is not known any more");
		return 0;
	}
	saved = errno;
	close_db(d);
	errno = saved;
	return -1;
}

/* Where a damaged database goes: a name that no file has yet, since an earlier
 * one may have been moved in the same second, or with another clock. */
static int
free_name(struct deferred *d, char *buf, size_t len)
{
	long long t = (long long)time(NULL), last = t + NAMES_MAX;

	for (; t < last; t++) {
		snprintf(buf, len, "%s.damaged.%lld", DEFERRED_DB, t);
		if (faccessat(d->dirfd, buf, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
			return errno == ENOENT ? 0 : -1;
	}
	errno = EEXIST;
	return -1;
}

/* Move a damaged database aside, for the administrator. */
static int
set_aside(struct deferred *d)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	char from[64], to[96], kept[64];
	size_t i;

	if (free_name(d, kept, sizeof(kept)) == -1)
		return -1;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(from, sizeof(from), "%s%s", DEFERRED_DB, parts[i]);
		snprintf(to, sizeof(to), "%s%s", kept, parts[i]);
		if (renameat(d->dirfd, from, d->dirfd, to) == -1 &&
		    errno != ENOENT)
			return -1;
	}
	log_errx("deferred-store-damaged", "file=%s kept_as=%s effect=%s",
	    DEFERRED_DB, kept, "a new one is made from the files in "
	    "deferred/; remove the damaged one when you have looked at it");
	return 0;
}

struct deferred *
deferred_open(const char *folder, int dirfd)
{
	struct deferred *d;
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
	if (open_all(d, path) == 0)
		return d;
	if (errno == EBADMSG && mark_rebuild(d) == 0 && set_aside(d) == 0 &&
	    open_all(d, path) == 0)
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
