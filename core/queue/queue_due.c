/* What is deferred comes back when it is due.
 * Owns: which rows are looked at, and when.  How they came there: queue_defer.c. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"

#define DUE_ROWS	(2 * QUEUE_FILES_MAX) /* looked at: those in hand are due, too */
#define DUE_PAGES	8	/* of so many rows, in one pass */
#define DUE_AGAIN_MS	100	/* until the others are looked at */
#define DUE_MANY	64	/* recipients of a message in hand: its other rows are passed over */

/* When to look for rows that are due */
void
queue_due_again(struct queue *q)
{
	int64_t next, wall_s = q->wall_ms / 1000;
	int rc = q->store_ops->next(q->store, &next);

	if (rc == 0)
		q->due_ms = INT64_MAX;
	else if (rc == -1)
		q->due_ms = q->now_ms + QUEUE_TROUBLE_MS;
	else if (next <= wall_s)
		q->due_ms = q->now_ms;
	else
		q->due_ms = q->now_ms + 1000 *
		    MIN(next - wall_s, q->longest_retry_s);
}

struct due {
	struct queue	*q;
	uint64_t	 ids[DUE_ROWS];
	unsigned int	 n, max;
	struct queue_seen seen;
	bool		 is_over_one;	/* a page has ended since it passes over the rest of a message */
	const char	*waits_for;	/* rows that wait for it are due, too; NULL: none */
	/* of one message */
	uint32_t	 nrcpts;
	size_t		 strings;
	bool		 has_sections;
	const char	**sections;	/* queue_message_route(); NULL: none */
	struct queue_message *message;
	char		*p, *end;
};

static int
collect_id(void *closure, const struct deferred_row *row)
{
	struct due *due = closure;
	struct queue_message *m = queue_message_deferred(due->q, row->id);
	unsigned int i = 0;

	if (m == NULL) {
		for (i = due->n; i > 0 && due->ids[i - 1] != row->id; i--)
			continue;
		if (i == 0 && due->n == due->max)
			return -1;
		if (i == 0)
			due->ids[due->n++] = row->id;
	}
	due->seen = (struct queue_seen){ .next_attempt = row->next_attempt,
		.id = row->id, .rcpt_index = row->rcpt_index };
	/* by the time when they are due, rows of others are among them */
	if (m == NULL || m->nrcpts < DUE_MANY || due->waits_for == NULL)
		return 0;
	due->seen.rcpt_index = UINT32_MAX;
	due->is_over_one = true;
	return -1;
}

/* Find messages for which ${query} has rows, and that are not in memory, as many as
 * ${due} takes; it goes on behind due->seen, which is moved.  Rows in hand are
 * behind none that are not: a message with many of them must not hide others.
 * Return 1: those were all; 0: there may be more; -1 with errno. */
static int
collect(struct due *due, struct deferred_query *query)
{
	struct queue *q = due->q;
	unsigned int i;
	int n;

	/* there are no more than QUEUE_FILES_MAX messages to pass over */
	for (i = 0; i < DUE_PAGES && due->n < due->max;
	    i += !due->is_over_one) {
		due->is_over_one = false;
		query->next_attempt = due->seen.next_attempt;
		query->id = due->seen.id;
		query->rcpt_index = due->seen.rcpt_index;
		n = q->store_ops->rows(q->store, query, collect_id, due);
		if (n == -1)
			return -1;
		if (n < (int)query->limit && due->n < due->max &&
		    !due->is_over_one)
			return 1;
		/* none of these is valid */
		if (due->seen.id == query->id &&
		    due->seen.rcpt_index == query->rcpt_index)
			return 1;
	}
	return 0;
}

static bool
is_due(const struct due *due, const struct deferred_row *row)
{
	return !row->is_on_hold &&
	    (row->next_attempt <= due->q->wall_ms / 1000 ||
	    (due->waits_for != NULL &&
	    strcmp(row->waits_for, due->waits_for) == 0));
}

/* The octets of what is kept of ${row} */
static size_t
row_octets(const struct deferred_row *row, bool is_first)
{
	return strlen(row->rcpt) + 1 +
	    (is_first ? strlen(row->sender) + 1 : 0) +
	    (row->route[0] != '\0' ? strlen(row->route) + 1 : 0);
}

static int
measure_row(void *closure, const struct deferred_row *row)
{
	struct due *due = closure;

	if (!is_due(due, row))
		return 0;
	due->strings += row_octets(row, due->nrcpts == 0);
	due->nrcpts++;
	due->has_sections = due->has_sections || row->route[0] != '\0';
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
	/* an administrator may have changed rows since they were measured */
	if (m->nopen == m->nrcpts || (size_t)(due->end - due->p) <
	    row_octets(row, m->nopen == 0) ||
	    (row->route[0] != '\0' && due->sections == NULL))
		return -1;
	if (m->nopen == 0) {
		m->sender = keep_string(due, row->sender);
		m->received_us = row->received_us;
		m->octets = row->octets;
		m->place.origin = row->origin;
		queue_message_terms(due->q, m, &(struct queue_terms){
		    .hold_until = row->hold_until,
		    .deliver_by = row->deliver_by, .since = row->since,
		    .priority = row->priority, .flags = row->flags });
	}
	r = &m->rcpts[m->nopen];
	if (row->route[0] != '\0')
		due->sections[m->nopen] = keep_string(due, row->route);
	m->nopen++;
	r->rcpt = keep_string(due, row->rcpt);
	r->index = row->rcpt_index;
	r->attempts = row->attempts;
	r->notify = (unsigned char)row->notify;
	r->warned = (unsigned char)row->warned;
	r->outcome = (unsigned char)queue_outcome_parse(row->outcome);
	if (r->outcome != QUEUE_WAITS) {
		r->reply = queue_reply_row(row);
		r->is_gathered = true;
		r->is_parked = row->attempts == 0;
		/* the last one is not to come, but over */
		r->attempts -= r->attempts > 0;
	}
	/* the queue may have died before it could note a success */
	r->is_repeated = true;
	return 0;
}

/* Does an agent get some of ${m}? */
static bool
is_waiting(const struct queue_message *m)
{
	uint32_t i;

	for (i = 0; i < m->nrcpts && m->rcpts[i].state != RCPT_WAITING; i++)
		continue;
	return i < m->nrcpts;
}

/* Room for the message of which the rows were measured.  NULL: ENOMEM */
static struct queue_message *
message_new(struct due *due)
{
	struct queue_message *m;

	due->sections = NULL;
	if (due->has_sections && (due->sections = calloc(due->nrcpts,
	    sizeof(due->sections[0]))) == NULL)
		return NULL;
	if ((m = queue_message_new(due->nrcpts, due->strings)) == NULL)
		free(due->sections);
	return m;
}

/* Take the message ${id} from its rows.  Return 1; 0: none of it is for an agent
 * now, and it leaves the memory at the end of the pass; or -1 with errno. */
static int
load(struct queue *q, struct due *due, uint64_t id)
{
	const struct deferred_query of = { .what = DEFERRED_OF, .id = id };
	struct queue_message *m;

	due->nrcpts = 0;
	due->strings = 0;
	due->has_sections = false;
	if (q->store_ops->rows(q->store, &of, measure_row, due) == -1)
		return -1;
	if (due->nrcpts == 0)
		return 0;
	if ((m = message_new(due)) == NULL)
		return -1;
	m->place.id = id;
	m->place.offset = SPOOL_PAGE;
	due->message = m;
	due->p = queue_message_strings(m);
	due->end = due->p + due->strings;
	if (q->store_ops->rows(q->store, &of, take_row, due) == -1 ||
	    m->nopen != m->nrcpts) {
		while (m->nrcpts > 0)
			free(m->rcpts[--m->nrcpts].reply);
		free(m);
		free(due->sections);
		return -1;
	}
	/* one that cannot be taken is not tried again at once */
	q->nloaded += due->nrcpts;
	queue_message_insert(q, m);
	queue_message_route(q, m, due->sections);
	free(due->sections);
	if (is_waiting(m))
		return 1;
	q->targets.nleaving++;
	return 0;
}

bool
queue_may_load(const struct queue *q)
{
	return queue_has_room_for(q, QUEUE_DUE) &&
	    q->nloaded < QUEUE_LOAD_ROWS;
}

/* Take messages that are parked for ${t}, as far as it may have some. */
static int
load_backlog(struct queue *q, struct queue_target *t)
{
	struct deferred_query query = { .what = DEFERRED_WAITS,
		.waits_for = t->name, .limit = DUE_ROWS };
	struct due due = { .q = q, .waits_for = t->name,
		.max = MIN(queue_target_backlog_room(q, t), DUE_ROWS) };
	unsigned int i;
	int rc = collect(&due, &query);

	if (rc == -1) {
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
		return -1;
	}
	if (rc == 1 && due.seen.id == 0)
		queue_target_backlog_over(q, t);
	for (i = 0; i < due.n && queue_may_load(q); i++)
		if (load(q, &due, due.ids[i]) == -1)
			return -1;
	return 0;
}

void
queue_load_backlogs(struct queue *q)
{
	const struct queue_target *first = NULL;
	struct queue_target *t;
	unsigned int i;

	if (q->store_ms > q->now_ms || q->is_stopped || queue_is_shifting(q))
		return;
	for (i = 0; i < QUEUE_TARGETS_LOOK && queue_may_load(q) &&
	    (t = queue_target_backlog(q)) != first && t != NULL; i++) {
		/* each has one turn in a pass */
		if (i == 0)
			first = t;
		if (load_backlog(q, t) == -1)
			return;
	}
}

/* Take messages that are due, as far as there is room for them. */
void
queue_load_due(struct queue *q)
{
	struct deferred_query query = { .what = DEFERRED_DUE,
		.now = q->wall_ms / 1000, .limit = DUE_ROWS };
	struct due due = { .q = q, .seen = q->due_seen,
		.max = QUEUE_FILES_MAX };
	bool is_whole = q->due_seen.id == 0;
	unsigned int i, nidle = 0;
	int rc, loaded;

	if (q->due_ms > q->now_ms || q->store_ms > q->now_ms ||
	    !queue_has_room_for(q, QUEUE_DUE) || q->is_stopped ||
	    queue_is_shifting(q))
		return;
	/* rows that are in hand are due as long as they are */
	q->due_ms = q->now_ms + QUEUE_HAND_MS;
	due.max -= (unsigned int)q->held[QUEUE_DUE].nfiles;
	if ((rc = collect(&due, &query)) == -1) {
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
		return;
	}
	for (i = 0; i < due.n && queue_may_load(q); i++) {
		if ((loaded = load(q, &due, due.ids[i])) == -1)
			break;
		nidle += loaded == 0;
	}
	/* there are others behind where this pass has begun */
	if (i < due.n && q->nloaded >= QUEUE_LOAD_ROWS) {
		q->due_ms = q->now_ms;
		return;
	}
	q->due_seen = rc == 1 || i < due.n ? (struct queue_seen){ .id = 0 } :
	    due.seen;
	/* what is parked makes room for those behind it */
	if (rc == 0 && (due.n < due.max || nidle > 0))
		q->due_ms = q->now_ms + DUE_AGAIN_MS;
	else if (rc == 1 && due.n == 0 && !is_whole)
		q->due_ms = q->now_ms;
	if (due.n > 0 || q->held[QUEUE_DUE].nmessages > 0 || !is_whole)
		return;
	queue_due_again(q);
	/* a row that was edited by hand and is not valid stays due */
	if (q->due_ms <= q->now_ms)
		q->due_ms = q->now_ms + QUEUE_TROUBLE_MS;
}
