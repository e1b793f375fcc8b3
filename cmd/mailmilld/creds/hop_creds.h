/* The logins of next hops: the files of Login of all Domain sections.
 * Owns: which login is for which value of Route. */

#ifndef CMD_MAILMILLD_CREDS_HOP_CREDS_H
#define CMD_MAILMILLD_CREDS_HOP_CREDS_H

#include "cmd/settings/settings.h"
#include "core/table/hop_logins.h"

struct hop_creds;

/* hop_creds_load(s, err_r, errlen): Read the files, while they can be opened.
 * NULL with a message: one cannot be read, or lacks a next hop of its section.
 * hop_creds_free(c): Overwrite and free; NULL does nothing.
 * hop_creds_check(s, err_r, errlen): Can they be loaded?  Return 0 or -1. */
struct hop_creds *hop_creds_load(const struct settings *s, char *err_r,
    size_t errlen);
void hop_creds_free(struct hop_creds *c);
int hop_creds_check(const struct settings *s, char *err_r, size_t errlen);

/* hop_creds_find(c, domain, route): The login for value ${route} of Route of
 * s->domains[domain]; NULL: there is none, or no such value. */
const struct hop_login *hop_creds_find(const struct hop_creds *c,
    size_t domain, size_t route);

#endif
