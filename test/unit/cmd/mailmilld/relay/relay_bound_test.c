/* How many connections count for an address, and who waits for one. */

#include "cmd/mailmilld/relay/relay_bound_int.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "core/util/monotonic.h"

static struct relay_bounds bounds = { .tree = RB_INITIALIZER(&bounds.tree),
	.kept = TAILQ_HEAD_INITIALIZER(bounds.kept) };

static union addr
at(const char *text)
{
	union addr addr;

	cr_assert_eq(addr_parse(text, &addr), 0, "%s", text);
	return addr;
}

static struct relay_bound *
get(const char *text)
{
	union addr addr = at(text);
	struct relay_bound *b = relay_bound_get(&bounds, BOUND_HOST, &addr);

	cr_assert_not_null(b);
	return b;
}

static bool
is_known(const char *text)
{
	union addr addr = at(text);

	return relay_bound_find(&bounds, BOUND_HOST, &addr) != NULL;
}

/* A connection that counts for ${b} alone begins, goes from one state to another, and
 * ends. */
static void
begin(struct relay_bound *b, uint64_t now_ms)
{
	struct relay_bound *const v[NBOUNDS] = { [BOUND_HOST] = b };

	relay_bounds_begin(v, now_ms);
}

static void
move(struct relay_bound *b, enum relay_conn_state from,
    enum relay_conn_state to, uint64_t now_ms)
{
	struct relay_bound *const v[NBOUNDS] = { [BOUND_HOST] = b };

	relay_bounds_move(v, from, to, now_ms);
}

static void
end(struct relay_bound *b, enum relay_conn_state state)
{
	struct relay_bound *const v[NBOUNDS] = { [BOUND_HOST] = b };

	relay_bounds_end(&bounds, v, state);
}

Test(relay_bound, an_address_is_known_while_there_is_a_connection_to_it)
{
	struct relay_bound *p = get("192.0.2.1:25");

	begin(p, 1000);
	begin(p, 1000);
	/* whatever the port */
	cr_expect_eq(get("192.0.2.1:2525"), p);
	cr_expect(is_known("192.0.2.1:25"));
	cr_expect_not(is_known("192.0.2.2:25"));
	end(p, CONN_OPENING);
	cr_expect_eq(p->nconns, 1);
	cr_expect(is_known("192.0.2.1:25"));
	end(p, CONN_OPENING);
	cr_expect_not(is_known("192.0.2.1:25"));
	cr_expect(RB_EMPTY(&bounds.tree));
}

/* RFC 4291 2.5.1: one host can have all its addresses. */
Test(relay_bound, a_network_of_64_bits_is_one_address)
{
	struct relay_bound *p = get("[2001:db8:0:1::1]:25");

	begin(p, 1000);
	cr_expect_eq(get("[2001:db8:0:1:ffff::7]:25"), p);
	cr_expect_not(is_known("[2001:db8:0:2::1]:25"));
	end(p, CONN_OPENING);
}

Test(relay_bound, it_is_silent_when_no_connection_was_ready_for_some_time)
{
	struct relay_bound *p = get("192.0.2.1:25");

	begin(p, 1000);
	begin(p, 9000);
	cr_expect_not(relay_bound_is_silent(p, 1000 + RELAY_SILENT_MS - 1));
	cr_expect(relay_bound_is_silent(p, 1000 + RELAY_SILENT_MS));
	/* one that has been told to end says nothing about it */
	move(p, CONN_OPENING, CONN_LEAVING, 20000);
	end(p, CONN_LEAVING);
	cr_expect(relay_bound_is_silent(p, 20000));
	/* one that takes mail does, also when it has ended */
	begin(p, 20000);
	move(p, CONN_OPENING, CONN_BUSY, 21000);
	cr_expect_not(relay_bound_is_silent(p, 99000));
	end(p, CONN_BUSY);
	cr_expect_not(relay_bound_is_silent(p, 21000 + RELAY_SILENT_MS - 1));
	cr_expect(relay_bound_is_silent(p, 21000 + RELAY_SILENT_MS));
	end(p, CONN_OPENING);
}

Test(relay_bound, it_is_wanted_while_more_wait_than_leave)
{
	struct relay_bound *p = get("192.0.2.1:25");

	begin(p, 1000);
	move(p, CONN_OPENING, CONN_BUSY, 1000);
	cr_expect_not(relay_bound_is_wanted(p));
	p->nwaiting = 1;
	cr_expect(relay_bound_is_wanted(p));
	move(p, CONN_BUSY, CONN_LEAVING, 1000);
	cr_expect_not(relay_bound_is_wanted(p));
	/* who waits knows it by its pointer */
	end(p, CONN_LEAVING);
	cr_expect(is_known("192.0.2.1:25"));
	p->nwaiting = 0;
	relay_bound_put(&bounds, p);
	cr_expect(RB_EMPTY(&bounds.tree));
	relay_bound_put(&bounds, NULL);
}

/* A host can have many addresses, but each of this machine's has its own name. */
Test(relay_bound, addresses_of_this_machine_count_one_by_one)
{
	static const char *const texts[] = { "[2001:db8:0:1::1]:0",
		"[2001:db8:0:1::2]:0", "192.0.2.1:0" };
	struct relay_bound *v[3];
	union addr addr;
	size_t i;

	for (i = 0; i < 3; i++) {
		addr = at(texts[i]);
		v[i] = relay_bound_get(&bounds, BOUND_SOURCE, &addr);
		cr_assert_not_null(v[i]);
	}
	cr_expect_neq(v[0], v[1]);
	cr_expect_neq(get("192.0.2.1:25"), v[2], "not as that of a host");
	for (i = 0; i < 3; i++)
		relay_bound_put(&bounds, v[i]);
	relay_bound_put(&bounds, get("192.0.2.1:25"));
	cr_expect(RB_EMPTY(&bounds.tree));
}

Test(relay_bound, a_connection_counts_for_all_that_it_has)
{
	struct relay_bound *v[NBOUNDS] = {
		[BOUND_TARGET] = relay_bound_target(7),
		[BOUND_HOST] = get("192.0.2.1:25") };

	cr_assert_not_null(v[BOUND_TARGET]);
	v[BOUND_TARGET]->nhops = 1;
	relay_bounds_begin(v, 1000);
	relay_bounds_move(v, CONN_OPENING, CONN_BUSY, 2000);
	cr_expect_eq(v[BOUND_TARGET]->count[CONN_BUSY], 1);
	cr_expect_eq(v[BOUND_HOST]->count[CONN_BUSY], 1);
	cr_expect_not(relay_bounds_are_waited_for(v));
	v[BOUND_TARGET]->nwaiting = 1;
	cr_expect(relay_bounds_are_waited_for(v));
	cr_expect(relay_bounds_are_wanted(v));
	relay_bounds_move(v, CONN_BUSY, CONN_LEAVING, 3000);
	cr_expect(relay_bounds_are_waited_for(v));
	cr_expect_not(relay_bounds_are_wanted(v));
	relay_bounds_end(&bounds, v, CONN_LEAVING);
	cr_expect(RB_EMPTY(&bounds.tree));
	/* its next hops have it */
	cr_expect_eq(v[BOUND_TARGET]->nconns, 0);
	v[BOUND_TARGET]->nwaiting = v[BOUND_TARGET]->nhops = 0;
	relay_bound_put(&bounds, v[BOUND_TARGET]);
}

/* What was sent there counts after the last connection has ended. */
Test(relay_bound, an_address_with_a_rate_is_known_as_long_as_that_counts)
{
	struct relay_bound *p = get("192.0.2.1:25");
	uint64_t now = monotonic_ms();

	begin(p, now);
	relay_rate_sent(&p->rate, 1, now);
	end(p, CONN_OPENING);
	cr_expect(is_known("192.0.2.1:25"));
	cr_expect_eq(get("192.0.2.1:25"), p);
	begin(p, now);
	end(p, CONN_OPENING);
	cr_expect_eq(bounds.nkept, 1);
	/* a minute is over, and another one is kept */
	p->rate.next_us = 1;
	p = get("192.0.2.2:25");
	begin(p, now);
	relay_rate_sent(&p->rate, 1, now);
	end(p, CONN_OPENING);
	cr_expect_not(is_known("192.0.2.1:25"));
	cr_expect_eq(bounds.nkept, 1);
	relay_bounds_free(&bounds);
	cr_expect(RB_EMPTY(&bounds.tree));
}

Test(relay_bound, no_more_than_so_many_are_kept)
{
	struct relay_bound *p;
	char text[32];
	unsigned int i;

	for (i = 0; i < RELAY_BOUNDS_KEPT + 100; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u:25", i / 256, i % 256);
		p = get(text);
		begin(p, monotonic_ms());
		relay_rate_sent(&p->rate, 1, monotonic_ms());
		end(p, CONN_OPENING);
	}
	cr_expect_leq(bounds.nkept, RELAY_BOUNDS_KEPT);
	cr_expect_geq(bounds.nkept, RELAY_BOUNDS_KEPT - 2);
	relay_bounds_free(&bounds);
	cr_expect(RB_EMPTY(&bounds.tree));
}
