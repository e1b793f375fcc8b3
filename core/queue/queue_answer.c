/* Answers about the queue as JSON.
 * Owns: the piece of an answer that is being made, how a message looks in it.
 * Knows nothing of requests. */

#include "core/queue/queue_answer.h"

#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_id.h"
#include "core/util/array.h"

#define LIST_RCPTS	100	/* of a message in a list */

char *
queue_answer_room(struct queue_answer *a, size_t len)
{
	char *buf = array_fit(a->buf, &a->room, a->len + len, 1);

	if (buf == NULL) {
		/* the reader sees that the answer does not end */
		a->stage = STAGE_OVER;
		return NULL;
	}
	a->buf = buf;
	return buf + a->len;
}

void
queue_answer_put(struct queue_answer *a, const char *s)
{
	size_t len = strlen(s);
	char *p = queue_answer_room(a, len);

	if (p == NULL)
		return;
	memcpy(p, s, len);
	a->len += len;
}

void
queue_answer_put_json(struct queue_answer *a, json_t *json)
{
	char *dump = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);

	json_decref(json);
	if (dump == NULL) {
		a->stage = STAGE_OVER;
		return;
	}
	queue_answer_put(a, dump);
	free(dump);
}

/* ${json} is the whole answer, or the rest of it; takes it. */
static void
put_last(struct queue_answer *a, json_t *json)
{
	queue_answer_put_json(a, json);
	queue_answer_put(a, "\n");
	a->stage = STAGE_OVER;
}

bool
queue_answer_is_list(const struct queue_answer *a)
{
	return a->action == ACTION_LIST || a->action == ACTION_TLS;
}

void
queue_answer_error(struct queue_answer *a, const char *what)
{
	put_last(a, json_pack("{s:s}", "error", what));
}

void
queue_answer_unreadable(struct queue_answer *a)
{
	if (!queue_answer_is_list(a)) {
		queue_answer_error(a, "the queue cannot read its database: "
		    "see the log");
		return;
	}
	a->error = "the list ends here, since the queue cannot read its "
	    "database: see the log";
	a->stage = STAGE_END;
}

void
queue_answer_changed(struct queue_answer *a)
{
	static const char *const words[] = { [ACTION_RETRY] = "retried",
		[ACTION_HOLD] = "held", [ACTION_RELEASE] = "released",
		[ACTION_REMOVE] = "removed", [ACTION_BOUNCE] = "bounced",
		[ACTION_ROUTE] = "routed", [ACTION_IMPORT] = "imported" };
	json_t *json = json_pack("{s:I, s:I}", words[a->action],
	    (json_int_t)a->nchanged, "messages", (json_int_t)a->nmessages);

	if (a->nbusy > 0)
		json_object_set_new(json, "busy",
		    json_integer((json_int_t)a->nbusy));
	if (a->is_dry)
		json_object_set_new(json, "dry_run", json_true());
	put_last(a, json);
}

void
queue_answer_stopped(struct queue_answer *a, const char *why)
{
	put_last(a, json_pack("{s:s, s:I, s:I}", "error", why, "imported",
	    (json_int_t)a->nchanged, "messages", (json_int_t)a->nmessages));
}

void
queue_answer_exported(struct queue_answer *a)
{
	put_last(a, json_pack("{s:I, s:I}", "messages",
	    (json_int_t)a->nmessages, "incomplete", (json_int_t)a->ncut));
}

void
queue_answer_top(struct queue_answer *a)
{
	json_t *json = queue_top_json(&a->top, a->limit);

	if (a->top.by == QUEUE_TOP_TARGET)
		queue_answer_targets(a, json_object_get(json, "top"));
	put_last(a, json);
}

json_t *
queue_answer_message(const struct queue_answer *a, uint64_t id, const char *state,
    const char *sender, uint64_t received_us, uint64_t octets)
{
	char buf[SPOOL_ID_TEXT + 1];
	int64_t received = (int64_t)(received_us / 1000000);

	spool_id_text(id, buf);
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:[]}",
	    "id", buf, "state", state, "sender", queue_answer_text(sender),
	    "received", (json_int_t)received,
	    "age", (json_int_t)(a->now_s > received ? a->now_s - received : 0),
	    "octets", (json_int_t)octets, "recipients");
}

/* They are not exported: another server begins anew, and its line has a bound. */
static void
put_tries(json_t *rcpt, const struct queue_answer_rcpt *of)
{
	json_object_set_new(rcpt, "attempts", json_integer(of->attempts));
	json_object_set_new(rcpt, "next_attempt", of->next_attempt == 0 ?
	    json_null() : json_integer(of->next_attempt));
	json_object_set_new(rcpt, "last_error", queue_answer_text(of->error));
}

void
queue_answer_rcpt(const struct queue_answer *a, json_t *message, size_t n,
    const struct queue_answer_rcpt *of)
{
	json_t *rcpts = json_object_get(message, "recipients"), *json;

	if (a->action == ACTION_LIST && n >= LIST_RCPTS) {
		json_object_set_new(message, "recipients_more",
		    json_integer((json_int_t)(n + 1 - LIST_RCPTS)));
		return;
	}
	json = json_pack("{s:o, s:s}", "recipient", queue_answer_text(of->rcpt),
	    "state", of->state);
	if (of->route != NULL && of->route[0] != '\0')
		json_object_set_new(json, "route",
		    queue_answer_text(of->route));
	if (a->action != ACTION_EXPORT)
		put_tries(json, of);
	if (a->action != ACTION_LIST)
		json_object_set_new(json, "index", json_integer(of->index));
	json_array_append_new(rcpts, json);
}

void
queue_answer_put_message(struct queue_answer *a, json_t *message)
{
	if (a->action == ACTION_SHOW) {
		put_last(a, json_pack("{s:o}", "message", message));
		return;
	}
	if (a->nmessages++ > 0 && a->action == ACTION_LIST)
		queue_answer_put(a, ",\n");
	queue_answer_put_json(a, message);
	if (a->action == ACTION_EXPORT)
		queue_answer_put(a, "\n");
}

struct done {
	bool		*is_done;
	uint32_t	 n;
};

static int
note_row(void *closure, const struct deferred_row *row)
{
	const struct done *done = closure;

	if (row->rcpt_index < done->n)
		done->is_done[row->rcpt_index] = true;
	return 0;
}

/* Those that have rows are no part of the new message, also if a crash has lost what
 * was acknowledged. */
static int
find_rows(const struct queue_answer *a, struct queue_place place,
    struct done *done)
{
	struct deferred_query of = { .what = DEFERRED_OF };
	int rc = a->q->store_ops->find(a->q->store, &place);

	of.id = place.kept_id;
	if (rc == 1)
		rc = a->q->store_ops->rows(a->q->store, &of, note_row, done);
	return rc == -1 ? -1 : 0;
}

int
queue_answer_find(struct queue_answer *a, const struct queue_record *record,
    struct queue_message **m_r)
{
	struct done done = { .n = record->envelope->nrcpts };
	const uint32_t *known;
	uint32_t i, n;

	if ((*m_r = queue_message_at(a->q, &record->place)) != NULL)
		return 0;
	done.is_done = array_fit(a->is_done, &a->done_room, done.n,
	    sizeof(done.is_done[0]));
	if (done.is_done == NULL) {
		queue_answer_error(a, queue_answer_no_memory);
		return -1;
	}
	a->is_done = done.is_done;
	memset(done.is_done, 0, done.n * sizeof(done.is_done[0]));
	known = a->q->store_ops->acknowledged(a->q->store, &record->place, &n);
	for (i = 0; i < n; i++)
		if (known[i] < done.n)
			done.is_done[known[i]] = true;
	if (!record->may_have_rows || find_rows(a, record->place, &done) == 0)
		return 0;
	queue_answer_unreadable(a);
	return -1;
}

/* Is a recipient of a new message open, as far as queue_answer_find() knows? */
static bool
is_open(const struct queue_answer *a, struct queue_message *m, uint32_t index,
    struct queue_rcpt **rcpt_r)
{
	*rcpt_r = NULL;
	if (m == NULL)
		return !a->is_done[index];
	if (index >= m->nrcpts)
		return false;
	*rcpt_r = &m->rcpts[index];
	return (*rcpt_r)->state != RCPT_DONE;
}

static const char *
record_state(const struct queue_rcpt *r)
{
	return r != NULL && r->state == RCPT_SENT ? "delivering" : "waiting";
}

bool
queue_answer_has_record(const struct queue_answer *a,
    const struct queue_record *record)
{
	if (a->id != 0)
		return record->place.id == a->id;
	return queue_filter_message(&a->filter, a->now_s,
	    record->envelope->sender, record->received_us, record->octets);
}

/* What was said of ${r}, which is NULL if the message is not in memory */
static const char *
error_of(const struct queue_rcpt *r, const struct queue_record *record)
{
	if (r == NULL)
		return record->last_error;
	return r->reply != NULL ? r->reply->said : NULL;
}

bool
queue_answer_record_rcpt(const struct queue_answer *a,
    struct queue_message *m, const struct queue_record *record, uint32_t i,
    const char *rcpt, struct queue_rcpt **r_r)
{
	return is_open(a, m, i, r_r) &&
	    queue_filter_rcpt(&a->filter, rcpt, record_state(*r_r),
	    error_of(*r_r, record));
}

void
queue_answer_session(json_t *message, const struct queue_record *record)
{
	const struct spool_envelope_view *env = record->envelope;

	json_object_set_new(message, "session",
	    queue_answer_text(env->session));
	json_object_set_new(message, "client", queue_answer_text(env->client));
	json_object_set_new(message, "helo", queue_answer_text(env->helo));
	queue_answer_said(message, env);
}

void
queue_answer_record(struct queue_answer *a, const struct queue_record *record)
{
	const struct spool_envelope_view *env = record->envelope;
	struct queue_message *m;
	struct queue_rcpt *r;
	const char *cursor = NULL, *rcpt;
	json_t *message;
	size_t n = 0;
	uint32_t i;

	if (queue_answer_find(a, record, &m) == -1)
		return;
	message = queue_answer_message(a, record->place.id, "active",
	    env->sender, record->received_us, record->octets);
	for (i = 0; (rcpt = spool_envelope_rcpt_next(env, &cursor)) != NULL;
	    i++) {
		if (!queue_answer_record_rcpt(a, m, record, i, rcpt, &r))
			continue;
		queue_answer_rcpt(a, message, n++, &(struct queue_answer_rcpt){
		    .index = i, .rcpt = rcpt, .state = record_state(r),
		    .attempts = m == NULL ? record->attempts : 0,
		    .next_attempt = m == NULL && record->again_ms != 0 ?
		    (record->again_ms - a->q->now_ms + a->q->wall_ms) / 1000 :
		    0, .error = error_of(r, record) });
		if (a->action == ACTION_SHOW)
			queue_answer_target_of(a, message, r,
			    &(struct queue_addressee){ .rcpt = rcpt,
			    .sender = env->sender });
	}
	if (n == 0) {
		json_decref(message);
		return;
	}
	queue_answer_terms(message, &(struct queue_terms){
	    .hold_until = env->hold_until, .deliver_by = env->deliver_by,
	    .priority = env->priority, .flags = env->flags });
	if (a->action != ACTION_LIST && message != NULL)
		queue_answer_session(message, record);
	queue_answer_put_message(a, message);
}

int
queue_answer_count(struct queue_answer *a, const struct queue_record *record)
{
	const struct spool_envelope_view *env = record->envelope;
	struct queue_top_what what = { .sender = env->sender,
		.age_s = a->now_s - (int64_t)(record->received_us / 1000000) };
	char target[QUEUE_TARGET_NAME];
	struct queue_message *m;
	struct queue_rcpt *r;
	const char *cursor = NULL;
	uint32_t i;

	if (queue_answer_find(a, record, &m) == -1)
		return -1;
	for (i = 0; (what.rcpt = spool_envelope_rcpt_next(env, &cursor)) !=
	    NULL; i++) {
		if (!queue_answer_record_rcpt(a, m, record, i, what.rcpt, &r))
			continue;
		what.error = error_of(r, record);
		if (a->top.by == QUEUE_TOP_TARGET)
			what.target = queue_answer_target_name(a, r,
			    &(struct queue_addressee){ .rcpt = what.rcpt,
			    .sender = env->sender }, target);
		if (queue_top_add(&a->top, &what) == -1) {
			queue_answer_error(a, queue_answer_no_memory);
			return -1;
		}
	}
	return 0;
}
