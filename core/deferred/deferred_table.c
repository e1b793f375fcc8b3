/* The tables of the deferred store's database.
 * Owns: their columns, indexes and triggers; how the table of an earlier version
 * is brought to this one. */

#include "core/deferred/deferred_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/process/log.h"

#define VERSION		9	/* of the table; PRAGMA user_version */

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
    /* What reports of TLS count.  Versions that do not know these tables leave
     * them alone, so they need no version */
    "CREATE TABLE IF NOT EXISTS tls_domain ("
    " day INTEGER NOT NULL,"
    " domain TEXT NOT NULL,"
    " nrows INTEGER NOT NULL,"
    " PRIMARY KEY (day, domain)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS tls_count ("
    " day INTEGER NOT NULL,"
    " domain TEXT NOT NULL,"
    " policy_type TEXT NOT NULL,"
    " policy_domain TEXT NOT NULL,"
    " policy TEXT NOT NULL,"
    " result TEXT NOT NULL,"
    " mx_host TEXT NOT NULL,"
    " sending_ip TEXT NOT NULL,"
    " receiving_ip TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " sessions INTEGER NOT NULL,"
    " PRIMARY KEY (day, domain, policy_type, policy_domain, policy,"
    " result, mx_host, sending_ip, receiving_ip, reason)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS tls_tried ("
    " day INTEGER NOT NULL,"
    " domain TEXT NOT NULL,"
    " since INTEGER NOT NULL,"
    " PRIMARY KEY (day, domain)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS tls_taken ("
    " day INTEGER NOT NULL,"
    " domain TEXT NOT NULL,"
    " uri INTEGER NOT NULL,"
    " PRIMARY KEY (day, domain, uri)) WITHOUT ROWID;"
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
	" WHERE hold_until <> 0 AND next_attempt = hold_until"
	" AND last_error IS NULL;"
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

	"BEGIN IMMEDIATE;"
	"ALTER TABLE deferred ADD COLUMN route TEXT NOT NULL DEFAULT '';"
	"PRAGMA user_version = 9;"
	"COMMIT;",
};

static int
take_row(void *closure, int, char **, char **)
{
	*(bool *)closure = true;
	return 0;
}

int
deferred_table_find(struct deferred *d, bool *has_r)
{
	*has_r = false;
	return sqlite3_exec(d->db, "SELECT 1 FROM sqlite_master"
	    " WHERE type = 'table' AND name = 'deferred'", take_row, has_r,
	    NULL);
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

int
deferred_table_open(struct deferred *d, bool has)
{
	int rc = SQLITE_OK, version = 0;

	if (has)
		rc = sqlite3_exec(d->db, "PRAGMA user_version", take_version,
		    &version, NULL);
	if (rc == SQLITE_OK && check_version(version) == -1)
		return -1;
	if (rc == SQLITE_OK && !has)
		/* the first before all that writes: see deferred_shrink() */
		rc = sqlite3_exec(d->db, "PRAGMA auto_vacuum = INCREMENTAL;"
		    "PRAGMA user_version = 0", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->db, schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK && upgrade(d, version) == -1)
		return -1;
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->db, temporary, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : deferred_failed(d, rc, "open");
}

int
deferred_came_begin(struct deferred *d)
{
	int rc = sqlite3_exec(d->db, "DELETE FROM came; INSERT INTO came"
	    " SELECT holder, writer, octets, 0 FROM held", NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : deferred_failed(d, rc, "open");
}
