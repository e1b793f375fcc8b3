#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_record.h"

#define HEAD	"v=TLSRPTv1;"
#define N(a)	(sizeof(a) / sizeof((a)[0]))

static struct tlsrpt_record r;

static int
parse(const char *text)
{
	memset(&r, 'x', sizeof(r));
	return tlsrpt_record_parse((const uint8_t *)text, strlen(text), &r);
}

/* RFC 8460 3.1 */
Test(tlsrpt_record, the_examples_of_rfc_8460)
{
	cr_assert_eq(parse("v=TLSRPTv1;rua=mailto:reports@example.com"), 1);
	cr_assert_eq(r.n, 1);
	cr_expect_eq(r.rua[0].scheme, TLSRPT_MAILTO);
	cr_expect_str_eq(r.rua[0].to, "reports@example.com");
	cr_assert_eq(parse("v=TLSRPTv1; "
	    "rua=https://reporting.example.com/v1/tlsrpt"), 1);
	cr_assert_eq(r.n, 1);
	cr_expect_eq(r.rua[0].scheme, TLSRPT_HTTPS);
	cr_expect_str_eq(r.rua[0].to,
	    "https://reporting.example.com/v1/tlsrpt");
}

Test(tlsrpt_record, a_record_may_have_several_uris_and_fields)
{
	cr_assert_eq(parse(HEAD "\trua=mailto:a@example.com , "
	    "https://b.example:8443/?c=d ; x-1.y_z=1,2 ;"
	    "rua=MailTo:e@Example.NET;"), 1);
	cr_assert_eq(r.n, 3);
	cr_expect_str_eq(r.rua[0].to, "a@example.com");
	cr_expect_str_eq(r.rua[1].to, "https://b.example:8443/?c=d");
	cr_expect_str_eq(r.rua[2].to, "e@example.net");
}

Test(tlsrpt_record, an_address_may_be_encoded_and_its_header_fields_are_dropped)
{
	cr_assert_eq(parse(HEAD "rua=mailto:%22a%2Cb%21%22%40example.com"
	    "?subject=x&to=y%40z.example"), 1);
	cr_assert_eq(r.n, 1);
	cr_expect_str_eq(r.rua[0].to, "\"a,b!\"@example.com");
}

Test(tlsrpt_record, a_uri_that_cannot_be_reported_to_is_passed_over)
{
	static const char *const uris[] = { "", "mailto:", "mailto:a", "mailto:postmaster",
		"mailto:%3C%3E", "mailto:%3Cpostmaster%3E",
		"mailto:@example.com", "mailto:a@[192.0.2.1]",
		"mailto:a@example.com%0D%0ABcc:b@example.com",
		"mailto:%22a%00b%22@example.com", "mailto:a@example.com%20",
		"mailto:a%2@example.com", "mailto:a%g0@example.com",
		"mailto:a@example.com%2Cb@example.com", "mailto:%C3%A4@example.com",
		"mailto:a!b@example.com", "mailto:a b@example.com",
		"mailto:<a@example.com>", "mailto:a@example.com\x7f",
		"http://example.com/", "ftp:a", "example.com", "https:/a/b",
		"https://", "https:///a", "https://u:p@example.com/",
		"https://u@example.com/", "https://[::1]/", "https://a:b/",
		"https://a..b/", "https://example.com/\xc3\xa4",
		"https://example.com/a b", "https://example.com/%", };
	char text[256];
	size_t i;

	for (i = 0; i < N(uris); i++) {
		snprintf(text, sizeof(text), HEAD "rua=%s,mailto:z@example.com",
		    uris[i]);
		cr_expect_eq(parse(text), 1, "%s", text);
		cr_expect_eq(r.n, 1, "%s", text);
		cr_expect_str_eq(r.rua[0].to, "z@example.com", "%s", text);
	}
	cr_expect_eq(parse(HEAD "rua=ftp:a"), 1);
	cr_expect_eq(r.n, 0);
}

Test(tlsrpt_record, uris_that_are_too_many_or_too_long_are_passed_over)
{
	char text[2 * LIM_TLSRPT_URI + 64] = HEAD "rua=https://example.com/";
	size_t len = strlen(text), most = LIM_TLSRPT_URI -
	    strlen("https://example.com/");

	memset(text + len, 'a', most + 1);
	text[len + most] = '\0';
	cr_assert_eq(parse(text), 1);
	cr_assert_eq(r.n, 1);
	cr_expect_eq(strlen(r.rua[0].to), LIM_TLSRPT_URI);
	text[len + most] = 'a';
	cr_assert_eq(parse(text), 1);
	cr_expect_eq(r.n, 0);

	cr_assert_eq(parse(HEAD "rua=mailto:a@b,mailto:c@d,mailto:e@f,"
	    "mailto:g@h,mailto:i@j,mailto:k@l"), 1);
	cr_assert_eq(r.n, LIM_TLSRPT_URIS);
	cr_expect_str_eq(r.rua[LIM_TLSRPT_URIS - 1].to, "g@h");
}

Test(tlsrpt_record, what_is_malformed_is_refused)
{
	static const struct { const char *text; int rc; } cases[] = {
		{ "", 0 }, { "v=TLSRPTv1", 0 }, { "v=TLSRPTv1 ;rua=mailto:a@b", 0 },
		{ "v=TLSRPTv2;rua=mailto:a@b", 0 },
		{ "v=tlsrptv1;rua=mailto:a@b", 0 },
		{ " v=TLSRPTv1;rua=mailto:a@b", 0 },
		{ "v=spf1 -all", 0 },
		{ HEAD, -1 }, { HEAD " ", -1 }, { HEAD "RUA=mailto:a@b", -1 },
		{ HEAD "x=y", -1 }, { HEAD ";rua=mailto:a@b", -1 },
		{ HEAD "rua=mailto:a@b;;", -1 }, { HEAD "rua", -1 },
		{ HEAD "rua =mailto:a@b", -1 }, { HEAD "rua=mailto:a@b;x", -1 },
		{ HEAD "rua=mailto:a@b;x=", -1 },
		{ HEAD "rua=mailto:a@b;x=a=b", -1 },
		{ HEAD "rua=mailto:a@b;-x=y", -1 },
		{ HEAD "rua=mailto:a@b;x=y\x01", -1 },
	};
	size_t i;

	for (i = 0; i < N(cases); i++)
		cr_expect_eq(parse(cases[i].text), cases[i].rc, "%s",
		    cases[i].text);
	cr_expect_eq(tlsrpt_record_parse((const uint8_t *)HEAD
	    "rua=mailto:a\0@b", strlen(HEAD) + 16, &r), 1);
	cr_expect_eq(r.n, 0);
}

static int
find(const char *const *texts, size_t n)
{
	static uint8_t buf[4096];
	struct lookup_answer a = { .status = LOOKUP_FOUND, .records = buf };
	struct lookup_record record = { .type = LOOKUP_R_TXT };
	size_t i;

	for (i = 0; i < n; i++) {
		record.data = (const uint8_t *)texts[i];
		record.len = strlen(texts[i]);
		cr_assert_eq(lookup_record_put(buf, sizeof(buf), &a.len,
		    &record), 0);
	}
	return tlsrpt_record_find(&a, &r);
}

/* RFC 8460 3 */
Test(tlsrpt_record, the_one_record_among_others_counts)
{
	static const char *const texts[] = { "v=spf1 -all",
		HEAD "rua=mailto:a@b", "", HEAD "rua=mailto:c@d", HEAD "x" };
	const struct lookup_answer none = { .status = LOOKUP_NO_NAME };

	cr_expect_eq(find(texts, 1), 0);
	cr_assert_eq(find(texts, 3), 1);
	cr_expect_str_eq(r.rua[0].to, "a@b");
	cr_expect_eq(find(texts, 4), 0);
	cr_expect_eq(find(texts + 3, 2), 0, "a malformed one is one, too");
	cr_expect_eq(find(texts + 4, 1), 0);
	cr_expect_eq(tlsrpt_record_find(&none, &r), 0);
}
