/* The child side of a role: what every re-executed process has before its role
 * begins, and how it hears from the master while it runs.
 * Owns: the start-up conversation on descriptor 3 (M_INIT ... M_START), the
 * configuration that came with it, the drop of privileges, the loop.
 * Knows nothing of what a role does. */

#ifndef CMD_MAILMILLD_ROLE_CHILD_H
#define CMD_MAILMILLD_ROLE_CHILD_H

#include <stdbool.h>

#include "cmd/mailmilld/role/chanev.h"
#include "cmd/mailmilld/role/msg.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/sandbox.h"
#include "cmd/settings/settings.h"
#include "core/scheduler.h"

#define CHILD_CHANNEL_FD	3	/* where a child finds its master */

struct child;

/* What a role does with what the master says while it runs. */
struct child_ops {
	/* peer(closure, peer, fd): a channel to a process of a role that
	 * this one asks or that asks it (roles.h); takes ${fd}: give it to
	 * chanev_open(fd, ..., peer->role, ...).  For a
	 * worker and its queue or its spoold, and for a deliver and its queue, a new one
	 * replaces the old one.  The queue may have several workers of the
	 * same slot (an old one drains while its successor works): there, a
	 * peer is a new one by its instance, and ends with chanev's gone(). */
	void	(*peer)(void *closure, const struct msg_peer *peer, int fd);
	/* the messages of the role's own, such as M_SESSION, M_CERTS.
	 * child_run() asserts that none is missing */
	msg_fn	*on[NMSGS];
	/* drain(closure): finish what was promised, take nothing new, then
	 * call child_exit(c).  Called once: by M_DRAIN, or because the master
	 * is gone (c->master is NULL). */
	void	(*drain)(void *closure);
};

struct child {
	const struct role	*role;
	struct msg_init		 init;
	const struct settings	*settings;	/* parsed; whole life */
	struct scheduler	*sched;		/* of this, the main thread */
	struct chanev		*master;	/* NULL: the master is gone */
	bool			 is_draining;
	bool			 is_reconfig;	/* it drains because of a reload */
	uint32_t		 drain_ms;	/* how long drain() may wait for others: the
						 * master kills it some seconds later */
	/* child.c's own */
	bool			 has_basics;	/* M_INIT, M_LOG, M_STATS have come */
	bool			 is_started;	/* M_START has come */
	bool			 is_late;	/* the role's: child_run() does not say
						 * M_READY, child_ready() will */
	bool			 is_ready;	/* M_READY has been said */
	bool			 is_relog_wanted; /* the logger's log has failed */
	uint64_t		 relog_ms;	/* not asked for another one before */
	Event			*log_timer;	/* set while lines wait */
	struct sandbox		 sandbox;
	struct chanev_ops	 master_ops;
	const struct child_ops	*ops;
	void			*closure;
	struct settings		*settings_owned;
	int			 config_fd;
	int			 log_fd;
};

/* child_main(role): The whole life of a child: the start-up conversation, then
 * role->main().  Return the exit status.
 * When that fails before M_READY, the master is told the last error of the log.
 * role->main() is called as root (when the server was started as root) with
 * log, counters, settings and scheduler ready.  It opens what needs privileges,
 * calls child_drop() once, sets up, and returns child_run()'s value; or, when it
 * cannot start, logs why and returns 1. */
int child_main(const struct role *role);

/* child_drop(c): Become the account of M_INIT, with what sandbox_drop() says;
 * without root only what needs no privilege.  Before threads.  Return 0, or -1
 * having logged why. */
int child_drop(struct child *c);

/* child_leave_root(c): Before child_drop(), for a role that loads code of others,
 * which only works before that: see sandbox_leave_root(). */
int child_leave_root(struct child *c);

/* child_load_crypto(c): Load the configuration of OpenSSL, for a role that
 * computes with it: before child_drop(), while its file can be read.  Return 0,
 * or -1 having logged why. */
int child_load_crypto(const struct child *c);

/* child_run(c, ops, closure): Tell the master M_READY and run the loop until
 * child_exit().  The messages that the master has sent up to M_START are given to
 * ${ops} before M_READY; then the process makes no other system calls than
 * those of its profile.  Return the exit status. */
int child_run(struct child *c, const struct child_ops *ops, void *closure);

/* child_ready(c): Say M_READY, if that has not been said: all that the role needs
 * is open.
 * child_trouble(c, text): Tell the master why the role cannot do its work now;
 * "": it can again. */
void child_ready(struct child *c);
void child_trouble(struct child *c, const char *text);

/* child_exit(c): Leave child_run() at the end of this pass, status 0. */
void child_exit(struct child *c);

#endif
