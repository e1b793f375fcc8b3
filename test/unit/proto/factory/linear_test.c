/* Every reader of input looks at each octet a bounded number of times, whatever
 * a client sends and however it is cut into packets.  Counted are the octets
 * that memchr() looks at: nothing else searches in input. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/options/options.h"
#include "proto/parse/esmtp_data.h"
#include "proto/parse/esmtp_header.h"
#include "proto/parse/proxyhdr.h"
#include "test/unit/proto/server/fake.h"

/* Of the linker's --wrap. */
void *__real_memchr(const void *s, int c, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n);

static _Thread_local size_t nlooked;

void *
__wrap_memchr(const void *s, int c, size_t n)
{
	const char *p = __real_memchr(s, c, n);

	nlooked += p != NULL ? (size_t)(p - (const char *)s) + 1 : n;
	return (void *)(uintptr_t)p;
}

static const size_t pieces[] = { 1, 2, 3, 7, 31, 64, 1000, 12288, 65536 };

#define NPIECES	(sizeof(pieces) / sizeof(pieces[0]))
#define OCTETS	((size_t)65536)

static const char *const repeated[] = { "\n", "\r", "x\r", "x\n", "\r\n",
	"\n\r", "\r\r\n", ".", "..\r\n", ".\r", "\r\n.x", ".\n", "x",
	"\r\n.\n", "a line of text as they usually are\r\n" };

#define NREPEATED	(sizeof(repeated) / sizeof(repeated[0]))

/* ${len} octets of ${s}, again and again. */
static char *
fill(const char *s, size_t len)
{
	char *buf = malloc(len);
	size_t i, n = strlen(s);

	cr_assert_not_null(buf);
	for (i = 0; i < len; i++)
		buf[i] = s[i % n];
	return buf;
}

static void
read_body(const char *buf, size_t len, size_t piece, int policy)
{
	struct esmtp_header h = { .is_body = false };
	struct esmtp_data d;
	const char *slice, *stays;
	size_t at, used, n, left, m, done;

	esmtp_data_init(&d, policy);
	for (at = 0; at < len && !d.is_end; at += used) {
		/* what is left of the packet */
		left = piece - at % piece;
		if (left > len - at)
			left = len - at;
		used = esmtp_data_next(&d, buf + at, left, &slice, &n);
		for (done = 0; done < n && !h.is_body;)
			done += esmtp_header_next(&h, slice + done, n - done,
			    &stays, &m);
	}
}

/* A window of find_line_octet() twice, and once more for the header. */
Test(linear, message_data_in_each_mode)
{
	int policy;
	size_t i, k;

	for (i = 0; i < NREPEATED; i++) {
		char *buf = fill(repeated[i], OCTETS);

		for (policy = ESMTP_LF_IGNORE; policy <= ESMTP_LF_FIX; policy++)
			for (k = 0; k < NPIECES; k++) {
				nlooked = 0;
				read_body(buf, OCTETS, pieces[k], policy);
				cr_expect_leq(nlooked, 66 * OCTETS,
				    "input %zu, mode %d, pieces of %zu: %zu",
				    i, policy, pieces[k], nlooked);
			}
		free(buf);
	}
}

static void
say(struct fake *f, const char *buf, size_t len, size_t piece)
{
	size_t at, n;

	/* 1000: the replies to them fit in struct fake */
	if (piece > 1000)
		piece = 1000;
	for (at = 0; at < len && !fake_is_ended(f); at += n) {
		n = len - at < piece ? len - at : piece;
		fake_say_n(f, buf + at, n);
	}
}

/* One line of commands or of an exchange of AUTH, that ends or does not. */
static void
check_line(const char *first, const char *s, size_t len)
{
	size_t k;

	for (k = 0; k < NPIECES; k++) {
		struct fake *f = fake_new();
		char *buf = fill(s, len);

		fake_option(f, "Auth_Backend", "passwd:users", NULL);
		fake_option(f, "Auth_Without_TLS", "true", NULL);
		fake_option(f, "Max_Errors", "0", NULL);
		fake_connect(f);
		fake_say(f, "EHLO client.example\r\n");
		memcpy(buf, first, strlen(first));
		nlooked = 0;
		say(f, buf, len, pieces[k]);
		cr_expect_leq(nlooked, 8 * len, "%s, pieces of %zu: %zu of %zu",
		    first, pieces[k], nlooked, len);
		free(buf);
		fake_end(f);
	}
}

Test(linear, command_lines)
{
	check_line("NOOP ", "x", 2040);
	check_line("   ", " ", 2040);
	check_line("NOOP ", "x", 6000);
	check_line("", "NOOP\r\n", 6000);
	check_line("", "\n", 6000);
	check_line("", "\r", 6000);
	check_line("x", "\r\n", 6000);
	check_line("RSET\r\n", ".", 6000);
}

/* Addresses, their labels, and words that look like parameters */
Test(linear, addresses_in_utf8)
{
	check_line("MAIL FROM:<", "\xc3\xbc", 6000);
	check_line("MAIL FROM:<", "\xc3\xbc.", 6000);
	check_line("MAIL FROM:<a@", "\xc3\xbc.", 6000);
	check_line("", "MAIL FROM:<\xc3\xbc@\xc3\xbc.\xc3\xbc> SMTPUTF8\r\n", 6000);
	check_line("MAIL FROM:<\xc3\xbc>", " SMTPUTF", 4000);
	check_line("MAIL FROM:<\xc3\xbc", ">", 4000);
	check_line("VRFY \xc3\xbc", " SMTPUTF8", 4000);
	check_line("VRFY \xc3\xbc", " ", 4000);
}

Test(linear, lines_of_auth)
{
	check_line("AUTH PLAIN ", "x", 12000);
	check_line("AUTH PLAIN\r\n", "x", 12000);
	check_line("AUTH LOGIN\r\n", "\n", 6000);
	check_line("AUTH LOGIN\r\n", "x\r\n", 6000);
}

static void
begin_message(struct fake *f)
{
	fake_say(f, "EHLO client.example\r\n");
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n");
	cr_assert_str_eq(f->reply,
	    "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n");
}

/* A chunk, whose end is a number of octets, through the same reader. */
Test(linear, chunks_in_each_mode)
{
	static const struct { const char *option, *value; } modes[] = {
		{ "RFC2822_Lone_LF_In_Body", "ignore" },
		{ "RFC2822_Lone_LF_In_Body", "pedantic" },
		{ "RFC2822_Lone_LF_In_Body", "fix" },
		{ "RFC2822_Lone_LF_In_Headers", "fix" },
		{ "RFC2822_Malformed_Headers", "reject" },
		{ "RFC2822_Max_Line_Length", "pedantic" },
		{ "RFC2822_Max_Line_Length", "fix" },
	};
	const size_t len = 4096;
	size_t i, k, mode;

	for (i = 0; i < NREPEATED; i++) {
		char *buf = fill(repeated[i], len);

		for (mode = 0; mode < sizeof(modes) / sizeof(modes[0]);
		    mode++)
			for (k = 0; pieces[k] <= 1000; k++) {
				struct fake *f = fake_new();

				fake_option(f, modes[mode].option,
				    modes[mode].value, NULL);
				fake_connect(f);
				begin_message(f);
				fake_say(f, "BDAT 4096 LAST\r\n");
				nlooked = 0;
				say(f, buf, len, pieces[k]);
				cr_expect_neq(f->reply[0], '\0',
				    "the chunk has not ended");
				cr_expect_leq(nlooked, 66 * len,
				    "input %zu, mode %zu, pieces of %zu: %zu",
				    i, mode, pieces[k], nlooked);
				fake_end(f);
			}
		free(buf);
	}
}

Test(linear, many_chunks)
{
	static const char chunk[] = "BDAT 3\r\nx\r\n";
	const size_t len = 500 * (sizeof(chunk) - 1);
	char *buf = fill(chunk, len);
	size_t k;

	for (k = 0; pieces[k] <= 1000; k++) {
		struct fake *f = fake_start();

		begin_message(f);
		nlooked = 0;
		say(f, buf, len, pieces[k]);
		cr_expect_eq(memcmp(f->reply, "250", 3), 0, "%s", f->reply);
		cr_expect_leq(nlooked, 16 * len, "pieces of %zu: %zu",
		    pieces[k], nlooked);
		fake_end(f);
	}
	free(buf);
}

static int
read_on(message_construct *, const char *, size_t, void *)
{
	return ESMTP_VERB_MORE;
}

static int
begin_reading(char *arg, Event *, message_construct *mc, void *)
{
	cr_assert_eq(*arg == 'L' ?
	    esmtp_verb_read_lines(mc, 2000, 1 << 20, read_on, NULL) :
	    esmtp_verb_read_octets(mc, 1 << 20, read_on, NULL), 0);
	return ESMTP_VERB_MORE;
}

/* What a verb of the program reads. */
Test(linear, lines_and_octets_of_a_verb)
{
	cr_assert_eq(esmtp_extensions_register("XREAD", NULL, begin_reading,
	    NULL), 1);
	check_line("XREAD L\r\n", "x", 6000);
	check_line("XREAD L\r\n", "\r", 6000);
	check_line("XREAD L\r\n", "\r\n", 6000);
	check_line("XREAD L\r\n", "a line of text\r\n", 6000);
	check_line("XREAD O\r\n", "\n", 6000);
	check_line("XREAD O\r\n", "x", 6000);
}

/* Each piece that is missing is at least one octet, and a line has at most
 * PROXYHDR_V1_MAX. */
Test(linear, proxy_headers)
{
	static const char v2[16] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\x00";
	char line[PROXYHDR_V1_MAX + 1], buf[sizeof(v2) + 0x0f00] = { 0 };
	const char *why;
	size_t n, len;

	len = (size_t)snprintf(line, sizeof(line), "PROXY TCP6 %s %s 65535 "
	    "65535\r\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	nlooked = 0;
	for (n = 1; n < len; n++)
		cr_expect_gt(proxyhdr_missing(line, n, &why), 0);
	cr_expect_leq(nlooked, len * PROXYHDR_V1_MAX);
	memcpy(buf, v2, sizeof(v2));
	nlooked = 0;
	for (n = 1; n < sizeof(buf); n++)
		cr_expect_gt(proxyhdr_missing(buf, n, &why), 0);
	cr_expect_eq(proxyhdr_missing(buf, n, &why), 0);
	cr_expect_leq(nlooked, sizeof(buf));
}
