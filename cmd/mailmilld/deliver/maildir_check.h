/* Are the folders there that hold the Maildirs? */

#ifndef CMD_MAILMILLD_DELIVER_MAILDIR_CHECK_H
#define CMD_MAILMILLD_DELIVER_MAILDIR_CHECK_H

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"

/* maildir_check(s, spec_r): The check that looks, under the agents' account, at
 * the fixed part of each Maildir of ${s}; ${s} lives until it is started.  Of a
 * part that is missing or that they may not enter, it says PROBE_ABSENT. */
void maildir_check(const struct settings *s, struct probe_spec *spec_r);

#endif
