#include "core/queue/queue_filter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* ${text} as a filter; ${error_r}: what is wrong with it, or NULL */
static struct queue_filter
parse(const char *text, const char **error_r)
{
	struct queue_filter f = { .is_said = false };
	json_t *json = json_loads(text, 0, NULL);

	cr_assert_not_null(json, "%s", text);
	*error_r = queue_filter_parse(&f, json);
	json_decref(json);
	return f;
}

struct rcpt_case {
	const char *filter, *rcpt;
	bool is_meant;
};

Test(queue_filter, a_pattern_is_exact_or_open_at_its_ends)
{
	static const struct rcpt_case cases[] = {
		{ "{\"recipient\":\"joe@a.test\"}", "joe@a.test", true },
		{ "{\"recipient\":\"joe@a.test\"}", "Joe@A.TEST", true },
		{ "{\"recipient\":\"joe@a.test\"}", "xjoe@a.test", false },
		{ "{\"recipient\":\"joe@a.test\"}", "joe@a.testx", false },
		{ "{\"recipient\":\"joe@*\"}", "joe@b.test", true },
		{ "{\"recipient\":\"joe@*\"}", "jo@b.test", false },
		{ "{\"recipient\":\"*@a.test\"}", "x@a.test", true },
		{ "{\"recipient\":\"*@a.test\"}", "x@b.a.test", false },
		{ "{\"recipient\":\"*jo*\"}", "mejoe@x", true },
		{ "{\"recipient\":\"*jo*\"}", "me@x", false },
		{ "{\"recipient\":\"*\"}", "me@x", true },
		{ "{\"recipient\":\"**\"}", "me@x", true },
		{ "{\"domain\":\"a.test\"}", "x@a.test", true },
		{ "{\"domain\":\"a.test\"}", "x@b.a.test", false },
		{ "{\"domain\":\"a.test\"}", "\"x@a.test\"@b.test", false },
		{ "{\"domain\":\"*.test\"}", "x@b.a.test", true },
		{ "{\"domain\":\"*.test\"}", "x@test", false },
		{ "{\"domain\":\"\"}", "postmaster", true },
		{ "{\"domain\":\"a.test\",\"recipient\":\"x*\"}", "x@a.test",
		    true },
		{ "{\"domain\":\"a.test\",\"recipient\":\"x*\"}", "y@a.test",
		    false },
	};
	struct queue_filter f;
	const char *error;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = parse(cases[i].filter, &error);
		cr_assert_null(error, "%s: %s", cases[i].filter, error);
		cr_expect_eq(queue_filter_rcpt(&f, cases[i].rcpt, "waiting",
		    NULL), cases[i].is_meant, "%s %s", cases[i].filter,
		    cases[i].rcpt);
		queue_filter_free(&f);
	}
}

Test(queue_filter, the_message_has_an_age_a_size_and_a_sender)
{
	static const struct {
		const char *filter;
		bool is_meant;
	} cases[] = {
		/* of a@b, 60 seconds old, with 1000 octets */
		{ "{\"older\":60}", true }, { "{\"older\":61}", false },
		{ "{\"newer\":60}", true }, { "{\"newer\":59}", false },
		{ "{\"older\":1,\"newer\":59}", false },
		{ "{\"larger\":999}", true }, { "{\"larger\":1000}", false },
		{ "{\"sender\":\"a@b\"}", true },
		{ "{\"sender\":\"<>\"}", false },
		{ "{\"sender\":\"a@b\",\"larger\":1000}", false },
	};
	struct queue_filter f;
	const char *error;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = parse(cases[i].filter, &error);
		cr_assert_null(error, "%s: %s", cases[i].filter, error);
		cr_expect(f.is_said);
		cr_expect_eq(queue_filter_message(&f, 1060, "a@b", 1000999999,
		    1000), cases[i].is_meant, "%s", cases[i].filter);
		queue_filter_free(&f);
	}
	f = parse("{\"sender\":\"<>\"}", &error);
	cr_expect(queue_filter_message(&f, 1060, "", 1000000000, 1000));
	queue_filter_free(&f);
}

Test(queue_filter, errors_and_states_are_those_of_the_recipient)
{
	struct queue_filter f;
	const char *error;

	f = parse("{\"error\":\"refused\"}", &error);
	cr_expect(queue_filter_rcpt(&f, "a@b", "deferred",
	    "Connection Refused by x"));
	cr_expect(!queue_filter_rcpt(&f, "a@b", "deferred", "timed out"));
	cr_expect(!queue_filter_rcpt(&f, "a@b", "deferred", NULL));
	queue_filter_free(&f);
	f = parse("{\"state\":\"active\"}", &error);
	cr_expect(queue_filter_rcpt(&f, "a@b", "waiting", NULL));
	cr_expect(queue_filter_rcpt(&f, "a@b", "delivering", NULL));
	cr_expect(!queue_filter_rcpt(&f, "a@b", "deferred", NULL));
	queue_filter_free(&f);
	f = parse("{\"state\":\"hold\"}", &error);
	cr_expect(queue_filter_rcpt(&f, "a@b", "hold", NULL));
	cr_expect(!queue_filter_rcpt(&f, "a@b", "held", NULL));
	queue_filter_free(&f);
}

Test(queue_filter, one_domain_is_known_where_there_is_one)
{
	static const struct {
		const char *filter, *domain;
	} cases[] = {
		{ "{\"domain\":\"A.test\"}", "a.test" },
		{ "{\"domain\":\"*.test\"}", NULL },
		{ "{\"domain\":\"a.*\"}", NULL },
		{ "{\"recipient\":\"joe@A.Test\"}", "a.test" },
		{ "{\"recipient\":\"*@a.test\"}", "a.test" },
		{ "{\"recipient\":\"*oe@a.test\"}", "a.test" },
		{ "{\"recipient\":\"joe@*\"}", NULL },
		{ "{\"recipient\":\"*.test\"}", NULL },
		{ "{\"sender\":\"a@a.test\"}", NULL },
		{ "{}", NULL },
	};
	char buf[LIM_DOMAIN + 1];
	struct queue_filter f;
	const char *error, *domain;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = parse(cases[i].filter, &error);
		domain = queue_filter_domain(&f, buf);
		cr_expect_eq(domain == NULL, cases[i].domain == NULL, "%s",
		    cases[i].filter);
		if (domain != NULL && cases[i].domain != NULL)
			cr_expect_str_eq(domain, cases[i].domain);
		queue_filter_free(&f);
	}
}

/* Each would choose more than was meant if it were left out. */
Test(queue_filter, what_is_not_understood_is_refused)
{
	static const char *const filters[] = { "[]",
		"{\"sendr\":\"a@b\"}", "{\"sender\":7}",
		"{\"sender\":\"a*b\"}", "{\"domain\":\"*a*b*\"}",
		"{\"older\":\"1d\"}", "{\"older\":0}", "{\"newer\":-1}",
		"{\"larger\":1.5}", "{\"error\":\"\"}", "{\"error\":null}",
		"{\"state\":\"asleep\"}", "{\"state\":[]}" };
	struct queue_filter f;
	const char *error;
	size_t i;

	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		f = parse(filters[i], &error);
		cr_expect_not_null(error, "%s", filters[i]);
		queue_filter_free(&f);
	}
}
