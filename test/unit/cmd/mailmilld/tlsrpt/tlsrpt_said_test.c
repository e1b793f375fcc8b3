#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_said.h"

static const struct tlsrpt_said good = { .type = TLSRPT_STS,
	.result = TLSRPT_RESULT_EXPIRED, .sessions = 70000,
	.domain = "company-y.example", .policy_domain = "p.example",
	.policy = "version: STSv1\nmode: testing\nmx: *.company-y.example",
	.mx_host = "mx1.company-y.example", .sending_ip = "192.0.2.1",
	.receiving_ip = "2001:db8::1", .reason = "it has expired" };
static char buf[3 * TLSRPT_SAID_MAX];

static void
expect_same(const struct tlsrpt_said *a, const struct tlsrpt_said *b)
{
	cr_expect_eq(a->type, b->type);
	cr_expect_eq(a->result, b->result);
	cr_expect_eq(a->sessions, b->sessions);
	cr_expect_str_eq(a->domain, b->domain);
	cr_expect_str_eq(a->policy_domain, b->policy_domain);
	cr_expect_str_eq(a->policy, b->policy);
	cr_expect_str_eq(a->mx_host, b->mx_host);
	cr_expect_str_eq(a->sending_ip, b->sending_ip);
	cr_expect_str_eq(a->receiving_ip, b->receiving_ip);
	cr_expect_str_eq(a->reason, b->reason);
}

Test(tlsrpt_said, what_is_written_is_read)
{
	struct tlsrpt_said least = { .type = TLSRPT_NO_POLICY,
		.result = TLSRPT_RESULT_GOOD, .sessions = 1, .domain = "a",
		.policy_domain = "", .policy = "", .mx_host = "", .sending_ip = "",
		.receiving_ip = "", .reason = "" }, said;
	size_t at = 0, len;

	cr_assert_eq(tlsrpt_said_put(buf, sizeof(buf), &at, &good), 0);
	cr_assert_eq(tlsrpt_said_put(buf, sizeof(buf), &at, &least), 0);
	len = at;
	at = 0;
	cr_assert_eq(tlsrpt_said_next(buf, len, &at, &said), 1);
	expect_same(&said, &good);
	cr_assert_eq(tlsrpt_said_next(buf, len, &at, &said), 1);
	expect_same(&said, &least);
	cr_expect_eq(at, len);
	cr_expect_eq(tlsrpt_said_next(buf, len, &at, &said), 0);
	cr_expect_str_eq(tlsrpt_result_name(good.result),
	    "certificate-expired");
}

Test(tlsrpt_said, no_part_of_one_is_one)
{
	struct tlsrpt_said said;
	size_t len = 0, n, at;

	cr_assert_eq(tlsrpt_said_put(buf, sizeof(buf), &len, &good), 0);
	for (n = 1; n < len; n++) {
		at = 0;
		cr_expect_eq(tlsrpt_said_next(buf, n, &at, &said), -1, "%zu",
		    n);
		cr_expect_eq(at, 0);
		cr_expect_eq(tlsrpt_said_put(buf, n, &at, &good), -1);
		cr_expect_eq(errno, ENOSPC);
	}
}

Test(tlsrpt_said, long_texts_are_cut_and_cleaned)
{
	static char policy[LIM_TLSRPT_POLICY + 200], reason[1000];
	struct tlsrpt_said s = good, said;
	size_t at = 0, len;

	memset(policy, 'p', sizeof(policy) - 1);
	policy[1000] = policy[LIM_TLSRPT_POLICY - 5] = '\n';
	policy[3] = '\x01';
	memset(reason, 'r', sizeof(reason) - 1);
	reason[1] = '\n';
	reason[2] = '\xff';
	s.policy = policy;
	s.reason = reason;
	cr_assert_eq(tlsrpt_said_put(buf, sizeof(buf), &at, &s), 0);
	cr_expect_leq(at, TLSRPT_SAID_MAX);
	len = at;
	at = 0;
	cr_assert_eq(tlsrpt_said_next(buf, len, &at, &said), 1);
	cr_expect_eq(strlen(said.policy), LIM_TLSRPT_POLICY - 5);
	cr_expect_eq(said.policy[3], '?');
	cr_expect_eq(said.policy[1000], '\n');
	cr_expect_eq(strlen(said.reason), LIM_TLSRPT_REASON);
	cr_expect_eq(strncmp(said.reason, "r??r", 4), 0);
}

Test(tlsrpt_said, what_cannot_be_is_refused)
{
	static const char *const domains[] = { "", "A.example", "a..b", "a b",
		"a.example.", "\xc3\xa4.example", "a\n.example" };
	static const char *const addresses[] = { "1", "192.0.2.01",
		"192.0.2.1 ", "2001:DB8::1", "2001:db8:0::1", "mx.example" };
	struct tlsrpt_said s;
	size_t i, at = 0;

#define REFUSED(member, value) do { \
		s = good; \
		s.member = (value); \
		errno = 0; \
		cr_expect_eq(tlsrpt_said_put(buf, sizeof(buf), &at, &s), -1); \
		cr_expect_eq(errno, EINVAL); \
	} while (0)
	REFUSED(type, TLSRPT_NTYPES);
	REFUSED(result, TLSRPT_NRESULTS);
	REFUSED(sessions, 0);
	for (i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		REFUSED(domain, domains[i]);
		if (i == 0)
			continue;
		REFUSED(policy_domain, domains[i]);
		REFUSED(mx_host, domains[i]);
	}
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		REFUSED(sending_ip, addresses[i]);
		REFUSED(receiving_ip, addresses[i]);
	}
	cr_expect_eq(at, 0);
}
