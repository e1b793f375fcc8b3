/* "import": messages that "export" has written become deferred ones, due at once.
 * Owns: the reading of that stream, piece by piece; what of it is believed.
 * Of each message there is a line of JSON, the octets of the message, and a line that
 * says whether these are complete; the last line says how many messages there were.
 * A message is taken as a whole, on disk, when its last line has come; it gets a new
 * id.  If the stream ends early, what was taken stays. */

#include "core/queue/queue_answer.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/queue/queue_import.h"
#include "core/spool/spool_id.h"
#include "core/util/array.h"
#include "core/util/fileio.h"

#define LINE_MAX_OCTETS	(16 * LIM_ENVELOPE)	/* what is exported fits: the shortest recipient has 4 octets in an envelope, and up to 56 in JSON */

enum import_state {
	IMPORT_HEAD,		/* a line of JSON begins a message, or ends all */
	IMPORT_BODY,
	IMPORT_TAIL,		/* an empty line, and one of JSON */
	IMPORT_OVER
};

struct queue_import {
	enum import_state state;
	char		*line;
	size_t		 len, room;
	json_t		*head;		/* of the message in progress */
	int		 fd;		/* its octets; -1: none */
	struct spool_sum *sum;
	uint64_t	 octets, left;
	bool		 has_gap;	/* the empty line has come */
	char		*rest;		/* of the octets that were fed, owned */
	size_t		 rest_len, rest_used, rest_room;
	char		 error[256];
};

struct queue_import *
queue_import_new(void)
{
	struct queue_import *im = calloc(1, sizeof(*im));

	if (im == NULL)
		return NULL;
	im->fd = -1;
	if ((im->sum = spool_sum_new()) != NULL)
		return im;
	free(im);
	return NULL;
}

static void
end_message(struct queue_import *im)
{
	json_decref(im->head);
	im->head = NULL;
	fileio_close(im->fd);
	im->fd = -1;
}

void
queue_import_free(struct queue_import *im)
{
	if (im == NULL)
		return;
	end_message(im);
	spool_sum_free(im->sum);
	free(im->line);
	free(im->rest);
	free(im);
}

const char *
queue_import_error(const struct queue_import *im)
{
	return im->error[0] != '\0' ? im->error : NULL;
}

bool
queue_import_is_over(const struct queue_import *im)
{
	return im->state == IMPORT_OVER || im->error[0] != '\0';
}

/* What is wrong with message number ${n} */
static int
wrong(struct queue_import *im, uint64_t n, const char *what)
{
	snprintf(im->error, sizeof(im->error), "message %llu: %s",
	    (unsigned long long)n, what);
	return -1;
}

/* --- the envelope ---------------------------------------------------------- */

struct envelope {
	struct spool_envelope env;
	const char	**rcpts, **orcpts;
	uint8_t		*notify;
};

static int64_t
number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *
text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static bool
is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static unsigned int
flags_of(const json_t *o)
{
	const char *body = text(o, "body"), *ret = text(o, "ret");
	const char *mode = text(o, "deliver_by_mode");
	unsigned int flags = 0;

	if (body != NULL)
		flags |= strcmp(body, "binarymime") == 0 ?
		    SPOOL_ENV_BINARYMIME : SPOOL_ENV_8BITMIME;
	if (ret != NULL)
		flags |= strcmp(ret, "full") == 0 ? SPOOL_ENV_RET_FULL :
		    SPOOL_ENV_RET_HDRS;
	if (mode != NULL && strcmp(mode, "return") == 0)
		flags |= SPOOL_ENV_BY_RETURN;
	flags |= is_true(o, "smtputf8") ? SPOOL_ENV_SMTPUTF8 : 0;
	flags |= is_true(o, "require_tls") ? SPOOL_ENV_REQUIRETLS : 0;
	flags |= is_true(o, "tls_optional") ? SPOOL_ENV_TLS_OPTIONAL : 0;
	flags |= is_true(o, "deliver_by_trace") ? SPOOL_ENV_BY_TRACE : 0;
	flags |= is_true(o, "expanded") ? SPOOL_ENV_EXPANDED : 0;
	flags |= is_true(o, "tls_report") ? SPOOL_ENV_TLS_REPORT : 0;
	flags |= is_true(o, "hold_for") ? SPOOL_ENV_HOLD_FOR : 0;
	return flags;
}

static uint8_t
notify_of(const json_t *list)
{
	static const char *const words[] = { "never", "success", "failure",
		"delay" };
	const char *word;
	unsigned int notify = 0;
	size_t i, k;

	for (i = 0; i < json_array_size(list); i++) {
		word = json_string_value(json_array_get(list, i));
		for (k = 0; word != NULL && k < 4; k++)
			notify |= strcmp(word, words[k]) == 0 ? 1U << k : 0;
	}
	return (uint8_t)notify;
}

static void
envelope_free(struct envelope *e)
{
	free(e->rcpts);
	free(e->orcpts);
	free(e->notify);
}

/* Return 0, or -1: no recipient, one without an address, or no memory. */
static int
envelope_fill(struct envelope *e, const json_t *head)
{
	const json_t *rcpts = json_object_get(head, "recipients"), *r;
	size_t i, n = json_array_size(rcpts);
	const char *const s[] = { text(head, "sender"), text(head, "session"),
		text(head, "client"), text(head, "helo") };

	*e = (struct envelope){
		.rcpts = calloc(n, sizeof(e->rcpts[0])),
		.orcpts = calloc(n, sizeof(e->orcpts[0])),
		.notify = calloc(n, 1),
	};
	if (n == 0 || s[0] == NULL || e->rcpts == NULL || e->orcpts == NULL ||
	    e->notify == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		r = json_array_get(rcpts, i);
		e->orcpts[i] = text(r, "orcpt");
		e->notify[i] = notify_of(json_object_get(r, "notify"));
		if ((e->rcpts[i] = text(r, "recipient")) == NULL ||
		    *e->rcpts[i] == '\0')
			return -1;
	}
	e->env = (struct spool_envelope){
		.sender = s[0], .session = s[1] != NULL ? s[1] : "",
		.client = s[2] != NULL ? s[2] : "",
		.helo = s[3] != NULL ? s[3] : "",
		.rcpts = e->rcpts, .nrcpts = n, .flags = flags_of(head),
		.envid = text(head, "envid"), .solicit = text(head, "solicit"),
		.hold_until = number(head, "hold_until"),
		.deliver_by = number(head, "deliver_by"),
		.priority = (int)number(head, "priority"),
		.notify = e->notify, .orcpts = e->orcpts,
	};
	return 0;
}

/* --- one message ------------------------------------------------------------ */

/* A row for each recipient of ${view}.  Allocated, or NULL. */
static struct deferred_row *
make_rows(const struct queue_answer *a, const struct queue_import *im,
    const struct spool_view *view)
{
	const struct spool_envelope_view *env = &view->envelope;
	const json_t *rcpts = json_object_get(im->head, "recipients");
	struct deferred_row *rows = calloc(env->nrcpts, sizeof(rows[0]));
	const char *cursor = NULL, *state;
	uint32_t i;

	for (i = 0; rows != NULL && i < env->nrcpts; i++) {
		state = text(json_array_get(rcpts, i), "state");
		rows[i] = (struct deferred_row){
			.rcpt_index = i, .sender = env->sender,
			.rcpt = spool_envelope_rcpt_next(env, &cursor),
			.transport = "",
			.received_us = view->record.received_us,
			.octets = view->record.body_octets,
			.next_attempt = MAX(a->now_s, env->hold_until),
			.hold_until = env->hold_until,
			.deliver_by = env->deliver_by,
			.priority = env->priority, .flags = env->flags,
			.since = (int64_t)(view->record.received_us / 1000000),
			.notify = DEFERRED_NOTIFY_UNKNOWN,
			.is_on_hold = state != NULL &&
			    strcmp(state, "hold") == 0,
			.route = text(json_array_get(rcpts, i), "route"),
		};
	}
	return rows;
}

/* Store the message whose envelope is ${len} octets of ${octets}.  Return 0, or -1
 * with errno. */
static int
store(struct queue_answer *a, struct queue_import *im, const char *octets,
    size_t len)
{
	int64_t received = number(im->head, "received");
	struct spool_view view = { .record = {
		.flags = SPOOL_RECORD_LARGE,
		.received_us = received > 0 && received <= a->now_s ?
		    (uint64_t)received * 1000000 : (uint64_t)a->now_s * 1000000,
		.envelope_octets = (uint32_t)len,
		.envelope_sum = spool_sum(octets, len),
		.body_octets = im->octets,
		.body_sum = spool_sum_get(im->sum),
	} };
	struct deferred_row *rows;
	char text_id[SPOOL_ID_TEXT + 1];
	const char *from = text(im->head, "id");
	uint64_t id;
	int rc = -1;

	if (spool_envelope_decode(octets, len, &view.envelope) == -1)
		return -1;
	if ((rows = make_rows(a, im, &view)) == NULL)
		return -1;
	rc = a->q->store_ops->import(a->q->store, &view, im->fd, rows,
	    view.envelope.nrcpts, &id);
	if (rc == 0) {
		spool_id_text(id, text_id);
		log_event(LOG_LEVEL_NOTICE, "imported", "id=%s from=%s "
		    "nrcpts=%u was=%s by=%s", text_id, view.envelope.sender,
		    view.envelope.nrcpts, from != NULL ? from : "-",
		    "mailmillctl");
		a->nmessages++;
		a->nchanged += view.envelope.nrcpts;
		a->q->due_ms = 0;
		a->q->is_held_news = true;
	}
	free(rows);
	return rc;
}

/* All octets of the message have come. */
static int
take(struct queue_answer *a, struct queue_import *im)
{
	struct envelope e;
	char *octets = NULL;
	size_t len = 0;
	int rc = -1;

	errno = EINVAL;
	if (envelope_fill(&e, im->head) == -1 ||
	    (len = spool_envelope_octets(&e.env)) == 0 ||
	    (octets = calloc(1, len)) == NULL) {
		rc = wrong(im, a->nmessages + 1, errno == ENOMEM ?
		    "out of memory: try again" : "the envelope has no sender, "
		    "no recipient, or a text that is too long");
		goto out;
	}
	spool_envelope_encode(&e.env, octets);
	if ((rc = store(a, im, octets, len)) == -1)
		(void)wrong(im, a->nmessages + 1, errno == EBADMSG ?
		    "the envelope has a character that no address has" :
		    strerror(errno));
out:
	free(octets);
	envelope_free(&e);
	return rc;
}

/* --- the stream ------------------------------------------------------------- */

static int
begin_message(struct queue_answer *a, struct queue_import *im)
{
	int64_t octets = number(im->head, "octets");

	if (!json_is_integer(json_object_get(im->head, "octets")) ||
	    octets < 0)
		return wrong(im, a->nmessages + 1, "its line does not say how "
		    "many octets it has");
	im->fd = a->q->store_ops->import_file(a->q->store, (uint64_t)octets);
	if (im->fd == -1)
		return wrong(im, a->nmessages + 1, errno == ENOSPC ?
		    "there is no room for it" : strerror(errno));
	spool_sum_reset(im->sum);
	im->octets = im->left = (uint64_t)octets;
	im->has_gap = false;
	im->state = im->left > 0 ? IMPORT_BODY : IMPORT_TAIL;
	return 0;
}

/* A line in IMPORT_HEAD: takes ${json}. */
static int
take_head(struct queue_answer *a, struct queue_import *im, json_t *json)
{
	if (json_object_get(json, "messages") != NULL) {
		json_decref(json);
		im->state = IMPORT_OVER;
		return 0;
	}
	im->head = json;
	return begin_message(a, im);
}

static int
take_tail(struct queue_answer *a, struct queue_import *im, json_t *json)
{
	const json_t *complete = json_object_get(json, "complete");
	int rc = 0;

	if (!json_is_boolean(complete) || !im->has_gap)
		rc = wrong(im, a->nmessages + 1, "it does not end where its "
		    "line says");
	else if (json_is_true(complete))
		rc = take(a, im);
	json_decref(json);
	end_message(im);
	im->state = IMPORT_HEAD;
	return rc;
}

static int
take_line(struct queue_answer *a, struct queue_import *im)
{
	json_t *json;

	if (im->len == 0) {
		im->has_gap = true;	/* the one behind the octets, or another */
		return 0;
	}
	json = json_loadb(im->line, im->len, JSON_REJECT_DUPLICATES, NULL);
	im->len = 0;
	if (!json_is_object(json)) {
		json_decref(json);
		return wrong(im, a->nmessages + 1,
		    "where a line of JSON was expected, there is none");
	}
	return im->state == IMPORT_HEAD ? take_head(a, im, json) :
	    take_tail(a, im, json);
}

/* Return octets used of ${buf}, or -1. */
static ssize_t
feed_line(struct queue_answer *a, struct queue_import *im, const char *buf,
    size_t len)
{
	const char *end = memchr(buf, '\n', len);
	size_t n = end == NULL ? len : (size_t)(end - buf);
	char *line;

	line = im->len + n > LINE_MAX_OCTETS ? NULL :
	    array_fit(im->line, &im->room, im->len + n + 1, 1);
	if (line == NULL)
		return wrong(im, a->nmessages + 1, "its line is too long");
	im->line = line;
	memcpy(line + im->len, buf, n);
	im->len += n;
	if (end == NULL)
		return (ssize_t)n;
	return take_line(a, im) == -1 ? -1 : (ssize_t)n + 1;
}

static ssize_t
feed_body(struct queue_answer *a, struct queue_import *im, const char *buf,
    size_t len)
{
	size_t n = (size_t)MIN(len, im->left);

	if (fileio_write(im->fd, buf, n) == -1)
		return wrong(im, a->nmessages + 1, strerror(errno));
	spool_sum_add(im->sum, buf, n);
	if ((im->left -= n) == 0)
		im->state = IMPORT_TAIL;
	return (ssize_t)n;
}

bool
queue_import_has_more(const struct queue_import *im)
{
	return im->rest_used < im->rest_len && !queue_import_is_over(im);
}

void
queue_import_more(struct queue_answer *a, struct queue_import *im)
{
	uint64_t before = a->nmessages;
	const char *buf;
	size_t len;
	ssize_t n;

	while (queue_import_has_more(im) && a->nmessages == before) {
		buf = im->rest + im->rest_used;
		len = im->rest_len - im->rest_used;
		if ((n = im->state == IMPORT_BODY ? feed_body(a, im, buf, len) :
		    feed_line(a, im, buf, len)) == -1)
			return;
		im->rest_used += (size_t)n;
	}
}

void
queue_import_feed(struct queue_answer *a, struct queue_import *im,
    const char *buf, size_t len)
{
	char *rest;

	if (queue_import_is_over(im))
		return;
	if (len == 0) {
		(void)wrong(im, a->nmessages + 1, "the stream ends before it "
		    "is complete");
		return;
	}
	if ((rest = array_fit(im->rest, &im->rest_room, len, 1)) == NULL) {
		(void)wrong(im, a->nmessages + 1, "out of memory: try again");
		return;
	}
	im->rest = memcpy(rest, buf, len);
	im->rest_len = len;
	im->rest_used = 0;
	/* else queue_answer_next() begins with it, when all rows are moved */
	if (!queue_is_shifting(a->q))
		queue_import_more(a, im);
}
