/* Under which id a new message is delivered and deferred.
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

/* A worker that has been taken over can have many of them. */
static void
tell(struct queue_spool *sp, const struct queue_place *place)
{
	uint64_t n = log_bound_count(&sp->id_bound, (uint64_t)sp->now_ms);
	char from[SPOOL_ID_TEXT + 1], to[SPOOL_ID_TEXT + 1];

	if (n == 0)
		return;
	spool_id_text(place->id, from);
	spool_id_text(place->kept_id, to);
	log_warnx("deferred-id", "id=%s kept_as=%s times=%llu reason=%s",
	    from, to, (unsigned long long)n, "another message has this id");
}

/* An id of the queue's own, since another message has that of ${place}. */
static int
mint(struct queue_spool *sp, struct queue_place *place)
{
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
	if (spool_id_is_due(&sp->ids))
		(void)spool_id_extend(&sp->ids);
	place->kept_id = id;
	tell(sp, place);
	return 0;
}

/* As deferred_find(), with an id of the queue's own when it must be. */
static int
find(struct queue_spool *sp, struct queue_place *place)
{
	const struct spool_origin origin = queue_origin_of(place);
	int rc = deferred_find(sp->deferred, place->id, &origin,
	    &place->kept_id);

	if (rc != -1)
		return rc;
	place->kept_id = 0;
	return errno == EEXIST ? mint(sp, place) : -1;
}

int
queue_find_id(struct queue_spool *sp, struct queue_place *place)
{
	if (place->kept_id != 0)
		return 0;
	return find(sp, place) == -1 ? -1 : 0;
}

int
queue_name(struct queue_spool *sp, struct queue_place *place,
    bool is_repeated)
{
	int rc = 0;

	/* A look into the database for each message would cost too much.  One
	 * that is new has a greater id than those that are deferred. */
	if (is_repeated || deferred_may_have(sp->deferred, place->id))
		rc = find(sp, place);
	if (rc != 0 || (place->kept_id != 0 && place->kept_id != place->id))
		return rc;
	/* its own id is free now; queue_find_id() looks again */
	place->kept_id = 0;
	return sp->user->holds(sp->queue, place->id) ? mint(sp, place) : 0;
}
