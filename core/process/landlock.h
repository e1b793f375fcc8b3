/* Landlock: which files a process can still open, landlock(7).
 * Owns: the system calls and constants, which libc has not. */

#ifndef CORE_PROCESS_LANDLOCK_H
#define CORE_PROCESS_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

struct landlock_path {
	const char	*path;		/* a folder with all below it, or a file */
	bool		 can_write;	/* also make, rename and remove */
};

/* What the kernel's Landlock knows. */
enum {
	LANDLOCK_FILES = 1,
	LANDLOCK_NET = 2,	/* no TCP socket can be bound or connected */
	LANDLOCK_SCOPE = 4	/* no signal, no abstract socket of processes outside */
};

/* landlock_rules(paths, n, &has_r): A set of rules: nothing can be opened but
 * these; nothing can be executed.  A path that is missing is left out.
 * *has_r is what the rules will hold (LANDLOCK_FILES, ...).  Return its
 * descriptor, close-on-exec, or -1 with errno: ENOSYS or EOPNOTSUPP, the kernel
 * has none that is of use. */
int landlock_rules(const struct landlock_path *paths, size_t n,
    unsigned int *has_r);

/* landlock_enter(fd): The calling thread, and all that it starts, live by these
 * rules for good.  Needs no_new_privs.  Closes ${fd}.  Return 0 or -1 with
 * errno. */
int landlock_enter(int fd);

#endif
