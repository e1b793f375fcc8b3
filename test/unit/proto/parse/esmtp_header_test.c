#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/parse/esmtp_header.h"

static const struct {
	const char	*in;
	unsigned int	 nreceived;
} cases[] = {
	{ "", 0 },
	{ "Received: x\r\n", 1 },
	{ "RECEIVED:x\r\nreceived:\r\n\r\n", 2 },
	{ "Received: a\r\n\tReceived: folded\r\nReceived: b\r\n", 2 },
	{ "X-Received: a\r\n", 0 },
	{ "Received : a\r\n", 0 },
	{ "Receive\r\nReceived", 0 },
	{ "A: b\r\n\r\nReceived: in the body\r\n", 0 },
	{ "\r\nReceived: in the body\r\n", 0 },
	{ "Received: a\nReceived: b\n\nReceived: c\n", 2 },
	{ "Re\rceived: a\r\n", 0 },
};

/* Read ${in} in pieces of which the first has ${cut} octets and the others
 * ${rest}; what stays is in ${out}. */
static size_t
run(struct esmtp_header *h, const char *in, size_t len, size_t cut,
    size_t rest, char *out)
{
	size_t at = 0, end = cut, used, n, total = 0, looks = 0;
	const char *piece;

	memset(h, 0, sizeof(*h));
	for (; at < len; end = at + rest < len ? at + rest : len) {
		/* of exactly that size, for AddressSanitizer */
		char *copy = malloc(end - at + 1);
		size_t i = 0, have = end - at;

		memcpy(copy, in + at, have);
		for (; i < have && !h->is_body; i += used) {
			used = esmtp_header_next(h, copy + i, have - i, &piece,
			    &n);
			memcpy(out + total, piece, n);
			total += n;
			cr_assert_lt(looks++, 3 * len + 3, "it goes on");
		}
		memcpy(out + total, copy + i, have - i);
		total += have - i;
		at = end;
		free(copy);
	}
	return total;
}

Test(esmtp_header, counts_received_fields_for_any_fragmentation)
{
	struct esmtp_header h;
	char out[200];
	size_t i, cut, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		for (cut = 0; cut <= len; cut++) {
			run(&h, cases[i].in, len, cut, len, out);
			cr_expect_eq(h.nreceived, cases[i].nreceived,
			    "case %zu at %zu: %u", i, cut, h.nreceived);
		}
	}
}

static const struct { const char *in; bool is_optional; } required[] = {
	{ "TLS-Required: No\r\n\r\n", true },
	{ "TLS-Required: No\r\n", true },
	{ "TLS-Required: No", true },
	{ "TLS-Required:No\n\n", true },
	{ "tls-required:\tnO \t\r\nSubject: x\r\n\r\n", true },
	{ "TLS-Required:\r\n No\r\n\r\n", true },
	{ "TLS-Required:\r\n \t\r\n\tNO\r\n \r\nA: b\r\n\r\n", true },
	{ "Subject: x\r\nTLS-Required: No\r\nA: b\r\n\r\n", true },
	{ "TLS-Required: No\r\nTLS-Required: No\r\n\r\n", true },
	{ "Return-Path: <x@y>\r\n z\r\nTLS-Required: No\r\n\r\n", true },
	{ "", false },
	{ "TLS-Required: Yes\r\n\r\n", false },
	{ "TLS-Required: None\r\n\r\n", false },
	{ "TLS-Required: N\r\n o\r\n\r\n", false },
	{ "TLS-Required: N o\r\n\r\n", false },
	{ "TLS-Required: No\r\n t\r\n\r\n", false },
	{ "TLS-Required: No, really\r\n\r\n", false },
	{ "TLS-Required:: No\r\n\r\n", false },
	{ "TLS-Required: No:\r\n\r\n", false },
	{ "TLS-Required:\r\n\r\nNo\r\n", false },
	{ "TLS-Required:\r\nNo: x\r\n\r\n", false },
	{ "TLS-Required No\r\n\r\n", false },
	{ "TLS-Requiredx: No\r\n\r\n", false },
	{ "TLS-Require: No\r\n\r\n", false },
	{ "TLS-Required : No\r\n\r\n", false },
	{ "X-TLS-Required: No\r\n\r\n", false },
	{ "A: b\r\n TLS-Required: No\r\n\r\n", false },
	{ "Return-Path: <x@y>\r\n TLS-Required: No\r\n\r\n", false },
	{ "\r\nTLS-Required: No\r\n", false },
	{ "no field\r\nTLS-Required: No\r\n\r\n", false },
};

/* RFC 8689 3 */
Test(esmtp_header, knows_tls_required_no_for_any_fragmentation)
{
	const char *piece;
	struct esmtp_header h;
	char out[200];
	size_t i, cut, len;

	for (i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		len = strlen(required[i].in);
		for (cut = 0; cut <= len; cut++) {
			run(&h, required[i].in, len, cut, cut == 0 ? 1 : len,
			    out);
			while (esmtp_header_end(&h, &piece) > 0)
				continue;
			cr_expect_eq(h.is_tls_optional,
			    required[i].is_optional, "case %zu at %zu", i,
			    cut);
		}
	}
}

#define RP	"Return-Path: <x@y.example>\r\n"

/* out NULL: as it is */
static const struct { const char *in, *out; } headers[] = {
	{ "Subject: x\r\n\r\nbody\r\n", NULL },
	{ "\r\nbody\r\n", NULL },
	{ "\nbody\n", NULL },
	{ "Subject: x\r\n", NULL },
	{ "A:\r\n", NULL },
	{ "A \t: b\r\n\r\n", NULL },
	{ "Subject: x\r\n folded\r\n\t\r\nB: c\r\n\r\n", NULL },
	/* later lines that are no field are the message's business */
	{ "A: b\r\nnot a field\r\nC: d\r\n\r\n", NULL },
	{ "A: b\r\nReturn-Path\r\nReturn-Path x: y\r\n\r\n", NULL },
	{ "A: b\r\nX-Return-Path: c\r\nReturn-Pathx: d\r\n\r\n", NULL },
	{ "A: b\r\n\r\n" RP, NULL },
	{ "A: b\r\n\tReturn-Path: folded\r\n\r\n", NULL },
	/* RFC 5321 4.4: there is one Return-Path, the server's */
	{ RP, "" },
	{ RP "\r\nbody", "\r\nbody" },
	{ RP "A: b\r\n\r\n" RP, "A: b\r\n\r\n" RP },
	{ "A: b\r\n" RP "C: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n" },
	{ "A: b\r\n" RP RP RP "\r\n", "A: b\r\n\r\n" },
	{ "A: b\r\nRETURN-path \t :\r\n\t<x>\r\n \r\nC: d\r\n",
	    "A: b\r\nC: d\r\n" },
	{ "A: b\nreturn-path:x\n y\nC: d\n\n", "A: b\nC: d\n\n" },
	{ "return-path:\r\nre: x\r\nr: y\r\n", "re: x\r\nr: y\r\n" },
	/* RFC 5322 2.2.3, 3.6.7: the first line is not for our field */
	{ " x\r\nA: b\r\n", "\r\n x\r\nA: b\r\n" },
	{ "\t\r\n", "\r\n\t\r\n" },
	{ " \n", "\r\n \n" },
	{ "From x Mon Jan  1 00:00:00 1990\r\nA: b\r\n",
	    "\r\nFrom x Mon Jan  1 00:00:00 1990\r\nA: b\r\n" },
	{ ": x\r\n", "\r\n: x\r\n" },
	{ "hello\r\n", "\r\nhello\r\n" },
	{ "Return-Path\r\n" RP, "\r\nReturn-Path\r\n" RP },
	{ "gr\xc3\xbcn: x\r\n", "\r\ngr\xc3\xbcn: x\r\n" },
	{ "\rA: b\r\n", "\r\n\rA: b\r\n" },
	{ "\r\r\nA: b\r\n", "\r\n\r\r\nA: b\r\n" },
	{ "A\x7f: b\r\n", "\r\nA\x7f: b\r\n" },
	{ RP "\tfold\r\nnot a field\r\n" RP, "\r\nnot a field\r\n" RP },
};

Test(esmtp_header, keeps_what_belongs_to_the_message_for_any_fragmentation)
{
	struct esmtp_header h;
	const char *in, *want;
	char out[300];
	size_t i, cut, rest, len, n;

	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		in = headers[i].in;
		want = headers[i].out != NULL ? headers[i].out : in;
		len = strlen(in);
		for (cut = 0; cut <= len; cut++)
			for (rest = 1; rest <= len; rest += len - 1) {
				n = run(&h, in, len, cut, rest, out);
				cr_expect(n == strlen(want) &&
				    memcmp(out, want, n) == 0,
				    "%s: at %zu, by %zu: %.*s", in, cut, rest,
				    (int)n, out);
			}
	}
}

static const struct {
	const char	*in;
	bool		 has_field, has_bad;
} judged[] = {
	{ "", false, false },
	{ "\r\n", false, false },
	{ "\r\nA: b\r\n", false, false },
	{ "hello\r\nA: b\r\n", false, true },
	{ " A: b\r\n", false, true },
	{ "hello", false, true },
	{ "A: b\r\n", true, false },
	{ "A: b", true, false },
	{ "A \t: b\r\n\r\nhello\r\n", true, false },
	{ "A: b\r\n c\r\n\t\r\nB: d\r\n\r\n", true, false },
	{ RP "A: b\r\n\r\n", true, false },
	{ RP " more\r\n\r\nhello", true, false },
	{ "A: b\r\nhello\r\nC: d\r\n\r\n", true, true },
	{ "A: b\r\nhello there: x\r\n\r\n", true, true },
	{ "A: b\r\nC\r: d\r\n\r\n", true, true },
	{ "A: b\r\n: d\r\n\r\n", true, true },
	{ "A: b\r\nx\xff: d\r\n\r\n", true, true },
	{ "A: b\r\nhello", true, true },
};

/* RFC 5322 2.2 */
Test(esmtp_header, tells_fields_from_other_lines_for_any_fragmentation)
{
	struct esmtp_header h, from = { .is_checked = true };
	const char *in, *piece;
	size_t i, cut, at, n, used, len, end;

	for (i = 0; i < sizeof(judged) / sizeof(judged[0]); i++) {
		in = judged[i].in;
		len = strlen(in);
		for (cut = 0; cut <= len; cut++) {
			h = from;
			for (at = 0; at < len && !h.is_body; at += used) {
				end = at < cut ? cut : len;
				used = esmtp_header_next(&h, in + at, end - at,
				    &piece, &n);
			}
			while (!h.is_body && esmtp_header_end(&h, &piece) > 0)
				;
			cr_expect_eq(h.has_field, judged[i].has_field,
			    "%s at %zu", in, cut);
			cr_expect_eq(h.has_bad, judged[i].has_bad,
			    "%s at %zu", in, cut);
		}
	}
}

Test(esmtp_header, a_name_of_any_length_ends)
{
	char in[2 * ESMTP_HEADER_NAME], out[sizeof(in) + 2];
	struct esmtp_header h;
	size_t n, cut, got;
	bool is_field;

	for (n = 1; n + 3 < sizeof(in); n++) {
		memset(in, 'n', n);
		memcpy(in + n, ":\r\n", 3);
		is_field = n < ESMTP_HEADER_NAME;
		for (cut = 0; cut <= n + 3; cut++) {
			got = run(&h, in, n + 3, cut, n + 3, out);
			cr_assert_eq(got, n + 3 + (is_field ? 0 : 2), "%zu", n);
			cr_assert_eq(memcmp(out + got - n - 3, in, n + 3), 0);
		}
		/* a Return-Path with any white space before its colon goes */
		memset(in, ' ', n);
		memcpy(in, "A:\r\nReturn-Path", n < 15 ? 4 : 15);
		if (n >= 15) {
			got = run(&h, in, n + 3, n, 1, out);
			cr_assert_eq(got, 4, "%zu", n);
		}
	}
}

/* Messages that end within a line, which those of DATA never do. */
static const struct { const char *in, *out; } unended[] = {
	{ "", NULL },
	{ "A: b", NULL },
	{ "A: b\r\n", NULL },
	{ "A: b\r", NULL },
	{ "A: b\r\nSubj", NULL },
	{ "A: b\r\nReturn-Path", NULL },
	{ "A: b\r\nReturn-Path \t", NULL },
	{ "A: b\r\n\r", NULL },
	{ "A: b\r\n\r\nbody", NULL },
	{ "A: b\r\nReturn-Path:", "A: b\r\n" },
	{ "A: b\r\nReturn-Path: <x>", "A: b\r\n" },
	{ "Return-Path: <x>\r\nSubj", "\r\nSubj" },
	{ "Subj", "\r\nSubj" },
	{ "Return-Path", "\r\nReturn-Path" },
	{ "\r", "\r\n\r" },
	{ " x", "\r\n x" },
};

Test(esmtp_header, what_is_held_back_of_an_unended_line_is_given_at_the_end)
{
	struct esmtp_header h;
	const char *in, *want, *piece;
	char out[100];
	size_t i, cut, rest, len, n, m, pieces;

	for (i = 0; i < sizeof(unended) / sizeof(unended[0]); i++) {
		in = unended[i].in;
		want = unended[i].out != NULL ? unended[i].out : in;
		len = strlen(in);
		for (cut = 0; cut <= len; cut++)
			for (rest = 1; rest <= len; rest++) {
				n = run(&h, in, len, cut, rest, out);
				for (pieces = 0; (m = esmtp_header_end(&h,
				    &piece)) > 0; n += m) {
					cr_assert_lt(pieces++, 2);
					memcpy(out + n, piece, m);
				}
				cr_expect(n == strlen(want) &&
				    memcmp(out, want, n) == 0,
				    "%s: at %zu, by %zu: %.*s", in, cut, rest,
				    (int)n, out);
			}
	}
}

/* Where fields can be added: a bar, and before it a tilde where the last line has no
 * end. */
static const struct { const char *in, *out; } marked[] = {
	{ "", "|" },
	{ "A: b\r\n", "A: b\r\n|" },
	{ "A: b\r\n\r\nbody\r\n\r\n", "A: b\r\n|\r\nbody\r\n\r\n" },
	{ "A: b\r\n c\r\nD: e\r\n\r\n", "A: b\r\n c\r\nD: e\r\n|\r\n" },
	{ "A: b\n\nbody", "A: b\n|\nbody" },
	{ "\r\nbody\r\n", "|\r\nbody\r\n" },
	{ "\nbody\n", "|\nbody\n" },
	{ "body\r\n", "|\r\nbody\r\n" },
	{ " body\r\n", "|\r\n body\r\n" },
	{ "body", "|\r\nbody" },
	{ "A: b\r\nC", "A: b\r\nC~|" },
	{ "A: b", "A: b~|" },
	{ "A: b\r\nRe\r\n\r\n", "A: b\r\nRe\r\n|\r\n" },
	{ "A: b\r\n\rC: d\r\n\r\n", "A: b\r\n\rC: d\r\n|\r\n" },
	{ RP, "|" },
	{ RP "\r\nbody", "|\r\nbody" },
	{ RP "body", "|\r\nbody" },
	{ "A: b\r\n" RP, "A: b\r\n|" },
	{ "A: b\r\n" RP "\r\n", "A: b\r\n|\r\n" },
	{ "A: b\r\nReturn-Path: <x>", "A: b\r\n|" },
};

static size_t
mark(const struct esmtp_header *h, bool *is_marked, char *out, size_t n)
{
	if (h->is_end && !*is_marked) {
		*is_marked = true;
		out[n++] = '|';
	}
	return n;
}

static size_t
run_marked(const char *in, size_t len, size_t cut, size_t rest, char *out)
{
	struct esmtp_header h = { .marks_end = true };
	size_t at = 0, end = cut, i, used, n = 0, m;
	bool is_marked = false;
	const char *piece;

	for (; at < len; at = end, end = at + rest < len ? at + rest : len)
		for (i = at; i < end; i += used) {
			if (h.is_body) {
				out[n++] = in[i];
				used = 1;
				continue;
			}
			used = esmtp_header_next(&h, in + i, end - i, &piece,
			    &m);
			n = mark(&h, &is_marked, out, n);
			memcpy(out + n, piece, m);
			n += m;
		}
	while ((m = esmtp_header_end(&h, &piece)) > 0) {
		n = mark(&h, &is_marked, out, n);
		memcpy(out + n, piece, m);
		n += m;
	}
	if (!is_marked && esmtp_header_is_in_line(&h))
		out[n++] = '~';
	if (!is_marked)
		out[n++] = '|';
	out[n] = '\0';
	return n;
}

Test(esmtp_header, its_end_is_marked_for_any_fragmentation)
{
	size_t i, cut, rest, len;
	char out[300];

	for (i = 0; i < sizeof(marked) / sizeof(marked[0]); i++) {
		len = strlen(marked[i].in);
		for (cut = 0; cut <= len; cut++)
			for (rest = 1; rest <= len + 1; rest++) {
				run_marked(marked[i].in, len, cut, rest, out);
				cr_expect_str_eq(out, marked[i].out,
				    "%s: at %zu, by %zu: %s", marked[i].in,
				    cut, rest, out);
			}
	}
}
