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

/* As aliases_find(); ${exact}: no entry is for all others.  First the whole address is
 * looked for, then without its extension, which begins at *${at_r} if this is what is
 * listed. */
static const char *
find_entry(const struct settings_domain *d, const char *address, bool exact,
    size_t *at_r)
{
	size_t at = route_extension(d, address);
	char bare[ROUTE_ADDRESS_MAX];
	const char *found;

	*at_r = 0;
	if (at == 0)
		return aliases_find(d->aliases_table, address, exact);
	found = aliases_find(d->aliases_table, address, true);
	if (found != NULL || errno != ENOENT)
		return found;
	if (route_extension_strip(address, at, bare) == 0)
		found = aliases_find(d->aliases_table, bare, true);
	else if (errno != ENOMEM)
		errno = ENOENT;
	if (found != NULL)
		*at_r = at;
	if (found != NULL || errno != ENOENT || exact)
		return found;
	return aliases_find(d->aliases_table, address, false);
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
	found_r->targets = find_entry(d, address, false, &found_r->extension);
	if (found_r->targets != NULL)
		return ROUTE_ALIAS_TABLE;
	return errno == ENOENT ? ROUTE_ALIAS_NONE : ROUTE_ALIAS_LATER;
}

/* As route_alias_owner(), of ${rcpt} as it is */
static int
find_owner(const struct settings_domain *d, const char *rcpt, char *buf)
{
	/* in quotes, if it needs them */
	int n = snprintf(buf, ROUTE_ADDRESS_MAX, "%s" OWNER "%s",
	    *rcpt == '"' ? "\"" : "", rcpt + (*rcpt == '"'));

	if (n < 0 || n >= ROUTE_ADDRESS_MAX)
		return 0;
	if (aliases_find(d->aliases_table, buf, true) != NULL)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

int
route_alias_owner(const struct settings *s, const char *rcpt, char *buf)
{
	const char *at = strrchr(rcpt, '@');
	const struct settings_domain *d;
	char bare[ROUTE_ADDRESS_MAX];
	size_t ext;
	int rc;

	if (at == NULL || strncasecmp(rcpt, OWNER, strlen(OWNER)) == 0)
		return 0;
	d = settings_domain_find(s, at + 1, strlen(at + 1));
	if (d == NULL || d->aliases_table == NULL)
		return 0;
	rc = find_owner(d, rcpt, buf);
	if (rc != 0 || (ext = route_extension(d, rcpt)) == 0)
		return rc;
	if (route_extension_strip(rcpt, ext, bare) == -1)
		return errno == ENOMEM ? -1 : 0;
	return find_owner(d, bare, buf);
}
