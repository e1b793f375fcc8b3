/* Accounts of the roles, and how a process becomes one of them. */

#ifndef CMD_MAILMILLD_ROLE_PRIVS_H
#define CMD_MAILMILLD_ROLE_PRIVS_H

#include <sys/types.h>

#include <stdbool.h>

#include "cmd/mailmilld/role/msg.h"

#define SPOOL_EMPTY	"empty"	/* a folder of the spool: root's, with nothing
				 * in it, for a chroot */

struct account {
	uid_t	uid;		/* 0: stay what we are */
	gid_t	gid;
};

/* Accounts for the processes of a role, one each: ${n} pairs from ${first} on. */
struct account_range {
	struct account	first;
	unsigned int	n;	/* 0: there is none, not started as root */
};

struct settings;

/* accounts_say(): Started without root: say so in the log. */
void accounts_say(void);

/* account_look(s, role, a_r): The account that ${role} has, or would be given,
 * without a line in the log; {0, 0} without root.  For checks, which run no
 * roles. */
void account_look(const struct settings *s, enum role_id role,
    struct account *a_r);

/* account_look_own(s, role, a_r): Likewise, for a role whose processes have an
 * account each: such a one, which the server that runs gives to a process only
 * when it has given all others. */
void account_look_own(const struct settings *s, enum role_id role,
    struct account *a_r);

/* account_named(user, group, a_r, why_r): The account that an option names, with its
 * first group where ${group} is "".  Return 0, or -1 with a constant text: there is
 * none, it is root's, or its ids are not mapped into this user namespace.
 * account_is_of_role(s, uid, ids): Is it the account of one of the roles in
 * ${ids} (ROLE_BIT())? */
int account_named(const char *user, const char *group, struct account *a_r,
    const char **why_r);
bool account_is_of_role(const struct settings *s, uid_t uid,
    unsigned int ids);

/* accounts_find(s, is_trial, accounts): Fill in the account of each role
 * that ${s} needs and that has none in ${accounts} yet.  Started without root:
 * all stay what they are.  A missing account is an error; in a trial the role
 * gets an unused numeric uid, the same at each start, and the log names the
 * command that creates the account.  Return 0, or -1 having logged why. */
int accounts_find(const struct settings *s, bool is_trial,
    struct account accounts[NROLES]);

/* accounts_range(s, role, account, range_r): The ids for the processes of ${role},
 * whose account is ${account}: those which /etc/subuid and /etc/subgid give to
 * it, as far as this user namespace has them, or unused ones with a notice in
 * the log.  There are enough for twice the processes that ${s} needs, since old
 * and new ones run together after a reload; of unused ones for four times as
 * many, if possible, since further reloads may leave more old ones.
 * Return 0, or -1 having logged why. */
int accounts_range(const struct settings *s, enum role_id role,
    const struct account *account, struct account_range *range_r);

/* privs_drop(uid, gid, root): chroot to ${root} (NULL: no), then become ${uid}
 * and ${gid} without supplementary groups, for good.  ${uid} 0: only set
 * no_new_privs, and drop all capabilities of a process that is not root.
 * Return 0, or -1 having logged why. */
int privs_drop(uid_t uid, gid_t gid, const char *root);

/* privs_leave_root(uid, gid, root): The first half of privs_drop(), for a process
 * that runs code of others before it has all of that behind it: become ${uid} and
 * ${gid} for good, and of root's capabilities keep the one that chroot(2) needs,
 * which makes no process root again.  privs_drop() with the same arguments does
 * the rest, and looks ${root} up no more.  Return 0, or -1 having logged why. */
int privs_leave_root(uid_t uid, gid_t gid, const char *root);

/* privs_drop_account(name, uid, gid): The same without chroot, and with all
 * the supplementary groups that the account ${name} has: what it may read, as
 * its administrator has set it up, it goes on to read.  Before threads. */
int privs_drop_account(const char *name, uid_t uid, gid_t gid);

/* privs_keep_needed(): For the master: of root's capabilities keep those that it
 * and the start of its children need, for good.  The limit of memory that may be
 * locked goes while that is possible: keyd has to. */
void privs_keep_needed(void);

/* privs_raise_nofile(): As many descriptors as the hard limit allows.  Return
 * that number. */
unsigned long privs_raise_nofile(void);

/* privs_gather(): When this process, or one that it starts, wakes up, it waits
 * for its turn and does not interrupt the process that runs (SCHED_BATCH). */
void privs_gather(void);

#endif
