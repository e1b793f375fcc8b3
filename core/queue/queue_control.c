/* Requests of mailmillctl about the queue, and the answers in pieces.
 * Owns: what a request may say, the place an answer has got to.
 * An answer is made as its reader takes it: a list of a full queue is never in
 * memory.  Between two pieces the queue goes on, so a message that moves on
 * meanwhile may be missing or be there twice. */

#include "core/queue/queue_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"

#define LIST_LIMIT	10000	/* messages, when the request does not say */
#define LIST_LIMIT_MAX	10000000
#define SCAN_RECORDS	512	/* read for one piece */
#define DEFERRED_PAGE	64

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
		queue_answer_record(a, seg, view);
		return a->len < PIECE_OCTETS;
	}
	if (view->record.id != a->id)
		return true;
	a->is_found = true;
	if (a->action == ACTION_SHOW) {
		queue_answer_put(a, "{\"message\":");
		queue_answer_record(a, seg, view);
		queue_answer_put(a, "}\n");
		a->stage = STAGE_OVER;
	} else if (a->action == ACTION_REMOVE) {
		queue_answer_remove_record(a, seg, view);
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
	queue_answer_put_message(a, a->message);
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
		a->message = queue_answer_message(a, row->id, "deferred", row->sender,
		    row->received_us, row->octets);
		a->message_id = row->id;
		a->nrcpts = 0;
	}
	m = queue_message_find(a->q, row->id, true);
	for (i = 0; m != NULL && i < m->nrcpts; i++)
		if (m->rcpts[i].index == row->rcpt_index &&
		    m->rcpts[i].state == RCPT_SENT)
			state = "delivering";
	queue_answer_rcpt(a, a->message, a->nrcpts++, row->rcpt, state, row->attempts,
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
		    queue_answer_text(view.envelope.session));
		json_object_set_new(a->message, "client",
		    queue_answer_text(view.envelope.client));
		json_object_set_new(a->message, "helo",
		    queue_answer_text(view.envelope.helo));
	}
	spool_reader_free(r);
	close(fd);
}

static void
show_deferred(struct queue_answer *a)
{
	if (deferred_of(a->q->deferred, a->id, list_row, a) == -1) {
		queue_answer_error(a, queue_answer_no_disk);
		return;
	}
	a->stage = STAGE_END;
	if (a->message == NULL)
		return;
	add_session(a);
	queue_answer_put(a, "{\"message\":");
	end_message(a);
	queue_answer_put(a, "}\n");
	a->stage = STAGE_OVER;
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
		queue_answer_retry_deferred(a);
		return;
	case ACTION_REMOVE:
		queue_answer_remove_deferred(a);
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
