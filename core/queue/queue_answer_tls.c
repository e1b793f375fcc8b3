/* Answers about the queue: what is counted for reports of TLS
 * (core/deferred/deferred_tls.h).
 * Owns: how a count looks in JSON. */

#include "core/queue/queue_answer.h"

#include <string.h>

/* A list with too many rows ends with ${limit} of them. */
static int
put_count(void *closure, const struct deferred_tls *t)
{
	struct queue_answer *a = closure;

	if (a->nmessages == a->limit) {
		a->is_more = true;
		return -1;
	}
	queue_answer_put(a, a->nmessages++ > 0 ? ",\n" : "");
	queue_answer_put_json(a, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, "
	    "s:o, s:o, s:o, s:o, s:I}", "day", (json_int_t)t->day,
	    "domain", queue_answer_text(t->domain),
	    "policy_type", queue_answer_text(t->policy_type),
	    "policy_domain", queue_answer_text(*t->policy_domain != '\0' ?
	    t->policy_domain : t->domain),
	    "policy", queue_answer_text(t->policy),
	    "result", *t->result != '\0' ? queue_answer_text(t->result) :
	    json_null(),
	    "mx_host", queue_answer_text(t->mx_host),
	    "sending_ip", queue_answer_text(t->sending_ip),
	    "receiving_ip", queue_answer_text(t->receiving_ip),
	    "reason", queue_answer_text(t->reason),
	    "sessions", (json_int_t)t->sessions));
	return a->stage == STAGE_DEFERRED ? 0 : -1;
}

void
queue_answer_tls(struct queue_answer *a)
{
	const struct queue_store_ops *ops = a->q->store_ops;
	unsigned int i;
	int rc = 1;

	for (i = 0; i < PIECE_ROWS && a->len < PIECE_OCTETS && rc == 1 &&
	    !a->is_more; i++) {
		rc = ops->tls_next(a->q->store, &a->tls_day, a->tls_domain,
		    INT64_MAX);
		if (rc == 1 && (!a->has_domain ||
		    strcmp(a->tls_domain, a->domain) == 0) &&
		    ops->tls_rows(a->q->store, a->tls_day, a->tls_domain,
		    put_count, a) == -1)
			rc = -1;
	}
	if (a->stage == STAGE_OVER)
		return;
	if (rc == -1)
		queue_answer_unreadable(a);
	if (rc != 1 || a->is_more)
		a->stage = STAGE_END;
}
