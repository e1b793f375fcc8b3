/* The deferred store: its rows when the clock has been set.
 * Owns: how far that has come.  All rows may have to be changed, and there may be a
 * million of them, so it is done in pieces. */

#include "core/deferred/deferred_int.h"

#include <string.h>

/* May a row be due too late?  Those that are on hold are not: when they are released
 * they get another time.  1, 0, or -1 with errno. */
static int
may_be_far(struct deferred *d, const struct deferred_shift *at,
    unsigned int limit)
{
	sqlite3_stmt *st = d->st[ST_SHIFT_FAR];
	bool may_be = true;
	int rc;

	sqlite3_bind_int64(st, 1, at->latest);
	sqlite3_bind_int64(st, 2, at->held);
	sqlite3_bind_int64(st, 3, limit);
	/* many are held: to look at all of them is to be done in pieces, too */
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		may_be = sqlite3_column_int64(st, 0) >= limit ||
		    sqlite3_column_int64(st, 1) > 0;
	return deferred_end(d, ST_SHIFT_FAR, rc) == -1 ? -1 : may_be;
}

/* Of the rows behind *${at} find the ${limit}-th, as deferred_last(). */
static int
find_last(struct deferred *d, struct deferred_shift *at, unsigned int limit)
{
	sqlite3_stmt *st = d->st[ST_SHIFT_END];

	sqlite3_bind_text(st, 1, at->id, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 2, at->rcpt_index);
	sqlite3_bind_int64(st, 3, limit - 1);
	return deferred_last(d, ST_SHIFT_END, at->id, &at->rcpt_index);
}

int
deferred_shift(struct deferred *d, struct deferred_shift *at,
    unsigned int limit)
{
	sqlite3_stmt *st = d->st[ST_SHIFT];
	struct deferred_shift next = *at;
	int rc = 1;

	if (at->seconds == 0 && !at->has_begun)
		rc = may_be_far(d, at, limit);
	if (rc == 0)
		at->is_over = true;
	if (rc != 1)
		return rc;
	if ((rc = find_last(d, &next, limit)) == -1)
		return -1;
	sqlite3_bind_int64(st, 1, at->seconds);
	sqlite3_bind_int64(st, 2, at->latest);
	sqlite3_bind_int64(st, 3, at->held);
	sqlite3_bind_text(st, 4, at->id, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 5, at->rcpt_index);
	if (rc == 1)
		sqlite3_bind_text(st, 6, next.id, -1, SQLITE_TRANSIENT);
	else
		/* behind each text, and what somebody has made of one */
		sqlite3_bind_blob(st, 6, "\xff", 1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 7, next.rcpt_index);
	if (deferred_run(d, ST_SHIFT) == -1)
		return -1;
	next.has_begun = true;
	next.is_over = rc == 0;
	*at = next;
	return sqlite3_changes(d->db);
}
