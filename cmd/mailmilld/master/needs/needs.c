/* What a start needs: see needs.h. */

#include "cmd/mailmilld/master/needs/needs.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/daemon.h"
#include "cmd/mailmilld/master/needs/listen.h"
#include "cmd/mailmilld/master/needs/own_account.h"
#include "cmd/mailmilld/master/needs/spooldir.h"
#include "cmd/mailmilld/master/state/state.h"
#include "cmd/mailmilld/role/privs.h"

/* Note that the value of ${option} cannot be used, for errno.  Without root
 * that may only mean that this account may not look. */
static int
refuse(const struct settings *s, const char *option, const char *value)
{
	char at[CONF_AT_MAX];

	if (errno == EACCES && geteuid() != 0) {
		printf("not checked, since that needs root: option '%s': %s\n",
		    option, value);
		return 0;
	}
	log_err("start", "at=%s option=%s value=%s", settings_at(s, option, at,
	    sizeof(at)), option, value);
	return -1;
}

/* A file that is made anew, in a folder of which ${missing} levels may have to
 * be made first. */
static int
check_file(const struct settings *s, const char *option, const char *path,
    unsigned int missing)
{
	return spooldir_could_make(path, missing) == 0 ? 0 :
	    refuse(s, option, path);
}

static int
check_control(const struct settings *s)
{
	struct stat st;

	if (lstat(s->control, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		errno = EEXIST;		/* and it is not ours to remove */
		return refuse(s, "control", s->control);
	}
	return check_file(s, "control", s->control, 1);
}

/* The log is opened as the start would, but not made. */
static int
check_log(const struct master *m)
{
	const char *path = m->config.settings->log;
	int fd;

	if (*path != '/')
		return 0;
	fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd != -1) {
		close(fd);
		return 0;
	}
	return errno == ENOENT ? check_file(m->config.settings, "log", path,
	    0) : refuse(m->config.settings, "log", path);
}

/* In a process under that account. */
static void
reach(int fd, const struct probe_spec *spec)
{
	char at[PATH_MAX], *slash;
	struct stat st;

	strlcpy(at, spec->closure, sizeof(at));
	/* what is missing will be made, with the mode that it needs */
	while (stat(at, &st) == -1 && errno == ENOENT &&
	    (slash = strrchr(at, '/')) != NULL && slash != at)
		*slash = '\0';
	if (access(at, X_OK) == 0)
		probe_say(fd, PROBE_GOOD);
	else
		probe_say(fd, PROBE_BAD "%s: %s", at, strerror(errno));
}

int
needs_reach(const struct master *m)
{
	const struct settings *s = m->config.settings;
	const struct probe_spec spec = { .what = "option 'spool': looking for "
	    "it", .account = m->accounts[ROLE_QUEUE], .name = s->queue_user,
	    .limit_ms = 20000, .run = reach, .closure = s->spool };
	char why[SETTINGS_ERROR_MAX], at[CONF_AT_MAX];
	struct probe *p;
	int rc;

	if ((p = probe_start(&spec)) == NULL) {
		log_err("start", "step=%s", "probe");
		return -1;
	}
	probe_wait(p);
	if ((rc = probe_judge(p, NULL, NULL, why, sizeof(why))) == -1)
		log_errx("start", "at=%s option=spool value=%s account=%s "
		    "error=%s", settings_at(s, "spool", at, sizeof(at)),
		    s->spool, s->queue_user, why);
	probe_free(p);
	return rc;
}

int
needs_check(struct master *m)
{
	const struct settings *s = m->config.settings;
	int rc = 0;

	if (geteuid() != 0)
		printf("not checked, since that needs root: accounts, and what "
		    "they may read and write\n");
	if (accounts_find(s, m->is_trial, m->accounts) == -1 ||
	    own_accounts_find(m, s) == -1)
		rc = -1;
	if (spooldir_check(s->spool) == -1)
		rc = refuse(s, "spool", s->spool) == -1 ? -1 : rc;
	/* without root all is one account */
	if (geteuid() == 0 && needs_reach(m) == -1)
		rc = -1;
	if (daemon_check(s->pidfile) == -1)
		rc = refuse(s, "pidfile", s->pidfile) == -1 ? -1 : rc;
	if (check_control(s) == -1)
		rc = -1;
	if (check_log(m) == -1)
		rc = -1;
	if (listeners_check(s, daemon_running(s->pidfile)) == -1)
		rc = -1;
	return rc;
}
