/* Those that ask for policies, and the process that is asked, over a real channel;
 * the name server and the HTTPS server are the test's. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/sts_ask.h"
#include "cmd/mailmilld/sts/sts_int.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

static struct scheduler *sched;
static struct sts *sts;
static struct sts_cache *cache;
static struct sts_askers askers;
static struct sts_domain *asked, *fetched;
static bool is_unable;

static int
record(void *, const char *, struct sts_domain *d)
{
	asked = d;
	return is_unable ? -1 : 0;
}

static int
fetch(void *, const char *, struct sts_domain *d)
{
	fetched = d;
	return 0;
}

static const struct sts_cache_ops ops = { .record = record, .fetch = fetch,
	.now_ms = monotonic_ms };

static void
done(void *)
{
}

static void
setup(void)
{
	is_unable = false;
	cr_assert_not_null(sched = scheduler_create(NULL));
	cr_assert_not_null(cache = sts_cache_new(&ops, NULL));
	cr_assert_not_null(sts = sts_new(ROLE_RELAY));
	askers = (struct sts_askers){ .cache = cache, .done = done,
		.is_open = true };
	TAILQ_INIT(&askers.list);
}

static void
teardown(void)
{
	sts_free(sts);
	sts_askers_close(&askers);
	sts_cache_free(cache);
	cr_expect_eq(scheduler_event_count(sched), 0);
	scheduler_destroy(sched);
}

TestSuite(sts_ask, .init = setup, .fini = teardown);

static void
pass(void)
{
	unsigned int i;

	for (i = 0; i < 20; i++)
		cr_assert_geq(scheduler_pass(sched, 0), 0);
}

/* There is a process sts. */
static void
connect_to(void)
{
	const struct msg_peer self = { .role = ROLE_RELAY },
	    other = { .role = ROLE_STS };
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(sts_asker_open(&askers, &self, fds[0]), 0);
	cr_assert_eq(sts_peer(sts, &other, fds[1]), 0);
	pass();
}

struct got {
	unsigned int	 n;
	bool		 has_policy;
	enum sts_mode	 mode;
	enum sts_failure failure;
	struct sts_ask	*ask;
};

static void
on_policy(void *closure, const struct sts_policy *p, enum sts_failure failure)
{
	struct got *g = closure;

	g->n++;
	g->has_policy = p != NULL;
	g->mode = p == NULL ? STS_NONE : p->mode;
	g->failure = failure;
	g->ask = NULL;
}

static void
begin(struct got *g, const char *domain)
{
	memset(g, 0, sizeof(*g));
	g->ask = sts_ask(sts, domain, on_policy, g);
	cr_assert_not_null(g->ask);
	cr_expect_eq(g->n, 0, "not from within the call");
	pass();
}

static void
say_enforce(void)
{
	const struct sts_policy p = { .mode = STS_ENFORCE, .max_age_s = 86400,
		.len = sizeof("mx.example"), .mx = "mx.example" };

	sts_cache_fetched(fetched, STS_FETCHED, "", &p);
	pass();
}

Test(sts_ask, a_policy_and_that_there_is_none)
{
	struct got g;

	connect_to();
	begin(&g, "a.example");
	sts_cache_record(asked, NULL);
	pass();
	cr_expect_eq(g.n, 1);
	cr_expect(g.has_policy);
	cr_expect_eq(g.mode, STS_NONE);
	cr_expect_eq(g.failure, STS_FETCHED);
	begin(&g, "a.example");
	sts_cache_record(asked, "1");
	say_enforce();
	cr_expect_eq(g.n, 1);
	cr_expect_eq(g.mode, STS_ENFORCE);
}

/* A failure of this server does not say that a domain has no policy. */
Test(sts_ask, what_nobody_knows_is_not_that_there_is_none)
{
	struct got g;

	connect_to();
	is_unable = true;
	begin(&g, "a.example");
	cr_expect_eq(g.n, 1);
	cr_expect_not(g.has_policy);
	cr_expect_eq(g.failure, STS_UNKNOWN);
	is_unable = false;
	begin(&g, "a.example");
	sts_cache_record(asked, "1");
	sts_cache_fetched(fetched, STS_UNKNOWN, "out of memory", NULL);
	pass();
	cr_expect_eq(g.n, 1);
	cr_expect_not(g.has_policy);
	cr_expect_eq(g.failure, STS_UNKNOWN);
	/* what the HTTPS server does not say is no policy: RFC 8461 3.3 */
	begin(&g, "a.example");
	sts_cache_record(asked, "1");
	sts_cache_fetched(fetched, STS_FETCH_ERROR, "it is down", NULL);
	pass();
	cr_expect_eq(g.n, 1);
	cr_expect(g.has_policy);
	cr_expect_eq(g.mode, STS_NONE);
}

Test(sts_ask, the_next_process_is_asked_again)
{
	struct got g;

	begin(&g, "a.example");
	connect_to();
	sts_askers_close(&askers);
	pass();
	cr_expect_eq(g.n, 0);
	connect_to();
	sts_cache_record(asked, "1");
	say_enforce();
	cr_expect_eq(g.n, 1);
	cr_expect_eq(g.mode, STS_ENFORCE);
}

Test(sts_ask, an_answer_that_is_none_and_a_time_that_is_over_say_nothing)
{
	const struct msg_peer other = { .role = ROLE_STS };
	struct msg_sts_policy base = { .mode = STS_NMODES };
	struct msg_sts_ask question;
	struct channel_msg msg;
	struct channel *ch;
	struct got g;
	int fds[2];

	sts_set_limit(sts, 50);
	begin(&g, "a.example");
	while (g.n == 0)
		cr_assert_geq(scheduler_pass(sched, 1000), 0);
	cr_expect_not(g.has_policy);
	cr_expect_eq(g.failure, STS_UNKNOWN);

	sts_set_limit(sts, 60000);
	cr_assert_eq(channel_pair(fds), 0);
	ch = channel_open(fds[0], msg_rows, NMSGS, ROLE_STS, ROLE_RELAY);
	cr_assert_not_null(ch);
	cr_assert_eq(sts_peer(sts, &other, fds[1]), 0);
	begin(&g, "a.example");
	cr_assert_eq(channel_recv(ch, &msg), 1);
	cr_assert_eq(msg.type, T_ASK);
	memcpy(&question, msg.base, sizeof(question));
	base.ask = question.ask;
	cr_assert_eq(channel_send(ch, T_POLICY, &base, NULL, 0, -1), 0);
	pass();
	cr_expect_eq(g.n, 1);
	cr_expect_not(g.has_policy);
	cr_expect_eq(g.failure, STS_UNKNOWN);
	channel_free(ch);
}

/* An attacker may control an asker. */
Test(sts_ask, an_asker_that_asks_for_too_much_hears_that_nothing_is_known)
{
	const struct msg_peer self = { .role = ROLE_RELAY };
	struct msg_sts_ask question = { .ask = 1 };
	struct msg_sts_policy answer;
	struct channel_msg msg;
	struct channel *ch;
	char name[32];
	int fds[2];

	cr_assert_eq(channel_pair(fds), 0);
	cr_assert_eq(sts_asker_open(&askers, &self, fds[0]), 0);
	ch = channel_open(fds[1], msg_rows, NMSGS, ROLE_RELAY, ROLE_STS);
	cr_assert_not_null(ch);
	for (; question.ask <= LIM_LOOKUPS + 1; question.ask++) {
		snprintf(name, sizeof(name), "n%u.example",
		    (unsigned int)question.ask);
		cr_assert_eq(channel_send(ch, T_ASK, &question, name,
		    (unsigned int)strlen(name), -1), 0);
		pass();
	}
	cr_assert_eq(channel_recv(ch, &msg), 1);
	cr_assert_eq(msg.type, T_POLICY);
	memcpy(&answer, msg.base, sizeof(answer));
	cr_expect_eq(answer.ask, LIM_LOOKUPS + 1);
	cr_expect_eq(answer.failure, STS_UNKNOWN);
	cr_expect_neq(channel_recv(ch, &msg), 1);
	channel_free(ch);
	pass();
}
