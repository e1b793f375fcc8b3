/* The table of SASL mechanisms (auth_mech.def), and nothing that does one. */

#ifndef CMD_SETTINGS_AUTH_MECH_TABLE_H
#define CMD_SETTINGS_AUTH_MECH_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Who does a mechanism: a row of auth_mech.c each. */
enum auth_mech_kind { AUTH_MECH_PLAIN, AUTH_MECH_LOGIN, AUTH_MECH_SCRAM,
	AUTH_MECH_CRAM_MD5, AUTH_MECH_EXTERNAL, AUTH_MECH_OAUTHBEARER,
	AUTH_MECH_XOAUTH2 };

struct auth_mech {
	const char	*name;			/* capitals */
	bool		 is_plaintext;		/* see the table */
	bool		 is_default;		/* without Auth_Mechanisms */
	bool		 needs_tls;
	bool		 needs_certificate;	/* of the client, verified */
	enum auth_mech_kind kind;
};

/* auth_mech_at(i): The rows of auth_mech.def, in the order of preference; NULL
 * behind the last.  auth_mech_find(name): NULL: no mechanism of ours.
 * auth_mech_is_plus(name): Does it bind to the channel, by its name in any case
 * (RFC 5802 4)? */
const struct auth_mech *auth_mech_at(size_t i);
const struct auth_mech *auth_mech_find(const char *name);
bool auth_mech_is_plus(const char *name);

#endif
