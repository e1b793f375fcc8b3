/* Failures go to the deferred store, and come back when they are due.
 * Owns: one transaction for all that has gathered, what
 * happens when the store cannot be written.
 * A record leaves its segment only when file and row are on disk. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/process/stats.h"

#define DUE_ROWS	(2 * QUEUE_FILES_MAX) /* looked at: those in hand are due, too */

static const char *
error_of(const struct queue_rcpt *r)
{
	return r->error != NULL ? r->error : strerror(r->errnum);
}

/* Copy a message out of its segment.  Return 0, or -1 with errno: EBADMSG, the
 * record or its body is damaged. */
static int
write_file(struct queue *q, struct queue_message *m)
{
	struct spool_damage damage;
	struct spool_view view;
	int body_fd = -1, rc, saved;

	if (queue_segment_open_reader(q, m->segment) == -1 ||
	    spool_reader_at(m->segment->reader, m->offset, &view,
	    &damage) != 1)
		return -1;
	if ((m->flags & SPOOL_RECORD_LARGE) != 0) {
		body_fd = spool_body_open(q->config.incoming_dirfd, m->id);
		if (body_fd == -1) {
			if (errno == ENOENT)
				errno = EBADMSG;
			return -1;
		}
	}
	rc = deferred_file_write(q->deferred, m->id, &view, m->segment->fd,
	    body_fd);
	saved = errno;
	if (body_fd != -1)
		close(body_fd);
	errno = saved;
	return rc;
}

/* The file of a damaged body, under a name that nothing here removes: its
 * record is done now, so the sweep would. */
static void
keep_body(const struct queue *q, const struct queue_message *m)
{
	char name[SPOOL_NAME], kept[SPOOL_NAME + 16];
	int dirfd = q->config.incoming_dirfd;

	spool_body_name(m->id, name);
	snprintf(kept, sizeof(kept), "damaged.%s", name);
	if (renameat(dirfd, name, dirfd, kept) == 0)
		log_errx("body-kept", "file=%s reason=%s", kept,
		    "it is damaged; remove it when you have looked at it");
}

/* What nobody can read any more: say so, keep the segment, go on. */
static void
give_up(struct queue *q, struct queue_message *m)
{
	struct queue_rcpt *r;
	char id[SPOOL_ID_TEXT + 1];
	uint32_t i;

	spool_id_text(m->id, id);
	queue_segment_damage(m->segment, m->offset, m->octets, m->id,
	    "stored message");
	m->segment->is_damaged = true;
	if ((m->flags & SPOOL_RECORD_LARGE) != 0)
		keep_body(q, m);
	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_FAILED)
			continue;
		log_errx("lost", "id=%s rcpt=%s error=%s", id, r->rcpt,
		    error_of(r));
		queue_rcpt_done(q, m, r);
	}
}

static int
put_row(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	int64_t next = (q->now_ms + queue_retry_ms(q, r->attempts + 1)) / 1000;
	struct deferred_row row = {
		.id = m->id,
		.rcpt_index = r->index,
		.sender = m->sender,
		.rcpt = r->rcpt,
		.transport = r->transport == QUEUE_NO_TRANSPORT ? "" :
		    q->config.transports[r->transport].name,
		.received_us = m->received_us,
		.octets = m->octets,
		.attempts = r->attempts + 1,
		.next_attempt = next,
		.last_error = error_of(r),
	};

	if (m->segment != NULL)
		return deferred_put(q->deferred, &row);
	return deferred_touch(q->deferred, &row);
}

/* Everything that is to be stored of ${m}, inside the transaction */
static int
store(struct queue *q, struct queue_message *m)
{
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state == RCPT_FAILED && put_row(q, m, r) == -1)
			return -1;
		if (r->state == RCPT_OK &&
		    deferred_drop(q->deferred, m->id, r->index) == -1)
			return -1;
	}
	return 0;
}

static void
log_deferred(const struct queue *q, const struct queue_message *m,
    const struct queue_rcpt *r, bool is_stuck)
{
	char id[SPOOL_ID_TEXT + 1];
	int64_t wait_ms = queue_retry_ms(q, r->attempts + 1);

	stats_inc(STATS_DEFERRED);
	spool_id_text(m->id, id);
	log_event(LOG_LEVEL_WARNING, "deferred",
	    "id=%s rcpt=%s attempts=%u next_s=%lld kept_in=%s error=%s", id,
	    r->rcpt, r->attempts + 1, (long long)(wait_ms / 1000),
	    is_stuck ? "segment" : "deferred", error_of(r));
}

/* The transaction of ${m} is on disk. */
static void
stored(struct queue *q, struct queue_message *m)
{
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state == RCPT_FAILED)
			log_deferred(q, m, r, false);
		if (r->state == RCPT_FAILED || r->state == RCPT_OK)
			queue_rcpt_done(q, m, r);
	}
	if (m->segment == NULL && m->nopen == 0 &&
	    deferred_has(q->deferred, m->id, DEFERRED_ANY) == 0 &&
	    deferred_file_remove(q->deferred, m->id) == -1)
		log_warn("deferred-file-remove", "folder=%s",
		    q->config.folder);
}

/* The store cannot be written.  A record stays where it is, and is tried again
 * from there; a row stays as it was, and is due soon. */
static void
not_stored(struct queue *q, struct queue_message *m)
{
	struct queue_rcpt *r;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_FAILED && r->state != RCPT_OK)
			continue;
		if (r->state == RCPT_FAILED)
			log_deferred(q, m, r, true);
		if (m->segment == NULL) {
			queue_rcpt_done(q, m, r);
			continue;
		}
		free(m->segment->last_error);
		m->segment->last_error = strdup(error_of(r));
		r->state = RCPT_STUCK;
		m->nopen--;
		m->nstuck++;
	}
}

/* Would ${errnum} fail all messages of a batch, or only the one that cannot be
 * read from its segment? */
static bool
is_of_store(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ||
	    errnum == EROFS || errnum == EMFILE || errnum == ENFILE ||
	    errnum == ENOMEM;
}

/* Files first, flushed, then the rows.  A message that cannot be copied is
 * taken out of ${batch}, lest it keep the others from being stored. */
static int
store_all(struct queue *q, struct queue_messages *batch)
{
	struct queue_message *m, *next;
	unsigned int nfiles = 0;

	TAILQ_FOREACH_SAFE (m, batch, settle, next) {
		if (m->segment == NULL)
			continue;
		if (write_file(q, m) == 0)
			nfiles++;
		else if (errno == EBADMSG)
			give_up(q, m);
		else if (is_of_store(errno))
			return -1;
		else {
			TAILQ_REMOVE(batch, m, settle);
			m->is_settling = false;
			not_stored(q, m);
			queue_message_check(q, m);
		}
	}
	if (nfiles > 0 && q->config.is_synced &&
	    deferred_files_sync(q->deferred) == -1)
		return -1;
	if (deferred_begin(q->deferred) == -1)
		return -1;
	TAILQ_FOREACH (m, batch, settle)
		if (store(q, m) == -1) {
			deferred_rollback(q->deferred);
			return -1;
		}
	return deferred_commit(q->deferred);
}

static void
settle_batch(struct queue *q, struct queue_messages *batch)
{
	struct queue_message *m;
	bool is_stored = store_all(q, batch) == 0;

	if (!is_stored)
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
	while ((m = TAILQ_FIRST(batch)) != NULL) {
		TAILQ_REMOVE(batch, m, settle);
		m->is_settling = false;
		if (is_stored)
			stored(q, m);
		else
			not_stored(q, m);
		queue_message_check(q, m);
	}
}

void
queue_settle(struct queue *q)
{
	struct queue_messages batch;
	struct queue_message *m;
	unsigned int n;

	while (!TAILQ_EMPTY(&q->settle)) {
		TAILQ_INIT(&batch);
		for (n = 0; n < QUEUE_SETTLE_MAX &&
		    (m = TAILQ_FIRST(&q->settle)) != NULL; n++) {
			TAILQ_REMOVE(&q->settle, m, settle);
			TAILQ_INSERT_TAIL(&batch, m, settle);
		}
		settle_batch(q, &batch);
		queue_due_again(q);
	}
}

/* When to look for rows that are due */
void
queue_due_again(struct queue *q)
{
	int64_t next;
	int rc = deferred_next(q->deferred, &next);

	if (rc == 1)
		q->due_ms = next * 1000;
	else
		q->due_ms = rc == 0 ? INT64_MAX :
		    q->now_ms + QUEUE_TROUBLE_MS;
}

struct due {
	struct queue	*q;
	uint64_t	 ids[DUE_ROWS];
	unsigned int	 n;
	/* of one message */
	uint32_t	 nrcpts;
	size_t		 strings;
	struct queue_message *message;
	char		*p, *end;
};

static int
collect_id(void *closure, const struct deferred_row *row)
{
	struct due *due = closure;
	unsigned int i;

	if (queue_message_find(due->q, row->id, true) != NULL)
		return 0;
	for (i = due->n; i > 0; i--)
		if (due->ids[i - 1] == row->id)
			return 0;
	due->ids[due->n++] = row->id;
	return 0;
}

static bool
is_due(const struct due *due, const struct deferred_row *row)
{
	return row->next_attempt * 1000 <= due->q->now_ms;
}

static int
measure_row(void *closure, const struct deferred_row *row)
{
	struct due *due = closure;

	if (!is_due(due, row))
		return 0;
	due->nrcpts++;
	due->strings += strlen(row->rcpt) + 1;
	if (due->nrcpts == 1)
		due->strings += strlen(row->sender) + 1;
	return 0;
}

static const char *
keep_string(struct due *due, const char *s)
{
	size_t len = strlen(s) + 1;
	char *p = due->p;

	memcpy(p, s, len);
	due->p += len;
	return p;
}

static int
take_row(void *closure, const struct deferred_row *row)
{
	struct due *due = closure;
	struct queue_message *m = due->message;
	struct queue_rcpt *r;

	if (!is_due(due, row))
		return 0;
	/* somebody may have changed rows since they were measured */
	if (m->nopen == m->nrcpts || (size_t)(due->end - due->p) <
	    strlen(row->rcpt) + 1 + (m->nopen == 0 ?
	    strlen(row->sender) + 1 : 0))
		return -1;
	if (m->nopen == 0) {
		m->sender = keep_string(due, row->sender);
		m->received_us = row->received_us;
		m->octets = row->octets;
	}
	r = &m->rcpts[m->nopen++];
	r->rcpt = keep_string(due, row->rcpt);
	r->index = row->rcpt_index;
	r->attempts = row->attempts;
	/* the queue may have died before it could note a success */
	r->is_repeated = true;
	return 0;
}

static int
load(struct queue *q, struct due *due, uint64_t id)
{
	struct queue_message *m;

	due->nrcpts = 0;
	due->strings = 0;
	if (deferred_of(q->deferred, id, measure_row, due) == -1)
		return -1;
	if (due->nrcpts == 0)
		return 0;
	m = queue_message_new(q, due->nrcpts, due->strings);
	if (m == NULL)
		return -1;
	m->id = id;
	m->offset = SPOOL_PAGE;
	due->message = m;
	due->p = (char *)m + sizeof(*m) + m->nrcpts * sizeof(m->rcpts[0]);
	due->end = due->p + due->strings;
	if (deferred_of(q->deferred, id, take_row, due) == -1 ||
	    m->nopen != m->nrcpts) {
		free(m);
		return -1;
	}
	queue_message_insert(q, m);
	queue_message_route(q, m);
	return 0;
}

/* Take messages that are due, as far as there is room for them. */
void
queue_load_due(struct queue *q)
{
	struct due *due;
	unsigned int i;

	if (q->due_ms > q->now_ms || q->store_ms > q->now_ms ||
	    q->nfiles >= QUEUE_FILES_MAX || q->is_stopped)
		return;
	/* rows that are in hand are due as long as they are */
	q->due_ms = q->now_ms + QUEUE_SYNC_MS;
	if ((due = calloc(1, sizeof(*due))) == NULL)
		return;
	due->q = q;
	if (deferred_due(q->deferred, q->now_ms / 1000, DUE_ROWS, collect_id,
	    due) == -1) {
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
		goto out;
	}
	for (i = 0; i < due->n && q->nfiles < QUEUE_FILES_MAX; i++)
		if (load(q, due, due->ids[i]) == -1)
			break;
	if (due->n == 0 && q->nfiles == 0) {
		queue_due_again(q);
		/* a row that somebody has edited badly stays due */
		if (q->due_ms <= q->now_ms)
			q->due_ms = q->now_ms + QUEUE_TROUBLE_MS;
	}
out:
	free(due);
}
