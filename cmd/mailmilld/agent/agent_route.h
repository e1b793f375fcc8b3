/* Jobs one by one, with the recipient and where he goes: for an agent that reads the
 * records of its jobs itself.
 * Knows nothing of what an agent does with a job. */

#ifndef CMD_MAILMILLD_AGENT_AGENT_ROUTE_H
#define CMD_MAILMILLD_AGENT_AGENT_ROUTE_H

#include "cmd/mailmilld/agent/agent.h"
#include "cmd/settings/route.h"
#include "core/spool/spool_sources.h"

/* add(closure, job, rcpt, route): ${rcpt}, ${job}'s, goes to ${route}; both are
 * valid during the call.  Return 0, or -1: there is no memory. */
typedef int agent_add_fn(void *closure, const struct job *job,
    const char *rcpt, struct route *route);

/* agent_route(a, sources, s, jobs, n, add): Call ${add} with ${a}'s closure for each
 * of ${jobs}.  One that the spool or the settings do not know is refused.  Return 0,
 * or -1 with errno: ${add} has failed, and was not called for those that follow. */
int agent_route(struct agent *a, struct spool_sources *sources,
    const struct settings *s, const struct job *jobs, unsigned int n,
    agent_add_fn *add);

#endif
