/* The deferred store: room that its database does not need any more.
 * Owns: when the database file is made smaller, and by how much at once.
 * SQLite keeps the pages of rows that were deleted for later rows.  After a time
 * in which much mail was deferred they can be more than all else in the spool:
 * new mail would have no room though the queue is empty. */

#include "core/queue/deferred_int.h"

#include <stdlib.h>

#define SHRINK_OCTETS	(1 << 20)	/* fewer free ones stay */
#define STEP_PAGES	2048		/* given back at once: takes some 20 ms if all have to be moved */
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

/* Where this fails, the file stays as it is until the next call: nothing is
 * wrong then that other statements would not find and log. */
void
deferred_shrink(struct deferred *d)
{
	long long page = number(d, "PRAGMA page_size");
	long long n = number(d, "PRAGMA page_count");
	long long nfree = number(d, "PRAGMA freelist_count");
	const char *sql;

	if (nfree * page < SHRINK_OCTETS || nfree < n / 2)
		return;
	if (number(d, "PRAGMA auto_vacuum") == IS_INCREMENTAL)
		sql = "PRAGMA incremental_vacuum(" STRING(STEP_PAGES) ")";
	else if ((n - nfree) * page <= VACUUM_OCTETS)
		sql = "PRAGMA auto_vacuum = INCREMENTAL; VACUUM";
	else
		return;
	/* the file itself is cut when the log has been written to it */
	if (sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		(void)sqlite3_exec(d->db, "PRAGMA wal_checkpoint(TRUNCATE)",
		    NULL, NULL, NULL);
}
