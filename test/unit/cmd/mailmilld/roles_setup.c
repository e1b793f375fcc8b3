/* Before any test: the list of the roles, as main() has it. */

#include "cmd/mailmilld/role/roles.h"

static const struct role *const roles[NROLES] = {
#define ROLE(ID, name) [ROLE_##ID] = &role_##name,
#include "cmd/mailmilld/role/role.def"
#undef ROLE
};

static void __attribute__((constructor))
use_roles(void)
{
	roles_use(roles);
}
