/* What is told of a connection, for reports of TLS. */

#include "cmd/mailmilld/relay/relay_told.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define MX	"*.a.test\0mx.b.test"

static const struct sts_policy enforced = { .mode = STS_ENFORCE,
	.max_age_s = 86400, .len = sizeof(MX), .mx = MX };
static const struct sts_policy tested = { .mode = STS_TESTING,
	.max_age_s = STS_MAX_AGE, .len = sizeof(MX), .mx = MX };
static const struct sts_policy without = { .mode = STS_NONE };

static struct tlsrpt_tally tally;
static struct tlsrpt_said said;

static union addr
address(const char *text)
{
	union addr a = { .in = { .sin_family = AF_INET } };

	cr_assert_eq(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
	return a;
}

static struct relay_told *
begin(const struct relay_policy *p, const struct sts_policy *sts)
{
	const union addr to = address("192.0.2.2");

	return relay_told_new(p, "a.test", sts, "mx.a.test", &to.sa);
}

/* The one that has been counted */
static void
count(struct relay_told *told, enum relay_result result, const char *reason)
{
	const union addr from = address("192.0.2.1");
	size_t at = 0;

	cr_assert_not_null(told);
	relay_told_from(told, &from.sa);
	tally.len = 0;
	relay_told_end(told, &tally, result, reason);
	relay_told_end(told, &tally, RELAY_RESULT_VALIDATION, "later");
	relay_told_free(told);
	cr_assert_eq(tlsrpt_said_next(tally.octets, tally.len, &at, &said), 1);
	cr_expect_eq(at, tally.len);
	cr_expect_str_eq(said.domain, "a.test");
	cr_expect_str_eq(said.mx_host, "mx.a.test");
	cr_expect_str_eq(said.sending_ip, "192.0.2.1");
	cr_expect_str_eq(said.receiving_ip, "192.0.2.2");
	cr_expect_eq(said.sessions, 1);
}

/* RFC 8460 4.4, 4.5: with the TLSA base domain as the policy's domain */
Test(relay_told, with_dane_the_policy_is_its_records)
{
	static const uint8_t data[] = { 0x00, 0x1f, 0xff };
	struct tls_client_tlsa tlsa[] = {
		{ .usage = 3, .selector = 1, .matching = 1, .data = data,
		    .len = 3 },
		{ .usage = 2, .selector = 0, .matching = 2, .data = data,
		    .len = 1 } };
	struct relay_policy p = { .level = RELAY_DANE,
		.source = RELAY_BY_DANE, .name = "base.test", .tlsa = tlsa,
		.ntlsa = 2 };

	count(begin(&p, &enforced), RELAY_RESULT_EXPIRED, "it has expired");
	cr_expect_eq(said.type, TLSRPT_TLSA);
	cr_expect_str_eq(said.policy_domain, "base.test");
	cr_expect_str_eq(said.policy, "3 1 1 001fff\n2 0 2 00");
	cr_expect_eq(said.result, TLSRPT_RESULT_EXPIRED);
	cr_expect_str_eq(said.reason, "it has expired");

	/* none of them can be used */
	p.tlsa = NULL;
	p.ntlsa = 0;
	p.level = RELAY_ENCRYPT;
	count(begin(&p, NULL), RELAY_RESULT_NO_STARTTLS, "");
	cr_expect_eq(said.type, TLSRPT_TLSA);
	cr_expect_str_eq(said.policy, "");
}

Test(relay_told, with_mta_sts_the_policy_is_its_lines)
{
	struct relay_policy p = { .level = RELAY_VERIFY,
		.source = RELAY_BY_STS, .name = "mx.a.test" };

	count(begin(&p, &enforced), RELAY_RESULT_GOOD, "words of no failure");
	cr_expect_eq(said.type, TLSRPT_STS);
	cr_expect_str_eq(said.policy_domain, "");
	cr_expect_str_eq(said.policy, "version: STSv1\nmode: enforce\n"
	    "max_age: 86400\nmx: *.a.test\nmx: mx.b.test");
	cr_expect_eq(said.result, TLSRPT_RESULT_GOOD);
	cr_expect_str_eq(said.reason, "");
	/* in testing nobody demands anything */
	p.level = RELAY_MAY;
	p.source = RELAY_BY_NOBODY;
	count(begin(&p, &tested), RELAY_RESULT_NOT_TRUSTED, "x");
	cr_expect_eq(said.type, TLSRPT_STS);
	cr_expect_str_eq(said.policy, "version: STSv1\nmode: testing\n"
	    "max_age: 31557600\nmx: *.a.test\nmx: mx.b.test");
}

/* RFC 8461 5: it would have failed */
Test(relay_told, a_host_that_a_tested_policy_does_not_have_is_a_failure)
{
	const struct relay_policy p = { .source = RELAY_BY_NOBODY, .name = "" };
	struct sts_policy other = { .mode = STS_TESTING, .max_age_s = 1,
		.len = sizeof("other.test"), .mx = "other.test" };

	count(begin(&p, &other), RELAY_RESULT_GOOD, "");
	cr_expect_eq(said.type, TLSRPT_STS);
	cr_expect_eq(said.result, TLSRPT_RESULT_VALIDATION);
	cr_expect_not_null(strstr(said.reason, "MTA-STS policy"));
	/* what has failed before that is told */
	count(begin(&p, &other), RELAY_RESULT_NO_STARTTLS, "there is no TLS");
	cr_expect_eq(said.result, TLSRPT_RESULT_NO_STARTTLS);
	cr_expect_str_eq(said.reason, "there is no TLS");
}

/* RFC 8460 4.3.2: policies for which no connection is made */
Test(relay_told, without_a_connection_there_is_no_address)
{
	const struct relay_policy p = { .level = RELAY_SKIP,
		.source = RELAY_BY_DANE, .name = "" };
	struct relay_told *told = relay_told_new(&p, "a.test", NULL,
	    "mx.a.test", NULL);
	size_t at = 0;

	cr_assert_not_null(told);
	tally.len = 0;
	relay_told_end(told, &tally, RELAY_RESULT_DNSSEC_INVALID, "no answer");
	relay_told_free(told);
	cr_assert_eq(tlsrpt_said_next(tally.octets, tally.len, &at, &said), 1);
	cr_expect_eq(said.type, TLSRPT_TLSA);
	cr_expect_str_eq(said.mx_host, "mx.a.test");
	cr_expect_str_eq(said.receiving_ip, "");
	cr_expect_str_eq(said.sending_ip, "");
	cr_expect_eq(said.result, TLSRPT_RESULT_DNSSEC_INVALID);
}

Test(relay_told, a_policy_that_cannot_be_fetched_is_one_of_mta_sts)
{
	static const char *const texts[] = { "", "version: STSv1\n"
	    "mode: enforce\nmax_age: 86400\nmx: *.a.test\nmx: mx.b.test" };
	const struct sts_policy *const policies[] = { &without, &enforced };
	struct relay_told *told;
	size_t i, at;

	for (i = 0; i < 2; i++) {
		cr_assert_not_null(told = relay_told_policy("a.test",
		    policies[i]));
		at = tally.len = 0;
		relay_told_end(told, &tally, RELAY_RESULT_STS_FETCH, "why");
		relay_told_free(told);
		cr_assert_eq(tlsrpt_said_next(tally.octets, tally.len, &at,
		    &said), 1);
		cr_expect_eq(said.type, TLSRPT_STS);
		cr_expect_eq(said.result, TLSRPT_RESULT_STS_FETCH);
		cr_expect_str_eq(said.domain, "a.test");
		cr_expect_str_eq(said.policy, texts[i]);
		cr_expect_str_eq(said.mx_host, "");
	}
}

Test(relay_told, without_a_policy_it_is_told_that_there_is_none)
{
	struct relay_policy p = { .level = RELAY_MAY,
		.source = RELAY_BY_NOBODY, .name = "" };

	count(begin(&p, &without), RELAY_RESULT_NO_STARTTLS, "");
	cr_expect_eq(said.type, TLSRPT_NO_POLICY);
	cr_expect_str_eq(said.policy, "");
	count(begin(&p, NULL), RELAY_RESULT_NO_STARTTLS, "");
	cr_expect_eq(said.type, TLSRPT_NO_POLICY);
	cr_expect_str_eq(said.policy, "");
	cr_expect_eq(said.result, TLSRPT_RESULT_NO_STARTTLS);
	/* what is configured here says nothing of the domain */
	p.source = RELAY_BY_SETTINGS;
	errno = 0;
	cr_expect_null(begin(&p, NULL));
	cr_expect_eq(errno, ENOENT);
	relay_told_end(NULL, &tally, RELAY_RESULT_GOOD, "");
	relay_told_free(NULL);
}

/* The results of the relay are those of RFC 8460, one by one. */
Test(relay_told, the_results_are_the_same)
{
	cr_expect_eq((int)RELAY_NRESULTS, (int)TLSRPT_NRESULTS);
	cr_expect_str_eq(relay_result_name(RELAY_RESULT_STS_WEBPKI),
	    tlsrpt_result_name(TLSRPT_RESULT_STS_WEBPKI));
}
