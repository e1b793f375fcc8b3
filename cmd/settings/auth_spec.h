/* Auth_Backend as a text: "KIND:ARGUMENT".
 * Owns: the kinds (auth_spec.def), what an argument must look like, what
 * a kind can tell of users.  Opens nothing: that is auth_back.h in authd. */

#ifndef CMD_SETTINGS_AUTH_SPEC_H
#define CMD_SETTINGS_AUTH_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/esmtp_host.h"

#define AUTH_ERROR_MAX	256	/* octets of a message of one back end */

enum auth_spec_kind {
#define AUTH_SPEC(kind, argument, example, all, usual) AUTH_SPEC_##kind,
#include "cmd/settings/auth_spec.def"
#undef AUTH_SPEC
	AUTH_SPEC_NKINDS
};

/* auth_spec_check(spec, kind_r, arg_r, err_r, errlen): Is ${spec} well formed?
 * Return 0 with its kind and where its argument begins (both pointers may be
 * NULL), or -1 with what was expected. */
int auth_spec_check(const char *spec, enum auth_spec_kind *kind_r,
    const char **arg_r, char *err_r, size_t errlen);

/* auth_spec_can(spec): What this kind of back end can do, for the rule of
 * mechanisms (esmtp_auth_mech.h).  Nothing: an unknown kind. */
const struct esmtp_auth_can *auth_spec_can(const char *spec);

#endif
