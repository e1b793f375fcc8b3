/* Replies of a next hop: each case whole, octet by octet, and cut in two
 * anywhere. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client/smtp_reply.h"

static const struct {
	const char	*in;
	int		 code;		/* 0: no reply */
	const char	*enhanced;
	const char	*words;		/* or what is wrong */
} cases[] = {
	{ "220 ready\r\n", 220, "", "ready" },
	{ "250\r\n", 250, "", "" },
	{ "250 \r\n", 250, "", "" },
	{ "250 2.1.0 fine\r\n", 250, "2.1.0", "fine" },
	{ "250 2.1.0\r\n", 250, "2.1.0", "" },
	{ "550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n", 550, "5.1.1",
	    "no such user" },
	{ "550-\r\n550-a\r\n550\r\n", 550, "", "a" },
	/* another class, or no enhanced code at all: words */
	{ "550 4.1.1 no\r\n", 550, "", "4.1.1 no" },
	{ "550 5.1 no\r\n", 550, "", "5.1 no" },
	{ "550 5.1.1234 no\r\n", 550, "", "5.1.1234 no" },
	{ "550 5.1.1no\r\n", 550, "", "5.1.1no" },
	{ "354 3.0.0 go\r\n", 354, "3.0.0", "go" },
	{ "550-first\r\n550 5.7.1 second\r\n", 550, "5.7.1", "first second" },
	{ "550 a\tb\r\n", 550, "", "a b" },
	{ "550 a\x1b[2J\x7f\r\n", 550, "", "a?[2J?" },
	{ "550 gr\xc3\xbcn\r\n", 550, "", "gr\xc3\xbcn" },
	{ "550 \xc3\r\n", 550, "", "?" },
	{ "550 \xe2\x80\xae" "abc\r\n", 550, "", "???abc" },
	{ "559 x\r\n", 559, "", "x" },
	{ "260 x\r\n", 260, "", "x" },
	{ "571 5.7.1 x\r\n", 571, "5.7.1", "x" },
	{ "499-x\r\n499 y\r\n", 499, "", "x y" },
	{ "100 x\r\n", 0, NULL, "a line without a reply code" },
	{ "600 x\r\n", 0, NULL, "a line without a reply code" },
	{ "2:0 x\r\n", 0, NULL, "a line without a reply code" },
	{ "25 x\r\n", 0, NULL, "a line without a reply code" },
	{ "25a x\r\n", 0, NULL, "a line without a reply code" },
	{ "2500 x\r\n", 0, NULL, "a line without a reply code" },
	{ "250\tx\r\n", 0, NULL, "a line without a reply code" },
	{ " 250 x\r\n", 0, NULL, "a line without a reply code" },
	{ "\r\n", 0, NULL, "a line without a reply code" },
	{ "250-x\r\n\r\n", 0, NULL, "a line without a reply code" },
	{ "SSH-2.0-x\r\n", 0, NULL, "a line without a reply code" },
	{ "250-x\r\n251 x\r\n", 0, NULL,
	    "a reply whose lines have different codes" },
	{ "250 x\n", 0, NULL, "an LF without CR" },
	{ "\n", 0, NULL, "an LF without CR" },
	{ "250 x\r\r\n", 0, NULL, "a CR without LF" },
	{ "250 x\ry\r\n", 0, NULL, "a CR without LF" },
};
#define NCASES	(sizeof(cases) / sizeof(cases[0]))

/* Give it all octets; return what the last ones made. */
static enum smtp_read
feed(struct smtp_reader *r, const char *buf, size_t len)
{
	enum smtp_read got = SMTP_READ_MORE;
	size_t used;

	for (; len > 0; buf += used, len -= used) {
		got = smtp_reader_next(r, buf, len, &used);
		cr_assert(used > 0 && used <= len);
		if (got == SMTP_READ_BAD)
			break;
	}
	return got;
}

static void
check(size_t i, size_t cut, size_t step)
{
	const char *in = cases[i].in;
	size_t len = strlen(in), at;
	struct smtp_reader r;
	enum smtp_read got = SMTP_READ_MORE;

	smtp_reader_init(&r);
	cr_assert(smtp_reader_is_empty(&r));
	for (at = 0; step > 0 && at < len && got != SMTP_READ_BAD; at++)
		got = feed(&r, in + at, 1);
	if (step == 0) {
		got = feed(&r, in, cut);
		if (got != SMTP_READ_BAD)
			got = feed(&r, in + cut, len - cut);
	}
	if (cases[i].code == 0) {
		cr_assert_eq(got, SMTP_READ_BAD, "case %zu: %d", i, (int)got);
		cr_assert_str_eq(smtp_reader_why(&r), cases[i].words);
		return;
	}
	cr_assert_eq(got, SMTP_READ_REPLY, "case %zu, cut %zu: %d", i, cut,
	    (int)got);
	cr_assert(smtp_reader_is_empty(&r));
	cr_assert_eq(r.reply.code, cases[i].code);
	cr_assert_str_eq(r.reply.enhanced, cases[i].enhanced);
	cr_assert_str_eq(r.reply.words, cases[i].words, "case %zu: %s", i,
	    r.reply.words);
}

Test(smtp_reply, any_fragments_give_the_same_replies)
{
	size_t i, cut;

	for (i = 0; i < NCASES; i++) {
		check(i, 0, 1);
		for (cut = 1; cut < strlen(cases[i].in); cut++)
			check(i, cut, 0);
	}
}

Test(smtp_reply, replies_follow_each_other)
{
	static const char in[] = "250-one\r\n250 two\r\n354 go\r\n";
	struct smtp_reader r;
	size_t used, at = 0;

	smtp_reader_init(&r);
	cr_assert_eq(smtp_reader_next(&r, in, strlen(in), &used),
	    SMTP_READ_LINE);
	at += used;
	cr_assert_not(smtp_reader_is_empty(&r));
	cr_assert_eq(smtp_reader_next(&r, in + at, strlen(in) - at, &used),
	    SMTP_READ_REPLY);
	at += used;
	cr_assert_str_eq(r.reply.words, "one two");
	cr_assert_eq(r.reply.nlines, 2);
	cr_assert_eq(smtp_reader_next(&r, in + at, strlen(in) - at, &used),
	    SMTP_READ_REPLY);
	cr_assert_eq(at + used, strlen(in));
	cr_assert_eq(r.reply.code, 354);
	cr_assert_eq(r.reply.nlines, 1);
}

Test(smtp_reply, text_of_a_line_is_what_was_sent)
{
	static const char in[] = "250-SIZE  1000 \r\n";
	struct smtp_reader r;
	size_t used, len;

	smtp_reader_init(&r);
	cr_assert_eq(smtp_reader_next(&r, in, strlen(in), &used),
	    SMTP_READ_LINE);
	cr_assert_str_eq(smtp_reader_text(&r, &len), "SIZE  1000 ");
	cr_assert_eq(len, strlen("SIZE  1000 "));
}

Test(smtp_reply, a_nul_is_refused)
{
	static const char in[] = "250 a\0b\r\n";
	struct smtp_reader r;

	smtp_reader_init(&r);
	cr_assert_eq(feed(&r, in, sizeof(in) - 1), SMTP_READ_BAD);
	cr_assert_str_eq(smtp_reader_why(&r), "a NUL");
}

/* The octets of the whole reply are counted, whether in one line or in many. */
Test(smtp_reply, a_reply_without_an_end_is_given_up)
{
	struct smtp_reader r;
	enum smtp_read got;
	size_t used, n;

	smtp_reader_init(&r);
	cr_assert_eq(smtp_reader_next(&r, "250 ", 4, &used), SMTP_READ_MORE);
	for (n = 4; (got = smtp_reader_next(&r, "x", 1, &used)) ==
	    SMTP_READ_MORE; n++)
		cr_assert(r.len <= LIM_CLIENT_LINE);
	cr_assert_eq(got, SMTP_READ_BAD);
	cr_assert_eq(n, LIM_CLIENT_REPLY);
	cr_assert(r.is_cut);
	smtp_reader_init(&r);
	for (n = 0; (got = feed(&r, "250-x\r\n", 7)) == SMTP_READ_LINE; n++)
		cr_assert(r.reply.nwords <= LIM_CLIENT_WORDS);
	cr_assert_eq(got, SMTP_READ_BAD);
	cr_assert_eq(n, LIM_CLIENT_REPLY / 7);
	cr_assert_str_eq(smtp_reader_why(&r), "a reply that is too long");
}

/* No character is cut in two. */
Test(smtp_reply, words_are_bounded)
{
	char line[1600] = "550 ";
	struct smtp_reader r;
	size_t i;

	for (i = 0; i < 500; i++)
		strcat(line, "\xe2\x82\xac");
	strcat(line, "\r\n");
	smtp_reader_init(&r);
	cr_assert_eq(feed(&r, line, strlen(line)), SMTP_READ_REPLY);
	cr_assert_eq(r.reply.nwords, LIM_CLIENT_WORDS / 3 * 3);
	cr_assert_eq(strlen(r.reply.words), r.reply.nwords);
}
