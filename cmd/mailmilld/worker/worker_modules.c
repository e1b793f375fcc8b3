/* The policy modules of a worker.
 * Owns: when in the life of the process they are loaded, and told to begin and to
 * end; what the master is told of a module that crashes it.
 * Code is mapped while the process may still map code, and look up files: before
 * chroot(2) and the filter of system calls.  No other process maps any of it, but
 * those that check a configuration. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <sys/socket.h>

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"

/* M_CRASHED, made before it is needed. */
static struct {
	unsigned char	octets[CHANNEL_BASE_AT + sizeof(struct msg_crashed)];
	size_t		len;
} last;

/* In a signal handler. */
static void
tell(const struct settings_module *section, int)
{
	char *path = (char *)last.octets + CHANNEL_BASE_AT +
	    offsetof(struct msg_crashed, module);
	const size_t max = sizeof(((struct msg_crashed *)0)->module) - 1;
	size_t i;

	for (i = 0; i < max && section->path[i] != '\0'; i++)
		path[i] = section->path[i];
	(void)send(CHILD_CHANNEL_FD, last.octets, last.len, MSG_NOSIGNAL |
	    MSG_DONTWAIT);
}

static int
watch(struct worker *w)
{
	const struct msg_crashed none = { .module = "" };

	last.len = channel_packet(&msg_rows[M_CRASHED], M_CRASHED, &none,
	    last.octets, sizeof(last.octets));
	assert(last.len > 0);
	return modules_watch(&w->modules, tell);
}

int
worker_modules_load(struct worker *w)
{
	const struct child *c = w->child;
	char err[MODULES_ERROR_MAX];

	if (c->settings->nmodules == 0)
		return 0;
	/* their constructors run before it is known which objects they bring
	 * with them: as nobody who could be root again */
	if (child_leave_root(w->child) == -1)
		return -1;
	if (watch(w) == -1) {
		log_err("start", "role=%s step=%s", "worker", "modules");
		return -1;
	}
	if (modules_load(c->settings, c->init.uid != 0 ? 0 : geteuid(),
	    &w->modules, err, sizeof(err)) == 0)
		return 0;
	log_errx("module-failed", "reason=%s", err);
	return -1;
}

int
worker_modules_init(struct worker *w)
{
	const struct child *c = w->child;
	char err[MODULES_ERROR_MAX];

	if (w->modules.n == 0)
		return 0;
	w->child->sandbox.last_words = modules_last_words;
	if (modules_init(&w->modules, c->init.slot,
	    (unsigned int)c->settings->workers, false, err, sizeof(err)) == 0)
		return 0;
	log_errx("module-failed", "reason=%s", err);
	return -1;
}
