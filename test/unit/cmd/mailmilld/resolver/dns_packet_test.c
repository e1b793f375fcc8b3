#include <arpa/inet.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/resolver/dns_packet.h"
#include "test/unit/cmd/mailmilld/resolver/packet_fixture.h"

static struct packet_fixture p;
static struct dns_result r;

static void
parse(const char *name, enum dns_type type)
{
	dns_packet_parse(p.o, p.len, name, type, &r);
}

static unsigned int
nrecords(void)
{
	struct lookup_answer a = { .status = r.status, .records = r.records,
		.len = r.len };
	struct lookup_record record;
	unsigned int n = 0;
	size_t at = 0;
	int rc;

	while ((rc = lookup_record_next(&a, &at, &record)) == 1)
		n++;
	cr_assert_eq(rc, 0);
	return n;
}

static const struct lookup_record *
record_at(unsigned int i)
{
	struct lookup_answer a = { .status = r.status, .records = r.records,
		.len = r.len };
	static struct lookup_record record;
	size_t at = 0;

	do
		cr_assert_eq(lookup_record_next(&a, &at, &record), 1);
	while (i-- > 0);
	return &record;
}

Test(dns_packet, addresses)
{
	char text[ADDR_TEXT];

	packet_begin(&p, PACKET_ANSWER, "Mx.example.com", DNS_A);
	packet_address(&p, "mx.Example.com", 300, "192.0.2.1");
	packet_address(&p, "mx.example.com", 200, "192.0.2.2");
	packet_address(&p, "other.example.com", 1, "192.0.2.3");
	parse("mx.example.com", DNS_A);
	cr_assert_eq(r.status, LOOKUP_FOUND);
	cr_expect_eq(r.ttl_s, 200);
	cr_expect_eq(nrecords(), 2);
	cr_expect_str_eq(addr_text(&record_at(1)->addr.sa, text), "192.0.2.2");
	cr_expect_not(r.is_authentic);
	packet_begin(&p, PACKET_ANSWER | PACKET_AD, "mx.example.com",
	    DNS_AAAA);
	packet_address(&p, "mx.example.com", 300, "2001:db8::1");
	parse("mx.example.com", DNS_AAAA);
	cr_expect_eq(nrecords(), 1);
	cr_expect(r.is_authentic);
	cr_expect_str_eq(addr_text(&record_at(0)->addr.sa, text),
	    "2001:db8::1");
}

Test(dns_packet, mx_records)
{
	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&p, "example.com", 300, 10, "MX.example.com");
	packet_mx(&p, "example.com", 300, 65535, "");
	/* no host has such a name: left out */
	packet_mx(&p, "example.com", 300, 5, "a b.example.com");
	parse("example.com", DNS_MX);
	cr_assert_eq(r.status, LOOKUP_FOUND);
	cr_assert_eq(nrecords(), 2);
	cr_expect_str_eq(record_at(0)->name, "mx.example.com");
	cr_expect_eq(record_at(0)->preference, 10);
	cr_expect_str_eq(record_at(1)->name, "");
	cr_expect_eq(record_at(1)->preference, 65535);
}

Test(dns_packet, records_of_which_none_can_be_used_are_there_all_the_same)
{
	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_MX);
	packet_mx(&p, "example.com", 300, 5, "a b.example.com");
	parse("example.com", DNS_MX);
	cr_expect_eq(r.status, LOOKUP_FOUND);
	cr_expect_eq(r.len, 0);
}

Test(dns_packet, other_records)
{
	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_TXT);
	packet_record(&p, 1, "example.com", DNS_TXT, 3, "\x03" "v=s\x00\x02"
	    "pf", 8);
	/* its strings are longer than it is */
	packet_record(&p, 1, "example.com", DNS_TXT, 3, "\x09" "abc", 4);
	parse("example.com", DNS_TXT);
	cr_assert_eq(nrecords(), 1);
	cr_expect_eq(record_at(0)->len, 5);
	cr_expect_eq(memcmp(record_at(0)->data, "v=spf", 5), 0);

	packet_begin(&p, PACKET_ANSWER, "_25._tcp.mx.example", DNS_TLSA);
	packet_record(&p, 1, "_25._tcp.mx.example", DNS_TLSA, 3,
	    "\x03\x01\x01" "hash", 7);
	packet_record(&p, 1, "_25._tcp.mx.example", DNS_TLSA, 3, "\x03", 1);
	parse("_25._tcp.mx.example", DNS_TLSA);
	cr_assert_eq(nrecords(), 1);
	cr_expect_eq(record_at(0)->tlsa.usage, 3);
	cr_expect_eq(record_at(0)->len, 4);

	packet_begin(&p, PACKET_ANSWER, "1.2.0.192.in-addr.arpa", DNS_PTR);
	/* RFC 2317: the name in between is that of no host */
	packet_named(&p, 1, "1.2.0.192.in-addr.arpa", DNS_CNAME, 3,
	    "1.0/25.2.0.192.in-addr.arpa");
	packet_named(&p, 1, "1.0/25.2.0.192.in-addr.arpa", DNS_PTR, 3,
	    "Host.example.com");
	parse("1.2.0.192.in-addr.arpa", DNS_PTR);
	cr_assert_eq(r.status, LOOKUP_FOUND);
	cr_expect_str_eq(record_at(0)->name, "host.example.com");
}

/* --- CNAME records -------------------------------------------------------- */

Test(dns_packet, a_chain_of_cname_records_in_any_order)
{
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_named(&p, 1, "b.example", DNS_CNAME, 50, "C.example");
	packet_address(&p, "c.example", 300, "192.0.2.1");
	packet_named(&p, 1, "a.example", DNS_CNAME, 100, "b.example");
	parse("a.example", DNS_A);
	cr_assert_eq(r.status, LOOKUP_FOUND);
	cr_expect_str_eq(r.alias, "c.example");
	cr_expect_eq(r.nchain, 2);
	cr_expect_eq(r.ttl_s, 50);
	cr_expect_eq(nrecords(), 1);
	cr_expect_not(r.is_alias_alone);
}

Test(dns_packet, a_chain_without_an_end_is_to_be_followed)
{
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_named(&p, 1, "a.example", DNS_CNAME, 100, "b.other");
	parse("a.example", DNS_A);
	cr_expect(r.is_alias_alone);
	cr_expect_str_eq(r.alias, "b.other");
	/* the name at its end does not exist, or has no such record */
	packet_soa(&p, "other", 300, 60);
	parse("a.example", DNS_A);
	cr_expect_not(r.is_alias_alone);
	cr_expect_eq(r.status, LOOKUP_NO_DATA);
	cr_expect_eq(r.ttl_s, 60);
	packet_begin(&p, PACKET_ANSWER | PACKET_NXDOMAIN, "a.example", DNS_A);
	packet_named(&p, 1, "a.example", DNS_CNAME, 100, "b.other");
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_NO_NAME);
}

Test(dns_packet, a_ring_of_cname_records)
{
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_named(&p, 1, "a.example", DNS_CNAME, 100, "b.example");
	packet_named(&p, 1, "b.example", DNS_CNAME, 100, "a.example");
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_TEMPORARY);
	cr_expect_leq(r.nchain, DNS_CHAIN_MAX);
}

/* --- negative answers ----------------------------------------------------- */

Test(dns_packet, no_such_name_and_no_such_record)
{
	packet_begin(&p, PACKET_ANSWER | PACKET_NXDOMAIN, "a.example", DNS_MX);
	packet_soa(&p, "example", 300, 900);
	parse("a.example", DNS_MX);
	cr_expect_eq(r.status, LOOKUP_NO_NAME);
	cr_expect_eq(r.ttl_s, 300);
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_MX);
	packet_soa(&p, "example", 300, 90);
	parse("a.example", DNS_MX);
	cr_expect_eq(r.status, LOOKUP_NO_DATA);
	cr_expect_eq(r.ttl_s, 90);
	/* RFC 2308 5: without a SOA record it is not kept */
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_MX);
	parse("a.example", DNS_MX);
	cr_expect_eq(r.status, LOOKUP_NO_DATA);
	cr_expect_eq(r.ttl_s, 0);
}

Test(dns_packet, what_is_no_answer)
{
	static const unsigned int flags[] = { PACKET_ANSWER | PACKET_SERVFAIL,
		PACKET_ANSWER | 5, PACKET_ANSWER | 0x0200, 0x0180,
		PACKET_ANSWER | 0x0800 };
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		packet_begin(&p, flags[i], "a.example", DNS_A);
		packet_address(&p, "a.example", 300, "192.0.2.1");
		parse("a.example", DNS_A);
		cr_expect_eq(r.status, LOOKUP_TEMPORARY, "%x", flags[i]);
		cr_expect_eq(r.len, 0);
	}
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_address(&p, "a.example", 300, "192.0.2.1");
	parse("b.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_TEMPORARY, "another name");
	parse("a.example", DNS_MX);
	cr_expect_eq(r.status, LOOKUP_TEMPORARY, "another type");
	/* a referral: the server does not look up names for others */
	packet_begin(&p, 0x8100, "a.example", DNS_A);
	packet_named(&p, 2, "example", DNS_NS, 300, "ns.example");
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_TEMPORARY);
}

/* --- bounds --------------------------------------------------------------- */

Test(dns_packet, a_ttl_with_the_first_bit_is_0)
{
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_address(&p, "a.example", 0x80000001u, "192.0.2.1");
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_FOUND);
	cr_expect_eq(r.ttl_s, 0);
}

Test(dns_packet, more_records_than_an_answer_holds)
{
	char name[64];
	unsigned int i;

	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_MX);
	for (i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "mx%u.a-rather-long-name.example",
		    i);
		packet_mx(&p, "example.com", 300, i, name);
	}
	parse("example.com", DNS_MX);
	cr_expect_eq(r.status, LOOKUP_TOO_MUCH);
	cr_expect_eq(r.len, 0);
	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_TXT);
	packet_txt(&p, "example.com", 300, LIM_LOOKUP_OCTETS);
	parse("example.com", DNS_TXT);
	cr_expect_eq(r.status, LOOKUP_TOO_MUCH);
	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_TXT);
	packet_txt(&p, "example.com", 300, LIM_LOOKUP_OCTETS - 100);
	parse("example.com", DNS_TXT);
	cr_expect_eq(r.status, LOOKUP_FOUND);
	/* of addresses some are enough */
	packet_begin(&p, PACKET_ANSWER, "example.com", DNS_A);
	for (i = 0; i < 900; i++)
		packet_address(&p, "example.com", 300, "192.0.2.1");
	parse("example.com", DNS_A);
	cr_expect_eq(r.status, LOOKUP_FOUND);
	cr_expect_eq(nrecords(), LIM_LOOKUP_ADDRESSES);
	/* more than any honest packet has */
	for (i = 0; i < 200; i++)
		packet_address(&p, "example.com", 300, "192.0.2.1");
	parse("example.com", DNS_A);
	cr_expect_eq(r.status, LOOKUP_TEMPORARY);
}

/* Each octet of a packet changed, and each length: what comes out is always an
 * answer. */
Test(dns_packet, no_octets_confuse_the_reader)
{
	struct packet_fixture whole;
	struct lookup_answer a;
	size_t i, k;
	static const unsigned char values[] = { 0, 1, 0x3f, 0x40, 0x80, 0xbf,
		0xc0, 0xff };

	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_MX);
	packet_named(&p, 1, "a.example", DNS_CNAME, 100, "b.example");
	packet_mx(&p, "b.example", 300, 10, "mx.example");
	packet_soa(&p, "example", 300, 900);
	whole = p;
	for (i = 0; i < whole.len; i++)
		for (k = 0; k < sizeof(values); k++) {
			p.o[i] = values[k];
			parse("a.example", DNS_MX);
			p.o[i] = whole.o[i];
			a = (struct lookup_answer){ .status = r.status,
				.records = r.records, .len = r.len };
			strcpy(a.alias, r.alias);
			cr_assert(lookup_answer_check(&a, LOOKUP_MX));
		}
	for (p.len = 0; p.len < whole.len; p.len++) {
		parse("a.example", DNS_MX);
		cr_expect_eq(r.status, LOOKUP_TEMPORARY, "%zu", p.len);
	}
}

static void
pointer(size_t at, size_t to)
{
	p.o[at] = (uint8_t)(0xc0 | to >> 8);
	p.o[at + 1] = (uint8_t)to;
}

/* A record of ${type} whose owner is a pointer. */
static void
record_with_pointer(size_t to, enum dns_type type, const void *data, size_t len)
{
	size_t at = p.len;

	packet_record(&p, 1, "", type, 1, data, len);
	memmove(p.o + at + 2, p.o + at + 1, p.len - at - 1);
	p.len++;
	pointer(at, to);
}

/* A row of pointers, each to the one before, and many names that begin at the
 * last of them. */
Test(dns_packet, chains_of_pointers_take_no_time)
{
	static const uint8_t zeros[16000];
	size_t row, i;

	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_record(&p, 1, "", DNS_TXT, 1, zeros, sizeof(zeros));
	row = p.len - sizeof(zeros);
	pointer(row, 12);
	for (i = 2; i < sizeof(zeros); i += 2)
		pointer(row + i, row + i - 2);
	for (i = 0; i < 900; i++)
		record_with_pointer(row + sizeof(zeros) - 2, DNS_A,
		    "\x7f\0\0\1", 4);
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_TEMPORARY);
	/* a few are as good as any name */
	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	packet_record(&p, 1, "", DNS_TXT, 1, zeros, 80);
	row = p.len - 80;
	pointer(row, 12);
	for (i = 2; i < 80; i += 2)
		pointer(row + i, row + i - 2);
	record_with_pointer(row + 78, DNS_A, "\x7f\0\0\1", 4);
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_FOUND);
}

Test(dns_packet, pointers_go_backwards)
{
	size_t at, i;

	packet_begin(&p, PACKET_ANSWER, "a.example", DNS_A);
	at = p.len;
	for (i = 0; i < 20; i++) {
		p.len = at;
		memset(p.o + 6, 0, 2);
		record_with_pointer(at + i, DNS_A, "\x7f\0\0\1", 4);
		parse("a.example", DNS_A);
		cr_expect_eq(r.status, LOOKUP_TEMPORARY, "%zu", i);
	}
	p.len = at;
	memset(p.o + 6, 0, 2);
	record_with_pointer(12, DNS_A, "\x7f\0\0\1", 4);
	parse("a.example", DNS_A);
	cr_expect_eq(r.status, LOOKUP_FOUND);
}
