/* The check of the files of deferred messages, which begins when the store is opened:
 * see deferred_check().
 * Owns: how fast it goes on, what is done about what it finds; and about damage that
 * shows later.
 * It is done between the other work of a pass: no file is about to get its row then. */

#include <errno.h>

#include "core/process/log.h"
#include "core/store/queue_spool_int.h"

/* A step takes as long as some thirty messages do, which wait meanwhile. */
static int
step_ms(struct queue_spool *sp)
{
	uint64_t n = sp->nchanges - sp->check_nchanges;
	uint64_t ms = (uint64_t)(sp->now_ms - sp->check_step_ms);

	sp->check_nchanges = sp->nchanges;
	sp->check_step_ms = sp->now_ms;
	return n * 1000 >= ms * QUEUE_CHECK_BUSY && n > 0 ?
	    QUEUE_CHECK_BUSY_MS : QUEUE_CHECK_STEP_MS;
}

void
queue_check(struct queue_spool *sp)
{
	int rc;

	/* nothing of it is to be believed */
	if (queue_is_damaged(sp)) {
		sp->check_ms = INT64_MAX;
		return;
	}
	rc = deferred_check(sp->deferred, QUEUE_CHECK_FILES);
	if (rc == 1) {
		sp->check_ms = sp->now_ms + step_ms(sp);
	} else if (rc == 0) {
		sp->check_ms = INT64_MAX;
		queue_room_tell(sp);
	} else if (!queue_is_damaged(sp)) {
		sp->check_ms = sp->now_ms + QUEUE_CHECK_AGAIN_MS;
		log_warn("deferred-check", "folder=%s effect=%s",
		    sp->config.folder, "files that a crash has left there may "
		    "stay, and spool_quota goes by what was counted before; "
		    "tried again in half a minute");
	}
}

bool
queue_is_damaged(struct queue_spool *sp)
{
	if (sp->is_damaged || !deferred_is_damaged(sp->deferred))
		return sp->is_damaged;
	sp->is_damaged = true;
	log_errx("deferred-damaged", "folder=%s effect=%s", sp->config.folder,
	    "the queue process ends, and the next one makes the database "
	    "again from the files in deferred/");
	return true;
}
