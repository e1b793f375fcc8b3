/* What the master knows: struct master, with its processes and listeners.
 * Every file of the master reads it.  A member is changed by the file that is
 * named beside it or whose subject it is; what somebody else has to do about an
 * event is noted (note.h), and done by step.c.
 * The master never reads a byte that a client sent. */

#ifndef CMD_MAILMILLD_MASTER_STATE_STATE_H
#define CMD_MAILMILLD_MASTER_STATE_STATE_H

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/master/config/config.h"
#include "cmd/mailmilld/master/state/backoff.h"
#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/role/chanev.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/settings/settings.h"
#include "core/event.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/util/addr.h"
#include "proto/esmtp_reply.h"

enum proc_state {
	PROC_STARTING,		/* until M_READY */
	PROC_READY,
	PROC_DRAINING		/* has been told to end; gets no sessions */
};

struct master;
struct log_link;		/* log_links.c */
struct numbers;			/* numbers.c */
struct sockfile;		/* sockfile.h */
struct tickets;			/* tickets.h */

/* The sessions that a worker has been sent; taken.c. */
struct handed {
	uint32_t	 n;		/* so far; wraps */
	uint32_t	 mark;		/* the first so many were sent by ... */
	uint64_t	 mark_ms;	/* ... then; 0: it has taken all */
	uint64_t	 late_ms;	/* is late, since then; 0: it is not */
	uint64_t	 behind_ms;	/* has had no room, since then; 0: it has */
	bool		 is_stuck;	/* noted: it has been late for too long */
	bool		 is_any;	/* it has been sent a session */
};

struct proc {
	TAILQ_ENTRY(proc)	 link;
	struct master		*master;
	enum role_id		 role;
	enum proc_state		 state;
	unsigned int		 slot;
	unsigned int		 instance;
	struct stats_child	*stats;
	unsigned int		 generation;	/* of its configuration */
	pid_t			 pid;
	struct account		 account;
	struct chanev		*ce;		/* NULL: the child has closed it */
	struct book		*book;		/* of a worker */
	struct ended		*ended;		/* of a worker */
	struct drain		*drain;		/* of a worker that has not told yet what
						 * became of its sessions; or NULL */
	uint32_t		 certs_sent;	/* version of keys sent to a keyd */
	uint32_t		 certs_awaited;	/* so many versions, of those that it was
						 * sent, it has not answered */
	uint32_t		 certs_answered; /* the last version that it has */
	uint32_t		 certs_good;	/* version that it can use */
	bool			 has_tls;	/* its configuration has certificates */
	bool			 has_sandbox;	/* ... does not have sandbox = off */
	struct msg_crashed	*modules;	/* of a worker: each that it loads, as it
						 * says which one has crashed it */
	size_t			 nmodules;
	bool			 is_lost;	/* nothing can be sent to it */
	bool			 has_been_ready;
	struct handed		 handed;	/* sessions */
	uint64_t		 words_ms;	/* bounds how much it says */
	unsigned int		 nwriters;	/* of a logger: sockets of lines that it was
						 * given, without those it said have
						 * ended */
	bool			 is_killed;
	bool			 is_excused;	/* ... for no fault of its own */
	uint64_t		 started_ms;
	uint64_t		 ready_ms;	/* bounds PROC_STARTING; 0: the start or a reload
						 * does, or nothing */
	uint64_t		 kill_ms;	/* bounds the draining; 0: nothing does */
	/* noted, for master_step() */
	const char		*offence;	/* a message that no honest process sends */
	bool			 is_offence_told; /* in the log, and counted */
	bool			 is_beyond;	/* writes beyond its share of the spool */
	bool			 said_ready;
	uint32_t		 measures;	/* of M_READY */
	bool			 was_refused;	/* the system call ${call} */
	int			 call;
	const char		*crashed;	/* by that one of its modules; or NULL */
	char			 trouble[MSG_TROUBLE_MAX + 1]; /* of M_TROUBLE */
	bool			 has_keys_answer;
	struct msg_keys_ready	 keys_answer;
	bool			 has_exited;
	int			 status;	/* of waitpid(2) */
};

/* When to start the process of this role and slot again. */
struct respawn {
	TAILQ_ENTRY(respawn)	 link;
	enum role_id		 role;
	unsigned int		 slot;
	struct backoff		 backoff;
	uint64_t		 due_ms;	/* 0: not waiting */
};

#define LISTENER_TEXT	128	/* octets: an address and a port, or SETTINGS_UNIX and a path */

struct listener {
	TAILQ_ENTRY(listener)	 link;
	struct master		*master;
	int			 fd;		/* -1: closed, its sessions remain */
	bool			 is_new;	/* bound by a reload in progress */
	union addr		 wanted;	/* as configured; port 0 is any.  Of a Unix
						 * socket AF_UNIX alone */
	char			 text[LISTENER_TEXT]; /* the address it has got */
	const char		*path;		/* of a Unix socket, in text; or NULL */
	struct sockfile		*file;		/* ... which is there (sockfile.h) */
	size_t			 index;		/* among the Listen scopes */
	size_t			 next_index;	/* in the coming configuration */
	bool			 has_next;	/* ... which has it too */
	struct tally		 sessions;
	struct tally		*service;
	struct log_bound	 refusals;	/* other than Client_Sessions' */
};

TAILQ_HEAD(proc_list, proc);
TAILQ_HEAD(respawn_list, respawn);
TAILQ_HEAD(listener_list, listener);

#define SERVICES_MAX	256	/* ESMTP_Listener sections */

/* For new processes to get ready, which takes them a second, or several on a
 * busy machine.  Longer than the checks (20 s), and short enough for
 * mailmillctl, which waits for both. */
#define READY_LIMIT_MS	60000

/* certs.c's own */
struct certs {
	struct creds	*next;		/* to be used next; or NULL */
	struct probe	*check;		/* of next; NULL: it has ended */
	uint32_t	 version;	/* the last number given to a version */
	char		 error[SETTINGS_ERROR_MAX]; /* logged last */
	bool		 has_warned;	/* that a certificate expires soon */
	uint64_t	 warned_ms;
	uint64_t	 look_ms;	/* when to look at the files */
	struct tickets	*tickets;	/* NULL: not needed yet */
	uint64_t	 rotated_ms;
	uint64_t	 rotate_ms;	/* when to do so again */
};

enum master_phase { MASTER_STARTING, MASTER_RUNNING, MASTER_STOPPING };

/* What somebody has asked for: of two, the greater one is done. */
enum stop_mode { STOP_NOT, STOP_DRAIN, STOP_AT_ONCE, STOP_FAILED };
enum relog { RELOG_NOT, RELOG_LATER, RELOG_SOON, RELOG_NOW };

/* What the state machine does to processes, and its clock, which is monotonic.
 * Tests bring their own. */
struct master_ops {
	/* spawn(role, &fd_r): as spawn_child() */
	pid_t		 (*spawn)(enum role_id role, int *fd_r);
	int		 (*kill)(pid_t pid, int signo);
	/* is_traced(pid): Has a debugger hold of it? */
	bool		 (*is_traced)(pid_t pid);
	/* probe(spec): as probe_start() */
	struct probe	*(*probe)(const struct probe_spec *spec);
	/* timer(ms, callback, closure): as after_ms() */
	Event		*(*timer)(unsigned int ms,
			    void (*callback)(void *closure), void *closure);
	uint64_t	 (*now_ms)(void);
};

/* The queue processes, as a whole. */
struct outage {
	uint64_t	since_ms;	/* there is none that works; 0: there is */
	uint64_t	hold_ms;	/* when MAIL is to be refused */
	bool		is_held;	/* it is */
	char		reason[MSG_TROUBLE_MAX + 1]; /* of the last one that died */
};

struct reload;			/* one in progress; reload.c */
struct control;			/* the socket of mailmillctl; control.c */

struct master {
	struct config		 config;
	const struct master_ops	*ops;
	struct scheduler	*sched;
	enum master_phase	 phase;
	/* noted, for master_step() */
	bool			 has_news;	/* it has something to do */
	struct {
		enum stop_mode	 stop;
		enum relog	 relog;
		unsigned int	 reloads;	/* asked for so far */
	} wish;
	/* Deadlines are of ops->now_ms(), and 0 when there is none. */
	uint64_t		 start_ms;	/* bounds the start */
	uint64_t		 stop_ms;	/* bounds the stop */
	uint64_t		 last_ms;	/* bounds the start of a logger after it */
	uint64_t		 accept_ms;	/* accepting pauses until then */
	uint64_t		 relog_ms;	/* tries again to reopen the log */
	uint64_t		 taken_ms;	/* looks at what workers have taken */
	Event			*wake;		/* at the earliest deadline */
	int			 status;	/* exit status */
	bool			 is_foreground;
	bool			 is_trial;	/* in the foreground, and not for a service
					 * manager: a missing account becomes
					 * a numeric uid */
	struct account		 accounts[NROLES];
	struct account_range	 ranges[NROLES]; /* where role->has_range */
	uint64_t		 started_ms;
	/* processes */
	struct proc_list	 procs;
	struct respawn_list	 respawns;
	unsigned int		 instances;	/* the last one given to a process */
	struct numbers		*numbers;	/* that workers may not have; or NULL */
	int			 limits_fd;	/* each authd's memory (auth_limit.h) */
	struct certs		 certs;
	struct outage		 outage;
	/* sessions */
	struct ledger		*ledger;
	struct tally		*services[SERVICES_MAX]; /* by number, made when first used */
	struct listener_list	 listeners;
	unsigned int		 rotor;		/* for workers with equal counts */
	unsigned int		 worker_sessions_max; /* what its descriptors allow */
	int			 spare_fd;	/* closed to get one when there is none left */
	uint64_t		 exhausted_ms;	/* when to warn again that there are none */
	/* outside */
	struct reload		*reload;
	unsigned int		 reload_answered; /* up to this one of wish.reloads */
	char			 reload_error[SETTINGS_ERROR_MAX]; /* "": it was good */
	char			 reload_fixed[256]; /* settings that it did not change */
	bool			 has_reload_answer; /* not yet given to its clients */
	struct control		*control;
	Event			*signals;
	enum log_kind		 log_kind;
	int			 log_fd;
	uint64_t		 relogged_ms;	/* when it was reopened last */
	TAILQ_HEAD(, log_link)	 log_links;
};

#endif
