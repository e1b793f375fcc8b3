/* Files of Transport_Table and Sender_Transport_Table: how the mail of an address goes.
 * One line for each address: the address, "@domain" for all other addresses of a
 * domain, or "*" for all others; then one word.  The most exact line that there is for
 * an address decides; of two lines for the same address the last one does.
 * Owns: what a line may be, and which one decides.  What the word means the caller
 * knows. */

#ifndef CORE_TABLE_TRANSPORTS_H
#define CORE_TABLE_TRANSPORTS_H

#include "core/table/textfile.h"

/* transports_fault(address, len, words): What is wrong with a line, whatever its word
 * means; NULL: nothing. */
const char *transports_fault(const char *address, size_t len,
    const char *words);

/* transports_find(t, address, bare): The word for ${address}, local-part@domain, in any
 * case; or where that is not listed for ${bare}, the address without its extension, NULL:
 * it has none.  NULL with errno: ENOENT, there is none; ENOMEM, it is not known. */
const char *transports_find(const struct textfile *t, const char *address,
    const char *bare);

#endif
