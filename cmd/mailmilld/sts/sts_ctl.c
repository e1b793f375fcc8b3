/* Requests of mailmillctl, whose connections the master has passed on: which
 * policies are known, and that one is to be fetched anew.
 * Owns: these connections, the answers as JSON. */

#include "cmd/mailmilld/sts/sts_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/ctl_answer.h"
#include "core/loop/watch.h"
#include "core/process/log.h"

#define CTLS_MAX	16
#define LIMIT_DEFAULT	1000	/* domains of a list */
#define AGAIN	"{\"again\":true,\"error\":\"the process sts is being replaced, or " \
		"has too many requests: try again in a moment\"}\n"

struct sts_ctl {
	TAILQ_ENTRY(sts_ctl)	 link;
	struct sts_ctls		*all;
	Event			*event;
	struct ctl_answer	 answer;
};

static void
ctl_free(struct sts_ctl *ctl)
{
	TAILQ_REMOVE(&ctl->all->list, ctl, link);
	ctl->all->n--;
	ctl_answer_clear(&ctl->answer);
	free(ctl);
}

/* --- writing -------------------------------------------------------------- */

static int
on_event(Event *e, int eventtype, void *closure, struct timeval *now)
{
	struct sts_ctl *ctl = closure;
	int needmask = 0;

	/* else it reads nothing, or has left */
	if ((eventtype & (E_WRITE | E_ASYNC)) != 0)
		needmask = ctl_answer_write(&ctl->answer, e, now);
	if (needmask == 0) {
		event_close(e);
		ctl_free(ctl);
	}
	return needmask;
}

/* takes ${fd} */
static void
answer(struct sts_ctls *cs, int fd, const json_t *said)
{
	struct sts_ctl *ctl = calloc(1, sizeof(*ctl));

	if (ctl == NULL ||
	    (ctl->event = watch_fd(fd, E_WRITE, on_event, ctl)) == NULL) {
		free(ctl);
		ctl_answer_refuse(fd, CTL_ANSWER_NO_MEMORY);
		return;
	}
	ctl->all = cs;
	ctl_answer_set(&ctl->answer, said);
	TAILQ_INSERT_TAIL(&cs->list, ctl, link);
	cs->n++;
}

/* --- policies --------------------------------------------------------------- */

static json_t *
patterns(const struct sts_policy *p)
{
	json_t *mx = json_array();
	const char *at;

	for (at = p->mx; at < p->mx + p->len; at += strlen(at) + 1)
		json_array_append_new(mx, json_string(at));
	return mx;
}

static json_t *
domain_json(const struct sts_seen *d)
{
	json_t *o = json_pack("{s:s, s:s}", "domain", d->kept.domain, "mode",
	    d->kept.policy == NULL ? "unknown" :
	    sts_mode_name(d->kept.policy->mode));

	if (d->kept.policy != NULL) {
		json_object_set_new(o, "id", json_string(d->kept.id));
		json_object_set_new(o, "max_age",
		    json_integer(d->kept.policy->max_age_s));
		json_object_set_new(o, "age",
		    json_integer((json_int_t)(d->kept.age_ms / 1000)));
		json_object_set_new(o, "expires",
		    json_integer((json_int_t)(d->kept.left_ms / 1000)));
		json_object_set_new(o, "mx", patterns(d->kept.policy));
	}
	if (d->failure != STS_FETCHED) {
		json_object_set_new(o, "failure",
		    json_string(sts_failure_name(d->failure)));
		json_object_set_new(o, "failed_id",
		    json_string(d->failed_id));
		json_object_set_new(o, "retry",
		    json_integer((json_int_t)(d->retry_ms / 1000)));
	}
	if (d->is_asked)
		json_object_set_new(o, "asked", json_true());
	return o;
}

struct list {
	json_t		*domains;
	json_int_t	 limit;
};

static void
put_domain(void *closure, const struct sts_seen *d)
{
	struct list *l = closure;

	if ((json_int_t)json_array_size(l->domains) < l->limit)
		json_array_append_new(l->domains, domain_json(d));
}

/* --- requests ------------------------------------------------------------- */

static json_t *
list(struct sts_ctls *cs, const json_t *request)
{
	json_int_t limit = json_integer_value(json_object_get(request,
	    "limit"));
	struct list l = { .domains = json_array(), .limit = limit > 0 ? limit :
	    LIMIT_DEFAULT };

	sts_cache_look(cs->cache, put_domain, &l);
	return json_pack("{s:i, s:o}", "known",
	    (int)sts_cache_domains(cs->cache), "policies", l.domains);
}

static json_t *
show(struct sts_ctls *cs, const char *name)
{
	struct sts_seen d;

	if (!sts_cache_see(cs->cache, name, &d))
		return json_pack("{s:s}", "error", "nothing is known of this "
		    "domain: no mail has gone there since its policy has "
		    "expired, or it has none");
	return json_pack("{s:i, s:[o]}", "known",
	    (int)sts_cache_domains(cs->cache), "policies", domain_json(&d));
}

static json_t *
fetch(struct sts_ctls *cs, const char *name)
{
	if (sts_cache_renew(cs->cache, name) == -1)
		return json_pack("{s:s}", "error", "out of memory: try again");
	return json_pack("{s:b, s:s}", "ok", 1, "domain", name);
}

/* {"command": "sts", "action": "list" | "show" | "fetch", "id": a domain} */
static json_t *
act(struct sts_ctls *cs, const json_t *request)
{
	const char *action = json_string_value(json_object_get(request,
	    "action"));
	const char *domain = json_string_value(json_object_get(request, "id"));
	char name[LIM_DOMAIN + 1];

	if (action != NULL && strcmp(action, "list") == 0)
		return list(cs, request);
	if (domain == NULL || lookup_name(domain, name) == -1)
		return json_pack("{s:s}", "error", "expected a domain as it is "
		    "in the DNS: in ASCII, with \"xn--\" where it needs that");
	if (action != NULL && strcmp(action, "show") == 0)
		return show(cs, name);
	if (action != NULL && strcmp(action, "fetch") == 0)
		return fetch(cs, name);
	return json_pack("{s:s}", "error", "expected list, show or fetch");
}

void
sts_ctl_begin(struct sts_ctls *cs, int fd, const char *request,
    unsigned int len)
{
	json_t *root, *said;

	if (fd == -1) {		/* it was lost on its way to us */
		log_errx("sts-control", "reason=%s", "out of descriptors");
		return;
	}
	if (!cs->is_open || cs->n == CTLS_MAX) {
		ctl_answer_refuse(fd, AGAIN);
		return;
	}
	root = json_loadb(request, len, JSON_REJECT_DUPLICATES, NULL);
	said = act(cs, root);
	answer(cs, fd, said);
	json_decref(said);
	json_decref(root);
}

void
sts_ctls_close(struct sts_ctls *cs)
{
	struct sts_ctl *ctl;

	while ((ctl = TAILQ_FIRST(&cs->list)) != NULL) {
		watch_close(&ctl->event);
		ctl_free(ctl);
	}
}
