/* A Recipients file: the mailboxes of a domain.
 * One address or local part per line; blank lines and what follows a '#' are
 * ignored, and so is white space round an entry.
 * Owns: the file's text, the table over it. */

#ifndef CORE_TABLE_RECIPIENTS_H
#define CORE_TABLE_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>

struct recipients;

/* recipients_load(path, err_r, errlen): NULL with a message ("path:line: ...")
 * in ${err_r}. */
struct recipients *recipients_load(const char *path, char *err_r,
    size_t errlen);
void recipients_free(struct recipients *r);	/* NULL does nothing */

/* recipients_has(r, local, local_len, domain, domain_len): Is the local part
 * (in every domain that uses the file) or the whole address listed?  In any
 * case of ASCII letters. */
bool recipients_has(const struct recipients *r, const char *local,
    size_t local_len, const char *domain, size_t domain_len);

#endif
