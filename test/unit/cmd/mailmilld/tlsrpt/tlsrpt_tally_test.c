#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_tally.h"

static struct tlsrpt_tally t;

static struct tlsrpt_said
session(const char *host, enum tlsrpt_result result)
{
	return (struct tlsrpt_said){ .type = TLSRPT_TLSA, .result = result,
		.sessions = 1, .domain = "a.test", .policy_domain = "",
		.policy = "3 1 1 aa",
		.mx_host = host, .sending_ip = "", .receiving_ip = "",
		.reason = "" };
}

static int
add(const char *host, enum tlsrpt_result result)
{
	const struct tlsrpt_said s = session(host, result);

	return tlsrpt_tally_add(&t, &s);
}

/* Entries, and the connections in them */
static unsigned int
entries(uint64_t *sessions_r)
{
	struct tlsrpt_said s;
	unsigned int n = 0;
	size_t at = 0;
	int rc;

	*sessions_r = 0;
	while ((rc = tlsrpt_said_next(t.octets, t.len, &at, &s)) == 1) {
		*sessions_r += s.sessions;
		n++;
	}
	cr_expect_eq(rc, 0);
	return n;
}

Test(tlsrpt_tally, those_that_are_alike_are_one_entry)
{
	static char reason[2 * LIM_TLSRPT_REASON];
	struct tlsrpt_said s = session("mx1.a.test", TLSRPT_RESULT_GOOD);
	uint64_t sessions;
	size_t i;

	for (i = 0; i < 3; i++) {
		cr_expect_eq(add("mx1.a.test", TLSRPT_RESULT_GOOD), 0);
		cr_expect_eq(add("mx2.a.test", TLSRPT_RESULT_GOOD), 0);
		cr_expect_eq(add("mx1.a.test", TLSRPT_RESULT_EXPIRED), 0);
	}
	cr_expect_eq(entries(&sessions), 3);
	cr_expect_eq(sessions, 9);
	/* also if their texts have to be cut */
	memset(reason, 'r', sizeof(reason) - 1);
	s.reason = reason;
	for (i = 0; i < 2; i++)
		cr_expect_eq(tlsrpt_tally_add(&t, &s), 0);
	cr_expect_eq(entries(&sessions), 4);
	cr_expect_eq(sessions, 11);
}

Test(tlsrpt_tally, each_member_makes_a_difference)
{
	const struct tlsrpt_said one = session("mx.a.test",
	    TLSRPT_RESULT_GOOD);
	struct tlsrpt_said s[9] = { one, one, one, one, one, one, one, one, one };
	uint64_t sessions;
	size_t i;

	s[0].type = TLSRPT_NO_POLICY;
	s[1].result = TLSRPT_RESULT_EXPIRED;
	s[2].domain = "b.test";
	s[3].policy = "3 1 1 bb";
	s[4].mx_host = "";
	s[5].sending_ip = "192.0.2.1";
	s[6].receiving_ip = "192.0.2.1";
	s[7].reason = "x";
	s[8].policy_domain = "b.test";
	cr_expect_eq(tlsrpt_tally_add(&t, &one), 0);
	for (i = 0; i < 9; i++)
		cr_expect_eq(tlsrpt_tally_add(&t, &s[i]), 0);
	cr_expect_eq(entries(&sessions), 10);
	cr_expect_eq(sessions, 10);
}

Test(tlsrpt_tally, it_is_bounded_and_says_what_is_lost)
{
	uint64_t sessions;
	unsigned int n = 0, full;
	char host[64];

	for (full = 0; full < 100; n++) {
		snprintf(host, sizeof(host), "mx%u.a.test", n);
		if (add(host, TLSRPT_RESULT_GOOD) == -1) {
			cr_expect_eq(errno, ENOSPC);
			full++;
		}
		cr_assert_leq(t.len, sizeof(t.octets));
		cr_assert_lt(n, 10000);
	}
	cr_expect_eq(t.nlost, 100);
	/* what has an entry is still counted */
	cr_expect_eq(add("mx0.a.test", TLSRPT_RESULT_GOOD), 0);
	cr_expect_eq(entries(&sessions), n - 100);
	cr_expect_eq(sessions, n - 99);
}

Test(tlsrpt_tally, a_number_does_not_overflow)
{
	struct tlsrpt_said s = session("mx.a.test", TLSRPT_RESULT_GOOD);
	uint64_t sessions;

	s.sessions = UINT32_MAX - 1;
	cr_expect_eq(tlsrpt_tally_add(&t, &s), 0);
	cr_expect_eq(tlsrpt_tally_add(&t, &s), 0);
	cr_expect_eq(entries(&sessions), 1);
	cr_expect_eq(sessions, UINT32_MAX);
	s.sessions = 0;
	cr_expect_eq(tlsrpt_tally_add(&t, &s), -1);
	cr_expect_eq(errno, EINVAL);
}
