/* Messages in memory: from the record that was read to the last recipient.
 * Owns: struct queue_message and its recipients, their acknowledgement, the
 * retry schedule.
 * Knows nothing of agents and of the deferred store's rows. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/spool/spool_id.h"
#include "core/process/stats.h"

static size_t
bucket(uint64_t id)
{
	/* the low bits are the instance, the same for all of a worker's */
	return (size_t)((id >> 12) ^ (id << 3)) % QUEUE_BUCKETS;
}

struct queue_message *
queue_message_find(struct queue *q, uint64_t id, bool is_deferred)
{
	struct queue_message *m;

	LIST_FOREACH (m, &q->buckets[bucket(id)], hash)
		if (m->id == id && (m->segment == NULL) == is_deferred)
			return m;
	return NULL;
}

/* One allocation: the struct, ${nrcpts} recipients, ${strings} octets, where
 * sender points. */
struct queue_message *
queue_message_new(struct queue *q, uint32_t nrcpts, size_t strings)
{
	struct queue_message *m;
	size_t head = sizeof(*m) + nrcpts * sizeof(m->rcpts[0]);

	(void)q;
	if ((m = malloc(head + strings)) == NULL)
		return NULL;
	memset(m, 0, head);
	m->memory = head + strings;
	m->nrcpts = nrcpts;
	m->sender = (char *)m + head;
	return m;
}

void
queue_message_insert(struct queue *q, struct queue_message *m)
{
	LIST_INSERT_HEAD(&q->buckets[bucket(m->id)], m, hash);
	q->nmessages++;
	q->memory += m->memory;
	if (m->segment != NULL)
		m->segment->nmessages++;
	if (m->segment == NULL || (m->flags & SPOOL_RECORD_LARGE) != 0)
		q->nfiles++;
}

void
queue_rcpt_wait(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	unsigned int t = r->transport;

	r->state = RCPT_WAITING;
	if (m->todo[t].nwaiting++ == 0)
		TAILQ_INSERT_TAIL(&q->todo[t], m, todo[t].link);
}

void
queue_rcpt_leave(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, enum rcpt_state state)
{
	unsigned int t = r->transport;

	if (r->state == RCPT_WAITING && --m->todo[t].nwaiting == 0)
		TAILQ_REMOVE(&q->todo[t], m, todo[t].link);
	r->state = state;
}

void
queue_rcpt_fail(struct queue *q, struct queue_message *m,
    struct queue_rcpt *r, int errnum, const char *text)
{
	queue_rcpt_leave(q, m, r, RCPT_FAILED);
	r->errnum = errnum;
	if (text != NULL) {
		free(r->error);
		r->error = strdup(text);
	}
	queue_message_settle(q, m);
}

void
queue_message_route(struct queue *q, struct queue_message *m)
{
	char text[JOB_TEXT];
	struct queue_rcpt *r;
	unsigned int t;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++) {
		r = &m->rcpts[i];
		if (r->state != RCPT_NEW)
			continue;
		if (q->ops->route(q->closure, r->rcpt, &t, text) == -1) {
			r->transport = QUEUE_NO_TRANSPORT;
			queue_rcpt_fail(q, m, r, errno, text);
			continue;
		}
		r->transport = (unsigned char)t;
		queue_rcpt_wait(q, m, r);
	}
}

void
queue_message_settle(struct queue *q, struct queue_message *m)
{
	if (m->is_settling)
		return;
	TAILQ_INSERT_TAIL(&q->settle, m, settle);
	m->is_settling = true;
}

void
queue_message_free(struct queue *q, struct queue_message *m)
{
	uint64_t told = m->told;
	uint32_t i;

	queue_forget(q, &m->told, m->source);
	queue_forget(q, &told, m->body_source);
	LIST_REMOVE(m, hash);
	for (i = 0; i < m->nrcpts; i++)
		queue_rcpt_leave(q, m, &m->rcpts[i], RCPT_DONE);
	if (m->is_settling)
		TAILQ_REMOVE(&q->settle, m, settle);
	q->nmessages--;
	q->memory -= m->memory;
	if (m->segment != NULL)
		m->segment->nmessages--;
	if (m->segment == NULL || (m->flags & SPOOL_RECORD_LARGE) != 0)
		q->nfiles--;
	for (i = 0; i < m->nrcpts; i++)
		free(m->rcpts[i].error);
	free(m);
}

/* An entry that the log does not take is no harm: the record is done here, and
 * after a crash the agent finds what it has delivered. */
void
queue_ack(struct queue *q, const struct queue_segment *seg, uint32_t seq,
    uint32_t last, uint32_t rcpt)
{
	struct acklog_entry e = { .segment = seg->id,
		.generation = seg->generation, .seq = seq, .last = last,
		.rcpt = rcpt };

	if (acklog_append(q->acklog, &e) == -1 && q->acklog_errnum != errno) {
		q->acklog_errnum = errno;
		log_err("acklog-append", "segment=%llu",
		    (unsigned long long)seg->id);
	}
}

void
queue_rcpt_done(struct queue *q, struct queue_message *m, struct queue_rcpt *r)
{
	queue_rcpt_leave(q, m, r, RCPT_DONE);
	m->nopen--;
	m->ndone++;
	/* The last one is acknowledged with its record. */
	if (m->segment != NULL && m->ndone < m->nrcpts)
		queue_ack(q, m->segment, m->seq, m->seq, r->index);
}

/* The body's file goes when the log that says so is on disk. */
static void
body_to_remove(struct queue *q, uint64_t id)
{
	uint64_t *bodies;
	size_t room;

	if (q->nbodies == q->bodies_room) {
		room = q->bodies_room == 0 ? 64 : q->bodies_room * 2;
		bodies = realloc(q->bodies, room * sizeof(bodies[0]));
		if (bodies == NULL)
			return;		/* the sweep finds it */
		q->bodies = bodies;
		q->bodies_room = room;
	}
	q->bodies[q->nbodies++] = id;
}

/* After ${attempts} failures: the first interval, doubled each time */
int64_t
queue_retry_ms(const struct queue *q, uint32_t attempts)
{
	int64_t s = q->config.retry_s;
	uint32_t i;

	for (i = 1; i < attempts && s < q->config.max_retry_s; i++)
		s *= 2;
	if (s > q->config.max_retry_s)
		s = q->config.max_retry_s;
	return s * 1000;
}

/* A record of ${seg} has to be read again later. */
static void
leave_behind(struct queue *q, struct queue_segment *seg)
{
	seg->nstuck++;
	if (seg->rewind_ms == 0)
		seg->rewind_ms = q->now_ms + queue_retry_ms(q,
		    ++seg->nrewinds);
}

/* Nothing can be done about what is left of ${m} now: remember who has it, and
 * read the record again later. */
static void
park(struct queue *q, struct queue_message *m)
{
	struct queue_segment *seg = m->segment;
	uint32_t i;

	for (i = 0; i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_DONE)
			queue_partial_add(seg, m->seq, m->rcpts[i].index);
	leave_behind(q, seg);
}

void
queue_message_check(struct queue *q, struct queue_message *m)
{
	struct queue_segment *seg = m->segment;

	if (m->nopen > 0)
		return;
	if (seg != NULL && m->nstuck > 0)
		park(q, m);
	else if (seg != NULL &&
	    queue_segment_set_done(seg, m->seq, m->seq) == -1)
		/* no memory for the bit: it will be found delivered */
		leave_behind(q, seg);
	else if (seg != NULL) {
		queue_partial_drop(seg, m->seq);
		queue_ack(q, seg, m->seq, m->seq, ACKLOG_ALL);
		if ((m->flags & SPOOL_RECORD_LARGE) != 0)
			body_to_remove(q, m->id);
	}
	queue_message_free(q, m);
	/* what is stuck for a while must not hold a descriptor */
	if (seg != NULL && seg->is_read && seg->nmessages == 0)
		queue_segment_close_file(q, seg);
}

/* Recipients that the log, or the deferred store, has already.  Only a record
 * from before this process can be in the store. */
static void
skip_known(struct queue *q, struct queue_message *m)
{
	struct queue_partial *p = queue_partial_find(m->segment, m->seq);
	bool is_asked = m->offset < m->segment->old_end &&
	    deferred_has(q->deferred, m->id, DEFERRED_ANY) == 1;
	uint32_t i, k;

	for (i = 0; p != NULL && i < p->n; i++) {
		k = p->rcpts[i];
		if (k < m->nrcpts && m->rcpts[k].state == RCPT_NEW) {
			m->rcpts[k].state = RCPT_DONE;
			m->ndone++;
			m->nopen--;
		}
	}
	for (i = 0; is_asked && i < m->nrcpts; i++)
		if (m->rcpts[i].state == RCPT_NEW &&
		    deferred_has(q->deferred, m->id, i) == 1)
			queue_rcpt_done(q, m, &m->rcpts[i]);
}

int
queue_take(struct queue *q, struct queue_segment *seg,
    const struct spool_view *view)
{
	const struct spool_envelope_view *env = &view->envelope;
	const char *cursor = NULL, *rcpt;
	struct queue_message *m;
	size_t strings, len;
	char *p;
	uint32_t i;

	strings = strlen(env->sender) + 1 + view->record.envelope_octets;
	if ((m = queue_message_new(q, env->nrcpts, strings)) == NULL)
		return -1;
	m->id = view->record.id;
	m->segment = seg;
	m->seq = view->record.seq;
	m->flags = view->record.flags;
	m->offset = view->record.offset;
	m->received_us = view->record.received_us;
	m->octets = view->record.body_octets;
	p = (char *)m + sizeof(*m) + env->nrcpts * sizeof(m->rcpts[0]);
	len = strlen(env->sender) + 1;
	memcpy(p, env->sender, len);
	p += len;
	for (i = 0; i < env->nrcpts; i++) {
		rcpt = spool_envelope_rcpt_next(env, &cursor);
		len = strlen(rcpt) + 1;
		memcpy(p, rcpt, len);
		m->rcpts[i].rcpt = p;
		m->rcpts[i].index = i;
		m->rcpts[i].attempts = seg->nrewinds;
		/* after a rewind a failed attempt, never a delivered one, but
		 * an agent may have died over it */
		m->rcpts[i].is_repeated = m->offset < seg->old_end ||
		    seg->nrewinds > 0;
		p += len;
	}
	m->nopen = m->nrcpts;
	queue_message_insert(q, m);
	stats_inc(STATS_QUEUE_TAKEN);
	skip_known(q, m);
	if (m->nopen > 0)
		queue_message_route(q, m);
	else
		queue_message_check(q, m);
	return 0;
}
