#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/idna.h"

/* out NULL: refused with EILSEQ */
static const struct { const char *in, *out; } cases[] = {
	{ "gr\xc3\xbcn.example", "xn--grn-ioa.example" },
	{ "GR\xc3\x9cN.Example", "xn--grn-ioa.example" },
	{ "gru\xcc\x88n.example", "xn--grn-ioa.example" },
	{ "XN--GRN-IOA.example", "xn--grn-ioa.example" },
	{ "fa\xc3\x9f.example", "xn--fa-hia.example" },
	{ "\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
	    "xn--r8jz45g.xn--zckzah" },
	{ "a_b.\xc3\xbc", "a_b.xn--tda" },
	{ "*.\xc3\xbc.example", "*.xn--tda.example" },
	{ "", "" },
	{ "A..b", "a..b" },
	/* RFC 5892 A.1: a non-joiner between letters that would join */
	{ "\xd9\x86\xd8\xa7\xd9\x85\xd9\x87\xe2\x80\x8c\xd8\xa7\xd9\x8a.example",
	    "xn--mgba3gcht0727b.example" },
	/* what is no U-label stays a label of ASCII */
	{ "xn--a.example", "xn--a.example" },
	{ "xn--zzzzzzz-.example", "xn--zzzzzzz-.example" },
	{ "a\xe2\x80\x8d" "b.example", NULL },	/* joiner without a reason */
	{ "a\xe2\x80\x8b" "b.example", NULL },
	{ "\xe2\x80\xae" "a.example", NULL },
	{ "a\xe3\x80\x82" "b", NULL },		/* ideographic full stop */
	{ "\xef\xbd\x81.example", NULL },	/* full width */
	{ "\xe2\x84\x80.example", NULL },	/* would become a/c */
	{ "i\xe2\x9d\xa4.example", NULL },	/* a symbol */
	{ "\xcc\x88" "a.example", NULL },	/* begins with a mark */
	{ "xn--\xc3\xbc.example", NULL },
	{ "ab--\xc3\xbc.example", NULL },
	{ "-\xc3\xbc.example", NULL },
	{ "\xc3\xbc-.example", NULL },
	{ "\xc3\xbc_.example", NULL },
	/* whose normal form is ASCII */
	{ "\xe2\x84\xaa.example", "k.example" },
	{ "\xe1\xbf\xaf.example", NULL },
	{ "a\xcd\xbe.example", NULL },
	{ "_\xe2\x84\xaa.example", NULL },
	{ "-\xe2\x84\xaa.example", NULL },
	{ "\xc3\xbc@.example", NULL },
	{ "\xc3\xbc .example", NULL },
	{ "\xcd\xb8.example", NULL },		/* unassigned */
	{ "\xff.example", NULL },
	{ "\xc3.example", NULL },
	{ "\xc0\xae.example", NULL },
	{ "\xed\xa0\x80.example", NULL },
	{ "\xf4\x90\x80\x80.example", NULL },
	/* RFC 5893: directions that do not go together */
	{ "\xd7\x90z.example", NULL },
};

Test(idna, a_domain_has_one_form)
{
	char out[IDNA_MAX + 1], again[IDNA_MAX + 1], *copy;
	ssize_t n;
	size_t i, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		copy = malloc(len > 0 ? len : 1);
		memcpy(copy, cases[i].in, len);
		errno = 0;
		n = idna_ascii(copy, len, out, sizeof(out));
		free(copy);
		if (cases[i].out == NULL) {
			cr_expect_eq(n, -1, "case %zu: %s", i, cases[i].in);
			cr_expect_eq(errno, EILSEQ, "case %zu: %d", i, errno);
			continue;
		}
		cr_assert_neq(n, -1, "case %zu: %s", i, cases[i].in);
		cr_expect_str_eq(out, cases[i].out);
		cr_expect_eq((size_t)n, strlen(out));
		cr_expect_eq(idna_ascii(out, (size_t)n, again, sizeof(again)),
		    n);
		cr_expect_str_eq(again, out);
	}
}

/* For people: a label that stands for nothing to be shown stays as it is. */
Test(idna, what_can_be_seen_becomes_u_labels)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "mx.xn--grn-ioa.example", "mx.gr\xc3\xbcn.example" },
		{ "xn--r8jz45g.xn--zckzah", "\xe4\xbe\x8b\xe3\x81\x88."
		    "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
		{ "a..b", "a..b" }, { "", "" }, { "xn--", "xn--" },
		{ "xn--a.x", "xn--a.x" },
		{ "xn--abc-.x", "xn--abc-.x" },		/* stands for abc */
		{ "xn--zzzzzzz-.x", "xn--zzzzzzz-.x" },
		{ "xn--mgba3gcht0727b.x", "xn--mgba3gcht0727b.x" }, /* has a non-joiner */
		{ "xn--i-7iq.ws", "xn--i-7iq.ws" },	/* a symbol */
		{ "[192.0.2.1]", "[192.0.2.1]" },
	};
	char out[IDNA_MAX + 1], *small;
	size_t i, n, want;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		want = strlen(rows[i].out);
		cr_expect_eq(idna_unicode(rows[i].in, strlen(rows[i].in), out,
		    sizeof(out)), (ssize_t)want, "row %zu", i);
		cr_expect_str_eq(out, rows[i].out);
		for (n = 1; n <= want + 1; n++) {
			small = malloc(n);
			cr_expect_eq(idna_unicode(rows[i].in,
			    strlen(rows[i].in), small, n), n > want ?
			    (ssize_t)want : -1, "row %zu, %zu", i, n);
			free(small);
		}
	}
}

/* What stands behind a NUL is not lost. */
Test(idna, a_label_with_a_nul_is_no_a_label)
{
	static const char in[] = "xn--grn-ioa\0x.xn--grn-ioa",
	    want[] = "xn--grn-ioa\0x.gr\xc3\xbcn";
	char out[IDNA_MAX + 1];

	cr_assert_eq(idna_unicode(in, sizeof(in) - 1, out, sizeof(out)),
	    (ssize_t)sizeof(want) - 1);
	cr_expect_arr_eq(out, want, sizeof(want));
}

Test(idna, keeps_the_lengths_of_labels_and_domains)
{
	char in[600], out[IDNA_MAX + 1];
	size_t i, n = 0;

	/* 57 letters and an umlaut: xn-- and 60 octets are too many */
	memset(in, 'a', 57);
	memcpy(in + 57, "\xc3\xbc", 2);
	errno = 0;
	cr_expect_eq(idna_ascii(in, 59, out, sizeof(out)), -1);
	cr_expect_eq(errno, ENAMETOOLONG);
	cr_expect_neq(idna_ascii(in + 4, 55, out, sizeof(out)), -1);
	cr_expect_leq(strlen(out), 63);
	/* 64 labels of one umlaut: 8 octets each with the dot */
	for (i = 0; i < 64; i++, n += 3)
		memcpy(in + n, "\xc3\xbc.", 3);
	errno = 0;
	cr_expect_eq(idna_ascii(in, n - 1, out, sizeof(out)), -1);
	cr_expect_eq(errno, ENAMETOOLONG);
	cr_expect_eq(idna_ascii(in, 31 * 3 - 1, out, sizeof(out)), 31 * 8 - 1);
	/* a label of which the whole would be a domain too long */
	memset(in, 0, sizeof(in));
	for (n = 0; n < 400; n += 2)
		memcpy(in + n, "\xc3\xbc", 2);
	cr_expect_eq(idna_ascii(in, n, out, sizeof(out)), -1);
	cr_expect_eq(errno, ENAMETOOLONG);
}

Test(idna, a_short_buffer_is_not_written_beyond)
{
	static const char in[] = "Mx.gr\xc3\xbcn.example";
	char *out;
	size_t n, want = strlen("mx.xn--grn-ioa.example");

	for (n = 0; n <= want + 1; n++) {
		out = malloc(n > 0 ? n : 1);
		errno = 0;
		cr_expect_eq(idna_ascii(in, sizeof(in) - 1, out, n),
		    n > want ? (ssize_t)want : -1, "%zu", n);
		cr_expect_eq(errno, n > want ? 0 : ENOSPC);
		free(out);
	}
}
