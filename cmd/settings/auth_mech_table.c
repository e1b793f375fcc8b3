/* The table of mechanisms, and nothing that does one: whoever checks a setting
 * need not link them. */

#include "cmd/settings/auth_mech_table.h"

#include <string.h>
#include <strings.h>

static const struct auth_mech rows[] = {
#define AUTH_MECH(n, plaintext, on, tls, cert, how, source)		\
	{ .name = n, .is_plaintext = plaintext, .is_default = on,	\
	    .needs_tls = tls, .needs_certificate = cert,		\
	    .kind = AUTH_MECH_##how },
#include "cmd/settings/auth_mech.def"
#undef AUTH_MECH
};

const struct auth_mech *
auth_mech_at(size_t i)
{
	return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

const struct auth_mech *
auth_mech_find(const char *name)
{
	const struct auth_mech *m;
	size_t i;

	for (i = 0; (m = auth_mech_at(i)) != NULL; i++) {
		if (strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

bool
auth_mech_is_plus(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && strcasecmp(name + len - 5, "-PLUS") == 0;
}
