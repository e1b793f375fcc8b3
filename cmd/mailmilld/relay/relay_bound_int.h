/* What bounds connections beside the number of all: how many there are to the
 * address of an MX host, whatever the domains that have led to it, from an address of
 * this machine, and to a target, whatever its mail needs; and which next hops wait for
 * one of them to end.
 *
 * A network of 64 bits of IPv6 addresses of an MX host counts as one address: one host
 * can have them all (RFC 4291 2.5.1).  Addresses of this machine count one by one.
 *
 * Owns: the table of addresses.
 * Knows nothing of how connections are opened, and of mail. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_BOUND_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_BOUND_INT_H

#include <sys/tree.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/relay/relay_int.h"
#include "cmd/mailmilld/relay/relay_rate_int.h"
#include "core/util/addr.h"

#define RELAY_BOUNDS_KEPT 4096	/* addresses to which there is no connection, and that have a rate */
#define RELAY_SILENT_MS	10000	/* an address at which no connection was ready for mail for so long is silent */

struct relay_bound {
	RB_ENTRY(relay_bound)	 node;
	enum relay_bound_kind	 kind;
	unsigned char		 octets[ADDR_NETWORK];	/* of the address; of a target all are 0 */
	size_t			 nhops;		/* of a target: next hops that it is for */
	size_t			 nconns;
	size_t			 count[NCONN_STATES];	/* of them */
	size_t			 nwaiting;	/* next hops without a connection that wait for one of them to end */
	uint64_t		 since_ms;	/* when the first connection has begun, or the last one was ready for mail */
	/* of an MX host: */
	struct relay_rate	 rate;		/* of messages */
	TAILQ_ENTRY(relay_bound) kept;		/* while is_kept */
	bool			 is_kept;	/* what was sent there is of account */
	/* of a target: */
	size_t			 max;		/* connections */
	size_t			 limit;		/* the server has taken only so many, ... */
	uint64_t		 limit_ms;	/* ... which counts until then */
};
RB_HEAD(relay_bound_tree, relay_bound);
TAILQ_HEAD(relay_bound_list, relay_bound);

/* The addresses */
struct relay_bounds {
	struct relay_bound_tree	 tree;
	struct relay_bound_list	 kept;
	size_t			 nkept;		/* RELAY_BOUNDS_KEPT at most */
};

/* relay_bound_find(t, kind, addr): What is known of that address; NULL: there is no
 * connection that it counts for.
 * relay_bound_get(t, kind, addr): The same, made if it is not there.
 * relay_bound_target(max): That of another target, which has no next hop yet.  NULL of
 * both: ENOMEM.
 * relay_bound_put(t, b): If there are no connections, and nobody waits, forget it,
 * when what was sent there is of no account any more; NULL does nothing.
 * relay_bounds_init(t), relay_bounds_free(t): There are no connections. */
struct relay_bound *relay_bound_find(struct relay_bounds *t,
    enum relay_bound_kind kind, const union addr *addr);
struct relay_bound *relay_bound_get(struct relay_bounds *t,
    enum relay_bound_kind kind, const union addr *addr);
struct relay_bound *relay_bound_target(size_t max);
void relay_bound_put(struct relay_bounds *t, struct relay_bound *b);
void relay_bounds_init(struct relay_bounds *t);
void relay_bounds_free(struct relay_bounds *t);

/* relay_bounds_begin(v, now_ms): A connection begins, in CONN_OPENING, that counts for
 * each of ${v}; NULL: it does not count for one of that kind.
 * relay_bounds_move(v, from, to, now_ms): It goes from one state to another.
 * relay_bounds_end(t, v, state): It ends; any of ${v} may be forgotten.
 * relay_bounds_put(t, v): As relay_bound_put(), of each. */
void relay_bounds_begin(struct relay_bound *const v[NBOUNDS], uint64_t now_ms);
void relay_bounds_move(struct relay_bound *const v[NBOUNDS],
    enum relay_conn_state from, enum relay_conn_state to, uint64_t now_ms);
void relay_bounds_end(struct relay_bounds *t,
    struct relay_bound *const v[NBOUNDS], enum relay_conn_state state);
void relay_bounds_put(struct relay_bounds *t,
    struct relay_bound *const v[NBOUNDS]);

/* relay_bound_is_silent(b, now_ms): No connection is ready for mail, and none was for
 * RELAY_SILENT_MS.
 * relay_bound_is_wanted(b): More next hops wait than connections that leave will
 * make room for.
 * relay_bounds_are_waited_for(v): Does any wait for one of ${v}?
 * relay_bounds_are_wanted(v): The same, as relay_bound_is_wanted(). */
bool relay_bound_is_silent(const struct relay_bound *b, uint64_t now_ms);
bool relay_bound_is_wanted(const struct relay_bound *b);
bool relay_bounds_are_waited_for(struct relay_bound *const v[NBOUNDS]);
bool relay_bounds_are_wanted(struct relay_bound *const v[NBOUNDS]);

#endif
