#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "core/util/addr.h"

static union addr
v4(const char *text, in_port_t port)
{
	union addr a;

	memset(&a, 0, sizeof(a));
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(port);
	cr_assert_eq(inet_pton(AF_INET, text, &a.in.sin_addr), 1, "%s", text);
	return a;
}

static union addr
v6(const char *text, in_port_t port, uint32_t scope)
{
	union addr a;

	memset(&a, 0, sizeof(a));
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	a.in6.sin6_scope_id = scope;
	cr_assert_eq(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1, "%s",
	    text);
	return a;
}

Test(addr, text_of_both_families)
{
	char buf[ADDR_TEXT], port[ADDR_PORT_TEXT];
	const struct {
		union addr a;
		const char *text, *port;
	} cases[] = {
		{ v4("192.0.2.1", 25), "192.0.2.1", "192.0.2.1:25" },
		{ v4("0.0.0.0", 0), "0.0.0.0", "0.0.0.0:0" },
		{ v6("2001:db8::1", 587, 0), "2001:db8::1",
		    "[2001:db8::1]:587" },
		{ v6("::", 65535, 0), "::", "[::]:65535" },
		/* RFC 4291 2.5.5.2: IPv4 mapped into IPv6 is IPv4 */
		{ v6("::ffff:192.0.2.1", 25, 0), "192.0.2.1", "192.0.2.1:25" },
		/* RFC 4291 2.5.5.1: compatible, not mapped */
		{ v6("::192.0.2.1", 25, 0), "::192.0.2.1",
		    "[::192.0.2.1]:25" },
		{ v6("::fffe:c000:201", 25, 0), "::fffe:c000:201",
		    "[::fffe:c000:201]:25" },
		/* RFC 4007 11: a scope is of no use to anybody else */
		{ v6("fe80::1", 25, 7), "fe80::1", "[fe80::1]:25" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(addr_text(&cases[i].a.sa, buf), buf);
		cr_expect_str_eq(buf, cases[i].text);
		cr_expect_eq(addr_port_text(&cases[i].a.sa, port), port);
		cr_expect_str_eq(port, cases[i].port);
	}
}

Test(addr, each_octet_of_ipv4_is_written_as_inet_ntop_does)
{
	char buf[ADDR_TEXT], want[ADDR_TEXT];
	union addr a = v4("198.51.100.7", 25);
	unsigned char *octets = (unsigned char *)&a.in.sin_addr;
	unsigned int i, n;

	for (i = 0; i < 4; i++)
		for (n = 0; n <= 255; n++) {
			octets[i] = (unsigned char)n;
			inet_ntop(AF_INET, octets, want, sizeof(want));
			cr_assert_str_eq(addr_text(&a.sa, buf), want);
		}
}

Test(addr, the_longest_texts_fit)
{
	union addr a = v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 0);
	char buf[ADDR_TEXT + 1], port[ADDR_PORT_TEXT + 1];

	buf[ADDR_TEXT] = port[ADDR_PORT_TEXT] = 'x';
	cr_expect_str_eq(addr_text(&a.sa, buf),
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	cr_expect_str_eq(addr_port_text(&a.sa, port),
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	cr_expect_eq(buf[ADDR_TEXT], 'x');
	cr_expect_eq(port[ADDR_PORT_TEXT], 'x');
	/* what inet_ntop(3) writes in a longer form than hexadecimal */
	a = v6("::255.255.255.255", 65535, 0);
	cr_expect_str_eq(addr_port_text(&a.sa, port),
	    "[::255.255.255.255]:65535");
}

Test(addr, another_family_has_no_address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "x" };
	const struct sockaddr *sa = (const struct sockaddr *)&un;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	char buf[ADDR_TEXT], port[ADDR_PORT_TEXT];
	union addr a = v4("192.0.2.1", 25);
	int family;

	cr_expect_null(addr_octets(sa, &family));
	cr_expect_null(addr_octets(&none, &family));
	cr_expect_null(addr_octets(NULL, &family));
	cr_expect_str_eq(addr_text(sa, buf), "unknown");
	cr_expect_str_eq(addr_text(NULL, buf), "unknown");
	cr_expect_str_eq(addr_port_text(&none, port), "unknown");
	cr_expect_str_eq(addr_port_text(NULL, port), "unknown");
	cr_expect_eq(addr_port(sa), 0);
	cr_expect_eq(addr_port(NULL), 0);
	addr_copy(&a.sa, sa);
	cr_expect_eq(a.sa.sa_family, AF_UNSPEC);
	a = v4("192.0.2.1", 25);
	addr_copy(&a.sa, NULL);
	cr_expect_eq(a.sa.sa_family, AF_UNSPEC);
}

Test(addr, a_copy_keeps_address_port_and_scope)
{
	union addr from = v6("fe80::1", 25, 7), to;

	addr_copy(&to.sa, &from.sa);
	cr_expect_arr_eq(&to, &from, sizeof(to.in6));
	from = v4("192.0.2.1", 465);
	memset(&to, 0xff, sizeof(to));
	addr_copy(&to.sa, &from.sa);
	cr_expect_arr_eq(&to, &from, sizeof(to));
}

Test(addr, a_copy_makes_ipv4_of_mapped_ipv4_also_in_place)
{
	union addr a = v6("::ffff:192.0.2.1", 25, 3),
	    want = v4("192.0.2.1", 25);

	addr_copy(&a.sa, &a.sa);
	cr_expect_arr_eq(&a, &want, sizeof(want));
	cr_expect_eq(addr_len(&a.sa), sizeof(a.in));
	addr_copy(&a.sa, &a.sa);
	cr_expect_arr_eq(&a, &want, sizeof(want));
}

Test(addr, octets_need_no_alignment)
{
	union addr a = v6("2001:db8::1", 25, 0);
	_Alignas(8) unsigned char room[sizeof(a) + 2];
	const unsigned char *octets;
	int family;

	memcpy(room + 2, &a, sizeof(a));
	octets = addr_octets((const struct sockaddr *)(const void *)(room + 2),
	    &family);
	cr_assert_not_null(octets);
	cr_expect_eq(family, AF_INET6);
	cr_expect_arr_eq(octets, &a.in6.sin6_addr, 16);
}

Test(addr, octets_of_mapped_ipv4_are_those_of_ipv4)
{
	union addr a = v6("::ffff:192.0.2.1", 25, 0), b = v4("192.0.2.1", 25);
	const unsigned char *octets;
	int family;

	octets = addr_octets(&a.sa, &family);
	cr_assert_not_null(octets);
	cr_expect_eq(family, AF_INET);
	cr_expect_arr_eq(octets, &b.in.sin_addr, 4);
}

Test(addr, a_client_is_an_ipv4_address_or_a_64)
{
	static const struct { const char *a, *b; bool is_same; } rows[] = {
		{ "2001:db8:0:1::1", "2001:db8:0:1:ffff:2:3:4", true },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", false },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.1", true },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.2", false },
		{ "::ffff:192.0.2.1", "::1", false },
	};
	union addr a, b, c = v4("192.0.2.1", 25);
	unsigned char k[3][ADDR_NETWORK];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a = v6(rows[i].a, 25, 0);
		b = v6(rows[i].b, 26, 0);
		addr_network(&a.sa, k[0]);
		addr_network(&b.sa, k[1]);
		cr_expect_eq(memcmp(k[0], k[1], ADDR_NETWORK) == 0,
		    rows[i].is_same, "%s %s", rows[i].a, rows[i].b);
	}
	a = v6("::ffff:192.0.2.1", 27, 0);
	addr_network(&a.sa, k[0]);
	addr_network(&c.sa, k[1]);
	addr_network(NULL, k[2]);
	cr_expect_arr_eq(k[0], k[1], ADDR_NETWORK);
	cr_expect_neq(memcmp(k[0], k[2], ADDR_NETWORK), 0);
}

/* All of unknown address are one client, and no host is among them. */
Test(addr, an_unknown_address_is_in_no_network)
{
	static const char *const addresses[] = { "::", "::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"::ffff:0.0.0.0", "::ffff:255.255.255.255", "64:ff9b::" };
	union addr unknown = { .sa.sa_family = AF_UNSPEC }, a;
	unsigned char k[3][ADDR_NETWORK];
	size_t i;

	addr_network(&unknown.sa, k[0]);
	addr_network(NULL, k[1]);
	cr_expect_arr_eq(k[0], k[1], ADDR_NETWORK);
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		a = v6(addresses[i], 25, 0);
		addr_network(&a.sa, k[2]);
		cr_expect_neq(memcmp(k[0], k[2], ADDR_NETWORK), 0, "%s",
		    addresses[i]);
	}
}

Test(addr, one_address_is_the_same_in_both_families_with_any_port)
{
	const union addr a = v4("192.0.2.1", 25);
	const union addr b = v6("::ffff:192.0.2.1", 26, 0);
	const union addr c = v6("fe80::1", 25, 7), d = v6("fe80::1", 0, 8);
	const union addr e = v4("192.0.2.2", 25), f = v6("fe80::2", 25, 7);
	const union addr zero = v6("c000:201::", 25, 0);
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	const struct sockaddr *un = (const struct sockaddr *)&local;

	cr_expect(addr_is_same(&a.sa, &a.sa));
	cr_expect(addr_is_same(&a.sa, &b.sa));
	cr_expect(addr_is_same(&b.sa, &a.sa));
	cr_expect(addr_is_same(&c.sa, &d.sa));
	cr_expect_not(addr_is_same(&a.sa, &e.sa));
	cr_expect_not(addr_is_same(&b.sa, &e.sa));
	cr_expect_not(addr_is_same(&c.sa, &f.sa));
	cr_expect_not(addr_is_same(&a.sa, &c.sa));
	/* the same octets, of another family */
	cr_expect_not(addr_is_same(&a.sa, &zero.sa));
	cr_expect_not(addr_is_same(un, un));
	cr_expect_not(addr_is_same(NULL, NULL));
	cr_expect_not(addr_is_same(&a.sa, NULL));
}

Test(addr, a_text_is_read_back)
{
	static const char *const good[] = { "192.0.2.1:25", "0.0.0.0:0",
		"[2001:db8::1]:65535", "[::]:587" };
	static const char *const bad[] = { "", ":", ":25", "*:25", "192.0.2.1",
		"192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:000025",
		"192.0.2.1:-1", "192.0.2.1:+1", "192.0.2.1: 1", "192.0.2.1:1x",
		"192.0.2.1:18446744073709551641", "[192.0.2.1]:25",
		"2001:db8::1:25", "[2001:db8::1]", "[]:25", "[:25", "]:25",
		"[2001:db8::1:25", "[fe80::1%lo]:25", "x:25", "192.0.2:25",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:00]:25" };
	char text[ADDR_PORT_TEXT];
	union addr a;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(addr_parse(good[i], &a), 0, "%s", good[i]);
		cr_expect_str_eq(addr_port_text(&a.sa, text), good[i]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(addr_parse(bad[i], &a), -1, "%s", bad[i]);
}

static union addr
account(uint32_t uid)
{
	union addr a;

	memset(&a, 0xff, sizeof(a));
	addr_local(&a, uid);
	return a;
}

Test(addr, a_client_of_a_unix_socket_is_an_account)
{
	union addr a = account(1000), to;
	char buf[ADDR_TEXT], port[ADDR_PORT_TEXT];
	struct sockaddr_un un;
	uint32_t uid = 7;
	int family;

	cr_expect(addr_uid(&a.sa, &uid));
	cr_expect_eq(uid, 1000);
	cr_expect(addr_is_known(&a.sa));
	cr_expect_null(addr_octets(&a.sa, &family));
	cr_expect_eq(addr_port(&a.sa), 0);
	cr_expect_str_eq(addr_text(&a.sa, buf), "unix:1000");
	cr_expect_str_eq(addr_port_text(&a.sa, port), "unix:1000");
	memset(&to, 0xff, sizeof(to));
	addr_copy(&to.sa, &a.sa);
	cr_expect_arr_eq(&to, &a, sizeof(a));
	/* who takes it for a path prints nothing */
	memset(&un, 0, sizeof(un));
	memcpy(&un, &a, sizeof(a));
	cr_expect_eq(un.sun_family, AF_UNIX);
	cr_expect_str_eq(un.sun_path, "");
	a = account(4294967294u);
	cr_expect_str_eq(addr_text(&a.sa, buf), "unix:4294967294");
}

/* 0 is root, not nobody. */
Test(addr, a_unix_socket_without_an_account_is_no_client_that_is_known)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct sockaddr *sa = (const struct sockaddr *)&un;
	const union addr v4addr = v4("192.0.2.1", 25),
	    unknown = { .sa.sa_family = AF_UNSPEC }, root = account(0);
	uint32_t uid;

	cr_expect_not(addr_uid(sa, &uid));
	cr_expect_not(addr_is_known(sa));
	strcpy(un.sun_path, "/tmp/x");
	cr_expect_not(addr_uid(sa, &uid));
	cr_expect_not(addr_uid(NULL, &uid));
	cr_expect_not(addr_uid(&v4addr.sa, &uid));
	cr_expect_not(addr_uid(&unknown.sa, &uid));
	cr_expect(addr_is_known(&v4addr.sa));
	cr_expect_not(addr_is_known(&unknown.sa));
	cr_expect_not(addr_is_known(NULL));
	cr_expect(addr_is_known(&root.sa));
}

Test(addr, an_account_is_one_client_and_no_address)
{
	static const char *const addresses[] = { "::", "::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"ffff:ffff:ffff:ffff:101:101::", "::ffff:0.0.0.0",
		"::ffff:0.0.3.232", "64:ff9b::3e8" };
	/* the last one: of an account that this kernel cannot name */
	const uint32_t uids[] = { 0, 1, 1000, 4294967294u, 4294967295u };
	unsigned char k[2][ADDR_NETWORK];
	union addr a, b;
	size_t i, j;

	for (i = 0; i < sizeof(uids) / sizeof(uids[0]); i++) {
		a = account(uids[i]);
		addr_network(&a.sa, k[0]);
		addr_network(NULL, k[1]);
		cr_expect_neq(memcmp(k[0], k[1], ADDR_NETWORK), 0);
		for (j = 0; j < sizeof(uids) / sizeof(uids[0]); j++) {
			b = account(uids[j]);
			addr_network(&b.sa, k[1]);
			cr_expect_eq(memcmp(k[0], k[1], ADDR_NETWORK) == 0,
			    i == j);
		}
		for (j = 0; j < sizeof(addresses) / sizeof(addresses[0]); j++) {
			b = v6(addresses[j], 0, 0);
			addr_network(&b.sa, k[1]);
			cr_expect_neq(memcmp(k[0], k[1], ADDR_NETWORK), 0, "%s",
			    addresses[j]);
		}
	}
}

Test(addr, addresses_that_no_host_has)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{ "0.0.0.0", true }, { "0.255.255.255", true },
		{ "1.0.0.0", false }, { "127.0.0.1", false },
		{ "223.255.255.255", false }, { "224.0.0.0", true },
		{ "239.255.255.255", true }, { "255.255.255.255", true },
		{ "::", true }, { "::1", false }, { "ff02::1", true },
		{ "2001:db8::1", false }, { "::ffff:0.0.0.0", true },
		{ "::ffff:192.0.2.1", false }, { "::ffff:224.0.0.1", true },
	};
	union addr a;
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), strchr(cases[i].text, ':') == NULL ?
		    "%s:25" : "[%s]:25", cases[i].text);
		cr_assert_eq(addr_parse(text, &a), 0, "%s", text);
		cr_expect_eq(addr_is_no_host(&a.sa), cases[i].want, "%s", text);
	}
	a = account(0);
	cr_expect(addr_is_no_host(&a.sa));
	cr_expect(addr_is_no_host(NULL));
}
