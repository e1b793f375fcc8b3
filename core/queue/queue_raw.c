/* The answer to "show" that has the message itself: one line of JSON that says how
 * long it is, then its octets.
 * An answer that has fewer octets ends because the message is gone, or has moved to
 * the deferred store. */

#include "core/queue/queue_answer.h"

#include <errno.h>
#include <stdlib.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"

int
queue_raw_begin(void *closure, const struct queue_record *record)
{
	struct queue_answer *a = closure;
	json_t *json;
	char *text, id[SPOOL_ID_TEXT + 1];

	a->body = (struct queue_body){ .place = record->place,
		.is_new = record->place.file != NULL,
		.octets = record->octets, .at = record->body_at };
	a->body.place.file = NULL;
	spool_id_text(record->place.id, id);
	json = json_pack("{s:s, s:I}", "id", id, "octets",
	    (json_int_t)record->octets);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	a->stage = STAGE_RAW;
	if (text == NULL) {
		queue_answer_error(a, queue_answer_no_memory);
		return -1;
	}
	queue_answer_put(a, text);
	queue_answer_put(a, "\n");
	free(text);
	return -1;
}

void
queue_raw_next(struct queue_answer *a)
{
	char *p = queue_answer_room(a, PIECE_OCTETS), id[SPOOL_ID_TEXT + 1];
	ssize_t n;

	if (p == NULL)
		return;
	n = a->q->store_ops->read_body(a->q->store, &a->body, a->body_done, p,
	    PIECE_OCTETS);
	if (n == -1 && errno != ESTALE && errno != ENOENT) {
		spool_id_text(a->body.place.id, id);
		log_warn("queue-show", "id=%s", id);
	}
	if (n <= 0) {
		a->stage = STAGE_OVER;
		return;
	}
	a->len += (size_t)n;
	a->body_done += (uint64_t)n;
}
