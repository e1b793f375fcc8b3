/* Policies of MTA-STS of a next hop, and what is told of policies; see
 * relay_way_parts_int.h. */

#include "cmd/mailmilld/relay/relay_way_parts_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"

#define STS_KEPT_MS	300000	/* a policy is asked for again */

void
relay_way_sts_free(struct relay_way *w)
{
	free(w->sts);
	w->sts = NULL;
	w->has_sts = false;
}

bool
relay_way_sts_is_told(const struct relay_way *w)
{
	return w->ways->tell != NULL && w->mx != NULL && !w->is_untold;
}

void
relay_way_sts_tell(const struct relay_way *w, struct relay_told *told,
    enum relay_result result, const char *reason)
{
	relay_tell_end(w->ways->tell, told, result, reason);
	relay_told_free(told);
}

/* RFC 8461 5: what would fail if the mode were "enforce". */
static void
note_testing(const struct relay_way *w, const char *host)
{
	log_event(LOG_LEVEL_INFO, "sts-testing", "name=%s host=%s result=%s "
	    "reason=%s", w->mx, host,
	    relay_result_name(RELAY_RESULT_VALIDATION),
	    "it is none of the hosts in the MTA-STS policy of the domain");
}

enum relay_sts
relay_way_sts_of(const struct relay_way *w, const char *host)
{
	bool is_match;

	if (w->sts == NULL)
		return RELAY_STS_NONE;
	is_match = sts_policy_matches(w->sts, host);
	if (w->sts->mode == STS_ENFORCE)
		return is_match ? RELAY_STS_MATCH : RELAY_STS_NO_MATCH;
	if (!is_match)
		note_testing(w, host);
	return is_match ? RELAY_STS_TESTING : RELAY_STS_NONE;
}

void
relay_way_sts_failed(struct relay_way *w)
{
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, "4.7.5", sizeof(w->why.enhanced));
	snprintf(w->why.text, sizeof(w->why.text), "%.100s: whether it has a "
	    "policy of MTA-STS could not be learned: the process sts was not "
	    "able to ask, or has not answered in time", w->mx);
	w->errnum = EAGAIN;
	w->flags = JOB_TARGET;
	w->has_demand = w->is_unsure = true;
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + RELAY_BAD_MS);
	w->entry++;
}

/* Keep a copy without the room that it does not need.  Return 0, or -1 (ENOMEM). */
static int
keep_sts(struct relay_way *w, const struct sts_policy *p)
{
	size_t octets = offsetof(struct sts_policy, mx) + p->len;

	if (p->mode != STS_NONE) {
		if ((w->sts = malloc(octets)) == NULL)
			return -1;
		memcpy(w->sts, p, octets);
	}
	w->has_sts = true;
	w->end_ms = MIN(w->end_ms, w->ways->now_ms() + STS_KEPT_MS);
	return 0;
}

/* RFC 8460 4.3.2.2: there is no policy, or no newer one. */
static void
tell_sts(const struct relay_way *w, const struct sts_policy *p,
    enum sts_failure failure)
{
	static const struct {
		enum relay_result result;
		const char *why;	/* NULL: it is no failure of the domain's */
	} of[STS_NFAILURES] = {
		[STS_FETCH_ERROR] = { RELAY_RESULT_STS_FETCH,
		    "the policy cannot be fetched" },
		[STS_INVALID] = { RELAY_RESULT_STS_INVALID,
		    "what its HTTPS server sends is no policy" },
		[STS_WEBPKI_INVALID] = { RELAY_RESULT_STS_WEBPKI,
		    "its HTTPS server has no certificate for its name by an "
		    "authority that is trusted" },
	};

	if (of[failure].why != NULL && relay_way_sts_is_told(w))
		relay_way_sts_tell(w, relay_told_policy(w->mx, p), of[failure].result,
		    of[failure].why);
}

static void
on_sts(void *closure, const struct sts_policy *p, enum sts_failure failure)
{
	struct relay_way *w = closure;

	w->sts_ask = NULL;
	LIST_REMOVE(w, asking);
	if (p != NULL)
		tell_sts(w, p, failure);
	if (p == NULL || keep_sts(w, p) == -1)
		relay_way_sts_failed(w);
	w->ways->found(w->closure);
}

/* It is not one of RELAY_SEARCHES: who has many domains with slow HTTPS servers
 * does not keep other mail waiting. */
bool
relay_way_sts_ask(struct relay_way *w)
{
	if (w->mx == NULL || !w->domain->mta_sts || w->has_sts ||
	    w->is_optional)
		return false;
	w->sts_ask = w->ways->ask_sts(w->ways->sts, w->mx, on_sts, w);
	if (w->sts_ask != NULL) {
		w->sts_ms = w->ways->now_ms();
		LIST_INSERT_HEAD(&w->ways->asking, w, asking);
	} else if (errno == EINVAL)
		w->has_sts = true;	/* an address literal has none */
	else if (errno == EAGAIN && !LIST_EMPTY(&w->ways->asking))
		w->ways->is_sts_short = true;
	else
		relay_way_sts_failed(w);
	return !w->has_sts;
}

void
relay_way_sts_end(struct relay_way *w)
{
	if (w->sts_ask == NULL)
		return;
	w->ways->cancel_sts(&w->sts_ask);
	LIST_REMOVE(w, asking);
}

struct relay_way *
relay_way_sts_late(const struct relay_ways *ways)
{
	uint64_t ms = ways->is_sts_short ? RELAY_SEARCH_SHORT_MS :
	    RELAY_STS_MANY_MS, now = ways->now_ms();
	struct relay_way *w, *late = NULL;

	if (!ways->is_sts_short && !ways->is_many)
		return NULL;
	LIST_FOREACH (w, &ways->asking, asking)
		if (now - w->sts_ms >= ms)
			late = w;
	return late;
}
