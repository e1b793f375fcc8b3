/* Sender_Login files: which sender addresses a login may use.
 * One line for each sender: the sender, then the logins that may use it,
 * separated by white space.  A sender is an address, "@domain" for all other
 * addresses of a domain, or "*" for all others; a login of "*" is anybody who
 * has logged in.  The most exact entry that there is for an address decides
 * alone; lines for the same sender add up.  Logins match exactly.
 * Owns: what a line may be, and which one decides. */

#ifndef CORE_TABLE_SENDER_LOGINS_H
#define CORE_TABLE_SENDER_LOGINS_H

#include <stdbool.h>

#include "core/table/textfile.h"

/* sender_logins_load(path, address, closure, err_r, errlen): As
 * textfile_load(). */
struct textfile *sender_logins_load(const char *path,
    textfile_address *address, const void *closure, char *err_r,
    size_t errlen);

/* sender_logins_may(t, login, address): May ${login} use ${address}, local part
 * and domain as mailaddr_format() writes them?  It may not where there is no memory
 * to look that up.
 * sender_logins_may_bare(t, login, address, bare): The same; if there is no entry for
 * ${address}, one for ${bare} decides, which is ${address} without its extension, or
 * NULL. */
bool sender_logins_may(const struct textfile *t, const char *login,
    const char *address);
bool sender_logins_may_bare(const struct textfile *t, const char *login,
    const char *address, const char *bare);

#endif
