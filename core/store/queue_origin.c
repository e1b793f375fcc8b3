/* Under which id a new message is deferred.
 * Owns: the queue's own ids, for messages whose id another message has. */

#include "core/store/queue_spool_int.h"

#include <errno.h>

#include "core/process/log.h"

/* Log it, with a bound: a worker that an attacker controls can give the same id
 * to many messages. */
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

int
queue_mint_id(struct queue_spool *sp, uint64_t *id_r)
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
	*id_r = id;
	return 0;
}

/* Another message has the id of ${place}. */
static int
mint(struct queue_spool *sp, struct queue_place *place)
{
	if (queue_mint_id(sp, &place->kept_id) == -1)
		return -1;
	tell(sp, place);
	return 0;
}

int
queue_find_rows(struct queue_spool *sp, struct queue_place *place)
{
	uint64_t id;
	int rc = deferred_find(sp->deferred, place->id, &place->origin, &id);

	if (rc == 1)
		place->kept_id = id;
	return rc == -1 && errno == EEXIST ? 0 : rc;
}

int
queue_find_id(struct queue_spool *sp, struct queue_place *place)
{
	if (place->kept_id != 0)
		return 0;
	if (deferred_find(sp->deferred, place->id, &place->origin,
	    &place->kept_id) != -1)
		return 0;
	place->kept_id = 0;
	return errno == EEXIST ? mint(sp, place) : -1;
}
