/* Landlock: which files a process can still open, landlock(7).
 * Owns: the system calls and constants, which libc lacks. */

#ifndef CORE_PROCESS_LANDLOCK_H
#define CORE_PROCESS_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct landlock_path {
	const char	*path;		/* a folder with all below it, or a file */
	bool		 can_write;	/* also make, rename and remove */
};

/* What the kernel's Landlock can forbid. */
enum {
	LANDLOCK_FILES = 1,
	LANDLOCK_NET = 2,	/* no TCP socket can be bound or connected but as the rules say */
	LANDLOCK_SCOPE = 4	/* no signal, no abstract socket of processes outside */
};

/* landlock_rules(paths, n, ports, nports, &has_r): Make a set of rules: only the
 * files of ${paths} can be opened, and none can be executed; TCP sockets can be
 * connected to ${ports} alone, and bound only if 0 is among these, to a port that
 * the system chooses.  A path that does not exist is left out.  *has_r is
 * what the rules enforce (LANDLOCK_FILES, ...).  Return the descriptor of the set,
 * close-on-exec, or -1 with errno: ENOSYS or EOPNOTSUPP, the kernel has no
 * Landlock, or one that is too old. */
int landlock_rules(const struct landlock_path *paths, size_t n,
    const unsigned int *ports, size_t nports, unsigned int *has_r);

/* landlock_enter(fd): From now on the rules hold for the calling thread and for
 * all that it starts, for good.  Needs no_new_privs.  Closes ${fd}.  Return 0
 * or -1 with errno. */
int landlock_enter(int fd);

#endif
