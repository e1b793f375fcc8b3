/* What the master says to a child before its role has begun. */

#ifndef CMD_MAILMILLD_ROLE_CHILD_EARLY_H
#define CMD_MAILMILLD_ROLE_CHILD_EARLY_H

#include "cmd/mailmilld/role/msg.h"

#define CHILD_EARLY_MAX	5120	/* messages: keys, peers, one each, and some */

/* child_early_keep(msg): Copy it; takes its descriptor.  Return 0 or -1. */
int child_early_keep(struct channel_msg *msg);

/* child_early_give(f, closure): Give ${f} all of them, in order, and forget
 * them; a descriptor that it leaves is closed.  With NULL they are only
 * forgotten. */
void child_early_give(void (*f)(struct channel_msg *msg, void *closure),
    void *closure);

#endif
