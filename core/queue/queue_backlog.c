/* Backlogs: the targets that have parked recipients in the deferred store.
 * Owns: which there are, whose turn it is to be loaded.
 * Their rows: queue_due.c. */

#include "core/queue/queue_int.h"

#include <sys/param.h>

#include <errno.h>
#include <string.h>

void
queue_target_parked(struct queue *q, struct queue_target *t)
{
	if (t->has_backlog)
		return;
	TAILQ_INSERT_TAIL(&q->targets.backlogs, t, backlog);
	t->has_backlog = true;
}

void
queue_target_backlog_over(struct queue *q, struct queue_target *t)
{
	TAILQ_REMOVE(&q->targets.backlogs, t, backlog);
	t->has_backlog = false;
}

struct queue_target *
queue_target_backlog(struct queue *q)
{
	struct queue_target *t;

	TAILQ_FOREACH (t, &q->targets.backlogs, backlog)
		if (queue_target_backlog_room(q, t) > 0)
			break;
	if (t == NULL)
		return NULL;
	TAILQ_REMOVE(&q->targets.backlogs, t, backlog);
	TAILQ_INSERT_TAIL(&q->targets.backlogs, t, backlog);
	return t;
}

/* The transport that the target ${name} begins with.  The configuration may not
 * have it any more. */
static unsigned int
transport_of(const struct queue *q, const char *name)
{
	size_t len = strcspn(name, " ");
	const char *transport;
	unsigned int i;

	for (i = 0; i < q->config.ntransports; i++) {
		transport = q->config.transports[i].name;
		if (strlen(transport) == len &&
		    strncmp(name, transport, len) == 0)
			return i;
	}
	return QUEUE_NO_TRANSPORT;
}

/* Rows name targets that nobody knows: of the process before this one, and of
 * those for which there was no room.  Look for some of them. */
void
queue_backlogs_scan(struct queue *q)
{
	struct queue_targets *ts = &q->targets;
	char name[QUEUE_TARGET_NAME];
	struct queue_target *t;
	unsigned int i;
	int rc = 1;

	if (ts->scan_ms > q->now_ms || q->store_ms > q->now_ms)
		return;
	if (ts->behind[0] == '\0')
		ts->has_lost = false;
	for (i = 0; i < QUEUE_TARGETS_LOOK; i++) {
		rc = q->store_ops->waited_for(q->store, ts->behind, name,
		    sizeof(name));
		if (rc != 1)
			break;
		t = queue_target_named(q, transport_of(q, name), name);
		if (t == NULL)
			break;	/* it is the next one in the next look, too */
		queue_target_parked(q, t);
		strlcpy(ts->behind, name, sizeof(ts->behind));
	}
	if (rc == -1)
		q->store_ms = q->now_ms + QUEUE_TROUBLE_MS;
	else if (i < QUEUE_TARGETS_LOOK) {
		/* that was all, or there is no room.  One that was lost meanwhile
		 * may be one that was looked at before */
		ts->scan_ms = rc == 0 && !ts->has_lost ? INT64_MAX :
		    q->now_ms + QUEUE_SLOW_MS;
		if (rc == 0)
			ts->behind[0] = '\0';
	}
}

int64_t
queue_backlogs_due(const struct queue *q)
{
	return MAX(q->targets.scan_ms, q->store_ms);
}

void
queue_target_hurry_to(struct queue *q, const struct queue_addressee *to)
{
	struct queue_route route = { .target = "" };
	char text[JOB_TEXT], name[QUEUE_TARGET_NAME];
	struct queue_target *t;

	/* without a server there are no routes, and nothing rests */
	if (q->ops->route == NULL ||
	    q->ops->route(q->closure, to, &route, text) == -1)
		return;
	queue_target_name(q, &route, name);
	if ((t = queue_target_find(q, name)) != NULL)
		queue_target_hurry(q, t);
}
