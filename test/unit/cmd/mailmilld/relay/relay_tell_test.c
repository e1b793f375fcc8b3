/* What connections have come to is told together, a second later. */

#include "cmd/mailmilld/relay/relay_tell.h"

#include <netinet/in.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"

static struct timeval clock_;
static struct scheduler *sched;
static struct relay_tell *t;
static bool is_deaf;
static unsigned int nasked;
static char sent[256];		/* "domain=sessions " of each, "lost=n " */

static void
now(void *, struct timeval *now_r)
{
	*now_r = clock_;
}

static int
never(void *, struct pollfd *fds, nfds_t nfds, int)
{
	while (nfds > 0)
		fds[--nfds].revents = 0;
	return 0;
}

static bool
send_all(void *closure, const struct tlsrpt_tally *tally)
{
	struct tlsrpt_said said;
	size_t at = 0, len = 0;

	cr_assert_eq(closure, &sent);
	nasked++;
	if (is_deaf)
		return false;
	sent[0] = '\0';
	for (; tlsrpt_said_next(tally->octets, tally->len, &at, &said) == 1;
	    len = strlen(sent))
		if (len < 64)
			snprintf(sent + len, sizeof(sent) - len, "%.20s=%u ",
			    said.domain, said.sessions);
	if (tally->nlost > 0)
		snprintf(sent + len, sizeof(sent) - len, "lost=%llu ",
		    (unsigned long long)tally->nlost);
	return true;
}

static void
setup(void)
{
	const struct scheduler_backend backend = { .size = sizeof(backend),
		.now = now, .wait = never };

	clock_.tv_sec = 1700000000;
	cr_assert_not_null(sched = scheduler_create(&backend));
	cr_assert_not_null(t = relay_tell_new(send_all, &sent));
	is_deaf = false;
	nasked = 0;
}

static void
teardown(void)
{
	relay_tell_free(t);
	scheduler_destroy(sched);
}

TestSuite(relay_tell, .init = setup, .fini = teardown);

static void
say(const char *domain)
{
	const struct relay_policy p = { .source = RELAY_BY_NOBODY, .name = "" };
	const struct sockaddr_in to = { .sin_family = AF_INET };
	struct relay_told *told = relay_told_new(&p, domain, NULL, "mx.test",
	    (const struct sockaddr *)&to);

	cr_assert_not_null(told);
	relay_tell_end(t, told, RELAY_RESULT_GOOD, "");
	relay_told_free(told);
}

static void
pass(int ms)
{
	clock_.tv_usec += ms * 1000;
	clock_.tv_sec += clock_.tv_usec / 1000000;
	clock_.tv_usec %= 1000000;
	(void)scheduler_pass(sched, 0);
	(void)scheduler_pass(sched, 0);
}

Test(relay_tell, what_comes_in_a_second_is_told_together)
{
	say("a.test");
	pass(500);
	say("b.test");
	say("a.test");
	pass(499);
	cr_expect_eq(nasked, 0);
	pass(2);
	cr_expect_eq(nasked, 1);
	cr_expect_str_eq(sent, "a.test=2 b.test=1 ");
	/* and nothing is said of nothing */
	pass(5000);
	cr_expect_eq(nasked, 1);
	say("c.test");
	pass(1001);
	cr_expect_eq(nasked, 2);
	cr_expect_str_eq(sent, "c.test=1 ");
}

Test(relay_tell, what_nobody_takes_is_kept)
{
	is_deaf = true;
	say("a.test");
	pass(1001);
	pass(1001);
	cr_expect_eq(nasked, 2);
	say("a.test");
	is_deaf = false;
	pass(1001);
	cr_expect_eq(nasked, 3);
	cr_expect_str_eq(sent, "a.test=2 ");
}

Test(relay_tell, there_is_a_bound_and_the_rest_is_counted)
{
	char domain[LIM_DOMAIN + 1], label[61];
	int i;

	is_deaf = true;
	memset(label, 'x', 60);
	label[60] = '\0';
	for (i = 0; i < 1000; i++) {
		snprintf(domain, sizeof(domain), "d%d.%s.%s.%s", i, label, label,
		    label);
		say(domain);
	}
	is_deaf = false;
	relay_tell_now(t);
	cr_assert_not_null(strstr(sent, " lost="));
	cr_expect_gt(atoi(strstr(sent, " lost=") + 6), 800);
	cr_expect_lt(atoi(strstr(sent, " lost=") + 6), 1000);
	/* that was all: the timer is gone */
	pass(2000);
	cr_expect_eq(nasked, 1);
}

Test(relay_tell, where_nobody_wants_to_know_nothing_is_done)
{
	relay_tell_end(NULL, NULL, RELAY_RESULT_GOOD, "");
	relay_tell_end(t, NULL, RELAY_RESULT_GOOD, "");
	relay_tell_now(NULL);
	relay_tell_now(t);
	pass(2000);
	cr_expect_eq(nasked, 0);
	relay_tell_free(NULL);
}
