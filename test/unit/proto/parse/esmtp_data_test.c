#include <criterion/criterion.h>
#include <string.h>

#include "proto/esmtp_options.h"
#include "proto/parse/esmtp_data.h"

#define IGNORE	ESMTP_LF_IGNORE
#define PED	ESMTP_LF_PEDANTIC
#define FIX	ESMTP_LF_FIX

static const struct {
	int		 policy;
	const char	*in, *out, *rest;	/* rest NULL: no end in it */
	bool		 has_lone;
} cases[] = {
	{ IGNORE, ".\r\n", "", "", false },
	{ IGNORE, "a\r\n.\r\n", "a\r\n", "", false },
	{ IGNORE, "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", false },
	{ IGNORE, "a\r\n..\r\n.\r\n", "a\r\n.\r\n", "", false },
	{ IGNORE, "..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", "", false },
	{ IGNORE, ".a\r\n.\r\n", "a\r\n", "", false },
	{ IGNORE, "a.\r\n.\r\n", "a.\r\n", "", false },
	{ IGNORE, "\r\n\r\n.\r\n", "\r\n\r\n", "", false },
	/* RFC 5321 4.1.1.4: none of these is the end of data */
	{ IGNORE, "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", "", false },
	{ IGNORE, "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", "", false },
	{ IGNORE, "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", "", false },
	{ IGNORE, "a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", "", false },
	{ IGNORE, "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "", true },
	{ IGNORE, "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", "", true },
	{ IGNORE, "a\r\r\n.\r\n", "a\r\r\n", "", false },
	{ IGNORE, "a\r\n. \r\n.\r\n", "a\r\n \r\n", "", false },
	{ IGNORE, "a\n\r\n.\r\n", "a\n\r\n", "", false },
	{ IGNORE, "a\r\n.", "a\r\n", NULL, false },
	{ IGNORE, "a\r\n.\r", "a\r\n", NULL, false },
	{ IGNORE, "a\r", "a\r", NULL, false },
	{ PED, "a\r\n..b\r\n.\r\nx", "a\r\n.b\r\n", "x", false },
	{ PED, "a\nb\r\n.\r\n", "a\nb\r\n", "", true },
	{ PED, "a\rb\r\n.\r\n", "a\rb\r\n", "", true },
	{ PED, "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", "", true },
	{ PED, "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", "", true },
	{ PED, "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "", true },
	{ PED, "\n\r\n.\r\n", "\n\r\n", "", true },
	{ FIX, "a\r\n..b\r\n.\r\n", "a\r\n.b\r\n", "", false },
	{ FIX, "a\nb\r\n.\r\n", "a\r\nb\r\n", "", true },
	{ FIX, "a\rb\r\n.\r\n", "a\r\nb\r\n", "", true },
	{ FIX, "a\r\r\n.\r\n", "a\r\n\r\n", "", true },
	{ FIX, "a\n\n.\r\nb\r\n.\r\n", "a\r\n\r\n.\r\nb\r\n", "", true },
	{ FIX, "a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", "", true },
	{ FIX, "a\r\n.\rb\r\n.\r\n", "a\r\n\r\nb\r\n", "", true },
	{ FIX, "a\r\n.\r\r\n.\r\n", "a\r\n\r\n\r\n", "", true },
};

struct result {
	char	out[256];
	size_t	len;
};

/* Feed ${in} in pieces that end at ${cut1} and ${cut2}; return octets used. */
static size_t
feed(struct esmtp_data *d, const char *in, size_t cut1, size_t cut2,
    struct result *r)
{
	size_t ends[3] = { cut1, cut2, strlen(in) }, at = 0, n, i;
	const char *slice;

	r->len = 0;
	for (i = 0; i < 3; i++)
		while (at < ends[i] && !d->is_end) {
			at += esmtp_data_next(d, in + at, ends[i] - at,
			    &slice, &n);
			cr_assert_lt(r->len + n, sizeof(r->out));
			memcpy(r->out + r->len, slice, n);
			r->len += n;
		}
	return at;
}

static void
check(size_t i, size_t cut1, size_t cut2)
{
	struct esmtp_data d;
	struct result r;
	size_t used;

	esmtp_data_init(&d, cases[i].policy);
	used = feed(&d, cases[i].in, cut1, cut2, &r);
	cr_expect_eq(r.len, strlen(cases[i].out), "case %zu %zu %zu: %.*s", i,
	    cut1, cut2, (int)r.len, r.out);
	cr_expect_eq(memcmp(r.out, cases[i].out, r.len), 0,
	    "case %zu %zu %zu: %.*s", i, cut1, cut2, (int)r.len, r.out);
	cr_expect_eq(d.is_end, cases[i].rest != NULL, "case %zu", i);
	cr_expect_str_eq(cases[i].in + used,
	    cases[i].rest != NULL ? cases[i].rest : "", "case %zu", i);
	if (cases[i].policy != IGNORE)
		cr_expect_eq(d.has_lone, cases[i].has_lone, "case %zu", i);
}

Test(esmtp_data, gives_the_same_message_for_any_fragmentation)
{
	size_t i, a, b;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (a = 0; a <= strlen(cases[i].in); a++)
			for (b = a; b <= strlen(cases[i].in); b++)
				check(i, a, b);
}

Test(esmtp_data, gives_the_same_message_octet_by_octet)
{
	struct esmtp_data d;
	const char *slice;
	char out[256];
	size_t i, at, len, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		esmtp_data_init(&d, cases[i].policy);
		at = len = 0;
		while (cases[i].in[at] != '\0' && !d.is_end) {
			at += esmtp_data_next(&d, cases[i].in + at, 1, &slice,
			    &n);
			memcpy(out + len, slice, n);
			len += n;
		}
		cr_expect_eq(len, strlen(cases[i].out), "case %zu", i);
		cr_expect_eq(memcmp(out, cases[i].out, len), 0, "case %zu", i);
	}
}

Test(esmtp_data, passes_on_a_whole_message_in_one_piece)
{
	static const char in[] = "a: b\r\n\r\nc\r\nd.e\r\n.\r\n";
	struct esmtp_data d;
	const char *slice;
	size_t n;

	esmtp_data_init(&d, IGNORE);
	cr_assert_eq(esmtp_data_next(&d, in, sizeof(in) - 1, &slice, &n), 16);
	cr_assert_eq(slice, in);
	cr_assert_eq(n, 16);
}

/* RFC 3030 2: what comes in chunks has no end but that of the last one, and no
 * dots but its own. */
static const struct {
	int		 policy;
	const char	*in, *out;	/* NULL: as it is */
	bool		 has_lone;
} counted[] = {
	{ IGNORE, "", NULL, false },
	{ IGNORE, ".\r\n", NULL, false },
	{ IGNORE, "a\r\n.\r\nQUIT\r\n", NULL, false },
	{ IGNORE, "..a\n.\r\n\r.\r\n..", NULL, false },
	{ IGNORE, "a\r", NULL, false },
	{ PED, ".\r\n.\r\n..\r\na", NULL, false },
	{ PED, "a\r\n.\nb", NULL, true },
	{ PED, ".\rb\r\n", NULL, true },
	{ PED, "a\r\n\n", NULL, true },
	/* the last octet is a CR: no LF can come any more */
	{ PED, "a\r\n.\r", NULL, true },
	{ FIX, ".\r\n.\r\n..\r\na", NULL, false },
	{ FIX, ".\n.\r.", ".\r\n.\r\n.", true },
	{ FIX, "a\r", "a\r\n", true },
	{ FIX, "a\r\r", "a\r\n\r\n", true },
	{ FIX, "a\r\n.\r\r\n", "a\r\n.\r\n\r\n", true },
};

Test(esmtp_data, has_no_dots_and_no_end_in_chunks_wherever_they_are_cut)
{
	struct esmtp_data d;
	struct result r;
	const char *in, *out, *slice;
	size_t i, a, b, n;

	for (i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		in = counted[i].in;
		out = counted[i].out != NULL ? counted[i].out : in;
		for (a = 0; a <= strlen(in); a++)
			for (b = a; b <= strlen(in); b++) {
				esmtp_data_init_counted(&d,
				    counted[i].policy);
				cr_expect_eq(feed(&d, in, a, b, &r),
				    strlen(in));
				if ((n = esmtp_data_end(&d, &slice)) > 0)
					memcpy(r.out + r.len, slice, n);
				r.len += n;
				cr_expect(r.len == strlen(out) &&
				    memcmp(r.out, out, r.len) == 0,
				    "case %zu %zu %zu: %.*s", i, a, b,
				    (int)r.len, r.out);
				cr_expect_not(d.is_end);
				if (counted[i].policy != IGNORE)
					cr_expect_eq(d.has_lone,
					    counted[i].has_lone, "case %zu", i);
			}
	}
}
