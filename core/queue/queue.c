/* The queue's life and its passes.
 * Owns: the order of what is done in one pass, and when the next is due. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <limits.h>
#include <stdlib.h>

static const struct queue_store_user store_user = {
	.has_room = queue_has_room,
	.take = queue_take,
	.forget = queue_forget,
	.holds = queue_holds,
};

static void
take_times(struct queue *q)
{
	const struct queue_config *c = &q->config;
	unsigned int i;

	q->times = (struct queue_times){ .retry_s = c->retry_s,
		.max_retry_s = c->max_retry_s, .lifetime_s = c->lifetime_s,
		.bounce_lifetime_s = c->bounce_lifetime_s,
		.warning_s = c->warning_s };
	q->longest_retry_s = c->max_retry_s;
	for (i = 0; i < c->ntimes; i++)
		if (c->times[i].max_retry_s > q->longest_retry_s)
			q->longest_retry_s = c->times[i].max_retry_s;
}

struct queue *
queue_open(const struct queue_config *config, const struct queue_ops *ops,
    void *closure, const struct timeval *now, int64_t ms)
{
	struct queue *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->config = *config;
	if (q->config.max_messages == 0)
		q->config.max_messages = QUEUE_MESSAGES_MAX;
	take_times(q);
	q->ops = ops;
	q->closure = closure;
	q->now_ms = q->start_ms = ms;
	q->wall_ms = queue_ms(now);
	q->ahead_ms = q->wall_ms - ms;
	q->next_source = 1;
	TAILQ_INIT(&q->files);
	queue_targets_init(q);
	TAILQ_INIT(&q->settle);
	TAILQ_INIT(&q->unstored);
	TAILQ_INIT(&q->starts);
	q->store_ops = config->store;
	q->store = q->store_ops->open(config, &store_user, q, q->now_ms);
	if (q->store == NULL) {
		free(q);
		return NULL;
	}
	/* it may have been set while no queue process was there */
	queue_shift_begin(q, 0);
	queue_shift_run(q);
	q->is_held_news = true;
	queue_held_look(q);
	queue_due_again(q);
	return q;
}

void
queue_close(struct queue *q)
{
	struct queue_message *m;
	size_t i;

	if (q == NULL)
		return;
	for (i = 0; i < QUEUE_BUCKETS; i++)
		while ((m = LIST_FIRST(&q->buckets[i])) != NULL)
			queue_message_free(q, m);
	queue_targets_free(q);
	queue_streams_free(q);
	q->store_ops->close(q->store);
	queue_held_free(q);
	queue_starts_free(q);
	free(q->jobs);
	free(q);
}

void
queue_committed(struct queue *q, unsigned int writer, uint64_t segment,
    uint64_t generation, uint64_t end, bool is_sealed)
{
	q->store_ops->committed(q->store, writer, segment, generation, end,
	    is_sealed);
}

void
queue_writer_add(struct queue *q, unsigned int number)
{
	q->store_ops->writer(q->store, number, true);
}

void
queue_writer_gone(struct queue *q, unsigned int number)
{
	q->store_ops->writer(q->store, number, false);
}

void
queue_stop(struct queue *q)
{
	q->is_stopped = true;
}

size_t
queue_in_flight(const struct queue *q)
{
	return q->in_flight;
}

/* When deferred messages are to be looked for.  Where there is no room for one, what
 * makes room is a result, or another pass. */
static int64_t
load_due(const struct queue *q)
{
	int64_t due = MAX(q->due_ms, q->store_ms);

	return queue_has_room_for(q, QUEUE_DUE) ? due :
	    MAX(due, q->now_ms + QUEUE_HAND_MS);
}

int
queue_pass(struct queue *q, const struct timeval *now, int64_t ms)
{
	int64_t due;
	bool is_more;

	q->now_ms = ms;
	queue_clock_see(q, now);
	queue_unblock(q);
	q->report_octets = 0;
	q->nloaded = 0;
	q->store_ops->begin(q->store, ms);
	queue_targets_run(q);
	/* if it may be written again, mail is read first: a failure would put that
	 * off, again and again */
	if (!q->is_failing || q->store_ms > q->now_ms)
		queue_settle(q);
	queue_starts_run(q);
	queue_load_due(q);
	queue_load_backlogs(q);
	/* jobs in front of room for more, then what there is room for */
	queue_dispatch(q);
	is_more = !q->is_stopped && q->store_ops->read(q->store);
	queue_dispatch(q);
	queue_settle(q);
	queue_held_look(q);
	if ((due = q->store_ops->end(q->store)) == -1)
		return -1;
	if ((is_more && !q->is_blocked) || !TAILQ_EMPTY(&q->settle) ||
	    queue_shift_may_run(q) || q->nloaded >= QUEUE_LOAD_ROWS ||
	    (q->shift.has_next && !q->shift.is_running))
		return 0;
	if (q->shift.is_running && !q->is_stopped)
		due = MIN(due, q->store_ms);
	due = MIN(due, load_due(q));
	if (!TAILQ_EMPTY(&q->unstored))
		due = MIN(due, q->store_ms);
	due = MIN(due, queue_held_due(q));
	due = MIN(due, queue_targets_due(q));
	due = MIN(due, MAX(queue_starts_due(q), q->store_ms));
	if (q->is_blocked)
		due = MIN(due, ms + QUEUE_AGAIN_MS);
	return due <= ms ? 1 : (int)MIN(due - ms, INT_MAX);
}
