#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_day.h"

#define DAY	1459468800	/* 1 April 2016 */

static const struct tlsrpt_report about = { .organization = "X",
	.contact = "tls@x.example", .id = "1@x.example" };

static void
add(struct tlsrpt_day *day, const char *type, const char *policy,
    const char *result, const char *host, uint64_t sessions)
{
	const struct deferred_tls t = { .day = DAY, .domain = "a.test",
		.policy_type = type, .policy_domain = strcmp(type, "tlsa") ==
		0 ? host : "", .policy = policy, .result = result,
		.mx_host = host, .sending_ip = "192.0.2.1",
		.receiving_ip = "", .reason = "", .sessions = sessions };

	cr_assert_eq(tlsrpt_day_add(day, &t), 0);
}

static json_t *
compose(const struct tlsrpt_day *day)
{
	char *text = tlsrpt_day_json(day, &about);
	json_t *json;

	cr_assert_not_null(text);
	json = json_loads(text, 0, NULL);
	free(text);
	cr_assert_not_null(json);
	return json;
}

static json_t *
policy_at(json_t *report, size_t i)
{
	return json_array_get(json_object_get(report, "policies"), i);
}

static long long
number(json_t *policy, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(policy,
	    "summary"), key));
}

static size_t
entries(json_t *policy, const char *key)
{
	return json_array_size(json_object_get(json_object_get(policy,
	    "policy"), key));
}

Test(tlsrpt_day, counts_of_one_policy_are_one_policy_of_the_report)
{
	struct tlsrpt_day *day = tlsrpt_day_new();
	json_t *r, *p, *d;

	add(day, "no-policy-found", "", "", "mx1.a.test", 5);
	add(day, "no-policy-found", "", "", "mx2.a.test", 6);
	add(day, "sts", "version: STSv1\nmode: enforce\nmx: *.a.test\nmx: b",
	    "", "mx1.a.test", 7);
	add(day, "sts", "version: STSv1\nmode: enforce\nmx: *.a.test\nmx: b",
	    "certificate-expired", "mx1.a.test", 8);
	add(day, "sts", "version: STSv1\nmode: enforce\nmx: *.a.test\nmx: b",
	    "certificate-expired", "mx2.a.test", 9);
	add(day, "sts", "version: STSv1\nmode: testing\nmx: *.a.test",
	    "starttls-not-supported", "mx2.a.test", 10);
	add(day, "tlsa", "3 1 1 aa\n3 1 1 bb", "", "mx1.a.test", 11);
	add(day, "tlsa", "3 1 1 aa\n3 1 1 bb", "", "mx2.a.test", 12);
	r = compose(day);
	cr_assert_eq(json_array_size(json_object_get(r, "policies")), 5);

	p = policy_at(r, 0);
	cr_expect_eq(number(p, "total-successful-session-count"), 11);
	cr_expect_eq(number(p, "total-failure-session-count"), 0);
	cr_expect_eq(entries(p, "policy-string"), 0);

	p = policy_at(r, 1);
	cr_expect_eq(number(p, "total-successful-session-count"), 7);
	cr_expect_eq(number(p, "total-failure-session-count"), 17);
	cr_expect_eq(entries(p, "policy-string"), 4);
	cr_expect_eq(entries(p, "mx-host"), 2);
	cr_expect_str_eq(json_string_value(json_array_get(json_object_get(
	    json_object_get(p, "policy"), "mx-host"), 0)), "*.a.test");
	d = json_object_get(p, "failure-details");
	cr_assert_eq(json_array_size(d), 2);
	d = json_array_get(d, 1);
	cr_expect_str_eq(json_string_value(json_object_get(d,
	    "receiving-mx-hostname")), "mx2.a.test");
	cr_expect_eq(json_integer_value(json_object_get(d,
	    "failed-session-count")), 9);

	p = policy_at(r, 2);
	cr_expect_eq(number(p, "total-failure-session-count"), 10);
	cr_expect_eq(json_array_size(json_object_get(p, "failure-details")), 1);
	cr_expect_eq(entries(p, "mx-host"), 1);

	p = policy_at(r, 3);
	cr_expect_eq(number(p, "total-successful-session-count"), 11);
	cr_expect_eq(entries(p, "policy-string"), 2);
	cr_expect_eq(entries(p, "mx-host"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(p,
	    "policy"), "policy-domain")), "mx1.a.test");
	p = policy_at(r, 4);
	cr_expect_eq(number(p, "total-successful-session-count"), 12);
	json_decref(r);
	tlsrpt_day_free(day);
}

Test(tlsrpt_day, it_is_a_whole_day)
{
	struct tlsrpt_day *day = tlsrpt_day_new();
	json_t *r, *range;

	add(day, "tlsa", "", "", "", 1);
	r = compose(day);
	range = json_object_get(r, "date-range");
	cr_expect_str_eq(json_string_value(json_object_get(range,
	    "start-datetime")), "2016-04-01T00:00:00Z");
	cr_expect_str_eq(json_string_value(json_object_get(range,
	    "end-datetime")), "2016-04-01T23:59:59Z");
	json_decref(r);
	tlsrpt_day_free(day);
}

Test(tlsrpt_day, rows_that_somebody_has_edited_do_no_harm)
{
	struct tlsrpt_day *day = tlsrpt_day_new();
	json_t *r;

	add(day, "", "", "", "", 1);
	add(day, "TLSA", "", "", "", 1);
	cr_expect_null(tlsrpt_day_json(day, &about));
	cr_expect_eq(errno, ENOENT);
	add(day, "sts", "\n\nmx: \nmx:\n", "no such result", "", 1);
	r = compose(day);
	cr_expect_eq(entries(policy_at(r, 0), "policy-string"), 2);
	cr_expect_eq(entries(policy_at(r, 0), "mx-host"), 1);
	json_decref(r);
	tlsrpt_day_free(day);
	tlsrpt_day_free(NULL);
}
