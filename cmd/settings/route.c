/* Where a recipient goes: Domain section, transport, target.
 * Owns: the order of the questions, and the text when there is no answer. */

#include "cmd/settings/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char no_memory[] = "there is no memory to find the mailbox of";
static const char no_domain[] = "no Domain section has a Maildir for";

/* Is ${address} (local-part@domain) listed in the Recipients file of ${d}?  As
 * recipients_has().  RFC 5321 4.5.1: postmaster always has a mailbox. */
static int
is_listed(const struct settings_domain *d, const char *address)
{
	return d->recipients_table == NULL ||
	    strncasecmp(address, "postmaster@", 11) == 0 ? 1 :
	    recipients_has(d->recipients_table, address);
}

static void
refuse(struct route *route, enum route_verdict verdict, const char *why)
{
	route->verdict = verdict;
	route->why = why;
}

void
route_find(const struct settings *s, const char *rcpt, struct route *route_r)
{
	const struct settings_domain *d;
	const char *at = strrchr(rcpt, '@'), *address = rcpt, *why;
	char whole[MAILDIR_PATH_MAX];
	int listed;

	d = at == NULL ? s->default_domain :
	    settings_domain_find(s, at + 1, strlen(at + 1));
	if (d == NULL) {
		refuse(route_r, at == NULL ? ROUTE_UNKNOWN_USER :
		    ROUTE_NO_DOMAIN, no_domain);
		return;
	}
	if (at == NULL) {
		snprintf(whole, sizeof(whole), "%s@%s", rcpt, d->name);
		address = whole;
	}
	route_r->transport = (enum transport)d->delivery;
	route_r->is_lf = d->maildir_newline == MAILDIR_NEWLINE_LF;
	/* a local part that cannot be a folder's name is no mailbox */
	if (maildir_expand(d->maildir, address, route_r->target,
	    &route_r->fixed, &why) == -1)
		refuse(route_r, errno == ENOMEM ? ROUTE_LATER :
		    ROUTE_UNKNOWN_USER, errno == ENOMEM ? no_memory : why);
	else if ((listed = is_listed(d, address)) == -1)
		refuse(route_r, ROUTE_LATER, no_memory);
	else if (listed == 0)
		refuse(route_r, ROUTE_UNKNOWN_USER,
		    "Recipients does not list");
	else
		route_r->verdict = ROUTE_DELIVER;
}

int
route_deliver(const struct settings *s, const char *rcpt,
    struct route *route_r, char *text_r)
{
	route_find(s, rcpt, route_r);
	if (route_r->verdict == ROUTE_DELIVER)
		return 0;
	if (route_r->verdict == ROUTE_LATER) {
		snprintf(text_r, JOB_TEXT, "%s %s: it is tried again",
		    route_r->why, rcpt);
		errno = ENOMEM;
		return -1;
	}
	snprintf(text_r, JOB_TEXT, "%s %s: %s, or remove the message from the "
	    "queue", route_r->why, rcpt, route_r->why == no_domain ?
	    "add one" : "change the settings of its domain");
	errno = ENXIO;
	return -1;
}
