/* A crash, and whose it is.
 * Owns: the handler of the signals that faults make.
 * It runs in a process whose memory may be spoilt: it uses what was made before,
 * and the signal ends the process whatever it does. */

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "cmd/mailmilld/module/modules_int.h"

#define FRAMES_MAX	128
#define STACK_OCTETS	65536	/* of the handler: the fault may be that there is no stack left */

/* SIGSYS has another handler, which calls modules_last_words() */
static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP };

static const struct modules *watched;
static void (*tell)(const struct settings_module *section, int signo);
/* by this thread: another one may crash meanwhile, in a job */
static __thread const struct settings_module *volatile calling;

static unsigned int limit_s;

void
modules_limit(unsigned int seconds)
{
	limit_s = seconds;
}

void
modules_calling(const struct settings_module *section)
{
	calling = section;
	if (limit_s > 0)
		alarm(section != NULL ? limit_s : 0);
}

const struct settings_module *
modules_called(void)
{
	return calling;
}

/* The module that has the innermost of our callers; NULL: none has one. */
static const struct settings_module *
on_stack(void)
{
	void *frames[FRAMES_MAX];
	const struct module *m;
	uintptr_t at;
	int i, n;

	n = backtrace(frames, FRAMES_MAX);
	for (i = 0; i < n; i++) {
		at = (uintptr_t)frames[i];
		for (m = watched->v; m < watched->v + watched->n; m++)
			if (at >= m->begin && at < m->end)
				return m->section;
	}
	return NULL;
}

void
modules_last_words(int signo)
{
	const struct settings_module *section = calling;
	int saved = errno;

	if (tell == NULL)
		return;
	if (section == NULL)
		section = on_stack();
	if (section != NULL)
		tell(section, signo);
	errno = saved;
}

/* SA_RESETHAND: the second time the signal ends the process, whoever has sent it;
 * the filter of system calls allows raise(3) for these. */
static void
on_fault(int signo)
{
	modules_last_words(signo);
	(void)raise(signo);
}

int
modules_watch(const struct modules *m,
    void (*func)(const struct settings_module *section, int signo))
{
	struct sigaction sa = { .sa_handler = on_fault,
		.sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK };
	static char octets[STACK_OCTETS];
	const stack_t stack = { .ss_sp = octets, .ss_size = sizeof(octets) };
	void *frame;
	size_t i;

	/* the first call loads what unwinds the stack */
	(void)backtrace(&frame, 1);
	watched = m;
	tell = func;
	if (sigaltstack(&stack, NULL) == -1)
		return -1;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (sigaction(faults[i], &sa, NULL) == -1)
			return -1;
	return 0;
}
