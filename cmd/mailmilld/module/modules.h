/* Policy modules: shared objects of others that the Module sections name, loaded
 * into this process.  See mailmill-module(7).
 * Owns: which file is accepted as a module, and which struct; the order in which a
 * module's functions are called; which module a crash is of.
 * Knows nothing of what modules do: they register that by themselves, with the
 * functions of the installed headers, which this program exports
 * (proto/library/libmailmill.map). */

#ifndef CMD_MAILMILLD_MODULE_MODULES_H
#define CMD_MAILMILLD_MODULE_MODULES_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"
#include "proto/mailmill_module.h"

#define MODULES_ERROR_MAX	1024

struct module {
	struct mailmill_module_worker worker;	/* the first: what it has of us */
	struct mailmill_module	 is;		/* a copy; later members are zero */
	const struct settings_module *section;
	void			*handle;	/* of dlopen(3) */
	uintptr_t		 begin, end;	/* where it lies in memory */
	bool			 is_begun;	/* init() has succeeded */
};

struct modules {
	struct module	*v;
	size_t		 n;
};

/* modules_load(s, owner, m_r, err_r, errlen): Load the modules of ${s}, and hand
 * each what its section says: before chroot(2), before there are threads, and in
 * a process that cannot become root any more (child_leave_root()), since an object
 * that a module brings with it has run before it can be refused.  Files belong to
 * root or ${owner}, and nobody else may write to them or to their folders.
 * ${s} and ${m_r}, which is kept, live as long as the process.
 * Return 0; or -1 with a message that names file, line and module. */
int modules_load(const struct settings *s, uid_t owner, struct modules *m_r,
    char *err_r, size_t errlen);

/* modules_init(m, number, nworkers, is_check, err_r, errlen): Let them register
 * what is to be called.  Then there are the threads that they want, and no job
 * starts another one.  Return 0, or -1 with a message. */
int modules_init(struct modules *m, unsigned int number,
    unsigned int nworkers, bool is_check, char *err_r, size_t errlen);

/* modules_fini(m): There is no session any more; end what they have begun. */
void modules_fini(struct modules *m);

/* --- crashes -------------------------------------------------------------- */

/* modules_watch(m, tell): When this process is about to die of a signal that a
 * fault makes, in a function of a module of ${m}, or below one, call ${tell} in
 * a signal handler with the module's section and the signal.  Before modules_load(),
 * which notes what it is about to call; before the sandbox.  Return 0, or -1
 * with errno.
 * modules_last_words(signo): The same for a signal that somebody else handles. */
int modules_watch(const struct modules *m,
    void (*tell)(const struct settings_module *section, int signo));
void modules_last_words(int signo);

/* --- in a process that only checks ---------------------------------------- */

/* modules_check(s, spec_r): The check that loads the modules of ${s}, which
 * lives until it is started, in a process under the account of the workers. */
void modules_check(const struct settings *s, struct probe_spec *spec_r);

#endif
