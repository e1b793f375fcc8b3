/* The addresses of MX hosts to which there are connections; see
 * relay_peer_int.h. */

#include "cmd/mailmilld/relay/relay_peer_int.h"

#include <stdlib.h>
#include <string.h>

static int
peer_cmp(const struct relay_peer *a, const struct relay_peer *b)
{
	return memcmp(a->network, b->network, ADDR_NETWORK);
}

RB_PROTOTYPE(relay_peer_tree, relay_peer, node, peer_cmp)
RB_GENERATE(relay_peer_tree, relay_peer, node, peer_cmp)

struct relay_peer *
relay_peer_find(struct relay_peer_tree *t, const union addr *addr)
{
	struct relay_peer key;

	addr_network(&addr->sa, key.network);
	return RB_FIND(relay_peer_tree, t, &key);
}

struct relay_peer *
relay_peer_get(struct relay_peer_tree *t, const union addr *addr)
{
	struct relay_peer *p = relay_peer_find(t, addr);

	if (p != NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return p;
	addr_network(&addr->sa, p->network);
	RB_INSERT(relay_peer_tree, t, p);
	return p;
}

void
relay_peer_put(struct relay_peer_tree *t, struct relay_peer *p)
{
	if (p == NULL || p->nconns > 0 || p->nwaiting > 0)
		return;
	RB_REMOVE(relay_peer_tree, t, p);
	free(p);
}

void
relay_peer_begin(struct relay_peer *p, uint64_t now_ms)
{
	if (p == NULL)
		return;
	if (p->nconns++ == 0)
		p->since_ms = now_ms;
	p->count[CONN_OPENING]++;
}

void
relay_peer_move(struct relay_peer *p, enum relay_conn_state from,
    enum relay_conn_state to, uint64_t now_ms)
{
	if (p == NULL)
		return;
	p->count[from]--;
	p->count[to]++;
	if (from == CONN_OPENING && to != CONN_LEAVING)
		p->since_ms = now_ms;
}

void
relay_peer_end(struct relay_peer_tree *t, struct relay_peer *p,
    enum relay_conn_state state)
{
	if (p == NULL)
		return;
	p->count[state]--;
	p->nconns--;
	relay_peer_put(t, p);
}

bool
relay_peer_is_silent(const struct relay_peer *p, uint64_t now_ms)
{
	return p->count[CONN_OPENING] == p->nconns &&
	    now_ms - p->since_ms >= RELAY_SILENT_MS;
}

bool
relay_peer_is_wanted(const struct relay_peer *p)
{
	return p->nwaiting > p->count[CONN_LEAVING];
}
