/* Where a recipient goes: the one place that answers this.
 * The worker asks at RCPT, the queue when it chooses an agent, and the agent
 * when it delivers.  Each asks the settings it runs with, so a message that was
 * queued before a reload goes where the settings of today say. */

#ifndef CMD_SETTINGS_ROUTE_H
#define CMD_SETTINGS_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/settings/route_extension.h"
#include "cmd/settings/settings.h"
#include "core/maildir/maildir.h"
#include "core/spool/job.h"

enum transport {
#define TRANSPORT(id, name, role, max_jobs, file) TRANSPORT_##id,
#define OWN_TRANSPORT(id, name, max_jobs) TRANSPORT_##id,
#include "cmd/settings/transport.def"
#undef TRANSPORT
	NTRANSPORTS
};

enum route_verdict {
	ROUTE_DELIVER,		/* all below is set */
	ROUTE_UNKNOWN_USER,	/* our domain, but no such mailbox */
	ROUTE_NO_DOMAIN,	/* not our domain, and no transport relays */
	ROUTE_LATER		/* there is no memory to find out */
};

struct route {
	enum route_verdict	 verdict;
	const char		*why;	/* of another verdict than ROUTE_DELIVER: constant text, to be followed by the address */
	enum transport		 transport;
	const struct settings_domain *domain;	/* whose options hold */
	bool			 is_rest;	/* relayed to next hops since Domain "*" says so: the domain is not ours */
	/* the folder of a Maildir; or settings_target(), the same for all
	 * recipients of one next hop, or of one domain whose MX records lead
	 * to it; of a program, and of what is discarded, "" */
	char			 target[MAILDIR_PATH_MAX];
	size_t			 fixed;	/* octets of a folder that are the administrator's */
	bool			 is_lf;	/* CRLF is stored as LF */
	char			 extension[ROUTE_ADDRESS_MAX]; /* of a recipient whose mailbox is that of the address without it; "": none */
};

/* route_find(s, rcpt, route_r): Where ${rcpt} goes, local-part@domain or
 * postmaster alone (RFC 5321 4.1.1.3), as in the spool's envelopes.  Whether it
 * is listed in Recipients is asked where that file is loaded: in the worker, and in
 * agents where an address with an extension may be listed whole. */
void route_find(const struct settings *s, const char *rcpt,
    struct route *route_r);

/* route_deliver(s, section, rcpt, route_r, text_r): route_find() for mail that has been
 * accepted, listed or not; by the section with the number ${section}, unless that is
 * 0.  Return 0, or -1 with errno when it cannot be delivered; then
 * ${text_r}, JOB_TEXT octets, says why and what to do. */
int route_deliver(const struct settings *s, uint32_t section,
    const char *rcpt, struct route *route_r, char *text_r);

#endif
