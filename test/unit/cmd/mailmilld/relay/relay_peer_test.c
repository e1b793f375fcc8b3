/* How many connections there are to an address, and who waits for one. */

#include "cmd/mailmilld/relay/relay_peer_int.h"

#include <criterion/criterion.h>

static struct relay_peer_tree peers = RB_INITIALIZER(&peers);

static union addr
at(const char *text)
{
	union addr addr;

	cr_assert_eq(addr_parse(text, &addr), 0, "%s", text);
	return addr;
}

static struct relay_peer *
get(const char *text)
{
	union addr addr = at(text);
	struct relay_peer *p = relay_peer_get(&peers, &addr);

	cr_assert_not_null(p);
	return p;
}

static bool
is_known(const char *text)
{
	union addr addr = at(text);

	return relay_peer_find(&peers, &addr) != NULL;
}

Test(relay_peer, an_address_is_known_while_there_is_a_connection_to_it)
{
	struct relay_peer *p = get("192.0.2.1:25");

	relay_peer_begin(p, 1000);
	relay_peer_begin(p, 1000);
	/* whatever the port */
	cr_expect_eq(get("192.0.2.1:2525"), p);
	cr_expect(is_known("192.0.2.1:25"));
	cr_expect_not(is_known("192.0.2.2:25"));
	relay_peer_end(&peers, p, CONN_OPENING);
	cr_expect_eq(p->nconns, 1);
	cr_expect(is_known("192.0.2.1:25"));
	relay_peer_end(&peers, p, CONN_OPENING);
	cr_expect_not(is_known("192.0.2.1:25"));
	cr_expect(RB_EMPTY(&peers));
}

/* RFC 4291 2.5.1: one host can have all its addresses. */
Test(relay_peer, a_network_of_64_bits_is_one_address)
{
	struct relay_peer *p = get("[2001:db8:0:1::1]:25");

	relay_peer_begin(p, 1000);
	cr_expect_eq(get("[2001:db8:0:1:ffff::7]:25"), p);
	cr_expect_not(is_known("[2001:db8:0:2::1]:25"));
	relay_peer_end(&peers, p, CONN_OPENING);
}

Test(relay_peer, it_is_silent_when_no_connection_was_ready_for_some_time)
{
	struct relay_peer *p = get("192.0.2.1:25");

	relay_peer_begin(p, 1000);
	relay_peer_begin(p, 9000);
	cr_expect_not(relay_peer_is_silent(p, 1000 + RELAY_SILENT_MS - 1));
	cr_expect(relay_peer_is_silent(p, 1000 + RELAY_SILENT_MS));
	/* one that has been told to end says nothing about it */
	relay_peer_move(p, CONN_OPENING, CONN_LEAVING, 20000);
	relay_peer_end(&peers, p, CONN_LEAVING);
	cr_expect(relay_peer_is_silent(p, 20000));
	/* one that takes mail does, also when it has ended */
	relay_peer_begin(p, 20000);
	relay_peer_move(p, CONN_OPENING, CONN_BUSY, 21000);
	cr_expect_not(relay_peer_is_silent(p, 99000));
	relay_peer_end(&peers, p, CONN_BUSY);
	cr_expect_not(relay_peer_is_silent(p, 21000 + RELAY_SILENT_MS - 1));
	cr_expect(relay_peer_is_silent(p, 21000 + RELAY_SILENT_MS));
	relay_peer_end(&peers, p, CONN_OPENING);
}

Test(relay_peer, it_is_wanted_while_more_wait_than_leave)
{
	struct relay_peer *p = get("192.0.2.1:25");

	relay_peer_begin(p, 1000);
	relay_peer_move(p, CONN_OPENING, CONN_BUSY, 1000);
	cr_expect_not(relay_peer_is_wanted(p));
	p->nwaiting = 1;
	cr_expect(relay_peer_is_wanted(p));
	relay_peer_move(p, CONN_BUSY, CONN_LEAVING, 1000);
	cr_expect_not(relay_peer_is_wanted(p));
	/* who waits knows it by its pointer */
	relay_peer_end(&peers, p, CONN_LEAVING);
	cr_expect(is_known("192.0.2.1:25"));
	p->nwaiting = 0;
	relay_peer_put(&peers, p);
	cr_expect(RB_EMPTY(&peers));
	relay_peer_put(&peers, NULL);
}

/* A next hop of Route has none. */
Test(relay_peer, no_address_needs_no_count)
{
	relay_peer_begin(NULL, 1000);
	relay_peer_move(NULL, CONN_OPENING, CONN_BUSY, 1000);
	relay_peer_end(&peers, NULL, CONN_BUSY);
	cr_expect(RB_EMPTY(&peers));
}
