/* Which mechanisms a listener offers to a client, decided from authd's own
 * settings.
 * Owns: the objection to a worker's request, whether -PLUS was offered. */

#include "cmd/mailmilld/authd/authd_int.h"

#include <string.h>

#include "proto/auth/esmtp_auth_mech.h"

/* What decides which mechanisms the client may use.  A request does not tell
 * whether the certificate was verified: without r->peer_name EXTERNAL fails. */
static struct esmtp_auth_scope
scope_of(const struct esmtp_options *o, const struct auth_request *r,
    const struct vouched *who)
{
	uint32_t uid;

	return (struct esmtp_auth_scope){ .options = o,
		.can = auth_spec_can(o->auth_backend), .is_tls = r->is_tls,
		.is_local = addr_uid(vouched_client(who), &uid),
		.is_verified = r->is_tls };
}

/* RFC 5802 6: was the client offered a mechanism with channel binding? */
bool
authd_offer_has_plus(const struct auth_request *r,
    const struct esmtp_options *o, const struct vouched *who)
{
	const struct esmtp_auth_scope scope = scope_of(o, r, who);
	const char *name;
	size_t i;

	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++)
		if (esmtp_auth_mech_is_plus(name, strlen(name)) &&
		    esmtp_auth_mech_may(&scope, name, strlen(name)) == RPL_OK)
			return true;
	return false;
}

/* Why a request is refused, or NULL. A worker may have been taken over: what
 * its listener offers to that client is decided again from authd's own
 * settings. */
const char *
authd_offer_objection(const struct auth_request *r,
    const struct esmtp_options *o, const struct vouched *who)
{
	const struct esmtp_auth_scope scope = scope_of(o, r, who);

	switch (*o->auth_backend == '\0' ? RPL_AUTH_MECHANISM :
	    esmtp_auth_mech_may(&scope, r->mech, strlen(r->mech))) {
	case RPL_OK:
		return NULL;
	case RPL_AUTH_TLS:
		return "AUTH without TLS";
	default:
		return "a mechanism that is not offered there";
	}
}
