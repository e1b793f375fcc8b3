/* Could policies of MTA-STS be fetched, and reports of TLS be posted? */

#ifndef CMD_MAILMILLD_STS_STS_CHECK_H
#define CMD_MAILMILLD_STS_STS_CHECK_H

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"

/* sts_check(s, spec_r): The check that loads libcurl under the account of sts, in a
 * process of its own: no other one is to have it.  ${s} lives until it is started.
 * Where it cannot be loaded, it says PROBE_BAD, since policies are wanted, or
 * PROBE_LIMITED: reports of TLS go by mail. */
void sts_check(const struct settings *s, struct probe_spec *spec_r);

/* sts_check_authorities(s, err_r, errlen): If there will be a process sts, can the file
 * of MTA_STS_CA_File be read, or, without one and for policies, that of the system?
 * Return 0, or -1 with a message. */
int sts_check_authorities(const struct settings *s, char *err_r,
    size_t errlen);

#endif
