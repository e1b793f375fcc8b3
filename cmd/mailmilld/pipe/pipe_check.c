/* The programs of the Domain sections: see pipe_check.h. */

#include "cmd/mailmilld/pipe/pipe_check.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"

#define CHECK_MS	20000	/* of all: a file server may be slow */
#define BAD_STATUS	2	/* of the process that has said PROBE_BAD */

/* What others can write to is theirs.  Return why it is not to be run, or NULL. */
static const char *
is_unsafe(const struct stat *st, uid_t uid)
{
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "its group or others can write to it: chmod go-w";
	if (st->st_uid != 0 && st->st_uid != uid)
		return "it belongs neither to root nor to that account: chown "
		    "root";
	return NULL;
}

/* Return 0; or -1 with errno: it is not there. */
static int
look_at(const char *path, struct stat *st_r)
{
	if (stat(path, st_r) == -1)
		return -1;
	if (!S_ISREG(st_r->st_mode)) {
		errno = EACCES;
		return -1;
	}
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
}

/* Return 0, or -1 having said PROBE_BAD. */
static int
check_domain(int fd, const struct settings_domain *d)
{
	const char *program = d->command.v[0], *why;
	char at[CONF_AT_MAX];
	struct stat st;

	conf_at_text(&d->command_at, at, sizeof(at));
	if (look_at(program, &st) == -1)
		probe_say(fd, PROBE_ABSENT "%s: option 'Command': %s: %s as "
		    "%s: mail for %s is deferred", at, program,
		    strerror(errno), d->pipe_user, d->name);
	else if ((why = is_unsafe(&st, geteuid())) != NULL) {
		probe_say(fd, PROBE_BAD "%s: option 'Command': expected a "
		    "program that only root or the account '%s' can change, "
		    "found %s: %s", at, d->pipe_user, program, why);
		return -1;
	}
	if (faccessat(AT_FDCWD, d->pipe_folder, X_OK, AT_EACCESS) == -1)
		probe_say(fd, PROBE_ABSENT "%s: option 'Pipe_Folder': %s: %s "
		    "as %s: mail for %s is deferred", conf_at_text(&d->at, at,
		    sizeof(at)), d->pipe_folder, strerror(errno), d->pipe_user,
		    d->name);
	return 0;
}

/* In a process of its own: what an account sees is seen as that account. */
static void __attribute__((noreturn))
check_account(int fd, const struct settings *s, unsigned int i)
{
	struct account account = { 0, 0 };
	const struct settings_domain *d;
	size_t j;

	/* a start that fails says so itself */
	if (geteuid() == 0 && role_of(ROLE_PIPE)->own_account(s, i + 1,
	    &account) == -1)
		_exit(0);
	if (privs_drop(account.uid, account.gid, NULL) == -1)
		_exit(1);
	for (j = 0; j < s->ndomains; j++) {
		d = &s->domains[j];
		if (settings_is_piped(d) && d->pipe_account == i &&
		    check_domain(fd, d) == -1)
			_exit(BAD_STATUS);
	}
	_exit(0);
}

static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct settings *s = spec->closure;
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < s->npipe_accounts; i++) {
		if ((pid = fork()) == 0)
			check_account(fd, s, i);
		if (pid == -1 || waitpid(pid, &status, 0) == -1 ||
		    !WIFEXITED(status) || (WEXITSTATUS(status) != 0 &&
		    WEXITSTATUS(status) != BAD_STATUS)) {
			probe_say(fd, PROBE_BAD "Command: looking for the "
			    "programs has failed");
			return;
		}
		if (WEXITSTATUS(status) == BAD_STATUS)
			return;
	}
	probe_say(fd, PROBE_GOOD);
}

void
pipe_check(const struct settings *s, struct probe_spec *spec_r)
{
	*spec_r = (struct probe_spec){ .what = "Command: looking for the "
		"programs", .limit_ms = CHECK_MS, .run = check_all,
		.closure = s };
}
