/* The store on disk: messages that come from elsewhere.
 * Owns: the file that a body is in until its message is stored. */

#include "core/store/queue_spool_int.h"

#include <errno.h>

int
queue_import_file(void *store, uint64_t octets)
{
	struct queue_spool *sp = store;

	if (queue_room_for_copy(sp, octets))
		return deferred_file_temporary(sp->deferred);
	errno = ENOSPC;
	return -1;
}

/* In one transaction */
static int
put_rows(struct queue_spool *sp, uint64_t id, const struct deferred_row *rows,
    size_t n)
{
	struct deferred_row row;
	size_t i;

	if (deferred_begin(sp->deferred) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		row = rows[i];
		row.id = id;
		if (deferred_put(sp->deferred, &row) == -1) {
			deferred_rollback(sp->deferred);
			return -1;
		}
	}
	return deferred_commit(sp->deferred);
}

/* The file, and the rows when it is on disk */
static int
put(struct queue_spool *sp, uint64_t id, const struct spool_view *view, int fd,
    const struct deferred_row *rows, size_t n)
{
	/* that is how a file says that its origin is not known:
	 * spool_message_origin() */
	const struct spool_origin unknown = { .segment = id, .generation = 1,
		.seq = 1 };
	int rc;

	do
		rc = deferred_file_write(sp->deferred, id, view, &unknown, -1,
		    fd);
	while (rc == -1 && queue_room_make(sp));
	if (rc == 0 && sp->config.is_synced)
		rc = deferred_files_sync(sp->deferred);
	if (rc == -1)
		return -1;
	while ((rc = put_rows(sp, id, rows, n)) == -1 && queue_room_make(sp))
		;
	queue_room_tell(sp);
	return rc;
}

int
queue_import_store(void *store, const struct spool_view *view, int fd,
    const struct deferred_row *rows, size_t n, uint64_t *id_r)
{
	struct queue_spool *sp = store;
	int saved;

	if (queue_mint_id(sp, id_r) == -1)
		return -1;
	if (put(sp, *id_r, view, fd, rows, n) == 0)
		return 0;
	saved = errno;
	(void)deferred_file_remove(sp->deferred, *id_r);
	errno = saved;
	return -1;
}
