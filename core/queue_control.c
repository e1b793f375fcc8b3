/* Requests of mailmillctl about the queue, and the answers in pieces.
 * Owns: the JSON of queue.h, the place an answer has got to.
 * An answer is made as its reader takes it: a list of a full queue is never in
 * memory.  Between two pieces the queue goes on, so a message that moves on
 * meanwhile may be missing or be there twice. */

#include "core/queue_int.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/spool_id.h"
#include "core/stats.h"

#define LIST_LIMIT	10000	/* messages, when the request does not say */
#define LIST_LIMIT_MAX	10000000
#define LIST_RCPTS	100	/* of a message in a list */
#define PIECE_OCTETS	32768	/* sent at once, about */
#define SCAN_RECORDS	512	/* read for one piece */
#define DEFERRED_PAGE	64

enum stage { STAGE_BEGIN, STAGE_SEGMENTS, STAGE_DEFERRED, STAGE_END,
	STAGE_OVER };

enum action { ACTION_LIST, ACTION_SHOW, ACTION_RETRY, ACTION_REMOVE,
	ACTION_NONE };

struct queue_answer {
	struct queue	*q;
	enum action	 action;
	bool		 is_all;
	uint64_t	 id;
	uint64_t	 limit, nmessages;
	bool		 is_more;	/* the limit was reached */
	enum stage	 stage;
	const char	*error;		/* of the request */
	/* where the search of the segments is */
	uint64_t	 segment, generation, offset;
	struct spool_readbuf *readbuf;
	/* where the list of the deferred is */
	uint64_t	 deferred_id;
	uint32_t	 deferred_rcpt;
	json_t		*message;	/* being put together from rows */
	uint64_t	 message_id;
	size_t		 nrcpts;	/* of it */
	bool		 is_found;
	/* the piece */
	char		*buf;
	size_t		 len, room;
	int64_t		 now_s;
};

static void
put(struct queue_answer *a, const char *s, size_t len)
{
	size_t room = a->room == 0 ? PIECE_OCTETS : a->room;
	char *buf;

	while (room - a->len < len)
		room *= 2;
	if (room != a->room) {
		if ((buf = realloc(a->buf, room)) == NULL) {
			/* the reader sees that the JSON does not end */
			a->stage = STAGE_OVER;
			return;
		}
		a->buf = buf;
		a->room = room;
	}
	memcpy(a->buf + a->len, s, len);
	a->len += len;
}

static void
put_string(struct queue_answer *a, const char *s)
{
	put(a, s, strlen(s));
}

/* takes ${json} */
static void
put_json(struct queue_answer *a, json_t *json)
{
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);

	json_decref(json);
	if (text == NULL) {
		a->stage = STAGE_OVER;
		return;
	}
	put_string(a, text);
	free(text);
}

/* What mailmillctl prints must not be what a client sent byte for byte: JSON
 * wants UTF-8. */
static json_t *
text(const char *s)
{
	json_t *json;
	char *copy, *p;

	if (s == NULL)
		return json_null();
	if ((json = json_string(s)) != NULL || (copy = strdup(s)) == NULL)
		return json;
	for (p = copy; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

static void
end_with_error(struct queue_answer *a, const char *what)
{
	put_json(a, json_pack("{s:s}", "error", what));
	put_string(a, "\n");
	a->stage = STAGE_OVER;
}

static json_t *
message_json(const struct queue_answer *a, uint64_t id, const char *state,
    const char *sender, uint64_t received_us, uint64_t octets)
{
	char buf[SPOOL_ID_TEXT + 1];
	int64_t received = (int64_t)(received_us / 1000000);

	spool_id_text(id, buf);
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:[]}",
	    "id", buf, "state", state, "sender", text(sender),
	    "received", (json_int_t)received,
	    "age", (json_int_t)(a->now_s > received ? a->now_s - received : 0),
	    "octets", (json_int_t)octets, "recipients");
}

static void
add_rcpt(const struct queue_answer *a, json_t *message, size_t n,
    const char *rcpt, const char *state, uint32_t attempts,
    json_int_t next_attempt, const char *error)
{
	json_t *rcpts = json_object_get(message, "recipients");

	if (a->action == ACTION_LIST && n >= LIST_RCPTS) {
		json_object_set_new(message, "recipients_more",
		    json_integer((json_int_t)(n + 1 - LIST_RCPTS)));
		return;
	}
	json_array_append_new(rcpts, json_pack("{s:o, s:s, s:I, s:o, s:o}",
	    "recipient", text(rcpt), "state", state,
	    "attempts", (json_int_t)attempts,
	    "next_attempt", next_attempt == 0 ? json_null() :
	    json_integer(next_attempt), "last_error", text(error)));
}

static void
put_message(struct queue_answer *a, json_t *message)
{
	if (a->action == ACTION_LIST && a->nmessages > 0)
		put_string(a, ",\n");
	a->nmessages++;
	put_json(a, message);
}

/* Which recipients of a record are open, as far as is known */
static bool
rcpt_is_open(struct queue_segment *seg, const struct queue_message *m,
    uint32_t seq, uint32_t index, const struct queue_rcpt **rcpt_r)
{
	struct queue_partial *p;
	uint32_t i;

	*rcpt_r = NULL;
	if (m != NULL) {
		if (index >= m->nrcpts)
			return false;
		*rcpt_r = &m->rcpts[index];
		return (*rcpt_r)->state != RCPT_DONE;
	}
	p = queue_partial_find(seg, seq);
	for (i = 0; p != NULL && i < p->n; i++)
		if (p->rcpts[i] == index)
			return false;
	return true;
}

/* A record that is not done, as a message of the answer */
static void
put_record(struct queue_answer *a, struct queue_segment *seg,
    const struct spool_view *view)
{
	const struct spool_envelope_view *env = &view->envelope;
	const struct queue_message *m;
	const struct queue_rcpt *r;
	const char *cursor = NULL, *rcpt;
	json_t *message;
	size_t n = 0;
	uint32_t i;

	m = queue_message_find(a->q, view->record.id, false);
	message = message_json(a, view->record.id, "active", env->sender,
	    view->record.received_us, view->record.body_octets);
	for (i = 0; (rcpt = spool_envelope_rcpt_next(env, &cursor)) != NULL;
	    i++) {
		if (!rcpt_is_open(seg, m, view->record.seq, i, &r))
			continue;
		add_rcpt(a, message, n++, rcpt,
		    r != NULL && r->state == RCPT_SENT ? "delivering" :
		    "waiting", m == NULL ? seg->nrewinds : 0,
		    m == NULL ? seg->rewind_ms / 1000 : 0,
		    m == NULL ? seg->last_error : r->error);
	}
	if (a->action == ACTION_SHOW && message != NULL) {
		json_object_set_new(message, "session", text(env->session));
		json_object_set_new(message, "client", text(env->client));
		json_object_set_new(message, "helo", text(env->helo));
	}
	put_message(a, message);
}

/* Whether an agent has any recipient of ${m} */
static bool
is_sent(const struct queue_message *m)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state != RCPT_WAITING &&
		    m->rcpts[i].state != RCPT_DONE)
			return true;
	return false;
}

static const char busy[] =
    "the message is being delivered right now: try again in a moment";
static const char no_disk[] =
    "the queue cannot write to its disk: see the log, make room, try again";

static void
log_removed(uint64_t id, const char *rcpt)
{
	char buf[SPOOL_ID_TEXT + 1];

	spool_id_text(id, buf);
	stats_inc(STATS_REMOVED);
	log_event(LOG_LEVEL_NOTICE, "removed", "id=%s rcpt=%s by=%s", buf, rcpt,
	    "mailmillctl");
}

static void
end_with_count(struct queue_answer *a, const char *what, uint64_t n)
{
	put_json(a, json_pack("{s:I}", what, (json_int_t)n));
	put_string(a, "\n");
	a->stage = STAGE_OVER;
}

/* Make what the log says durable.  A second try on a log whose flush has
 * failed begins a new one. */
static bool
flush_log(struct queue *q)
{
	if (acklog_is_synced(q->acklog))
		return true;
	queue_maintain_log(q);
	return acklog_is_synced(q->acklog) || !q->config.is_synced;
}

/* Take a record out of its segment: it counts as done. */
static void
remove_record(struct queue_answer *a, struct queue_segment *seg,
    const struct spool_view *view)
{
	struct queue_message *m;
	const struct queue_rcpt *r;
	const char *cursor = NULL, *rcpt;
	uint64_t n = 0;
	uint32_t i;

	m = queue_message_find(a->q, view->record.id, false);
	if (m != NULL && is_sent(m)) {
		end_with_error(a, busy);
		return;
	}
	for (i = 0; (rcpt = spool_envelope_rcpt_next(&view->envelope,
	    &cursor)) != NULL; i++)
		if (rcpt_is_open(seg, m, view->record.seq, i, &r)) {
			log_removed(view->record.id, rcpt);
			n++;
		}
	if (m != NULL) {
		for (i = 0; i < m->nrcpts; i++)
			if (m->rcpts[i].state == RCPT_WAITING) {
				m->nwaiting--;
				queue_rcpt_done(a->q, m, &m->rcpts[i]);
			}
		queue_message_check(a->q, m);
	} else {
		queue_segment_set_done(seg, view->record.seq,
		    view->record.seq);
		queue_partial_drop(seg, view->record.seq);
		queue_ack(a->q, seg, view->record.seq, view->record.seq,
		    ACKLOG_ALL);
	}
	a->nmessages += n;
	if (!flush_log(a->q))
		end_with_error(a, no_disk);
}

/* A record on the way through a segment.  Return whether to go on. */
static bool
see_record(struct queue_answer *a, struct queue_segment *seg,
    const struct spool_view *view)
{
	if (view->record.seq > QUEUE_SEQ_MAX ||
	    queue_segment_is_done(seg, view->record.seq))
		return true;
	if (a->action == ACTION_LIST) {
		if (a->nmessages == a->limit) {
			a->is_more = true;
			a->stage = STAGE_END;
			return false;
		}
		put_record(a, seg, view);
		return a->len < PIECE_OCTETS;
	}
	if (view->record.id != a->id)
		return true;
	a->is_found = true;
	if (a->action == ACTION_SHOW) {
		put_string(a, "{\"message\":");
		put_record(a, seg, view);
		put_string(a, "}\n");
		a->stage = STAGE_OVER;
	} else if (a->action == ACTION_REMOVE) {
		remove_record(a, seg, view);
		if (a->stage != STAGE_OVER)
			a->stage = STAGE_DEFERRED;
	} else {
		/* what is stuck is tried again at once */
		if (seg->rewind_ms != 0)
			seg->rewind_ms = a->q->now_ms;
		a->nmessages += view->envelope.nrcpts;
		a->stage = STAGE_DEFERRED;
	}
	return false;
}

/* The segment the search is in; the next one when it is through or gone */
static struct queue_segment *
current_segment(struct queue_answer *a)
{
	struct queue_segment key = { .id = a->segment };
	struct queue_segment *seg;

	seg = RB_NFIND(queue_segments, &a->q->segments, &key);
	if (seg == NULL)
		return NULL;
	if (seg->id != a->segment || seg->generation != a->generation) {
		a->segment = seg->id;
		a->generation = seg->generation;
		a->offset = SPOOL_PAGE;
	}
	return seg;
}

/* Look at records of one segment.  Return whether it is through. */
static bool
search_segment(struct queue_answer *a, struct queue_segment *seg)
{
	struct spool_reader *r = NULL;
	struct spool_header header;
	struct spool_damage damage;
	struct spool_view view;
	bool is_through = true;
	unsigned int i;
	int fd, rc;

	if (seg->is_unusable || !seg->is_present)
		return true;
	fd = spool_segment_open(a->q->config.incoming_dirfd, seg->id, &header);
	if (fd == -1 || header.generation != seg->generation)
		goto out;
	r = spool_reader_new(fd, a->readbuf, SPOOL_READ_TRUST_BODY);
	if (r == NULL)
		goto out;
	spool_reader_seek(r, a->offset);
	for (i = 0; i < SCAN_RECORDS; i++) {
		rc = spool_reader_next(r, seg->limit, &view, &damage);
		if (rc == -1 && errno == EBADMSG)
			continue;
		if (rc != 1)
			goto out;
		if (!see_record(a, seg, &view)) {
			/* a list that is full has not shown this one */
			is_through = false;
			break;
		}
	}
	is_through = is_through && i < SCAN_RECORDS;
	a->offset = spool_reader_tell(r);
out:
	spool_reader_free(r);
	if (fd != -1)
		close(fd);
	return is_through;
}

static void
do_segments(struct queue_answer *a)
{
	struct queue_segment *seg = current_segment(a);

	if (seg == NULL) {
		a->stage = STAGE_DEFERRED;
		return;
	}
	if (!search_segment(a, seg) || a->stage != STAGE_SEGMENTS)
		return;
	if (a->segment == UINT64_MAX)
		a->stage = STAGE_DEFERRED;
	a->segment++;
	a->generation = 0;
	a->offset = SPOOL_PAGE;
}

static void
end_message(struct queue_answer *a)
{
	if (a->message == NULL)
		return;
	put_message(a, a->message);
	a->message = NULL;
}

static int
list_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;
	struct queue_message *m;
	const char *state = "deferred";
	uint32_t i;

	if (a->message == NULL || row->id != a->message_id) {
		end_message(a);
		if (a->nmessages >= a->limit) {
			a->is_more = true;
			return -1;
		}
		a->message = message_json(a, row->id, "deferred", row->sender,
		    row->received_us, row->octets);
		a->message_id = row->id;
		a->nrcpts = 0;
	}
	m = queue_message_find(a->q, row->id, true);
	for (i = 0; m != NULL && i < m->nrcpts; i++)
		if (m->rcpts[i].index == row->rcpt_index &&
		    m->rcpts[i].state == RCPT_SENT)
			state = "delivering";
	add_rcpt(a, a->message, a->nrcpts++, row->rcpt, state, row->attempts,
	    row->next_attempt, row->last_error);
	a->deferred_id = row->id;
	a->deferred_rcpt = row->rcpt_index;
	return 0;
}

static void
list_deferred(struct queue_answer *a)
{
	int n = deferred_page(a->q->deferred, a->deferred_id,
	    a->deferred_rcpt, DEFERRED_PAGE, list_row, a);

	if (n == DEFERRED_PAGE && !a->is_more)
		return;
	end_message(a);
	a->stage = STAGE_END;
}

/* Session, client and HELO are in the message's file alone. */
static void
add_session(struct queue_answer *a)
{
	int fd = deferred_file_open(a->q->deferred, a->id);
	struct spool_damage damage;
	struct spool_reader *r;
	struct spool_view view;

	if (fd == -1)
		return;
	r = spool_reader_new(fd, a->readbuf, SPOOL_READ_TRUST_BODY);
	if (r != NULL && spool_reader_at(r, SPOOL_PAGE, &view, &damage) == 1) {
		json_object_set_new(a->message, "session",
		    text(view.envelope.session));
		json_object_set_new(a->message, "client",
		    text(view.envelope.client));
		json_object_set_new(a->message, "helo",
		    text(view.envelope.helo));
	}
	spool_reader_free(r);
	close(fd);
}

static void
show_deferred(struct queue_answer *a)
{
	if (deferred_of(a->q->deferred, a->id, list_row, a) == -1) {
		end_with_error(a, no_disk);
		return;
	}
	a->stage = STAGE_END;
	if (a->message == NULL)
		return;
	add_session(a);
	put_string(a, "{\"message\":");
	end_message(a);
	put_string(a, "}\n");
	a->stage = STAGE_OVER;
}

static void
retry_deferred(struct queue_answer *a)
{
	int n = deferred_hurry(a->q->deferred, a->is_all ? 0 : a->id,
	    a->now_s);

	if (n == -1) {
		end_with_error(a, no_disk);
		return;
	}
	a->nmessages += (uint64_t)n;
	a->q->due_ms = a->q->now_ms;
	a->is_found = a->is_found || n > 0 || a->is_all;
	a->stage = STAGE_END;
}

static int
remove_row(void *closure, const struct deferred_row *row)
{
	struct queue_answer *a = closure;

	if (deferred_drop(a->q->deferred, row->id, row->rcpt_index) == -1)
		return -1;
	log_removed(row->id, row->rcpt);
	a->nmessages++;
	a->is_found = true;
	return 0;
}

static void
remove_deferred(struct queue_answer *a)
{
	struct queue_message *m = queue_message_find(a->q, a->id, true);
	uint64_t before = a->nmessages;

	a->stage = STAGE_END;
	if (m != NULL && is_sent(m)) {
		end_with_error(a, busy);
		return;
	}
	if (deferred_has(a->q->deferred, a->id, DEFERRED_ANY) == 0)
		return;
	/* The log first: without it the record might come back. */
	if (!flush_log(a->q) || deferred_begin(a->q->deferred) == -1) {
		end_with_error(a, no_disk);
		return;
	}
	if (deferred_of(a->q->deferred, a->id, remove_row, a) == -1 ||
	    a->nmessages == before) {
		deferred_rollback(a->q->deferred);
		end_with_error(a, no_disk);
		return;
	}
	if (deferred_commit(a->q->deferred) == -1) {
		end_with_error(a, no_disk);
		return;
	}
	if (m != NULL)
		queue_message_free(a->q, m);
	deferred_file_remove(a->q->deferred, a->id);
}

static void
do_deferred(struct queue_answer *a)
{
	switch (a->action) {
	case ACTION_LIST:
		list_deferred(a);
		return;
	case ACTION_SHOW:
		show_deferred(a);
		return;
	case ACTION_RETRY:
		retry_deferred(a);
		return;
	case ACTION_REMOVE:
		remove_deferred(a);
		return;
	case ACTION_NONE:
		break;
	}
	a->stage = STAGE_OVER;
}

static void
do_end(struct queue_answer *a)
{
	a->stage = STAGE_OVER;
	if (a->action == ACTION_LIST) {
		put_string(a, "],\"more\":");
		put_string(a, a->is_more ? "true}\n" : "false}\n");
	} else if (!a->is_found)
		end_with_error(a, "there is no such message in the queue: it "
		    "was delivered or removed, or the ID is wrong; "
		    "\"mailmillctl queue list\" shows those there are");
	else
		end_with_count(a, a->action == ACTION_RETRY ? "retried" :
		    "removed", a->nmessages);
}

static void
do_begin(struct queue_answer *a)
{
	if (a->error != NULL) {
		end_with_error(a, a->error);
		return;
	}
	if (a->action == ACTION_LIST)
		put_string(a, "{\"messages\":[");
	a->stage = STAGE_SEGMENTS;
	if (a->is_all) {
		struct queue_segment *seg;

		RB_FOREACH (seg, queue_segments, &a->q->segments)
			if (seg->rewind_ms != 0)
				seg->rewind_ms = a->q->now_ms;
		a->stage = STAGE_DEFERRED;
	}
}

int
queue_answer_next(struct queue_answer *a, const struct timeval *now,
    const char **buf_r, size_t *len_r)
{
	a->len = 0;
	a->now_s = now->tv_sec;
	a->q->now_ms = queue_ms(now);
	switch (a->stage) {
	case STAGE_BEGIN:
		do_begin(a);
		break;
	case STAGE_SEGMENTS:
		do_segments(a);
		break;
	case STAGE_DEFERRED:
		do_deferred(a);
		break;
	case STAGE_END:
		do_end(a);
		break;
	case STAGE_OVER:
		return 0;
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
	a->offset = SPOOL_PAGE;
	if ((a->readbuf = spool_readbuf_new()) == NULL) {
		free(a);
		return NULL;
	}
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
	spool_readbuf_free(a->readbuf);
	free(a->buf);
	free(a);
}
