/* Could the workers load the modules?  A process of its own finds out (probe.h):
 * what a module does in it, or to it, ends with it. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/mailmilld/module/modules_int.h"
#include "cmd/mailmilld/role/msg.h"
#include "cmd/mailmilld/role/privs.h"
#include "core/scheduler.h"

#define CHECK_MS	20000	/* of all: they read their files */
#define MODULE_S	15	/* of each: less, so that the message can name it */

static struct modules all;
static int answer_fd;

static void __attribute__((noreturn))
refuse(const struct settings_module *section, const char *why)
{
	char at[CONF_AT_MAX];

	probe_say(answer_fd, PROBE_BAD "%s: option 'Module': %s: %s",
	    conf_at_text(&section->at, at, sizeof(at)), section->path, why);
	_exit(0);
}

/* In a signal handler of a process that has nothing left to do. */
static void
on_crash(const struct settings_module *section, int signo)
{
	char why[64];

	snprintf(why, sizeof(why), "it crashes when it is loaded (signal %d)",
	    signo);
	refuse(section, why);
}

static void
on_alarm(int)
{
	modules_last_words(SIGALRM);
}

static void
on_told(const struct settings_module *section, int signo)
{
	char why[64];

	if (signo != SIGALRM)
		on_crash(section, signo);
	snprintf(why, sizeof(why), "it takes longer than %d seconds to load",
	    MODULE_S);
	refuse(section, why);
}

/* It has called exit(3). */
static void
on_exit_called(void)
{
	const struct settings_module *section = modules_called();

	if (section != NULL)
		refuse(section, "it ends the process that loads it");
}

static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct settings *s = spec->closure;
	char err[MODULES_ERROR_MAX];
	uid_t owner = spec->account.uid != 0 ? 0 : geteuid();

	answer_fd = fd;
	/* a reload's process has that of the master */
	if (scheduler_create(NULL) == NULL && errno != EEXIST)
		_exit(1);
	if (modules_watch(&all, on_told) == -1 ||
	    signal(SIGALRM, on_alarm) == SIG_ERR || atexit(on_exit_called) != 0)
		_exit(1);
	modules_limit(MODULE_S);
	if (modules_load(s, owner, &all, err, sizeof(err)) == -1 ||
	    modules_init(&all, 1, (unsigned int)s->workers, true, err,
	    sizeof(err)) == -1)
		probe_say(fd, PROBE_BAD "%s", err);
	else
		probe_say(fd, PROBE_GOOD);
	/* what modules have registered with exit(3) is not for this process */
	_exit(0);
}

void
modules_check(const struct settings *s, struct probe_spec *spec_r)
{
	*spec_r = (struct probe_spec){ .what = "Module: loading what it names",
		.limit_ms = CHECK_MS, .run = check_all, .closure = s };
	/* what the account's group may read, no worker may */
	account_look_own(s, ROLE_WORKER, &spec_r->account);
}
