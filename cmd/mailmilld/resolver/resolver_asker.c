/* The processes that ask: what they may ask, and their answers.
 * Owns: the channels, the questions of each process that wait.
 *
 * An attacker may control an asker.  What it asks is checked, is bounded, and
 * takes nothing from the others: it has its own questions. */

#include "cmd/mailmilld/resolver/resolver_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/roles.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

/* The questions to the name servers that one of an asker takes. */
static const struct {
	unsigned int	n;
	enum dns_type	types[2];
} parts[LOOKUP_NTYPES] = {
	[LOOKUP_HOST] = { 2, { DNS_A, DNS_AAAA } },
	[LOOKUP_MX] = { 1, { DNS_MX } },
	[LOOKUP_TXT] = { 1, { DNS_TXT } },
	[LOOKUP_TLSA] = { 1, { DNS_TLSA } },
	[LOOKUP_PTR] = { 1, { DNS_PTR } },
	[LOOKUP_CNAME] = { 1, { DNS_CNAME } },
};

struct part {
	struct waiter		 waiter;	/* first, so that it is found */
	struct resolver_ask	*ask;
};

struct resolver_ask {
	RB_ENTRY(resolver_ask)	 node;
	struct resolver_asker	*asker;
	uint64_t		 id;
	enum lookup_type	 type;
	struct part		 parts[2];
	unsigned int		 nwaiting;
	bool			 is_cancelled;
	bool			 has_answer;
	struct lookup_answer	 answer;	/* of the parts that have come */
	size_t			 len;
	uint8_t			*records;	/* theirs */
};

static int
ask_cmp(const struct resolver_ask *a, const struct resolver_ask *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(resolver_asks, resolver_ask, node, ask_cmp)
RB_GENERATE(resolver_asks, resolver_ask, node, ask_cmp)

static void
ask_free(struct resolver_ask *a)
{
	size_t i;

	RB_REMOVE(resolver_asks, &a->asker->asks, a);
	if (a->is_cancelled)
		a->asker->ncancelled--;
	else
		a->asker->nasks--;
	for (i = 0; i < sizeof(a->parts) / sizeof(a->parts[0]); i++)
		questions_leave(&a->parts[i].waiter);
	free(a->records);
	free(a);
}

static void
complain(struct resolver_asker *k, const char *what)
{
	uint64_t n = log_bound_count(&k->complaints, monotonic_ms());

	if (n > 0)
		log_warnx("resolver-asker", "role=%s slot=%u instance=%u "
		    "reason=%s times=%llu", role_name(k->who.role),
		    k->who.slot, k->who.instance, what,
		    (unsigned long long)n);
}

/* --- answers -------------------------------------------------------------- */

/* What does not fit in the channel of an asker that does not read is lost: it
 * has a time limit for each question. */
static void
send_answer(struct resolver_asker *k, uint64_t id,
    const struct lookup_answer *a)
{
	uint8_t entries[LIM_DOMAIN + LIM_LOOKUP_OCTETS];
	size_t alias = strlen(a->alias);
	const struct msg_looked_up base = {
		.ask = id,
		.status = a->status,
		.ttl_s = a->ttl_s,
		.flags = (a->is_authentic ? MSG_LOOKED_UP_AUTHENTIC : 0) |
		    (a->is_unasked ? MSG_LOOKED_UP_UNASKED : 0),
		.alias = (uint32_t)alias
	};

	memcpy(entries, a->alias, alias);
	if (a->len > 0)
		memcpy(entries + alias, a->records, a->len);
	(void)chanev_send(k->ce, N_ANSWER, &base, entries,
	    (unsigned int)(alias + a->len), -1);
}

static void
refuse(struct resolver_asker *k, uint64_t id)
{
	static const struct lookup_answer later = {
		.status = LOOKUP_TEMPORARY, .is_unasked = true };

	send_answer(k, id, &later);
}

/* Which of the answers to A and AAAA is that for the host: there is an address,
 * or there might be one, or the name exists. */
static int
weight(enum lookup_status status)
{
	static const int weights[LOOKUP_NSTATUSES] = {
		[LOOKUP_FOUND] = 5,
		[LOOKUP_TOO_MUCH] = 4,
		[LOOKUP_TEMPORARY] = 3,
		[LOOKUP_NO_DATA] = 2,
		[LOOKUP_NO_NAME] = 1,
	};

	return weights[status];
}

/* The answer is proven if that which it comes from is: who keeps the answer to
 * one of both away, or has none for it, does not make the other one less sure
 * (RFC 7672 2.1.2: he could have a host's TLSA records ignored). */
static bool
is_merged_authentic(const struct resolver_ask *a,
    const struct lookup_answer *part)
{
	int order = a->has_answer ? weight(part->status) -
	    weight(a->answer.status) : 1;

	return order > 0 ? part->is_authentic : order < 0 ?
	    a->answer.is_authentic : part->is_authentic &&
	    a->answer.is_authentic;
}

static void
merge(struct resolver_ask *a, const struct lookup_answer *part)
{
	struct lookup_answer *all = &a->answer;
	uint8_t *records;

	all->is_authentic = is_merged_authentic(a, part);
	if (!a->has_answer || weight(part->status) > weight(all->status))
		all->status = part->status;
	if (!a->has_answer || part->ttl_s < all->ttl_s)
		all->ttl_s = part->ttl_s;
	all->is_unasked = all->is_unasked || part->is_unasked;
	if (*part->alias != '\0')
		strlcpy(all->alias, part->alias, sizeof(all->alias));
	a->has_answer = true;
	if (part->len == 0)
		return;
	records = realloc(a->records, a->len + part->len);
	if (records == NULL) {
		all->status = LOOKUP_TEMPORARY;
		all->is_unasked = true;
		return;
	}
	memcpy(records + a->len, part->records, part->len);
	a->records = records;
	a->len += part->len;
}

_Static_assert(2 * LIM_LOOKUP_ADDRESSES * 22 <= LIM_LOOKUP_OCTETS,
    "the addresses of both families fit in one answer");

static void
on_part(struct waiter *w, const struct lookup_answer *answer)
{
	struct resolver_ask *a = ((struct part *)w)->ask;

	merge(a, answer);
	if (--a->nwaiting > 0)
		return;
	if (a->answer.status == LOOKUP_FOUND) {
		a->answer.records = a->records;
		a->answer.len = a->len;
	}
	if (!a->is_cancelled)
		send_answer(a->asker, a->id, &a->answer);
	ask_free(a);
}

/* --- questions ------------------------------------------------------------ */

static struct resolver_ask *
ask_find(struct resolver_asker *k, uint64_t id)
{
	struct resolver_ask key = { .id = id };

	return RB_FIND(resolver_asks, &k->asks, &key);
}

static void
ask_begin(struct resolver_asker *k, const struct msg_lookup *base,
    const char *name)
{
	struct questions *qs = &k->resolver->questions;
	struct resolver_ask *a = calloc(1, sizeof(*a));
	unsigned int n = parts[base->type].n, i;

	if (a == NULL) {
		refuse(k, base->ask);
		return;
	}
	a->asker = k;
	a->id = base->ask;
	a->type = base->type;
	a->nwaiting = n;
	RB_INSERT(resolver_asks, &k->asks, a);
	k->nasks++;
	/* the last part may be answered at once, and ends the question */
	for (i = 0; i < n; i++) {
		a->parts[i].ask = a;
		a->parts[i].waiter.on_answer = on_part;
		questions_ask(qs, name, parts[base->type].types[i],
		    &a->parts[i].waiter);
	}
}

static void
on_ask(void *closure, struct channel_msg *msg)
{
	struct resolver_asker *k = closure;
	char text[LIM_DOMAIN + 1], name[LIM_DOMAIN + 1];
	struct msg_lookup base;

	memcpy(&base, msg->base, sizeof(base));
	if (msg->nentries > 0)
		memcpy(text, msg->entries, msg->nentries);
	text[msg->nentries] = '\0';
	if (ask_find(k, base.ask) != NULL) {
		complain(k, "two questions have one number");
		return;
	}
	stats_inc(STATS_LOOKUPS);
	if (base.type >= LOOKUP_NTYPES || strlen(text) != msg->nentries ||
	    lookup_name(text, name) == -1) {
		complain(k, "not a question");
		refuse(k, base.ask);
	} else if (k->nasks == LIM_LOOKUPS || k->ncancelled == LIM_LOOKUPS) {
		complain(k, "too many questions at once");
		refuse(k, base.ask);
	} else
		ask_begin(k, &base, name);
}

/* The questions to the name servers go on, and count until they are over: who asks
 * and cancels again and again would take those of all others (QUESTIONS_MAX). */
static void
on_cancel(void *closure, struct channel_msg *msg)
{
	struct resolver_asker *k = closure;
	struct resolver_ask *a;
	struct msg_lookup base;

	memcpy(&base, msg->base, sizeof(base));
	/* its answer may be on the way */
	if ((a = ask_find(k, base.ask)) == NULL || a->is_cancelled)
		return;
	a->is_cancelled = true;
	k->nasks--;
	k->ncancelled++;
}

/* --- channels ------------------------------------------------------------- */

static void
asker_free(struct resolver_asker *k)
{
	struct resolver_ask *a;

	while ((a = RB_MIN(resolver_asks, &k->asks)) != NULL)
		ask_free(a);
	TAILQ_REMOVE(&k->resolver->askers, k, link);
	chanev_free(k->ce);
	free(k);
}

static void
asker_gone(void *closure)
{
	struct resolver_asker *k = closure;
	struct resolver *r = k->resolver;

	asker_free(k);
	r->done(r->closure);
}

/* The resolver asks itself, so that the table of messages has it at both ends:
 * no asker answers. */
static void
on_stray(void *closure, struct channel_msg *)
{
	complain(closure, "an answer");
}

static const struct chanev_ops ops = {
	.on = {
		[N_ASK] = on_ask,
		[N_CANCEL] = on_cancel,
		[N_ANSWER] = on_stray
	},
	.gone = asker_gone
};

int
resolver_asker_open(struct resolver *r, const struct msg_peer *who, int fd)
{
	struct resolver_asker *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		fileio_close(fd);
		return -1;
	}
	k->resolver = r;
	k->who = *who;
	RB_INIT(&k->asks);
	TAILQ_INSERT_TAIL(&r->askers, k, link);
	k->ce = chanev_open(fd, ROLE_RESOLVER, who->role, &ops, k);
	if (k->ce == NULL) {
		asker_free(k);
		return -1;
	}
	chanev_name(k->ce, who->slot, who->instance);
	return 0;
}

bool
resolver_has_askers(const struct resolver *r)
{
	const struct resolver_asker *k;

	TAILQ_FOREACH(k, &r->askers, link)
		if (k->who.role != ROLE_RESOLVER)
			return true;
	return false;
}

void
resolver_askers_close(struct resolver *r)
{
	struct resolver_asker *k;

	while ((k = TAILQ_FIRST(&r->askers)) != NULL)
		asker_free(k);
}
