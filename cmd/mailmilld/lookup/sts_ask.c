/* Questions to the role sts; see sts_ask.h.
 * Owns: the channel, the questions that wait, their time limit. */

#include "cmd/mailmilld/lookup/sts_ask.h"

#include <sys/queue.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/chanev.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

struct sts_ask {
	TAILQ_ENTRY(sts_ask)	 link;
	struct sts		*t;
	uint64_t		 id;
	uint64_t		 end_ms;
	sts_ask_fn		*fn;
	sts_post_fn		*posted;	/* NULL: it is about a policy */
	void			*closure;
	int			 fd;		/* with posted */
	char			 text[];	/* the domain, or a URI */
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
	fileio_close(a->fd);
	free(a);
}

/* The question is over before its callback is made, which may ask again. */
static void
finish(struct sts_ask *a, const struct sts_policy *policy,
    enum sts_failure failure, const char *why)
{
	sts_ask_fn *fn = a->fn;
	sts_post_fn *posted = a->posted;
	void *closure = a->closure;

	ask_free(a);
	if (posted != NULL)
		posted(closure, failure, why);
	else
		fn(closure, policy, failure);
}

/* What cannot be sent has a time limit. */
static void
say_ask(const struct sts_ask *a)
{
	const struct msg_sts_ask base = { .ask = a->id };
	unsigned int len = (unsigned int)strlen(a->text);
	int fd;

	if (a->posted == NULL)
		(void)chanev_send(a->t->ce, T_ASK, &base, a->text, len, -1);
	else if ((fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0)) != -1 &&
	    chanev_send(a->t->ce, T_POST, &base, a->text, len, fd) == -1)
		fileio_close(fd);
}

static void
say_cancel(const struct sts_ask *a)
{
	const struct msg_sts_ask base = { .ask = a->id };

	(void)chanev_send(a->t->ce, T_CANCEL, &base, NULL, 0, -1);
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
		say_cancel(a);
		finish(a, NULL, STS_UNKNOWN, "the process sts has not "
		    "answered");
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

/* NULL: it was cancelled, and its answer was on the way. */
static struct sts_ask *
find(struct sts *t, uint64_t id)
{
	struct sts_ask *a;

	TAILQ_FOREACH(a, &t->asks, link)
		if (a->id == id)
			break;
	return a;
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
	if ((a = find(t, base.ask)) == NULL)
		return;
	if (parse(msg, &policy, &failure)) {
		finish(a, failure == STS_UNKNOWN ? NULL : &policy, failure,
		    "");
		return;
	}
	if (!t->has_complained)
		log_warnx("sts-answer", "domain=%s reason=%s", a->text,
		    "the process sts has sent what is no policy");
	t->has_complained = true;
	finish(a, NULL, STS_UNKNOWN, "");
}

static void
on_posted(void *closure, struct channel_msg *msg)
{
	char why[MSG_POSTED_WHY + 1];
	struct msg_sts_posted base;
	struct sts_ask *a;

	memcpy(&base, msg->base, sizeof(base));
	if ((a = find(closure, base.ask)) == NULL)
		return;
	if (msg->nentries > 0)
		memcpy(why, msg->entries, msg->nentries);
	why[msg->nentries] = '\0';
	finish(a, NULL, base.failure < STS_NFAILURES ? base.failure :
	    STS_UNKNOWN, why);
}

static void
on_gone(void *closure)
{
	struct sts *t = closure;

	t->ce = NULL;
}

static const struct chanev_ops ops = {
	.on = { [T_POLICY] = on_policy, [T_POSTED] = on_posted },
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
		say_ask(a);
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

/* NULL with errno. */
static struct sts_ask *
ask_new(struct sts *t, const char *text, void *closure)
{
	struct sts_ask *a;

	if (t->nasks == LIM_LOOKUPS) {
		errno = EAGAIN;
		return NULL;
	}
	if ((a = calloc(1, sizeof(*a) + strlen(text) + 1)) == NULL)
		return NULL;
	a->t = t;
	a->id = ++t->last_id;
	a->end_ms = monotonic_ms() + t->limit_ms;
	a->fd = -1;
	a->closure = closure;
	memcpy(a->text, text, strlen(text) + 1);
	TAILQ_INSERT_TAIL(&t->asks, a, link);
	t->nasks++;
	set_timer(t);
	if (t->timer == NULL) {		/* nothing would bound the wait */
		ask_free(a);
		errno = ENOMEM;
		return NULL;
	}
	return a;
}

struct sts_ask *
sts_ask(struct sts *t, const char *domain, sts_ask_fn *fn, void *closure)
{
	char name[LIM_DOMAIN + 1];
	struct sts_ask *a;

	if (lookup_name(domain, name) == -1) {
		errno = EINVAL;
		return NULL;
	}
	if ((a = ask_new(t, name, closure)) == NULL)
		return NULL;
	a->fn = fn;
	say_ask(a);
	return a;
}

struct sts_ask *
sts_post(struct sts *t, const char *uri, int fd, sts_post_fn *fn,
    void *closure)
{
	struct sts_ask *a;

	assert(strlen(uri) <= LIM_TLSRPT_URI);
	if ((a = ask_new(t, uri, closure)) == NULL)
		return NULL;
	a->posted = fn;
	if ((a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1) {
		ask_free(a);
		errno = EMFILE;
		return NULL;
	}
	say_ask(a);
	return a;
}

void
sts_cancel(struct sts_ask **a)
{
	if (*a == NULL)
		return;
	say_cancel(*a);
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
