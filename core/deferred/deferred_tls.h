/* Counts for reports of TLS (RFC 8460), by day and domain, in the database of the
 * deferred store: so the message of a report is put, and what it tells of is
 * dropped, in one transaction, and it is sent once.
 * Owns: the tables tls_domain, tls_count, tls_tried and tls_taken, and that they are
 * bounded.
 * Knows nothing of what the texts say. */

#ifndef CORE_DEFERRED_DEFERRED_TLS_H
#define CORE_DEFERRED_DEFERRED_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"

struct deferred;

/* No text is NULL. */
struct deferred_tls {
	int64_t		 day;		/* its first second since 1970, UTC */
	const char	*domain;	/* that is told, in lower case */
	const char	*policy_type;
	const char	*policy_domain;	/* whose policy it is; "": ${domain} */
	const char	*policy;	/* its lines, with LF between them */
	const char	*result;	/* "": nothing has failed */
	const char	*mx_host;
	const char	*sending_ip, *receiving_ip;
	const char	*reason;	/* in words */
	uint64_t	 sessions;	/* connections */
};

/* deferred_tls_day(now): The first second of the day of ${now}, seconds since
 * 1970: both UTC. */
int64_t deferred_tls_day(int64_t now);

/* deferred_tls_add(d, t): Count ${t->sessions} more that are alike, inside a
 * transaction.  When the domain has LIM_TLSRPT_ROWS rows, or the day
 * LIM_TLSRPT_DAY_ROWS, others are counted without their policy, host, addresses
 * and reason, which makes a row for each policy_type and result: these the caller
 * bounds.  Return 1; 0: they are not
 * counted, since others have LIM_TLSRPT_DOMAINS domains that day; -1 with
 * errno. */
int deferred_tls_add(struct deferred *d, const struct deferred_tls *t);

/* deferred_tls_next(d, day, domain, before): Find the domain behind ${domain} of
 * *${day}, in the order of days and names, of a day earlier than ${before}; 0 and
 * "": the first.  Names longer than LIM_DOMAIN, which nobody has counted, are cut.
 * Return 1 with both; 0: there is none; -1 with errno. */
int deferred_tls_next(struct deferred *d, int64_t *day,
    char domain[LIM_DOMAIN + 1], int64_t before);

/* deferred_tls_rows(d, day, domain, each, closure): Those of a day and domain, in
 * the order of policy_type, policy_domain, policy and result.  The texts live until ${each}
 * returns, 0 to go on.  Return rows seen, or -1 with errno. */
typedef int (*deferred_tls_func)(void *closure, const struct deferred_tls *t);
int deferred_tls_rows(struct deferred *d, int64_t day, const char *domain,
    deferred_tls_func each, void *closure);

/* deferred_tls_drop(d, day, domain): They are reported, or not wanted.  Return 0,
 * or -1 with errno.
 * deferred_tls_tried(d, day, domain, now, since_r): The report has been tried in vain:
 * *${since_r} is when that was the first time, ${now} if it is this one, seconds since
 * 1970.  Return 0, or -1 with errno. */
int deferred_tls_drop(struct deferred *d, int64_t day, const char *domain);
int deferred_tls_tried(struct deferred *d, int64_t day, const char *domain,
    int64_t now, int64_t *since_r);

/* deferred_tls_take(d, day, domain, uri): What the caller knows by the number ${uri}
 * has had the report, others of the domain have not.  It is remembered until
 * deferred_tls_drop(); nothing is of a domain that has no counts, or has
 * LIM_TLSRPT_URIS already.  Return 0, or -1 with errno.
 * deferred_tls_taken(d, day, domain, uris_r): Which have.  Return how many, or -1
 * with errno. */
int deferred_tls_take(struct deferred *d, int64_t day, const char *domain,
    uint64_t uri);
int deferred_tls_taken(struct deferred *d, int64_t day, const char *domain,
    uint64_t uris_r[LIM_TLSRPT_URIS]);

#endif
