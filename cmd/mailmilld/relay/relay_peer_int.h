/* The addresses of MX hosts to which there are connections, whatever the domains
 * that have led to them: how many there are, and which next hops wait for one.
 *
 * A network of 64 bits of IPv6 addresses counts as one address: one host can have
 * them all (RFC 4291 2.5.1).
 *
 * Owns: the table of addresses.
 * Knows nothing of how connections are opened, and of mail. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_PEER_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_PEER_INT_H

#include <sys/tree.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/relay/relay_int.h"
#include "core/util/addr.h"

#define RELAY_SILENT_MS	10000	/* an address at which no connection was ready for mail for so long is silent */

struct relay_peer {
	RB_ENTRY(relay_peer)	 node;
	unsigned char		 network[ADDR_NETWORK];
	size_t			 nconns;
	size_t			 count[NCONN_STATES];	/* of them */
	size_t			 nwaiting;	/* next hops without a connection that wait for one of them to end */
	uint64_t		 since_ms;	/* when the first connection has begun, or the last one was ready for mail */
};
RB_HEAD(relay_peer_tree, relay_peer);

/* relay_peer_find(t, addr): What is known of that address; NULL: there is no
 * connection to it.
 * relay_peer_get(t, addr): The same, made if it is not there.  NULL: ENOMEM.
 * relay_peer_put(t, p): If nothing is connected to it and nobody waits, forget it;
 * NULL does nothing. */
struct relay_peer *relay_peer_find(struct relay_peer_tree *t,
    const union addr *addr);
struct relay_peer *relay_peer_get(struct relay_peer_tree *t,
    const union addr *addr);
void relay_peer_put(struct relay_peer_tree *t, struct relay_peer *p);

/* relay_peer_begin(p, now_ms): A connection begins, in CONN_OPENING.
 * relay_peer_move(p, from, to, now_ms): One goes from one state to another.
 * relay_peer_end(t, p, state): One ends; ${p} may be forgotten.
 * NULL for ${p} does nothing in all three. */
void relay_peer_begin(struct relay_peer *p, uint64_t now_ms);
void relay_peer_move(struct relay_peer *p, enum relay_conn_state from,
    enum relay_conn_state to, uint64_t now_ms);
void relay_peer_end(struct relay_peer_tree *t, struct relay_peer *p,
    enum relay_conn_state state);

/* relay_peer_is_silent(p, now_ms): No connection to it is ready for mail, and none
 * was for RELAY_SILENT_MS.
 * relay_peer_is_wanted(p): More next hops wait than connections that leave will
 * make room for. */
bool relay_peer_is_silent(const struct relay_peer *p, uint64_t now_ms);
bool relay_peer_is_wanted(const struct relay_peer *p);

#endif
