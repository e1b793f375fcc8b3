#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/addr.h"
#include "proto/mailaddr.h"

#define N	MAILADDR_ALLOW_NULL
#define P	MAILADDR_ALLOW_POSTMASTER
#define L	MAILADDR_ALLOW_LITERAL
#define S	MAILADDR_ALLOW_SPACE
#define B	MAILADDR_ALLOW_BARE
#define D	MAILADDR_ALLOW_DOTS
#define U	MAILADDR_ALLOW_UNQUALIFIED

/* text NULL: refused */
static const struct {
	const char	*in;
	unsigned int	 flags;
	int		 used;
	const char	*text;
} cases[] = {
	{ "<a@b.example>", 0, 13, "a@b.example" },
	{ "<a@b.example> SIZE=1", 0, 13, "a@b.example" },
	{ "<a.b+c=d@B.Example>", 0, 19, "a.b+c=d@b.example" },
	{ "<a@localhost>", 0, 13, "a@localhost" },
	{ "<a@x_y.example>", 0, 15, "a@x_y.example" },
	{ "<>", N, 2, "" },
	{ "<>", 0, -1, NULL },
	{ "<Postmaster>", P, 12, "Postmaster" },
	{ "<postmaster>", 0, -1, NULL },
	{ "<other>", P, -1, NULL },
	{ "<other>", U, 7, "other" },
	{ "<\"a b\"> X", U, 7, "\"a b\"" },
	{ "<\"a\">", U, 5, "a" },
	{ "<a.b>", U, 5, "a.b" },
	{ "<a..b>", U, -1, NULL },
	{ "<a..b>", U | D, 6, "\"a..b\"" },
	{ "<a b>", U, -1, NULL },
	{ "<a@>", U, -1, NULL },
	{ "<@b.example>", U, -1, NULL },
	{ "<>", U, -1, NULL },
	{ "other", U, -1, NULL },
	{ "other X", U | B, 5, "other" },
	{ "other>", U | B, -1, NULL },
	{ "<@x.example:a@b.example>", 0, 24, "a@b.example" },
	{ "<@x.example,@y.example:a@b.example>", 0, 35, "a@b.example" },
	{ "<@x.example,a@b.example>", 0, -1, NULL },
	{ "<@x.example:>", N, -1, NULL },
	/* RFC 5321 4.1.2: quotes that are not needed are not part of it */
	{ "<\"a\"@b.example>", 0, 15, "a@b.example" },
	{ "<\"a\\b\"@b.example>", 0, 17, "ab@b.example" },
	{ "<\"a b\"@b.example>", 0, 17, "\"a b\"@b.example" },
	{ "<\"a\\ b\"@b.example>", 0, 18, "\"a b\"@b.example" },
	{ "<\"\\a\\ \\b\"@b.example>", 0, 20, "\"a b\"@b.example" },
	{ "<\"a\\\\b\\\"\"@b.example>", 0, 20,
	    "\"a\\\\b\\\"\"@b.example" },
	{ "<\"a.b\"@b.example>", 0, 17, "a.b@b.example" },
	{ "<\"a.\"@b.example>", 0, 16, "\"a.\"@b.example" },
	{ "<\"a\\@b\"@b.example>", 0, 18, "\"a@b\"@b.example" },
	{ "<\"a>b\"@b.example>", 0, 17, "\"a>b\"@b.example" },
	{ "<\"a\\\"b\"@b.example>", 0, 18, "\"a\\\"b\"@b.example" },
	{ "<\"\"@b.example>", 0, 14, "\"\"@b.example" },
	{ "<\"a@b.example>", 0, -1, NULL },
	{ "<\"a\n\"@b.example>", 0, -1, NULL },
	{ "<\"a\\\n\"@b.example>", 0, -1, NULL },
	/* what devices send */
	{ "a@b.example", B, 11, "a@b.example" },
	{ "a@B.example SIZE=1", B, 11, "a@b.example" },
	{ "a@b.example>", B, -1, NULL },
	{ "a@b.example\tx", B, -1, NULL },
	{ "<a@b.example", B, -1, NULL },
	{ "<a@b.example>", B, 13, "a@b.example" },
	{ "a@b.example", 0, -1, NULL },
	{ "", B | N, -1, NULL },
	{ " SIZE=1", B | N, -1, NULL },
	{ " a@b.example", B, -1, NULL },
	{ " a@b.example", B | S, 12, "a@b.example" },
	{ "postmaster", B | P, 10, "postmaster" },
	{ "\"a b\"@b.example", B, 15, "\"a b\"@b.example" },
	{ "a@[192.0.2.1]", B | L, 13, "a@[192.0.2.1]" },
	{ "<a..b@b.example>", D, 16, "\"a..b\"@b.example" },
	{ "<a.@b.example>", D, 14, "\"a.\"@b.example" },
	{ "<.a@b.example>", D, 14, "\".a\"@b.example" },
	{ "<\"a..b\"@b.example>", D, 18, "\"a..b\"@b.example" },
	{ "<a.b@b.example>", D, 15, "a.b@b.example" },
	{ "<.@b.example>", D, -1, NULL },
	{ "<@b.example>", D, -1, NULL },
	{ "<a@b..example>", D, -1, NULL },
	{ "<a@b.example.>", D, -1, NULL },
	{ "<a..b@b.example>", 0, -1, NULL },
	{ "<a.@b.example>", 0, -1, NULL },
	{ "a..b@b.example", B | D, 14, "\"a..b\"@b.example" },
	/* RFC 5321 4.1.3: address literals */
	{ "<a@[192.0.2.1]>", L, 15, "a@[192.0.2.1]" },
	{ "<a@[192.0.2.1]>", 0, -1, NULL },
	{ "<a@[192.0.2.256]>", L, -1, NULL },
	{ "<a@[IPv6:2001:db8::1]>", L, 22, "a@[ipv6:2001:db8::1]" },
	{ "<a@[IPv6:0:0:0:0:0:0:0:1]>", L, 26, "a@[ipv6:::1]" },
	{ "<a@[IPv6:::0001]>", L, 17, "a@[ipv6:::1]" },
	{ "<a@[ipv6:2001:DB8:0:0::0:1]>", L, 28, "a@[ipv6:2001:db8::1]" },
	{ "<a@[IPv6:::ffff:c000:201]>", L, 26, "a@[ipv6:::ffff:192.0.2.1]" },
	{ "<a@[IPv6:192.0.2.1]>", L, -1, NULL },
	{ "<a@[x:y]>", L, -1, NULL },
	{ "<a@[192.0.2.1>", L, -1, NULL },
	{ "< a@b.example >", S, 15, "a@b.example" },
	{ "  <a@b.example>", S, 15, "a@b.example" },
	{ "< a@b.example >", 0, -1, NULL },
	{ " <a@b.example>", 0, -1, NULL },
	{ "< >", N | S, 3, "" },
	{ "", 0, -1, NULL },
	{ "<", N, -1, NULL },
	{ "a@b.example", 0, -1, NULL },
	{ "<a@b.example", 0, -1, NULL },
	{ "<a>", 0, -1, NULL },
	{ "<a@>", 0, -1, NULL },
	{ "<@b.example>", 0, -1, NULL },
	{ "<a@@b.example>", 0, -1, NULL },
	{ "<.a@b.example>", 0, -1, NULL },
	{ "<a.@b.example>", 0, -1, NULL },
	{ "<a..b@b.example>", 0, -1, NULL },
	{ "<a b@b.example>", 0, -1, NULL },
	{ "<a@b.example.>", 0, -1, NULL },
	{ "<a@.b.example>", 0, -1, NULL },
	{ "<a@b..example>", 0, -1, NULL },
	{ "<a@-b.example>", 0, -1, NULL },
	{ "<a@b-.example>", 0, -1, NULL },
	{ "<a@b!.example>", 0, -1, NULL },
	{ "<a@_>", 0, -1, NULL },
	{ "<a@__._b>", 0, -1, NULL },
	{ "<a@_-_.example>", 0, -1, NULL },
	{ "<a@_b._c.example>", 0, 17, "a@_b._c.example" },
	{ "<a\x80@b.example>", 0, -1, NULL },
};

Test(mailaddr, parses_what_the_grammar_allows_and_nothing_else)
{
	struct mailaddr a;
	char text[300];
	size_t i;
	int used;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		used = mailaddr_parse(cases[i].in, strlen(cases[i].in),
		    cases[i].flags, &a);
		cr_expect_eq(used, cases[i].used, "%s: %d", cases[i].in, used);
		if (used == -1) {
			cr_expect_eq(errno, EINVAL);
			continue;
		}
		cr_expect_neq(mailaddr_format(&a, text, sizeof(text)), -1);
		cr_expect_str_eq(text, cases[i].text, "%s: %s", cases[i].in,
		    text);
	}
}

Test(mailaddr, never_reads_past_the_length)
{
	static const char in[] = "<@x.example:\"a\\b\"@[192.0.2.1]>";
	struct mailaddr a;
	char *copy;
	size_t n;

	for (n = 0; n < sizeof(in) - 1; n++) {
		/* of exactly that size, for AddressSanitizer */
		copy = malloc(n > 0 ? n : 1);
		memcpy(copy, in, n);
		cr_expect_eq(mailaddr_parse(copy, n, L, &a), -1, "%zu", n);
		free(copy);
	}
}

/* "<" local "@" domain ">" of the wanted lengths */
static size_t
build(char *buf, size_t local, size_t domain)
{
	size_t n = 0, i;

	buf[n++] = '<';
	for (i = 0; i < local; i++)
		buf[n++] = 'a';
	buf[n++] = '@';
	for (i = 0; i < domain; i++)
		buf[n++] = i % 60 == 59 && i + 1 < domain ? '.' : 'd';
	buf[n++] = '>';
	return n;
}

Test(mailaddr, keeps_the_limits_of_rfc_5321_4_5_3_1)
{
	static const struct {
		size_t		local, domain;
		unsigned int	flags;
		bool		is_ok;
	} lengths[] = {
		{ 64, 20, 0, true },
		{ 65, 20, 0, false },
		{ 65, 20, MAILADDR_ALLOW_LONG, true },
		{ 1, 252, 0, true },		/* 256 with punctuation */
		{ 1, 253, 0, false },
		{ 234, 20, MAILADDR_ALLOW_LONG, false },
	};
	struct mailaddr a;
	char buf[600];
	size_t i, n;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		n = build(buf, lengths[i].local, lengths[i].domain);
		errno = 0;
		cr_expect_eq(mailaddr_parse(buf, n, lengths[i].flags, &a),
		    lengths[i].is_ok ? (int)n : -1, "%zu", i);
		cr_expect_eq(errno, lengths[i].is_ok ? 0 : ENAMETOOLONG);
	}
}

Test(mailaddr, a_label_has_63_octets_at_most)
{
	char name[80];

	memset(name, 'a', sizeof(name));
	cr_expect(mailaddr_domain_valid(name, 63, false));
	cr_expect_not(mailaddr_domain_valid(name, 64, false));
	cr_expect_not(mailaddr_domain_valid(name, 0, false));
	cr_expect(mailaddr_domain_valid("[192.0.2.1]", 11, true));
	cr_expect_not(mailaddr_domain_valid("[192.0.2.1]", 11, false));
	cr_expect_not(mailaddr_domain_valid("[192.0.2.1]x", 12, true));
}

Test(mailaddr, format_says_when_the_buffer_is_short)
{
	struct mailaddr a;
	char buf[12];
	size_t n;

	mailaddr_parse("<\"a\"@b.example>", 15, 0, &a);
	for (n = 0; n < sizeof(buf); n++) {
		errno = 0;
		cr_expect_eq(mailaddr_format(&a, buf, n), -1, "%zu", n);
		cr_expect_eq(errno, ENOSPC);
	}
	cr_expect_eq(mailaddr_format(&a, buf, sizeof(buf)), 11);
}

Test(mailaddr, split_reads_what_format_has_written)
{
	static const struct {
		const char	*path, *local, *domain;
		bool		 is_quoted, is_literal;
	} texts[] = {
		{ "<>", "", "", false, false },
		{ "<Postmaster>", "Postmaster", "", false, false },
		{ "<a@B.example>", "a", "b.example", false, false },
		{ "<\"a\"@b.example>", "a", "b.example", false, false },
		{ "<\"a@b\"@c.example>", "\"a@b\"", "c.example", true, false },
		{ "<a@[IPv6:::1]>", "a", "[ipv6:::1]", false, true },
	};
	struct mailaddr a, b;
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_neq(mailaddr_parse(texts[i].path,
		    strlen(texts[i].path), MAILADDR_ALLOW_NULL |
		    MAILADDR_ALLOW_POSTMASTER | MAILADDR_ALLOW_LITERAL, &a),
		    -1, "%s", texts[i].path);
		cr_assert_neq(mailaddr_format(&a, text, sizeof(text)), -1);
		mailaddr_split(text, &b);
		cr_expect_eq(b.local_len, strlen(texts[i].local), "%s", text);
		cr_expect_eq(memcmp(b.local, texts[i].local, b.local_len), 0);
		cr_expect_eq(b.domain_len, strlen(texts[i].domain), "%s",
		    text);
		cr_expect_eq(memcmp(b.domain, texts[i].domain, b.domain_len),
		    0);
		cr_expect_eq(b.is_quoted, texts[i].is_quoted, "%s", text);
		cr_expect_eq(b.is_literal, texts[i].is_literal, "%s", text);
	}
}

Test(mailaddr, a_literal_is_an_address)
{
	static const struct { const char *path, *text; } texts[] = {
		{ "<a@[192.0.2.1]>", "192.0.2.1" },
		{ "<a@[IPv6:2001:DB8:0::1]>", "2001:db8::1" },
		{ "<a@[ipv6:::ffff:192.0.2.1]>", "192.0.2.1" },
		{ "<a@b.example>", NULL },
	};
	union addr own;
	struct mailaddr a;
	char text[ADDR_TEXT];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_neq(mailaddr_parse(texts[i].path,
		    strlen(texts[i].path), L, &a), -1, "%s", texts[i].path);
		cr_expect_eq(mailaddr_literal(&a, &own.sa),
		    texts[i].text != NULL);
		if (texts[i].text != NULL)
			cr_expect_str_eq(addr_text(&own.sa, text),
			    texts[i].text);
	}
}
