/* Accounts and privileges.
 * Owns: the names in the configuration against the system's accounts, the
 * numeric uids of a trial, the drop. */

#include "cmd/mailmilld/role/privs.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <linux/capability.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/unused_ids.h"
#include "core/process/caps.h"
#include "core/process/log.h"
#include "core/table/subid.h"
#include "core/util/fileio.h"

#define SPARE_MORE	16	/* above what is needed: for processes that end */

/* The unused numeric uid for ${role}: always the same one while the system's
 * accounts do not change, so that a spool can be opened again. */
static int
trial_account(enum role_id role, struct account *a_r)
{
	unsigned int id = unused_nth(unused_maps(), role_shares(role));

	if (id == 0)
		return -1;
	*a_r = (struct account){ id, id };
	return 0;
}

/* May a process become ${pw}'s? */
static bool
is_mapped(const struct passwd *pw)
{
	return idmap_has(&unused_maps()->uids, pw->pw_uid) &&
	    idmap_has(&unused_maps()->gids, pw->pw_gid);
}

static int
account_find(const struct settings *s, enum role_id role, bool is_trial,
    struct account *a_r)
{
	const char *name = role_account(s, role), *at;
	char create[160], buf[CONF_AT_MAX];
	struct passwd *pw;

	at = settings_at(s, role_of(role)->account_setting, buf, sizeof(buf));
	if ((pw = getpwnam(name)) != NULL) {
		if (pw->pw_uid == 0) {
			log_errx("account", "role=%s account=%s at=%s "
			    "reason=%s", role_name(role), name, at,
			    "may not be root");
			return -1;
		}
		if (!is_mapped(pw)) {
			log_errx("account", "role=%s account=%s at=%s "
			    "reason=%s", role_name(role), name, at, "its ids "
			    "are not mapped into this user namespace");
			return -1;
		}
		a_r->uid = pw->pw_uid;
		a_r->gid = pw->pw_gid;
		return 0;
	}
	snprintf(create, sizeof(create), "useradd --system --user-group "
	    "--no-create-home --shell /usr/sbin/nologin %.64s", name);
	if (!is_trial || trial_account(role, a_r) == -1) {
		log_errx("account-missing", "role=%s account=%s at=%s "
		    "create=%s", role_name(role), name, at, create);
		return -1;
	}
	log_warnx("account-missing", "role=%s account=%s uid=%u create=%s",
	    role_name(role), name, (unsigned int)a_r->uid, create);
	return 0;
}

int
account_named(const char *user, const char *group, struct account *a_r,
    const char **why_r)
{
	const struct passwd *pw = getpwnam(user);
	const struct group *gr;

	if (pw == NULL) {
		*why_r = "there is no such account";
		return -1;
	}
	*a_r = (struct account){ pw->pw_uid, pw->pw_gid };
	if (*group != '\0') {
		if ((gr = getgrnam(group)) == NULL) {
			*why_r = "there is no such group";
			return -1;
		}
		a_r->gid = gr->gr_gid;
	}
	if (a_r->uid == 0 || a_r->gid == 0) {
		*why_r = "may not be root, nor have root's group";
		return -1;
	}
	if (idmap_has(&unused_maps()->uids, a_r->uid) &&
	    idmap_has(&unused_maps()->gids, a_r->gid))
		return 0;
	*why_r = "its ids are not mapped into this user namespace";
	return -1;
}

bool
account_is_of_role(const struct settings *s, uid_t uid, unsigned int ids)
{
	const struct passwd *pw;
	const char *name;
	unsigned int id;

	for (id = 0; id < NROLES; id++) {
		name = role_account(s, id);
		if ((ids & ROLE_BIT(id)) != 0 && name != NULL &&
		    (pw = getpwnam(name)) != NULL && pw->pw_uid == uid)
			return true;
	}
	return false;
}

void
account_look(const struct settings *s, enum role_id role, struct account *a_r)
{
	const struct passwd *pw;

	*a_r = (struct account){ 0, 0 };
	if (geteuid() != 0)
		return;
	if ((pw = getpwnam(role_account(s, role))) != NULL)
		*a_r = (struct account){ pw->pw_uid, pw->pw_gid };
	else
		(void)trial_account(role, a_r);
}

void
accounts_say(void)
{
	if (geteuid() != 0)
		log_event(LOG_LEVEL_NOTICE, "not-root", "uid=%u effect=%s",
		    (unsigned int)geteuid(),
		    "all processes run under this uid, without chroot");
}

int
accounts_find(const struct settings *s, bool is_trial,
    struct account accounts[NROLES])
{
	const char *name;
	unsigned int role;

	if (geteuid() != 0)
		return 0;
	for (role = 0; role < NROLES; role++) {
		name = role_account(s, role);
		if (name == NULL || role_count(s, role) == 0 ||
		    accounts[role].uid != 0)
			continue;
		/* nothing is said twice of an account that roles share */
		if (role_shares(role) != role &&
		    accounts[role_shares(role)].uid != 0)
			accounts[role] = accounts[role_shares(role)];
		else if (account_find(s, role, is_trial, &accounts[role]) == -1)
			return -1;
	}
	return 0;
}

static int
refuse_range(enum role_id role, const char *name, const char *file,
    unsigned int count, unsigned int needed, const char *reason)
{
	log_errx("account-range", "role=%s account=%s file=%s count=%u "
	    "needed=%u reason=%s", role_name(role), name, file, count, needed,
	    reason);
	return -1;
}

/* The ids that ${file} gives to the account; count 0: none.  Return 0, or -1:
 * there are too few, and that is logged. */
static int
own_ids(enum role_id role, const char *name, uid_t uid, const char *file,
    unsigned int needed, struct subid_range *range_r)
{
	const struct unused_maps *maps = unused_maps();
	struct subid_range all;

	*range_r = (struct subid_range){ 0, 0 };
	if (subid_find(file, name, uid, &all) == -1)
		return 0;
	if (all.count < needed)
		return refuse_range(role, name, file, all.count, needed,
		    "the account has fewer ids there than twice its processes");
	*range_r = idmap_part(strcmp(file, SUBUID_FILE) == 0 ? &maps->uids :
	    &maps->gids, &all);
	if (range_r->count < needed)
		*range_r = (struct subid_range){ 0, 0 };
	return 0;
}

/* Ids that nobody has.  More than are needed, if there are so many: several
 * reloads may leave old processes. */
static int
spare_ids(enum role_id role, const char *name, unsigned int needed,
    struct account_range *range_r)
{
	const unsigned int wishes[] = { 2 * needed + SPARE_MORE,
		needed + SPARE_MORE, needed };
	unsigned int id = 0;
	size_t i;

	for (i = 0; id == 0 && i < sizeof(wishes) / sizeof(wishes[0]); i++)
		if ((id = unused_row(unused_maps(), wishes[i])) != 0)
			range_r->n = wishes[i];
	if (id == 0)
		return refuse_range(role, name, SUBUID_FILE, 0, needed,
		    unused_is_slow() ? "none are there, and to look for unused "
		    "ids takes too long" : "none are there, and too few ids "
		    "are unused");
	range_r->first = (struct account){ id, id };
	log_event(LOG_LEVEL_NOTICE, "account-range", "role=%s account=%s "
	    "uid=%u count=%u effect=%s advice=%s", role_name(role), name, id,
	    range_r->n, "unused ids are taken, none belong to the account",
	    "give it some with \"make accounts\" or usermod(8) "
	    "--add-subuids and --add-subgids");
	return 0;
}

int
accounts_range(const struct settings *s, enum role_id role,
    const struct account *account, struct account_range *range_r)
{
	const char *name = role_account(s, role);
	unsigned int needed = 2 * role_count(s, role);
	struct subid_range uids, gids;

	*range_r = (struct account_range){ .n = 0 };
	if (geteuid() != 0)
		return 0;
	if (own_ids(role, name, account->uid, SUBUID_FILE, needed, &uids) ==
	    -1 || own_ids(role, name, account->uid, SUBGID_FILE, needed,
	    &gids) == -1)
		return -1;
	/* a container may not have the ids that the files name */
	if (uids.count == 0 || gids.count == 0)
		return spare_ids(role, name, needed, range_r);
	range_r->first = (struct account){ uids.first, gids.first };
	range_r->n = uids.count < gids.count ? uids.count : gids.count;
	return 0;
}

/* The last id of those that ${file} gives to the account; 0: none. */
static unsigned int
last_id(const char *file, const char *name, uid_t uid, const struct idmap *map)
{
	struct subid_range all, range;

	if (subid_find(file, name, uid, &all) == -1)
		return 0;
	range = idmap_part(map, &all);
	return range.count == 0 ? 0 : range.first + range.count - 1;
}

void
account_look_own(const struct settings *s, enum role_id role,
    struct account *a_r)
{
	const char *name = role_account(s, role);
	const struct unused_maps *maps;
	struct account own;

	account_look(s, role, a_r);
	if (a_r->uid == 0)
		return;
	maps = unused_maps();
	own.uid = last_id(SUBUID_FILE, name, a_r->uid, &maps->uids);
	own.gid = last_id(SUBGID_FILE, name, a_r->uid, &maps->gids);
	/* none, and so the server takes unused ones: the one behind the roles' */
	if (own.uid == 0 || own.gid == 0)
		own.uid = own.gid = unused_nth(maps, NROLES);
	if (own.uid != 0)
		*a_r = own;
}

/* Of privs_leave_root(): it has been called; the root to be, -1: it is looked
 * up. */
static bool has_left;
static int root_fd = -1;

static int
enter_root(const char *root)
{
	if ((root_fd != -1 ? fchdir(root_fd) : chdir(root)) == -1 ||
	    chroot(".") == -1 || chdir("/") == -1) {
		log_err("chroot", "folder=%s", root);
		return -1;
	}
	fileio_close(root_fd);
	root_fd = -1;
	return 0;
}

/* The groups are set. */
static int
become(uid_t uid, gid_t gid)
{
	/* without CAP_SETPCAP it stays as it is; no_new_privs stands before it */
	(void)caps_bound(0);
	if (setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1) {
		log_err("privileges", "uid=%u gid=%u", (unsigned int)uid,
		    (unsigned int)gid);
		return -1;
	}
	return 0;
}

static int
stay_so(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
		log_err("privileges", "step=no_new_privs");
		return -1;
	}
	/* capabilities that a service manager has given to an account that is
	 * not root */
	if (geteuid() != 0 && caps_keep(0) == -1) {
		log_err("privileges", "step=%s", "capabilities");
		return -1;
	}
	return 0;
}

/* no_new_privs comes before code of others: without CAP_SETPCAP the bounding set
 * stays as it is. */
int
privs_leave_root(uid_t uid, gid_t gid, const char *root)
{
	if (uid == 0)
		return stay_so();
	if (root != NULL && (root_fd = open(root, O_PATH | O_DIRECTORY |
	    O_CLOEXEC)) == -1) {
		log_err("chroot", "folder=%s", root);
		return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    setgroups(0, NULL) == -1 ||
	    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1) {
		log_err("privileges", "step=%s", "leave root");
		return -1;
	}
	if (become(uid, gid) == -1)
		return -1;
	if (caps_keep(root != NULL ? CAPS_BIT(CAP_SYS_CHROOT) : 0) == -1 ||
	    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == -1) {
		log_err("privileges", "step=%s", "capabilities");
		return -1;
	}
	has_left = true;
	return 0;
}

int
privs_drop(uid_t uid, gid_t gid, const char *root)
{
	if (uid != 0) {
		if (root != NULL && enter_root(root) == -1)
			return -1;
		/* it has none any more, and may not change them */
		if (!has_left && setgroups(0, NULL) == -1) {
			log_err("privileges", "step=%s", "groups");
			return -1;
		}
		if (become(uid, gid) == -1)
			return -1;
	}
	return stay_so();
}

int
privs_drop_account(const char *name, uid_t uid, gid_t gid)
{
	struct passwd *pw;
	int rc;

	if (uid != 0) {
		/* the numeric account of a trial is in no group */
		pw = getpwnam(name);
		rc = pw != NULL && pw->pw_uid == uid ? initgroups(name, gid) :
		    setgroups(0, NULL);
		if (rc == -1) {
			log_err("privileges", "account=%s", name);
			return -1;
		}
		if (become(uid, gid) == -1)
			return -1;
	}
	return stay_so();
}

/* As CapabilityBoundingSet in mailmilld.service. */
static const uint64_t needed =
    CAPS_BIT(CAP_NET_BIND_SERVICE) |	/* ports below 1024 */
    CAPS_BIT(CAP_SETUID) | CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_SYS_CHROOT) |
    CAPS_BIT(CAP_SETPCAP) |		/* the children's own drop */
    CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_FOWNER) |
    CAPS_BIT(CAP_FSETID) |		/* folders of the spool */
    CAPS_BIT(CAP_DAC_OVERRIDE) |	/* keys, tables, logs of others */
    CAPS_BIT(CAP_KILL);			/* children, which have other accounts */

void
privs_keep_needed(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	(void)setrlimit(RLIMIT_MEMLOCK, &all);
	/* without CAP_SETPCAP there is less to lose */
	(void)caps_bound(needed);
	if (caps_keep(needed) == -1)
		log_err("privileges", "step=%s", "capabilities");
}

unsigned long
privs_raise_nofile(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return 256;
	if (rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
			(void)getrlimit(RLIMIT_NOFILE, &rl);
	}
	return rl.rlim_cur;
}

/* The processes of a server wake up often, each time for little work.  If a
 * process that wakes up takes the processor from another one at once, a pass of
 * its loop finds one descriptor ready.  If it waits for its turn, a pass finds
 * several, which share the pass, the flush and the message to the next process:
 * under load this takes a tenth to a fifth less CPU for each message, measured.
 * On an idle processor nothing waits.  It is no error if the system does not
 * permit this. */
void
privs_gather(void)
{
	const struct sched_param param = { .sched_priority = 0 };

	if (sched_getscheduler(0) == SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_BATCH, &param);
}
