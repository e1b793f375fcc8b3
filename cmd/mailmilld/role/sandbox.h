/* What a process of a role may do: the profile in its struct role, and how the
 * process is bound by it.
 * Each measure is tried by itself, and what holds is told to the master with
 * M_READY.  The setting "sandbox" turns off all that is in the way of
 * a debugger; account, root and capabilities go in any case. */

#ifndef CMD_MAILMILLD_ROLE_SANDBOX_H
#define CMD_MAILMILLD_ROLE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/msg.h"
#include "cmd/mailmilld/role/roles.h"

enum measure {
#define MEASURE(ID, name) MEASURE_##ID,
#include "cmd/mailmilld/role/measure.def"
#undef MEASURE
	NMEASURES
};
#define MEASURE_BIT(id)	(1u << (id))

/* measure_name(id): As in mailmillctl status. */
const char *measure_name(enum measure id);

/* A path of the profile as it was when the rules were made. */
struct sandbox_file {
	struct role_path	 path;
	dev_t			 dev;
	ino_t			 ino;
};

/* The process itself, and how far it is bound. */
struct sandbox {
	const struct role	*role;
	const struct settings	*settings;
	struct msg_init		 init;
	uint32_t		 holds;		/* MEASURE_BIT() of each measure */
	struct sandbox_file	*files;
	size_t			 nfiles;
	/* last_words(signo): the role's, or NULL: called in the handler of SIGSYS
	 * before the process dies of a call that was refused */
	void			(*last_words)(int signo);
};

/* sandbox_drop(sb): Become the account of ${sb->init}; nothing can be opened
 * from now on but what the profile names.  Before there are threads: they
 * inherit it.  Return 0, or -1 having logged why: account, root or privileges
 * are not as they should be. */
int sandbox_drop(struct sandbox *sb);

/* sandbox_leave_root(sb): Of sandbox_drop(), which comes later, as much as has to
 * be before code of others is loaded, which needs files: the account, for good.
 * Only for a role without paths and supplementary groups.  Return 0, or -1 having
 * logged why. */
int sandbox_leave_root(struct sandbox *sb);

/* sandbox_is_stale(sb): Is one of the profile's paths another file or folder by
 * now?  The rules do not allow that one; those of a new process will.  Logs
 * which. */
bool sandbox_is_stale(const struct sandbox *sb);

/* sandbox_clear(sb): Free what it holds. */
void sandbox_clear(struct sandbox *sb);

/* sandbox_confine(sb, fd, packet, len, at): From now on only the calls of the
 * profile, for all threads.  One that is refused is told on the channel ${fd}:
 * ${packet}, ${len} octets, is sent with the call's number as an int at ${at}. */
void sandbox_confine(struct sandbox *sb, int fd, const void *packet,
    size_t len, size_t at);

/* sandbox_calls(sb, lists_r): The lists of calls of the profile (syscalls.h).
 * Return their number; 0: all but sandbox_never. */
#define SANDBOX_LISTS	4
size_t sandbox_calls(const struct sandbox *sb,
    const char *lists_r[SANDBOX_LISTS]);
extern const char *const sandbox_never;

#endif
