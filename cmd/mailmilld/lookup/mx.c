/* The search for the next hops of a domain: asks the questions that mx_plan.h
 * wants answered; see mx.h.
 * Owns: the questions that wait, the order of callbacks. */

#include "cmd/mailmilld/lookup/mx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/lookup/mx_plan.h"
#include "core/loop/watch.h"
#include "core/scheduler.h"

struct host {
	struct mx		*mx;
	struct lookup_ask	*ask;
	uint8_t			*octets;	/* of its TLSA records */
};

struct mx {
	struct lookup		*lookup;
	mx_fn			*fn;
	void			*closure;
	Event			*event;		/* the next step is to be made */
	bool			 is_busy;	/* in the callback of ${event} */
	bool			 is_closed;	/* free it when not busy */
	struct lookup_ask	*ask;		/* for the MX records */
	struct host		 hosts[MX_TARGETS_MAX];	/* of the group */
	unsigned int		 nwaiting;	/* of these */
	struct mx_plan		 plan;
};

/* A question that cannot be asked: too many wait, or there is no memory. */
static const struct lookup_answer not_asked = { .status = LOOKUP_TEMPORARY };

/* In the next pass, or when this callback has returned: nobody who calls us is
 * called back. */
static void
go_on(struct mx *x)
{
	schedule_event_and_dispatch(x->event, E_ASYNC);
}

/* --- questions ------------------------------------------------------------ */

static void
on_mx(void *closure, const struct lookup_answer *answer)
{
	struct mx *x = closure;

	x->ask = NULL;
	mx_plan_mx(&x->plan, answer);
	go_on(x);
}

static void
ask_mx(struct mx *x)
{
	x->ask = lookup_ask(x->lookup, LOOKUP_MX, x->plan.name, on_mx, x);
	if (x->ask == NULL)
		on_mx(x, &not_asked);
}

static void
on_host(void *closure, const struct lookup_answer *answer)
{
	struct host *h = closure;
	struct mx *x = h->mx;

	h->ask = NULL;
	mx_plan_host(&x->plan, (unsigned int)(h - x->hosts), answer);
	if (--x->nwaiting == 0)
		go_on(x);
}

static void
ask_hosts(struct mx *x)
{
	unsigned int n = x->plan.ngroup, i;
	struct host *h;

	x->nwaiting = n;
	for (i = 0; i < n; i++) {
		h = &x->hosts[i];
		h->mx = x;
		h->ask = lookup_ask(x->lookup, LOOKUP_HOST,
		    mx_plan_host_name(&x->plan, i), on_host, h);
		/* the last one ends the group */
		if (h->ask == NULL)
			on_host(h, &not_asked);
	}
}

/* What is found is used until the next group is, or the end. */
static void
on_tlsa(void *closure, const struct lookup_answer *answer)
{
	struct host *h = closure;
	struct mx *x = h->mx;
	struct lookup_answer a = *answer;

	h->ask = NULL;
	if (a.len > 0) {
		free(h->octets);
		if ((h->octets = malloc(a.len)) != NULL) {
			memcpy(h->octets, a.records, a.len);
			a.records = h->octets;
		} else
			a = not_asked;
	}
	mx_plan_tlsa(&x->plan, (unsigned int)(h - x->hosts), &a);
	if (--x->nwaiting == 0)
		go_on(x);
}

static void
ask_tlsa_of(struct host *h)
{
	/* the name would be too long for the DNS, which has none such */
	static const struct lookup_answer no_name = {
		.status = LOOKUP_NO_NAME, .ttl_s = UINT32_MAX };
	unsigned int i = (unsigned int)(h - h->mx->hosts);
	char name[LIM_DOMAIN + 1];
	enum lookup_type type;

	if (!mx_plan_tlsa_question(&h->mx->plan, i, name, &type))
		return;
	h->mx->nwaiting++;
	h->ask = lookup_ask(h->mx->lookup, type, name, on_tlsa, h);
	if (h->ask == NULL)
		on_tlsa(h, errno == EINVAL ? &no_name : &not_asked);
}

static void
ask_tlsa(struct mx *x)
{
	unsigned int n = x->plan.ngroup, i;

	/* so that the first that cannot be asked does not end the group */
	x->nwaiting = 1;
	for (i = 0; i < n; i++)
		ask_tlsa_of(&x->hosts[i]);
	if (--x->nwaiting == 0)
		go_on(x);
}

/* --- results -------------------------------------------------------------- */

static void
tell(struct mx *x)
{
	const struct mx_result result = {
		.hops = x->plan.hops,
		.n = x->plan.step == MX_STEP_HOPS ? x->plan.nhops : 0,
		.ttl_s = x->plan.ttl_s,
		.alias = x->plan.alias,
		.end = x->plan.end
	};

	x->fn(x->closure, &result);
}

static int
on_event(Event *, int, void *closure, struct timeval *)
{
	struct mx *x = closure;

	x->is_busy = true;
	switch (mx_plan_step(&x->plan)) {
	case MX_STEP_MX:
		ask_mx(x);
		break;
	case MX_STEP_HOSTS:
		ask_hosts(x);
		break;
	case MX_STEP_TLSA:
		ask_tlsa(x);
		break;
	case MX_STEP_HOPS:
	case MX_STEP_END:
		tell(x);
		break;
	}
	x->is_busy = false;
	if (!x->is_closed)
		return E_ASYNC;
	free(x);
	return 0;
}

struct mx *
mx_open(struct lookup *l, const struct mx_want *want, mx_fn *fn, void *closure)
{
	struct mx *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->lookup = l;
	x->fn = fn;
	x->closure = closure;
	if ((x->event = watch_fd(-1, E_ASYNC, on_event, x)) == NULL) {
		free(x);
		return NULL;
	}
	mx_plan_begin(&x->plan, want);
	go_on(x);
	return x;
}

void
mx_more(struct mx *x)
{
	mx_plan_more(&x->plan);
	go_on(x);
}

void
mx_close(struct mx **xp)
{
	struct mx *x = *xp;
	unsigned int i;

	if (x == NULL)
		return;
	*xp = NULL;
	lookup_cancel(&x->ask);
	for (i = 0; i < MX_TARGETS_MAX; i++) {
		lookup_cancel(&x->hosts[i].ask);
		free(x->hosts[i].octets);
		x->hosts[i].octets = NULL;
	}
	x->is_closed = true;
	if (x->is_busy)
		return;
	event_free(x->event);
	free(x);
}
