/* The list of the roles, and what follows from it. */

#include "cmd/mailmilld/role/roles.h"

#include <assert.h>
#include <string.h>

static const struct role *const *roles;

static const char *const names[NROLES] = {
#define ROLE(ID, name) [ROLE_##ID] = #name,
#include "cmd/mailmilld/role/role.def"
#undef ROLE
};

void
roles_use(const struct role *const list[NROLES])
{
	unsigned int i;

	for (i = 0; i < NROLES; i++)
		assert(list[i]->id == i);
	roles = list;
}

const struct role *
role_of(enum role_id id)
{
	assert(id < NROLES);
	return roles[id];
}

const char *
role_name(enum role_id id)
{
	return id < NROLES ? names[id] : "unknown";
}

uint64_t
role_writes_nothing(const struct settings *)
{
	return 0;
}

enum role_id
role_by_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < NROLES; i++)
		if (strcmp(names[i], name) == 0)
			break;
	return i;
}

const char *
role_account(const struct settings *s, enum role_id id)
{
	const struct role *role = role_of(id);
	const char *name;

	if (role->account_setting == NULL)
		return NULL;
	memcpy(&name, (const char *)s + role->account_offset, sizeof(name));
	return name;
}

enum role_id
role_shares(enum role_id id)
{
	const char *setting = role_of(id)->account_setting;
	unsigned int i;

	for (i = 0; setting != NULL && i < id; i++)
		if (roles[i]->account_setting != NULL &&
		    strcmp(roles[i]->account_setting, setting) == 0)
			return i;
	return id;
}

unsigned int
role_count(const struct settings *s, enum role_id id)
{
	const struct role *role = role_of(id);

	return role->count == NULL ? 1 : role->count(s);
}

unsigned int
role_lasting(void)
{
	unsigned int i, lasting = 0;

	for (i = 0; i < NROLES; i++)
		if (roles[i]->is_lasting)
			lasting |= ROLE_BIT(i);
	return lasting;
}

unsigned int
role_askers(enum role_id id)
{
	unsigned int i, askers = 0;

	for (i = 0; i < NROLES; i++)
		if ((roles[i]->peers & ROLE_BIT(id)) != 0)
			askers |= ROLE_BIT(i);
	return askers;
}

bool
role_asks(const struct settings *s, enum role_id a, unsigned int a_slot,
    enum role_id b, unsigned int b_slot)
{
	const struct role *role = role_of(a);
	unsigned int n;

	if ((role->peers & ROLE_BIT(b)) == 0 ||
	    (role->asks != NULL && !role->asks(s, b)))
		return false;
	if (!role_of(b)->is_split)
		return true;
	n = role_count(s, b);
	return n > 0 && (a_slot - 1) % n + 1 == b_slot;
}
