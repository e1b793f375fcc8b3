/* The deferred store: which message an id means.
 * Owns: the way from a record's id and origin to the id in this store. */

#include <errno.h>

#include "core/deferred/deferred_int.h"

/* Do both origins mean the same message?  If ${noted} is not known, since an
 * earlier version deferred the message, then every message that an earlier
 * version accepted counts as the same. */
static bool
is_same(const struct spool_origin *noted, const struct spool_origin *origin)
{
	if (noted->segment == 0)
		return origin->is_early;
	return noted->segment == origin->segment &&
	    noted->generation == origin->generation &&
	    noted->seq == origin->seq;
}

int
deferred_is_free(struct deferred *d, uint64_t id)
{
	struct spool_origin noted;
	int rc = deferred_has(d, id, DEFERRED_ANY);

	if (rc == 0)
		rc = deferred_file_origin(d, id, &noted);
	return rc == -1 ? -1 : !rc;
}

static int
note_origin(void *closure, const struct deferred_row *row)
{
	*(struct spool_origin *)closure = row->origin;
	return 1;
}

int
deferred_find(struct deferred *d, uint64_t id,
    const struct spool_origin *origin, uint64_t *id_r)
{
	const struct deferred_query of = { .what = DEFERRED_OF, .id = id };
	struct spool_origin noted;
	int rc;

	if ((rc = deferred_rows_find(d, origin, id_r)) != 0)
		return rc;
	*id_r = id;
	if ((rc = deferred_rows(d, &of, note_origin, &noted)) == -1)
		return -1;
	if (rc > 0 && is_same(&noted, origin))
		return 1;
	if (rc == 0) {
		/* no row has the id, but a file may have it: one whose rows are
		 * not committed yet, or a leftover of a crash */
		if ((rc = deferred_file_origin(d, id, &noted)) <= 0)
			return rc;
		if (is_same(&noted, origin))
			return 0;
	}
	errno = EEXIST;
	return -1;
}
