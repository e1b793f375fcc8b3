/* Questions to the role sts; see sts_ask.h.
 * Owns: the channel, the questions that wait, their time limit. */

#include "cmd/mailmilld/lookup/sts_ask.h"

#include <sys/queue.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

struct sts_ask {
	TAILQ_ENTRY(sts_ask)	 link;
	struct sts		*t;
	uint64_t		 id;
	uint64_t		 end_ms;
	sts_ask_fn		*fn;
	void			*closure;
	char			 domain[LIM_DOMAIN + 1];
};

struct sts {
	enum role_id		 self;
	struct chanev		*ce;		/* NULL: there is no such process now */
	TAILQ_HEAD(, sts_ask)	 asks;		/* who ends first is first */
	unsigned int		 nasks;
	uint64_t		 last_id;
	unsigned int		 limit_ms;
	Event			*timer;		/* set while there are asks */
	bool			 has_complained;
};

static void
ask_free(struct sts_ask *a)
{
	TAILQ_REMOVE(&a->t->asks, a, link);
	a->t->nasks--;
	free(a);
}

/* The question is over before its callback is made, which may ask again. */
static void
finish(struct sts_ask *a, const struct sts_policy *policy,
    enum sts_failure failure)
{
	sts_ask_fn *fn = a->fn;
	void *closure = a->closure;

	ask_free(a);
	fn(closure, policy, failure);
}

static void
say(const struct sts_ask *a, unsigned int type)
{
	const struct msg_sts_ask base = { .ask = a->id };

	(void)chanev_send(a->t->ce, type, &base, a->domain, type == T_ASK ?
	    (unsigned int)strlen(a->domain) : 0, -1);
}

/* --- time ----------------------------------------------------------------- */

static void on_timer(void *closure);

static void
set_timer(struct sts *t)
{
	const struct sts_ask *a = TAILQ_FIRST(&t->asks);
	uint64_t now = monotonic_ms();

	if (a != NULL && t->timer == NULL)
		t->timer = after_ms(a->end_ms > now ?
		    (unsigned int)(a->end_ms - now) : 0, on_timer, t);
}

static void
on_timer(void *closure)
{
	struct sts *t = closure;
	uint64_t now = monotonic_ms();
	struct sts_ask *a;

	t->timer = NULL;
	while ((a = TAILQ_FIRST(&t->asks)) != NULL && a->end_ms <= now) {
		say(a, T_CANCEL);
		finish(a, NULL, STS_UNKNOWN);
	}
	set_timer(t);
}

/* --- the channel ---------------------------------------------------------- */

static bool
parse(const struct channel_msg *msg, struct sts_policy *p,
    enum sts_failure *failure_r)
{
	struct msg_sts_policy base;

	memcpy(&base, msg->base, sizeof(base));
	if (base.mode >= STS_NMODES || base.failure >= STS_NFAILURES)
		return false;
	*failure_r = base.failure;
	p->mode = base.mode;
	p->max_age_s = base.max_age_s;
	p->len = msg->nentries;
	if (p->len > 0)
		memcpy(p->mx, msg->entries, p->len);
	return sts_policy_check(p);
}

static void
on_policy(void *closure, struct channel_msg *msg)
{
	static struct sts_policy policy;
	struct sts *t = closure;
	enum sts_failure failure;
	struct msg_sts_policy base;
	struct sts_ask *a;

	memcpy(&base, msg->base, sizeof(base));
	TAILQ_FOREACH(a, &t->asks, link)
		if (a->id == base.ask)
			break;
	/* one that was cancelled is not there any more */
	if (a == NULL)
		return;
	if (parse(msg, &policy, &failure)) {
		finish(a, failure == STS_UNKNOWN ? NULL : &policy, failure);
		return;
	}
	if (!t->has_complained)
		log_warnx("sts-answer", "domain=%s reason=%s", a->domain,
		    "the process sts has sent what is no policy");
	t->has_complained = true;
	finish(a, NULL, STS_UNKNOWN);
}

static void
on_gone(void *closure)
{
	struct sts *t = closure;

	t->ce = NULL;
}

static const struct chanev_ops ops = {
	.on = { [T_POLICY] = on_policy },
	.gone = on_gone
};

int
sts_peer(struct sts *t, const struct msg_peer *who, int fd)
{
	struct sts_ask *a;

	chanev_free(t->ce);
	t->has_complained = false;
	t->ce = chanev_open(fd, t->self, ROLE_STS, &ops, t);
	if (t->ce == NULL)
		return -1;
	chanev_name(t->ce, who->slot, who->instance);
	TAILQ_FOREACH(a, &t->asks, link)
		say(a, T_ASK);
	return 0;
}

/* --- the askers ----------------------------------------------------------- */

struct sts *
sts_new(enum role_id self)
{
	struct sts *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->self = self;
	t->limit_ms = LIM_STS_SECONDS * 1000;
	TAILQ_INIT(&t->asks);
	return t;
}

void
sts_set_limit(struct sts *t, unsigned int ms)
{
	/* the order of questions is that of their ends */
	assert(t->nasks == 0);
	t->limit_ms = ms;
}

struct sts_ask *
sts_ask(struct sts *t, const char *domain, sts_ask_fn *fn, void *closure)
{
	struct sts_ask *a;

	if (t->nasks == LIM_LOOKUPS) {
		errno = EAGAIN;
		return NULL;
	}
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	if (lookup_name(domain, a->domain) == -1) {
		free(a);
		errno = EINVAL;
		return NULL;
	}
	a->t = t;
	a->id = ++t->last_id;
	a->end_ms = monotonic_ms() + t->limit_ms;
	a->fn = fn;
	a->closure = closure;
	TAILQ_INSERT_TAIL(&t->asks, a, link);
	t->nasks++;
	set_timer(t);
	if (t->timer == NULL) {		/* nothing would bound the wait */
		ask_free(a);
		errno = ENOMEM;
		return NULL;
	}
	say(a, T_ASK);
	return a;
}

void
sts_cancel(struct sts_ask **a)
{
	if (*a == NULL)
		return;
	say(*a, T_CANCEL);
	ask_free(*a);
	*a = NULL;
}

void
sts_free(struct sts *t)
{
	struct sts_ask *a;

	if (t == NULL)
		return;
	after_cancel(&t->timer);
	chanev_free(t->ce);
	while ((a = TAILQ_FIRST(&t->asks)) != NULL)
		ask_free(a);
	free(t);
}
