/* Can the back ends that know passwords be opened? */

#ifndef CMD_MAILMILLD_AUTHD_AUTH_CHECK_H
#define CMD_MAILMILLD_AUTHD_AUTH_CHECK_H

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"

/* auth_check(s, spec_r): The check that opens each Auth_Backend of ${s} as
 * authd will, under its account, and closes it again.  ${s} lives until it is
 * started. */
void auth_check(const struct settings *s, struct probe_spec *spec_r);

#endif
