/* What is told of one connection to an MX host, for reports of TLS (RFC 8460).
 * Owns: which policy a report has for a host, and how it is written there.
 * Knows nothing of connections and of who counts. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_TOLD_H
#define CMD_MAILMILLD_RELAY_RELAY_TOLD_H

#include "cmd/mailmilld/lookup/sts_policy.h"
#include "cmd/mailmilld/relay/relay_policy.h"
#include "cmd/mailmilld/tlsrpt/tlsrpt_tally.h"
#include "core/util/addr.h"

struct relay_told;

/* relay_told_new(p, domain, sts, host, addr): Of a connection to ${addr}, NULL: there
 * is none, since the policy forbids it; the host ${host} of the recipient's domain ${domain}, both as lookup_name() writes them,
 * with the policy ${p}; ${sts} is the domain's policy of MTA-STS, NULL or with the
 * mode STS_NONE: it has none.  All is copied.  NULL with errno: ENOENT, nothing is to be told,
 * since this server's configuration has the policy, so that nobody has asked which
 * the domain has; ENOMEM. */
struct relay_told *relay_told_new(const struct relay_policy *p,
    const char *domain, const struct sts_policy *sts,
    const char *host, const struct sockaddr *addr);
/* relay_told_policy(domain, sts): Of no connection, but of the policy of MTA-STS of
 * ${domain}, which could not be fetched, or is none; ${sts} is the one that is still
 * in force, or has the mode STS_NONE.  NULL: ENOMEM. */
struct relay_told *relay_told_policy(const char *domain,
    const struct sts_policy *sts);
void relay_told_free(struct relay_told *told);	/* NULL does nothing */

/* relay_told_from(told, addr): The connection is from ${addr}. */
void relay_told_from(struct relay_told *told, const struct sockaddr *addr);

/* relay_told_end(told, tally, result, reason): Its TLS has come to ${result}, with
 * ${reason} in words, "": none.  What is good with a host that a policy in the mode
 * testing does not have is not (RFC 8461 5).  Count it in ${tally}, once: later calls do
 * nothing, nor does one for NULL. */
void relay_told_end(struct relay_told *told, struct tlsrpt_tally *tally,
    enum relay_result result, const char *reason);

#endif
