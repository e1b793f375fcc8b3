#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proto/parse/esmtp_fields.h"

/* The addresses of a header, each with a letter before it: F, it is in From; A, it
 * is not; L, it is cut. */
static const struct {
	const char	*in, *out;
	bool		 has_date, has_message_id;
} cases[] = {
	{ "", "", false, false },
	{ "Subject: a@b.c\r\n", "", false, false },
	{ "From: a@b.c\r\n", "Fa@b.c ", false, false },
	{ "From:a@b.c", "Fa@b.c ", false, false },
	{ "FROM \t: a@b.c\n", "Fa@b.c ", false, false },
	{ "From x: a@b.c\r\n", "", false, false },
	{ "X-From: a@b.c\r\nFro: a@b.c\r\nFromm: a@b.c\r\n", "", false, false },
	{ " From: a@b.c\r\n", "", false, false },
	{ "Subject: x\r\n From: a@b.c\r\n", "", false, false },
	{ "Sender: a\r\nReply-To: b\r\nTo: c\r\nCc: d\r\nBcc: e\r\n",
	    "Aa Ab Ac Ad Ae ", false, false },
	{ "Resent-From: a\r\nResent-Sender: b\r\nResent-Reply-To: c\r\n"
	    "Resent-To: d\r\nResent-Cc: e\r\nResent-Bcc: f\r\n",
	    "Aa Ab Ac Ad Ae Af ", false, false },
	{ "Date: x\r\n", "", true, false },
	{ "message-ID: x\r\n", "", false, true },
	{ "Date: x\r\nFrom: a\r\nMessage-Id:\r\n", "Fa ", true, true },
	{ "Resent-Date: x\r\nResent-Message-ID: y\r\n", "", false, false },
	{ "To: a@b, c@d,, e@f\r\n", "Aa@b Ac@d Ae@f ", false, false },
	{ "To: a @ b . c\r\n", "Aa@b.c ", false, false },
	{ "To: a (x) . b (@)\r\n @(y)c\r\n", "Aa.b@c ", false, false },
	{ "To: a b@c d, <e(x)f@g>\r\n", "Aa b@c d Ae f@g ", false, false },
	{ "To: a@b,\r\n\tc@d\r\nTo: e@f\r\n", "Aa@b Ac@d Ae@f ", false, false },
	{ "To: A B <a@b>, \"C, D <x@y>\" <c@d> e, <f@g>\r\n",
	    "Aa@b Ac@d Af@g ", false, false },
	{ "To: a@b (c, <d@e> \\) (f) ;), g@h\r\n", "Aa@b Ag@h ", false, false },
	{ "To: <a@b (<c@d>)>\r\n", "Aa@b ", false, false },
	{ "To: \"a, \\\" b\"@c\r\n", "A\"a, \\\" b\"@c ", false, false },
	{ "To: \"a\r\n b\"@c\r\n", "A\"a b\"@c ", false, false },
	{ "To: a@[1, 2], b@[IPv6:::1]\r\n", "Aa@[1, 2] Ab@[IPv6:::1] ", false,
	    false },
	{ "To: Group: a@b, C <c@d>;, e@f\r\n", "Aa@b Ac@d Ae@f ", false,
	    false },
	{ "To: nobody:;\r\nCc: (x)\r\nBcc:\r\n", "", false, false },
	{ "To: <@a.b,@c.d:e@f>, <>\r\n", "Ae@f ", false, false },
	{ "To: John Doe\r\n", "AJohn Doe ", false, false },
	/* what is open at the end of a field is closed there */
	{ "To: \"a@b\r\nTo: <c@d\r\nTo: (e@f\r\nTo: g@h\r\n",
	    "A\"a@b Ac@d Ag@h ", false, false },
	{ "To: a@b> c, d@e\r\n", "Aa@b> c Ad@e ", false, false },
	{ "not a field\r\nTo: a@b\r\n", "Aa@b ", false, false },
	{ ": To: a@b\r\n", "", false, false },
	{ "To", "", false, false },
	{ "To\r\n: a@b\r\n", "", false, false },
	{ "T\r\no: a@b\r\n", "", false, false },
};

static void
note(const struct esmtp_fields *f, char *out)
{
	size_t n = strlen(out);

	cr_assert_eq(strlen(f->addr), f->len);
	out[n++] = f->is_too_long ? 'L' : f->is_from ? 'F' : 'A';
	strcpy(out + n, f->addr);
	strcat(out, " ");
}

static void
run(struct esmtp_fields *f, const char *in, size_t cut, size_t rest, char *out)
{
	size_t len = strlen(in), at = 0, end = cut, i, looks = 0;
	bool is_found;
	char *copy;

	memset(f, 0, sizeof(*f));
	out[0] = '\0';
	for (; at < len; end = at + rest < len ? at + rest : len) {
		/* of exactly that size, for AddressSanitizer */
		copy = malloc(end - at + 1);
		memcpy(copy, in + at, end - at);
		for (i = 0; i < end - at;) {
			i += esmtp_fields_next(f, copy + i, end - at - i,
			    &is_found);
			if (is_found)
				note(f, out);
			cr_assert_lt(looks++, 3 * len + 3, "it goes on");
		}
		at = end;
		free(copy);
	}
	if (esmtp_fields_end(f))
		note(f, out);
	cr_expect_not(esmtp_fields_end(f));
}

Test(esmtp_fields, are_found_for_any_fragmentation)
{
	struct esmtp_fields f;
	char out[300];
	size_t i, cut, rest, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		for (cut = 0; cut <= len; cut++)
			for (rest = 1; rest <= len; rest += len - 1) {
				run(&f, cases[i].in, cut, rest, out);
				cr_expect_str_eq(out, cases[i].out,
				    "%s: at %zu, by %zu: %s", cases[i].in, cut,
				    rest, out);
				cr_expect_eq(f.has_date, cases[i].has_date,
				    "%s", cases[i].in);
				cr_expect_eq(f.has_message_id,
				    cases[i].has_message_id, "%s",
				    cases[i].in);
				if (len <= 2)
					break;
			}
	}
}

/* Names of any length before an address, and addresses of any length. */
Test(esmtp_fields, an_address_that_is_too_long_is_known_to_be_cut)
{
	static const struct { const char *before, *behind; } forms[] = {
		{ "To: ", "\r\n" }, { "To: a <", ">\r\n" },
		{ "To: ", " <a@b>\r\n" }, { "To: (", ") a@b\r\n" },
		{ "", ": a@b\r\n" },
	};
	char in[700], out[700], text[600];
	struct esmtp_fields f;
	size_t i, n;

	for (n = 1; n < sizeof(text); n++) {
		memset(text, 'x', n);
		text[n] = '\0';
		for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
			snprintf(in, sizeof(in), "%s%s%s", forms[i].before,
			    text, forms[i].behind);
			run(&f, in, strlen(in), 1, out);
			if (i < 2) {
				cr_expect_eq(out[0], n > LIM_PATH + 1 ? 'L' :
				    'A', "%zu", n);
				cr_expect_eq(strlen(out), 2 + (n > LIM_PATH + 1
				    ? LIM_PATH + 1 : n), "%zu", n);
			} else
				cr_expect_str_eq(out, i < 4 ? "Aa@b " : "",
				    "%zu: %s", n, out);
		}
	}
}

/* Any octets: nothing is read twice without end, and no address is longer than its
 * place. */
Test(esmtp_fields, any_octets)
{
	static const char some[] = "To:From\r\n \t,;<>()[]\"\\@.a";
	char in[64], out[256];
	struct esmtp_fields f;
	unsigned int n, state = 1;
	size_t i;

	for (n = 0; n < 20000; n++) {
		memcpy(in, "To:", 3);
		for (i = 3; i < sizeof(in) - 1; i++) {
			state = state * 1103515245 + 12345;
			in[i] = some[(state >> 16) % (sizeof(some) - 1)];
		}
		in[i] = '\0';
		run(&f, in, n % sizeof(in) < strlen(in) ? n % sizeof(in) : 1, 7,
		    out);
	}
}

Test(esmtp_fields, a_qualified_domain_has_a_dot_or_is_a_literal)
{
	static const struct { const char *addr; bool is; } rows[] = {
		{ "a@b.c", true }, { "a@[::1]", true }, { "a@b@c.d", true },
		{ "\"a@b.c\"@d.e", true },
		{ "", false }, { "a", false }, { "a.b", false }, { "a@", false },
		{ "a@b", false }, { "a@b.", false }, { "a@.b", false },
		{ "a.b@c", false }, { "a@.", false }, { "@", false },
		{ "a@b.c@d", false }, { "a@b.c@", false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(esmtp_fields_is_qualified(rows[i].addr,
		    strlen(rows[i].addr)), rows[i].is, "%s", rows[i].addr);
}
