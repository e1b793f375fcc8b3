/* What the files of the role worker share: the worker, and what each of them
 * does for the others.  No other file includes it. */

#ifndef CMD_MAILMILLD_WORKER_WORKER_INT_H
#define CMD_MAILMILLD_WORKER_WORKER_INT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/module/modules.h"
#include "cmd/mailmilld/role/child.h"
#include "core/spool/spool_writer.h"
#include "core/util/bucket.h"
#include "proto/esmtp_factory.h"

struct host_exchange;
struct host_files;
struct host_keyd;
struct host_tls;
struct tls_remote_ops;
RB_HEAD(host_exchanges, host_exchange);

/* sessions.c */
struct sessions {
	accept_construct	**v;		/* by HANDLE_INDEX() */
	size_t			 size;
	size_t			 n;
	struct ended		*shared;	/* from M_ENDED, which comes first */
	uint64_t		 ended[MSG_CLOSED_MAX]; /* handles for M_CLOSED */
	unsigned int		 nended;
	unsigned int		 nasked;	/* M_PROXIED without an answer yet */
};

/* tell.c */
struct tell {
	struct chanev		*queue;		/* NULL: none now */
	struct spool_position	 held;		/* not told yet; segment 0: none */
	Event			*timer;		/* set while it is held */
	uint64_t		 told_ms;	/* when the queue was last told */
	bool			 is_lost;	/* the channel was full: tell all again */
	uint32_t		 nstarts;	/* Q_START that this queue process was sent */
	struct msg_room		 room;		/* the last Q_ROOM */
};

/* host_held.c: logins that have something held */
struct host_held {
	struct held_login	*v;
	size_t			 n;
	bool			 is_full;	/* and that was logged */
	TAILQ_HEAD(, held_commit) commits;	/* of messages that are to be held */
	uint64_t		 share;		/* what one may have held through this worker; 0: no bound */
};

/* host_etrn.c: how often clients may start the queue */
#define ETRN_SHARES	64
struct host_etrn {
	struct bucket		 shares[ETRN_SHARES];	/* by the client's address */
	uint64_t		 secret;		/* so that none chooses whose share it has */
};

/* log_clients.c: of whom something was logged lately */
struct log_client;
RB_HEAD(log_client_tree, log_client);
TAILQ_HEAD(log_client_list, log_client);
struct log_clients {
	struct log_client_tree	  tree;
	struct log_client_list	  list;		/* the one longest without a line first */
	size_t			  n;
	uint64_t		  rate;		/* lines a second for each; 0: no bound */
	uint64_t		  room;		/* lines at once */
	Event			 *timer;	/* set while there is something to tell */
};

struct worker {
	struct child		*child;
	struct esmtp_host	*host;
	struct spool_writer	*spool;
	struct host_files	*files;		/* of the spool */
	bool			 has_failed;	/* to open the spool */
	bool			 is_bound;	/* to one processor */
	cpu_set_t		 processors;	/* before that */
	struct tell		 tell;
	struct host_held	 held;
	struct host_etrn	 etrn;
	struct log_clients	 log_clients;
	struct sessions		 sessions;
	struct host_tls		*tls;		/* NULL: there is no TLS */
	struct modules		 modules;
	struct chanev		*authd;		/* NULL: none now */
	struct host_exchanges	 exchanges;	/* of AUTH, by id */
	uint64_t		 exchange_ids;	/* the last one given */
	size_t			 drained;	/* sessions when draining began */
	bool			 is_drain_told;	/* what the first pass of it did */
	unsigned int		 nmoved;	/* sessions, because of a reload */
	unsigned int		 ntold;		/* likewise: that were told to end */
	uint32_t		 counter;	/* for session ids */
	pid_t			 pid;		/* likewise */
};

/* worker_modules.c: the modules of the configuration: see modules.h.
 * _load(w): before child_drop().  _init(w): before the first session.  Return 0,
 * or -1 having logged why. */
int worker_modules_load(struct worker *w);
int worker_modules_init(struct worker *w);

/* sessions.c: the table of sessions.
 * sessions_find(w, handle): the session, or NULL: it has ended.
 * sessions_add(w, ac): 0, or -1 with errno (ENOMEM, ERANGE; EINVAL: its handle is
 * 0; EEXIST: another session has its index).
 * sessions_remove(w, ac): take it out and tell the master that it has ended.
 * sessions_drop(w, ac): take it out; it goes on elsewhere.
 * sessions_ended(w, handle): tell that of a session that was never added.
 * sessions_flush(w): send what the memory shared with the master had no room
 * for; again at the end of each pass.
 * sessions_on_ended(w, msg): M_ENDED, that memory.
 * sessions_take(w): tell there that one more has come.
 * sessions_free(w): the table, without the sessions in it. */
accept_construct *sessions_find(const struct worker *w, uint64_t handle);
int sessions_add(struct worker *w, accept_construct *ac);
void sessions_drop(struct worker *w, const accept_construct *ac);
void sessions_remove(struct worker *w, const accept_construct *ac);
void sessions_ended(struct worker *w, uint64_t handle);
void sessions_flush(struct worker *w);
void sessions_on_ended(void *closure, struct channel_msg *msg);
void sessions_take(struct worker *w);
void sessions_free(struct worker *w);

/* tell.c: what the queue process is told.
 * tell_connect(w, fd): from now on tell the queue at ${fd}, which it takes; it
 * is told every position at once.
 * tell_committed(w, position): tell it soon.
 * tell_end_of_pass(w): tell it again what its channel had no room for.
 * tell_start(w, domain, has_subdomains): a client wants what is deferred for it.
 * ENOSPC: the queue has no room for one more.
 * 0, or -1 with errno: there is no queue process now, or it is far behind.
 * tell_close(w): tell what is held back, and close the channel. */
void tell_connect(struct worker *w, int fd);
void tell_committed(struct worker *w, const struct spool_position *position);
void tell_end_of_pass(struct worker *w);
int tell_start(struct worker *w, const char *domain, bool has_subdomains);
void tell_close(struct worker *w);

/* session.c: the beginning and the end of sessions.
 * session_start(w, ms, fd): start the session of an accepted socket.  takes
 * ${fd}.  ${moved}, unless NULL: another worker has begun it.  Whatever happens,
 * the master is told when it is over.
 * session_wake(ac): have it look at what has changed around it.
 * session_drain_all(w, is_reconfig): have every session end as soon as it may,
 * and with the last one the process.
 * session_discard_all(w): end all of them without a word to their clients. */
void session_start(struct worker *w, const struct msg_session *ms,
    const struct esmtp_moved *moved, int fd);
void session_wake(accept_construct *ac);
void session_drain_all(struct worker *w, bool is_reconfig);
void session_discard_all(struct worker *w);

/* Of esmtp_host.h: peer_changed(), session_end(), session_move().
 * session_on_verdict(w, msg): M_VERDICT, the master's answer to the first. */
int session_peer_changed(void *host, accept_construct *ac);
int session_move(void *host, accept_construct *ac,
    const struct esmtp_moved *moved);
void session_on_verdict(void *closure, struct channel_msg *msg);
void session_end(void *host, accept_construct *ac);

/* host.c: host_open(w): w->host, with w->spool.  Return 0, or -1 having logged
 * why. */
int host_open(struct worker *w);

/* host_spool.c: host_spool_open(w): w->spool, and w->files that it gets from
 * spoold (host_files.h).  When spoold has said this worker's number,
 * it is ready.  Return 0, or -1 having logged why. */
int host_spool_open(struct worker *w);

/* host_held.c: may_hold() of esmtp_host.h.
 * host_held_open(w): w->held.  Return 0, or -1 having logged why.
 * host_held_end(w, session, is_committed): The commit of a message of the session
 * with the handle ${session} is over; if it has failed, the message does not
 * count, should it be one that was to be held.
 * host_held_on_told(w, msg): Q_HELD.  host_held_free(w): forget all. */
int host_held_open(struct worker *w);
int host_held_may(void *host, accept_construct *ac, const char *login,
    uint64_t octets, size_t nrcpts);
void host_held_end(struct worker *w, uint64_t session, bool is_committed);
void host_held_on_told(void *closure, struct channel_msg *msg);
void host_held_free(struct worker *w);

/* host_etrn.c: start_queue() of esmtp_host.h.
 * host_etrn_open(w): w->etrn. */
void host_etrn_open(struct worker *w);
enum esmtp_start_status host_etrn_start(void *host, accept_construct *ac,
    const char *domain, int has_subdomains);

/* log_clients.c: the lines of the log that each client may cause.
 * log_clients_init(lc, client_rate, rate): The settings client_log_rate and
 * log_rate.
 * log_clients_may(lc, peer, now_ms): Is there a share left for one more line
 * about the client with the address of ${peer}?  NULL and addresses of other
 * families are one client.  When there is none, the line is counted, and the
 * number logged later.
 * log_clients_tell(lc): Log these numbers now.  log_clients_free(lc): The same,
 * and forget all. */
void log_clients_init(struct log_clients *lc, int64_t client_rate,
    int64_t rate);
bool log_clients_may(struct log_clients *lc, const struct sockaddr *peer,
    uint64_t now_ms);
void log_clients_tell(struct log_clients *lc);
void log_clients_free(struct log_clients *lc);

/* host_report.c: report() of esmtp_host.h.  host_rcpt.c: lookup_rcpt() and
 * may_send_as(). */
void host_report(void *host, accept_construct *ac,
    const struct esmtp_report *r);
enum esmtp_rcpt_status host_rcpt_lookup(void *host, accept_construct *ac,
    const struct mailaddr *addr);
int host_sender_may_use(void *host, accept_construct *ac, const char *login,
    const struct mailaddr *sender);
const char *host_postmaster_domain(void *host, accept_construct *ac,
    const struct sockaddr *own);

/* host_auth.c: the auth_*() of esmtp_host.h.
 * host_auth_connect(w, fd): from now on ask the authd at ${fd}, which it takes;
 * the exchanges with the one before have failed.
 * host_auth_disconnect(w): there is no authd any more. */
int host_auth_start(void *host, accept_construct *ac, const char *mech,
    const char *initial, size_t len);
int host_auth_step(void *host, accept_construct *ac, const char *response,
    size_t len);
void host_auth_cancel(void *host, accept_construct *ac);
const struct esmtp_auth_can *host_auth_can(void *host, accept_construct *ac);
void host_auth_connect(struct worker *w, int fd);
void host_auth_disconnect(struct worker *w);

/* host_tls.c: the worker's side of TLS: contexts made of the certificates that
 * the master sends.
 *
 * host_tls_open(w): load what OpenSSL reads from files; to be called before the
 * process gives up its rights.  Return 0, or -1 having logged why.  Without TLS
 * in the configuration, this and the rest do nothing.
 * host_tls_close(w): to be called when no session is left. */
int host_tls_open(struct worker *w);
void host_tls_close(struct worker *w);

/* host_tls_certs(w, certs, fd): M_CERTS: new handshakes use the certificates in
 * ${fd}, which stays the caller's.  If something is wrong with them, that is
 * logged and the former ones stay.
 * host_tls_tickets(tickets): M_TICKETS: the keys of session tickets. */
void host_tls_certs(struct worker *w, const struct msg_certs *certs, int fd);
void host_tls_tickets(const struct msg_tickets *tickets);

/* host_tls_connect(w, fd): A channel to keyd, which it takes. */
void host_tls_connect(struct worker *w, int fd);

/* host_tls_start(), host_tls_handshake(), host_tls_end(): of esmtp_host.h. */
int host_tls_start(void *host, accept_construct *ac);
int host_tls_handshake(void *host, accept_construct *ac, int *needmask);
void host_tls_end(void *host, accept_construct *ac);

/* host_keyd.c: signatures.  host_keyd_new(w): NULL: ENOMEM.
 * host_keyd_connect(k, fd): from now on ask the keyd at ${fd}, which it takes;
 * what was asked of the one before has failed. */
extern const struct tls_remote_ops host_keyd_ops;	/* closure: that */
struct host_keyd *host_keyd_new(struct worker *w);
void host_keyd_connect(struct host_keyd *k, int fd);
void host_keyd_free(struct host_keyd *k);	/* NULL does nothing */

#endif
