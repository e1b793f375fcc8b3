/* Filters of mailmillctl's requests.
 * Owns: their words, how a text is compared with a pattern.
 * Letters of ASCII are the same in either case, also in front of the "@": no
 * administrator looks for joe and means that Joe be left out. */

#include "core/queue/queue_filter.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX	1024	/* octets of a pattern */

static const char *const states[] = { "active", "waiting", "delivering",
	"deferred", "held", "hold", "failed", "expired", "late", "delivered",
	"relayed" };

static const char *
parse_pattern(struct queue_pattern *p, const json_t *json)
{
	const char *text = json_string_value(json);
	size_t len;

	if (text == NULL || (len = strlen(text)) > TEXT_MAX)
		return "an address or a domain of the filter is no text of at "
		    "most 1024 octets";
	/* as the list and the log write the null sender */
	if (strcmp(text, "<>") == 0)
		len = 0;
	if (len > 0 && text[0] == '*') {
		p->is_open_start = true;
		text++;
		len--;
	}
	if (len > 0 && text[len - 1] == '*') {
		p->is_open_end = true;
		len--;
	}
	if (memchr(text, '*', len) != NULL)
		return "a \"*\" may be at the start and at the end of an "
		    "address or a domain, and nowhere else in it";
	p->len = len;
	return (p->text = strndup(text, len)) == NULL ? "out of memory" : NULL;
}

static const char *
parse_error(struct queue_filter *f, const json_t *json)
{
	const char *text = json_string_value(json);

	if (text == NULL || *text == '\0' || strlen(text) > TEXT_MAX)
		return "the part of an error is no text of 1 to 1024 octets";
	return (f->error = strdup(text)) == NULL ? "out of memory" : NULL;
}

static const char *
parse_number(int64_t *n_r, const json_t *json)
{
	if (!json_is_integer(json) || json_integer_value(json) <= 0)
		return "an age in seconds or a size in octets is a number from "
		    "1 on";
	*n_r = json_integer_value(json);
	return NULL;
}

static const char *
parse_state(struct queue_filter *f, const json_t *json)
{
	const char *text = json_string_value(json);
	size_t i;

	for (i = 0; text != NULL && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(text, states[i]) == 0) {
			f->state = states[i];
			return NULL;
		}
	return "there is no such state: use active, waiting, delivering, "
	    "deferred, held or hold";
}

static const char *
parse_member(struct queue_filter *f, const char *name, const json_t *value)
{
	const char *error;
	int64_t octets = 0;

	if (strcmp(name, "sender") == 0)
		return parse_pattern(&f->sender, value);
	if (strcmp(name, "recipient") == 0)
		return parse_pattern(&f->rcpt, value);
	if (strcmp(name, "domain") == 0)
		return parse_pattern(&f->domain, value);
	if (strcmp(name, "error") == 0)
		return parse_error(f, value);
	if (strcmp(name, "older") == 0)
		return parse_number(&f->older_s, value);
	if (strcmp(name, "newer") == 0)
		return parse_number(&f->newer_s, value);
	if (strcmp(name, "state") == 0)
		return parse_state(f, value);
	if (strcmp(name, "larger") != 0)
		return "the filter has a member that is not known: this server "
		    "may be older than mailmillctl";
	error = parse_number(&octets, value);
	f->larger = (uint64_t)octets;
	return error;
}

const char *
queue_filter_parse(struct queue_filter *f, json_t *json)
{
	const char *name, *error = NULL;
	json_t *value;

	if (json == NULL)
		return NULL;
	if (!json_is_object(json))
		return "the filter is not a JSON object";
	json_object_foreach(json, name, value) {
		if ((error = parse_member(f, name, value)) != NULL)
			break;
		f->is_said = true;
	}
	return error;
}

void
queue_filter_free(struct queue_filter *f)
{
	free(f->sender.text);
	free(f->rcpt.text);
	free(f->domain.text);
	free(f->error);
}

static bool
is_like(const struct queue_pattern *p, const char *s)
{
	size_t len = strlen(s);

	if (p->text == NULL)
		return true;
	if (len < p->len)
		return false;
	if (p->is_open_start && p->is_open_end)
		return strcasestr(s, p->text) != NULL;
	if (p->is_open_start)
		return strcasecmp(s + len - p->len, p->text) == 0;
	return (p->is_open_end || len == p->len) &&
	    strncasecmp(s, p->text, p->len) == 0;
}

bool
queue_filter_message(const struct queue_filter *f, int64_t now_s,
    const char *sender, uint64_t received_us, uint64_t octets)
{
	int64_t age_s = now_s - (int64_t)(received_us / 1000000);

	return (f->older_s == 0 || age_s >= f->older_s) &&
	    (f->newer_s == 0 || age_s <= f->newer_s) &&
	    (f->larger == 0 || octets > f->larger) &&
	    is_like(&f->sender, sender);
}

static bool
is_in_state(const char *wanted, const char *state)
{
	if (strcmp(wanted, "active") == 0)
		return strcmp(state, "waiting") == 0 ||
		    strcmp(state, "delivering") == 0;
	return strcmp(wanted, state) == 0;
}

bool
queue_filter_rcpt(const struct queue_filter *f, const char *rcpt,
    const char *state, const char *error)
{
	return is_like(&f->rcpt, rcpt) &&
	    is_like(&f->domain, queue_domain_of(rcpt)) &&
	    (f->state == NULL || is_in_state(f->state, state)) &&
	    (f->error == NULL ||
	    (error != NULL && strcasestr(error, f->error) != NULL));
}

const char *
queue_domain_of(const char *addr)
{
	const char *at = strrchr(addr, '@');

	return at == NULL ? "" : at + 1;
}

const char *
queue_filter_domain(const struct queue_filter *f, char buf[LIM_DOMAIN + 1])
{
	const char *domain = NULL;
	size_t i;

	if (f->domain.text != NULL && !f->domain.is_open_start &&
	    !f->domain.is_open_end)
		domain = f->domain.text;
	/* "*a@b.test", too: the last "@" is behind what the "*" stands for */
	else if (f->rcpt.text != NULL && !f->rcpt.is_open_end &&
	    strchr(f->rcpt.text, '@') != NULL)
		domain = queue_domain_of(f->rcpt.text);
	if (domain == NULL || strlen(domain) > LIM_DOMAIN)
		return NULL;
	for (i = 0; domain[i] != '\0'; i++)
		buf[i] = (char)(domain[i] >= 'A' && domain[i] <= 'Z' ?
		    domain[i] - 'A' + 'a' : domain[i]);
	buf[i] = '\0';
	return buf;
}
