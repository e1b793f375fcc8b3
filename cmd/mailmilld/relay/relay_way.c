/* The addresses of a next hop; see relay_way_int.h. */

#include "cmd/mailmilld/relay/relay_way_parts_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Begin with the first route again. */
static void
forget(struct relay_way *w)
{
	relay_way_sts_free(w);
	free(w->was);
	w->was = w->v;
	w->nwas = w->n;
	w->v = NULL;
	w->n = w->room = w->ntried = w->nlacking = 0;
	w->may_lack = false;
	relay_way_place_free_policies(w);
	w->has_skipped = w->has_demand = w->is_unsure = false;
	w->has_left_out = false;
	w->entry = 0;
	w->preference = -1;
	w->end_ms = UINT64_MAX;
}

void
relay_way_open(struct relay_way *w, struct relay_ways *ways,
    const struct settings_domain *d, const char *mx, void *closure)
{
	*w = (struct relay_way){ .ways = ways, .domain = d, .mx = mx,
		.closure = closure };
	forget(w);
}

void
relay_way_close(struct relay_way *w)
{
	relay_way_search_end(w);
	relay_way_sts_end(w);
	relay_way_sts_free(w);
	relay_way_place_free_policies(w);
	free(w->v);
	free(w->was);
	w->v = w->was = NULL;
	w->n = w->room = w->nwas = 0;
}

void
relay_way_begin(struct relay_way *w)
{
	uint64_t now = w->ways->now_ms();
	struct relay_place *p;
	size_t i;

	/* without an address the DNS is asked each time */
	if (w->search == NULL && w->sts_ask == NULL && (w->n == 0 ||
	    now >= w->end_ms))
		forget(w);
	for (i = 0; i < w->n; i++) {
		p = &w->v[i];
		p->is_used = p->is_tried = false;
		if (now - p->refused_ms >= RELAY_REFUSED_MS)
			p->nrefused = 0;
	}
	w->ntried = w->nlacking = 0;
	w->may_lack = false;
	w->begin_ms = 0;
	/* as long as nothing has failed: there was no memory for an address */
	w->why = (struct job_error){ .code = 0 };
	strlcpy(w->why.enhanced, "4.3.0", sizeof(w->why.enhanced));
	strlcpy(w->why.text, strerror(ENOMEM), sizeof(w->why.text));
	w->errnum = ENOMEM;
	w->flags = JOB_UNASKED;
}

/* What holds for an address in Route.  NULL: there is no memory. */
static const struct relay_policy *
policy_of_route(struct relay_way *w)
{
	const struct relay_policy_facts facts = { .domain = w->domain,
		.name = "", .alias = "" };

	return relay_way_place_add_policy(w, &facts);
}

/* The next route.  Return whether there was one that is known, or fails to be
 * looked up. */
static bool
go_on(struct relay_way *w)
{
	size_t n = w->mx != NULL ? 1 : w->domain->route.n, entry = w->entry;
	const struct relay_policy *policy;
	struct route_addr addr;

	if (w->search != NULL || w->sts_ask != NULL || entry >= n)
		return false;
	if (w->mx == NULL)
		relay_way_route(w->domain, entry, &addr);
	if (w->mx != NULL || addr.kind == ROUTE_NAME) {
		relay_way_search_begin(w);
		return w->entry > entry;
	}
	w->group++;
	if ((policy = policy_of_route(w)) != NULL)
		(void)relay_way_place_add(w, &addr, policy);
	w->entry++;
	return true;
}

/* Where some places lack what the mail needs, that says nothing of other mail.  RFC
 * 8689 4.2.1: it has failed when all have been tried. */
static void
end_lacking(struct relay_way *w, bool is_all)
{
	w->flags = 0;
	if (w->nlacking < w->ntried || w->nlacking < w->n || !is_all ||
	    w->may_lack || w->has_skipped || w->is_unsure)
		w->errnum = EAGAIN;
	else
		w->flags = JOB_REFUSED;
	if (w->flags == 0 && w->why.code == 0 && w->why.enhanced[0] == '5')
		w->why.enhanced[0] = '4';
}

enum relay_way_state
relay_way_find(struct relay_way *w, const struct relay_place **place_r)
{
	uint64_t now = w->ways->now_ms();
	size_t n = w->mx != NULL ? 1 : w->domain->route.n;
	bool is_last;

	/* where mail is always there, nothing else begins each attempt */
	if (w->begin_ms == 0 && w->n > 0 && now >= w->end_ms)
		relay_way_begin(w);
	is_last = relay_way_place_is_enough(w, now);
	if (w->begin_ms == 0)
		w->begin_ms = now;
	/* so that w->why says why */
	if (is_last && w->search != NULL)
		relay_way_search_give_up(w);
	do
		if ((*place_r = relay_way_place_untried(w, is_last, now)) != NULL)
			return RELAY_WAY_PLACE;
	while (!is_last && go_on(w));
	if (!is_last && w->entry < n)
		return RELAY_WAY_WAITS;
	*place_r = relay_way_place_untried(w, is_last, UINT64_MAX);
	if (*place_r != NULL)
		return RELAY_WAY_PLACE;
	if (w->nlacking > 0)
		end_lacking(w, w->entry >= n);
	return RELAY_WAY_END;
}

/* Return whether that place has not been tried before. */
static bool
try_place(struct relay_way *w, struct relay_place *p)
{
	if (p == NULL || p->is_tried)
		return false;
	p->is_used = p->is_tried = true;
	p->bad_ms = w->ways->now_ms() + RELAY_BAD_MS;
	p->nrefused = 0;
	w->ntried++;
	return true;
}

static void
set_why(struct relay_way *w, const struct job_error *why, int errnum)
{
	w->why = *why;
	w->errnum = errnum;
	w->flags = JOB_TARGET;
}

void
relay_way_failed(struct relay_way *w, uint64_t number,
    const struct job_error *why, int errnum)
{
	struct relay_place *p = relay_way_place_of(w, number);

	if (!try_place(w, p))
		return;
	w->has_demand = w->has_demand || relay_policy_is_of_others(p->policy);
	set_why(w, why, errnum);
}

void
relay_way_lacks(struct relay_way *w, uint64_t number,
    const struct job_error *why, bool is_sure)
{
	if (!try_place(w, relay_way_place_of(w, number)))
		return;
	w->may_lack = w->may_lack || !is_sure;
	/* that another one could not be asked is the better reason */
	if (w->nlacking++ + 1 == w->ntried)
		set_why(w, why, EREMOTEIO);
}

void
relay_way_late(struct relay_way *w, uint64_t number)
{
	struct relay_place *p = relay_way_place_of(w, number);

	if (p != NULL)
		p->bad_ms = w->ways->now_ms() + RELAY_BAD_MS;
}

void
relay_way_good(struct relay_way *w, uint64_t number, unsigned int nrefused)
{
	struct relay_place *p = relay_way_place_of(w, number);

	if (p != NULL) {
		p->bad_ms = 0;
		if (nrefused > p->nrefused)
			p->refused_ms = w->ways->now_ms();
		p->nrefused = nrefused;
	}
	relay_way_begin(w);
}
