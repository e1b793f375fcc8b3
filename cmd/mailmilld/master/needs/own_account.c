/* Accounts of single processes.
 * Owns: which living process has which ids of its role's range. */

#include "cmd/mailmilld/master/needs/own_account.h"

#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"

/* Those that the settings name; without root all processes stay what they are. */
static int
look_at_named(const struct settings *s, enum role_id id)
{
	struct account account;
	unsigned int slot;

	if (role_of(id)->own_account == NULL || geteuid() != 0)
		return 0;
	for (slot = 1; slot <= role_count(s, id); slot++)
		if (role_of(id)->own_account(s, slot, &account) == -1)
			return -1;
	return 0;
}

int
own_accounts_find(struct master *m, const struct settings *s)
{
	struct account_range range;
	unsigned int id;

	for (id = 0; id < NROLES; id++) {
		if (look_at_named(s, id) == -1)
			return -1;
		if (!role_of(id)->has_range ||
		    m->ranges[id].n >= 2 * role_count(s, id))
			continue;
		/* where there are too few, those in use stay in use */
		if (accounts_range(s, id, &m->accounts[id], &range) == -1)
			return -1;
		m->ranges[id] = range;
	}
	return 0;
}

/* Also one that has been killed may still run. */
static bool
is_used(const struct master *m, const struct account *a)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link)
		if (p->account.uid == a->uid || p->account.gid == a->gid)
			return true;
	return false;
}

int
own_account(const struct master *m, const struct settings *s,
    enum role_id role, unsigned int slot, struct account *account_r)
{
	const struct account_range *range = &m->ranges[role];
	unsigned int i;

	*account_r = m->accounts[role];
	if (role_of(role)->own_account != NULL && geteuid() == 0)
		return role_of(role)->own_account(s, slot, account_r);
	if (range->n == 0)
		return 0;
	for (i = 0; i < range->n; i++) {
		*account_r = (struct account){ range->first.uid + i,
		    range->first.gid + i };
		if (!is_used(m, account_r))
			return 0;
	}
	log_errx("account-range", "role=%s uid=%u count=%u reason=%s",
	    role_name(role), (unsigned int)range->first.uid, range->n,
	    "living processes have all ids of the range");
	return -1;
}
