/* Fetching policies of MTA-STS over HTTPS (RFC 8461 3.3): libcurl on our loop.
 * Owns: the transfers under way, those that wait for their turn, the bounds of
 * each: time, octets, no redirect, the certificate, the media type.
 * Knows nothing of records in the DNS, and of what is kept.
 *
 * libcurl looks up no name: it gets the addresses that the resolver process has
 * told, but for those that no host can have, and connects to no other one.
 *
 * Anybody can have many domains whose servers say nothing.  While a fetch waits for
 * its place, the next one to begin is of the group of domains that has the fewest;
 * one that has not ended within STS_FETCH_SHORT_MS ends, those of the group that has
 * the most first; and so does one that nobody waits for any more.  A host that was
 * too slow is remembered for an hour, and waits for its place behind those of which
 * nothing is known: they would have none while mail for the slow ones comes back
 * again and again. */

#ifndef CMD_MAILMILLD_STS_STS_FETCH_H
#define CMD_MAILMILLD_STS_STS_FETCH_H

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/sts_policy.h"

#define STS_FETCHES_MAX	64	/* at once: some 200 KiB each, with TLS; the others wait */
#define STS_FETCH_SHORT_MS 5000	/* and so early while another one waits: a server that answers has done so */
#define STS_FETCH_SECONDS 60	/* for one; RFC 8461 3.3 suggests a minute */

struct sts_fetches;
struct sts_fetch;

struct sts_fetches_config {
	const char	*authorities;	/* PEM */
	size_t		 authorities_len;
	unsigned int	 port;
	struct lookup	*lookup;
	/* is_wanted(closure): of sts_fetch_begin(): does anybody wait for that
	 * one? */
	bool		(*is_wanted)(void *closure);
	uint64_t	(*now_ms)(void);	/* monotonic */
};

/* sts_fetches_new(config, err_r, errlen): All is kept, but the octets of the
 * authorities are copied.  libcurl is loaded.  Before the process is bound.  NULL
 * with a message. */
struct sts_fetches *sts_fetches_new(const struct sts_fetches_config *config,
    char *err_r, size_t errlen);

/* sts_fetch_fn(closure, failure, why, policy): It is over.  ${policy} is valid until
 * it returns; NULL, and ${why} in words, unless STS_FETCHED. */
typedef void sts_fetch_fn(void *closure, enum sts_failure failure,
    const char *why, const struct sts_policy *policy);

/* sts_fetch_begin(fs, domain, fn, closure): Fetch the policy of ${domain}, a name
 * that lookup_name() has made.  ${fn} is called once, never from within this call.
 * NULL with errno: ENOMEM, or EINVAL: with "mta-sts." in front it is too long.
 * sts_fetch_cancel(&f): Forget it; *f is NULL afterwards; NULL there does
 * nothing. */
struct sts_fetch *sts_fetch_begin(struct sts_fetches *fs, const char *domain,
    sts_fetch_fn *fn, void *closure);
void sts_fetch_cancel(struct sts_fetch **f);

void sts_fetches_free(struct sts_fetches *fs);	/* all are cancelled already;
						 * NULL does nothing */

#endif
