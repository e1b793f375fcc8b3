/* What a start needs of the machine: accounts, folders, addresses, the log.
 * Owns: the question whether all of it is there, asked without changing
 * anything, also beside a running server.
 * What the configuration names for other accounts (keys, users, mailboxes) is
 * checked with it, see config.h. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_NEEDS_H
#define CMD_MAILMILLD_MASTER_NEEDS_NEEDS_H

#include <stdbool.h>

struct master;

/* needs_check(m): Would a start with m->config find what it needs?  Return 0,
 * or -1 having logged what is missing; all of it, not only the first.  What
 * only root can find out is left out without root, and said on standard
 * output. */
int needs_check(struct master *m);

/* needs_reach(m): May the account of the queue, which opens the spool by its
 * path, pass the folders that lead there?  Return 0, or -1 having logged which
 * it may not. */
int needs_reach(const struct master *m);

#endif
