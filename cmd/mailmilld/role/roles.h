/* The roles of role.def: names, and how many of each a configuration needs. */

#ifndef CMD_MAILMILLD_ROLES_H
#define CMD_MAILMILLD_ROLES_H

#include "cmd/mailmilld/role/msg.h"
#include "cmd/settings/settings.h"

const char *role_name(enum role_id role);

/* role_by_name(name): The role of "-x name", or NROLES. */
enum role_id role_by_name(const char *name);

/* role_account(s, role): The name of its account, or NULL: the master's. */
const char *role_account(const struct settings *s, enum role_id role);

/* role_count(s, role): How many processes of it the configuration needs: no
 * keyd without certificates, no authd without Auth_Backend. */
unsigned int role_count(const struct settings *s, enum role_id role);

/* role_keyd_slot(s, slot): The keyd that signs for worker ${slot}. */
unsigned int role_keyd_slot(const struct settings *s, unsigned int slot);

#endif
