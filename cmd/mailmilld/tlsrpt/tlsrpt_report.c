/* Reports of SMTP TLS Reporting; see tlsrpt_report.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/parse/datetime.h"

/* json_object_set_new() and json_array_append_new() take their value, fail if it is
 * NULL, and free it if they fail. */

static const char *const type_names[TLSRPT_NTYPES] = {
	[TLSRPT_TLSA] = "tlsa",
	[TLSRPT_STS] = "sts",
	[TLSRPT_NO_POLICY] = "no-policy-found",
};

const char *
tlsrpt_type_name(enum tlsrpt_policy_type type)
{
	return type_names[type];
}

enum tlsrpt_policy_type
tlsrpt_type_of(const char *name)
{
	enum tlsrpt_policy_type type;

	for (type = 0; type < TLSRPT_NTYPES; type++)
		if (strcmp(name, type_names[type]) == 0)
			break;
	return type;
}

/* A reply of a next hop may have any octets; JSON has UTF-8 (RFC 8259 8.1). */
static json_t *
text_json(const char *text)
{
	json_t *json = json_string(text);
	char *copy, *s;

	if (json != NULL || (copy = strdup(text)) == NULL)
		return json;
	for (s = copy; *s != '\0'; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

static int
set_text(json_t *object, const char *key, const char *text)
{
	return json_object_set_new(object, key, text_json(text));
}

static int
set_text_if(json_t *object, const char *key, const char *text)
{
	return *text == '\0' ? 0 : set_text(object, key, text);
}

static int
set_number(json_t *object, const char *key, uint64_t n)
{
	return json_object_set_new(object, key, json_integer((json_int_t)n));
}

static int
set_date(json_t *object, const char *key, int64_t seconds)
{
	char buf[DATETIME_MAX];

	datetime_format(seconds, buf);
	return set_text(object, key, buf);
}

/* ${json} if nothing has failed. */
static json_t *
made(json_t *json, int failed)
{
	if (failed == 0)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *
texts_json(const char *const *texts, size_t n)
{
	json_t *array = json_array();
	int failed = 0;
	size_t i;

	for (i = 0; i < n; i++)
		failed |= json_array_append_new(array, text_json(texts[i]));
	return made(array, failed);
}

static json_t *
failure_json(const struct tlsrpt_failure *f)
{
	json_t *o = json_object();

	return made(o, set_text(o, "result-type", f->result) |
	    set_text_if(o, "sending-mta-ip", f->sending_ip) |
	    set_text_if(o, "receiving-mx-hostname", f->mx_host) |
	    set_text_if(o, "receiving-mx-helo", f->mx_helo) |
	    set_text_if(o, "receiving-ip", f->receiving_ip) |
	    set_number(o, "failed-session-count", f->n) |
	    set_text_if(o, "additional-information", f->info) |
	    set_text_if(o, "failure-reason-code", f->reason));
}

static json_t *
failures_json(const struct tlsrpt_policy *p)
{
	json_t *array = json_array();
	int failed = 0;
	size_t i;

	for (i = 0; i < p->ndetails; i++)
		failed |= json_array_append_new(array,
		    failure_json(&p->details[i]));
	return made(array, failed);
}

static json_t *
summary_json(const struct tlsrpt_policy *p)
{
	json_t *o = json_object();

	return made(o,
	    set_number(o, "total-successful-session-count", p->successes) |
	    set_number(o, "total-failure-session-count", p->failures));
}

/* The example in RFC 8460 Appendix B has a text as mx-host; senders and readers
 * have agreed on an array, since a policy has several. */
static json_t *
applied_json(const struct tlsrpt_policy *p)
{
	json_t *o = json_object();
	int failed = set_text(o, "policy-type", type_names[p->type]) |
	    set_text(o, "policy-domain", p->domain);

	if (p->nstrings > 0)
		failed |= json_object_set_new(o, "policy-string",
		    texts_json(p->strings, p->nstrings));
	if (p->nmx_hosts > 0)
		failed |= json_object_set_new(o, "mx-host",
		    texts_json(p->mx_hosts, p->nmx_hosts));
	return made(o, failed);
}

static json_t *
policy_json(const struct tlsrpt_policy *p)
{
	json_t *o = json_object();
	int failed = json_object_set_new(o, "policy", applied_json(p)) |
	    json_object_set_new(o, "summary", summary_json(p));

	if (p->ndetails > 0)
		failed |= json_object_set_new(o, "failure-details",
		    failures_json(p));
	return made(o, failed);
}

static json_t *
policies_json(const struct tlsrpt_report *r)
{
	json_t *array = json_array();
	int failed = 0;
	size_t i;

	for (i = 0; i < r->npolicies; i++)
		failed |= json_array_append_new(array,
		    policy_json(&r->policies[i]));
	return made(array, failed);
}

static json_t *
range_json(const struct tlsrpt_report *r)
{
	json_t *o = json_object();

	return made(o, set_date(o, "start-datetime", r->start) |
	    set_date(o, "end-datetime", r->end));
}

char *
tlsrpt_report_json(const struct tlsrpt_report *r)
{
	json_t *o = json_object();
	char *text = NULL;

	o = made(o, set_text(o, "organization-name", r->organization) |
	    json_object_set_new(o, "date-range", range_json(r)) |
	    set_text(o, "contact-info", r->contact) |
	    set_text(o, "report-id", r->id) |
	    json_object_set_new(o, "policies", policies_json(r)));
	if (o != NULL)
		text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	if (text == NULL)
		errno = ENOMEM;
	return text;
}
