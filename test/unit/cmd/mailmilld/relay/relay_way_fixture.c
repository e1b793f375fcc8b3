/* A next hop whose searches and time are the test's; see relay_way_fixture.h. */

#include "test/unit/cmd/mailmilld/relay/relay_way_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/cmd/settings/load.h"

struct rw rw;

static struct mx *
search_open(struct lookup *, const struct mx_want *want, mx_fn *fn,
    void *closure)
{
	struct rw_search *s = &rw.searches[rw.nsearches];

	if (rw.open_fails > 0) {
		rw.open_fails--;
		return NULL;
	}
	cr_assert_lt(rw.nsearches++, RW_SEARCHES);
	*s = (struct rw_search){ .port = want->port, .is_host = want->is_host,
		.is_open = true, .fn = fn, .closure = closure };
	strcpy(s->name, want->name);
	return (struct mx *)(void *)s;
}

static void
search_more(struct mx *x)
{
	((struct rw_search *)(void *)x)->nmore++;
}

static void
search_close(struct mx **x)
{
	((struct rw_search *)(void *)*x)->is_open = false;
	*x = NULL;
}

static uint64_t
now(void)
{
	return rw.now_ms;
}

static void
on_found(void *)
{
	rw.nfound++;
	/* whoever waits tries again */
	rw.ways.is_short = false;
}

void
rw_begin(const char *domain, const char *mx)
{
	rw.now_ms = 1000000;
	rw.nsearches = rw.nfound = rw.open_fails = 0;
	rw.ways = (struct relay_ways){ .open = search_open, .more = search_more,
		.close = search_close, .now_ms = now, .found = on_found };
	rw.settings = load_good_settings("ESMTP_Listener { Listen "
	    "\"127.0.0.1:2525\" { } }\nDomain \"a.test\" { Delivery = smtp %s "
	    "}\n", domain);
	relay_way_open(&rw.way, &rw.ways, &rw.settings->domains[0], mx, NULL);
	relay_way_begin(&rw.way);
}

void
rw_end(void)
{
	relay_way_close(&rw.way);
	cr_expect_eq(rw.ways.nsearches, 0);
	settings_free(rw.settings);
}

void
rw_answer(const char *hosts, enum mx_end why)
{
	struct rw_search *s = &rw.searches[rw.nsearches - 1];
	struct mx_hop hops[8] = { 0 };
	char names[8][64], addr[64], whole[sizeof(addr) + 8];
	struct mx_result r = { .hops = hops, .end = why, .ttl_s = 300 };
	int used;

	for (; *hosts != '\0'; hosts += used, r.n++) {
		cr_assert_eq(sscanf(hosts, " %u %63s %63[^ ,] %u%n",
		    &hops[r.n].preference, names[r.n], addr, &r.ttl_s, &used),
		    4, "%s", hosts);
		if (hosts[used] == ',')
			used++;
		snprintf(whole, sizeof(whole), "%s:%u", addr, s->port);
		cr_assert_eq(addr_parse(whole, &hops[r.n].addr), 0, "%s",
		    whole);
		hops[r.n].host = names[r.n];
		if (strncmp(names[r.n], "bogus", 5) == 0)
			hops[r.n].tlsa.status = MX_TLSA_FAILED;
	}
	cr_assert(s->is_open);
	s->fn(s->closure, &r);
}

const char *
rw_next(void)
{
	static char text[512];
	const struct relay_place *p;
	char addr[ADDR_PORT_TEXT];

	switch (relay_way_find(&rw.way, &p)) {
	case RELAY_WAY_WAITS:
		return "waits";
	case RELAY_WAY_END:
		return "end";
	case RELAY_WAY_PLACE:
		break;
	}
	snprintf(text, sizeof(text), "%s%s%s", p->addr.name,
	    *p->addr.name != '\0' ? " " : "", p->addr.kind == ROUTE_UNIX ?
	    p->addr.un.sun_path : addr_port_text(&p->addr.ip.sa, addr));
	return text;
}

uint64_t
rw_number(void)
{
	const struct relay_place *p;

	cr_assert_eq(relay_way_find(&rw.way, &p), RELAY_WAY_PLACE);
	return p->number;
}

void
rw_fail(void)
{
	struct job_error why = { .text = "refused" };

	relay_way_failed(&rw.way, rw_number(), &why, ECONNREFUSED);
}
