#include <criterion/criterion.h>
#include <string.h>

#include "core/lim.h"
#include "proto/base/reply_line.h"

Test(esmtp_reply, the_table_keeps_the_rules)
{
	int i;

	for (i = 0; i < ESMTP_NREPLIES; i++) {
		const struct esmtp_reply_row *r = &esmtp_reply_rows[i];

		cr_expect(r->code >= 200 && r->code <= 599, "%d", i);
		/* RFC 2034 4: the class of the code and of the status agree,
		 * and there is none with 220, 354 and a greeting */
		if (r->enhanced[0] != '\0')
			cr_expect_eq(r->enhanced[0], '0' + r->code / 100, "%s",
			    r->text);
		cr_expect_null(strpbrk(r->text, "\r\n%"), "%s", r->text);
		/* RFC 5321 4.5.3.1.5: a reply line has at most 512 octets */
		cr_expect_leq(4 + strlen(r->enhanced) + 1 + r->text_len + 2,
		    LIM_REPLY_LINE);
		cr_expect_eq(r->text_len, strlen(r->text));
	}
}

Test(esmtp_reply, a_line_holds_no_octet_that_could_end_it)
{
	struct esmtp_reply_line l = { .code = 550, .is_last = true };
	char buf[LIM_REPLY_LINE];
	size_t n;

	l.enhanced = "5.1.1";
	l.text = "no\r\n250 ok";
	l.text_len = 10;
	l.extra = "\0\x80x";
	l.extra_len = 3;
	n = esmtp_reply_format(&l, buf, sizeof(buf));
	cr_assert_eq(n, 26);
	cr_assert_eq(memcmp(buf, "550 5.1.1 no??250 ok ??x\r\n", 26), 0);
}

/* RFC 6531 3.7.4: a client that has asked for it gets UTF-8, where the reply has
 * a text of its own. */
Test(esmtp_reply, a_line_may_be_utf8_of_what_is_visible)
{
	static const char extra[] = "<gr\xc3\xbcn@x>\xe2\x80\xae\xc2\x85\xff\r\n\xc3";
	struct esmtp_reply_line l = { .code = 250, .is_last = true,
		.text = "", .extra = extra, .extra_len = sizeof(extra) - 1 };
	char buf[LIM_REPLY_LINE + 1];
	size_t n;

	n = esmtp_reply_format(&l, buf, sizeof(buf) - 1);
	buf[n] = '\0';
	cr_expect_str_eq(buf, "250 <gr??n@x>?????????\r\n");
	l.is_utf8 = true;
	n = esmtp_reply_format(&l, buf, sizeof(buf) - 1);
	buf[n] = '\0';
	cr_expect_str_eq(buf, "250 <gr\xc3\xbcn@x>?????????\r\n");
}

Test(esmtp_reply, a_line_is_cut_at_512_octets)
{
	struct esmtp_reply_line l = { .code = 250, .is_last = false };
	char buf[LIM_REPLY_LINE + 1], text[600];
	size_t n;

	memset(text, 'x', sizeof(text));
	l.text = text;
	l.text_len = sizeof(text);
	l.extra = "y";
	l.extra_len = 1;
	n = esmtp_reply_format(&l, buf, sizeof(buf));
	cr_assert_eq(n, LIM_REPLY_LINE);
	cr_assert_eq(memcmp(buf, "250-x", 5), 0);
	cr_assert_eq(memcmp(buf + n - 3, "x\r\n", 3), 0);
}

Test(esmtp_reply, nothing_is_written_where_the_line_does_not_fit)
{
	struct esmtp_reply_line l = { .code = 250, .is_last = true };
	char buf[13];

	l.enhanced = "2.0.0";
	l.text = "OK";
	l.text_len = 2;
	cr_assert_eq(esmtp_reply_format(&l, buf, 13), 0);
}

/* What the master answers in place of the banner. */
Test(esmtp_reply, each_limit_of_sessions_has_its_documented_reply)
{
	static const struct {
		enum esmtp_reply_id id;
		const char *start;
	} cases[] = {
		{ RPL_SESSIONS, "421 4.4.5 " },
		{ RPL_CLIENT_SESSIONS, "421 4.7.0 " },
		{ RPL_SHUTDOWN, "421 4.3.2 " },
	};
	char buf[LIM_REPLY_LINE];
	size_t i, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = esmtp_reply_row_format(cases[i].id, buf, sizeof(buf));
		cr_assert_gt(n, 10);
		cr_expect_eq(memcmp(buf, cases[i].start, 10), 0, "%s",
		    cases[i].start);
		cr_expect_eq(memcmp(buf + n - 2, "\r\n", 2), 0);
	}
}

Test(esmtp_reply, splits_the_words_of_a_module)
{
	static const struct {
		const char *str;
		int code;
		const char *enhanced, *text;
	} cases[] = {
		{ "5.1.1 gone", 550, "5.1.1", "gone" },
		{ "4.3.2 Reconfiguration", 421, "4.3.2", "Reconfiguration" },
		{ "gone", 550, "5.7.1", "gone" },
		{ "later", 451, "4.7.1", "later" },
		{ "fine", 250, "2.0.0", "fine" },
		/* of another class: not a status for this reply */
		{ "4.1.1 x", 550, "5.7.1", "4.1.1 x" },
		{ "5.1 x", 550, "5.7.1", "5.1 x" },
		{ "5.1.1234 x", 550, "5.7.1", "5.1.1234 x" },
		{ "5.999.999", 550, "5.999.999", "" },
		{ "", 550, "5.7.1", "" },
		/* RFC 2034 4: not with 3xx */
		{ "go ahead", 354, "", "go ahead" },
		{ "3.0.0 go ahead", 354, "", "go ahead" },
		{ "2.0.0 go ahead", 354, "", "2.0.0 go ahead" },
		{ " x", 354, "", " x" },
		{ "", 354, "", "" },
	};
	char enhanced[ESMTP_ENHANCED_MAX];
	const char *text;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		esmtp_reply_split(cases[i].str, cases[i].code, &text,
		    enhanced);
		cr_expect_str_eq(enhanced, cases[i].enhanced, "%s",
		    cases[i].str);
		cr_expect_str_eq(text, cases[i].text, "%s", cases[i].str);
	}
}
