/* What mailmillctl may ask of the queue, in which two messages are deferred: a line
 * with a request, then what it sends: for an import, the stream of messages.  An
 * octet in front says how many octets of that come at a time, 0: all.
 *
 * There is one answer, of JSON but for the octets of messages.  What was imported is
 * sound; it is the same if it comes in one piece, and once more when it has been
 * exported and imported. */

#include "test/fuzz/fuzz.h"

#include <sys/mman.h>
#include <sys/param.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/queue/queue.h"
#include "core/queue/queue_store.h"
#include "core/spool/spool_reader.h"

#define MESSAGES	8	/* more are refused, as by a full disk */
#define OCTETS		4096	/* of a body */

struct message {
	char		*envelope;
	size_t		 envelope_len;
	struct spool_envelope_view view;
	struct deferred_row *rows;	/* of its recipients; their texts are in ${envelope} and ${routes} */
	char		**routes;
	size_t		 nrows;
	char		 body[OCTETS];
	size_t		 len;
};

/* A store in memory.  The id of a message is its place, from 1. */
struct store {
	struct message	 messages[MESSAGES];
	size_t		 n;
};

static const struct timeval now = { .tv_sec = 1800000000 };

/* --- what is kept --------------------------------------------------------- */

static void *
store_open(const struct queue_config *config, const struct queue_store_user *,
    struct queue *, int64_t)
{
	return (void *)(uintptr_t)config->folder;
}

static void
store_close(void *)
{
}

static int
store_next(void *, int64_t *)
{
	return 0;
}

static int
store_shift(void *, struct deferred_shift *at, unsigned int)
{
	at->is_over = true;
	return 0;
}

static int
store_flush(void *)
{
	return 0;
}

static int
store_change(void *, const struct queue_change *changes, size_t n)
{
	FUZZ_HOLDS(n > 0 && changes->row.id > 0);
	return 0;
}

static int
store_search(void *, struct queue_cursor *, queue_record_func, void *)
{
	return 1;	/* no message is new */
}

static struct message *
find(struct store *s, uint64_t id)
{
	return id > 0 && id <= s->n ? &s->messages[id - 1] : NULL;
}

static int
store_has(void *store, uint64_t id, uint32_t rcpt)
{
	const struct message *m = find(store, id);

	return m != NULL && (rcpt == QUEUE_RCPT_ALL || rcpt < m->nrows);
}

static bool
is_wanted(const struct deferred_query *query, const struct deferred_row *row)
{
	if (query->what == DEFERRED_OF)
		return row->id == query->id;
	FUZZ_HOLDS(query->what == DEFERRED_PAGE);
	return row->id > query->id ||
	    (row->id == query->id && query->id != 0 &&
	    row->rcpt_index > query->rcpt_index);
}

static int
store_rows(void *store, const struct deferred_query *query, deferred_func each,
    void *closure)
{
	const struct store *s = store;
	const struct message *m;
	int seen = 0;
	size_t i;

	for (m = s->messages; m < s->messages + s->n; m++)
		for (i = 0; i < m->nrows; i++) {
			if (!is_wanted(query, &m->rows[i]))
				continue;
			seen++;
			if (each(closure, &m->rows[i]) != 0)
				return seen;
		}
	return seen;
}

static int
store_read_deferred(void *store, uint64_t id, queue_record_func each,
    void *closure)
{
	const struct message *m = find(store, id);

	if (m == NULL) {
		errno = ENOENT;
		return -1;
	}
	each(closure, &(struct queue_record){ .place = { .id = id },
	    .received_us = m->rows[0].received_us, .octets = m->len,
	    .envelope = &m->view });
	return 0;
}

static ssize_t
store_read_body(void *store, const struct queue_body *body, uint64_t offset,
    char *buf, size_t len)
{
	const struct message *m = find(store, body->place.id);
	size_t n;

	FUZZ_HOLDS(m != NULL && body->octets == m->len && offset <= m->len);
	n = MIN(len, m->len - (size_t)offset);
	memcpy(buf, m->body + offset, n);
	return (ssize_t)n;
}

/* --- what comes ----------------------------------------------------------- */

static int
store_import_file(void *, uint64_t octets)
{
	int fd;

	if (octets > OCTETS) {
		errno = ENOSPC;
		return -1;
	}
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_HOLDS(fd != -1);
	return fd;
}

/* The rows are those of the envelope, and so are their texts. */
static void
check_rows(const struct spool_view *view, const struct deferred_row *rows,
    size_t n)
{
	const char *cursor = NULL;
	size_t i;

	FUZZ_HOLDS(n >= 1 && n == view->envelope.nrcpts);
	for (i = 0; i < n; i++) {
		FUZZ_HOLDS(rows[i].rcpt_index == i);
		FUZZ_HOLDS(rows[i].sender == view->envelope.sender);
		FUZZ_HOLDS(rows[i].rcpt == spool_envelope_rcpt_next(
		    &view->envelope, &cursor));
		FUZZ_HOLDS(rows[i].rcpt[0] != '\0');
		FUZZ_HOLDS(rows[i].received_us == view->record.received_us);
		FUZZ_HOLDS(rows[i].received_us <=
		    (uint64_t)now.tv_sec * 1000000);
		FUZZ_HOLDS(rows[i].octets == view->record.body_octets);
	}
}

static int
store_import(void *store, const struct spool_view *view, int fd,
    const struct deferred_row *rows, size_t n, uint64_t *id_r)
{
	struct store *s = store;
	struct message *m = &s->messages[s->n];
	const char *cursor = NULL;
	size_t i;

	if (s->n == MESSAGES) {
		errno = ENOSPC;
		return -1;
	}
	check_rows(view, rows, n);
	m->len = (size_t)view->record.body_octets;
	FUZZ_HOLDS(lseek(fd, 0, SEEK_END) == (off_t)m->len);
	FUZZ_HOLDS(pread(fd, m->body, OCTETS, 0) == (ssize_t)m->len);
	FUZZ_HOLDS(spool_sum(m->body, m->len) == view->record.body_sum);
	m->envelope_len = view->record.envelope_octets;
	m->envelope = malloc(m->envelope_len);
	m->rows = calloc(n, sizeof(rows[0]));
	m->routes = calloc(n, sizeof(m->routes[0]));
	FUZZ_HOLDS(m->envelope != NULL && m->rows != NULL &&
	    m->routes != NULL);
	memcpy(m->envelope, view->envelope.envelope, m->envelope_len);
	FUZZ_HOLDS(spool_sum(m->envelope, m->envelope_len) ==
	    view->record.envelope_sum);
	FUZZ_HOLDS(spool_envelope_decode(m->envelope, m->envelope_len,
	    &m->view) == 0);
	*id_r = ++s->n;
	m->nrows = n;
	for (i = 0; i < n; i++) {
		m->rows[i] = rows[i];
		m->rows[i].id = *id_r;
		m->rows[i].sender = m->view.sender;
		m->rows[i].rcpt = spool_envelope_rcpt_next(&m->view, &cursor);
		/* what was not said is "" when it is read */
		m->rows[i].last_error = m->rows[i].holder = "";
		m->rows[i].outcome = m->rows[i].enhanced = "";
		m->rows[i].remote = "";
		m->routes[i] = strdup(rows[i].route != NULL ? rows[i].route : "");
		FUZZ_HOLDS(m->routes[i] != NULL);
		m->rows[i].route = m->routes[i];
	}
	return 0;
}

static void
store_free(struct store *s)
{
	size_t i, j;

	for (i = 0; i < s->n; i++) {
		for (j = 0; j < s->messages[i].nrows; j++)
			free(s->messages[i].routes[j]);
		free(s->messages[i].routes);
		free(s->messages[i].envelope);
		free(s->messages[i].rows);
	}
	free(s);
}

static const struct queue_store_ops ops = {
	.open = store_open,
	.close = store_close,
	.next = store_next,
	.shift = store_shift,
	.flush = store_flush,
	.change = store_change,
	.search = store_search,
	.has = store_has,
	.rows = store_rows,
	.read_deferred = store_read_deferred,
	.read_body = store_read_body,
	.import_file = store_import_file,
	.import = store_import,
};

/* --- requests ------------------------------------------------------------- */

/* The configuration has one section. */
static const char *
section(void *, const char *name, const char **why_r)
{
	if (strcmp(name, "s.test") == 0)
		return "s.test";
	*why_r = "no section has that name";
	return NULL;
}

/* The whole answer to ${request}, which is told what is in ${in}, ${step} octets at
 * a time.  It is the caller's, with a NUL behind it. */
static char *
answer(struct store *s, const char *request, size_t len,
    struct fuzz_input in, size_t step, size_t *len_r)
{
	const struct queue_config config = { .store = &ops,
		.folder = (const char *)s };
	static const struct queue_ops few = { .section = section };
	struct queue *q = queue_open(&config, &few, NULL, &now, 0);
	struct queue_answer *a = queue_control(q, request, len);
	const char *piece;
	char *all;
	size_t n;
	FILE *fp = open_memstream(&all, len_r);

	FUZZ_HOLDS(q != NULL && a != NULL && fp != NULL);
	for (;;) {
		if (queue_answer_wants(a)) {
			n = step == 0 || step > in.left ? in.left : step;
			queue_answer_feed(a, &now, (const char *)in.p, n);
			if (n > 0)	/* or there may be nothing to point to */
				in.p += n;
			in.left -= n;
		} else if (queue_answer_next(a, &now, &piece, &n) != 1)
			break;
		else if (n > 0)
			fwrite(piece, 1, n, fp);
	}
	FUZZ_HOLDS(fclose(fp) == 0);
	queue_answer_free(a);
	queue_close(q);
	return all;
}

static char *
imported(struct store *s, const void *octets, size_t len, size_t step)
{
	static const char request[] = "{\"action\":\"import\"}";
	size_t n;

	return answer(s, request, sizeof(request) - 1,
	    (struct fuzz_input){ octets, len }, step, &n);
}

static char *
exported(struct store *s, size_t *len_r)
{
	static const char request[] = "{\"action\":\"export\"}";

	return answer(s, request, sizeof(request) - 1,
	    (struct fuzz_input){ NULL, 0 }, 0, len_r);
}

static struct store *
store_new(void)
{
	struct store *s = calloc(1, sizeof(*s));

	FUZZ_HOLDS(s != NULL);
	return s;
}

static void
check_same(const char *a, size_t alen, const char *b, size_t blen)
{
	FUZZ_HOLDS(alen == blen);
	FUZZ_HOLDS(memcmp(a, b, alen) == 0);
}

/* What is in ${s}, exported, imported and exported */
static void
check_again(struct store *s)
{
	struct store *copy = store_new();
	char *first, *said, *second;
	size_t len, nsecond;

	first = exported(s, &len);
	said = imported(copy, first, len, 0);
	FUZZ_HOLDS(strstr(said, "\"error\"") == NULL);
	FUZZ_HOLDS(copy->n == s->n);
	second = exported(copy, &nsecond);
	check_same(first, len, second, nsecond);
	free(second);
	free(said);
	free(first);
	store_free(copy);
}

static void
import(const struct fuzz_input *in, size_t step)
{
	struct store *s = store_new(), *whole = store_new();
	char *said, *same;

	said = imported(s, in->p, in->left, step);
	same = imported(whole, in->p, in->left, 0);
	check_same(said, strlen(said), same, strlen(same));
	FUZZ_HOLDS(s->n == whole->n);
	check_again(s);
	free(said);
	free(same);
	store_free(s);
	store_free(whole);
}

/* Two messages, of two recipients and of one */
static struct store *
filled(void)
{
	static const char text[] =
	    "{\"sender\":\"alice@example.test\",\"octets\":5,\"recipients\":["
	    "{\"recipient\":\"bob@b.test\",\"notify\":[\"delay\"]},"
	    "{\"recipient\":\"carol@c.test\",\"state\":\"hold\"}]}\n"
	    "one\r\n\n{\"complete\":true}\n"
	    "{\"sender\":\"\",\"octets\":0,\"received\":1700000000,"
	    "\"priority\":3,\"recipients\":[{\"recipient\":\"d@d.test\"}]}\n"
	    "\n{\"complete\":true}\n{\"messages\":2}\n";
	struct store *s = store_new();

	free(imported(s, text, sizeof(text) - 1, 0));
	FUZZ_HOLDS(s->n == 2);
	return s;
}

/* The answer is one text of JSON, or begins with one. */
static void
request(const char *line, size_t len)
{
	struct store *s = filled();
	json_error_t error;
	json_t *json;
	char *said;
	size_t n;

	said = answer(s, line, len, (struct fuzz_input){ NULL, 0 }, 0, &n);
	json = json_loadb(said, n, JSON_DISABLE_EOF_CHECK, &error);
	FUZZ_HOLDS(json_is_object(json));
	json_decref(json);
	free(said);
	store_free(s);
}

void
fuzz_control(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	size_t step = fuzz_octet(&in), n;
	const char *line = fuzz_line(&in, &n);

	request(line, n);
	import(&in, step);
}
