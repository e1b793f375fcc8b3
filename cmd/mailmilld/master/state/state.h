/* The master: what its files share.
 * The master binds, accepts, hands sockets to workers, and starts, watches and
 * ends the other processes.  It never reads a byte that a client sent. */

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
struct tickets;			/* tickets.h */

/* The sessions that a worker has been sent; taken.c. */
struct handed {
	uint32_t	 n;		/* so far; wraps */
	uint32_t	 mark;		/* the first so many were sent by ... */
	uint64_t	 mark_ms;	/* ... then; 0: it has taken all */
	uint64_t	 late_ms;	/* is late, since then; 0: it is not */
	bool		 is_stuck;	/* noted: it has been late for too long */
};

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
	struct account		 account;
	struct chanev		*ce;		/* NULL: the child has closed it */
	struct book		*book;		/* of a worker */
	struct ended		*ended;		/* of a worker */
	struct drain		*drain;		/* of a worker that has not told yet what
						 * became of its sessions; or NULL */
	uint32_t		 certs_sent;	/* version of keys sent to a keyd */
	uint32_t		 certs_good;	/* version that it can use */
	bool			 has_tls;	/* its configuration has certificates */
	bool			 is_lost;	/* nothing can be sent to it */
	bool			 has_been_ready;
	struct handed		 handed;	/* sessions */
	uint64_t		 words_ms;	/* bounds how much it says */
	bool			 is_killed;
	uint64_t		 started_ms;
	uint64_t		 kill_ms;	/* bounds the draining; 0: nothing does */
	/* noted, for master_step() */
	const char		*offence;	/* a message that no honest process sends */
	bool			 said_ready;
	uint32_t		 measures;	/* of M_READY */
	bool			 was_refused;	/* the system call ${call} */
	int			 call;
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
	bool			 stats_used[STATS_NSLOTS];
	int			 stats_fd;
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

/* master.c */

/* master_init(m, ops): Begin on this thread's scheduler, m->sched, which calls
 * master_step() at the end of each pass from now on.  m->config is filled in;
 * everything else is zero.  Return 0, or -1 with errno. */
int master_init(struct master *m, const struct master_ops *ops);
/* master_run(m): Serve with m->config and the flags filled in; everything else
 * is zero.  Return the exit status. */
int master_run(struct master *m);

/* step.c */

/* master_step(m): Do what follows from all that has been noted. */
void master_step(struct master *m);
/* master_deadline(m): When master_step() has something to do although nothing
 * is noted; 0: never. */
uint64_t master_deadline(const struct master *m);

/* note.c: noting what has happened, and deadlines */

/* master_has_news(m): Run master_step() at the end of this pass. */
void master_has_news(void *m);
void master_wants_stop(struct master *m, enum stop_mode mode);
void master_wants_relog(struct master *m, enum relog how);
/* Return its number, for m->reload_answered. */
unsigned int master_wants_reload(struct master *m);
/* master_fail(m, status, why): Started badly: say so, and end with ${status}. */
void master_fail(struct master *m, int status, const char *why);

/* proc_offends(p, message): Note that ${p} has sent what no honest process
 * sends: it will be logged, counted and killed.  ${message} is static. */
void proc_offends(struct proc *p, const char *message);

/* master_after(m, ms): The deadline that is ${ms} from now.
 * master_is_due(m, &at): Has it passed?  Then it is 0 now. */
uint64_t master_after(const struct master *m, uint64_t ms);
bool master_is_due(const struct master *m, uint64_t *at_ms);

/* master_log.c */

/* master_log_open(m): For the first time.  Return 0, or -1 having said why on
 * stderr. */
int master_log_open(struct master *m);
/* master_relog(m): Reopen the log, here and in the logger; tried again later when
 * it fails. */
void master_relog(struct master *m);
/* master_log_step(m): see master_step() */
void master_log_step(struct master *m);
/* master_log_failed(m): Called from within the log: only take note. */
void master_log_failed(void *m);

/* log_links.c */

/* log_link_open(m, p, s): Make the socket on which ${p}, which is new and runs
 * with ${s}, sends its lines.  Return its end, or -1 with errno.
 * log_links_give(m, logger): Give a new logger all there are; 0 or -1.
 * log_link_ended(m, instance): All lines of that process are written. */
int log_link_open(struct master *m, const struct proc *p,
    const struct settings *s);
int log_links_give(struct master *m, struct proc *logger);
void log_link_ended(struct master *m, uint32_t instance);
void log_links_close(struct master *m);

/* own_account.c */

/* own_accounts_find(m, s): Find the ranges of ids of the roles that ${s} needs,
 * unless those in use are large enough.  Return 0, or -1 having logged why.
 * own_account(m, role, account_r): The account of the next process of ${role}:
 * the role's, or one that no living process has.  Return 0, or -1 having logged
 * that there is none left. */
int own_accounts_find(struct master *m, const struct settings *s);
int own_account(const struct master *m, enum role_id role,
    struct account *account_r);

/* procs.c, proc_start.c */

/* What is heard of a child; closure: its struct proc. */
extern const struct chanev_ops proc_ops;

/* proc_start(m, role, slot, config): Start one; it shows up in m->procs.
 * Return 0, or -1 having logged why. */
int proc_start(struct master *m, enum role_id role, unsigned int slot,
    const struct config *config);
/* proc_start_all(m, config): All that ${config} needs; a role's peers before
 * it.  Return 0, or -1 having logged why. */
int proc_start_all(struct master *m, const struct config *config);
/* proc_send_fd(p, type, base, fd): Send it a message that has a descriptor.
 * takes ${fd}, also when it fails.  Return 0, or -1 with errno, which is left as
 * it is when ${fd} is -1. */
int proc_send_fd(struct proc *p, enum msg_type type, const void *base, int fd);
/* proc_drain(p, is_reconfig, limit_s): Tell it to end; kill it after
 * ${limit_s} seconds (0: never). */
void proc_drain(struct proc *p, bool is_reconfig, unsigned int limit_s);
void proc_kill(struct proc *p);
void proc_free(struct proc *p);
/* proc_exited(m, pid, status): Note that a process has been waited for.  The
 * process of a check is not in m->procs, and ignored. */
void proc_exited(struct master *m, pid_t pid, int status);
unsigned int procs_count(const struct master *m, enum role_id role,
    unsigned int generation);
/* procs_are_ready(m, config, &limit_ms, err_r, errlen): Return 1 when all
 * its processes are ready, 0 while they are not, -1 with a message when
 * ${limit_ms} has passed meanwhile. */
int procs_are_ready(const struct master *m, const struct config *config,
    uint64_t *limit_ms, char *err_r, size_t errlen);
struct proc *proc_find(struct master *m, enum role_id role,
    unsigned int generation);

/* proc_failure(p, buf, len): Why ${p}, which has died, has never been ready.
 * Return ${buf}. */
const char *proc_failure(const struct proc *p, char *buf, size_t len);

/* outage.c: while no queue process works, and has not for
 * ${max_queue_downtime}, workers refuse MAIL. */

/* outage_step(m): see master_step()
 * outage_reason(m): Why there is none; "": it is not known. */
void outage_step(struct master *m);
const char *outage_reason(const struct master *m);
/* outage_tell(m, p): Tell the worker ${p}, which is new. */
int outage_tell(struct master *m, struct proc *p);

/* collect.c */

/* proc_collect(p), procs_collect(m): Take the sessions off the books that their
 * workers have ended; before books are looked at.
 * proc_sessions_ended(p, message, handles, n): Take off these, which ${message}
 * has named. */
void proc_collect(struct proc *p);
void procs_collect(struct master *m);
void proc_sessions_ended(struct proc *p, const char *message,
    const uint64_t *handles, unsigned int n);

/* taken.c: sessions that their worker has not taken yet */

/* taken_add(p): ${p} has been sent one more.
 * taken_is_late(p): It has not taken one for TAKEN_LATE_MS.
 * taken_has_room(p): It is not late, and may be sent one more.
 * taken_step(m): see master_step() */
#define TAKEN_MAX	256	/* sent to a worker and not taken by it */
#define TAKEN_LATE_MS	10000	/* it gets no more */
#define TAKEN_KILL_MS	30000	/* after that: it is killed */
void taken_add(struct proc *p);
bool taken_is_late(const struct proc *p);
bool taken_has_room(struct proc *p);
void taken_step(struct master *m);

/* respawn.c */

/* respawn_after(m, p): ${p}, of the configuration in use, has died: its
 * successor will start, now or later.  When it has never been ready, and this
 * has happened a few times, the start has failed. */
void respawn_after(struct master *m, const struct proc *p);
/* respawns_step(m): see master_step() */
void respawns_step(struct master *m);
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
/* listeners_check(s, server): Could what ${s} has be bound?  An address that
 * the process ${server} has is free when that one has ended; 0: none runs.
 * Return 0, or -1 having logged why not. */
int listeners_check(const struct settings *s, pid_t server);
/* listeners_unbind(m): Close what listeners_bind() has bound, forget marks. */
void listeners_unbind(struct master *m);
/* listeners_switch(m): From now on those which listeners_bind() bound or
 * marked; the others are closed. */
void listeners_switch(struct master *m);
/* listeners_watch(m, accept_func): Have ${accept_func} called when a client
 * comes to one of them; it returns 0 when it does not want to be called any
 * more. */
void listeners_watch(struct master *m, EventFunc accept_func);
void listeners_close(struct master *m);

/* admit.c */

/* admit_new(l, peer, &kind_r): May ${peer} have one more session of ${l}?
 * RPL_OK and as whom it is to be counted, or how it is refused, having logged
 * that.
 * admit_refused(l, peer, limit, bound): Count and log that it was not let in
 * because of ${limit}. */
enum esmtp_reply_id admit_new(struct listener *l, const accept_addr *peer,
    enum ledger_kind *kind_r);
void admit_refused(struct listener *l, const accept_addr *peer,
    const char *limit, struct log_bound *bound);
/* admit_proxied(p, mp): The worker ${p} says which client a proxy has named.
 * Count the session for that one.  0; 1: it has too many, having logged that;
 * -1: ${p} has no such session, or may not say so. */
int admit_proxied(struct proc *p, const struct msg_proxied *mp);

/* handout.c */

/* handout_accept(event...): The callback of a listening socket. */
int handout_accept(Event *e, int eventtype, void *closure,
    struct timeval *now);
/* handout_move(p, move, fd): The session of the old worker ${p} goes on in
 * another one.  Return 0, which takes ${fd}, or -1: its client has left, or ${p}
 * offends. */
int handout_move(struct proc *p, struct msg_move *move, int fd);
/* handout_wants(m): Can connections be handed out: does the master run, is a
 * worker up, and is no pause on? */
bool handout_wants(const struct master *m);

/* reload.c */

/* reload_step(m): see master_step() */
void reload_step(struct master *m);
/* reload_deadline(m): see master_deadline() */
uint64_t reload_deadline(const struct master *m);
/* reload_abort(m, why): End the one in progress, if there is one, and keep the
 * old configuration.
 * reload_refuse(m, why): Also answer requests for one that has not begun. */
void reload_abort(struct master *m, const char *why);
void reload_refuse(struct master *m, const char *why);

/* drain.c: one line for what a reload did to the sessions of the old workers */

/* drain_begin(m): They are about to be told to drain.
 * drain_told(p, md): The worker ${p} says what it has done.
 * drain_ended(p): It will say no more. */
void drain_begin(struct master *m);
void drain_told(struct proc *p, const struct msg_drained *md);
void drain_ended(struct proc *p);

/* control.c */
int control_open(struct master *m);	/* 0, or -1 having logged why */
void control_close(struct master *m);
/* control_step(m): see master_step() */
void control_step(struct master *m);

/* signals.c */
int signals_open(struct master *m);	/* 0 or -1 with errno; m->signals */

#endif
