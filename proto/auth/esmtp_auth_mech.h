/* The mechanisms of AUTH: what each needs, and which of them a client may use.
 * Owns: the table (esmtp_auth_mech.def), and the rule: EHLO, AUTH, the process
 * that checks logins and the check of the configuration all ask here. */

#ifndef PROTO_AUTH_ESMTP_AUTH_MECH_H
#define PROTO_AUTH_ESMTP_AUTH_MECH_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/esmtp_host.h"
#include "proto/options/options.h"
#include "proto/esmtp_reply.h"

#define AM_CERT		0x1
#define AM_CLIENT_FIRST	0x2
#define AM_SERVER_FIRST	0x4
#define AM_ONE_STEP	0x8
#define AM_DEFAULT	0x10

struct esmtp_auth_mech {
	const char	*name;		/* capitals */
	unsigned int	 needs;		/* ESMTP_CAN_* */
	unsigned int	 flags;
};

/* esmtp_auth_mech_at(i): The rows, in the order of preference; NULL behind the
 * last.
 * esmtp_auth_mech_find(name, len): The row of that name in any case.  NULL:
 * none that is known here; a host may do it all the same.
 * esmtp_auth_mech_is_plus(name, len): Does it bind to the channel (RFC 5802 4:
 * its name ends in -PLUS)? */
const struct esmtp_auth_mech *esmtp_auth_mech_at(size_t i);
const struct esmtp_auth_mech *esmtp_auth_mech_find(const char *name,
    size_t len);
bool esmtp_auth_mech_is_plus(const char *name, size_t len);

/* What the rule depends on, besides the row of the mechanism. */
struct esmtp_auth_scope {
	const struct esmtp_options	*options;	/* of the client */
	const struct esmtp_auth_can	*can;		/* NULL: all */
	bool				 is_tls;
	bool				 is_local;	/* a Unix socket: no network can listen */
	bool				 is_verified;	/* its certificate */
};

/* esmtp_auth_mech_listed(scope, i): Number ${i} of the names that are
 * configured, whatever the connection is like: Auth_Mechanisms, else what the
 * host usually does.  NULL behind the last.
 * esmtp_auth_mech_usable(scope, name, len): May a client use it?  RPL_OK, or
 * the refusal of AUTH.
 * esmtp_auth_mech_may(scope, name, len): The same for any ${name}, in any case:
 * what is not listed is refused. */
const char *esmtp_auth_mech_listed(const struct esmtp_auth_scope *scope,
    size_t i);
enum esmtp_reply_id esmtp_auth_mech_usable(
    const struct esmtp_auth_scope *scope, const char *name, size_t len);
enum esmtp_reply_id esmtp_auth_mech_may(const struct esmtp_auth_scope *scope,
    const char *name, size_t len);

/* Why an exchange has ended without a login.
 * esmtp_auth_why_text(why): For the log; "" for an unknown number. */
enum esmtp_auth_why {
#define ESMTP_AUTH_WHY(id, text) ESMTP_WHY_##id,
#include "proto/auth/esmtp_auth_why.def"
#undef ESMTP_AUTH_WHY
	ESMTP_NWHYS
};
const char *esmtp_auth_why_text(unsigned int why);

#endif
