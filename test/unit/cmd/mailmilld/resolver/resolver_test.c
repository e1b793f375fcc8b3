/* The resolver and those that ask it, over real channels; the name servers are
 * the test's. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/lookup/mx.h"
#include "cmd/mailmilld/resolver/resolver_int.h"
#include "core/process/stats.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"
#include "test/unit/cmd/mailmilld/resolver/packet_fixture.h"

#define QUERIES_MAX	4096

static struct scheduler *sched;
static struct resolver resolver;
static struct lookup *lookup;
static struct packet_fixture packet;

/* What the name servers have been asked. */
static struct query {
	char		 name[LIM_DOMAIN + 1];
	enum dns_type	 type;
	void		(*fn)(void *, const uint8_t *, size_t, const char *);
	void		*closure;
} queries[QUERIES_MAX];
static unsigned int nqueries;

static void
ask(void *, const char *name, enum dns_type type, void (*fn)(void *,
    const uint8_t *, size_t, const char *), void *closure)
{
	struct query *q = &queries[nqueries++];

	cr_assert_leq(nqueries, QUERIES_MAX);
	strcpy(q->name, name);
	q->type = type;
	q->fn = fn;
	q->closure = closure;
}

static void
done(void *)
{
}

/* The resolver dies, and another one takes its place; the askers of the test are
 * connected to it. */
static void
resolver_start(void)
{
	memset(&resolver, 0, sizeof(resolver));
	TAILQ_INIT(&resolver.askers);
	TAILQ_INIT(&resolver.ctls);
	resolver.done = done;
	resolver.questions.ask = ask;
	resolver.questions.is_trusted = true;
	cr_assert_eq(questions_open(&resolver.questions), 0);
	nqueries = 0;
}

static void
resolver_end(void)
{
	resolver_askers_close(&resolver);
	questions_close(&resolver.questions);
}

static void
connect_to(struct lookup *l, unsigned int slot)
{
	/* a role that asks: for now there is but one in the table */
	const struct msg_peer who = { .role = ROLE_RESOLVER, .slot = slot };
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(resolver_asker_open(&resolver, &who, fds[0]), 0);
	cr_assert_eq(lookup_peer(l, &who, fds[1]), 0);
}

static void
setup(void)
{
	cr_assert_not_null(sched = scheduler_create(NULL));
	resolver_start();
	cr_assert_not_null(lookup = lookup_new(ROLE_RESOLVER));
	connect_to(lookup, 1);
}

static void
teardown(void)
{
	lookup_free(lookup);
	resolver_end();
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

TestSuite(resolver, .init = setup, .fini = teardown);

static void
pass(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
}

/* The answer to query ${i} is ${packet}; without octets: there is none. */
static void
reply(unsigned int i)
{
	cr_assert_lt(i, nqueries);
	queries[i].fn(queries[i].closure, packet.len == 0 ? NULL : packet.o,
	    packet.len, "no answer");
	pass();
}

static void
reply_none(unsigned int i)
{
	packet.len = 0;
	reply(i);
}

/* --- answers -------------------------------------------------------------- */

struct got {
	unsigned int		 n;		/* answers */
	struct lookup_answer	 a;
	unsigned int		 nrecords;
	struct lookup_record	 last;
	struct lookup_ask	*ask;
};

static void
on_answer(void *closure, const struct lookup_answer *a)
{
	struct got *g = closure;
	size_t at = 0;

	g->n++;
	g->a = *a;
	g->ask = NULL;
	g->nrecords = 0;
	while (lookup_record_next(a, &at, &g->last) == 1)
		g->nrecords++;
}

static void
begin(struct got *g, enum lookup_type type, const char *name)
{
	memset(g, 0, sizeof(*g));
	g->ask = lookup_ask(lookup, type, name, on_answer, g);
	cr_assert_not_null(g->ask);
	cr_expect_eq(g->n, 0, "not from within the call");
	pass();
}

Test(resolver, a_host_is_its_addresses_of_both_families)
{
	struct got g;

	begin(&g, LOOKUP_HOST, "MX.example.");
	cr_assert_eq(nqueries, 2);
	cr_expect_str_eq(queries[0].name, "mx.example");
	packet_begin(&packet, PACKET_ANSWER | PACKET_AD, "mx.example", DNS_A);
	packet_address(&packet, "mx.example", 300, "192.0.2.1");
	packet_address(&packet, "mx.example", 300, "192.0.2.2");
	reply(0);
	cr_expect_eq(g.n, 0);
	packet_begin(&packet, PACKET_ANSWER | PACKET_AD, "mx.example",
	    DNS_AAAA);
	packet_address(&packet, "mx.example", 100, "2001:db8::1");
	reply(1);
	cr_assert_eq(g.n, 1);
	cr_expect_eq(g.a.status, LOOKUP_FOUND);
	cr_expect_eq(g.nrecords, 3);
	cr_expect_eq(g.a.ttl_s, 100);
	cr_expect(g.a.is_authentic);
	/* the answer is still good */
	begin(&g, LOOKUP_HOST, "mx.example");
	cr_expect_eq(nqueries, 2);
	cr_assert_eq(g.n, 1);
	cr_expect_eq(g.nrecords, 3);
}

Test(resolver, what_is_known_of_one_family)
{
	static const struct {
		unsigned int flags6;	/* 0: no answer */
		bool has_v4;
		enum lookup_status want;
	} cases[] = {
		{ PACKET_ANSWER, true, LOOKUP_FOUND },
		{ 0, true, LOOKUP_FOUND },
		{ PACKET_ANSWER, false, LOOKUP_NO_DATA },
		{ PACKET_ANSWER | PACKET_NXDOMAIN, false, LOOKUP_NO_DATA },
		{ 0, false, LOOKUP_TEMPORARY },
	};
	char name[32];
	struct got g;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "h%zu.example", i);
		nqueries = 0;
		begin(&g, LOOKUP_HOST, name);
		cr_assert_eq(nqueries, 2);
		packet_begin(&packet, PACKET_ANSWER, name, DNS_A);
		if (cases[i].has_v4)
			packet_address(&packet, name, 300, "192.0.2.1");
		reply(0);
		packet_begin(&packet, cases[i].flags6, name, DNS_AAAA);
		if (cases[i].flags6 == 0)
			packet.len = 0;
		reply(1);
		cr_assert_eq(g.n, 1);
		cr_expect_eq(g.a.status, cases[i].want, "%zu: %d", i,
		    g.a.status);
		cr_expect_eq(g.nrecords, cases[i].has_v4);
	}
}

/* Who can keep one of two answers away, or forge that there is nothing of a
 * family, cannot make the addresses of the other one less sure: TLSA records of a
 * host count only if they are. */
Test(resolver, what_is_not_there_does_not_make_addresses_less_sure)
{
	static const struct {
		unsigned int flags4, flags6;	/* 0: no answer */
		bool has_v4, has_v6;
		bool want;
	} cases[] = {
		{ PACKET_ANSWER | PACKET_AD, 0, true, false, true },
		{ PACKET_ANSWER | PACKET_AD, PACKET_ANSWER, true, false,
		    true },
		{ PACKET_ANSWER | PACKET_AD, PACKET_ANSWER, true, true,
		    false },
		{ PACKET_ANSWER, PACKET_ANSWER | PACKET_AD, true, false,
		    false },
		{ PACKET_ANSWER, PACKET_ANSWER | PACKET_AD, false, true,
		    true },
		{ PACKET_ANSWER | PACKET_AD, PACKET_ANSWER, false, false,
		    false },
	};
	char name[32];
	struct got g;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "h%zu.example", i);
		nqueries = 0;
		begin(&g, LOOKUP_HOST, name);
		packet_begin(&packet, cases[i].flags4, name, DNS_A);
		if (cases[i].has_v4)
			packet_address(&packet, name, 300, "192.0.2.1");
		reply(0);
		packet_begin(&packet, cases[i].flags6, name, DNS_AAAA);
		if (cases[i].has_v6)
			packet_address(&packet, name, 300, "2001:db8::1");
		if (cases[i].flags6 == 0)
			packet.len = 0;
		reply(1);
		cr_assert_eq(g.n, 1);
		cr_expect_eq(g.a.is_authentic, cases[i].want, "%zu", i);
	}
}

Test(resolver, a_cname_record_alone_can_be_asked_for)
{
	struct got g;

	begin(&g, LOOKUP_CNAME, "mx.example");
	cr_assert_eq(nqueries, 1);
	packet_begin(&packet, PACKET_ANSWER | PACKET_AD, "mx.example",
	    DNS_CNAME);
	packet_named(&packet, 1, "mx.example", DNS_CNAME, 100, "a.example");
	packet_named(&packet, 1, "a.example", DNS_CNAME, 100, "b.example");
	reply(0);
	cr_assert_eq(g.n, 1);
	cr_expect_eq(g.a.status, LOOKUP_FOUND);
	cr_expect_eq(g.nrecords, 1);
	cr_expect_str_eq(g.last.name, "a.example");
	cr_expect_str_eq(g.a.alias, "");
	cr_expect(g.a.is_authentic);
}

Test(resolver, one_query_for_all_who_ask_the_same)
{
	struct got g[50];
	unsigned int i;

	for (i = 0; i < 50; i++)
		begin(&g[i], LOOKUP_MX, "example.com");
	cr_assert_eq(nqueries, 1);
	/* some do not want to know any more */
	lookup_cancel(&g[7].ask);
	cr_expect_null(g[7].ask);
	lookup_cancel(&g[0].ask);
	pass();
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&packet, "example.com", 300, 10, "mx.example.com");
	reply(0);
	for (i = 0; i < 50; i++)
		cr_expect_eq(g[i].n, i != 7 && i != 0);
	cr_expect_eq(lookup_waiting(lookup), 0);
}

Test(resolver, an_answer_without_askers_is_kept)
{
	struct got g;

	begin(&g, LOOKUP_MX, "example.com");
	lookup_cancel(&g.ask);
	pass();
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&packet, "example.com", 300, 10, "mx.example.com");
	reply(0);
	begin(&g, LOOKUP_MX, "example.com");
	cr_expect_eq(g.n, 1);
	cr_expect_eq(nqueries, 1);
}

Test(resolver, cname_records_are_followed_from_packet_to_packet)
{
	struct got g;
	char from[32], to[32];
	unsigned int i;

	begin(&g, LOOKUP_MX, "a0.example");
	for (i = 0; i < 5; i++) {
		snprintf(from, sizeof(from), "a%u.example", i);
		snprintf(to, sizeof(to), "a%u.example", i + 1);
		packet_begin(&packet, PACKET_ANSWER | PACKET_AD, from, DNS_MX);
		packet_named(&packet, 1, from, DNS_CNAME, 100 - i, to);
		reply(i);
		cr_assert_eq(nqueries, i + 2);
		cr_expect_str_eq(queries[i + 1].name, to);
	}
	packet_begin(&packet, PACKET_ANSWER, to, DNS_MX);
	packet_mx(&packet, to, 300, 10, "mx.example");
	reply(i);
	cr_assert_eq(g.n, 1);
	cr_expect_eq(g.a.status, LOOKUP_FOUND);
	cr_expect_str_eq(g.a.alias, "a5.example");
	cr_expect_eq(g.a.ttl_s, 96);
	cr_expect_not(g.a.is_authentic, "the last packet has no AD");
}

Test(resolver, a_ring_of_cname_records_ends)
{
	struct got g;
	unsigned int i;

	begin(&g, LOOKUP_MX, "a.example");
	for (i = 0; g.n == 0; i++) {
		cr_assert_lt(i, 2 * DNS_CHAIN_MAX);
		packet_begin(&packet, PACKET_ANSWER, queries[i].name, DNS_MX);
		packet_named(&packet, 1, queries[i].name, DNS_CNAME, 100,
		    i % 2 == 0 ? "b.example" : "a.example");
		reply(i);
	}
	cr_expect_eq(g.a.status, LOOKUP_TEMPORARY);
}

Test(resolver, ad_counts_only_where_the_administrator_says_so)
{
	struct got g;

	resolver.questions.is_trusted = false;
	begin(&g, LOOKUP_TXT, "example.com");
	packet_begin(&packet, PACKET_ANSWER | PACKET_AD, "example.com",
	    DNS_TXT);
	packet_txt(&packet, "example.com", 300, 500);
	reply(0);
	cr_expect_eq(g.a.status, LOOKUP_FOUND);
	cr_expect_eq(g.last.len, 500);
	cr_expect_not(g.a.is_authentic);
}

Test(resolver, failures_are_kept_for_a_moment)
{
	struct got g;

	begin(&g, LOOKUP_MX, "example.com");
	reply_none(0);
	cr_expect_eq(g.a.status, LOOKUP_TEMPORARY);
	/* that is what the name servers have come to */
	cr_expect_not(g.a.is_unasked);
	begin(&g, LOOKUP_MX, "example.com");
	cr_expect_eq(g.n, 1);
	cr_expect_eq(g.a.status, LOOKUP_TEMPORARY);
	cr_expect_eq(nqueries, 1);
}

Test(resolver, names_that_cannot_be_asked_for)
{
	errno = 0;
	cr_expect_null(lookup_ask(lookup, LOOKUP_MX, "a b", on_answer, NULL));
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(lookup_waiting(lookup), 0);
}

Test(resolver, so_many_questions_at_once)
{
	static struct got g[LIM_LOOKUPS];
	char name[32];
	unsigned int i;

	for (i = 0; i < LIM_LOOKUPS; i++) {
		snprintf(name, sizeof(name), "a%u.example", i);
		begin(&g[i], LOOKUP_MX, name);
	}
	errno = 0;
	cr_expect_null(lookup_ask(lookup, LOOKUP_MX, "b.example", on_answer,
	    NULL));
	cr_expect_eq(errno, EAGAIN);
	lookup_cancel(&g[0].ask);
	begin(&g[0], LOOKUP_MX, "b.example");
	pass();
	cr_expect_eq(resolver.questions.n, LIM_LOOKUPS + 1);
}

/* What is cancelled goes on at the name servers: an asker gets no more of them. */
Test(resolver, who_cancels_may_not_ask_for_more_than_others)
{
	static struct got g;
	char name[32];
	unsigned int i;

	for (i = 0; i < 3 * LIM_LOOKUPS; i++) {
		snprintf(name, sizeof(name), "a%u.example", i);
		begin(&g, LOOKUP_MX, name);
		lookup_cancel(&g.ask);
		pass();
	}
	cr_expect_eq(nqueries, LIM_LOOKUPS);
	/* each answer makes room for one more */
	packet_begin(&packet, PACKET_ANSWER, "a0.example", DNS_MX);
	reply(0);
	begin(&g, LOOKUP_MX, "b.example");
	pass();
	cr_expect_eq(nqueries, LIM_LOOKUPS + 1);
}

/* --- a resolver that ends ------------------------------------------------- */

Test(resolver, the_next_one_is_asked_again)
{
	struct got g, later;

	begin(&g, LOOKUP_MX, "example.com");
	cr_assert_eq(nqueries, 1);
	resolver_end();
	pass();
	/* while there is none, questions wait */
	begin(&later, LOOKUP_TXT, "example.com");
	cr_expect_eq(g.n, 0);
	resolver_start();
	connect_to(lookup, 1);
	pass();
	cr_assert_eq(nqueries, 2);
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&packet, "example.com", 300, 10, "mx.example.com");
	reply(0);
	cr_expect_eq(g.n, 1);
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_TXT);
	reply(1);
	cr_expect_eq(later.n, 1);
	cr_expect_eq(later.a.status, LOOKUP_NO_DATA);
}

Test(resolver, each_question_is_answered_in_time)
{
	struct got g[3];
	uint64_t begin_ms;
	unsigned int i;

	lookup_set_limit(lookup, 50);
	begin_ms = monotonic_ms();
	for (i = 0; i < 3; i++)
		begin(&g[i], LOOKUP_MX, "example.com");
	lookup_cancel(&g[1].ask);
	/* neither the name servers nor, from now on, a resolver answer */
	resolver_end();
	while (lookup_waiting(lookup) > 0)
		cr_assert_geq(scheduler_pass(sched, 1000), 0);
	cr_expect_geq(monotonic_ms() - begin_ms, 50);
	cr_expect_eq(g[0].n, 1);
	cr_expect_eq(g[0].a.status, LOOKUP_TEMPORARY);
	cr_expect(g[0].a.is_unasked);
	cr_expect_eq(g[1].n, 0);
	cr_expect_eq(g[2].n, 1);
	resolver_start();
}

Test(resolver, is_told_of_a_question_whose_time_is_over)
{
	const struct resolver_asker *k;
	struct got g;

	lookup_set_limit(lookup, 50);
	begin(&g, LOOKUP_MX, "example.com");
	while (lookup_waiting(lookup) > 0)
		cr_assert_geq(scheduler_pass(sched, 1000), 0);
	cr_expect_eq(g.a.status, LOOKUP_TEMPORARY);
	pass();
	k = TAILQ_FIRST(&resolver.askers);
	cr_expect_eq(k->nasks, 0);
	cr_expect_eq(k->ncancelled, 1);
}

Test(resolver, one_that_takes_over_is_asked_in_place_of_the_old_one)
{
	struct got g;

	begin(&g, LOOKUP_MX, "example.com");
	connect_to(lookup, 2);
	pass();
	/* to that process it is the same question */
	cr_expect_eq(nqueries, 1);
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&packet, "example.com", 300, 10, "mx.example.com");
	reply(0);
	cr_expect_eq(g.n, 1);
	/* the old channel is closed */
	cr_expect_eq(TAILQ_NEXT(TAILQ_FIRST(&resolver.askers), link), NULL);
}

/* --- others on the channel ------------------------------------------------ */

static struct channel *
raw(void)
{
	const struct msg_peer who = { .role = ROLE_RESOLVER, .slot = 3 };
	struct channel *ch;
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(resolver_asker_open(&resolver, &who, fds[0]), 0);
	ch = channel_open(fds[1], msg_rows, NMSGS, ROLE_RESOLVER,
	    ROLE_RESOLVER);
	cr_assert_not_null(ch);
	return ch;
}

static void
send_ask(struct channel *ch, uint64_t id, uint32_t type, const char *name,
    size_t len)
{
	const struct msg_lookup base = { .ask = id, .type = type };

	cr_assert_eq(channel_send(ch, N_ASK, &base, name, (unsigned int)len,
	    -1), 0);
	pass();
}

Test(resolver, an_asker_that_asks_what_it_should_not)
{
	struct channel *ch = raw();
	struct msg_looked_up base;
	struct channel_msg msg;
	unsigned int i, n = 0;
	char name[32];

	send_ask(ch, 1, LOOKUP_NTYPES, "a.example", 9);
	send_ask(ch, 2, LOOKUP_MX, "a b", 3);
	send_ask(ch, 3, LOOKUP_MX, "", 0);
	send_ask(ch, 4, LOOKUP_MX, "a.example\0x", 11);
	cr_expect_eq(nqueries, 0);
	while (channel_recv(ch, &msg) == 1) {
		cr_assert_eq(msg.type, N_ANSWER);
		memcpy(&base, msg.base, sizeof(base));
		cr_expect_eq(base.ask, ++n);
		cr_expect_eq(base.status, LOOKUP_TEMPORARY);
		cr_expect_eq(base.flags, MSG_LOOKED_UP_UNASKED);
	}
	cr_expect_eq(n, 4);
	/* one number twice, and more questions than one may have */
	for (i = 0; i < LIM_LOOKUPS + 10; i++) {
		snprintf(name, sizeof(name), "a%u.example", i);
		send_ask(ch, 10 + i, LOOKUP_MX, name, strlen(name));
		send_ask(ch, 10, LOOKUP_MX, "b.example", 9);
	}
	cr_expect_eq(nqueries, LIM_LOOKUPS);
	/* its end leaves nothing behind */
	channel_free(ch);
	pass();
	packet_begin(&packet, PACKET_ANSWER, "a0.example", DNS_MX);
	reply(0);
}

Test(resolver, a_resolver_that_answers_what_is_no_answer)
{
	const struct msg_peer who = { .role = ROLE_RESOLVER, .slot = 9 };
	struct msg_looked_up base = { .status = LOOKUP_FOUND, .ttl_s = 60 };
	struct channel_msg msg;
	struct msg_lookup asked;
	struct channel *ch;
	struct got g;
	int fds[2], i;
	static const struct {
		uint32_t status, alias;
		const char *octets;
		size_t len;
	} bad[] = {
		{ LOOKUP_NSTATUSES, 0, "", 0 },
		{ LOOKUP_FOUND, 1, "", 0 },
		{ LOOKUP_FOUND, UINT32_MAX, "", 0 },
		{ LOOKUP_FOUND, 3, "a b", 3 },
		{ LOOKUP_FOUND, 0, "\1\0\0\0\0\5ab", 8 },
		{ LOOKUP_FOUND, 0, "\0\0\0\0\0\4\x7f\0\0\1", 10 },
		{ LOOKUP_NO_DATA, 0, "\1\0\0\0\0\1a", 7 },
	};

	cr_assert_eq(channel_pair(fds), 0);
	ch = channel_open(fds[0], msg_rows, NMSGS, ROLE_RESOLVER,
	    ROLE_RESOLVER);
	cr_assert_eq(lookup_peer(lookup, &who, fds[1]), 0);
	for (i = 0; i < (int)(sizeof(bad) / sizeof(bad[0])); i++) {
		begin(&g, LOOKUP_MX, "example.com");
		cr_assert_eq(channel_recv(ch, &msg), 1);
		cr_assert_eq(msg.type, N_ASK);
		memcpy(&asked, msg.base, sizeof(asked));
		/* and of a question that nobody has asked */
		base.ask = asked.ask + 1;
		cr_assert_eq(channel_send(ch, N_ANSWER, &base, NULL, 0, -1),
		    0);
		base.ask = asked.ask;
		base.status = bad[i].status;
		base.alias = bad[i].alias;
		cr_assert_eq(channel_send(ch, N_ANSWER, &base, bad[i].octets,
		    (unsigned int)bad[i].len, -1), 0);
		pass();
		cr_assert_eq(g.n, 1);
		cr_expect_eq(g.a.status, LOOKUP_TEMPORARY, "%d", i);
		cr_expect(g.a.is_unasked, "%d", i);
		cr_expect_eq(g.a.len, 0);
	}
	channel_free(ch);
	pass();
}

/* --- the next hops -------------------------------------------------------- */

struct hops {
	struct mx	*x;
	unsigned int	 ncalls, n;
	char		 hosts[32][32];
	enum mx_end	 end;
	bool		 is_over;
};

static void
on_hops(void *closure, const struct mx_result *r)
{
	struct hops *h = closure;
	size_t i;

	h->ncalls++;
	for (i = 0; i < r->n; i++)
		strlcpy(h->hosts[h->n++], r->hops[i].host, 32);
	if (r->n > 0) {
		mx_more(h->x);
		return;
	}
	h->end = r->end;
	h->is_over = true;
	mx_close(&h->x);
}

static void
hops_begin(struct hops *h, const char *name)
{
	const struct mx_want want = { .name = name, .port = 25 };

	memset(h, 0, sizeof(*h));
	h->x = mx_open(lookup, &want, on_hops, h);
	cr_assert_not_null(h->x);
	cr_expect_eq(h->ncalls, 0);
	pass();
}

static void
reply_host(unsigned int i, const char *addr)
{
	packet_begin(&packet, PACKET_ANSWER, queries[i].name, queries[i].type);
	if (queries[i].type == DNS_A)
		packet_address(&packet, queries[i].name, 300, addr);
	else
		packet_soa(&packet, "example", 300, 300);
	reply(i);
}

Test(resolver, the_hops_of_a_domain_a_preference_at_a_time)
{
	struct hops h;

	hops_begin(&h, "example.com");
	cr_assert_eq(nqueries, 1);
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&packet, "example.com", 300, 20, "mx2.example.com");
	packet_mx(&packet, "example.com", 300, 10, "mx1.example.com");
	reply(0);
	cr_assert_eq(nqueries, 3, "those of the second are not asked for");
	cr_expect_str_eq(queries[1].name, "mx1.example.com");
	reply_host(1, "192.0.2.1");
	reply_host(2, NULL);
	cr_assert_eq(nqueries, 5);
	reply_host(3, "192.0.2.2");
	reply_host(4, NULL);
	cr_assert(h.is_over);
	cr_expect_eq(h.end, MX_END_TRIED);
	cr_expect_eq(h.n, 2);
	cr_expect_str_eq(h.hosts[0], "mx1.example.com");
	cr_expect_str_eq(h.hosts[1], "mx2.example.com");
}

Test(resolver, hops_without_questions)
{
	struct hops h;

	hops_begin(&h, "[192.0.2.1]");
	cr_assert(h.is_over);
	cr_expect_eq(h.n, 1);
	hops_begin(&h, "a b");
	cr_assert(h.is_over);
	cr_expect_eq(h.end, MX_END_BAD_NAME);
	cr_expect_eq(nqueries, 0);
}

Test(resolver, hops_that_nobody_wants_any_more)
{
	struct hops h;

	hops_begin(&h, "example.com");
	mx_close(&h.x);
	cr_expect_null(h.x);
	mx_close(&h.x);
	pass();
	hops_begin(&h, "example.com");
	packet_begin(&packet, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&packet, "example.com", 300, 10, "a.example.com");
	packet_mx(&packet, "example.com", 300, 10, "b.example.com");
	reply(0);
	cr_assert_eq(nqueries, 5);
	reply_host(1, "192.0.2.1");
	mx_close(&h.x);
	pass();
	cr_expect_eq(lookup_waiting(lookup), 0);
	cr_expect_eq(h.ncalls, 0);
}

Test(resolver, hops_while_too_many_questions_wait)
{
	static struct got g[LIM_LOOKUPS];
	struct hops h;
	char name[32];
	unsigned int i;

	for (i = 0; i < LIM_LOOKUPS; i++) {
		snprintf(name, sizeof(name), "a%u.example", i);
		begin(&g[i], LOOKUP_MX, name);
	}
	hops_begin(&h, "example.com");
	cr_assert(h.is_over);
	cr_expect_eq(h.end, MX_END_TEMPORARY);
}
