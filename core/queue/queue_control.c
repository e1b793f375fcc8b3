/* Requests of mailmillctl about the queue, and the answers in pieces.
 * Owns: what a request may say, the place an answer has got to.
 * An answer is made as its reader takes it: a list of a full queue is never in
 * memory.  Between two pieces the queue goes on, so a message that moves on
 * meanwhile may be missing or be there twice. */

#include "core/queue/queue_answer.h"

#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_id.h"

#define LIST_LIMIT	10000	/* messages, when the request does not say */
#define LIST_LIMIT_MAX	10000000
#define LIST_PAGE	64	/* rows looked at for one piece */

/* A new message on the way through them.  Return 0 to go on. */
static int
see_record(void *closure, const struct queue_record *record)
{
	struct queue_answer *a = closure;

	if (a->action == ACTION_LIST) {
		if (a->nmessages == a->limit) {
			a->is_more = true;
			a->stage = STAGE_END;
			return -1;
		}
		queue_answer_record(a, record);
		return a->len < PIECE_OCTETS ? 0 : -1;
	}
	if (record->place.id != a->id)
		return 0;
	a->is_found = true;
	if (a->action == ACTION_SHOW) {
		queue_answer_record(a, record);
	} else if (a->action == ACTION_REMOVE) {
		queue_answer_remove_record(a, record);
		if (a->stage != STAGE_OVER)
			a->stage = STAGE_DEFERRED;
	} else {
		/* what was put back is tried again at once */
		a->q->store_ops->again(a->q->store, &record->place);
		a->nmessages += record->envelope->nrcpts;
		a->stage = STAGE_DEFERRED;
	}
	return -1;
}

static void
do_new(struct queue_answer *a)
{
	if (a->q->store_ops->search(a->q->store, &a->cursor, see_record, a) ==
	    1)
		a->stage = STAGE_DEFERRED;
}

static void
end_message(struct queue_answer *a)
{
	if (a->message == NULL)
		return;
	queue_answer_put_message(a, a->message);
	a->message = NULL;
}

static int
list_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;
	struct queue_message *m;
	const char *state = row->hold_until > a->now_s && row->attempts == 0 ?
	    "held" : "deferred";
	uint32_t i;

	if (a->message == NULL || row->id != a->message_id) {
		end_message(a);
		if (a->nmessages >= a->limit) {
			a->is_more = true;
			return -1;
		}
		a->message = queue_answer_message(a, row->id, "deferred",
		    row->sender, row->received_us, row->octets);
		queue_answer_terms(a->message, &(struct queue_terms){
		    .hold_until = row->hold_until,
		    .deliver_by = row->deliver_by,
		    .priority = row->priority, .flags = row->flags });
		a->message_id = row->id;
		a->nrcpts = 0;
	}
	m = queue_message_find(a->q, row->id, true);
	for (i = 0; m != NULL && i < m->nrcpts; i++)
		if (m->rcpts[i].index == row->rcpt_index &&
		    m->rcpts[i].state == RCPT_SENT)
			state = "delivering";
	queue_answer_rcpt(a, a->message, a->nrcpts++, row->rcpt_index,
	    row->rcpt, state, row->attempts, row->next_attempt,
	    row->last_error);
	a->deferred_id = row->id;
	a->deferred_rcpt = row->rcpt_index;
	return 0;
}

static void
list_deferred(struct queue_answer *a)
{
	const struct deferred_query query = { .what = DEFERRED_PAGE,
		.id = a->deferred_id, .rcpt_index = a->deferred_rcpt,
		.limit = LIST_PAGE };
	int n = a->q->store_ops->rows(a->q->store, &query, list_row, a);

	if (n == LIST_PAGE && !a->is_more)
		return;
	end_message(a);
	a->stage = STAGE_END;
}

static int
add_session(void *closure, const struct queue_record *record)
{
	queue_answer_session(closure, record);
	return 0;
}

static void
show_deferred(struct queue_answer *a)
{
	const struct deferred_query query = { .what = DEFERRED_OF,
		.id = a->id };

	if (a->q->store_ops->rows(a->q->store, &query, list_row, a) == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	a->stage = STAGE_END;
	if (a->message == NULL)
		return;
	a->q->store_ops->read_deferred(a->q->store, a->id, add_session,
	    a->message);
	end_message(a);
}

static void
do_deferred(struct queue_answer *a)
{
	static void (*const steps[])(struct queue_answer *) = {
		[ACTION_LIST] = list_deferred,
		[ACTION_SHOW] = show_deferred,
		[ACTION_RETRY] = queue_answer_retry_deferred,
		[ACTION_REMOVE] = queue_answer_remove_deferred,
	};

	steps[a->action](a);
}

static void
do_end(struct queue_answer *a)
{
	a->stage = STAGE_OVER;
	if (a->action == ACTION_LIST) {
		queue_answer_put(a, "],\"more\":");
		queue_answer_put(a, a->is_more ? "true}\n" : "false}\n");
	} else if (!a->is_found)
		queue_answer_error(a, "there is no such message in the queue: it "
		    "was delivered or removed, or the ID is wrong; "
		    "\"mailmillctl queue list\" shows those there are");
	else
		queue_answer_count(a, a->action == ACTION_RETRY ? "retried" :
		    "removed", a->nmessages);
}

static void
do_begin(struct queue_answer *a)
{
	if (a->error != NULL) {
		queue_answer_error(a, a->error);
		return;
	}
	if (a->action == ACTION_LIST)
		queue_answer_put(a, "{\"messages\":[");
	a->stage = STAGE_NEW;
	if (a->is_all) {
		a->q->store_ops->again(a->q->store, NULL);
		a->stage = STAGE_DEFERRED;
	}
}

int
queue_answer_next(struct queue_answer *a, const struct timeval *now,
    const char **buf_r, size_t *len_r)
{
	static void (*const steps[])(struct queue_answer *) = {
		[STAGE_BEGIN] = do_begin,
		[STAGE_NEW] = do_new,
		[STAGE_DEFERRED] = do_deferred,
		[STAGE_END] = do_end,
	};

	if (a->stage == STAGE_OVER)
		return 0;
	a->len = 0;
	a->now_s = now->tv_sec;
	a->q->wall_ms = queue_ms(now);
	steps[a->stage](a);
	*buf_r = a->buf;
	*len_r = a->len;
	return 1;
}

static enum action
find_action(const char *s)
{
	static const char *const names[] = {
		[ACTION_LIST] = "list", [ACTION_SHOW] = "show",
		[ACTION_RETRY] = "retry", [ACTION_REMOVE] = "remove",
	};
	size_t i;

	for (i = 0; s != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], s) == 0)
			return (enum action)i;
	return ACTION_NONE;
}

/* The id that ${request} names, or what is wrong with it */
static void
parse_id(struct queue_answer *a, json_t *request)
{
	const char *id = json_string_value(json_object_get(request, "id"));

	if (id != NULL && a->action == ACTION_RETRY && strcmp(id, "all") == 0)
		a->is_all = true;
	else if (id == NULL)
		a->error = "the request names no message: give the ID that "
		    "\"mailmillctl queue list\" shows";
	else if (spool_id_parse(id, strlen(id), &a->id) == -1)
		a->error = "that is not a message ID: it has 13 digits and "
		    "letters, as \"mailmillctl queue list\" shows";
}

static void
parse_request(struct queue_answer *a, json_t *request)
{
	json_int_t limit;

	a->action = find_action(json_string_value(
	    json_object_get(request, "action")));
	limit = json_integer_value(json_object_get(request, "limit"));
	a->limit = limit <= 0 ? LIST_LIMIT : limit > LIST_LIMIT_MAX ?
	    LIST_LIMIT_MAX : (uint64_t)limit;
	if (a->action == ACTION_NONE)
		a->error = "unknown action: use list, show ID, retry ID or "
		    "remove ID";
	else if (a->action != ACTION_LIST)
		parse_id(a, request);
	/* list_row() counts: a message that is shown is one */
	if (a->action == ACTION_SHOW)
		a->limit = 1;
}

struct queue_answer *
queue_control(struct queue *q, const char *request, size_t len)
{
	struct queue_answer *a;
	json_t *json;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	a->q = q;
	a->action = ACTION_NONE;
	json = json_loadb(request, len, 0, NULL);
	if (json_is_object(json))
		parse_request(a, json);
	else
		a->error = "the request is not a JSON object";
	json_decref(json);
	return a;
}

void
queue_answer_free(struct queue_answer *a)
{
	if (a == NULL)
		return;
	json_decref(a->message);
	free(a->buf);
	free(a);
}
