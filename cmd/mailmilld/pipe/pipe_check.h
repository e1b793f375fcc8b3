/* Can the programs of the Domain sections be run? */

#ifndef CMD_MAILMILLD_PIPE_PIPE_CHECK_H
#define CMD_MAILMILLD_PIPE_PIPE_CHECK_H

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"

/* pipe_check(s, spec_r): The check that looks, under the account of each program, at
 * the program and its folder; ${s} lives until it is started.  Of what is missing,
 * or what that account may not execute or enter, it says PROBE_ABSENT; a program that
 * others can write to is PROBE_BAD, since they could run whatever they want as that
 * account. */
void pipe_check(const struct settings *s, struct probe_spec *spec_r);

#endif
