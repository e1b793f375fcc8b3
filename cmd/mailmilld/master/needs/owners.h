/* Owners of the files in a folder of the spool. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_OWNERS_H
#define CMD_MAILMILLD_MASTER_NEEDS_OWNERS_H

#include <stdbool.h>

#include "cmd/mailmilld/role/privs.h"

#define OWNERS_FIRST	100	/* names that are looked at in any case */
#define OWNERS_STEP	100	/* at once, later */
#define OWNERS_STEP_MS	50	/* between two steps; a million take 8 minutes, and little of a processor */

/* owners_put_right(dirfd, account, may_be_later): Make ${account} the owner of all plain
 * files in the folder ${dirfd}.  With ${may_be_later}, where the first OWNERS_FIRST of
 * them are right, the others are looked at later, beside what else the loop does; there
 * is one such folder, and another call begins with it again.  Return 0, or -1 with
 * errno: they could not be listed to the end, and a role would not be able to read the
 * others. */
int owners_put_right(int dirfd, const struct account *account,
    bool may_be_later);

/* owners_step(): Look at some; called by the loop.  Return whether there are others.
 * owners_end(): Look at no more of them. */
bool owners_step(void);
void owners_end(void);

#endif
