/* The deferred store: room that its database does not need any more.
 * Owns: when the database file is made smaller, and by how much at once.
 * SQLite keeps the pages of rows that were deleted for later rows.  After a time
 * in which much mail was deferred they can be more than all else in the spool:
 * new mail would have no room though the queue is empty. */

#include "core/deferred/deferred_int.h"

#include <stdlib.h>

#define SHRINK_OCTETS	(1 << 20)	/* fewer free ones stay */
#define STEP_PAGES	2048		/* given back at once: takes some 20 ms if all have to be moved */
#define STEP_PAGES_SHORT 128	/* the same while the disk is full: its log has room in the reserve */
#define VACUUM_OCTETS	(16 << 20)	/* a database of an earlier version is copied to memory when there is no more in it */

static int
take_number(void *closure, int, char **values, char **)
{
	*(long long *)closure = values[0] != NULL ? atoll(values[0]) : 0;
	return 0;
}

static long long
number(struct deferred *d, const char *pragma)
{
	long long n = 0;

	(void)sqlite3_exec(d->db, pragma, take_number, &n, NULL);
	return n;
}

#define IS_INCREMENTAL	2	/* PRAGMA auto_vacuum */
#define STRING_(x)	#x
#define STRING(x)	STRING_(x)

/* What makes the database smaller now; NULL: nothing. */
static const char *
shrink_sql(struct deferred *d, bool is_short)
{
	long long page = number(d, "PRAGMA page_size");
	long long n = number(d, "PRAGMA page_count");
	long long nfree = number(d, "PRAGMA freelist_count");

	if (nfree * page < SHRINK_OCTETS || nfree < n / 2)
		return NULL;
	if (number(d, "PRAGMA auto_vacuum") == IS_INCREMENTAL)
		return is_short ?
		    "PRAGMA incremental_vacuum(" STRING(STEP_PAGES_SHORT) ")" :
		    "PRAGMA incremental_vacuum(" STRING(STEP_PAGES) ")";
	/* a copy of all goes to the log first */
	return !is_short && (n - nfree) * page <= VACUUM_OCTETS ?
	    "PRAGMA auto_vacuum = INCREMENTAL; VACUUM" : NULL;
}

/* Where this fails, the file stays as it is until the next call: nothing is
 * wrong then that other statements would not find and log.  What a failure has
 * left in the log is cut all the same.  While somebody reads the database, such as
 * an administrator with sqlite3(1), the log cannot be cut: so that it does not
 * become longer, nothing else is done until it can be. */
void
deferred_shrink(struct deferred *d, bool is_short)
{
	const char *sql = NULL;

	if (!d->is_uncut && (sql = shrink_sql(d, is_short)) == NULL)
		return;
	sqlite3_busy_timeout(d->db, 0);
	if (sql != NULL)
		(void)sqlite3_exec(d->db, sql, NULL, NULL, NULL);
	/* the file itself is cut when the log has been written to it */
	d->is_uncut = sqlite3_wal_checkpoint_v2(d->db, NULL,
	    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK;
	sqlite3_busy_timeout(d->db, DEFERRED_BUSY_MS);
	deferred_forget_errno(d);
}
