/* One process of mailmilld, with the real program of its role, as the others see
 * it: its channels, at whose other ends is the target.
 * Owns: its configuration, its folder, its scheduler, its time, the channels.
 * The linker puts functions of role.c between it and child_run(), child_exit(),
 * child_drop(), child_load_crypto(), privs_raise_nofile() and spool_writer_drain()
 * (--wrap), so that it stays in this process, and ends when the target has nothing
 * more to say; and between all and monotonic_ms(), so that nobody waits for a
 * timer. */

#ifndef TEST_FUZZ_ROLE_H
#define TEST_FUZZ_ROLE_H

#include "cmd/mailmilld/role/child.h"

#define ROLE_LINKS	8	/* channels: the first is the master's */

struct fuzz_role {
	struct child	 child;
	const struct role *role;
	struct { int fd; enum role_id role; } links[ROLE_LINKS];
	unsigned int	 nlinks;
	bool		 is_over;	/* it has called child_exit() */
	/* files(closure): Its folder is there, and empty but for what any
	 * process has.  talk(closure, r): The process is there.  It ends when
	 * this returns */
	void		(*files)(void *closure);
	void		(*talk)(void *closure, struct fuzz_role *r);
	void		*closure;
};

/* role_run(r, id): The life of a process of that role. */
void role_run(struct fuzz_role *r, enum role_id id);

/* role_wait(r, ms): Let so much time pass, but no more than to the next thing that
 * happens.
 * role_link(r, role, fd_r): Another channel, from a process of ${role}: the end
 * of the process that is run, which is the caller's.  Return 0, or -1: there are
 * too many.
 * role_pass(r): Let it do what there is to do.
 * role_settings(id): The configuration of a process of that role. */
int role_link(struct fuzz_role *r, enum role_id role, int *fd_r);
void role_pass(struct fuzz_role *r);
void role_wait(struct fuzz_role *r, unsigned int ms);
struct settings *role_settings(enum role_id id);

#endif
