/* Accounts of processes that each have their own. */

#ifndef CMD_MAILMILLD_MASTER_NEEDS_OWN_ACCOUNT_H
#define CMD_MAILMILLD_MASTER_NEEDS_OWN_ACCOUNT_H

#include "cmd/mailmilld/master/state/state.h"

/* own_accounts_find(m, s): Find the ranges of ids of the roles that ${s} needs,
 * unless those in use are large enough, and the accounts that ${s} names for single
 * processes.  Return 0, or -1 having logged why.
 * own_account(m, s, role, slot, account_r): The account of the next process
 * ${slot} of ${role}: the one that ${s} names for it, the role's, or one that no
 * living process has.  Return 0, or -1 having logged that there is none. */
int own_accounts_find(struct master *m, const struct settings *s);
int own_account(const struct master *m, const struct settings *s,
    enum role_id role, unsigned int slot, struct account *account_r);

#endif
