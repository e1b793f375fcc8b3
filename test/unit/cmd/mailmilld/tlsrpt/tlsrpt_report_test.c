#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_report.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

#define DAY	1459468800	/* 1 April 2016 */

/* RFC 8460 Appendix B, with mx-host as an array */
static const char example[] = "{"
"  \"organization-name\": \"Company-X\","
"  \"date-range\": {"
"    \"start-datetime\": \"2016-04-01T00:00:00Z\","
"    \"end-datetime\": \"2016-04-01T23:59:59Z\""
"  },"
"  \"contact-info\": \"sts-reporting@company-x.example\","
"  \"report-id\": \"5065427c-23d3-47ca-b6e0-946ea0e8c4be\","
"  \"policies\": [{"
"    \"policy\": {"
"      \"policy-type\": \"sts\","
"      \"policy-string\": [\"version: STSv1\",\"mode: testing\","
"            \"mx: *.mail.company-y.example\",\"max_age: 86400\"],"
"      \"policy-domain\": \"company-y.example\","
"      \"mx-host\": [\"*.mail.company-y.example\"]"
"    },"
"    \"summary\": {"
"      \"total-successful-session-count\": 5326,"
"      \"total-failure-session-count\": 303"
"    },"
"    \"failure-details\": [{"
"      \"result-type\": \"certificate-expired\","
"      \"sending-mta-ip\": \"2001:db8:abcd:0012::1\","
"      \"receiving-mx-hostname\": \"mx1.mail.company-y.example\","
"      \"failed-session-count\": 100"
"    }, {"
"      \"result-type\": \"starttls-not-supported\","
"      \"sending-mta-ip\": \"2001:db8:abcd:0013::1\","
"      \"receiving-mx-hostname\": \"mx2.mail.company-y.example\","
"      \"receiving-ip\": \"203.0.113.56\","
"      \"failed-session-count\": 200,"
"      \"additional-information\": \"https://reports.company-x.example/"
"report_info?id=5065427c-23d3#StarttlsNotSupported\""
"    }, {"
"      \"result-type\": \"validation-failure\","
"      \"sending-mta-ip\": \"198.51.100.62\","
"      \"receiving-ip\": \"203.0.113.58\","
"      \"receiving-mx-hostname\": \"mx-backup.mail.company-y.example\","
"      \"failed-session-count\": 3,"
"      \"failure-reason-code\": \"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\""
"    }]"
"  }]"
"}";

static struct tlsrpt_failure
failure(const char *result, const char *from, const char *host, uint64_t n)
{
	return (struct tlsrpt_failure){ .result = result, .sending_ip = from,
		.mx_host = host, .mx_helo = "", .receiving_ip = "", .info = "",
		.reason = "", .n = n };
}

static json_t *
compose(const struct tlsrpt_policy *policies, size_t n)
{
	const struct tlsrpt_report r = { .organization = "Company-X",
		.contact = "sts-reporting@company-x.example",
		.id = "5065427c-23d3-47ca-b6e0-946ea0e8c4be", .start = DAY,
		.end = DAY + 86399, .policies = policies, .npolicies = n };
	char *text = tlsrpt_report_json(&r);
	json_t *json;

	cr_assert_not_null(text);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	cr_assert_not_null(json, "%s", text);
	free(text);
	return json;
}

static json_t *
at(json_t *report, size_t i, const char *key)
{
	return json_object_get(json_array_get(json_object_get(report,
	    "policies"), i), key);
}

Test(tlsrpt_report, the_example_of_rfc_8460)
{
	static const char *const strings[] = { "version: STSv1",
		"mode: testing", "mx: *.mail.company-y.example",
		"max_age: 86400" };
	static const char *const mx[] = { "*.mail.company-y.example" };
	struct tlsrpt_failure details[] = {
		failure("certificate-expired", "2001:db8:abcd:0012::1",
		    "mx1.mail.company-y.example", 100),
		failure("starttls-not-supported", "2001:db8:abcd:0013::1",
		    "mx2.mail.company-y.example", 200),
		failure("validation-failure", "198.51.100.62",
		    "mx-backup.mail.company-y.example", 3),
	};
	const struct tlsrpt_policy policy = { .type = TLSRPT_STS,
		.domain = "company-y.example", .strings = strings,
		.nstrings = N(strings), .mx_hosts = mx, .nmx_hosts = N(mx),
		.successes = 5326, .failures = 303, .details = details,
		.ndetails = N(details) };
	json_t *want = json_loads(example, 0, NULL), *have;

	details[1].receiving_ip = "203.0.113.56";
	details[1].info = "https://reports.company-x.example/report_info?"
	    "id=5065427c-23d3#StarttlsNotSupported";
	details[2].receiving_ip = "203.0.113.58";
	details[2].reason = "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED";
	have = compose(&policy, 1);
	cr_assert_not_null(want);
	cr_expect(json_equal(have, want));
	json_decref(have);
	json_decref(want);
}

Test(tlsrpt_report, a_domain_with_several_policies_has_each_of_them)
{
	static const char *const tlsa[] = { "3 1 1 aabb", "2 0 1 ccdd" };
	const struct tlsrpt_policy policies[] = {
		{ .type = TLSRPT_TLSA, .domain = "mx.example", .strings = tlsa,
		    .nstrings = N(tlsa), .successes = 1 },
		{ .type = TLSRPT_NO_POLICY, .domain = "example",
		    .successes = 2 },
	};
	json_t *r = compose(policies, N(policies)), *p = at(r, 0, "policy");

	cr_expect_str_eq(json_string_value(json_object_get(p, "policy-type")),
	    "tlsa");
	cr_expect_eq(json_array_size(json_object_get(p, "policy-string")), 2);
	p = at(r, 1, "policy");
	cr_expect_str_eq(json_string_value(json_object_get(p, "policy-type")),
	    "no-policy-found");
	cr_expect_str_eq(json_string_value(json_object_get(p,
	    "policy-domain")), "example");
	/* what there is not is left out */
	cr_expect_eq(json_object_size(p), 2);
	cr_expect_null(at(r, 1, "failure-details"));
	cr_expect_eq(json_integer_value(json_object_get(at(r, 1, "summary"),
	    "total-failure-session-count")), 0);
	json_decref(r);
}

Test(tlsrpt_report, words_of_a_next_hop_may_have_any_octets)
{
	static const struct { const char *reason, *told; } cases[] = {
		{ "\"\\\n</script>", "\"\\\n</script>" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "gr\xfc\xdf\x01", "gr???" },
		{ "\xed\xa0\x80 \xc0\x80", "??? ??" },
	};
	struct tlsrpt_failure f = failure("validation-failure", "", "", 1);
	const struct tlsrpt_policy policy = { .type = TLSRPT_NO_POLICY,
		.domain = "example", .failures = 1, .details = &f,
		.ndetails = 1 };
	json_t *r, *d;
	size_t i;

	for (i = 0; i < N(cases); i++) {
		f.reason = cases[i].reason;
		r = compose(&policy, 1);
		d = json_array_get(at(r, 0, "failure-details"), 0);
		cr_expect_str_eq(json_string_value(json_object_get(d,
		    "failure-reason-code")), cases[i].told);
		json_decref(r);
	}
}

static long left;

static void *
some(size_t n)
{
	return left-- > 0 ? malloc(n) : NULL;
}

Test(tlsrpt_report, without_memory_there_is_none)
{
	static const char *const strings[] = { "3 1 1 aabb" };
	struct tlsrpt_failure f = failure("tlsa-invalid", "192.0.2.1",
	    "mx.example", 1);
	const struct tlsrpt_policy policy = { .type = TLSRPT_TLSA,
		.domain = "example", .strings = strings, .nstrings = 1,
		.failures = 1, .details = &f, .ndetails = 1 };
	const struct tlsrpt_report r = { .organization = "X", .contact = "x@x",
		.id = "1", .start = DAY, .end = DAY + 86399,
		.policies = &policy, .npolicies = 1 };
	char *text = NULL;
	long n;

	json_set_alloc_funcs(some, free);
	for (n = 0; text == NULL && n < 10000; n++) {
		left = n;
		text = tlsrpt_report_json(&r);
		/* a part of one is not taken for the whole */
		cr_assert(text == NULL || strstr(text, "tlsa-invalid") != NULL);
	}
	cr_expect_gt(n, 20);
	cr_expect_lt(n, 10000);
	free(text);
}
