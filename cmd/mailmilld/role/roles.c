/* The roles: the columns of role.def, against the settings. */

#include "cmd/mailmilld/role/roles.h"

#include <stddef.h>
#include <string.h>

#include "cmd/settings/settings_tls.h"

static const char *const names[NROLES] = {
#define ROLE(id, name, account, def, counted, chrooted) [ROLE_##id] = name,
#include "cmd/mailmilld/role/role.def"
#undef ROLE
};

const char *
role_name(enum role_id role)
{
	return role < NROLES ? names[role] : "unknown";
}

enum role_id
role_by_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < NROLES; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return NROLES;
}

const char *
role_account(const struct settings *s, enum role_id role)
{
	const char *const accounts[NROLES] = {
		[ROLE_WORKER] = s->user,
		[ROLE_QUEUE] = s->queue_user,
		[ROLE_DELIVER] = s->delivery_user,
		[ROLE_KEYD] = s->key_user,
		[ROLE_AUTHD] = s->auth_user,
	};

	return accounts[role];
}

unsigned int
role_count(const struct settings *s, enum role_id role)
{
	const unsigned int counts[NROLES] = {
		[ROLE_WORKER] = (unsigned int)s->workers,
		[ROLE_QUEUE] = 1,
		[ROLE_DELIVER] = (unsigned int)s->deliverers,
		[ROLE_KEYD] = s->tls->npairs > 0 ? (unsigned int)s->keyds : 0,
		[ROLE_AUTHD] = s->has_auth ? 1 : 0,
	};

	return counts[role];
}

unsigned int
role_keyd_slot(const struct settings *s, unsigned int slot)
{
	return (slot - 1) % (unsigned int)s->keyds + 1;
}
