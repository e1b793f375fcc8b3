/* Accounts and privileges.
 * Owns: the names in the configuration against the system's accounts, the
 * numeric uids of a trial, the drop. */

#include "cmd/mailmilld/role/privs.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <linux/capability.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"
#include "core/process/caps.h"
#include "core/process/log.h"
#include "core/table/subid.h"

#define TRIAL_UID	64200	/* first looked at; above Debian's dynamic range,
				 * below its 64-bit-only one */
#define TRIAL_UIDS	300
#define SPARE_UID	64600	/* for processes with an account each, likewise */
#define SPARE_UIDS	900
#define SPARE_MORE	16	/* above what is needed: for old processes of
				 * several reloads */

/* The unused numeric uid for ${role}: always the same one while the system's
 * accounts do not change, so that a spool can be opened again. */
static int
trial_account(enum role_id role, struct account *a_r)
{
	unsigned int id, found = 0, first = role_shares(role);

	for (id = TRIAL_UID; id < TRIAL_UID + TRIAL_UIDS; id++) {
		if (getpwuid(id) != NULL || getgrgid(id) != NULL)
			continue;
		if (found++ == first) {
			a_r->uid = id;
			a_r->gid = id;
			return 0;
		}
	}
	return -1;
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

/* ${n} unused ids in a row.  Return the first, or 0. */
static unsigned int
spare_ids(unsigned int n)
{
	unsigned int id, run = 0;

	for (id = SPARE_UID; id < SPARE_UID + SPARE_UIDS; id++) {
		run = getpwuid(id) == NULL && getgrgid(id) == NULL ? run + 1 :
		    0;
		if (run == n)
			return id + 1 - n;
	}
	return 0;
}

static int
refuse_range(enum role_id role, const char *name, const char *file,
    unsigned int count, unsigned int needed)
{
	log_errx("account-range", "role=%s account=%s file=%s count=%u "
	    "needed=%u reason=%s", role_name(role), name, file, count, needed,
	    "the account has fewer ids there than twice its processes");
	return -1;
}

int
accounts_range(const struct settings *s, enum role_id role,
    const struct account *account, struct account_range *range_r)
{
	const char *name = role_account(s, role);
	unsigned int needed = 2 * role_count(s, role), id;
	struct subid_range uids, gids;

	*range_r = (struct account_range){ .n = 0 };
	if (geteuid() != 0)
		return 0;
	if (subid_find(SUBUID_FILE, name, account->uid, &uids) == 0 &&
	    subid_find(SUBGID_FILE, name, account->uid, &gids) == 0) {
		if (uids.count < needed)
			return refuse_range(role, name, SUBUID_FILE,
			    uids.count, needed);
		if (gids.count < needed)
			return refuse_range(role, name, SUBGID_FILE,
			    gids.count, needed);
		range_r->first = (struct account){ uids.first, gids.first };
		range_r->n = uids.count < gids.count ? uids.count :
		    gids.count;
		return 0;
	}
	if ((id = spare_ids(needed + SPARE_MORE)) == 0)
		return refuse_range(role, name, SUBUID_FILE, 0, needed);
	range_r->first = (struct account){ id, id };
	range_r->n = needed + SPARE_MORE;
	log_event(LOG_LEVEL_NOTICE, "account-range", "role=%s account=%s "
	    "uid=%u count=%u effect=%s advice=%s", role_name(role), name, id,
	    range_r->n, "unused ids are taken, none belong to the account",
	    "give it some with \"make accounts\" or usermod(8) "
	    "--add-subuids and --add-subgids");
	return 0;
}

static int
enter_root(const char *root)
{
	if (chroot(root) == -1 || chdir("/") == -1) {
		log_err("chroot", "folder=%s", root);
		return -1;
	}
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
	/* what a service manager may have given to an account */
	if (geteuid() != 0 && caps_keep(0) == -1) {
		log_err("privileges", "step=%s", "capabilities");
		return -1;
	}
	return 0;
}

int
privs_drop(uid_t uid, gid_t gid, const char *root)
{
	if (uid != 0) {
		if (root != NULL && enter_root(root) == -1)
			return -1;
		if (setgroups(0, NULL) == -1) {
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

/* A server lives from many small wake-ups.  Where each of them takes the
 * processor from whoever has it, a pass of the loop finds one descriptor ready;
 * where it waits for its turn, it finds several, and they share the pass, the
 * flush and the message to the next process: measured, a tenth to a fifth less
 * CPU per message under load.  On a processor that is free nothing waits.  Not
 * to be allowed to is no error. */
void
privs_gather(void)
{
	const struct sched_param param = { .sched_priority = 0 };

	if (sched_getscheduler(0) == SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_BATCH, &param);
}
