/* Questions to the resolver; see lookup.h.
 * Owns: the channel, the questions that wait, their time limit. */

#include "cmd/mailmilld/lookup/lookup.h"

#include <sys/tree.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

struct lookup_ask {
	RB_ENTRY(lookup_ask)	 node;
	struct lookup		*lookup;
	uint64_t		 id;
	enum lookup_type	 type;
	uint64_t		 end_ms;
	lookup_fn		*fn;
	void			*closure;
	char			 name[LIM_DOMAIN + 1];
};
RB_HEAD(lookup_asks, lookup_ask);

struct lookup {
	enum role_id		 self;
	struct chanev		*ce;		/* NULL: there is no resolver now */
	struct lookup_asks	 asks;		/* by id: who ends first is first */
	unsigned int		 nasks;
	uint64_t		 last_id;
	unsigned int		 limit_ms;
	Event			*timer;		/* set while there are asks */
	bool			 has_complained;	/* of this resolver */
};

static int
compare(const struct lookup_ask *a, const struct lookup_ask *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(lookup_asks, lookup_ask, node, compare)
RB_GENERATE(lookup_asks, lookup_ask, node, compare)

static void
ask_free(struct lookup_ask *a)
{
	RB_REMOVE(lookup_asks, &a->lookup->asks, a);
	a->lookup->nasks--;
	free(a);
}

/* The question is over before its callback is made, which may ask again. */
static void
finish(struct lookup_ask *a, const struct lookup_answer *answer)
{
	lookup_fn *fn = a->fn;
	void *closure = a->closure;

	ask_free(a);
	fn(closure, answer);
}

/* The resolver need not go on with it. */
static void
send_cancel(const struct lookup_ask *a)
{
	const struct msg_lookup base = { .ask = a->id, .type = a->type };

	(void)chanev_send(a->lookup->ce, N_CANCEL, &base, NULL, 0, -1);
}

/* --- time ----------------------------------------------------------------- */

static void on_timer(void *closure);

static void
set_timer(struct lookup *l)
{
	const struct lookup_ask *a = RB_MIN(lookup_asks, &l->asks);
	uint64_t now_ms = monotonic_ms();

	if (a == NULL || l->timer != NULL)
		return;
	l->timer = after_ms(a->end_ms > now_ms ?
	    (unsigned int)(a->end_ms - now_ms) : 0, on_timer, l);
}

static void
on_timer(void *closure)
{
	static const struct lookup_answer later = {
		.status = LOOKUP_TEMPORARY, .is_unasked = true };
	struct lookup *l = closure;
	struct lookup_ask *a;
	uint64_t now_ms = monotonic_ms();

	l->timer = NULL;
	while ((a = RB_MIN(lookup_asks, &l->asks)) != NULL &&
	    a->end_ms <= now_ms) {
		send_cancel(a);
		finish(a, &later);
	}
	set_timer(l);
}

/* --- the channel ---------------------------------------------------------- */

/* What cannot be sent waits for the next resolver, or for its time limit. */
static void
send_ask(struct lookup *l, const struct lookup_ask *a)
{
	const struct msg_lookup base = { .ask = a->id, .type = a->type };

	(void)chanev_send(l->ce, N_ASK, &base, a->name,
	    (unsigned int)strlen(a->name), -1);
}

/* The answer in a message, if it is one.  The records stay in the message. */
static bool
parse(const struct channel_msg *msg, enum lookup_type type,
    struct lookup_answer *answer_r)
{
	const uint8_t *octets = msg->entries;
	struct msg_looked_up base;

	memcpy(&base, msg->base, sizeof(base));
	*answer_r = (struct lookup_answer){
		.status = base.status < LOOKUP_NSTATUSES ? base.status :
		    LOOKUP_NSTATUSES,
		.ttl_s = base.ttl_s,
		.is_authentic = (base.flags & MSG_LOOKED_UP_AUTHENTIC) != 0,
		.is_unasked = (base.flags & MSG_LOOKED_UP_UNASKED) != 0
	};
	if (base.alias > LIM_DOMAIN || base.alias > msg->nentries)
		return false;
	if (base.alias > 0)
		memcpy(answer_r->alias, octets, base.alias);
	answer_r->records = octets + base.alias;
	answer_r->len = msg->nentries - base.alias;
	return lookup_answer_check(answer_r, type);
}

static void
on_answer(void *closure, struct channel_msg *msg)
{
	struct lookup *l = closure;
	struct lookup_ask key, *a;
	struct lookup_answer answer;
	struct msg_looked_up base;

	memcpy(&base, msg->base, sizeof(base));
	key.id = base.ask;
	/* one that was cancelled is not there any more */
	if ((a = RB_FIND(lookup_asks, &l->asks, &key)) == NULL)
		return;
	if (!parse(msg, a->type, &answer)) {
		if (!l->has_complained)
			log_warnx("lookup-answer", "name=%s type=%s reason=%s",
			    a->name, lookup_type_name(a->type), "the resolver "
			    "has sent what is no answer");
		l->has_complained = true;
		answer = (struct lookup_answer){ .status = LOOKUP_TEMPORARY,
			.is_unasked = true };
	}
	finish(a, &answer);
}

static void
on_gone(void *closure)
{
	struct lookup *l = closure;

	l->ce = NULL;
}

/* The resolver asks itself, for mailmillctl, so that the table of messages has it
 * at both ends. */
static void
on_stray(void *, struct channel_msg *)
{
}

static const struct chanev_ops ops = {
	.on = {
		[N_ANSWER] = on_answer,
		[N_ASK] = on_stray,
		[N_CANCEL] = on_stray
	},
	.gone = on_gone
};

int
lookup_peer(struct lookup *l, const struct msg_peer *who, int fd)
{
	struct lookup_ask *a;

	chanev_free(l->ce);
	l->has_complained = false;
	l->ce = chanev_open(fd, l->self, ROLE_RESOLVER, &ops, l);
	if (l->ce == NULL)
		return -1;
	chanev_name(l->ce, who->slot, who->instance);
	RB_FOREACH(a, lookup_asks, &l->asks)
		send_ask(l, a);
	return 0;
}

/* --- the askers ----------------------------------------------------------- */

struct lookup *
lookup_new(enum role_id self)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->self = self;
	l->limit_ms = LIM_LOOKUP_SECONDS * 1000;
	RB_INIT(&l->asks);
	return l;
}

void
lookup_set_limit(struct lookup *l, unsigned int ms)
{
	/* the order of ids is that of the ends */
	assert(l->nasks == 0);
	l->limit_ms = ms;
}

struct lookup_ask *
lookup_ask(struct lookup *l, enum lookup_type type, const char *name,
    lookup_fn *fn, void *closure)
{
	struct lookup_ask *a;

	if (l->nasks == LIM_LOOKUPS) {
		errno = EAGAIN;
		return NULL;
	}
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	if (lookup_name(name, a->name) == -1) {
		free(a);
		errno = EINVAL;
		return NULL;
	}
	a->lookup = l;
	a->id = ++l->last_id;
	a->type = type;
	a->end_ms = monotonic_ms() + l->limit_ms;
	a->fn = fn;
	a->closure = closure;
	RB_INSERT(lookup_asks, &l->asks, a);
	l->nasks++;
	set_timer(l);
	if (l->timer == NULL) {		/* nothing would bound the wait */
		ask_free(a);
		errno = ENOMEM;
		return NULL;
	}
	send_ask(l, a);
	return a;
}

void
lookup_cancel(struct lookup_ask **a)
{
	if (*a == NULL)
		return;
	send_cancel(*a);
	ask_free(*a);
	*a = NULL;
}

unsigned int
lookup_waiting(const struct lookup *l)
{
	return l->nasks;
}

void
lookup_free(struct lookup *l)
{
	struct lookup_ask *a;

	if (l == NULL)
		return;
	after_cancel(&l->timer);
	chanev_free(l->ce);
	while ((a = RB_MIN(lookup_asks, &l->asks)) != NULL)
		ask_free(a);
	free(l);
}
