/* AUTH (RFC 4954): which mechanisms a session is offered, and may choose.
 * Knows nothing of the rule, esmtp_auth_mech.c has it, and of exchanges. */

#include <string.h>

#include "core/util/addr.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_ext.h"

static struct esmtp_auth_scope
scope_of(const message_construct *mc)
{
	const struct esmtp_tls *tls = mc->ac->tls;
	struct esmtp_host *host = mc->ac->host;
	uint32_t uid;

	return (struct esmtp_auth_scope){
		.options = mc->ac->options,
		.can = host->ops->auth_can == NULL ? NULL :
		    host->ops->auth_can(esmtp_auth_closure(host), mc->ac),
		.is_tls = tls != NULL,
		.is_local = addr_uid(&mc->ac->remote_addr.sa, &uid),
		.is_verified = tls != NULL && tls->is_verified &&
		    !esmtp_is_claimed(mc)
	};
}

bool
esmtp_auth_is_configured(const message_construct *mc)
{
	return mc->extensions & ESMTP_EXT_BIT(AUTH) &&
	    mc->ac->host->ops->auth_start != NULL &&
	    (mc->ac->host->ops->auth_closure != NULL ||
	    mc->ac->options->auth_backend[0] != '\0');
}

bool
esmtp_auth_is_offered(const message_construct *mc)
{
	struct esmtp_auth_scope scope;
	const char *name;
	size_t i;

	if (!esmtp_auth_is_configured(mc))
		return false;
	scope = scope_of(mc);
	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++)
		if (esmtp_auth_mech_usable(&scope, name, strlen(name)) ==
		    RPL_OK)
			return true;
	return false;
}

/* ${name} in capitals, without a NUL. */
static void
capitals(const char *name, size_t len, char *out)
{
	size_t i;

	for (i = 0; i < len; i++)
		out[i] = name[i] >= 'a' && name[i] <= 'z' ?
		    (char)(name[i] - 'a' + 'A') : name[i];
}

enum esmtp_reply_id
esmtp_auth_choose(const message_construct *mc, const char *name, size_t len,
    char mech_r[LIM_AUTH_MECHANISM + 1])
{
	struct esmtp_auth_scope scope = scope_of(mc);

	if (len > LIM_AUTH_MECHANISM)
		return RPL_AUTH_MECHANISM;
	capitals(name, len, mech_r);
	mech_r[len] = '\0';
	return esmtp_auth_mech_may(&scope, name, len);
}

/* RFC 4954 3 (3): the names, parted by spaces; those that fit. */
void
esmtp_auth_names(const message_construct *mc, char *buf, size_t len)
{
	struct esmtp_auth_scope scope = scope_of(mc);
	const char *name;
	size_t i, n = 0, max;

	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++) {
		max = strlen(name);
		if (esmtp_auth_mech_usable(&scope, name, max) != RPL_OK ||
		    max > LIM_AUTH_MECHANISM || n + 1 + max >= len)
			continue;
		if (n > 0)
			buf[n++] = ' ';
		capitals(name, max, buf + n);
		n += max;
	}
	buf[n] = '\0';
}
