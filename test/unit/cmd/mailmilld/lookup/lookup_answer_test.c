#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/lookup_answer.h"

#define L63	"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"
#define N253	L63 "." L63 "." L63 "." \
		"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxy"

Test(lookup_answer, names_that_can_be_asked_for)
{
	static const struct { const char *name, *want; } cases[] = {
		{ "example.com", "example.com" },
		{ "EXAMPLE.Com.", "example.com" },
		{ "a", "a" },
		{ "xn--grn-ioa.example", "xn--grn-ioa.example" },
		{ "_25._tcp.mx.example.com", "_25._tcp.mx.example.com" },
		{ "192.0.2.1", "192.0.2.1" },
		{ L63 ".example", L63 ".example" },
		{ N253, N253 },
		{ N253 ".", N253 },
		{ "", NULL }, { ".", NULL }, { "a..b", NULL }, { ".a", NULL },
		{ "a..", NULL }, { "-a.example", NULL }, { "a-.example", NULL },
		{ "a b.example", NULL }, { "a/b.example", NULL },
		{ "gr\xc3\xbcn.example", NULL }, { "a\\.b", NULL },
		{ "[192.0.2.1]", NULL }, { "a@b", NULL }, { "*.example", NULL },
		{ "a" L63 ".example", NULL }, { N253 "a", NULL },
		{ "a." N253, NULL },
	};
	char name[LIM_DOMAIN + 1];
	size_t i;
	int rc;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rc = lookup_name(cases[i].name, name);
		cr_expect_eq(rc, cases[i].want == NULL ? -1 : 0, "%s",
		    cases[i].name);
		if (rc == 0 && cases[i].want != NULL)
			cr_expect_str_eq(name, cases[i].want);
	}
}

Test(lookup_answer, names_of_ptr_records)
{
	union addr a = { .in = { .sin_family = AF_INET } };
	char name[LIM_DOMAIN + 1];

	inet_pton(AF_INET, "192.0.2.17", &a.in.sin_addr);
	cr_expect_eq(lookup_ptr_name(&a.sa, name), 0);
	cr_expect_str_eq(name, "17.2.0.192.in-addr.arpa");
	memset(&a, 0, sizeof(a));
	a.sa.sa_family = AF_INET6;
	inet_pton(AF_INET6, "2001:db8::567:89ab", &a.in6.sin6_addr);
	cr_expect_eq(lookup_ptr_name(&a.sa, name), 0);
	/* the one of RFC 3596 2.5 has another prefix */
	cr_expect_str_eq(name, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0."
	    "0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	a.sa.sa_family = AF_UNIX;
	cr_expect_eq(lookup_ptr_name(&a.sa, name), -1);
}

static uint8_t buf[LIM_LOOKUP_OCTETS];

static struct lookup_answer
answer_of(size_t len)
{
	return (struct lookup_answer){ .status = LOOKUP_FOUND, .ttl_s = 1,
		.records = buf, .len = len };
}

Test(lookup_answer, what_is_put_is_what_is_read)
{
	struct lookup_record mx = { .type = LOOKUP_R_MX, .preference = 65535,
		.name = "mx.example.com" };
	struct lookup_record root = { .type = LOOKUP_R_MX };
	struct lookup_record txt = { .type = LOOKUP_R_TXT,
		.data = (const uint8_t *)"v=\0f", .len = 4 };
	struct lookup_record tlsa = { .type = LOOKUP_R_TLSA, .tlsa = { 3, 1,
		255 }, .data = (const uint8_t *)"hash", .len = 4 };
	struct lookup_record ptr = { .type = LOOKUP_R_PTR, .name = "a.b" };
	struct lookup_record v6 = { .type = LOOKUP_R_ADDRESS, .addr = { .in6 =
		{ .sin6_family = AF_INET6, .sin6_addr.s6_addr = { 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1 } } } };
	const struct lookup_record *all[] = { &mx, &root, &txt, &tlsa, &ptr,
		&v6 };
	struct lookup_answer a;
	struct lookup_record r;
	size_t at = 0, i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		cr_assert_eq(lookup_record_put(buf, sizeof(buf), &at, all[i]),
		    0);
	a = answer_of(at);
	at = 0;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		cr_assert_eq(lookup_record_next(&a, &at, &r), 1);
		cr_expect_eq(r.type, all[i]->type);
		cr_expect_eq(r.preference, all[i]->preference);
		cr_expect_str_eq(r.name, all[i]->name);
		cr_expect_eq(memcmp(&r.tlsa, &all[i]->tlsa, sizeof(r.tlsa)), 0);
		cr_expect_eq(memcmp(&r.addr, &all[i]->addr, sizeof(r.addr)), 0);
		cr_assert_eq(r.len, all[i]->len);
		cr_expect_eq(memcmp(r.data == NULL ? "" : (const char *)r.data,
		    all[i]->data == NULL ? "" : (const char *)all[i]->data,
		    r.len), 0);
	}
	cr_expect_eq(lookup_record_next(&a, &at, &r), 0);
}

Test(lookup_answer, a_record_that_could_not_be_read_is_not_put)
{
	struct lookup_record bad[] = {
		{ .type = LOOKUP_R_MX, .name = "a b" },
		{ .type = LOOKUP_R_MX, .name = "Capitals.example" },
		{ .type = LOOKUP_R_MX, .name = "a.example." },
		{ .type = LOOKUP_R_MX, .name = "a", .preference = 65536 },
		{ .type = LOOKUP_R_PTR, .name = "" },
		{ .type = LOOKUP_NRECORDS },
	};
	struct lookup_record txt = { .type = LOOKUP_R_TXT, .data = buf };
	size_t i, at = 0;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(lookup_record_put(buf, sizeof(buf), &at, &bad[i]),
		    -1, "%zu", i);
		cr_expect_eq(errno, EINVAL);
	}
	for (txt.len = 10; txt.len < 30; txt.len++) {
		cr_expect_eq(lookup_record_put(buf + 100, txt.len + 5, &at,
		    &txt), -1);
		cr_expect_eq(errno, ENOSPC);
		cr_expect_eq(at, 0);
	}
}

/* Each octet of good records, changed, and each length. */
Test(lookup_answer, no_octets_confuse_the_reader)
{
	struct lookup_record mx = { .type = LOOKUP_R_MX, .preference = 10,
		.name = "mx.example.com" };
	struct lookup_record r, again;
	struct lookup_answer a;
	uint8_t copy[64], out[64];
	size_t len = 0, i, at, end;
	unsigned int v;

	cr_assert_eq(lookup_record_put(copy, sizeof(copy), &len, &mx), 0);
	for (i = 0; i < len; i++)
		for (v = 0; v < 256; v++) {
			memcpy(buf, copy, len);
			buf[i] = (uint8_t)v;
			a = answer_of(len);
			at = 0;
			if (lookup_record_next(&a, &at, &r) != 1)
				continue;
			cr_assert_leq(at, len);
			/* what is taken would be written the same */
			end = 0;
			memset(&again, 0, sizeof(again));
			cr_assert_eq(lookup_record_put(out, sizeof(out), &end,
			    &r), 0);
			cr_assert_eq(end, at);
			cr_assert_eq(memcmp(out, buf, at), 0, "octet %zu = %u",
			    i, v);
		}
	memcpy(buf, copy, len);
	for (i = 1; i < len; i++) {
		a = answer_of(i);
		cr_expect_not(lookup_answer_check(&a, LOOKUP_MX), "%zu", i);
	}
}

Test(lookup_answer, what_an_answer_may_be)
{
	struct lookup_record mx = { .type = LOOKUP_R_MX, .name = "mx" };
	struct lookup_answer a;
	size_t len = 0;

	cr_assert_eq(lookup_record_put(buf, sizeof(buf), &len, &mx), 0);
	a = answer_of(len);
	cr_expect(lookup_answer_check(&a, LOOKUP_MX));
	cr_expect_not(lookup_answer_check(&a, LOOKUP_HOST), "another type");
	strcpy(a.alias, "other.example");
	cr_expect(lookup_answer_check(&a, LOOKUP_MX));
	strcpy(a.alias, "Other.example");
	cr_expect_not(lookup_answer_check(&a, LOOKUP_MX));
	memset(a.alias, 'a', sizeof(a.alias));
	cr_expect_not(lookup_answer_check(&a, LOOKUP_MX), "no NUL");
	*a.alias = '\0';
	a.status = LOOKUP_NO_DATA;
	cr_expect_not(lookup_answer_check(&a, LOOKUP_MX), "records of none");
	a.len = 0;
	cr_expect(lookup_answer_check(&a, LOOKUP_MX));
	a.status = LOOKUP_NSTATUSES;
	cr_expect_not(lookup_answer_check(&a, LOOKUP_MX));
	a = answer_of(0);
	cr_expect(lookup_answer_check(&a, LOOKUP_MX), "none that can be used");
	a.len = LIM_LOOKUP_OCTETS + 1;
	cr_expect_not(lookup_answer_check(&a, LOOKUP_MX));
}

Test(lookup_answer, types_and_statuses_have_names)
{
	enum lookup_status s;
	enum lookup_type t;

	for (t = 0; t < LOOKUP_NTYPES; t++)
		cr_expect_eq(lookup_type_of(lookup_type_name(t)), t);
	cr_expect_eq(lookup_type_of("any"), LOOKUP_NTYPES);
	for (s = 0; s < LOOKUP_NSTATUSES; s++)
		cr_expect_neq(*lookup_status_name(s), '\0');
}
