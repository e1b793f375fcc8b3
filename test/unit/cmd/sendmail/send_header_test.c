#include "cmd/sendmail/send_header.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ADDED	"From: f@h\r\nDate: d\r\nMessage-ID: <m>\r\n\r\n"
#define ALL	"From: a@b\r\nDate: now\r\nMessage-ID: <i>\r\n"

/* --- where it ends --------------------------------------------------------------- */

static void
find(const char *s, size_t header, size_t body)
{
	size_t len = strlen(s), at, found, n;
	bool is_found;
	char *copy;

	/* whole, and a piece at a time */
	for (n = 1; n <= len + 1; n += n < 8 ? 1 : len) {
		at = 0;
		is_found = false;
		for (found = 0; !is_found && found < len; ) {
			found = found + n < len ? found + n : len;
			copy = malloc(found);
			memcpy(copy, s, found);
			is_found = send_header_find(copy, found, &at,
			    found == len, &body);
			free(copy);
		}
		cr_expect(is_found || len == 0, "%s", s);
		cr_expect_eq(at, header, "%s: %zu", s, at);
	}
}

static void
ends(const char *s, size_t header, size_t body)
{
	size_t at = 0, body_is = 0;

	find(s, header, body);
	cr_expect(send_header_find(s, strlen(s), &at, true, &body_is));
	cr_expect(at == header && body_is == body, "%s: %zu, %zu", s, at,
	    body_is);
}

Test(send_header, it_ends_at_an_empty_line_or_where_no_field_is)
{
	ends("A: b\r\n\r\nbody\r\n", 6, 8);
	ends("A: b\r\nB:c\r\n", 11, 11);
	ends("hello\r\n", 0, 0);
	ends("\r\nhello\r\n", 0, 2);
	ends("A: b\r\nhello world\r\n", 6, 6);
	ends("A: b\r\n c\r\n\td\r\n\r\n", 14, 16);
	ends(" A: b\r\n", 0, 0);
	ends("A : b\r\n\r\n", 7, 9);
	ends("A b: c\r\n", 0, 0);
	ends("A\r\n", 0, 0);
	ends(": x\r\n", 0, 0);
	ends("From a@b Mon Jan  1\r\nA: b\r\n\r\n", 27, 29);
	ends(">From a@b Mon Jan  1\r\nA: b\r\n\r\n", 28, 30);
	ends("A: b\r\nFrom a@b Mon\r\n", 6, 6);
	ends("From : a@b\r\n\r\n", 12, 14);
	ends("", 0, 0);
	ends("https://example.org/\r\n", 22, 22);
	ends("A\xc3: b\r\n", 0, 0);
}

Test(send_header, a_long_line_that_is_no_field_ends_it_before_its_end)
{
	char s[4000];
	size_t at = 0, body;

	memset(s, 'x', sizeof(s));
	cr_expect_not(send_header_find(s, sizeof(s), &at, false, &body));
	s[100] = ' ';
	cr_expect(send_header_find(s, sizeof(s), &at, false, &body));
	cr_expect(at == 0 && body == 0);
}

/* --- its fields -------------------------------------------------------------------- */

/* The header that ${s} becomes; the recipients in ${rcpts}, or "!" and what is bad */
static char *
make(const char *s, bool takes_rcpts, char rcpts[512])
{
	const struct send_header_want want = { takes_rcpts, "h.test", "f@h",
		"d", "<m>" };
	struct send_list list = { .v = NULL };
	char bad[SEND_ADDRESS_MAX], *text;
	size_t len = strlen(s), i, n = 0;
	FILE *out = open_memstream(&text, &len);
	int rc;

	rc = send_header_make(s, strlen(s), &want, out, &list, bad);
	cr_assert_eq(fclose(out), 0);
	*rcpts = '\0';
	if (rc == -1)
		snprintf(rcpts, 512, "!%.500s", bad);
	for (i = 0; i < list.n; i++)
		n += (size_t)snprintf(rcpts + n, 512 - n, "%s ", list.v[i]);
	send_list_free(&list);
	return text;
}

Test(send_header, bcc_is_taken_out_and_what_is_missing_is_added)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "", ADDED },
		{ "Subject: x\r\n", "Subject: x\r\n" ADDED },
		{ ALL, ALL "\r\n" },
		{ "fRoM : a@b\r\ndate:x\r\nmessage-id:y\r\n",
			"fRoM : a@b\r\ndate:x\r\nmessage-id:y\r\n\r\n" },
		{ ALL "Bcc: x@y\r\nTo: z@y\r\n", ALL "To: z@y\r\n\r\n" },
		{ ALL "bcc : x@y,\r\n z@y,\r\n\tw@y\r\n", ALL "\r\n" },
		{ ALL "Resent-BCC: x\r\nX: y\r\n", ALL "X: y\r\n\r\n" },
		{ ALL "Bccx: y\r\nX-Bcc: y\r\n", ALL
			"Bccx: y\r\nX-Bcc: y\r\n\r\n" },
		{ "From a@b Mon\r\n" ALL, ALL "\r\n" },
		{ ">From a@b Mon\r\n x\r\n" ALL, ALL "\r\n" },
		{ "From : a@b\r\nDate: x\r\nMessage-ID: y\r\n",
			"From : a@b\r\nDate: x\r\nMessage-ID: y\r\n\r\n" }
	};
	char rcpts[512], *text;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text = make(cases[i].in, false, rcpts);
		cr_expect_str_eq(text, cases[i].want, "%s", cases[i].in);
		cr_expect_str_eq(rcpts, "");
		free(text);
	}
}

Test(send_header, recipients_are_those_of_to_cc_and_bcc_or_of_resent)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "To: a@x.test\r\nCc: b@x.test\r\nBcc: c@x.test\r\n",
			"a@x.test b@x.test c@x.test " },
		{ "tO: a\r\n", "a@h.test " },
		{ "To : a\r\n", "a@h.test " },
		{ "To: A <a@x.test>,\r\n \"B, C\" <b@x.test>\r\n\t, c@x.test\r\n",
			"a@x.test b@x.test c@x.test " },
		{ "To: (a@no.test) b@x.test (c, d@no.test)\r\n", "b@x.test " },
		{ "To: (a (b@no.test) c) d@x.test\r\n", "d@x.test " },
		{ "To: friends: a@x.test, B <b@x.test>; , c@x.test\r\n",
			"a@x.test b@x.test c@x.test " },
		{ "To: undisclosed-recipients:;\r\nBcc: a\r\n", "a@h.test " },
		{ "To: =?UTF-8?B?w6Q=?= <a@x.test>\r\n", "a@x.test " },
		{ "To: \"a,\\\"b\" <a@x.test>\r\n", "a@x.test " },
		{ "To: \"a b\"@x.test\r\n", "\"a b\"@x.test " },
		{ "To: a . b @ x . test\r\n", "a.b@x.test " },
		{ "To: \xe4\xf6 <a@x.test>\r\n", "a@x.test " },
		{ "To: <@r.test,@s.test:a@x.test>\r\n", "a@x.test " },
		{ "To:\r\n a@x.test\r\n", "a@x.test " },
		{ "To:\r\nCc: ,,\r\nBcc: <>\r\n", "" },
		{ "From: no@x.test\r\nReply-To: no@x.test\r\nSender: no\r\n"
			"X-To: no\r\nApparently-To: no\r\n", "" },
		{ "Subject: x\r\n To: no@x.test\r\nTo: a\r\n", "a@h.test " },
		{ "To: no@x.test\r\nResent-To: a@x.test\r\nBcc: no@x.test\r\n"
			"Resent-Cc: b@x.test\r\nResent-Bcc: c@x.test\r\n",
			"a@x.test b@x.test c@x.test " },
		{ "To: no@x.test\r\nResent-From: b@x.test\r\n", "" },
		{ "To: a b@x.test\r\n", "!a b@x.test" },
		{ "To: a@\r\n", "!a@" }, { "To: a@x..y\r\n", "!a@x..y" },
		{ "From a@b\r\nTo: a\r\n", "a@h.test " }
	};
	char rcpts[512];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		free(make(cases[i].in, true, rcpts));
		cr_expect_str_eq(rcpts, cases[i].want, "%s", cases[i].in);
		free(make(cases[i].in, false, rcpts));
		cr_expect_str_eq(rcpts, "");
	}
}

/* --- who it is from ------------------------------------------------------------------ */

Test(send_header, the_name_of_the_sender_is_quoted_or_encoded)
{
	static const struct { const char *name, *want; } cases[] = {
		{ "", "a@b" }, { "A B", "\"A B\" <a@b>" },
		{ "A \"B\" \\ C", "\"A \\\"B\\\" \\\\ C\" <a@b>" },
		{ "J\xc3\xb6rg", "=?UTF-8?B?SsO2cmc=?= <a@b>" },
		{ "J\xf6rg", "a@b" }, { "A\nBcc: x", "a@b" }, { "A\tB", "a@b" }
	};
	char out[SEND_FROM_MAX], name[1024];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_header_from(cases[i].name, "a@b", out);
		cr_expect_str_eq(out, cases[i].want);
	}
	/* as much of a long one as there is room for */
	memset(name, '"', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	send_header_from(name, "a@b", out);
	cr_expect(strlen(out) < 500 && strcmp(out + strlen(out) - 7,
	    "\" <a@b>") == 0, "%s", out);
	for (i = 0; i + 3 < sizeof(name); i += 3)
		memcpy(name + i, "\xe2\x82\xac", 3);
	name[i] = '\0';
	send_header_from(name, "a@b", out);
	cr_expect(strcmp(out + strlen(out) - 8, "?= <a@b>") == 0, "%s", out);
	for (i = 0; i < strlen(out); i++)
		cr_expect((unsigned char)out[i] < 128);
}
