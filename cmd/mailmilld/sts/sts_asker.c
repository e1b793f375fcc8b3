/* The processes that ask for policies, or have reports posted, and their answers.
 * Owns: the channels, the questions of each process that wait.
 *
 * An attacker may control an asker.  What it asks is checked and bounded. */

#include "cmd/mailmilld/sts/sts_int.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/roles.h"
#include "core/process/log.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

struct sts_question {
	struct sts_waiter	 waiter;	/* first, so that it is found */
	TAILQ_ENTRY(sts_question) link;
	struct sts_asker	*asker;
	uint64_t		 id;
};

static void
complain(struct sts_asker *k, const char *what)
{
	uint64_t n = log_bound_count(&k->complaints, monotonic_ms());

	if (n > 0)
		log_warnx("sts-asker", "role=%s slot=%u instance=%u reason=%s "
		    "times=%llu", role_name(k->who.role), k->who.slot,
		    k->who.instance, what, (unsigned long long)n);
}

static void
question_free(struct sts_question *q)
{
	sts_cache_leave(&q->waiter);
	TAILQ_REMOVE(&q->asker->questions, q, link);
	q->asker->n--;
	free(q);
}

/* What does not fit in the channel of an asker that does not read is lost: it has a
 * time limit for each question. */
static void
send_policy(struct sts_asker *k, uint64_t id, const struct sts_policy *p,
    enum sts_failure failure)
{
	const struct msg_sts_policy base = {
		.ask = id,
		.mode = p == NULL ? STS_NONE : p->mode,
		.max_age_s = p == NULL ? 0 : p->max_age_s,
		.failure = failure
	};

	(void)chanev_send(k->ce, T_POLICY, &base, p == NULL ? NULL : p->mx,
	    p == NULL ? 0 : (unsigned int)p->len, -1);
}

static void
on_policy(struct sts_waiter *w, const struct sts_policy *p,
    enum sts_failure failure)
{
	struct sts_question *q = (struct sts_question *)w;

	send_policy(q->asker, q->id, p, failure);
	question_free(q);
}

static struct sts_question *
find(struct sts_asker *k, uint64_t id)
{
	struct sts_question *q;

	TAILQ_FOREACH(q, &k->questions, link)
		if (q->id == id)
			return q;
	return NULL;
}

static void
begin(struct sts_asker *k, uint64_t id, const char *domain)
{
	struct sts_question *q = calloc(1, sizeof(*q));

	if (q == NULL) {
		send_policy(k, id, NULL, STS_UNKNOWN);
		return;
	}
	q->asker = k;
	q->id = id;
	q->waiter.on_policy = on_policy;
	TAILQ_INSERT_TAIL(&k->questions, q, link);
	k->n++;
	sts_cache_ask(k->askers->cache, domain, &q->waiter);
}

static void
on_ask(void *closure, struct channel_msg *msg)
{
	struct sts_asker *k = closure;
	char text[LIM_DOMAIN + 1], name[LIM_DOMAIN + 1];
	struct msg_sts_ask base;

	memcpy(&base, msg->base, sizeof(base));
	if (msg->nentries > 0)
		memcpy(text, msg->entries, msg->nentries);
	text[msg->nentries] = '\0';
	if (strlen(text) != msg->nentries || lookup_name(text, name) == -1)
		complain(k, "not a question");
	else if (find(k, base.ask) != NULL)
		complain(k, "two questions have one number");
	else if (k->n == LIM_LOOKUPS) {
		complain(k, "too many questions at once");
		send_policy(k, base.ask, NULL, STS_UNKNOWN);
	} else
		begin(k, base.ask, name);
}

static void
on_post(void *closure, struct channel_msg *msg)
{
	char uri[LIM_TLSRPT_URI + 1];
	struct msg_sts_ask base;
	const char *wrong;

	memcpy(&base, msg->base, sizeof(base));
	if (msg->nentries > 0)
		memcpy(uri, msg->entries, msg->nentries);
	uri[msg->nentries] = '\0';
	if (strlen(uri) != msg->nentries) {
		complain(closure, "not a URI");
		return;
	}
	wrong = sts_post_begin(closure, base.ask, uri, msg->fd);
	msg->fd = -1;
	if (wrong != NULL)
		complain(closure, wrong);
}

static void
on_cancel(void *closure, struct channel_msg *msg)
{
	struct sts_question *q;
	struct msg_sts_ask base;

	memcpy(&base, msg->base, sizeof(base));
	/* its answer may be on the way */
	if (!sts_post_cancel(closure, base.ask) && (q = find(closure, base.ask)) != NULL)
		question_free(q);
}

/* --- channels ------------------------------------------------------------- */

static void
asker_free(struct sts_asker *k)
{
	struct sts_question *q;

	while ((q = TAILQ_FIRST(&k->questions)) != NULL)
		question_free(q);
	sts_post_cancel_all(k);
	TAILQ_REMOVE(&k->askers->list, k, link);
	chanev_free(k->ce);
	free(k);
}

static void
asker_gone(void *closure)
{
	struct sts_asker *k = closure;
	struct sts_askers *as = k->askers;

	asker_free(k);
	if (TAILQ_EMPTY(&as->list))
		as->done(as->closure);
}

static const struct chanev_ops ops = {
	.on = { [T_ASK] = on_ask, [T_POST] = on_post,
		[T_CANCEL] = on_cancel },
	.gone = asker_gone
};

int
sts_asker_open(struct sts_askers *as, const struct msg_peer *who, int fd)
{
	struct sts_asker *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		fileio_close(fd);
		return -1;
	}
	k->askers = as;
	k->who = *who;
	TAILQ_INIT(&k->questions);
	TAILQ_INIT(&k->posts);
	TAILQ_INSERT_TAIL(&as->list, k, link);
	k->ce = chanev_open(fd, ROLE_STS, who->role, &ops, k);
	if (k->ce == NULL) {
		asker_free(k);
		return -1;
	}
	chanev_name(k->ce, who->slot, who->instance);
	if (!as->is_open)
		chanev_hold(k->ce);
	return 0;
}

void
sts_askers_answer(struct sts_askers *as)
{
	struct sts_asker *k;

	as->is_open = true;
	TAILQ_FOREACH(k, &as->list, link)
		chanev_resume(k->ce);
}

void
sts_askers_close(struct sts_askers *as)
{
	struct sts_asker *k;

	while ((k = TAILQ_FIRST(&as->list)) != NULL)
		asker_free(k);
}
