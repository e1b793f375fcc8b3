/* Policies of domains: which is in force, and when to ask for a new one (RFC 8461
 * 3.3, 5.1, 10.2).
 * Owns: the policies, in a bounded memory, those that wait for one, the times.
 * Knows nothing of channels, of HTTPS and of files: the questions are asked through
 * functions, and the time comes from one.
 *
 * Where the memory is full, domains make room for others that are asked for.  Who
 * has mail sent to many domains of its own must not have us forget policies of others
 * that way (RFC 8461 10.2).  So those go first without which nothing is lost: which
 * have no policy in force, or one that is not enforced.  Then, for octets, those
 * whose policy is longer than STS_USUAL_OCTETS, and for the rest, those of the group
 * (sts_group()) that has the most domains; of these, those asked for least lately.
 *
 * A policy that has not expired stays in force whatever the DNS and the server say
 * or do not say, until another one has been fetched: who can block either does not
 * get rid of it.  The DNS is asked each time, since the resolver keeps its answers;
 * HTTPS is, when the record has another id, when nothing is known, or once a day, so
 * that a policy does not expire while it is used.  After a failure it is not asked
 * again for five minutes.  What cannot be asked, for a reason of this server, is no
 * failure of the domain's: nobody is told then that there is no policy. */

#ifndef CMD_MAILMILLD_STS_STS_CACHE_H
#define CMD_MAILMILLD_STS_STS_CACHE_H

#include <sys/queue.h>

#include "cmd/mailmilld/sts/sts_fetch.h"

#define STS_RETRY_MS	300000		/* RFC 8461 3.3: five minutes, after a failure */
#define STS_REFRESH_MS	86400000	/* RFC 8461 10.2: once a day */
#define STS_USUAL_OCTETS 1024		/* of patterns: more than 30 usual ones; most policies have one to five */
#define STS_LEAST_MS	STS_RETRY_MS	/* a shorter max_age counts as this: nobody is asked more often */

struct sts_cache;
struct sts_domain;

/* Who waits for a policy; the memory is his. */
struct sts_waiter {
	TAILQ_ENTRY(sts_waiter)	 link;
	struct sts_domain	*domain;	/* NULL: it does not wait */
	/* on_policy(w, policy, failure): What is in force; NULL: nothing is, or
	 * with STS_UNKNOWN, which comes with no policy, nobody knows.
	 * ${failure} says why a newer one could not be had.  Valid until it
	 * returns */
	void			(*on_policy)(struct sts_waiter *w,
				    const struct sts_policy *policy,
				    enum sts_failure failure);
};

struct sts_cache_ops {
	/* record(closure, domain, d), fetch(closure, domain, d): Ask for the TXT
	 * record, or the policy, of ${domain}; sts_cache_record(),
	 * sts_cache_unknown() or sts_cache_fetched() for ${d} has the answer,
	 * never within the call.  Return 0, or -1: it cannot be asked; record()
	 * with errno EINVAL: there can be no such name in the DNS */
	int		(*record)(void *closure, const char *domain,
			    struct sts_domain *d);
	int		(*fetch)(void *closure, const char *domain,
			    struct sts_domain *d);
	uint64_t	(*now_ms)(void);	/* monotonic */
};

/* sts_cache_new(ops, closure): NULL: ENOMEM. */
struct sts_cache *sts_cache_new(const struct sts_cache_ops *ops,
    void *closure);

/* sts_cache_ask(c, domain, w): What is the policy of ${domain}, a name that
 * lookup_name() has made?  w->on_policy() is called once, perhaps within this call,
 * unless sts_cache_leave() comes before. */
void sts_cache_ask(struct sts_cache *c, const char *domain,
    struct sts_waiter *w);
void sts_cache_leave(struct sts_waiter *w);

/* sts_cache_record(d, id): The record has that id; NULL: there is none.
 * sts_cache_unknown(d, why): Whether there is a record, or a policy, could not be
 * asked.  What is in force stays so; otherwise those that wait hear STS_UNKNOWN, and
 * the next one has it asked again.
 * sts_cache_fetched(d, failure, why, policy): As sts_fetch_fn; STS_UNKNOWN: as
 * sts_cache_unknown(). */
void sts_cache_record(struct sts_domain *d, const char *id);
void sts_cache_unknown(struct sts_domain *d, const char *why);
void sts_cache_fetched(struct sts_domain *d, enum sts_failure failure,
    const char *why, const struct sts_policy *policy);

/* sts_cache_is_wanted(d): Is what is asked of ${d} of use: does anybody wait for it,
 * or is it about a policy in force? */
bool sts_cache_is_wanted(const struct sts_domain *d);

/* sts_cache_pass(c): Forget what has expired, and have policies fetched again that
 * are a day old: now and then. */
void sts_cache_pass(struct sts_cache *c);

/* What of a policy outlives the process. */
struct sts_kept {
	const char	*domain, *id;
	const struct sts_policy *policy;
	uint64_t	 left_ms;	/* until it expires */
	uint64_t	 age_ms;	/* since it was fetched */
};

/* sts_cache_keep(c, kept): One that was kept; ${kept} has been checked.  It counts
 * if none is known that was fetched later.
 * sts_cache_each(c, fn, closure): Each that is in force, the ones asked for last
 * first.
 * sts_cache_is_changed(c): Has there been a change since this was called last? */
void sts_cache_keep(struct sts_cache *c, const struct sts_kept *kept);
void sts_cache_each(struct sts_cache *c, void (*fn)(void *closure,
    const struct sts_kept *kept), void *closure);
bool sts_cache_is_changed(struct sts_cache *c);

/* What is known of a domain. */
struct sts_seen {
	struct sts_kept	 kept;		/* policy NULL: none is in force */
	enum sts_failure failure;	/* of the last fetch */
	const char	*failed_id;	/* with a failure: of the record */
	uint64_t	 retry_ms;	/* with a failure: it is not fetched again before */
	bool		 is_asked;	/* just now */
};

/* sts_cache_look(c, fn, closure): Each domain, the ones asked for last first.
 * sts_cache_see(c, domain, seen_r): That one; return false: nothing is known of it.
 * What is seen is valid until the next call for ${c}.
 * sts_cache_renew(c, domain): Have it asked again, and its policy fetched, whatever is
 * known and has failed.  What is in force stays so meanwhile.  Return 0, or -1:
 * ENOMEM. */
void sts_cache_look(struct sts_cache *c, void (*fn)(void *closure,
    const struct sts_seen *seen), void *closure);
bool sts_cache_see(struct sts_cache *c, const char *domain,
    struct sts_seen *seen_r);
int sts_cache_renew(struct sts_cache *c, const char *domain);

size_t sts_cache_domains(const struct sts_cache *c);

/* sts_cache_free(c): Nothing is answered any more; what was asked is cancelled
 * before.  NULL does nothing. */
void sts_cache_free(struct sts_cache *c);

#endif
