/* What a start needs of the machine: accounts, folders, addresses, the log.
 * Owns: the question whether all of it is there, asked without changing
 * anything, also beside a running server.
 * What is asked of other accounts (keys, users, mailboxes) is in config.h. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_H
#define CMD_MAILMILLD_MASTER_NEEDS_H

#include <stdbool.h>

struct master;

/* needs_check(m): Would a start with m->config find what it needs?  Return 0,
 * or -1 having logged what is missing; all of it, not only the first.  What
 * only root can find out is left out without root, and said on standard
 * output. */
int needs_check(struct master *m);

#endif
