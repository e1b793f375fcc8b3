/* The queue's life and its passes.
 * Owns: the order of what is done in one pass, and when the next is due. */

#include "core/queue/queue_int.h"

#include <errno.h>
#include <stdlib.h>

#include "core/process/log.h"

static bool
body_is_known(void *closure, uint64_t id)
{
	struct queue *q = closure;
	struct queue_message *m = queue_message_find(q, id, false);
	size_t i;

	for (i = 0; i < q->nbodies; i++)
		if (q->bodies[i] == id)
			return true;
	return m != NULL;
}

/* Bodies that no record names.  It may have to read all segments: not while
 * there are many. */
static void
sweep(struct queue *q)
{
	struct queue_segment *seg;
	unsigned int nsegments = 0;
	int n;

	RB_FOREACH (seg, queue_segments, &q->segments)
		nsegments++;
	if (nsegments > QUEUE_SWEEP_SEGMENTS) {
		q->sweep_ms = q->now_ms + QUEUE_SCAN_MS;
		return;
	}
	n = spool_sweep(q->config.incoming_dirfd, QUEUE_SWEEP_GRACE_S,
	    body_is_known, q);
	q->sweep_ms = q->now_ms + QUEUE_SWEEP_MS;
	if (n == -1)
		log_warn("spool-sweep", "folder=%s", "incoming");
	else if (n > 0)
		log_event(LOG_LEVEL_NOTICE, "spool-sweep",
		    "removed=%d reason=%s", n,
		    "files of workers that died before they committed");
}

struct queue *
queue_open(const struct queue_config *config, const struct queue_ops *ops,
    void *closure, const struct timeval *now)
{
	struct queue *q;
	size_t i;
	int saved;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->config = *config;
	q->ops = ops;
	q->closure = closure;
	q->now_ms = queue_ms(now);
	q->next_source = 1;
	RB_INIT(&q->segments);
	TAILQ_INIT(&q->ready);
	for (i = 0; i < QUEUE_TRANSPORTS_MAX; i++)
		TAILQ_INIT(&q->todo[i]);
	TAILQ_INIT(&q->settle);
	for (i = 0; i < QUEUE_BUCKETS; i++)
		LIST_INIT(&q->buckets[i]);
	if ((q->readbuf = spool_readbuf_new()) == NULL)
		goto err1;
	q->deferred = deferred_open(config->folder, config->queue_dirfd);
	if (q->deferred == NULL) {
		log_err("deferred-open", "folder=%s", config->folder);
		goto err1;
	}
	if (queue_segments_open(q) == -1)
		goto err1;
	sweep(q);
	/* Again, for what died only just now. */
	q->sweep_ms = q->now_ms + QUEUE_DEATH_MS;
	queue_due_again(q);
	q->scan_ms = q->now_ms + QUEUE_SCAN_MS;
	return q;
err1:
	saved = errno;
	queue_close(q);
	errno = saved;
	return NULL;
}

void
queue_close(struct queue *q)
{
	struct queue_message *m;
	size_t i;

	if (q == NULL)
		return;
	if (q->acklog != NULL)
		queue_maintain_log(q);
	for (i = 0; i < QUEUE_BUCKETS; i++)
		while ((m = LIST_FIRST(&q->buckets[i])) != NULL)
			queue_message_free(q, m);
	queue_segments_close(q);
	acklog_free(q->acklog);
	deferred_free(q->deferred);
	spool_readbuf_free(q->readbuf);
	free(q->jobs);
	free(q->bodies);
	free(q);
}

void
queue_writer_gone(struct queue *q)
{
	q->lock_ms = q->scan_ms = 0;
	/* it may have left a body that no record will name */
	q->sweep_ms = q->now_ms + QUEUE_DEATH_MS;
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

/* What is done by the clock */
static void
maintain(struct queue *q)
{
	if (q->scan_ms <= q->now_ms) {
		queue_segment_scan(q);
		q->scan_ms = q->now_ms + QUEUE_SCAN_MS;
		q->lock_ms = q->now_ms + QUEUE_LOCK_MS;
	}
	if (q->lock_ms <= q->now_ms) {
		queue_segment_check_writers(q);
		q->lock_ms = q->now_ms + QUEUE_LOCK_MS;
	}
	if (q->recycle_ms <= q->now_ms) {
		queue_recycle(q);
		queue_rewind(q);
		q->recycle_ms = q->now_ms + QUEUE_RECYCLE_MS;
	}
	if (q->sync_ms <= q->now_ms) {
		queue_maintain_log(q);
		q->sync_ms = q->now_ms + QUEUE_SYNC_MS;
	}
	if (q->sweep_ms <= q->now_ms)
		sweep(q);
}

static int64_t
sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Is there anything that the short intervals are for? */
static bool
is_busy(const struct queue *q)
{
	return q->nmessages > 0 || q->nbodies > 0 ||
	    !acklog_is_synced(q->acklog) || !TAILQ_EMPTY(&q->ready);
}

/* The wall clock was set back: no deadline may lie an hour ahead for that. */
static void
clock_went_back(struct queue *q)
{
	struct queue_segment *seg;

	q->lock_ms = q->scan_ms = q->sync_ms = q->recycle_ms = 0;
	q->due_ms = q->store_ms = 0;
	q->sweep_ms = q->now_ms + QUEUE_SWEEP_MS;
	RB_FOREACH (seg, queue_segments, &q->segments) {
		seg->trouble_ms = 0;
		if (seg->rewind_ms != 0)
			seg->rewind_ms = q->now_ms;
	}
}

int
queue_pass(struct queue *q, const struct timeval *now)
{
	int64_t due;
	bool is_more;

	q->now_ms = queue_ms(now);
	if (q->now_ms + 1000 < q->passed_ms)
		clock_went_back(q);
	q->passed_ms = q->now_ms;
	queue_unblock(q);
	maintain(q);
	queue_settle(q);
	queue_load_due(q);
	/* jobs in front of room for more, then what there is room for */
	queue_dispatch(q);
	is_more = !q->is_stopped && queue_read(q);
	queue_dispatch(q);
	queue_settle(q);
	if (acklog_write(q->acklog) == -1 && q->acklog_errnum != errno) {
		q->acklog_errnum = errno;
		log_err("acklog-write", "folder=%s", q->config.folder);
	}
	if (is_more && !q->is_blocked)
		return 0;
	due = sooner(sooner(q->lock_ms, q->scan_ms), q->sweep_ms);
	due = sooner(due, q->due_ms > q->store_ms ? q->due_ms : q->store_ms);
	if (is_busy(q) || q->is_blocked)
		due = sooner(due, q->recycle_ms);
	return due <= q->now_ms ? 1 : (int)(due - q->now_ms);
}
