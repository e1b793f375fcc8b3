/* What the cache of policies asks for: TXT records, by the resolver, and policies.
 * Owns: the questions under way, and which of them end early.
 * Knows nothing of what the answers mean.
 *
 * Anybody can have many domains whose name servers say nothing.  Where no more can be
 * looked up (LIM_LOOKUPS), those look-ups end that nobody waits for any more, and those
 * that have taken STS_ERRAND_SHORT_MS: nobody knows then whether there is a policy. */

#ifndef CMD_MAILMILLD_STS_STS_ERRAND_H
#define CMD_MAILMILLD_STS_STS_ERRAND_H

#include <sys/queue.h>

#include "cmd/mailmilld/sts/sts_cache.h"
#include "cmd/mailmilld/sts/sts_fetch.h"

#define STS_ERRAND_SHORT_MS 5000	/* a name server that answers has done so */

struct sts_errand;

struct sts_errands {
	TAILQ_HEAD(, sts_errand) list;		/* the oldest first */
	struct lookup		*lookup;
	struct sts_fetches	*fetches;	/* NULL: without authorities no server can be verified, good or bad */
	bool			 is_short;	/* one could not be looked up */
	uint64_t		(*now_ms)(void);	/* monotonic */
};

/* sts_errands_begin(es, lookup, now_ms): There are none; all is kept.
 * sts_errands_late(es): End those that keep others from being asked, if some were:
 * now and then.
 * sts_errands_end(es): Forget all; nothing is told. */
void sts_errands_begin(struct sts_errands *es, struct lookup *lookup,
    uint64_t (*now_ms)(void));
void sts_errands_late(struct sts_errands *es);
void sts_errands_end(struct sts_errands *es);

/* sts_errand_record(es, domain, d), sts_errand_fetch(es, domain, d): As in struct
 * sts_cache_ops.
 * sts_errand_is_wanted(e): As in struct sts_fetches_config. */
int sts_errand_record(void *es, const char *domain, struct sts_domain *d);
int sts_errand_fetch(void *es, const char *domain, struct sts_domain *d);
bool sts_errand_is_wanted(void *e);

#endif
