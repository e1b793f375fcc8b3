/* Questions to name servers; see question.h. */

#include "cmd/mailmilld/resolver/question.h"

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/monotonic.h"

struct question {
	RB_ENTRY(question)	 node;
	struct questions	*questions;
	enum dns_type		 type;
	TAILQ_HEAD(, waiter)	 waiters;
	unsigned int		 nchain;	/* CNAME records so far */
	unsigned int		 ttl_s;		/* of these */
	bool			 is_authentic;	/* all of these */
	char			 alias[LIM_DOMAIN + 1];
	char			 name[LIM_DOMAIN + 1];
};

static int
question_cmp(const struct question *a, const struct question *b)
{
	int order = strcmp(a->name, b->name);

	return order != 0 ? order : (int)a->type - (int)b->type;
}

RB_PROTOTYPE(questions_tree, question, node, question_cmp)
RB_GENERATE(questions_tree, question, node, question_cmp)

static void
question_free(struct question *q)
{
	RB_REMOVE(questions_tree, &q->questions->tree, q);
	q->questions->n--;
	free(q);
}

/* All who wait are answered; whoever asks in his callback asks a new question,
 * since this one has left the tree. */
static void
finish(struct question *q, const struct lookup_answer *a)
{
	struct questions *qs = q->questions;
	struct waiter *w;

	dns_cache_put(qs->cache, q->name, q->type, monotonic_ms(), a);
	RB_REMOVE(questions_tree, &qs->tree, q);
	qs->n--;
	while ((w = TAILQ_FIRST(&q->waiters)) != NULL) {
		questions_leave(w);
		w->on_answer(w, a);
	}
	free(q);
}

static void
failed(struct question *q, const char *why)
{
	static const struct lookup_answer later = {
		.status = LOOKUP_TEMPORARY };
	uint64_t n = log_bound_count(&q->questions->failures, monotonic_ms());

	stats_inc(STATS_LOOKUPS_FAILED);
	if (n > 0)
		log_warnx("resolver-failed", "name=%s type=%u reason=%s "
		    "failed=%llu", q->name, (unsigned int)q->type, why,
		    (unsigned long long)n);
	finish(q, &later);
}

static void on_packet(void *closure, const uint8_t *packet, size_t len,
    const char *why);

static void
send_query(struct question *q, const char *name)
{
	struct questions *qs = q->questions;

	stats_inc(STATS_LOOKUPS_SENT);
	qs->ask(qs->closure, name, q->type, on_packet, q);
}

static void
on_packet(void *closure, const uint8_t *packet, size_t len, const char *why)
{
	struct question *q = closure;
	struct dns_result r;
	struct lookup_answer a = { 0 };

	if (packet == NULL) {
		failed(q, why);
		return;
	}
	dns_packet_parse(packet, len, *q->alias != '\0' ? q->alias : q->name,
	    q->type, &r);
	if (r.status == LOOKUP_TEMPORARY) {
		failed(q, "the name server could not answer");
		return;
	}
	q->nchain += r.nchain;
	q->is_authentic = q->is_authentic && r.is_authentic;
	if (r.ttl_s < q->ttl_s)
		q->ttl_s = r.ttl_s;
	if (*r.alias != '\0')
		strlcpy(q->alias, r.alias, sizeof(q->alias));
	if (r.is_alias_alone && q->nchain < DNS_CHAIN_MAX) {
		send_query(q, q->alias);
		return;
	}
	if (r.is_alias_alone) {
		failed(q, "too many CNAME records lead from it");
		return;
	}
	a.status = r.status;
	a.ttl_s = q->ttl_s;
	a.is_authentic = q->questions->is_trusted && q->is_authentic;
	strlcpy(a.alias, q->alias, sizeof(a.alias));
	a.records = r.records;
	a.len = r.len;
	finish(q, &a);
}

static struct question *
question_new(struct questions *qs, const char *name, enum dns_type type)
{
	struct question *q;

	if (qs->n == QUESTIONS_MAX || (q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->questions = qs;
	q->type = type;
	q->ttl_s = UINT32_MAX;
	q->is_authentic = true;
	TAILQ_INIT(&q->waiters);
	strlcpy(q->name, name, sizeof(q->name));
	RB_INSERT(questions_tree, &qs->tree, q);
	qs->n++;
	return q;
}

void
questions_ask(struct questions *qs, const char *name, enum dns_type type,
    struct waiter *w)
{
	struct lookup_answer a = { .status = LOOKUP_TEMPORARY };
	struct question key = { .type = type }, *q;

	if (dns_cache_find(qs->cache, name, type, monotonic_ms(), &a)) {
		stats_inc(STATS_LOOKUPS_CACHED);
		w->on_answer(w, &a);
		return;
	}
	strlcpy(key.name, name, sizeof(key.name));
	if ((q = RB_FIND(questions_tree, &qs->tree, &key)) != NULL) {
		w->question = q;
		TAILQ_INSERT_TAIL(&q->waiters, w, link);
		return;
	}
	if ((q = question_new(qs, name, type)) == NULL) {
		a.is_unasked = true;
		w->on_answer(w, &a);
		return;
	}
	w->question = q;
	TAILQ_INSERT_TAIL(&q->waiters, w, link);
	send_query(q, q->name);
}

void
questions_leave(struct waiter *w)
{
	if (w->question == NULL)
		return;
	TAILQ_REMOVE(&w->question->waiters, w, link);
	w->question = NULL;
}

int
questions_open(struct questions *qs)
{
	RB_INIT(&qs->tree);
	qs->cache = dns_cache_new(CACHE_OCTETS);
	return qs->cache == NULL ? -1 : 0;
}

void
questions_close(struct questions *qs)
{
	struct question *q;

	while ((q = RB_MIN(questions_tree, &qs->tree)) != NULL)
		question_free(q);
	dns_cache_free(qs->cache);
	qs->cache = NULL;
}
