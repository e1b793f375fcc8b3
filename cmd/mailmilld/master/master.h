/* The master: what its files share.
 * The master binds, accepts, hands sockets to workers, and starts, watches and
 * ends the other processes.  It never reads a byte that a client sent. */

#ifndef CMD_MAILMILLD_MASTER_MASTER_H
#define CMD_MAILMILLD_MASTER_MASTER_H

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/master/backoff.h"
#include "cmd/mailmilld/role/chanev.h"
#include "cmd/mailmilld/master/config.h"
#include "cmd/mailmilld/master/ledger.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/settings/settings.h"
#include "cmd/mailmilld/master/tickets.h"
#include "core/event.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/addr.h"

enum proc_state {
	PROC_STARTING,		/* until M_READY */
	PROC_READY,
	PROC_DRAINING		/* has been told to end; gets no sessions */
};

struct master;

struct proc {
	TAILQ_ENTRY(proc)	 link;
	struct master		*master;
	enum role_id		 role;
	enum proc_state		 state;
	unsigned int		 slot;
	unsigned int		 instance;
	unsigned int		 stats_slot;
	unsigned int		 generation;	/* of its configuration */
	pid_t			 pid;
	struct chanev		*ce;		/* NULL: it has closed its end */
	struct book		*book;		/* of a worker */
	struct ended		*ended;		/* of a worker; may be NULL */
	uint32_t		 certs_sent;	/* to a keyd: version of keys */
	uint32_t		 certs_good;	/* ... that it can use */
	bool			 has_tls;	/* by its configuration */
	bool			 is_lost;	/* nothing can be sent to it */
	uint64_t		 started_ms;
	Event			*kill_timer;	/* bounds the draining */
};

/* Starting a process of this role and slot again. */
struct respawn {
	TAILQ_ENTRY(respawn)	 link;
	struct master		*master;
	enum role_id		 role;
	unsigned int		 slot;
	struct backoff		 backoff;
	Event			*timer;		/* NULL: not waiting */
};

struct listener {
	TAILQ_ENTRY(listener)	 link;
	struct master		*master;
	int			 fd;		/* -1: closed, its sessions remain */
	bool			 is_new;	/* bound by a reload in progress */
	accept_addr		 wanted;	/* as configured; port 0 is any */
	char			 text[ADDR_PORT_TEXT]; /* the address it has got */
	size_t			 index;		/* among the Listen scopes */
	size_t			 next_index;	/* in the coming configuration */
	bool			 has_next;	/* ... which has it too */
	struct tally		 sessions;
	struct tally		*service;
};

TAILQ_HEAD(proc_list, proc);
TAILQ_HEAD(respawn_list, respawn);
TAILQ_HEAD(listener_list, listener);

#define SERVICES_MAX	256	/* ESMTP_Listener sections */

/* certs.c's own */
struct certs {
	struct creds	*next;		/* on its way to the keyds; or NULL */
	uint32_t	 version;	/* given last */
	char		 error[SETTINGS_ERROR_MAX]; /* said last */
	bool		 has_warned;	/* that a certificate ends soon */
	uint64_t	 warned_ms;
	Event		*timer;
	struct tickets	*tickets;	/* NULL: not needed yet */
	uint64_t	 rotated_ms;
	Event		*ticket_timer;
};

enum master_phase { MASTER_STARTING, MASTER_RUNNING, MASTER_STOPPING };

struct reload;			/* one in progress; reload.c */
struct control;			/* the socket of mailmillctl; control.c */

struct master {
	struct config		 config;
	struct scheduler	*sched;
	enum master_phase	 phase;
	int			 status;	/* exit status */
	bool			 is_foreground;
	bool			 is_debug;
	struct account		 accounts[NROLES];
	uint64_t		 started_ms;
	/* processes */
	struct proc_list	 procs;
	struct respawn_list	 respawns;
	unsigned int		 instances;	/* started so far */
	bool			 stats_used[STATS_NSLOTS];
	int			 stats_fd;
	Event			*stop_timer;
	struct certs		 certs;
	/* sessions */
	struct ledger		*ledger;
	struct tally		*services[SERVICES_MAX]; /* by number, made when first used */
	struct listener_list	 listeners;
	unsigned int		 rotor;		/* for workers with equal counts */
	unsigned int		 worker_sessions_max; /* what its descriptors allow */
	int			 spare_fd;	/* given up to answer when there is no other */
	Event			*accept_timer;	/* accepting pauses until then */
	uint64_t		 exhausted_ms;	/* when to say again that there are none */
	/* outside */
	struct reload		*reload;
	bool			 is_reload_wanted; /* when it can be */
	bool			 is_relog_wanted;
	struct control		*control;
	Event			*signals;
	enum log_kind		 log_kind;
	int			 log_fd;
	uint64_t		 relogged_ms;	/* last reopening a child asked for */
	Event			*relog_timer;	/* tries again */
};

/* master_run(m): Serve with m->config and the flags filled in; everything else
 * is zero.  Return the exit status. */
int master_run(struct master *m);

/* master_stop(m, is_at_once): Drain within drain_time, or kill; then leave. */
void master_stop(struct master *m, bool is_at_once);

/* master_fail(m, why): Started badly: end with status 1. */
void master_fail(struct master *m, const char *why);

/* master_step(m): Something has become ready or has ended: do what had to wait
 * for it (the start, a reload, the next step of a stop). */
void master_step(struct master *m);

/* master_log.c */

/* master_log_open(m): For the first time.  Return 0, or -1 having said why on
 * stderr. */
int master_log_open(struct master *m);
/* master_relog(m): Reopen the log, here and in all children; tried again later
 * when it fails. */
void master_relog(struct master *m);

/* master_relog_later(m): The same in a moment, once however often it is
 * asked for. */
void master_relog_later(struct master *m);

/* master_log_failed(m): Called from within the log: only take note. */
void master_log_failed(void *m);

/* procs.c, proc_start.c */

/* proc_start(m, role, slot, config): Start one; it shows up in m->procs.
 * Return 0, or -1 having logged why. */
int proc_start(struct master *m, enum role_id role, unsigned int slot,
    const struct config *config);
/* proc_start_all(m, config): All that ${config} needs; a role's peers before
 * it.  Return 0, or -1 having logged why. */
int proc_start_all(struct master *m, const struct config *config);
/* procs_collect(m): Take the sessions off the books whose workers have ended
 * them; before books are looked at. */
void procs_collect(struct master *m);

/* proc_drain(p, is_reconfig, limit_s): Tell it to end; kill it after
 * ${limit_s} seconds (0: never). */
void proc_drain(struct proc *p, bool is_reconfig, unsigned int limit_s);
void proc_kill(struct proc *p);
/* procs_reap(m): Collect the dead after SIGCHLD. */
void procs_reap(struct master *m);
unsigned int procs_count(const struct master *m, enum role_id role,
    unsigned int generation);
/* procs_ready(m, config): All that its sessions need (role->is_awaited) is
 * ready. */
bool procs_ready(const struct master *m, const struct config *config);
struct proc *proc_find(struct master *m, enum role_id role,
    unsigned int generation);
void respawns_cancel(struct master *m);

/* links.c */

/* links_connect(m, p, s): Give ${p}, which is new and runs with ${s}, its
 * channels to the others of its generation. */
void links_connect(struct master *m, struct proc *p,
    const struct settings *s);
/* links_adopt(m): Connect the processes of an older configuration to those of
 * the one in use that take over at once (role->is_replaced): the old workers to
 * the new queue. */
void links_adopt(struct master *m);

/* listen.c */

/* listeners_bind(m, s): Bind what ${s} has and m->listeners has not; mark what
 * both have.  Nothing else changes.  Return 0, or -1 having logged why, and
 * then as after listeners_unbind(). */
int listeners_bind(struct master *m, const struct settings *s);
/* listeners_unbind(m): Close what listeners_bind() has bound, forget marks. */
void listeners_unbind(struct master *m);
/* listeners_switch(m): From now on those which listeners_bind() bound or
 * marked; the others are closed. */
void listeners_switch(struct master *m);
/* listeners_watch(m): Have handout_accept() called for each.  It returns 0
 * when the master does not want it any more. */
void listeners_watch(struct master *m);
void listeners_close(struct master *m);

/* handout.c */

/* handout_accept(event...): The callback of a listening socket. */
int handout_accept(Event *e, int eventtype, void *closure,
    struct timeval *now);
/* handout_update(m): Accept, if the master runs, a worker is up, and no pause
 * is on. */
void handout_update(struct master *m);

/* reload.c */

typedef void reload_done(void *closure, const char *error);

/* reload_begin(m, done, closure): Read the configuration again and change over
 * to it.  ${done} (may be NULL) is called once: NULL when the new workers have
 * taken over, else what was wrong.  It may be called from inside this call. */
void reload_begin(struct master *m, reload_done *done, void *closure);
/* reload_step(m): see master_step() */
void reload_step(struct master *m);
/* reload_abort(m, why): Keep the old configuration. */
void reload_abort(struct master *m, const char *why);

/* control.c */
int control_open(struct master *m);	/* 0, or -1 having logged why */
void control_close(struct master *m);
/* control_step(m): see master_step() */
void control_step(struct master *m);

/* signals.c */
int signals_open(struct master *m);	/* 0 or -1 with errno */
void signals_close(struct master *m);

#endif
