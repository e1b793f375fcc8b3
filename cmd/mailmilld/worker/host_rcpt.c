/* Addresses: what RCPT is told of a recipient, and MAIL of a sender.
 * Owns: the verdicts of a route and of the file of Sender_Login as answers to
 * the protocol. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <string.h>

#include "cmd/settings/route.h"
#include "cmd/settings/route_alias.h"
#include "core/lim.h"
#include "core/table/sender_logins.h"
#include "core/util/addr.h"

/* What RCPT is told of an alias.  Return whether it is one. */
static bool
is_alias(const struct settings *s, const accept_construct *ac,
    const char *address, enum esmtp_rcpt_status *status_r)
{
	struct route_alias_found found;
	const char *sender;

	switch (route_alias(s, address, scheduler_now()->tv_sec, &found)) {
	case ROUTE_ALIAS_NONE:
		return false;
	case ROUTE_ALIAS_TABLE:
		*status_r = ESMTP_RCPT_OK;
		break;
	case ROUTE_ALIAS_SRS:
		/* it is for reports alone, which have no sender: or everybody
		 * who has seen one could send through this server */
		sender = ac == NULL ? NULL : esmtp_session_sender(ac);
		*status_r = sender == NULL || *sender == '\0' ?
		    ESMTP_RCPT_OK : ESMTP_RCPT_UNKNOWN;
		break;
	case ROUTE_ALIAS_REFUSED:
		*status_r = ESMTP_RCPT_UNKNOWN;
		break;
	case ROUTE_ALIAS_LATER:
		*status_r = ESMTP_RCPT_LATER;
		break;
	}
	return true;
}

enum esmtp_rcpt_status
host_rcpt_lookup(void *host, accept_construct *ac, const struct mailaddr *addr)
{
	static const enum esmtp_rcpt_status answers[] = {
		[ROUTE_DELIVER] = ESMTP_RCPT_OK,
		[ROUTE_UNKNOWN_USER] = ESMTP_RCPT_UNKNOWN,
		[ROUTE_NO_DOMAIN] = ESMTP_RCPT_FOREIGN,
		[ROUTE_LATER] = ESMTP_RCPT_LATER,
	};
	const struct worker *w = host;
	enum esmtp_rcpt_status status = ESMTP_RCPT_UNKNOWN;
	char address[LIM_PATH + 2];
	struct route route;

	if (mailaddr_format(addr, address, sizeof(address)) == -1)
		return ESMTP_RCPT_UNKNOWN;
	if (is_alias(w->child->settings, ac, address, &status))
		return status;
	route_find(w->child->settings, address, &route);
	return route.verdict == ROUTE_DELIVER && route.is_rest ?
	    ESMTP_RCPT_RELAY : answers[route.verdict];
}

/* ${address} without its extension, in ${buf}; NULL: it has none. */
static const char *
bare_of(const struct settings *s, const char *address, char *buf)
{
	const char *at = strrchr(address, '@');
	const struct settings_domain *d = at == NULL ? NULL :
	    settings_domain_find(s, at + 1, strlen(at + 1));
	size_t ext = d == NULL ? 0 : route_extension(d, address);

	return ext != 0 && route_extension_strip(address, ext, buf) == 0 ?
	    buf : NULL;
}

int
host_sender_may_use(void *host, accept_construct *ac, const char *login,
    const struct mailaddr *sender)
{
	const struct worker *w = host;
	const struct textfile *table;
	char address[LIM_PATH + 2], bare[ROUTE_ADDRESS_MAX];

	if (ac->options->sender_login[0] == '\0')
		return 1;
	table = settings_sender_logins(w->child->settings,
	    ac->options->sender_login);
	/* in the form that the spool gets, so that quotes make no difference */
	return table != NULL &&
	    mailaddr_format(sender, address, sizeof(address)) != -1 &&
	    sender_logins_may_bare(table, login, address,
	    bare_of(w->child->settings, address, bare));
}

/* Is ${sa} the address of our end of the connection? */
static bool
is_own(const accept_construct *ac, const struct sockaddr *sa)
{
	union addr own = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(own);

	return getsockname(ac->event->fd, &own.sa, &len) == 0 &&
	    addr_is_same(sa, &own.sa);
}

const char *
host_postmaster_domain(void *host, accept_construct *ac,
    const struct sockaddr *own)
{
	const struct worker *w = host;
	const struct settings_domain *d = w->child->settings->default_domain;

	return d == NULL || (own != NULL && !is_own(ac, own)) ? NULL : d->name;
}
