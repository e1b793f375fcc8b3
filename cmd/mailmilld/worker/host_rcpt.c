/* Recipients: is an address a mailbox of ours?
 * Owns: what RCPT is told of Domain, Recipients and Default_Domain. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <string.h>
#include <strings.h>

#include "core/lim.h"
#include "core/maildir/maildir.h"

/* Is ${address}, local@domain as the spool will have it, listed?  RFC 5321
 * 4.5.1: postmaster is there, listed or not. */
static bool
is_listed(const struct recipients *r, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t len;

	if (r == NULL)
		return true;
	if (at == NULL)
		return false;
	len = (size_t)(at - address);
	if (len == strlen("postmaster") &&
	    strncasecmp(address, "postmaster", len) == 0)
		return true;
	return recipients_has(r, address, len, at + 1, strlen(at + 1));
}

enum esmtp_rcpt_status
host_rcpt_lookup(void *host, accept_construct *ac, const struct mailaddr *addr)
{
	const struct worker *w = host;
	const struct settings *s = w->child->settings;
	const struct settings_domain *d;
	char address[LIM_PATH + 2], path[MAILDIR_PATH_MAX];
	const char *why;
	size_t fixed;

	(void)ac;
	if (addr->domain_len == 0)	/* RFC 5321 4.1.1.3: <postmaster> */
		return s->default_domain != NULL ? ESMTP_RCPT_OK :
		    ESMTP_RCPT_UNKNOWN;
	d = settings_domain_find(s, addr->domain, addr->domain_len);
	if (d == NULL)
		return ESMTP_RCPT_FOREIGN;
	/* a local part that can be no folder is no mailbox */
	if (mailaddr_format(addr, address, sizeof(address)) == -1 ||
	    maildir_expand(d->maildir, address, path, &fixed, &why) == -1 ||
	    !is_listed(d->recipients_table, address))
		return ESMTP_RCPT_UNKNOWN;
	return ESMTP_RCPT_OK;
}
