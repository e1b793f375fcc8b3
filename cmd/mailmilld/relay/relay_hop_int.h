/* What the files of next hops share: relay_hop.c, relay_hop_rate.c, relay_hop_place.c,
 * relay_hop_late.c, relay_hop_open.c and relay_hops.c; each uses those before it alone. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_HOP_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_HOP_INT_H

#include <sys/tree.h>

#include "cmd/mailmilld/relay/relay_bound_int.h"
#include "cmd/mailmilld/relay/relay_int.h"
#include "cmd/mailmilld/relay/relay_way_int.h"

#define RELAY_HOPS_KEPT	1024	/* domains whose MX records lead there: beyond, those without mail are forgotten */

#define RELAY_HOPS_MAX	(4 * RELAY_HOPS_KEPT) /* with those that have a turn to come */
#define RELAY_TURN_MS	10000	/* a turn that is not used for so long is over */

/* Mail of one target that has needs of its own has next hops of its own, with the
 * same addresses, and its part of the same connections. */
enum relay_hop_kind {
	HOP_PLAIN,
	HOP_OPTIONAL,		/* what others demand of TLS does not count (RFC 8689 4.2.2) */
	HOP_KEEPS_TLS,		/* only servers count that take REQUIRETLS (RFC 8689 4.2.1) */
	HOP_TLS_REPORT		/* what TLS comes to there is not told (RFC 8460 3) */
};

struct relay_hop {
	TAILQ_ENTRY(relay_hop)	 link;
	RB_ENTRY(relay_hop)	 node;		/* of MX records: by target */
	TAILQ_ENTRY(relay_hop)	 wanting;	/* while something waits */
	struct relay_hops	*h;
	char			*target;
	const char		*helo;		/* the settings' */
	const struct settings_domain *domain;	/* the first of those that it is for */
	enum relay_hop_kind	 kind;
	uint64_t		 clear_ms;	/* no TLS until then */
	struct relay_way	 way;		/* its addresses */
	struct relay_bound	*bound;		/* of the target: others have it, too */
	uint64_t		 since_ms;	/* there is no room for a connection; 0: there is */
	struct relay_bound	*wanted;	/* it waits for one of these connections to end */
	struct {
		unsigned char	 octets[ADDR_NETWORK];	/* of the address of an MX host */
		uint64_t	 ms;
		unsigned int	 n;
	}			 turn;		/* from then on so many messages may be sent there; 0: no more than others may */
	struct relay_mails	 waiting;
	size_t			 nwaiting;
	size_t			 nfor_new;	/* of them: is_for_new */
	struct relay_conns	 conns;		/* the idle ones first */
	size_t			 nconns;
	size_t			 count[NCONN_STATES]; /* of them */
};
TAILQ_HEAD(relay_hop_list, relay_hop);

/* Has it a turn at an MX host, now or later? */
static inline bool
relay_hop_has_turn(const struct relay_hop *hop, uint64_t now_ms)
{
	return hop->turn.n > 0 && now_ms < hop->turn.ms + RELAY_TURN_MS;
}

RB_HEAD(relay_hop_tree, relay_hop);

struct relay_hops {
	const struct relay_env	*env;
	struct spool_sources	*sources;
	struct relay_ways	 ways;
	struct relay_bounds	 bounds;
	const struct relay_conn_ops *conn_ops;	/* of all connections */
	const struct relay_ops	*ops;
	void			*closure;
	size_t			 nconns;
	size_t			 nleaving;	/* of them */
	struct relay_conns	 idle;
	/* those of Route, for good: there are not more than Domain sections; and
	 * those of MX records, the longest unused first */
	struct relay_hop_list	 list, mx_list;
	size_t			 nmx;
	struct relay_hop_tree	 mx_tree;
	struct relay_hop_list	 wanting;
	struct relay_hop	**of_domain;	/* by index of the section: those of Route */
	size_t			 nmails;	/* that wait, or that a connection has */
	size_t			 njobs;		/* of them */
	Event			*timer;
	Event			*watch;		/* for what takes too long */
	bool			 is_draining, is_ending;
	bool			 is_stopped;	/* is_draining, too: what is unsent goes back */
};

/* --- relay_hop.c: mails and connections of one next hop --------------------- */

/* relay_hop_free(hop): With all that waits; there are no connections any more. */
void relay_hop_free(struct relay_hop *hop);

/* relay_hop_want_none(hop): It does not wait for the end of a connection any
 * more: see relay_hop_want(). */
void relay_hop_want_none(struct relay_hop *hop);

/* relay_hop_put(hop, m, is_first): ${m} waits, before all others or after them.
 * relay_hop_take(hop, is_new): The one whose turn it is, of those that are for
 * connections that have had mail unless ${is_new}; NULL: none.  It is counted
 * until relay_hop_mail_end(), which frees it.
 * relay_hop_remove(hop, m): ${m} waits no more; it is counted as well. */
void relay_hop_put(struct relay_hop *hop, struct relay_mail *m, bool is_first);
struct relay_mail *relay_hop_take(struct relay_hop *hop, bool is_new);
void relay_hop_remove(struct relay_hop *hop, struct relay_mail *m);
void relay_hop_mail_end(struct relay_hops *h, struct relay_mail *m);

/* As relay_ops; nothing is told while ${h} is freed. */
void relay_hop_tell_error(struct relay_hops *h, const struct job_error *je);
void relay_hop_tell_done(struct relay_hops *h, const struct job_result *results,
    size_t n);

/* relay_hop_fail_mail(h, m, why, errnum, flags): All recipients of ${m}, which
 * waits no more, have failed.
 * relay_hop_give_back(h, m, flags): ${m}, which waits no more, goes back to the queue:
 * for whoever comes next, or with the ${flags} JOB_LATER_IN().
 * relay_hop_fail_waiting(hop): The next hop cannot be had: hop->way says why.
 * The mails are freed; but if what others demand is the reason, those whose sender
 * wants them sent all the same wait for a next hop of their own (RFC 8689 4.2.2).
 * Return whether there are such. */
void relay_hop_fail_mail(struct relay_hops *h, struct relay_mail *m,
    const struct job_error *why, int errnum, uint32_t flags);
void relay_hop_give_back(struct relay_hops *h, struct relay_mail *m,
    uint32_t flags);
bool relay_hop_fail_waiting(struct relay_hop *hop);

/* relay_hop_of_kind(hop, kind): The next hop with the same addresses for mail with
 * such needs; made if need be.  NULL: ENOMEM. */
struct relay_hop *relay_hop_of_kind(struct relay_hop *hop,
    enum relay_hop_kind kind);

/* relay_hop_set_state(hop, conn, state): Count it there.
 * relay_hop_nready(hop): Connections that are past the greeting.
 * relay_hop_gave_way(hop): It has ended one that others wanted: they are first now. */
void relay_hop_set_state(struct relay_hop *hop, struct relay_conn *conn,
    enum relay_conn_state state);
size_t relay_hop_nready(const struct relay_hop *hop);
void relay_hop_gave_way(struct relay_hop *hop);

/* --- relay_hop_rate.c: when mail may be sent to an MX host --------------------- */

/* relay_hop_may_send(hop, b, npending): May ${hop} send the mail whose turn it is to
 * the host ${b}, beside ${npending} others of its own?  NULL: that is no MX host.
 * relay_hop_sent(hop, b): It sends one.
 * relay_hop_put_off(hop, b, keep): It may not: but for ${keep} of them, its mails go
 * back to the queue until it has its turn there.
 * relay_hop_early(hop, place): The host ${place} if that may not be now; else NULL. */
bool relay_hop_may_send(const struct relay_hop *hop,
    const struct relay_bound *b, size_t npending);
void relay_hop_sent(struct relay_hop *hop, struct relay_bound *b);
void relay_hop_put_off(struct relay_hop *hop, struct relay_bound *b,
    size_t keep);
struct relay_bound *relay_hop_early(struct relay_hop *hop,
    const struct relay_place *place);

/* --- relay_hop_place.c: which addresses may have one more connection --------- */

/* relay_hop_has_room(hop): May there be one more to its target?
 * relay_hop_with_room(hop, place, is_beside): The first of ${place} and those that can
 * be tried beside it which may have one more connection, for one more mail unless
 * ${is_beside}; NULL: none may, or ${place} is.
 * relay_hop_wait(hop, place): None may: put its mails off, if one of these may have one
 * later.  Return whether it was that.
 * relay_hop_is_full(hop, place): Have ${place} and those beside it as many as there may
 * be?
 * relay_hop_want(hop, b): ${hop} has no connection, and there is none for it: wait for
 * the end of one of those that count for ${b}.
 * relay_hop_want_place(hop, place): The same for ${place}, which is full, or for the
 * address that connections there come from.  Return false if it is not worth it: the place says
 * nothing.
 * relay_hop_source(hop, place, source_r): Does it count from where connections to
 * ${place} come?
 * relay_hop_is_crowded(hop, place, why_r): The reason for a failure. */
const struct relay_place *relay_hop_with_room(struct relay_hop *hop,
    const struct relay_place *place, bool is_beside);
bool relay_hop_wait(struct relay_hop *hop, const struct relay_place *place);
bool relay_hop_is_full(const struct relay_hop *hop,
    const struct relay_place *place);
bool relay_hop_has_room(struct relay_hop *hop);
void relay_hop_want(struct relay_hop *hop, struct relay_bound *b);
bool relay_hop_want_place(struct relay_hop *hop,
    const struct relay_place *place);
bool relay_hop_source(const struct relay_hop *hop,
    const struct relay_place *place, union addr *source_r);
void relay_hop_is_crowded(const struct relay_hop *hop,
    const struct relay_place *place, struct job_error *why_r);

/* --- relay_hop_late.c: what takes too long ------------------------------------ */

/* relay_hops_watch(h): Have it ended, as long as mail waits. */
void relay_hops_watch(struct relay_hops *h);

/* --- relay_hop_open.c: opening connections ----------------------------------- */

/* relay_hop_go(hop): As relay_hops_go(), for one.
 * relay_hop_leave(hop, conn): Have an idle connection say QUIT. */
void relay_hop_go(struct relay_hop *hop);
void relay_hop_leave(struct relay_hop *hop, struct relay_conn *conn);

/* relay_hop_without_tls(hop, place, level, why): The handshake of TLS has failed, of a
 * connection of that level to that address.  Without TLS it may go better: as good as
 * what the server would get if it did not offer any (RFC 7435); but for mail that needs
 * TLS, which waits.  Return whether it is tried.
 * relay_hop_unopened(hop, place, why, errnum): A connection to that address has
 * ended before it asked for a message.
 * relay_hop_late(hop, conn): As relay_conn_ops: the next address of the same host,
 * or of a host with the same preference, is tried beside it.
 * relay_hop_connected(hop, conn): As relay_conn_ops: those beside it end.
 * relay_hop_found(closure): As relay_ways. */
bool relay_hop_without_tls(struct relay_hop *hop, uint64_t place,
    enum relay_level level, const struct job_error *why);
void relay_hop_unopened(struct relay_hop *hop, uint64_t place,
    const struct job_error *why, int errnum);
void relay_hop_late(struct relay_hop *hop, struct relay_conn *conn);
void relay_hop_connected(struct relay_hop *hop, struct relay_conn *conn);
void relay_hop_found(void *closure);

#endif
