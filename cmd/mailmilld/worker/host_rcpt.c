/* Recipients: what RCPT is told of an address.
 * Owns: a route's verdict as an answer to the protocol. */

#include "cmd/mailmilld/worker/worker_int.h"

#include "cmd/settings/route.h"
#include "core/lim.h"

enum esmtp_rcpt_status
host_rcpt_lookup(void *host, accept_construct *, const struct mailaddr *addr)
{
	static const enum esmtp_rcpt_status answers[] = {
		[ROUTE_DELIVER] = ESMTP_RCPT_OK,
		[ROUTE_UNKNOWN_USER] = ESMTP_RCPT_UNKNOWN,
		[ROUTE_NO_DOMAIN] = ESMTP_RCPT_FOREIGN,
		[ROUTE_LATER] = ESMTP_RCPT_LATER,
	};
	const struct worker *w = host;
	char address[LIM_PATH + 2];
	struct route route;

	if (mailaddr_format(addr, address, sizeof(address)) == -1)
		return ESMTP_RCPT_UNKNOWN;
	route_find(w->child->settings, address, &route);
	return answers[route.verdict];
}
