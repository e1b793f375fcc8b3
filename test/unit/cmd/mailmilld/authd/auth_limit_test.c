#include <sys/mman.h>
#include <sys/stat.h>
#include <netinet/in.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/auth_limit.h"
#include "core/util/addr.h"

#define WINDOW_S	900
#define WINDOW_MS	(WINDOW_S * 1000ull)
#define START_MS	(7 * WINDOW_MS)	/* a window begins here */
#define DAY_MS		86400000ull

static union addr
addr(const char *text)
{
	union addr a;

	memset(&a, 0, sizeof(a));
	if (strncmp(text, "unix:", 5) == 0)
		addr_local(&a, (uint32_t)atoi(text + 5));
	else if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
		a.sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
		a.sa.sa_family = AF_INET6;
	else
		cr_assert_fail("address %s", text);
	return a;
}

static struct auth_limit *
limit_on(int fd, unsigned int client_max, unsigned int login_max,
    size_t entries)
{
	struct auth_limit_config c = { .client_max = client_max,
		.login_max = login_max, .window_s = WINDOW_S,
		.entries_max = entries };
	struct auth_limit *l = auth_limit_new(&c, fd);

	cr_assert_not_null(l);
	return l;
}

static struct auth_limit *
limit(unsigned int client_max, unsigned int login_max, size_t entries)
{
	int fd = auth_limit_memory(entries);
	struct auth_limit *l;

	cr_assert_neq(fd, -1);
	l = limit_on(fd, client_max, login_max, entries);
	close(fd);
	return l;
}

/* Of a client that has connected itself. */
static bool
begin(struct auth_limit *l, const union addr *peer, const char *login,
    uint64_t ms, struct auth_attempt *a)
{
	const struct auth_from from = { .client = &peer->sa };

	return auth_limit_begin(l, &from, login, ms, a);
}

/* A wrong password: was it looked at? */
static bool
fails(struct auth_limit *l, const char *client, const char *login, uint64_t ms)
{
	struct auth_attempt a;
	union addr peer = addr(client);

	return begin(l, &peer, login, ms, &a);
}

/* Number ${i} of those who come once, each with a name and an address of its
 * own, which goes to ${from_r}. */
static void
stranger_fails(struct auth_limit *l, unsigned int i, char from_r[64])
{
	char login[32];

	snprintf(from_r, 64, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
	snprintf(login, sizeof(login), "stranger%u", i);
	(void)fails(l, from_r, login, START_MS + i);
}

/* The right one: does it get in? */
static bool
succeeds(struct auth_limit *l, const char *client, const char *login,
    uint64_t ms)
{
	struct auth_attempt a;
	union addr peer = addr(client);

	if (!begin(l, &peer, login, ms, &a))
		return false;
	auth_limit_good(l, &a, ms);
	return true;
}

static unsigned int
delay(struct auth_limit *l, const char *client, const char *login, uint64_t ms)
{
	struct auth_attempt a;
	union addr peer = addr(client);

	(void)begin(l, &peer, login, ms, &a);
	return auth_limit_delay(l, &a, ms);
}

Test(auth_limit, a_client_that_fails_too_often_is_blocked_whatever_it_tries)
{
	struct auth_limit *l = limit(5, 0, 100);
	char login[16];
	int i;

	for (i = 0; i < 5; i++) {
		snprintf(login, sizeof(login), "user%d", i);
		cr_assert(fails(l, "192.0.2.1", login, START_MS));
	}
	cr_assert_not(succeeds(l, "192.0.2.1", "other", START_MS));
	cr_assert_not(fails(l, "192.0.2.1", NULL, START_MS));
	cr_assert(succeeds(l, "192.0.2.2", "other", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, a_login_that_is_tried_too_often_is_blocked_wherever_from)
{
	struct auth_limit *l = limit(0, 3, 100);

	cr_assert(fails(l, "192.0.2.1", "alice", START_MS));
	cr_assert(fails(l, "192.0.2.2", "Alice", START_MS));
	cr_assert(fails(l, "2001:db8::1", "ALICE", START_MS));
	cr_assert_not(fails(l, "192.0.2.4", "alice", START_MS));
	cr_assert(succeeds(l, "192.0.2.4", "bob", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, who_is_blocked_is_let_in_again_bit_by_bit)
{
	struct auth_limit *l = limit(4, 0, 100);
	int i;

	for (i = 0; i < 4; i++)
		cr_assert(fails(l, "192.0.2.1", "a", START_MS));
	cr_assert_not(fails(l, "192.0.2.1", "a", START_MS + WINDOW_MS - 1));
	/* the next window has just begun: all four still count */
	cr_assert_not(fails(l, "192.0.2.1", "a", START_MS + WINDOW_MS));
	cr_assert(fails(l, "192.0.2.1", "a", START_MS + WINDOW_MS +
	    WINDOW_MS / 4 + 1));
	cr_assert_not(fails(l, "192.0.2.1", "a", START_MS + WINDOW_MS +
	    WINDOW_MS / 4 + 2));
	for (i = 0; i < 4; i++)
		cr_assert(fails(l, "192.0.2.1", "a",
		    START_MS + 9 * WINDOW_MS));
	auth_limit_free(l);
}

Test(auth_limit, blocked_attempts_do_not_keep_the_block_up)
{
	struct auth_limit *l = limit(2, 0, 100);
	uint64_t ms = START_MS;

	cr_assert(fails(l, "192.0.2.1", "a", ms));
	cr_assert(fails(l, "192.0.2.1", "a", ms));
	while ((ms += 1000) < START_MS + WINDOW_MS)
		cr_assert_not(fails(l, "192.0.2.1", "a", ms));
	cr_assert(fails(l, "192.0.2.1", "a", START_MS + 2 * WINDOW_MS));
	auth_limit_free(l);
}

Test(auth_limit, many_attempts_at_once_are_bound_like_one_after_the_other)
{
	struct auth_limit *l = limit(10, 6, 100);
	struct auth_attempt a[50];
	union addr peer = addr("192.0.2.1");
	int i, n = 0;

	for (i = 0; i < 50; i++)
		n += begin(l, &peer, "alice", START_MS, &a[i]);
	cr_assert_eq(n, 6);
	auth_limit_free(l);
}

Test(auth_limit, many_successes_at_once_leave_nothing_behind)
{
	struct auth_limit *l = limit(10, 10, 100);
	struct auth_attempt a[10];
	union addr peer = addr("192.0.2.1");
	int round, i;

	/* the first makes the pair known while the others are under way */
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 10; i++)
			cr_assert(begin(l, &peer, "alice",
			    START_MS, &a[i]), "round %d: %d", round, i);
		for (i = 0; i < 10; i++)
			auth_limit_good(l, &a[i], START_MS + 1);
	}
	for (i = 0; i < 10; i++)
		cr_assert(fails(l, "192.0.2.1", "bob", START_MS + 2));
	cr_assert_not(fails(l, "192.0.2.1", "bob", START_MS + 2));
	auth_limit_free(l);
}

Test(auth_limit, without_a_verdict_nothing_counts_and_nothing_is_known)
{
	struct auth_limit *l = limit(2, 2, 100);
	struct auth_attempt a;
	union addr peer = addr("192.0.2.1");
	int i;

	for (i = 0; i < 20; i++) {
		cr_assert(begin(l, &peer, "alice", START_MS,
		    &a));
		auth_limit_unsure(l, &a);
		auth_limit_unsure(l, &a);
	}
	cr_assert(fails(l, "192.0.2.9", "alice", START_MS));
	cr_assert(fails(l, "192.0.2.9", "alice", START_MS));
	cr_assert_not(fails(l, "192.0.2.1", "alice", START_MS),
	    "the pair is not known");
	auth_limit_free(l);
}

Test(auth_limit, a_verdict_in_the_next_window_takes_back_what_the_last_counted)
{
	struct auth_limit *l = limit(1, 0, 100);
	struct auth_attempt a;
	union addr peer = addr("192.0.2.1");

	cr_assert(begin(l, &peer, "a", START_MS - 1, &a));
	cr_assert_not(fails(l, "192.0.2.1", "b", START_MS));
	auth_limit_unsure(l, &a);
	cr_assert(fails(l, "192.0.2.1", "b", START_MS + 1));
	auth_limit_free(l);
}

Test(auth_limit, who_fails_on_purpose_locks_out_nobody_who_has_been_there)
{
	struct auth_limit *l = limit(20, 10, 100);
	char from[32];
	int i;

	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS));
	for (i = 0; i < 200; i++) {
		snprintf(from, sizeof(from), "198.51.100.%d", i);
		(void)fails(l, from, "alice", START_MS);
	}
	cr_assert_not(succeeds(l, "192.0.2.8", "alice", START_MS + 1));
	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS + 1));
	/* nor from behind the same address */
	for (i = 0; i < 30; i++) {
		snprintf(from, sizeof(from), "mallory%d", i);
		(void)fails(l, "192.0.2.7", from, START_MS + 1);
	}
	cr_assert_not(succeeds(l, "192.0.2.7", "bob", START_MS + 1));
	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS + 1));
	auth_limit_free(l);
}

Test(auth_limit, a_known_client_is_bound_by_its_own_failures)
{
	struct auth_limit *l = limit(20, 3, 100);
	int i;

	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS));
	for (i = 0; i < 3; i++)
		cr_assert(fails(l, "192.0.2.7", "alice", START_MS));
	cr_assert_not(fails(l, "192.0.2.7", "alice", START_MS));
	/* and does not stay known for ever */
	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS + DAY_MS));
	for (i = 0; i < 3; i++)
		cr_assert(fails(l, "192.0.2.9", "alice",
		    START_MS + (AUTH_KNOWN_DAYS + 2) * DAY_MS));
	cr_assert_not(fails(l, "192.0.2.7", "alice",
	    START_MS + (AUTH_KNOWN_DAYS + 2) * DAY_MS));
	auth_limit_free(l);
}

Test(auth_limit, without_a_limit_on_logins_a_known_client_has_that_on_clients)
{
	struct auth_limit *l = limit(4, 0, 100);
	int i;

	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS));
	for (i = 0; i < 4; i++)
		cr_assert(fails(l, "192.0.2.7", "alice", START_MS));
	cr_assert_not(fails(l, "192.0.2.7", "alice", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, ipv6_counts_by_64_and_a_mapped_address_as_ipv4)
{
	struct auth_limit *l = limit(2, 0, 100);

	cr_assert(fails(l, "2001:db8:0:1::1", "a", START_MS));
	cr_assert(fails(l, "2001:db8:0:1:ffff:2:3:4", "b", START_MS));
	cr_assert_not(fails(l, "2001:db8:0:1:8::", "c", START_MS));
	cr_assert(fails(l, "2001:db8:0:2::1", "c", START_MS));
	cr_assert(fails(l, "::ffff:192.0.2.1", "a", START_MS));
	cr_assert(fails(l, "192.0.2.1", "a", START_MS));
	cr_assert_not(fails(l, "::ffff:192.0.2.1", "a", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, an_account_behind_a_unix_socket_is_one_client)
{
	struct auth_limit *l = limit(3, 0, 100);
	int i;

	for (i = 0; i < 3; i++)
		cr_assert(fails(l, "unix:1000", "alice", START_MS));
	cr_assert_not(fails(l, "unix:1000", "bob", START_MS));
	cr_assert(succeeds(l, "unix:1001", "bob", START_MS));
	cr_assert(succeeds(l, "unix:0", "bob", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, the_delay_doubles_up_to_its_bound_and_takes_the_worse)
{
	struct auth_limit *l = limit(0, 0, 100);
	unsigned int i, want = AUTH_DELAY_MIN_MS;

	for (i = 0; i < 12; i++) {
		cr_assert_eq(delay(l, "192.0.2.1", "alice", START_MS), want,
		    "failure %u", i);
		want = want * 2 > AUTH_DELAY_MAX_MS ? AUTH_DELAY_MAX_MS :
		    want * 2;
	}
	cr_assert_eq(delay(l, "192.0.2.2", "bob", START_MS),
	    AUTH_DELAY_MIN_MS);
	cr_assert_eq(delay(l, "192.0.2.3", "alice", START_MS),
	    AUTH_DELAY_MAX_MS);
	cr_assert_eq(delay(l, "192.0.2.1", NULL, START_MS),
	    AUTH_DELAY_MAX_MS);
	auth_limit_free(l);
}

Test(auth_limit, a_table_full_of_strangers_stays_bounded_and_forgets_none_at_work)
{
	struct auth_limit *l = limit(20, 10, 1024);
	char from[64];
	unsigned int i, guesses = 0;

	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS));
	/* each stranger comes once, with a name of its own; in between the one
	 * account is tried from ever new addresses */
	for (i = 0; i < 20000; i++) {
		stranger_fails(l, i, from);
		if (i % 40 == 0)
			guesses += fails(l, from, "alice", START_MS + i);
	}
	cr_assert_eq(guesses, 10);
	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS + i));
	auth_limit_free(l);
}

Test(auth_limit, what_failed_often_outlives_a_flood_of_new_names)
{
	struct auth_limit *l = limit(0, 5, 64);
	char from[64];
	unsigned int i;

	for (i = 0; i < 5; i++)
		cr_assert(fails(l, "192.0.2.1", "alice", START_MS));
	for (i = 0; i < 5000; i++) {
		stranger_fails(l, i, from);
	}
	cr_assert_not(fails(l, "192.0.2.1", "alice", START_MS + i));
	auth_limit_free(l);
}

Test(auth_limit, logins_of_any_length_and_any_octets_are_counted)
{
	struct auth_limit *l = limit(0, 1, 10);
	char name[2000];

	memset(name, 0xff, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	cr_assert(fails(l, "192.0.2.1", name, START_MS));
	cr_assert_not(fails(l, "192.0.2.1", name, START_MS));
	cr_assert(fails(l, "192.0.2.1", "", START_MS));
	cr_assert_not(fails(l, "192.0.2.1", "", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, a_table_of_one_entry_works)
{
	struct auth_limit *l = limit(1, 1, 1);

	cr_assert(fails(l, "192.0.2.1", "a", START_MS));
	cr_assert_not(fails(l, "192.0.2.1", "a", START_MS));
	cr_assert(fails(l, "192.0.2.2", "b", START_MS));
	auth_limit_free(l);
	auth_limit_free(NULL);
}

Test(auth_limit, a_configuration_without_entries_or_window_is_refused)
{
	struct auth_limit_config c = { .window_s = 1 };

	int fd = auth_limit_memory(1);

	cr_assert_null(auth_limit_new(&c, fd));
	c.entries_max = 1;
	c.window_s = 0;
	cr_assert_null(auth_limit_new(&c, fd));
	/* nor memory of another size, or none */
	c.window_s = 1;
	c.entries_max = 100;
	cr_assert_null(auth_limit_new(&c, fd));
	cr_assert_null(auth_limit_new(&c, -1));
	close(fd);
}

/* A reload, or an authd that has died. */
Test(auth_limit, the_next_process_goes_on_with_the_counters)
{
	int fd = auth_limit_memory(100), other = auth_limit_memory(100);
	struct auth_limit *l = limit_on(fd, 20, 3, 100), *next;
	int i;

	cr_assert(succeeds(l, "192.0.2.7", "alice", START_MS));
	for (i = 0; i < 3; i++)
		cr_assert(fails(l, "192.0.2.1", "alice", START_MS));
	next = limit_on(fd, 20, 3, 100);
	cr_assert_not(succeeds(next, "192.0.2.1", "alice", START_MS + 1));
	cr_assert(succeeds(next, "192.0.2.7", "alice", START_MS + 1));
	/* while the old one is still at work */
	for (i = 0; i < 3; i++)
		cr_assert(fails(next, "192.0.2.1", "bob", START_MS + 1));
	cr_assert_not(succeeds(l, "192.0.2.1", "bob", START_MS + 1));
	auth_limit_free(l);
	auth_limit_free(next);
	/* another server has another secret */
	l = limit_on(other, 20, 3, 100);
	cr_assert(succeeds(l, "192.0.2.1", "alice", START_MS + 1));
	auth_limit_free(l);
	close(fd);
	close(other);
}

Test(auth_limit, a_window_of_another_length_keeps_the_block)
{
	static const unsigned int seconds[] = { WINDOW_S * 4, WINDOW_S / 3 };
	struct auth_limit_config c = { .login_max = 3, .entries_max = 100 };
	struct auth_limit *l;
	size_t i;
	int fd, k;

	for (i = 0; i < 2; i++) {
		fd = auth_limit_memory(100);
		l = limit_on(fd, 0, 3, 100);
		for (k = 0; k < 3; k++)
			cr_assert(fails(l, "192.0.2.1", "a", START_MS));
		auth_limit_free(l);
		c.window_s = seconds[i];
		l = auth_limit_new(&c, fd);
		cr_assert_not(fails(l, "192.0.2.1", "a", START_MS + 1000));
		cr_assert(fails(l, "192.0.2.1", "a",
		    START_MS + 9 * WINDOW_MS));
		auth_limit_free(l);
		close(fd);
	}
}

/* An attacker who has taken over an authd can write anything there. */
Test(auth_limit, whatever_is_in_the_memory_blocks_nobody_for_long)
{
	struct auth_limit *l;
	unsigned char *p;
	size_t i, octets;
	struct stat st;
	int fd, round;

	for (round = 0; round < 64; round++) {
		fd = auth_limit_memory(16);
		cr_assert_eq(fstat(fd, &st), 0);
		octets = (size_t)st.st_size;
		p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
		l = limit_on(fd, 3, 3, 16);
		cr_assert(succeeds(l, "192.0.2.1", "a", START_MS));
		cr_assert(fails(l, "192.0.2.1", "b", START_MS));
		/* the secret is no longer read; an entry has 48 octets */
		for (i = 192; i < octets; i++)
			if (round == 0 || (round < 32 ? (i - 192) % 48 >= 16 :
			    arc4random_uniform(3) == 0))
				p[i] = round % 2 == 0 ? 0xff :
				    (unsigned char)arc4random();
		for (i = 0; i < 50; i++)
			(void)delay(l, "192.0.2.1", i % 2 == 0 ? "a" : "b",
			    START_MS + i);
		cr_assert(succeeds(l, "192.0.2.1", "b",
		    START_MS + 3 * WINDOW_MS), "round %d", round);
		auth_limit_free(l);
		munmap(p, octets);
		close(fd);
	}
}

/* --- clients that were named ---------------------------------------------- */

static struct auth_limit *
limit_via(unsigned int client_max, unsigned int login_max,
    unsigned int via_max)
{
	struct auth_limit_config c = { .client_max = client_max,
		.login_max = login_max, .via_max = via_max,
		.window_s = WINDOW_S, .entries_max = 1000 };
	int fd = auth_limit_memory(c.entries_max);
	struct auth_limit *l = auth_limit_new(&c, fd);

	cr_assert_not_null(l);
	close(fd);
	return l;
}

/* A wrong password of the client that ${via} has named in that worker. */
static bool
fails_via(struct auth_limit *l, const char *client, const char *via,
    unsigned int slot, const char *login, struct auth_attempt *a)
{
	union addr peer = addr(client), proxy = addr(via);
	const struct auth_from from = { .client = &peer.sa, .via = &proxy.sa,
		.slot = slot };

	return auth_limit_begin(l, &from, login, START_MS, a);
}

Test(auth_limit, a_client_that_was_named_is_not_the_one_that_connects)
{
	struct auth_limit *l = limit_via(2, 0, 0);
	struct auth_attempt a;
	int i;

	for (i = 0; i < 2; i++)
		cr_assert(fails_via(l, "192.0.2.7", "192.0.2.1", 1, "x", &a));
	cr_assert_not(fails_via(l, "192.0.2.7", "192.0.2.1", 1, "x", &a));
	/* by whomever and wherever it is named */
	cr_assert_not(fails_via(l, "192.0.2.7", "192.0.2.2", 2, "y", &a));
	/* a worker that lies about it locks out no client that connects itself,
	 * nor the peer that is said to have named it */
	cr_assert(succeeds(l, "192.0.2.7", "x", START_MS));
	for (i = 0; i < 2; i++)
		cr_assert(fails(l, "192.0.2.1", "x", START_MS));
	cr_assert_not(fails(l, "192.0.2.1", "x", START_MS));
	auth_limit_free(l);
}

Test(auth_limit, whoever_is_named_all_of_one_worker_have_a_limit)
{
	struct auth_limit *l = limit_via(5, 0, 40);
	struct auth_attempt a, b;
	char client[32];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(client, sizeof(client), "198.51.100.%d", i);
		cr_assert(fails_via(l, client, "192.0.2.1", 1, NULL, &a));
		/* the delay is the client's own */
		cr_assert_eq(auth_limit_delay(l, &a, START_MS),
		    AUTH_DELAY_MIN_MS);
	}
	cr_assert_not(fails_via(l, "192.0.2.8", "192.0.2.1", 1, NULL, &b));
	/* that of another worker, or proxy, is another's */
	cr_assert(fails_via(l, "192.0.2.8", "192.0.2.1", 2, NULL, &b));
	cr_assert(fails_via(l, "192.0.2.8", "192.0.2.2", 1, NULL, &b));
	/* and what was no failure does not count */
	auth_limit_unsure(l, &a);
	cr_assert(fails_via(l, "192.0.2.8", "192.0.2.1", 1, NULL, &b));
	cr_assert_not(fails_via(l, "192.0.2.8", "192.0.2.1", 1, NULL, &b));
	auth_limit_free(l);
}

Test(auth_limit, who_has_been_there_is_not_in_the_limit_of_the_proxy)
{
	struct auth_limit *l = limit_via(5, 3, 10);
	struct auth_attempt a;
	char client[32];
	int i;

	cr_assert(fails_via(l, "192.0.2.7", "192.0.2.1", 1, "alice", &a));
	auth_limit_good(l, &a, START_MS);
	for (i = 0; i < 10; i++) {
		snprintf(client, sizeof(client), "198.51.100.%d", i);
		cr_assert(fails_via(l, client, "192.0.2.1", 1, NULL, &a));
	}
	cr_assert_not(fails_via(l, "192.0.2.8", "192.0.2.1", 1, "bob", &a));
	cr_assert(fails_via(l, "192.0.2.7", "192.0.2.1", 1, "alice", &a));
	auth_limit_good(l, &a, START_MS);
	/* which is known there alone */
	for (i = 0; i < 3; i++)
		cr_assert(fails(l, "192.0.2.9", "alice", START_MS));
	cr_assert_not(fails(l, "192.0.2.7", "alice", START_MS));
	cr_assert(fails_via(l, "192.0.2.7", "192.0.2.1", 1, "alice", &a));
	auth_limit_free(l);
}
