/* Recipients files: the mailboxes of a domain, one address or local part a
 * line.
 * Owns: what a line may be, and which address is listed. */

#ifndef CORE_TABLE_RECIPIENTS_H
#define CORE_TABLE_RECIPIENTS_H

#include "core/table/textfile.h"

/* recipients_load(path, address, closure, err_r, errlen): As textfile_load(). */
struct textfile *recipients_load(const char *path, textfile_address *address,
    const void *closure, char *err_r, size_t errlen);

/* recipients_has(t, address): Is the local part (in every domain that uses the
 * file) or the whole of ${address} listed?  1 or 0; -1 with errno ENOMEM: it is not
 * known. */
int recipients_has(const struct textfile *t, const char *address);

#endif
