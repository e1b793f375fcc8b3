/* Answers that have messages themselves: one line of JSON that says how long the
 * message is, then its octets.
 * "show" has one: an answer that has fewer octets ends because the message is gone, or
 * has moved to the deferred store.
 * "export" has many, each with a line behind it that says whether all of its octets
 * are there; the others are zeros. */

#include "core/queue/queue_answer.h"

#include <sys/param.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"

static struct queue_body
body_of(const struct queue_record *record)
{
	struct queue_body body = { .place = record->place,
		.is_new = record->place.file != NULL,
		.octets = record->octets, .at = record->body_at };

	body.place.file = NULL;
	return body;
}

static void
begin(struct queue_answer *a, const struct queue_record *record)
{
	a->body = body_of(record);
	a->body_done = 0;
	a->is_cut = false;
	a->stage = STAGE_RAW;
}

static void
warn_unread(const struct queue_body *body)
{
	char id[SPOOL_ID_TEXT + 1];

	if (errno == ESTALE || errno == ENOENT)
		return;
	spool_id_text(body->place.id, id);
	log_warn("queue-show", "id=%s", id);
}

bool
queue_raw_is_whole(struct queue_answer *a, const struct queue_record *record)
{
	struct queue_body body = body_of(record);
	char last;

	if (body.octets == 0 || a->q->store_ops->read_body(a->q->store, &body,
	    body.octets - 1, &last, 1) == 1)
		return true;
	warn_unread(&body);
	return false;
}

void
queue_raw_export(struct queue_answer *a, const struct queue_record *record,
    enum stage after)
{
	begin(a, record);
	a->after_raw = after;
	/* a small message is read before anything can happen to it */
	queue_raw_next(a);
}

int
queue_raw_begin(void *closure, const struct queue_record *record)
{
	struct queue_answer *a = closure;
	json_t *json;
	char *text, id[SPOOL_ID_TEXT + 1];

	begin(a, record);
	spool_id_text(record->place.id, id);
	json = json_pack("{s:s, s:I}", "id", id, "octets",
	    (json_int_t)record->octets);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (text == NULL) {
		queue_answer_error(a, queue_answer_no_memory);
		return -1;
	}
	queue_answer_put(a, text);
	queue_answer_put(a, "\n");
	free(text);
	return -1;
}

/* In place of what cannot be read */
static ssize_t
zeros(const struct queue_answer *a, char *p)
{
	size_t n = (size_t)MIN(a->body.octets - a->body_done, PIECE_OCTETS);

	memset(p, 0, n);
	return (ssize_t)n;
}

static void
end_export(struct queue_answer *a)
{
	queue_answer_put(a, a->is_cut ? "\n{\"complete\":false}\n" :
	    "\n{\"complete\":true}\n");
	a->ncut += a->is_cut;
	a->nmessages -= a->is_cut;
	if (a->stage == STAGE_RAW)
		a->stage = a->after_raw;
}

void
queue_raw_next(struct queue_answer *a)
{
	char *p = queue_answer_room(a, PIECE_OCTETS);
	ssize_t n;

	if (p == NULL)
		return;
	if (a->is_cut)
		n = zeros(a, p);
	else
		n = a->q->store_ops->read_body(a->q->store, &a->body,
		    a->body_done, p, PIECE_OCTETS);
	if (n == -1)
		warn_unread(&a->body);
	if (n <= 0 && a->action == ACTION_SHOW) {
		a->stage = STAGE_OVER;
		return;
	}
	a->is_cut = a->is_cut || n == -1;
	a->len += n > 0 ? (size_t)n : 0;
	a->body_done += n > 0 ? (uint64_t)n : 0;
	if (a->action == ACTION_EXPORT && a->body_done == a->body.octets)
		end_export(a);
}
