/* Answers about the queue: what the client has said of a message and of its
 * recipients, by the parameters of MAIL and RCPT.
 * Owns: how that, and any text of a client, looks in JSON.  What was not said is not there. */

#include "core/queue/queue_answer.h"

#include <stdlib.h>
#include <string.h>

/* ${s} as JSON, which must be UTF-8: octets that are not become '?'. */
json_t *
queue_answer_text(const char *s)
{
	json_t *json;
	char *copy, *p;

	if (s == NULL)
		return json_null();
	if ((json = json_string(s)) != NULL || (copy = strdup(s)) == NULL)
		return json;
	for (p = copy; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

static void
put_text(json_t *json, const char *key, const char *s)
{
	if (s != NULL)
		json_object_set_new(json, key, queue_answer_text(s));
}

static void
put_number(json_t *json, const char *key, int64_t n)
{
	if (n != 0)
		json_object_set_new(json, key, json_integer(n));
}

void
queue_answer_terms(json_t *message, const struct queue_terms *terms)
{
	put_number(message, "hold_until", terms->hold_until);
	put_number(message, "deliver_by", terms->deliver_by);
	if (terms->deliver_by != 0)
		put_text(message, "deliver_by_mode",
		    terms->flags & SPOOL_ENV_BY_RETURN ? "return" : "notify");
	put_number(message, "priority", terms->priority);
	if (terms->flags & SPOOL_ENV_REQUIRETLS)
		json_object_set_new(message, "require_tls", json_true());
	if (terms->flags & SPOOL_ENV_TLS_OPTIONAL)
		json_object_set_new(message, "tls_optional", json_true());
	if (terms->flags & SPOOL_ENV_SMTPUTF8)
		json_object_set_new(message, "smtputf8", json_true());
}

static json_t *
notify_list(unsigned int notify)
{
	static const char *const words[] = { "never", "success", "failure",
		"delay" };
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (notify & 1U << i)
			json_array_append_new(list, json_string(words[i]));
	return list;
}

void
queue_answer_said(json_t *message, const struct spool_envelope_view *env)
{
	const json_t *rcpts = json_object_get(message, "recipients");
	struct spool_envelope_rcpt said;
	const char *cursor = NULL;
	json_t *rcpt;
	size_t i;

	if (env->flags & (SPOOL_ENV_8BITMIME | SPOOL_ENV_BINARYMIME))
		put_text(message, "body", env->flags & SPOOL_ENV_BINARYMIME ?
		    "binarymime" : "8bitmime");
	if (env->flags & SPOOL_ENV_BY_TRACE)
		json_object_set_new(message, "deliver_by_trace", json_true());
	if (env->flags & SPOOL_ENV_EXPANDED)
		json_object_set_new(message, "expanded", json_true());
	if (env->flags & SPOOL_ENV_TLS_REPORT)
		json_object_set_new(message, "tls_report", json_true());
	if (env->flags & SPOOL_ENV_HOLD_FOR)
		json_object_set_new(message, "hold_for", json_true());
	put_text(message, "envid", env->envid);
	put_text(message, "solicit", env->solicit);
	if (env->flags & (SPOOL_ENV_RET_FULL | SPOOL_ENV_RET_HDRS))
		put_text(message, "ret",
		    env->flags & SPOOL_ENV_RET_FULL ? "full" : "hdrs");
	json_array_foreach(rcpts, i, rcpt) {
		spool_envelope_said(env, (uint32_t)json_integer_value(
		    json_object_get(rcpt, "index")), &cursor, &said);
		if (said.notify != 0)
			json_object_set_new(rcpt, "notify",
			    notify_list(said.notify));
		put_text(rcpt, "orcpt", said.orcpt);
	}
}
