/* Which recipients are aliases, so that others get their mail.
 * The worker asks at RCPT, and the queue when it reads a message.  Both have loaded
 * the files of Aliases (settings_load_aliases()); delivery agents have not, since
 * what they get is for no alias. */

#ifndef CMD_SETTINGS_ROUTE_ALIAS_H
#define CMD_SETTINGS_ROUTE_ALIAS_H

#include <stdint.h>

#include "cmd/settings/route_extension.h"
#include "cmd/settings/settings.h"

enum route_alias {
	ROUTE_ALIAS_NONE,
	ROUTE_ALIAS_TABLE,	/* it is listed */
	ROUTE_ALIAS_SRS,	/* it is one of SRS_Domain: a report to a sender whose mail was forwarded */
	ROUTE_ALIAS_REFUSED,	/* the same, but it is forged or too old */
	ROUTE_ALIAS_LATER	/* there is no memory to find out */
};

/* Who gets its mail */
struct route_alias_found {
	const char	*targets;	/* of ROUTE_ALIAS_TABLE: as aliases_find() returns them */
	size_t		 extension;	/* the same: where the extension begins, without which the recipient is listed; 0: with it */
	char		 sender[ROUTE_ADDRESS_MAX]; /* of ROUTE_ALIAS_SRS: the sender */
	const char	*why;		/* of ROUTE_ALIAS_REFUSED: constant text */
};

/* route_alias(s, rcpt, now, found_r): Is ${rcpt}, local-part@domain or postmaster
 * alone, an alias at ${now}, unix seconds?
 * route_alias_owner(s, rcpt, buf): Write the owner of the alias ${rcpt}, "owner-" and
 * it, or it without its extension, to ${buf}, ROUTE_ADDRESS_MAX octets.  1; 0: it has none, as there is no alias
 * of that name; -1: there is no memory to find out. */
enum route_alias route_alias(const struct settings *s, const char *rcpt,
    int64_t now, struct route_alias_found *found_r);
int route_alias_owner(const struct settings *s, const char *rcpt, char *buf);

#endif
