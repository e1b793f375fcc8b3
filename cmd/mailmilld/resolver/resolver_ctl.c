/* Requests of mailmillctl, whose connections the master has passed on: what the
 * DNS says, as the server's own processes get to know it.
 * Owns: these connections, the answers as JSON. */

#include "cmd/mailmilld/resolver/resolver_int.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/lookup/mx.h"
#include "cmd/mailmilld/role/ctl_answer.h"
#include "core/loop/watch.h"
#include "core/process/log.h"
#include "core/scheduler.h"

#define CTLS_MAX	16
#define SMTP_PORT	25
#define AGAIN	"{\"again\":true,\"error\":\"the resolver is being replaced, or " \
		"has too many requests: try again in a moment\"}\n"

struct resolver_ctl {
	TAILQ_ENTRY(resolver_ctl) link;
	struct resolver		*resolver;
	Event			*event;
	json_t			*answer;	/* being put together */
	struct ctl_answer	 whole;		/* the same, when it is complete */
	bool			 is_whole;
	enum lookup_type	 type;
	struct lookup_ask	*ask;
	struct mx		*mx;
};

static void
ctl_free(struct resolver_ctl *ctl)
{
	TAILQ_REMOVE(&ctl->resolver->ctls, ctl, link);
	ctl->resolver->nctls--;
	lookup_cancel(&ctl->ask);
	mx_close(&ctl->mx);
	json_decref(ctl->answer);
	ctl_answer_clear(&ctl->whole);
	free(ctl);
}

/* --- writing -------------------------------------------------------------- */

static int
on_event(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct resolver_ctl *ctl = closure;
	int needmask = 0;

	/* with E_EXCEPTION mailmillctl has left, with E_TIMEOUT it reads nothing */
	if (!ctl->is_whole && (eventtype & E_EXCEPTION) == 0)
		return E_ASYNC | E_EXCEPTION;
	if (ctl->is_whole && (eventtype & (E_WRITE | E_ASYNC)) != 0)
		needmask = ctl_answer_write(&ctl->whole, e, now);
	if (needmask == 0) {
		event_close(e);
		ctl_free(ctl);
	}
	return needmask;
}

/* The answer is complete. */
static void
ctl_answer(struct resolver_ctl *ctl)
{
	ctl_answer_set(&ctl->whole, ctl->answer);
	ctl->is_whole = true;
	schedule_event_and_dispatch(ctl->event, E_ASYNC);
}

/* --- hops ----------------------------------------------------------------- */

static void
put_hop(json_t *hops, const struct mx_hop *hop)
{
	char addr[ADDR_TEXT];
	json_t *o = json_pack("{s:i, s:s, s:s, s:b}",
	    "preference", (int)hop->preference,
	    "host", hop->host,
	    "address", addr_text(&hop->addr.sa, addr),
	    "authentic", hop->is_mx_authentic && hop->is_addr_authentic);

	if (*hop->alias != '\0')
		json_object_set_new(o, "alias", json_string(hop->alias));
	if (hop->tlsa.status == MX_TLSA_FOUND)
		json_object_set_new(o, "tlsa", json_string(hop->tlsa.base));
	else if (hop->tlsa.status == MX_TLSA_FAILED)
		json_object_set_new(o, "tlsa", json_null());
	json_array_append_new(hops, o);
}

/* What a message would be told if no hop took it; of one that can be tried, the
 * hop tells. */
static void
put_end(json_t *answer, enum mx_end end)
{
	const struct mx_reply *reply = mx_end_reply(end);

	if (end == MX_END_TRIED)
		return;
	json_object_set_new(answer, "code", json_integer(reply->code));
	json_object_set_new(answer, "enhanced", json_string(reply->enhanced));
	json_object_set_new(answer, "reason", json_string(reply->text));
}

static void
on_hops(void *closure, const struct mx_result *result)
{
	struct resolver_ctl *ctl = closure;
	json_t *hops = json_object_get(ctl->answer, "hops");
	size_t i;

	for (i = 0; i < result->n; i++)
		put_hop(hops, &result->hops[i]);
	if (result->n > 0) {
		mx_more(ctl->mx);
		return;
	}
	put_end(ctl->answer, result->end);
	mx_close(&ctl->mx);
	ctl_answer(ctl);
}

/* --- records -------------------------------------------------------------- */

static json_t *
hex(const uint8_t *o, size_t len)
{
	char *text = malloc(2 * len + 1);
	json_t *s;
	size_t i;

	if (text == NULL)
		return NULL;
	for (i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", o[i]);
	s = json_stringn(text, 2 * len);
	free(text);
	return s;
}

/* Octets that are not printable ASCII are written as \DDD (RFC 1035 5.1). */
static json_t *
escaped(const uint8_t *o, size_t len)
{
	char *text = malloc(4 * len + 1);
	size_t i, at = 0;
	json_t *s;

	if (text == NULL)
		return NULL;
	for (i = 0; i < len; i++)
		if (o[i] < ' ' || o[i] > '~' || o[i] == '\\')
			at += (size_t)snprintf(text + at, 5, "\\%03u", o[i]);
		else
			text[at++] = (char)o[i];
	s = json_stringn(text, at);
	free(text);
	return s;
}

static json_t *
record_json(const struct lookup_record *r)
{
	char addr[ADDR_TEXT];

	switch (r->type) {
	case LOOKUP_R_ADDRESS:
		return json_pack("{s:s}", "address", addr_text(&r->addr.sa,
		    addr));
	case LOOKUP_R_MX:
		return json_pack("{s:i, s:s}", "preference",
		    (int)r->preference, "host", *r->name == '\0' ? "." :
		    r->name);
	case LOOKUP_R_PTR:
		return json_pack("{s:s}", "host", r->name);
	case LOOKUP_R_TLSA:
		return json_pack("{s:i, s:i, s:i, s:o}", "usage",
		    r->tlsa.usage, "selector", r->tlsa.selector, "matching",
		    r->tlsa.matching, "data", hex(r->data, r->len));
	default:
		return json_pack("{s:o}", "text", escaped(r->data, r->len));
	}
}

static void
on_answer(void *closure, const struct lookup_answer *a)
{
	struct resolver_ctl *ctl = closure;
	json_t *records = json_array();
	struct lookup_record r;
	size_t at = 0;

	ctl->ask = NULL;
	while (lookup_record_next(a, &at, &r) == 1)
		json_array_append_new(records, record_json(&r));
	json_object_set_new(ctl->answer, "status",
	    json_string(lookup_status_name(a->status)));
	json_object_set_new(ctl->answer, "ttl", json_integer(a->ttl_s));
	json_object_set_new(ctl->answer, "authentic",
	    json_boolean(a->is_authentic));
	if (*a->alias != '\0')
		json_object_set_new(ctl->answer, "alias",
		    json_string(a->alias));
	json_object_set_new(ctl->answer, "records", records);
	ctl_answer(ctl);
}

/* --- requests ------------------------------------------------------------- */

static void
ctl_error(struct resolver_ctl *ctl, const char *text)
{
	json_object_set_new(ctl->answer, "error", json_string(text));
	ctl_answer(ctl);
}

/* The port of the hosts of ${name}. */
static unsigned int
port_for(const struct settings *s, const char *name)
{
	const struct settings_domain *d = settings_domain_find(s, name,
	    strlen(name));

	return d != NULL && settings_is_mx(d) ? (unsigned int)d->mx_port :
	    SMTP_PORT;
}

/* {"command": "lookup", "name": ..., "type": ...}; without a type the hops are
 * wanted. */
static void
begin(struct resolver_ctl *ctl, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *type = json_string_value(json_object_get(request, "type"));
	struct mx_want want = { .name = name, .self = ctl->resolver->self,
		.wants_tlsa = true };

	if (name == NULL) {
		ctl_error(ctl, "expected the name to look up");
		return;
	}
	want.port = port_for(ctl->resolver->settings, name);
	json_object_set_new(ctl->answer, "name", json_string(name));
	if (type == NULL) {
		json_object_set_new(ctl->answer, "hops", json_array());
		ctl->mx = mx_open(ctl->resolver->lookup, &want, on_hops, ctl);
		if (ctl->mx == NULL)
			ctl_error(ctl, "out of memory: try again");
		return;
	}
	json_object_set_new(ctl->answer, "type", json_string(type));
	if ((ctl->type = lookup_type_of(type)) == LOOKUP_NTYPES) {
		ctl_error(ctl, "expected host, mx, txt, tlsa, ptr or cname as the "
		    "type");
		return;
	}
	ctl->ask = lookup_ask(ctl->resolver->lookup, ctl->type, name,
	    on_answer, ctl);
	if (ctl->ask == NULL)
		ctl_error(ctl, errno == EINVAL ? "not a name that can be in "
		    "the DNS: write it in ASCII, with \"xn--\" where it needs "
		    "that" : strerror(errno));
}

void
resolver_ctl_begin(struct resolver *r, int fd, const char *request,
    unsigned int len)
{
	struct resolver_ctl *ctl;
	json_t *root;

	if (fd == -1) {		/* it was lost on its way to us */
		log_errx("resolver-control", "reason=%s",
		    "out of descriptors");
		return;
	}
	if (r->lookup == NULL || r->nctls == CTLS_MAX) {
		ctl_answer_refuse(fd, AGAIN);
		return;
	}
	if ((ctl = calloc(1, sizeof(*ctl))) == NULL ||
	    (ctl->answer = json_object()) == NULL ||
	    (ctl->event = watch_fd(fd, E_ASYNC | E_EXCEPTION, on_event,
	    ctl)) == NULL) {
		if (ctl != NULL)
			json_decref(ctl->answer);
		free(ctl);
		ctl_answer_refuse(fd, CTL_ANSWER_NO_MEMORY);
		return;
	}
	ctl->resolver = r;
	TAILQ_INSERT_TAIL(&r->ctls, ctl, link);
	r->nctls++;
	root = json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL);
	begin(ctl, root);
	json_decref(root);
}

void
resolver_ctl_end_all(struct resolver *r)
{
	struct resolver_ctl *ctl;
	int fd;

	while ((ctl = TAILQ_FIRST(&r->ctls)) != NULL) {
		fd = ctl->event->fd;
		if (!ctl->is_whole)
			(void)!write(fd, AGAIN, strlen(AGAIN));
		watch_close(&ctl->event);
		ctl_free(ctl);
	}
}
