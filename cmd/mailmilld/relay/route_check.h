/* Are the sockets there that Route names, and the addresses of Source? */

#ifndef CMD_MAILMILLD_RELAY_ROUTE_CHECK_H
#define CMD_MAILMILLD_RELAY_ROUTE_CHECK_H

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"

/* route_check(s, spec_r): The check that looks, under the account of relay, for
 * the Unix sockets of ${s}, which lives until it is started.  Of one that is
 * missing, or that relay may not connect to, and of an address of Source that
 * this machine does not have, it says PROBE_ABSENT: they may come later.  Nothing
 * is connected. */
void route_check(const struct settings *s, struct probe_spec *spec_r);

/* route_check_authorities(s, err_r, errlen): Can the files of TLS_CA_File be read,
 * or, where they have to verify servers, those of the system?  Return 0, or -1
 * with a message. */
int route_check_authorities(const struct settings *s, char *err_r,
    size_t errlen);

#endif
