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
#define TOP_LIMIT	20	/* rows, when the request does not say */
#define QUIET_PIECES	64	/* of no octets, after which one is sent all the same: the reader sees that we live */

/* The record as export has it, if any of its recipients is meant */
static int
export_record(struct queue_answer *a, const struct queue_record *record)
{
	uint64_t before = a->nmessages;
	size_t len = a->len;

	queue_answer_record(a, record);
	if (a->nmessages == before)
		return a->stage == STAGE_OVER ? -1 : 0;
	if (!queue_raw_is_whole(a, record)) {
		a->len = len;
		a->nmessages = before;
		a->ncut++;
		return 0;
	}
	queue_raw_export(a, record, a->id != 0 ? STAGE_DEFERRED : STAGE_NEW);
	return -1;
}

/* A new message that is meant.  Return 0 to go on. */
static int
take_record(struct queue_answer *a, const struct queue_record *record)
{
	if (a->action == ACTION_LIST && a->nmessages == a->limit) {
		a->is_more = true;
		a->stage = STAGE_END;
		return -1;
	}
	if (a->action == ACTION_LIST) {
		queue_answer_record(a, record);
		return a->len < PIECE_OCTETS && a->stage == STAGE_NEW ? 0 : -1;
	}
	if (a->action == ACTION_TOP)
		return queue_answer_count(a, record);
	a->is_found = true;
	if (a->action == ACTION_EXPORT)
		return export_record(a, record);
	if (a->action == ACTION_SHOW && a->is_raw)
		return queue_raw_begin(a, record);
	if (a->action == ACTION_SHOW) {
		queue_answer_record(a, record);
		return -1;
	}
	if (queue_change_record(a, record) == -1)
		return -1;
	if (a->id == 0)
		return 0;
	/* the others of its recipients may be deferred */
	a->stage = STAGE_DEFERRED;
	return -1;
}

/* A new message on the way through them.  Return 0 to go on. */
static int
see_record(void *closure, const struct queue_record *record)
{
	struct queue_answer *a = closure;

	if (!queue_answer_has_record(a, record))
		return 0;
	a->nlooked += record->envelope->nrcpts;
	return take_record(a, record) == 0 && a->nlooked < PIECE_RCPTS ? 0 :
	    -1;
}

static bool
is_change(const struct queue_answer *a)
{
	return a->action >= ACTION_RETRY && a->action <= ACTION_ROUTE;
}

static void
do_new(struct queue_answer *a)
{
	int rc;

	a->nlooked = 0;
	rc = a->q->store_ops->search(a->q->store, &a->cursor, see_record, a);
	if (is_change(a))
		queue_change_new(a);
	if (rc == 1 && a->stage == STAGE_NEW)
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

/* A message of which ${row} is the first that is meant.  Return 0, or -1: this
 * answer, or this piece of it, has no room for it. */
static int
begin_message(struct queue_answer *a, const struct deferred_row *row)
{
	if (a->action == ACTION_EXPORT && a->message != NULL) {
		/* the octets of that one come first */
		a->is_full = true;
		return -1;
	}
	end_message(a);
	a->is_more = a->nmessages >= a->limit;
	a->is_full = a->len >= PIECE_OCTETS;
	if (a->is_more || a->is_full)
		return -1;
	a->message = queue_answer_message(a, row->id, "deferred", row->sender,
	    row->received_us, row->octets);
	queue_answer_terms(a->message, &(struct queue_terms){
	    .hold_until = row->hold_until, .deliver_by = row->deliver_by,
	    .priority = row->priority, .flags = row->flags });
	a->message_id = row->id;
	a->nrcpts = 0;
	return 0;
}

static int
list_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;
	struct queue_message *m;
	struct queue_rcpt *r;

	if (queue_answer_has_row(a, row, &m, &r)) {
		if ((a->message == NULL || row->id != a->message_id) &&
		    begin_message(a, row) == -1)
			return -1;
		queue_answer_rcpt(a, a->message, a->nrcpts++,
		    &(struct queue_answer_rcpt){ .index = row->rcpt_index,
		    .rcpt = row->rcpt,
		    .state = queue_answer_row_state(a, row, r),
		    .attempts = row->attempts, .next_attempt =
		    row->is_on_hold ? 0 : row->next_attempt,
		    .error = row->last_error, .route = row->route });
		if (a->action == ACTION_SHOW)
			queue_answer_target_of(a, a->message, r,
			    &(struct queue_addressee){ .rcpt = row->rcpt,
			    .sender = row->sender, .section = row->route });
	}
	queue_answer_at(a, row);
	return 0;
}

static void
list_deferred(struct queue_answer *a)
{
	int rc = queue_answer_rows(a, list_row);

	if (rc == 0 && !a->is_more)
		return;
	if (rc == -1)
		queue_answer_unreadable(a);
	end_message(a);
	a->stage = STAGE_END;
}

static int
count_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;
	struct queue_top_what what = { .sender = row->sender,
		.rcpt = row->rcpt, .error = row->last_error,
		.age_s = a->now_s - (int64_t)(row->received_us / 1000000) };
	char target[QUEUE_TARGET_NAME];
	struct queue_message *m;
	struct queue_rcpt *r;

	queue_answer_at(a, row);
	if (!queue_answer_has_row(a, row, &m, &r))
		return 0;
	if (a->top.by == QUEUE_TOP_TARGET)
		what.target = queue_answer_target_name(a, r,
		    &(struct queue_addressee){ .rcpt = row->rcpt,
		    .sender = row->sender, .section = row->route }, target);
	if (queue_top_add(&a->top, &what) == 0)
		return 0;
	queue_answer_error(a, queue_answer_no_memory);
	return -1;
}

static void
count_deferred(struct queue_answer *a)
{
	int rc = queue_answer_rows(a, count_row);

	if (a->stage == STAGE_OVER)
		return;
	if (rc == -1)
		queue_answer_unreadable(a);
	else if (rc == 1)
		a->stage = STAGE_END;
}

static int
add_session(void *closure, const struct queue_record *record)
{
	queue_answer_session(closure, record);
	return 0;
}

static int
export_message(void *closure, const struct queue_record *record)
{
	struct queue_answer *a = closure;

	queue_answer_session(a->message, record);
	end_message(a);
	queue_raw_export(a, record, a->stage);
	return 0;
}

static void
export_deferred(struct queue_answer *a)
{
	int rc = queue_answer_rows(a, list_row);

	if (rc == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	if (rc == 0 && !a->is_full)
		return;			/* there may be more of this message */
	if (rc == 1)
		a->stage = STAGE_END;
	if (a->message == NULL || a->q->store_ops->read_deferred(a->q->store,
	    a->message_id, export_message, a) == 0)
		return;
	/* without its file it cannot be exported */
	json_decref(a->message);
	a->message = NULL;
	a->ncut++;
}

static void
raw_deferred(struct queue_answer *a)
{
	int has = a->q->store_ops->has(a->q->store, a->id, QUEUE_RCPT_ALL);

	if (has == 0)
		a->stage = STAGE_END;
	else if (has == -1 || a->q->store_ops->read_deferred(a->q->store, a->id,
	    queue_raw_begin, a) == -1)
		queue_answer_error(a, "the file of the message in the folder "
		    "deferred/ cannot be read: restore it, or remove the "
		    "message from the queue");
}

static void
show_deferred(struct queue_answer *a)
{
	if (a->is_raw) {
		raw_deferred(a);
		return;
	}
	if (queue_answer_rows(a, list_row) == -1) {
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
	if (a->action == ACTION_LIST)
		list_deferred(a);
	else if (a->action == ACTION_SHOW)
		show_deferred(a);
	else if (a->action == ACTION_TOP)
		count_deferred(a);
	else if (a->action == ACTION_EXPORT)
		export_deferred(a);
	else if (a->action == ACTION_TLS)
		queue_answer_tls(a);
	else
		queue_change_deferred(a);
}

static void
do_end(struct queue_answer *a)
{
	a->stage = STAGE_OVER;
	if (queue_answer_is_list(a)) {
		queue_answer_put(a, a->is_more ? "],\"more\":true" :
		    "],\"more\":false");
		if (a->error != NULL) {
			queue_answer_put(a, ",\"error\":\"");
			queue_answer_put(a, a->error);
			queue_answer_put(a, "\"");
		}
		queue_answer_put(a, "}\n");
	} else if (a->action == ACTION_TOP) {
		queue_answer_top(a);
	} else if (a->action == ACTION_IMPORT &&
	    queue_import_error(a->import) != NULL) {
		queue_answer_stopped(a, queue_import_error(a->import));
	} else if (!a->is_found && a->id != 0)
		queue_answer_error(a, "there is no such message in the queue: it "
		    "was delivered or removed, or the ID is wrong; "
		    "\"mailmillctl queue list\" shows those there are");
	else if (a->action == ACTION_EXPORT)
		queue_answer_exported(a);
	else
		queue_answer_changed(a);
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
	a->began_us = (uint64_t)a->q->wall_ms * 1000;
	a->stage = STAGE_NEW;
	if (a->action == ACTION_TLS) {
		queue_answer_put(a, "{\"counts\":[");
		a->stage = STAGE_DEFERRED;
	}
	if (a->action == ACTION_IMPORT) {
		queue_answer_put(a, "{\"ready\":true}\n");
		a->stage = STAGE_INPUT;
	}
}

bool
queue_answer_wants(const struct queue_answer *a)
{
	return a->stage == STAGE_INPUT && !queue_import_has_more(a->import);
}

static void
see_time(struct queue_answer *a, const struct timeval *now)
{
	queue_wall_see(a->q, now);
	a->now_s = a->q->wall_ms / 1000;
}

void
queue_answer_feed(struct queue_answer *a, const struct timeval *now,
    const char *buf, size_t len)
{
	see_time(a, now);
	queue_import_feed(a, a->import, buf, len);
	if (queue_import_is_over(a->import))
		a->stage = STAGE_END;
}

/* With what was fed and is left; else it waits for queue_answer_feed(). */
static void
do_input(struct queue_answer *a)
{
	queue_import_more(a, a->import);
	if (queue_import_is_over(a->import))
		a->stage = STAGE_END;
}

/* Is it about to change rows while all of them are moved? */
static bool
has_to_wait(const struct queue_answer *a)
{
	return queue_is_shifting(a->q) && a->stage != STAGE_BEGIN &&
	    a->stage != STAGE_END &&
	    (is_change(a) || a->action == ACTION_IMPORT);
}

static void
await_shift(struct queue_answer *a)
{
	if (queue_shift_may_run(a->q))
		/* go on with it here, since the reader waits for that */
		queue_shift_run(a->q);
	else if (a->action == ACTION_IMPORT)
		queue_answer_stopped(a, queue_answer_no_disk);
	else
		queue_answer_error(a, queue_answer_no_disk);
}

int
queue_answer_next(struct queue_answer *a, const struct timeval *now,
    const char **buf_r, size_t *len_r)
{
	static void (*const steps[])(struct queue_answer *) = {
		[STAGE_BEGIN] = do_begin,
		[STAGE_NEW] = do_new,
		[STAGE_DEFERRED] = do_deferred,
		[STAGE_RAW] = queue_raw_next,
		[STAGE_INPUT] = do_input,
		[STAGE_END] = do_end,
	};

	if (a->stage == STAGE_OVER)
		return 0;
	a->len = 0;
	see_time(a, now);
	if (has_to_wait(a))
		await_shift(a);
	else
		steps[a->stage](a);
	/* a peer that sends does not read */
	a->nquiet = a->len == 0 && a->stage != STAGE_INPUT ? a->nquiet + 1 : 0;
	if (a->nquiet == QUIET_PIECES && a->stage != STAGE_OVER) {
		queue_answer_put(a, "\n");	/* white space, in JSON */
		a->nquiet = 0;
	}
	*buf_r = a->buf;
	*len_r = a->len;
	return 1;
}

static enum action
find_action(const char *s)
{
	static const char *const names[] = {
		[ACTION_LIST] = "list", [ACTION_SHOW] = "show",
		[ACTION_RETRY] = "retry", [ACTION_HOLD] = "hold",
		[ACTION_RELEASE] = "release", [ACTION_REMOVE] = "remove",
		[ACTION_BOUNCE] = "bounce", [ACTION_ROUTE] = "route",
		[ACTION_TOP] = "top", [ACTION_EXPORT] = "export",
		[ACTION_IMPORT] = "import", [ACTION_TLS] = "tls",
	};
	size_t i;

	for (i = 0; s != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], s) == 0)
			return (enum action)i;
	return ACTION_NONE;
}

/* The id that a request names, or what is wrong with it */
static const char *
parse_id(struct queue_answer *a, const json_t *value)
{
	const char *id = json_string_value(value);

	if (id != NULL && a->action != ACTION_SHOW && strcmp(id, "all") == 0)
		a->is_all = true;
	else if (id == NULL || spool_id_parse(id, strlen(id), &a->id) == -1 ||
	    a->id == 0)
		return "that is not a message ID: it has 13 digits and "
		    "letters, as \"mailmillctl queue list\" shows";
	return NULL;
}

static const char *
parse_by(struct queue_answer *a, const json_t *value)
{
	const char *name = json_string_value(value);
	int by = name != NULL ? queue_top_by(name) : -1;

	if (by == -1)
		return "counts are by domain, sender, error or target";
	a->top.by = (enum queue_top_by)by;
	return NULL;
}

static const char *
parse_limit(struct queue_answer *a, const json_t *value)
{
	json_int_t limit = json_integer_value(value);

	if (limit <= 0)
		return "the limit is a number of messages from 1 on";
	a->limit = limit > LIST_LIMIT_MAX ? LIST_LIMIT_MAX : (uint64_t)limit;
	return NULL;
}

static const char tls_domains[] = "counts of TLS are of all domains, or of one";

/* A member that is not understood may have been meant to leave something out. */
static const char *
parse_member(struct queue_answer *a, const char *name, json_t *value)
{
	if (strcmp(name, "command") == 0 || strcmp(name, "action") == 0)
		return NULL;
	if (strcmp(name, "id") == 0)
		return parse_id(a, value);
	if (strcmp(name, "filter") == 0 && a->action == ACTION_TLS &&
	    (json_object_size(value) != 1 ||
	    json_object_get(value, "domain") == NULL))
		return tls_domains;
	if (strcmp(name, "filter") == 0)
		return queue_filter_parse(&a->filter, value);
	if (strcmp(name, "limit") == 0)
		return parse_limit(a, value);
	if (strcmp(name, "by") == 0 && a->action == ACTION_TOP)
		return parse_by(a, value);
	if (strcmp(name, "reason") == 0 && a->action == ACTION_BOUNCE)
		return json_is_string(value) ? queue_bounce_reason(a,
		    json_string_value(value)) : "reason is a text";
	if (strcmp(name, "to") == 0 && a->action == ACTION_ROUTE)
		return queue_reroute_to(a, value);
	if (strcmp(name, "raw") == 0 && a->action == ACTION_SHOW) {
		a->is_raw = json_is_true(value);
		return json_is_boolean(value) ? NULL : "raw is true or false";
	}
	if (strcmp(name, "dry_run") != 0)
		return "the request has a member that is not known: this "
		    "server may be older than mailmillctl";
	a->is_dry = json_is_true(value);
	return json_is_boolean(value) ? NULL : "dry_run is true or false";
}

/* Does ${a} say what it is about, and once?  NULL, or what is wrong. */
static const char *
check_request(const struct queue_answer *a)
{
	int n = (a->id != 0) + a->is_all + a->filter.is_said;

	if (a->action == ACTION_IMPORT && n > 0)
		return "an import is of all that is sent";
	if (a->action == ACTION_IMPORT || (a->action == ACTION_EXPORT &&
	    n <= 1))
		return NULL;
	if (a->action == ACTION_TLS)
		return n == a->filter.is_said && (n == 0 || a->has_domain) ?
		    NULL : tls_domains;
	if (a->action == ACTION_LIST || a->action == ACTION_TOP)
		return a->id != 0 || a->is_all ? "lists and counts are of "
		    "all messages, or of those that a filter says" : NULL;
	if (n == 1 && (a->action != ACTION_SHOW || a->id != 0))
		return NULL;
	return a->action == ACTION_SHOW ? "the request names no message: give "
	    "the ID that \"mailmillctl queue list\" shows" :
	    "the request does not say which messages: give one of an ID, "
	    "\"all\" and a filter";
}

static void
parse_request(struct queue_answer *a, json_t *request)
{
	const char *name;
	json_t *value;

	a->action = find_action(json_string_value(
	    json_object_get(request, "action")));
	a->limit = a->action == ACTION_TOP ? TOP_LIMIT :
	    a->action == ACTION_EXPORT ? UINT64_MAX : LIST_LIMIT;
	if (a->action == ACTION_NONE) {
		a->error = "unknown action: use list, show, top, retry, "
		    "hold, release, remove, bounce, route, export, import or "
		    "tls";
		return;
	}
	json_object_foreach(request, name, value)
		if ((a->error = parse_member(a, name, value)) != NULL)
			return;
	a->has_domain = queue_filter_domain(&a->filter, a->domain) != NULL;
	a->error = check_request(a);
	if (a->error == NULL && a->action == ACTION_BOUNCE &&
	    a->reason == NULL)
		a->error = queue_bounce_reason(a, NULL);
	if (a->error == NULL && a->action == ACTION_ROUTE && a->route == NULL)
		a->error = "the request does not say where to: give the title "
		    "of a Domain section, or null for what the configuration "
		    "says";
	/* begin_message() counts: a message that is shown is one */
	if (a->action == ACTION_SHOW)
		a->limit = 1;
	if (a->action == ACTION_IMPORT &&
	    (a->import = queue_import_new()) == NULL)
		a->error = queue_answer_no_memory;
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
	json = json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL);
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
	queue_filter_free(&a->filter);
	queue_change_free(a);
	queue_top_free(&a->top);
	queue_import_free(a->import);
	free(a->is_done);
	free(a->buf);
	free(a);
}
