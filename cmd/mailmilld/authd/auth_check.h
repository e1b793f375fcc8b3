/* Can the back ends that know passwords be opened? */

#ifndef CMD_MAILMILLD_AUTH_CHECK_H
#define CMD_MAILMILLD_AUTH_CHECK_H

#include <stddef.h>

#include "cmd/settings/settings.h"

/* auth_check(s, err_r, errlen): Open each Auth_Backend of ${s} as authd will,
 * under its account, and close it again.  Return 0, or -1 with a message:
 * which back end, what is wrong with it, who reads it. */
int auth_check(const struct settings *s, char *err_r, size_t errlen);

#endif
