#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/sts_policy.h"

static struct sts_policy p;
static char err[STS_ERROR_MAX];

static int
parse(const char *text)
{
	*err = '\0';
	return sts_policy_parse(text, strlen(text), &p, err, sizeof(err));
}

#define HEAD	"version: STSv1\n"
#define GOOD	HEAD "mode: enforce\nmx: mx.example\nmax_age: 100\n"

Test(sts_policy, a_policy_has_mode_age_and_patterns)
{
	cr_assert_eq(parse("version: STSv1\r\nmode: testing\r\n"
	    "mx: Mail.Example.COM\r\nmx: *.example.net\r\nmax_age: 604800\r\n"),
	    0, "%s", err);
	cr_expect_eq(p.mode, STS_TESTING);
	cr_expect_eq(p.max_age_s, 604800);
	cr_expect_eq(p.len, sizeof("mail.example.com\0*.example.net"));
	cr_expect_eq(memcmp(p.mx, "mail.example.com\0*.example.net",
	    p.len), 0);
	cr_expect(sts_policy_check(&p));
}

/* RFC 8461 3.2 */
Test(sts_policy, lines_end_in_lf_or_crlf_and_the_last_one_need_not)
{
	cr_expect_eq(parse("mode:enforce\nmax_age:\t 9 \r\nmx:a.example  \n\n"
	    "version:STSv1"), 0, "%s", err);
	cr_expect_eq(p.mode, STS_ENFORCE);
	cr_expect_eq(p.max_age_s, 9);
}

Test(sts_policy, unknown_fields_are_passed_over_and_the_first_of_two_counts)
{
	cr_assert_eq(parse(HEAD "mode: none\nmode: nonsense\nversion: STSv2\n"
	    "x_y-z.1: \xc3\xa4 : b\nmax_age: 5\nmax_age: x\n"), 0, "%s", err);
	cr_expect_eq(p.mode, STS_NONE);
	cr_expect_eq(p.max_age_s, 5);
	cr_expect_eq(p.len, 0);
	cr_expect(sts_policy_check(&p));
}

Test(sts_policy, a_max_age_of_more_than_a_year_is_a_year)
{
	cr_assert_eq(parse(HEAD "mode: none\nmax_age: 9999999999\n"), 0);
	cr_expect_eq(p.max_age_s, STS_MAX_AGE);
}

Test(sts_policy, what_is_malformed_is_refused_with_a_reason)
{
	static const struct { const char *text, *why; } cases[] = {
		{ "", "it has no version" },
		{ "mode: enforce\nmx: a.example\nmax_age: 1\n",
		    "it has no version" },
		{ "version: STSv2\nmode: none\nmax_age: 1\n",
		    "its version is not STSv1" },
		{ HEAD "max_age: 1\nmx: a.example\n", "it has no mode" },
		{ HEAD "mode: Enforce\n",
		    "its mode is not enforce, testing or none" },
		{ HEAD "mode: report\n",
		    "its mode is not enforce, testing or none" },
		{ HEAD "mode: none\n", "it has no max_age" },
		{ HEAD "mode: none\nmax_age:\n",
		    "its max_age is no number of seconds" },
		{ HEAD "mode: none\nmax_age: -1\n",
		    "its max_age is no number of seconds" },
		{ HEAD "mode: none\nmax_age: 00000000001\n",
		    "its max_age is no number of seconds" },
		{ HEAD "mode: enforce\nmax_age: 1\n", "it has no mx" },
		{ HEAD "mode: testing\nmax_age: 1\n", "it has no mx" },
		{ HEAD "mx: *\n", "its mx is not the name of a host" },
		{ HEAD "mx: a.*.example\n", "its mx is not the name of a host" },
		{ HEAD "mx: *a.example\n", "its mx is not the name of a host" },
		{ HEAD "mx: a..example\n", "its mx is not the name of a host" },
		{ HEAD "mx: a.example b\n", "its mx is not the name of a host" },
		{ HEAD "mx:\n", "its mx is not the name of a host" },
		{ HEAD "nonsense\n", "a line has no colon" },
		{ "<html>\n<a href='http://x'>\n", "a line has no colon" },
		{ HEAD "a b: c\n", "a line is not a name, a colon and a value" },
		{ HEAD "a: \x01\n", "a line is not a name, a colon and a value" },
		{ HEAD ": b\n", "a line is not a name, a colon and a value" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(parse(cases[i].text), -1, "%s", cases[i].text);
		cr_expect_str_eq(err, cases[i].why, "%s: %s", cases[i].text,
		    err);
	}
}

Test(sts_policy, its_text_and_its_patterns_are_bounded)
{
	static char text[LIM_STS_TEXT + 2];
	size_t len;

	memset(text, '\n', sizeof(text));
	memcpy(text, GOOD, strlen(GOOD));
	cr_expect_eq(sts_policy_parse(text, LIM_STS_TEXT, &p, err,
	    sizeof(err)), 0);
	cr_expect_eq(sts_policy_parse(text, LIM_STS_TEXT + 1, &p, err,
	    sizeof(err)), -1);
	cr_expect_str_eq(err, "it is longer than 64 KiB");
	len = (size_t)snprintf(text, sizeof(text), "%s", GOOD);
	while (len < LIM_STS_TEXT - 20)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "mx: a.example\n");
	cr_expect_eq(sts_policy_parse(text, len, &p, err, sizeof(err)), -1);
	cr_expect_str_eq(err, "it has too many patterns of MX hosts");
}

/* RFC 8461 4.1 */
Test(sts_policy, a_star_is_one_label_and_case_does_not_count)
{
	cr_assert_eq(parse(HEAD "mode: enforce\nmx: Mail.example\n"
	    "mx: *.b.example\nmax_age: 1\n"), 0);
	cr_expect(sts_policy_matches(&p, "mail.example"));
	cr_expect(sts_policy_matches(&p, "MAIL.EXAMPLE"));
	cr_expect(sts_policy_matches(&p, "x.B.example"));
	cr_expect_not(sts_policy_matches(&p, "b.example"));
	cr_expect_not(sts_policy_matches(&p, ".b.example"));
	cr_expect_not(sts_policy_matches(&p, "x.y.b.example"));
	cr_expect_not(sts_policy_matches(&p, "xb.example"));
	cr_expect_not(sts_policy_matches(&p, "x.mail.example"));
	cr_expect_not(sts_policy_matches(&p, "example"));
	cr_expect_not(sts_policy_matches(&p, ""));
}

Test(sts_policy, what_another_process_sends_is_checked)
{
	cr_assert_eq(parse(GOOD), 0);
	cr_assert(sts_policy_check(&p));
	p.mx[0] = 'M';
	cr_expect_not(sts_policy_check(&p));
	p.mx[0] = 'm';
	p.mx[p.len - 1] = 'x';
	cr_expect_not(sts_policy_check(&p));
	p.mx[p.len - 1] = '\0';
	p.len++;
	p.mx[p.len - 1] = '\0';
	cr_expect_not(sts_policy_check(&p), "an empty pattern");
	p.len--;
	p.mode = STS_NMODES;
	cr_expect_not(sts_policy_check(&p));
	p.mode = STS_ENFORCE;
	p.max_age_s = STS_MAX_AGE + 1;
	cr_expect_not(sts_policy_check(&p));
	p.max_age_s = 0;
	cr_expect(sts_policy_check(&p));
	p.len = sizeof(p.mx) + 1;
	cr_expect_not(sts_policy_check(&p));
	p.len = 0;
	cr_expect_not(sts_policy_check(&p));
	p.mode = STS_NONE;
	cr_expect(sts_policy_check(&p));
}

/* --- records -------------------------------------------------------------- */

static char id[LIM_STS_ID + 1];

static int
record(const char *text)
{
	return sts_record_parse((const uint8_t *)text, strlen(text), id);
}

/* RFC 8461 3.1 */
Test(sts_policy, a_record_has_a_version_and_an_id)
{
	cr_expect_eq(record("v=STSv1; id=20160831085700Z;"), 1);
	cr_expect_str_eq(id, "20160831085700Z");
	cr_expect_eq(record("v=STSv1;id=1"), 1);
	cr_expect_str_eq(id, "1");
	cr_expect_eq(record("v=STSv1;  x.y=z ; id=2 ; id=3; "), 1);
	cr_expect_str_eq(id, "2");
	cr_expect(sts_id_check(id));
	cr_expect_not(sts_id_check(""));
	cr_expect_not(sts_id_check("a-b"));
}

Test(sts_policy, other_records_are_none_and_malformed_ones_are_errors)
{
	static const char *const none[] = { "", "v=spf1 -all", "v=STSv1",
		"V=STSv1; id=1", " v=STSv1; id=1", "v=STSv11; id=1" };
	static const char *const bad[] = { "v=STSv1;", "v=STSv1; id=",
		"v=STSv1; id=a-b", "v=STSv1; id", "v=STSv1;; id=1",
		"v=STSv1; a b=c; id=1", "v=STSv1; x==; id=1",
		"v=STSv1; id=123456789012345678901234567890123" };
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_expect_eq(record(none[i]), 0, "%s", none[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(record(bad[i]), -1, "%s", bad[i]);
}

static int
find(size_t n, const char *const *texts)
{
	static uint8_t octets[LIM_LOOKUP_OCTETS];
	struct lookup_record r = { .type = LOOKUP_R_TXT };
	struct lookup_answer a = { .status = LOOKUP_FOUND,
		.records = octets };
	size_t i;

	for (i = 0; i < n; i++) {
		r.data = (const uint8_t *)texts[i];
		r.len = strlen(texts[i]);
		cr_assert_eq(lookup_record_put(octets, sizeof(octets), &a.len,
		    &r), 0);
	}
	return sts_record_find(&a, id);
}

Test(sts_policy, one_record_of_mta_sts_counts_and_two_are_none)
{
	static const char *const one[] = { "v=spf1 -all", "v=STSv1; id=7",
		"other" };
	static const char *const two[] = { "v=STSv1; id=7", "v=STSv1; id=7" };
	static const char *const bad[] = { "v=STSv1; id=7", "v=STSv1; id" };
	const struct lookup_answer later = { .status = LOOKUP_TEMPORARY };

	cr_expect_eq(find(3, one), 1);
	cr_expect_str_eq(id, "7");
	cr_expect_eq(find(2, two), 0);
	cr_expect_eq(find(2, bad), 0);
	cr_expect_eq(find(1, bad + 1), 0);
	cr_expect_eq(find(0, one), 0);
	cr_expect_eq(sts_record_find(&later, id), 0);
}
