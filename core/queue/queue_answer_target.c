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

/* In how many seconds is there a probe? */
static int64_t
rest_s(const struct queue_answer *a, const struct queue_target *t)
{
	const struct queue *q = a->q;
	/* the time of the last pass may be long ago */
	int64_t now_ms = q->wall_ms - q->ahead_ms;
	int64_t ms = t->rest_ms == 0 ? queue_target_rest_ms(q, t) :
	    t->rest_ms - now_ms;

	return MAX(ms, 0) / 1000 + (ms % 1000 > 0);
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
	if (!t->is_resting)
		return;
	json_object_set_new(json, "rest", json_integer(rest_s(a, t)));
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
