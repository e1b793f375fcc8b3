/* Which recipients are aliases; see route_alias.h. */

#include "cmd/settings/route_alias.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OWNER	"owner-"

/* What ${rcpt} comes back to, which is in SRS_Domain. */
static enum route_alias
find_sender(const struct settings *s, const char *rcpt, int64_t now,
    struct route_alias_found *found_r)
{
	if (srs_reverse(s->srs, rcpt, now, found_r->sender,
	    sizeof(found_r->sender)) == 0)
		return ROUTE_ALIAS_SRS;
	if (errno == ENOMEM)
		return ROUTE_ALIAS_LATER;
	found_r->why = errno == ETIME ? "this address for reports is too old" :
	    errno == EBADMSG ? "this address for reports was not made here" :
	    "not an address for reports";
	return ROUTE_ALIAS_REFUSED;
}

enum route_alias
route_alias(const struct settings *s, const char *rcpt, int64_t now,
    struct route_alias_found *found_r)
{
	const char *at = strrchr(rcpt, '@'), *address = rcpt;
	const struct settings_domain *d;
	char whole[ROUTE_ADDRESS_MAX];

	d = at == NULL ? s->default_domain :
	    settings_domain_find(s, at + 1, strlen(at + 1));
	if (d == NULL)
		return ROUTE_ALIAS_NONE;
	if (s->srs != NULL && at != NULL &&
	    strcasecmp(at + 1, s->srs_domain) == 0 && srs_is_address(rcpt))
		return find_sender(s, rcpt, now, found_r);
	if (d->aliases_table == NULL)
		return ROUTE_ALIAS_NONE;
	if (at == NULL) {
		snprintf(whole, sizeof(whole), "%s@%s", rcpt, d->name);
		address = whole;
	}
	found_r->targets = aliases_find(d->aliases_table, address, false);
	if (found_r->targets != NULL)
		return ROUTE_ALIAS_TABLE;
	return errno == ENOENT ? ROUTE_ALIAS_NONE : ROUTE_ALIAS_LATER;
}

int
route_alias_owner(const struct settings *s, const char *rcpt, char *buf)
{
	const char *at = strrchr(rcpt, '@');
	const struct settings_domain *d;
	int n;

	if (at == NULL || strncasecmp(rcpt, OWNER, strlen(OWNER)) == 0)
		return 0;
	d = settings_domain_find(s, at + 1, strlen(at + 1));
	if (d == NULL || d->aliases_table == NULL)
		return 0;
	/* in quotes, if it needs them */
	n = snprintf(buf, ROUTE_ADDRESS_MAX, "%s" OWNER "%s",
	    *rcpt == '"' ? "\"" : "", rcpt + (*rcpt == '"'));
	if (n < 0 || n >= ROUTE_ADDRESS_MAX)
		return 0;
	if (aliases_find(d->aliases_table, buf, true) != NULL)
		return 1;
	return errno == ENOENT ? 0 : -1;
}
