/* Questions of the cache of policies; see sts_errand.h. */

#include "cmd/mailmilld/sts/sts_errand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORD_PREFIX	"_mta-sts."

/* A question about the TXT record, or for the policy, of a domain. */
struct sts_errand {
	TAILQ_ENTRY(sts_errand)	 link;
	struct sts_errands	*all;
	struct sts_domain	*d;
	uint64_t		 since_ms;
	struct lookup_ask	*ask;
	struct sts_fetch	*fetch;
};

/* NULL: ENOMEM. */
static struct sts_errand *
errand_new(struct sts_errands *es, struct sts_domain *d)
{
	struct sts_errand *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->all = es;
	e->d = d;
	e->since_ms = es->now_ms();
	TAILQ_INSERT_TAIL(&es->list, e, link);
	return e;
}

static struct sts_domain *
errand_end(struct sts_errand *e)
{
	struct sts_domain *d = e->d;

	TAILQ_REMOVE(&e->all->list, e, link);
	free(e);
	return d;
}

/* It could not be begun.  Return -1 with the errno that says why. */
static int
errand_fail(struct sts_errand *e)
{
	int saved = errno;

	e->all->is_short = e->all->is_short || saved == EAGAIN;
	(void)errand_end(e);
	errno = saved;
	return -1;
}

static void
on_record(void *closure, const struct lookup_answer *a)
{
	struct sts_domain *d = errand_end(closure);
	char id[LIM_STS_ID + 1];

	if (a->status == LOOKUP_TEMPORARY && a->is_unasked)
		sts_cache_unknown(d, "the resolver has not asked for the TXT "
		    "record, or has not answered");
	else
		sts_cache_record(d, sts_record_find(a, id) == 1 ? id : NULL);
}

int
sts_errand_record(void *es, const char *domain, struct sts_domain *d)
{
	char name[LIM_DOMAIN + sizeof(RECORD_PREFIX)];
	struct sts_errand *e = errand_new(es, d);

	if (e == NULL)
		return -1;
	snprintf(name, sizeof(name), RECORD_PREFIX "%s", domain);
	e->ask = lookup_ask(e->all->lookup, LOOKUP_TXT, name, on_record, e);
	return e->ask != NULL ? 0 : errand_fail(e);
}

static void
on_fetched(void *closure, enum sts_failure failure, const char *why,
    const struct sts_policy *policy)
{
	sts_cache_fetched(errand_end(closure), failure, why, policy);
}

int
sts_errand_fetch(void *es, const char *domain, struct sts_domain *d)
{
	struct sts_errands *all = es;
	struct sts_errand *e;

	if (all->fetches == NULL || (e = errand_new(all, d)) == NULL)
		return -1;
	e->fetch = sts_fetch_begin(all->fetches, domain, on_fetched, e);
	return e->fetch != NULL ? 0 : errand_fail(e);
}

bool
sts_errand_is_wanted(void *e)
{
	return sts_cache_is_wanted(((const struct sts_errand *)e)->d);
}

void
sts_errands_late(struct sts_errands *es)
{
	struct sts_errand *e, *next;
	uint64_t now = es->now_ms();

	if (!es->is_short)
		return;
	es->is_short = false;
	TAILQ_FOREACH_SAFE(e, &es->list, link, next) {
		if (e->ask == NULL || (now - e->since_ms <
		    STS_ERRAND_SHORT_MS && sts_errand_is_wanted(e)))
			continue;
		lookup_cancel(&e->ask);
		sts_cache_unknown(errand_end(e), "the DNS has not answered "
		    "within some seconds, and others wait");
	}
}

void
sts_errands_begin(struct sts_errands *es, struct lookup *lookup,
    uint64_t (*now_ms)(void))
{
	*es = (struct sts_errands){ .lookup = lookup, .now_ms = now_ms };
	TAILQ_INIT(&es->list);
}

void
sts_errands_end(struct sts_errands *es)
{
	struct sts_errand *e;

	while ((e = TAILQ_FIRST(&es->list)) != NULL) {
		lookup_cancel(&e->ask);
		sts_fetch_cancel(&e->fetch);
		(void)errand_end(e);
	}
}
