/* Where a recipient goes: Domain section, transport, target.
 * Owns: the order of the questions, and the text when there is no answer. */

#include "cmd/settings/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char no_memory[] = "there is no memory to find the mailbox of";
static const char not_listed[] = "Recipients does not list";
static const char no_domain[] = "there is no Domain section for";

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

static const enum transport transport_of[NDELIVERIES] = {
#define DELIVERY(id, name, transport) [DELIVERY_##id] = TRANSPORT_##transport,
#include "cmd/settings/delivery.def"
#undef DELIVERY
};

/* Find the mailbox of ${address}, which is that of the address without its extension
 * if the whole one is not listed: write it to ${bare}, ROUTE_ADDRESS_MAX octets, and
 * set ${route_r}->extension.  Return it; or NULL: there is no memory to find out. */
static const char *
find_mailbox(const struct settings_domain *d, const char *address,
    char *bare, struct route *route_r)
{
	size_t at = route_extension(d, address);
	int listed;

	route_r->extension[0] = '\0';
	if (at == 0)
		return address;
	listed = d->recipients_table == NULL ? 0 :
	    recipients_has(d->recipients_table, address);
	if (listed != 0)
		return listed == 1 ? address : NULL;
	if (route_extension_strip(address, at, bare) == -1)
		return errno == ENOMEM ? NULL : address;
	route_extension_text(address, at, route_r->extension);
	return bare;
}

/* Where ${address} is in the domain ${d}.  Return 0, or -1 having refused it. */
static int
find_target(const struct settings_domain *d, const char *address,
    struct route *route_r)
{
	const char *why, *domain = strrchr(address, '@') + 1;

	if (settings_is_relayed(d)) {
		settings_target(d, domain, strlen(domain), route_r->target);
		route_r->is_rest = strcmp(d->name, "*") == 0;
		return 0;
	}
	if (settings_is_piped(d) || settings_is_discarded(d)) {
		route_r->target[0] = '\0';
		return 0;
	}
	route_r->is_lf = d->maildir_newline == MAILDIR_NEWLINE_LF;
	/* a local part that cannot be a folder's name is no mailbox */
	if (maildir_expand(d->maildir, address, route_r->target,
	    &route_r->fixed, &why) == 0)
		return 0;
	refuse(route_r, errno == ENOMEM ? ROUTE_LATER : ROUTE_UNKNOWN_USER,
	    errno == ENOMEM ? no_memory : why);
	return -1;
}

/* The same, by the section ${by}, or if that is NULL by that of the domain */
static void
find_by(const struct settings *s, const struct settings_domain *by,
    const char *rcpt, struct route *route_r)
{
	const struct settings_domain *d;
	const char *at = strrchr(rcpt, '@'), *address = rcpt;
	char whole[MAILDIR_PATH_MAX], bare[ROUTE_ADDRESS_MAX];
	int listed;

	d = at == NULL ? s->default_domain :
	    settings_domain_find(s, at + 1, strlen(at + 1));
	if (d == NULL && (at == NULL || by == NULL)) {
		refuse(route_r, at == NULL ? ROUTE_UNKNOWN_USER :
		    ROUTE_NO_DOMAIN, no_domain);
		return;
	}
	if (at == NULL) {
		snprintf(whole, sizeof(whole), "%s@%s", rcpt, d->name);
		address = whole;
	}
	if (by != NULL)
		d = by;
	route_r->domain = d;
	route_r->transport = transport_of[d->delivery];
	route_r->fixed = 0;
	route_r->is_lf = route_r->is_rest = false;
	if ((address = find_mailbox(d, address, bare, route_r)) == NULL) {
		refuse(route_r, ROUTE_LATER, no_memory);
		return;
	}
	if (find_target(d, address, route_r) == -1)
		return;
	if ((listed = is_listed(d, address)) == -1)
		refuse(route_r, ROUTE_LATER, no_memory);
	else if (listed == 0)
		refuse(route_r, ROUTE_UNKNOWN_USER, not_listed);
	else
		route_r->verdict = ROUTE_DELIVER;
}

void
route_find(const struct settings *s, const char *rcpt, struct route *route_r)
{
	find_by(s, NULL, rcpt, route_r);
}

int
route_deliver(const struct settings *s, uint32_t section, const char *rcpt,
    struct route *route_r, char *text_r)
{
	const struct settings_domain *by = NULL;

	if (section != 0 &&
	    (by = settings_section_numbered(s, section)) == NULL) {
		strlcpy(text_r, "the settings have changed", JOB_TEXT);
		errno = EAGAIN;
		return -1;
	}
	find_by(s, by, rcpt, route_r);
	if (route_r->verdict == ROUTE_DELIVER || route_r->why == not_listed)
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
