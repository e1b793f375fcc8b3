#include <netinet/in.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/util/addr.h"
#include "core/util/netmask.h"

static union {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
} addr;

static const struct sockaddr *
sockaddr_of(const char *text)
{
	memset(&addr, 0, sizeof(addr));
	if (strchr(text, ':') != NULL) {
		addr.in6.sin6_family = AF_INET6;
		cr_assert_eq(inet_pton(AF_INET6, text, &addr.in6.sin6_addr),
		    1, "%s", text);
	} else {
		addr.in.sin_family = AF_INET;
		cr_assert_eq(inet_pton(AF_INET, text, &addr.in.sin_addr), 1,
		    "%s", text);
	}
	return &addr.sa;
}

Test(netmask, matches_what_lies_inside)
{
	static const struct {
		const char *mask, *addr;
		bool matches;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.1.2", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "192.0.2.128/25", "192.0.2.255", true },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "192.0.2.1/32", "192.0.2.1", true },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "203.0.113.9", false },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "[::1]", "::1", true },
		{ "::1/128", "::2", false },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
		{ "::/0", "::ffff:10.1.2.3", false },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
		{ "::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false },
	};
	struct netmask nm;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(netmask_parse(cases[i].mask,
		    strlen(cases[i].mask), &nm), (int)strlen(cases[i].mask),
		    "%s", cases[i].mask);
		cr_expect_eq(netmask_match(&nm, sockaddr_of(cases[i].addr)),
		    cases[i].matches, "%s in %s", cases[i].addr,
		    cases[i].mask);
	}
}

Test(netmask, refuses_what_is_no_network)
{
	static const struct {
		const char *mask;
		int err;
	} cases[] = {
		{ "", EINVAL }, { "/8", EINVAL }, { "10.0.0.0/", EINVAL },
		{ "10.0.0/8", EINVAL }, { "10.0.0.0/x", EINVAL },
		{ "10.0.0.0/08", EINVAL }, { "10.0.0.0/8/8", EINVAL },
		{ "10.0.0.0/-1", EINVAL }, { "10.0.0.0/+8", EINVAL },
		{ "10.0.0.0/33", ERANGE }, { "::/129", ERANGE },
		{ "::/1280", EINVAL }, { "10.0.0.1/8", EDOM },
		{ "2001:db8::1/32", EDOM }, { "[10.0.0.1]", EINVAL },
		{ "[::1", EINVAL }, { "mx.example", EINVAL },
		{ "[]", EINVAL }, { "10.0.0.0 /8", EINVAL },
		{ "1111:1111:1111:1111:1111:1111:1111:1111:1111", EINVAL },
	};
	struct netmask nm;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		cr_expect_eq(netmask_parse(cases[i].mask,
		    strlen(cases[i].mask), &nm), -1, "%s", cases[i].mask);
		cr_expect_eq(errno, cases[i].err, "%s: %d", cases[i].mask,
		    errno);
	}
}

Test(netmask, reads_no_further_than_told)
{
	struct netmask nm;

	cr_assert_eq(netmask_parse("0.0.0.0/16", 9, &nm), 9);
	cr_expect_eq(nm.bits, 1);	/* only "0.0.0.0/1" */
}

Test(netmask, other_families_never_match)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct netmask nm;

	cr_assert_eq(netmask_parse("0.0.0.0/0", 9, &nm), 9);
	cr_expect_not(netmask_match(&nm, &sa));
}

Test(netmask, a_network_contains_its_parts)
{
	static const struct {
		const char *outer, *inner;
		bool contains;
	} cases[] = {
		{ "10.0.0.0/8", "10.1.0.0/16", true },
		{ "10.1.0.0/16", "10.0.0.0/8", false },
		{ "10.0.0.0/8", "10.0.0.0/8", true },
		{ "10.0.0.0/8", "11.0.0.0/16", false },
		{ "0.0.0.0/0", "::/0", false },
		{ "::/0", "::1", true },
		{ "unix", "unix:1000", true },
		{ "unix:1000", "unix", false },
		{ "unix:1000", "unix:1001", false },
		{ "unix", "10.0.0.0/8", false },
		{ "0.0.0.0/0", "unix:1000", false },
	};
	struct netmask outer, inner;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		netmask_parse(cases[i].outer, strlen(cases[i].outer), &outer);
		netmask_parse(cases[i].inner, strlen(cases[i].inner), &inner);
		cr_expect_eq(netmask_contains(&outer, &inner),
		    cases[i].contains, "%s in %s", cases[i].inner,
		    cases[i].outer);
	}
}

Test(netmask, all_clients_of_unix_sockets_or_one_account)
{
	static const struct { const char *mask; uint32_t uid; bool matches; }
	cases[] = {
		{ "unix", 0, true }, { "UNIX", 1000, true },
		{ "unix:0", 0, true }, { "unix:1000", 1000, true },
		{ "Unix:4294967294", 4294967294u, true },
		{ "unix:1000", 1001, false }, { "unix:0", 1, false },
		{ "0.0.0.0/0", 0, false }, { "::/0", 1000, false },
	};
	static const struct { const char *mask; int err; } bad[] = {
		{ "unix:", EINVAL }, { "unix:root", EINVAL },
		{ "unix:-1", EINVAL }, { "unix:01", EINVAL },
		{ "unix:1000/32", EINVAL }, { "unix/0", EINVAL },
		{ "unix:1 ", EINVAL }, { "unixx", EINVAL }, { "uni", EINVAL },
		{ "[unix]", EINVAL }, { "unix:4294967295", ERANGE },
		{ "unix:99999999999999999999999999", ERANGE },
	};
	struct sockaddr none = { .sa_family = AF_UNIX };
	struct netmask nm;
	union addr a;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(netmask_parse(cases[i].mask,
		    strlen(cases[i].mask), &nm), (int)strlen(cases[i].mask));
		addr_local(&a, cases[i].uid);
		cr_expect_eq(netmask_match(&nm, &a.sa), cases[i].matches, "%s",
		    cases[i].mask);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(netmask_parse(bad[i].mask, strlen(bad[i].mask),
		    &nm), -1, "%s", bad[i].mask);
		cr_expect_eq(errno, bad[i].err, "%s", bad[i].mask);
	}
	/* one whose account is not known */
	cr_assert_neq(netmask_parse("unix", 4, &nm), -1);
	cr_expect(netmask_match(&nm, &none));
	cr_expect_not(netmask_match(&nm, NULL));
	cr_assert_neq(netmask_parse("unix:0", 6, &nm), -1);
	cr_expect_not(netmask_match(&nm, &none));
	cr_expect_not(netmask_match(&nm, NULL));
}
