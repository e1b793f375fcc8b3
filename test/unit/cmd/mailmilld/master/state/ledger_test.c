#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/role/vouch.h"
#include "core/util/addr.h"

static struct ledger *l;
static struct tally listener, service;

static void
setup(void)
{
	l = ledger_create();
	cr_assert_not_null(l);
	listener.n = service.n = 0;
}

static void
teardown(void)
{
	ledger_free(l);
}

TestSuite(ledger, .init = setup, .fini = teardown);

static struct sockaddr_in
v4(const char *text, unsigned int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };

	cr_assert(inet_pton(AF_INET, text, &in.sin_addr) == 1);
	return in;
}

static uint64_t
add(struct book *b, const char *client)
{
	struct sockaddr_in in = v4(client, 4711);
	uint64_t handle = 0;

	cr_assert(book_add(b, (struct sockaddr *)&in, LEDGER_DIRECT, &listener, &service,
	    &handle) == 0);
	return handle;
}

static unsigned int
clients(const char *client)
{
	struct sockaddr_in in = v4(client, 1);

	return ledger_clients(l, (struct sockaddr *)&in, LEDGER_DIRECT);
}

Test(ledger, counts_go_up_and_down_together)
{
	struct book *b = book_open(l, 10);
	uint64_t h1 = add(b, "192.0.2.1"), h2 = add(b, "192.0.2.1");

	cr_assert(h1 != 0 && h2 != 0 && h1 != h2);
	cr_assert(ledger_sessions(l) == 2 && book_sessions(b) == 2);
	cr_assert(listener.n == 2 && service.n == 2);
	cr_assert(clients("192.0.2.1") == 2 && clients("192.0.2.2") == 0);
	cr_assert(book_remove(b, h1) == 0 && book_remove(b, h2) == 0);
	cr_assert(ledger_sessions(l) == 0 && book_sessions(b) == 0);
	cr_assert(listener.n == 0 && service.n == 0);
	cr_assert(clients("192.0.2.1") == 0);
	book_close(b);
}

Test(ledger, what_each_worker_has_is_counted)
{
	struct book *b1 = book_open(l, 10), *b2 = book_open(l, 10);
	uint64_t h1 = add(b1, "192.0.2.1"), h2 = add(b2, "192.0.2.1");
	struct sockaddr_in in = v4("192.0.2.1", 1);
	const struct tally *t;

	(void)add(b2, "192.0.2.1");
	(void)add(b2, "192.0.2.2");
	t = ledger_tally(l, (struct sockaddr *)&in, LEDGER_DIRECT);
	cr_assert(t != NULL && t->n == 3);
	cr_expect(tally_of(t, b1) == 1 && tally_of(t, b2) == 2);
	cr_expect(tally_of(&listener, b1) == 1 && tally_of(&listener, b2) == 3);
	cr_expect_eq(tally_of(&service, b2), 3);
	cr_assert(book_remove(b1, h1) == 0 && book_remove(b2, h2) == 0);
	cr_expect(t->n == 1 && tally_of(t, b1) == 0 && tally_of(t, b2) == 1);
	cr_expect(tally_of(&listener, b1) == 0 && tally_of(&listener, b2) == 2);
	/* a worker that dies */
	book_close(b2);
	cr_expect_null(ledger_tally(l, (struct sockaddr *)&in, LEDGER_DIRECT));
	cr_expect(SLIST_EMPTY(&listener.parts) && SLIST_EMPTY(&service.parts));
	cr_expect_eq(tally_of(NULL, b1), 0);
	book_close(b1);
}

Test(ledger, a_handle_ends_once)
{
	struct book *b = book_open(l, 10);
	uint64_t h = add(b, "192.0.2.1");

	cr_assert(book_remove(b, h) == 0);
	cr_assert(book_remove(b, h) == -1 && errno == ENOENT);
	/* its index is used again, its name is not */
	cr_assert(add(b, "192.0.2.1") != h);
	cr_assert(book_remove(b, h) == -1);
	cr_assert(listener.n == 1);
	book_close(b);
}

Test(ledger, a_handle_that_was_never_given_out_ends_nothing)
{
	struct book *b = book_open(l, 10);

	add(b, "192.0.2.1");
	cr_assert(book_remove(b, 0) == -1);
	cr_assert(book_remove(b, UINT64_MAX) == -1);
	cr_assert(book_remove(b, (uint64_t)1 << 32) == -1);
	cr_assert(book_remove(b, (uint64_t)1 << 32 | 63) == -1);
	cr_assert(book_sessions(b) == 1);
	book_close(b);
}

Test(ledger, a_worker_that_dies_takes_its_sessions_with_it)
{
	struct book *a = book_open(l, 10), *b = book_open(l, 10);

	add(a, "192.0.2.1");
	add(a, "192.0.2.2");
	add(b, "192.0.2.1");
	book_close(a);
	cr_assert(ledger_sessions(l) == 1 && listener.n == 1);
	cr_assert(clients("192.0.2.1") == 1 && clients("192.0.2.2") == 0);
	book_close(b);
	book_close(NULL);
	cr_assert(ledger_sessions(l) == 0 && service.n == 0);
}

Test(ledger, a_full_worker_gets_no_more)
{
	struct book *b = book_open(l, 2);
	struct sockaddr_in in = v4("192.0.2.1", 1);
	uint64_t h;

	add(b, "192.0.2.1");
	add(b, "192.0.2.1");
	cr_assert(book_add(b, (struct sockaddr *)&in, LEDGER_DIRECT, &listener, &service, &h)
	    == -1 && errno == ENFILE);
	cr_assert(listener.n == 2 && clients("192.0.2.1") == 2);
	book_close(b);
}

Test(ledger, an_ipv4_client_is_the_same_over_ipv6)
{
	struct book *b = book_open(l, 2);
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	add(b, "192.0.2.1");
	cr_assert(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr)
	    == 1);
	cr_assert(ledger_clients(l, (struct sockaddr *)&in6, LEDGER_DIRECT) == 1);
	book_close(b);
}

Test(ledger, many_clients_and_sessions_are_counted_exactly)
{
	enum { N = 5000 };
	struct book *b = book_open(l, N);
	uint64_t *h = calloc(N, sizeof(*h));
	struct sockaddr_in in = { .sin_family = AF_INET };
	unsigned int i;

	for (i = 0; i < N; i++) {
		in.sin_addr.s_addr = htonl(0x0a000000 + i / 2);
		cr_assert(book_add(b, (struct sockaddr *)&in, LEDGER_DIRECT, &listener,
		    &service, &h[i]) == 0);
	}
	for (i = 0; i < N; i += 2) {
		in.sin_addr.s_addr = htonl(0x0a000000 + i / 2);
		cr_assert(ledger_clients(l, (struct sockaddr *)&in, LEDGER_DIRECT) == 2);
		cr_assert(book_remove(b, h[i]) == 0);
		cr_assert(ledger_clients(l, (struct sockaddr *)&in, LEDGER_DIRECT) == 1);
	}
	cr_assert(listener.n == N / 2 && ledger_sessions(l) == N / 2);
	book_close(b);
	cr_assert(ledger_sessions(l) == 0);
	free(h);
}

Test(ledger, the_worker_with_the_fewest_sessions_is_first)
{
	struct book *b[3] = { book_open(l, 9), book_open(l, 9),
		book_open(l, 9) };
	unsigned int rotor = 0, i;

	add(b[0], "192.0.2.1");
	add(b[0], "192.0.2.1");
	add(b[1], "192.0.2.1");
	add(b[2], "192.0.2.1");
	add(b[2], "192.0.2.1");
	cr_assert(book_pick(b, 3, &rotor) == 1);
	for (i = 0; i < 3; i++)
		book_close(b[i]);
}

Test(ledger, a_handle_says_nothing_of_the_next_one)
{
	struct book *b = book_open(l, 1000);
	uint64_t h, last = 0;
	int i, near = 0;

	for (i = 0; i < 1000; i++, last = h) {
		h = add(b, "192.0.2.1");
		cr_assert_neq(h >> 32, 0);
		near += (h >> 32) - (last >> 32) + 1000 <= 2000;
	}
	cr_expect_leq(near, 2);
	book_close(b);
}

/* It gets a quarter more than its share, and no more. */
Test(ledger, one_whose_sessions_end_at_once_does_not_get_all)
{
	enum { N = 4, ROUNDS = 3840 };
	struct book *b[N];
	unsigned int rotor = 0, seen[N] = { 0 };
	uint64_t h;
	int i, at;

	for (i = 0; i < N; i++)
		b[i] = book_open(l, ROUNDS);
	for (i = 0; i < ROUNDS; i++) {
		cr_assert_neq(at = book_pick(b, N, &rotor), -1);
		seen[at]++;
		h = add(b[at], "192.0.2.1");
		if (at == 2)
			cr_assert_eq(book_remove(b[at], h), 0);
	}
	for (i = 0; i < N; i++) {
		if (i == 2)
			cr_expect_eq(seen[i], ROUNDS / N * 5 / 4, "%u",
			    seen[i]);
		else
			cr_expect_eq(seen[i], ROUNDS / N * 11 / 12, "%u",
			    seen[i]);
		book_close(b[i]);
	}
}

Test(ledger, one_that_is_full_leaves_its_share_to_the_others)
{
	struct book *b[2] = { book_open(l, 10), book_open(l, 1000) };
	unsigned int rotor = 0;
	int i, at;

	for (i = 0; i < 500; i++) {
		cr_assert_neq(at = book_pick(b, 2, &rotor), -1);
		add(b[at], "192.0.2.1");
	}
	cr_expect_eq(book_sessions(b[0]), 10);
	book_close(b[0]);
	book_close(b[1]);
}

Test(ledger, a_new_one_does_not_get_all_that_the_others_have_had)
{
	struct book *b[2] = { book_open(l, 1000), NULL };
	unsigned int rotor = 0;
	int i;

	for (i = 0; i < 50; i++)
		add(b[book_pick(b, 2, &rotor)], "192.0.2.1");
	b[1] = book_open(l, 1000);
	for (i = 0; i < 64; i++)
		add(b[book_pick(b, 2, &rotor)], "192.0.2.1");
	/* a quarter above its share, and two of a round that it came into */
	cr_expect_leq(book_sessions(b[1]), 42);
	cr_expect_geq(book_sessions(b[1]), 39);
	book_close(b[0]);
	book_close(b[1]);
}

static void
add_many(struct book *b, int n)
{
	while (n-- > 0)
		add(b, "192.0.2.1");
}

Test(ledger, one_that_is_well_above_most_others_is_passed_over)
{
	enum { N = 4 };
	static const struct {
		int		 have[N];	/* -1: no such worker */
		unsigned int	 picked[N];	/* of a round: 8 for each worker */
	} rows[] = {
		{ { 9, 9, 9, 99 }, { 11, 11, 10, 0 } },
		{ { 9, 9, 9, 28 }, { 10, 10, 10, 2 } },
		{ { 0, 0, 0, 16 }, { 10, 10, 10, 2 } },
		/* what one or two of them say is not enough */
		{ { 0, 99, 99, 99 }, { 10, 8, 7, 7 } },
		{ { 0, 0, 99, 99 }, { 10, 10, 6, 6 } },
		{ { -1, 0, -1, 99 }, { 0, 10, 0, 6 } },
		{ { -1, 0, 0, 99 }, { 0, 12, 12, 0 } },
		/* those that have room are better than nobody */
		{ { 200, 200, 200, 99 }, { 0, 0, 0, 32 } },
		{ { -1, -1, -1, 99 }, { 0, 0, 0, 8 } },
	};
	size_t row;
	int i, n;

	for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		struct book *b[N] = { NULL };
		unsigned int rotor = 0, picked[N] = { 0 };

		/* at the begin of a round */
		ledger_free(l);
		l = ledger_create();
		for (i = n = 0; i < N; i++)
			if (rows[row].have[i] != -1) {
				n += 8;
				b[i] = book_open(l, 200);
				add_many(b[i], rows[row].have[i]);
			}
		for (i = 0; i < n; i++)
			picked[book_pick(b, N, &rotor)]++;
		for (i = 0; i < N; i++) {
			cr_expect_eq(picked[i], rows[row].picked[i],
			    "row %zu, %d: %u", row, i, picked[i]);
			book_close(b[i]);
		}
	}
}

/* A client that opens two connections at a time and keeps one. */
Test(ledger, a_client_cannot_keep_all_its_sessions_in_one_worker)
{
	struct book *b[2] = { book_open(l, 1000), book_open(l, 1000) };
	unsigned int rotor = 0;
	uint64_t h;
	int i, at;

	for (i = 0; i < 200; i++) {
		at = book_pick(b, 2, &rotor);
		h = add(b[at], "192.0.2.1");
		if (i % 2 == 1)
			cr_assert_eq(book_remove(b[at], h), 0);
	}
	cr_expect_eq(book_sessions(b[0]), 50);
	cr_expect_eq(book_sessions(b[1]), 50);
	book_close(b[0]);
	book_close(b[1]);
}

Test(ledger, equals_take_turns)
{
	struct book *b[3] = { book_open(l, 9), book_open(l, 9),
		book_open(l, 9) };
	unsigned int rotor = 0, seen[3] = { 0 }, i;

	for (i = 0; i < 9; i++)
		seen[book_pick(b, 3, &rotor)]++;
	cr_assert(seen[0] == 3 && seen[1] == 3 && seen[2] == 3);
	for (i = 0; i < 3; i++)
		book_close(b[i]);
}

Test(ledger, full_and_missing_workers_are_not_picked)
{
	struct book *b[3] = { book_open(l, 1), NULL, book_open(l, 1) };
	unsigned int rotor = 0;

	add(b[0], "192.0.2.1");
	cr_assert(book_pick(b, 3, &rotor) == 2);
	add(b[2], "192.0.2.1");
	cr_assert(book_pick(b, 3, &rotor) == -1);
	cr_assert(book_pick(b, 0, &rotor) == -1);
	book_close(b[0]);
	book_close(b[2]);
}

/* --- who is one client ---------------------------------------------------- */

static union addr
address(const char *text)
{
	union addr a = { .sa.sa_family = AF_INET };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
		return a;
	a.in6.sin6_family = AF_INET6;
	cr_assert_eq(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1, "%s", text);
	return a;
}

Test(ledger, a_client_is_an_ipv4_address_or_an_ipv6_network)
{
	static const struct {
		const char	*a, *b;
		bool		 is_same;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "192.0.2.1", "::ffff:192.0.2.1", true },
		{ "2001:db8:0:1::1", "2001:db8:0:1::2", true },
		{ "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", false },
		{ "2001:db8::1", "2001:db9::1", false },
		/* RFC 6052 2.1: IPv4 clients behind a translator */
		{ "64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false },
		{ "64:ff9b::192.0.2.1", "192.0.2.1", true },
		{ "::1", "::2", true },
		{ "::1", "0.0.0.1", false },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		union addr a = address(rows[i].a), b = address(rows[i].b);
		struct book *book = book_open(l, 10);
		uint64_t h;

		cr_assert_eq(book_add(book, &a.sa, LEDGER_DIRECT, &listener,
		    &service, &h), 0);
		cr_expect_eq(ledger_clients(l, &b.sa, LEDGER_DIRECT),
		    rows[i].is_same, "%s %s", rows[i].a, rows[i].b);
		book_close(book);
	}
}

Test(ledger, a_client_of_a_unix_socket_is_an_account)
{
	struct book *book = book_open(l, 10);
	union addr a, b, none = { .sa.sa_family = AF_UNIX };
	uint64_t h[3];
	size_t i;

	for (i = 0; i < 3; i++) {
		addr_local(&a, i < 2 ? 1000 : 0);
		cr_assert_eq(book_add(book, &a.sa, LEDGER_DIRECT, &listener,
		    &service, &h[i]), 0);
	}
	addr_local(&a, 1000);
	addr_local(&b, 0);
	cr_expect_eq(ledger_clients(l, &a.sa, LEDGER_DIRECT), 2);
	cr_expect_eq(ledger_clients(l, &b.sa, LEDGER_DIRECT), 1);
	cr_expect_eq(ledger_clients(l, &none.sa, LEDGER_DIRECT), 0);
	cr_expect(book_is_from(book, h[0], &a.sa, LEDGER_DIRECT));
	cr_expect_not(book_is_from(book, h[0], &b.sa, LEDGER_DIRECT));
	/* a proxy whose header names nobody is the client itself */
	cr_assert_eq(book_add(book, &b.sa, LEDGER_PROXY, &listener, &service,
	    &h[0]), 0);
	cr_assert_eq(book_asked(book, h[0], 0), 0);
	cr_assert_eq(book_proxied(book, h[0], &b.sa), 0);
	cr_expect_eq(ledger_clients(l, &b.sa, LEDGER_PROXIED), 1);
	cr_expect_eq(ledger_clients(l, &b.sa, LEDGER_PROXY), 0);
	book_close(book);
}

Test(ledger, a_session_behind_a_proxy_counts_for_the_client_that_it_names)
{
	union addr proxy = address("192.0.2.1"), client = address("2001:db8::1");
	struct book *b = book_open(l, 10);
	uint64_t h[2], direct = add(b, "192.0.2.1");
	int i;

	for (i = 0; i < 2; i++)
		cr_assert_eq(book_add(b, &proxy.sa, LEDGER_PROXY, &listener,
		    &service, &h[i]), 0);
	cr_assert_eq(ledger_clients(l, &proxy.sa, LEDGER_PROXY), 2);
	cr_assert_eq(clients("192.0.2.1"), 1);
	cr_assert_eq(book_asked(b, h[0], 0), 0);
	cr_assert(book_asked(b, h[0], 0) == -1 && errno == EALREADY);
	cr_assert(book_asked(b, direct, 0) == -1 && errno == EALREADY);
	cr_assert(book_asked(b, 0, 0) == -1 && errno == ENOENT);
	cr_assert_eq(book_proxied(b, h[0], &client.sa), 0);
	cr_assert_eq(ledger_clients(l, &proxy.sa, LEDGER_PROXY), 1);
	cr_assert_eq(ledger_clients(l, &client.sa, LEDGER_PROXIED), 1);
	/* a worker that lies about it makes no direct client have more */
	cr_assert_eq(ledger_clients(l, &client.sa, LEDGER_DIRECT), 0);
	cr_assert(book_listener(b, h[0]) == &listener);
	cr_assert_null(book_listener(b, 0));
	/* once only, for no session of another kind, for none that has ended */
	cr_assert(book_proxied(b, h[0], &proxy.sa) == -1 && errno == EALREADY);
	cr_assert(book_proxied(b, direct, &proxy.sa) == -1 &&
	    errno == EALREADY);
	cr_assert_eq(book_remove(b, h[0]), 0);
	cr_assert_eq(ledger_clients(l, &client.sa, LEDGER_PROXIED), 0);
	cr_assert(book_proxied(b, h[0], &proxy.sa) == -1 && errno == ENOENT);
	cr_assert_eq(book_proxied(b, h[1], &client.sa), 0);
	book_close(b);
	cr_assert_eq(ledger_clients(l, &client.sa, LEDGER_PROXIED), 0);
}

Test(ledger, a_client_that_may_speak_for_others_names_them_any_number_of_times)
{
	union addr proxy = address("192.0.2.1"), a = address("192.0.2.7"),
	    unknown = { .sa.sa_family = AF_UNSPEC };
	struct book *b = book_open(l, 10);
	uint64_t direct = add(b, "192.0.2.2"), proxied;

	cr_assert_eq(book_add(b, &proxy.sa, LEDGER_PROXY, &listener, &service,
	    &proxied), 0);
	cr_assert(book_may_name(b, 0, true) == -1 && errno == ENOENT);
	cr_assert_eq(book_may_name(b, direct, true), 0);
	/* the other session may not */
	cr_assert_eq(book_asked(b, proxied, 0), 0);
	cr_assert_eq(book_proxied(b, proxied, &a.sa), 0);
	cr_assert(book_asked(b, proxied, 0) == -1 && errno == EACCES);
	cr_assert_eq(book_asked(b, direct, 0), 0);
	cr_assert_eq(book_proxied(b, direct, &a.sa), 0);
	cr_assert_eq(clients("192.0.2.2"), 0);
	cr_assert_eq(clients("192.0.2.7"), 0);
	cr_assert_eq(ledger_clients(l, &a.sa, LEDGER_PROXIED), 2);
	cr_assert_eq(book_asked(b, direct, 0), 0);
	/* it is not known whose it is: it stays counted */
	cr_assert_eq(book_proxied(b, direct, &unknown.sa), 0);
	cr_assert_eq(ledger_clients(l, &a.sa, LEDGER_PROXIED), 2);
	cr_assert_eq(ledger_clients(l, &unknown.sa, LEDGER_PROXIED), 0);
	/* the new client may not */
	cr_assert_eq(book_may_name(b, direct, false), 0);
	cr_assert(book_asked(b, direct, 0) == -1 && errno == EACCES);
	cr_assert_eq(book_remove(b, direct), 0);
	cr_assert_eq(ledger_clients(l, &a.sa, LEDGER_PROXIED), 1);
	/* the client that gets its place next may not either */
	direct = add(b, "192.0.2.2");
	cr_assert(book_asked(b, direct, 0) == -1 && errno == EALREADY);
	book_close(b);
}

/* An old worker may have options that let it, and the master new ones. */
Test(ledger, a_client_that_is_not_known_any_more_may_be_told_no)
{
	union addr unknown = { .sa.sa_family = AF_UNSPEC };
	struct book *b = book_open(l, 10);
	uint64_t direct = add(b, "192.0.2.2");

	cr_assert_eq(book_may_name(b, direct, true), 0);
	cr_assert_eq(book_asked(b, direct, 0), 0);
	cr_assert_eq(book_proxied(b, direct, &unknown.sa), 0);
	cr_assert_eq(clients("192.0.2.2"), 1);
	cr_assert_eq(book_may_name(b, direct, false), 0);
	cr_assert(book_asked(b, direct, 0) == -1 && errno == EACCES);
	book_close(b);
}

static struct vouch *
shown(const struct book *b)
{
	int fd = book_vouch_fd(b);
	struct vouch *v = vouch_attach(fd);

	cr_assert_not_null(v);
	close(fd);
	return v;
}

Test(ledger, authd_is_shown_what_was_counted)
{
	union addr proxy = address("192.0.2.1"), client = address("2001:db8::1");
	struct book *b = book_open(l, 10), *hidden = book_open(l, 10);
	struct vouched who;
	struct vouch *v;
	uint64_t h[3];
	int i;

	cr_assert(book_vouch_fd(hidden) == -1 && errno == ENOENT);
	cr_assert_eq(book_show(b), 0);
	v = shown(b);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(book_add(b, &proxy.sa, i == 0 ? LEDGER_DIRECT :
		    LEDGER_PROXY, &listener, &service, &h[i]), 0);
		cr_assert_eq(vouch_find(v, h[i], &who), VOUCH_NONE);
		book_vouch(b, h[i], 4, &proxy.sa);
		cr_assert_eq(vouch_find(v, h[i], &who), VOUCH_FOUND);
		cr_expect_eq(who.is_proxy, i > 0);
		cr_expect_eq(who.listener, 4);
		cr_expect(addr_is_same(vouched_client(&who), &proxy.sa));
	}
	/* not without the right to name somebody */
	cr_assert_eq(book_proxied(b, h[0], &client.sa), -1);
	cr_assert_eq(book_proxied(b, h[1], &client.sa), 0);
	cr_assert_eq(book_proxied(b, h[1], &proxy.sa), -1);
	cr_assert_eq(vouch_find(v, h[0], &who), VOUCH_FOUND);
	cr_expect_null(vouched_via(&who));
	cr_assert_eq(vouch_find(v, h[1], &who), VOUCH_FOUND);
	cr_expect(addr_is_same(vouched_client(&who), &client.sa));
	cr_expect(addr_is_same(vouched_via(&who), &proxy.sa));
	cr_assert_eq(book_remove(b, h[0]), 0);
	cr_expect_eq(vouch_find(v, h[0], &who), VOUCH_ENDED);
	cr_expect_eq(vouch_find(v, h[1], &who), VOUCH_FOUND);
	/* the worker dies */
	book_close(b);
	cr_expect_eq(vouch_find(v, h[1], &who), VOUCH_ENDED);
	cr_expect_eq(vouch_find(v, h[2], &who), VOUCH_ENDED);
	vouch_free(v);
	book_vouch(hidden, h[0], 0, &proxy.sa);
	book_close(hidden);
}

/* A worker that an attacker controls asks without end, or a client repeats
 * XCLIENT. */
Test(ledger, a_worker_names_clients_at_a_rate)
{
	struct book *b = book_open(l, 10), *other = book_open(l, 10);
	uint64_t h = add(b, "192.0.2.2"), first = add(b, "192.0.2.2"),
	    o = add(other, "192.0.2.2"), now_ms = 1000000;
	int i;

	cr_assert_eq(book_may_name(b, h, true), 0);
	cr_assert_eq(book_may_name(b, first, true), 0);
	cr_assert_eq(book_may_name(other, o, true), 0);
	for (i = 0; i < 1 + BOOK_AGAIN; i++)
		cr_assert_eq(book_asked(b, h, now_ms), 0, "%d", i);
	cr_assert(book_asked(b, h, now_ms) == -1 && errno == EAGAIN);
	/* sessions that were not named yet, and those of others, go on */
	cr_assert_eq(book_asked(b, first, now_ms), 0);
	cr_assert(book_asked(b, first, now_ms) == -1 && errno == EAGAIN);
	cr_assert_eq(book_asked(other, o, now_ms), 0);
	cr_assert_eq(book_asked(other, o, now_ms), 0);
	/* and this one in a while */
	for (i = 0; i < BOOK_AGAIN / 10; i++)
		cr_assert_eq(book_asked(b, h, now_ms + 100), 0, "%d", i);
	cr_assert(book_asked(b, h, now_ms + 100) == -1 && errno == EAGAIN);
	book_close(b);
	book_close(other);
}

/* A session of ${text} that may name others, and has done so once. */
static uint64_t
add_naming(struct book *b, const char *text, uint64_t now_ms)
{
	uint64_t h = add(b, text);

	cr_assert_eq(book_may_name(b, h, true), 0);
	cr_assert_eq(book_asked(b, h, now_ms), 0);
	return h;
}

/* How often the session may ask again now, up to ${most} times. */
static int
asks(struct book *b, uint64_t h, uint64_t now_ms, int most)
{
	int n = 0;

	while (n < most && book_asked(b, h, now_ms) == 0)
		n++;
	if (n < most)
		cr_assert_eq(errno, EAGAIN);
	return n;
}

/* Filters of mail, of which one is busy. */
Test(ledger, one_that_names_many_leaves_others_their_part)
{
	struct book *b = book_open(l, 1000);
	uint64_t now_ms = 1000000, busy = add_naming(b, "192.0.2.1", now_ms),
	    again = add_naming(b, "192.0.2.1", now_ms),
	    other = add_naming(b, "192.0.2.2", now_ms), third;

	/* alone it has all */
	cr_expect_eq(asks(b, busy, now_ms, 2 * BOOK_AGAIN), BOOK_AGAIN);
	/* its other sessions have the same part */
	cr_expect_eq(asks(b, again, now_ms, 1), 0);
	cr_expect_eq(asks(b, other, now_ms, 2 * BOOK_AGAIN), BOOK_AGAIN / 2);
	/* from then on both have as much */
	now_ms += 500;
	cr_expect_eq(asks(b, busy, now_ms, BOOK_AGAIN), BOOK_AGAIN / 4);
	cr_expect_eq(asks(b, other, now_ms, BOOK_AGAIN), BOOK_AGAIN / 4);
	/* who asks seldom is not kept waiting */
	third = add_naming(b, "192.0.2.3", now_ms);
	cr_expect_eq(asks(b, third, now_ms, 10), 10);
	/* and alone again */
	now_ms += 10000;
	cr_expect_eq(asks(b, busy, now_ms, 2 * BOOK_AGAIN), BOOK_AGAIN);
	now_ms += 500;
	cr_expect_eq(asks(b, busy, now_ms, 2 * BOOK_AGAIN), BOOK_AGAIN / 2);
	book_close(b);
}

Test(ledger, one_that_connects_again_has_no_new_part)
{
	struct book *b = book_open(l, 1000);
	uint64_t now_ms = 1000000, h = add_naming(b, "192.0.2.1", now_ms);
	int i;

	cr_assert_eq(asks(b, h, now_ms, BOOK_AGAIN + 1), BOOK_AGAIN);
	for (i = 0; i < 10; i++) {
		cr_assert_eq(book_remove(b, h), 0);
		h = add_naming(b, "192.0.2.1", now_ms);
		cr_expect_eq(asks(b, h, now_ms, 10), 0);
	}
	book_close(b);
}

/* More of them than have a place: none is refused before its time, and places of
 * those that have gone are used again. */
Test(ledger, many_that_name_others_have_parts_too)
{
	enum { N = 2 * BOOK_PEERS };
	struct book *b = book_open(l, 1000);
	uint64_t now_ms = 1000000, h[N];
	char text[32];
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++) {
			snprintf(text, sizeof(text), "198.51.%d.%d",
			    100 + round, i);
			h[i] = add_naming(b, text, now_ms);
		}
		for (i = 0; i < N; i++)
			cr_expect_geq(asks(b, h[i], now_ms, 1), i <
			    BOOK_PEERS || i - BOOK_PEERS <
			    BOOK_AGAIN / (BOOK_PEERS + 1), "%d", i);
		for (i = 0; i < N; i++)
			cr_assert_eq(book_remove(b, h[i]), 0);
		now_ms += 2000;
	}
	book_close(b);
}

/* Sessions of so many peers that none has a place of its own any more. */
static void
fill_places(struct book *b, int n, uint64_t now_ms)
{
	char text[32];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i);
		add_naming(b, text, now_ms);
	}
}

Test(ledger, a_place_is_kept_for_one_that_has_asked_just_now)
{
	struct book *b = book_open(l, 1000);
	uint64_t now_ms = 1000000, h = add_naming(b, "192.0.2.1", now_ms);

	cr_assert_eq(asks(b, h, now_ms, BOOK_AGAIN + 1), BOOK_AGAIN);
	cr_assert_eq(book_remove(b, h), 0);
	fill_places(b, BOOK_PEERS, now_ms);
	h = add_naming(b, "192.0.2.1", now_ms);
	cr_expect_eq(asks(b, h, now_ms, 10), 0);
	book_close(b);
}

Test(ledger, those_without_a_place_have_one_part)
{
	struct book *b = book_open(l, 1000);
	uint64_t now_ms = 1000000, h;

	fill_places(b, BOOK_PEERS, now_ms);
	h = add_naming(b, "192.0.2.1", now_ms);
	cr_assert_eq(asks(b, h, now_ms, BOOK_AGAIN + 1), BOOK_AGAIN);
	cr_assert_eq(book_remove(b, h), 0);
	h = add_naming(b, "192.0.2.1", now_ms);
	cr_expect_eq(asks(b, h, now_ms, 10), 0);
	cr_assert_eq(book_remove(b, h), 0);
	h = add_naming(b, "192.0.2.2", now_ms);
	cr_expect_eq(asks(b, h, now_ms, 10), 0);
	book_close(b);
}

/* A worker that an attacker controls says that a session is another filter's. */
Test(ledger, the_part_is_that_of_the_peer_that_has_connected)
{
	struct book *b = book_open(l, 1000);
	uint64_t now_ms = 1000000, h[2];
	char text[32];
	int i, n = 0;

	h[0] = add_naming(b, "192.0.2.1", now_ms);
	h[1] = add_naming(b, "192.0.2.1", now_ms);
	for (i = 0; i < 20; i++) {
		union addr named;

		snprintf(text, sizeof(text), "198.51.100.%d", i);
		named = address(text);
		cr_assert_eq(book_proxied(b, h[i % 2], &named.sa), 0);
		n += asks(b, h[i % 2], now_ms, BOOK_AGAIN);
	}
	cr_expect_eq(n, BOOK_AGAIN);
	book_close(b);
}

Test(ledger, refusals_of_a_client_make_a_line_in_a_while)
{
	struct book *b = book_open(l, 10);
	union addr a = address("192.0.2.1");
	struct log_bound *bound;
	int i;

	cr_assert_null(ledger_refusals(l, &a.sa, LEDGER_DIRECT));
	add(b, "192.0.2.1");
	bound = ledger_refusals(l, &a.sa, LEDGER_DIRECT);
	cr_assert_eq(log_bound_count(bound, 1000), 1);
	for (i = 0; i < 1000; i++)
		cr_assert_eq(log_bound_count(bound, 1000 + (uint64_t)i), 0);
	cr_assert_eq(log_bound_count(bound, 1000 + LOG_BOUND_MS), 1001);
	book_close(b);
}

static bool
is_direct(struct book *b, uint64_t handle, const struct sockaddr *sa)
{
	return book_is_from(b, handle, sa, LEDGER_DIRECT);
}

Test(ledger, a_session_is_from_the_client_that_has_connected)
{
	struct book *b = book_open(l, 10);
	struct sockaddr_in in = v4("192.0.2.1", 25), other = v4("192.0.2.2", 25);
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
	const struct sockaddr *sa = (struct sockaddr *)&in;
	uint64_t h = add(b, "192.0.2.1"), proxy;

	cr_assert(inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr));
	/* not the port, which says nothing */
	cr_expect(is_direct(b, h, sa));
	cr_expect(is_direct(b, h, (struct sockaddr *)&mapped));
	cr_expect_not(is_direct(b, h, (struct sockaddr *)&other));
	cr_expect_not(is_direct(b, 0, sa));
	cr_expect_not(is_direct(b, h + 1, sa));
	cr_expect_not(is_direct(b, h + (1ULL << 32), sa));
	/* a session behind a proxy is not one of a client that connects
	 * directly */
	cr_assert_eq(book_add(b, sa, LEDGER_PROXY, &listener, &service, &proxy),
	    0);
	cr_expect_not(is_direct(b, proxy, sa));
	cr_assert_eq(book_proxied(b, proxy, sa), 0);
	cr_expect_not(is_direct(b, proxy, sa));
	cr_expect(book_is_from(b, proxy, sa, LEDGER_PROXIED));
	cr_assert_eq(book_remove(b, h), 0);
	cr_expect_not(is_direct(b, h, sa));
	book_close(b);
}
