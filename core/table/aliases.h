/* Files of aliases: which addresses get the mail of another one.
 * A line has an address and, behind white space or a colon, those that get its
 * mail, with commas or white space between them; a line that begins with white
 * space goes on with the one before it.  So the tables of Postfix, virtual(5), and
 * aliases(5) are such files, as long as they name addresses alone: no programs, no
 * files.  What follows a '#' at the beginning of a line is a comment.
 *	user@domain	this address
 *	user		this local part, in every domain that uses the file
 *	@domain		all other addresses of the domain
 * The first of these that there is decides alone.
 * Owns: what a line may be, and which one decides.
 * Knows nothing of what becomes of the addresses. */

#ifndef CORE_TABLE_ALIASES_H
#define CORE_TABLE_ALIASES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/table/textfile.h"

struct aliases;

/* aliases_load(path, address, target, closure, err_r, errlen): Read the file.  Each
 * address at the beginning of a line is given to ${address} with ${closure}, and each
 * of those that get its mail to ${target}.  NULL with "path:line: what is wrong" or
 * "path: cannot be read: ...".
 * aliases_free(a): NULL does nothing. */
struct aliases *aliases_load(const char *path, textfile_address *address,
    textfile_address *target, const void *closure, char *err_r,
    size_t errlen);
void aliases_free(struct aliases *a);

/* aliases_find(a, address, is_exact): Who gets the mail of ${address}, local part
 * and domain: strings one behind the other, each with a NUL, the last one is "".
 * Each is an address, a local part alone (in the domain of ${address}), or "@domain"
 * (with the local part of ${address}).  ${is_exact}: no entry is for all others.  NULL
 * with errno ENOENT: it is no alias; ENOMEM: it is not known. */
const char *aliases_find(const struct aliases *a, const char *address,
    bool is_exact);

/* aliases_count(a): How many entries the file has. */
size_t aliases_count(const struct aliases *a);

#endif
