/* Answers about the queue: where recipients go, and what holds them up there.
 * Owns: how a target looks in JSON. */

#include "core/queue/queue_answer.h"

#include <sys/param.h>

const char *
queue_answer_target_name(const struct queue_answer *a,
    const struct queue_rcpt *r, const struct queue_addressee *to,
    char buf[QUEUE_TARGET_NAME])
{
	const struct queue *q = a->q;
	struct queue_route route = { .target = "" };
	char text[JOB_TEXT];

	if (r != NULL && r->target != NULL)
		return r->target->name;
	/* without a server there are no routes */
	if (q->ops->route == NULL ||
	    q->ops->route(q->closure, to, &route, text) == -1)
		return "";
	queue_target_name(q, &route, buf);
	return buf;
}

/* By the clock of q->now_ms, which is the time of the last pass: that may be long
 * ago. */
static int64_t
now_ms(const struct queue *q)
{
	return MAX(q->wall_ms - q->ahead_ms, q->now_ms);
}

/* ${name}: ${ms}, in whole seconds */
static void
put_seconds(json_t *json, const char *name, int64_t ms)
{
	ms = MAX(ms, 0);
	json_object_set_new(json, name, json_integer(ms / 1000 +
	    (ms % 1000 > 0)));
}

/* Why it may have nothing now, beside a rest: each reason that there is */
static void
put_waits(const struct queue *q, json_t *json, const struct queue_target *t)
{
	int64_t now = now_ms(q), ms = MAX(t->off_ms - now, t->later_ms);

	if (t->nwaiting[QUEUE_NEW] + t->nwaiting[QUEUE_DUE] == 0 &&
	    !t->has_backlog)
		return;
	if (ms > 0)
		put_seconds(json, "mx_rate_wait", ms);
	if (t->rate_ms > now)
		put_seconds(json, "rate_wait", t->rate_ms - now);
	if (t->stream == NULL)
		return;
	if ((ms = queue_stream_rate_ms(t->stream, now)) > 0)
		put_seconds(json, "source_rate_wait", ms);
	if (queue_stream_is_full(q, t))
		json_object_set_new(json, "source_full", json_true());
}

/* What is known of the target ${name} */
static void
put_target(const struct queue_answer *a, json_t *json, const char *name)
{
	const struct queue_target *t = queue_target_find(a->q, name);

	if (t == NULL)
		return;
	json_object_set_new(json, "window", json_integer(t->window));
	json_object_set_new(json, "sent", json_integer(t->nsent[QUEUE_NEW] +
	    t->nsent[QUEUE_DUE]));
	put_waits(a->q, json, t);
	if (!t->is_resting)
		return;
	/* the time of one that begins with the next pass is not in rest_ms yet */
	put_seconds(json, "rest", t->rest_ms == 0 ?
	    queue_target_rest_ms(a->q, t) : t->rest_ms - now_ms(a->q));
	json_object_set_new(json, "error", queue_answer_text(t->error));
}

void
queue_answer_target_of(const struct queue_answer *a, json_t *message,
    const struct queue_rcpt *r, const struct queue_addressee *to)
{
	json_t *rcpts = json_object_get(message, "recipients"), *target;
	char buf[QUEUE_TARGET_NAME];
	const char *name = queue_answer_target_name(a, r, to, buf);

	if (*name == '\0')
		return;
	target = json_pack("{s:o}", "name", queue_answer_text(name));
	put_target(a, target, name);
	json_object_set_new(json_array_get(rcpts, json_array_size(rcpts) - 1),
	    "target", target);
}

void
queue_answer_targets(const struct queue_answer *a, json_t *top)
{
	json_t *row;
	size_t i;

	json_array_foreach(top, i, row)
		put_target(a, row, json_string_value(
		    json_object_get(row, "name")));
}
