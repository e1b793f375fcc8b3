/* Under which id a new message is deferred.
 * Owns: the ids of the queue's own, for messages whose id another has. */

#include "core/queue/queue_spool_int.h"

#include <errno.h>

#include "core/process/log.h"

struct spool_origin
queue_origin_of(const struct queue_place *place)
{
	const struct queue_segment *seg =
	    (const struct queue_segment *)place->file;

	return (struct spool_origin){ .segment = seg->id,
		.generation = seg->generation, .seq = place->seq,
		.is_early = seg->is_early };
}

/* An id of the queue's own, since another message has that of ${place}. */
static int
mint(struct queue_spool *sp, struct queue_place *place)
{
	char from[SPOOL_ID_TEXT + 1], to[SPOOL_ID_TEXT + 1];
	uint64_t id;
	int rc;

	if (sp->ids.fd == -1 && spool_id_open(sp->config.incoming_dirfd,
	    SPOOL_NUMBER_QUEUE, spool_id_now_us(), &sp->ids) == -1) {
		sp->ids.fd = -1;
		return -1;
	}
	do {
		id = spool_id_next(&sp->ids, spool_id_now_us());
		rc = deferred_is_free(sp->deferred, id);
	} while (rc == 0);
	if (rc == -1)
		return -1;
	(void)spool_id_extend(&sp->ids);
	place->kept_id = id;
	spool_id_text(place->id, from);
	spool_id_text(id, to);
	log_warnx("deferred-id", "id=%s kept_as=%s reason=%s", from, to,
	    "another message has this id");
	return 0;
}

int
queue_find_id(struct queue_spool *sp, struct queue_place *place)
{
	const struct spool_origin origin = queue_origin_of(place);

	if (place->kept_id != 0 || deferred_find(sp->deferred, place->id,
	    &origin, &place->kept_id) != -1)
		return 0;
	place->kept_id = 0;
	return errno == EEXIST ? mint(sp, place) : -1;
}

bool
queue_is_kept(struct queue_spool *sp, struct queue_place *place)
{
	const struct spool_origin origin = queue_origin_of(place);

	if (deferred_find(sp->deferred, place->id, &origin,
	    &place->kept_id) == 1)
		return true;
	place->kept_id = 0;
	return false;
}
