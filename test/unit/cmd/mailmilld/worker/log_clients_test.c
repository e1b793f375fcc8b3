/* The lines of the log that a client may cause. */

#include <sys/socket.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/worker/worker_int.h"
#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/addr.h"
#include "test/unit/core/process/logged.h"

#define RATE	100
#define ROOM	1000		/* ten seconds of it */

static struct log_clients lc;

static void
setup(void)
{
	logged_open("mailmilld/worker-1");
	log_clients_init(&lc, RATE, 20000);
}

static void
teardown(void)
{
	log_clients_free(&lc);
	logged_close();
}

TestSuite(log_clients, .init = setup, .fini = teardown);

/* Of ${n} lines about ${address}, how many may be logged at ${now_ms}? */
static unsigned int
may(const char *address, unsigned int n, uint64_t now_ms)
{
	bool is_6 = strchr(address, ':') != NULL;
	union addr a = { .sa.sa_family = is_6 ? AF_INET6 : AF_INET };
	unsigned int count = 0;

	cr_assert_eq(inet_pton(a.sa.sa_family, address, is_6 ?
	    (void *)&a.in6.sin6_addr : (void *)&a.in.sin_addr), 1);
	while (n-- > 0)
		count += log_clients_may(&lc, &a.sa, now_ms);
	return count;
}

Test(log_clients, each_has_a_share_of_its_own)
{
	cr_expect_eq(may("192.0.2.1", 5000, 1000), ROOM);
	cr_expect_eq(may("192.0.2.2", 5000, 1000), ROOM);
	/* two seconds later */
	cr_expect_eq(may("192.0.2.1", 5000, 3000), 2 * RATE);
	/* who has written none for long enough has all of it again */
	cr_expect_eq(may("192.0.2.2", 5000, 60000), ROOM);
}

Test(log_clients, of_ipv6_the_network_is_one)
{
	cr_expect_eq(may("2001:db8:1:1::1", 5000, 1000), ROOM);
	cr_expect_eq(may("2001:db8:1:1:ffff::2", 5000, 1000), 0);
	cr_expect_eq(may("2001:db8:1:2::1", 5000, 1000), ROOM);
	cr_expect_eq(may("192.0.2.1", 5000, 1000), ROOM);
	cr_expect_eq(may("::ffff:192.0.2.1", 5000, 1000), 0);
}

Test(log_clients, of_a_unix_socket_each_account_is_one)
{
	unsigned int i, n[2] = { 0, 0 };
	union addr a;

	for (i = 0; i < 10000; i++) {
		addr_local(&a, i % 2 == 0 ? 0 : 1000);
		n[i % 2] += log_clients_may(&lc, &a.sa, 1000);
	}
	cr_expect_eq(n[0], ROOM);
	cr_expect_eq(n[1], ROOM);
	log_clients_tell(&lc);
	cr_expect_not_null(strstr(logged(),
	    "event=client-throttled client=unix:1000 left_out=4000"), "%s",
	    logged_text);
}

Test(log_clients, unknown_ones_are_one)
{
	const struct sockaddr sa = { .sa_family = AF_UNSPEC };
	unsigned int i, n = 0;

	for (i = 0; i < 5000; i++)
		n += log_clients_may(&lc, i % 2 == 0 ? NULL : &sa, 1000);
	cr_expect_eq(n, ROOM);
	log_clients_tell(&lc);
	cr_expect_not_null(strstr(logged(),
	    "event=client-throttled client=unknown left_out=4000"), "%s",
	    logged_text);
}

Test(log_clients, what_is_left_out_is_told_once)
{
	(void)may("192.0.2.1", 1500, 1000);
	(void)may("192.0.2.2", 1000, 1000);
	cr_expect_str_empty(logged());
	log_clients_tell(&lc);
	cr_expect_not_null(strstr(logged(),
	    "event=client-throttled client=192.0.2.1 left_out=500"), "%s",
	    logged_text);
	cr_expect_null(strstr(logged_text, "192.0.2.2"));
	log_clients_tell(&lc);
	cr_expect_str_empty(logged());
	/* and at the end */
	(void)may("192.0.2.2", 7, 1000);
	log_clients_free(&lc);
	cr_expect_not_null(strstr(logged(), "client=192.0.2.2 left_out=7"),
	    "%s", logged_text);
}

/* Whatever the number of addresses that somebody has. */
Test(log_clients, they_take_a_bounded_amount_of_memory)
{
	char address[INET6_ADDRSTRLEN];
	unsigned int i;

	(void)may("192.0.2.1", 1001, 1000);
	for (i = 0; i < 3 * LIM_LOG_CLIENTS; i++) {
		snprintf(address, sizeof(address), "2001:db8:%x:%x::1",
		    i >> 8, i & 0xff);
		cr_assert_eq(may(address, 1, 1000), 1);
		cr_assert_leq(lc.n, LIM_LOG_CLIENTS);
	}
	/* the one forgotten has told what was left out */
	cr_expect_not_null(strstr(logged(), "client=192.0.2.1 left_out=1"),
	    "%s", logged_text);
	/* those whose share is whole again are forgotten as well */
	(void)may("192.0.2.1", 1, 100000);
	cr_expect_eq(lc.n, 1);
}

Test(log_clients, one_has_no_more_than_a_part_of_a_small_log_rate)
{
	log_clients_free(&lc);
	log_clients_init(&lc, RATE, 40);
	cr_expect_eq(may("192.0.2.1", 5000, 1000), 20);
	cr_expect_eq(may("192.0.2.1", 5000, 2000), 10);
	log_clients_free(&lc);
	log_clients_init(&lc, RATE, 1);
	cr_expect_eq(may("192.0.2.1", 5000, 1000), 1);
}

Test(log_clients, there_may_be_no_bound)
{
	log_clients_free(&lc);
	log_clients_init(&lc, 0, 20000);
	cr_expect_eq(may("192.0.2.1", 50000, 1000), 50000);
	cr_expect_eq(lc.n, 0);
}
