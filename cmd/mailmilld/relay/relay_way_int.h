/* The addresses of a next hop, in the order in which they are tried: those that
 * Route has, and those of the names that it has; or those of the hosts in the MX
 * records of a domain.
 *
 *	relay_way_begin(w)		there is something to send
 *	relay_way_find(w, &place)	RELAY_WAY_PLACE: connect to it, then
 *					relay_way_good() or relay_way_failed(), and
 *					relay_way_find() again;
 *					RELAY_WAY_WAITS: ways->found() says when to
 *					ask again;
 *					RELAY_WAY_END: w->why says why there is none
 *
 * From relay_way_begin() on, each address is tried once at most, and no more
 * addresses of MX hosts than MX_Address_Limit says: an attempt ends although there
 * are others, and those come first in the next one.  RELAY_ATTEMPT_MS after its
 * beginning no other address is tried: what has been begun is seen to its end.
 * One that has failed is left alone for RELAY_BAD_MS as long as there are others.  A name is
 * looked up when the addresses before it have failed, and the hosts of a
 * preference when those of the better ones have (RFC 5321 5.1).  What was found is
 * good for as long as the DNS says.
 *
 * Owns: the searches in the DNS; which addresses have failed.
 * Knows nothing of connections and of mail. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_WAY_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_WAY_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/lookup/mx.h"
#include "cmd/mailmilld/lookup/sts_ask.h"
#include "cmd/mailmilld/relay/relay_policy.h"
#include "cmd/mailmilld/relay/relay_tell.h"
#include "cmd/settings/route_addr.h"
#include "cmd/settings/settings.h"
#include "core/spool/job.h"

#define RELAY_BAD_MS	60000	/* an address that has failed is not tried before, while others are there */
#define RELAY_ATTEMPT_MS 600000	/* two servers that accept and say nothing: RFC 5321 4.5.3.2.1 gives each five minutes */
#define RELAY_SEARCHES	64	/* at once: each may ask for 16 hosts, and lookup.h takes 1024 questions */
#define RELAY_SEARCH_MS	(MX_QUESTIONS * LIM_LOOKUP_SECONDS * 1000) /* a search ends: each of its questions has its time */
#define RELAY_SEARCH_SHORT_MS 5000 /* and so early while another one waits for its place; what is answered later is in the resolver's cache for the next attempt */
#define RELAY_STS_MANY_MS 30000	/* and a question about a policy of MTA-STS ends so early where much mail waits */
#define RELAY_PLACES	64	/* addresses of one next hop */
#define RELAY_REFUSED_MS 86400000 /* a channel binding that a server did not know is offered again: it may be another version by then; each time costs a login that is refused */

/* One of them. */
struct relay_place {
	/* with its port.  If it was looked up, addr.name is the host, which has
	 * that address; else "" */
	struct route_addr addr;
	uint64_t	 number;	/* no other place of this way has it */
	unsigned int	 group;		/* of the same route, or preference */
	size_t		 route;		/* number of the value of Route */
	const struct relay_policy *policy;	/* the way's */
	bool		 is_used;	/* a connection to it has begun in this attempt */
	bool		 is_tried;	/* and has failed */
	uint64_t	 bad_ms;	/* it is not tried before, while others are there */
	unsigned int	 nrefused;	/* channel bindings that its server has not known when a login was made there, ... */
	uint64_t	 refused_ms;	/* ... and when that was */
};

/* What all ways of a process share. */
struct relay_ways {
	/* mx_open(), mx_more(), mx_close(), sts_ask(), sts_cancel(),
	 * monotonic_ms(), or what a test has in their places */
	struct mx	*(*open)(struct lookup *l, const struct mx_want *want,
			    mx_fn *fn, void *closure);
	void		 (*more)(struct mx *x);
	void		 (*close)(struct mx **x);
	struct sts_ask	*(*ask_sts)(struct sts *t, const char *domain,
			    sts_ask_fn *fn, void *closure);
	void		 (*cancel_sts)(struct sts_ask **a);
	uint64_t	 (*now_ms)(void);
	struct lookup	*lookup;
	struct sts	*sts;
	const struct mx_self *self;
	struct relay_tell *tell;	/* of policies for which no connection is made; NULL: nobody wants to know */
	/* found(closure): of relay_way_open(): what that way waited for */
	void		 (*found)(void *closure);
	unsigned int	 nsearches;
	bool		 is_short;	/* a way waits for one of these to end */
	LIST_HEAD(, relay_way) searching;	/* the last first */
	bool		 is_sts_short;	/* a way waits for a question about a policy to end */
	bool		 is_many;	/* much mail waits; set by whose mail it is */
	LIST_HEAD(, relay_way) asking;		/* the last first */
};

struct relay_way {
	struct relay_ways *ways;
	const struct settings_domain *domain;
	const char	*mx;		/* the domain or address literal whose hosts these are; NULL: Route */
	void		*closure;
	/* for messages that are sent whatever others demand; set when it has been
	 * opened */
	bool		 is_optional;
	bool		 is_untold;	/* nothing of it is told for reports of TLS; set likewise */
	bool		 has_demand;	/* a host was skipped, or has failed, that others demand something of */
	struct relay_place *v;
	size_t		 n, room;
	size_t		 ntried;	/* of them */
	size_t		 nlacking;	/* of these: they answer ... */
	bool		 may_lack;	/* ... and one may have it another time */
	bool		 is_unsure;	/* the DNS has not said whether there are others, or there are, which are not tried */
	bool		 has_left_out;	/* since there was no memory for them */
	struct relay_policy **policies;	/* of the places, one for each host */
	size_t		 npolicies, policy_room;
	bool		 has_skipped;	/* a host, since its policy is RELAY_SKIP */
	struct relay_place *was;	/* those before, for what is known of them */
	size_t		 nwas;
	uint64_t	 begin_ms;	/* the attempt has begun then; 0: it begins */
	uint64_t	 last;		/* number */
	unsigned int	 group;
	size_t		 entry;		/* the next value of Route; of MX records there is one */
	int64_t		 preference;	/* of the last group, -1: none yet */
	uint64_t	 end_ms;	/* until then they are good */
	struct mx	*search;	/* NULL: there is none */
	uint64_t	 search_ms;	/* its beginning */
	LIST_ENTRY(relay_way) searching;	/* while there is one */
	/* with MTA_STS, before the search: */
	struct sts_ask	*sts_ask;	/* NULL: nothing is asked */
	uint64_t	 sts_ms;	/* its beginning */
	LIST_ENTRY(relay_way) asking;	/* while there is one */
	bool		 has_sts;	/* it was answered: */
	struct sts_policy *sts;		/* as long as it is; NULL: none */
	/* why there is none, and the result of what waits */
	struct job_error why;
	int		 errnum;
	uint32_t	 flags;		/* JOB_* */
};

enum relay_way_state { RELAY_WAY_PLACE, RELAY_WAY_WAITS, RELAY_WAY_END };

/* relay_way_open(w, ways, d, mx, closure): For the next hops of ${d}, or for those
 * of the domain ${mx}, unless it is NULL.  All is kept.
 * relay_way_close(w): Forget all; a search ends. */
void relay_way_open(struct relay_way *w, struct relay_ways *ways,
    const struct settings_domain *d, const char *mx, void *closure);
void relay_way_close(struct relay_way *w);

/* relay_way_route(d, i, addr_r): The ${i}th value of Route of ${d}, with its
 * port. */
void relay_way_route(const struct settings_domain *d, size_t i,
    struct route_addr *addr_r);

void relay_way_begin(struct relay_way *w);

/* relay_way_find(w, &place_r): *place_r is valid until the next call for ${w}. */
enum relay_way_state relay_way_find(struct relay_way *w,
    const struct relay_place **place_r);

/* relay_ways_late(ways): End searches that take too long, RELAY_SEARCH_MS, or
 * RELAY_SEARCH_SHORT_MS while others wait: as if the DNS gave no answer.  End questions
 * about policies: after RELAY_SEARCH_SHORT_MS while others wait to be asked, after
 * RELAY_STS_MANY_MS where much mail waits: nobody knows the policy then.  found() is
 * called inside the call. */
void relay_ways_late(struct relay_ways *ways);

/* relay_way_use(w, number): A connection to that place begins. */
void relay_way_use(struct relay_way *w, uint64_t number);

/* relay_way_beside(w, number): What can be tried beside that place, which takes
 * long: the one behind it in its group that has not failed; NULL: none. */
const struct relay_place *relay_way_beside(const struct relay_way *w,
    uint64_t number);

/* relay_way_failed(w, number, why, errnum): That place has.
 * relay_way_lacks(w, number, why, is_sure): It answers, and lacks what this mail needs;
 * ${is_sure}: for good.  If all do, and there are no others, the mail is refused.
 * relay_way_late(w, number): Another one was faster, or it did not answer in time what
 * it was asked of a message.
 * relay_way_good(w, number, nrefused): It is, which ends the attempt; connections to it
 * need not offer the first ${nrefused} bindings, until it fails, and for
 * RELAY_REFUSED_MS at most.
 * A place that is not there any more, or has failed already, does not count. */
void relay_way_failed(struct relay_way *w, uint64_t number,
    const struct job_error *why, int errnum);
void relay_way_lacks(struct relay_way *w, uint64_t number,
    const struct job_error *why, bool is_sure);
void relay_way_late(struct relay_way *w, uint64_t number);
void relay_way_good(struct relay_way *w, uint64_t number,
    unsigned int nrefused);

#endif
