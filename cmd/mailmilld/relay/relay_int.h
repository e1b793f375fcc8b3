/* What the files of the role relay share. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_INT_H

#include <sys/queue.h>

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/mx_self.h"
#include "cmd/mailmilld/lookup/sts_ask.h"
#include "cmd/mailmilld/relay/relay_policy.h"
#include "cmd/mailmilld/relay/relay_tell.h"
#include "cmd/mailmilld/role/msg.h"
#include "cmd/settings/route.h"
#include "cmd/settings/route_addr.h"
#include "core/event.h"
#include "core/spool/job.h"
#include "core/spool/spool_sources.h"
#include "core/util/log_bound.h"
#include "proto/client/smtp_client.h"

#define RELAY_RCPTS_MAX		100	/* recipients in one transaction; RFC 5321 4.5.3.1.8: no server takes fewer */
#define RELAY_CONNECT_SECONDS	30	/* for a TCP connection, as Postfix's smtp_connect_timeout */
#define RELAY_HEAD_START_MS	250	/* RFC 8305 5: then the next address is tried beside the first */
#define RELAY_IDLE_SECONDS	5	/* a connection is kept for the next message */
#define RELAY_CONN_MS		300000	/* and gets new ones for so long, if its address, or what its server has to show, comes from the DNS or MTA-STS, which may say another thing by then */
#define RELAY_TRIES		2	/* connections at once for a message that the first has not sent */
#define RELAY_PARTS		32	/* transactions at once for a message whose recipients the server does not take together */

/* --- relay_mail.c: one message for one next hop ---------------------------- */

/* Some recipients of a message.  Only while a connection has it, and between
 * relay_mail_load() and relay_mail_unload(), is there more of it in memory than
 * its jobs. */
struct relay_mail {
	TAILQ_ENTRY(relay_mail)	 link;		/* of those that wait */
	uint64_t		 batch;		/* jobs of one D_JOBS */
	struct job		*jobs;		/* owned; recipients, in the order of the envelope once it is loaded */
	size_t			 njobs, room;
	unsigned int		 ntries, nparts;
	bool			 is_for_new;	/* only a connection that has had no mail yet takes it */
	bool			 had_turn;	/* another next hop was to send it, and has not been able to */
	/* while it is loaded */
	char			*octets;	/* of the envelope, which all below points into */
	struct spool_envelope	 env;
	const char		**rcpts;	/* one for each job, as the next three */
	uint8_t			*notify;
	const char		**orcpts;
	struct job_result	*results;	/* of all that have an outcome */
	size_t			 nresults;
	bool			*is_again;	/* to be sent again, on another connection */
	bool			 is_part;	/* since the server does not take all at once, ... */
	bool			 is_domain;	/* ... and those left not in the same session */
	bool			 needs_keeping;	/* those left need a server that keeps TLS (RFC 8689) */
	char			 postmaster[LIM_DOMAIN + 16];
	struct spool_record	 record;
	struct spool_sum	*sum;		/* of what has been read */
	uint64_t		 at;		/* how far that is */
};
TAILQ_HEAD(relay_mails, relay_mail);

/* relay_mail_new(job, batch): With this one recipient.  NULL: ENOMEM.
 * relay_mail_add(m, job): One more.  Return 0, or -1 (ENOMEM). */
struct relay_mail *relay_mail_new(const struct job *job, uint64_t batch);
int relay_mail_add(struct relay_mail *m, const struct job *job);
void relay_mail_free(struct relay_mail *m);	/* NULL does nothing */

/* relay_mail_is_of(m, job, batch): Is ${job} of the same message, and may it be in
 * one transaction with the jobs of ${m}? */
bool relay_mail_is_of(const struct relay_mail *m, const struct job *job,
    uint64_t batch);

/* relay_mail_load(m, sources, domain): Read the envelope; a recipient without a
 * domain is of ${domain}.  Return 0, or -1 with errno.
 * relay_mail_read(m, sources, offset, buf, size): As smtp_client_ops.read().  The
 * checksum of the body is compared before its last octets are given: EBADMSG.
 * relay_mail_unload(m): Forget all but the jobs. */
int relay_mail_load(struct relay_mail *m, struct spool_sources *sources,
    const char *domain);
ssize_t relay_mail_read(struct relay_mail *m, struct spool_sources *sources,
    uint64_t offset, char *buf, size_t size);
void relay_mail_unload(struct relay_mail *m);

/* relay_mail_is_read(m): Have all its octets been given, so that the server may
 * have it? */
bool relay_mail_is_read(const struct relay_mail *m);

/* relay_mail_again(m): The recipients that are marked is_again as a mail of their
 * own, which is not loaded; NULL: none, or no memory: then what is still marked
 * is to be reported. */
struct relay_mail *relay_mail_again(struct relay_mail *m);

/* --- relay_said.c: outcomes as the queue wants them ------------------------- */

/* relay_said_remote(addr, remote_r): What a next hop is called: "[192.0.2.1]",
 * "mx.example.test[192.0.2.1]", or the name alone if both are too long;
 * "unix:/path". */
void relay_said_remote(const struct route_addr *addr,
    char remote_r[JOB_REMOTE]);

/* relay_said_outcome(result, has_dsn, job, remote, je_r): The outcome of one
 * recipient: je_r says why, the result is returned. */
struct job_result relay_said_outcome(const struct smtp_result *result,
    bool has_dsn, uint64_t job, const char *remote, struct job_error *je_r);

/* relay_said_failure(errnum, words, remote, je_r): A failure that no server has
 * told: ${words} NULL: of the system. */
void relay_said_failure(int errnum, const char *words, const char *remote,
    struct job_error *je_r);

/* relay_said_with(conn, is_utf8, with_r): How ${conn} has reached its server, as in a
 * Received field (RFC 5321 4.4, RFC 3848, RFC 6531 4.3): "ESMTPSA (TLSv1.3
 * TLS_AES_128_GCM_SHA256, verified)"; ${is_utf8}: the message was sent with SMTPUTF8.
 * In rcpt(), with "converted to 7-bit" if it was.
 * relay_said_ready(conn): Log that, what the server offers, and who this host is to
 * it: once, when the server is ready for mail. */
struct relay_conn;
void relay_said_with(const struct relay_conn *conn, bool is_utf8,
    char with_r[JOB_WITH]);
void relay_said_ready(const struct relay_conn *conn);

/* --- relay_tls.c: contexts of TLS -------------------------------------------- */

struct relay_tls;
struct tls_client_ctx;
struct tls_client;

/* relay_tls_load(s): Read the authorities of all next hops, while files can be
 * opened.  NULL, having logged why.
 * relay_tls_find(t, d): The context for the next hops of ${d}.
 * relay_tls_is_blind(t, d): Could its authorities not be read, so that none of these
 * next hops can be verified by them? */
struct relay_tls *relay_tls_load(const struct settings *s);
void relay_tls_free(struct relay_tls *t);
struct tls_client_ctx *relay_tls_find(const struct relay_tls *t,
    const struct settings_domain *d);
bool relay_tls_is_blind(const struct relay_tls *t,
    const struct settings_domain *d);

/* --- relay_login.c: logins, by keyd ------------------------------------------ */

/* One login, of one connection. */
struct relay_login {
	TAILQ_ENTRY(relay_login) link;		/* with an id */
	struct relay_logins	*logins;	/* NULL: there is no login to be made */
	uint64_t		 id;		/* 0: no exchange is going on */
	size_t			 domain, route;	/* number of the Domain section, and of the value of Route */
	/* say(closure, is_begun, mechanism, response, len): What the server is to
	 * be told, as smtp_client_login(), or smtp_client_respond() if
	 * ${is_begun}; ${mechanism} NULL: it cannot be done.  ${response} is
	 * valid during the call, and nobody's afterwards */
	void			(*say)(void *closure, bool is_begun,
				    const char *mechanism,
				    const char *response, size_t len);
	void			*closure;
	bool			 is_begun, is_waiting, is_done;
	bool			 is_inside;	/* say() is called inside a call for ${l} */
	bool			 has_told;	/* the server has heard of it */
	bool			 is_bound;	/* its mechanism is, to TLS */
	bool			 is_proved;	/* the server has had the proof */
	bool			 is_again;	/* another one follows */
	unsigned int		 nrefused;	/* bindings, of this connection */
};
TAILQ_HEAD(relay_login_list, relay_login);

/* All of them. */
struct relay_logins {
	struct chanev		*ce;		/* NULL: there is no keyd now */
	struct relay_login_list	 list;
	uint64_t		 last_id;
	struct log_bound	 failures;
};

/* relay_logins_new(): NULL: ENOMEM.
 * relay_logins_free(ls): When all connections have ended; NULL does nothing.
 * relay_logins_peer(ls, who, fd): ${fd} is the channel to keyd; it replaces the
 * one before.  takes ${fd}.  Return 0, or -1 with errno. */
struct relay_logins *relay_logins_new(void);
void relay_logins_free(struct relay_logins *ls);
int relay_logins_peer(struct relay_logins *ls, const struct msg_peer *who,
    int fd);

/* With what a login is made. */
struct relay_login_offer {
	unsigned int	 mechanisms;	/* that the server offers, and that may be used */
	bool		 is_tls;
	bool		 is_verified;	/* the server is who it should be */
	unsigned int	 binding;	/* enum tls_client_binding */
	uint8_t		 octets[MSG_HOP_BINDING]; /* of it ... */
	size_t		 len;		/* ... so many */
};

/* relay_login_begin(l, offer): Have one begun; l->say() is called once for this
 * and for each step, inside the call or later.
 * relay_login_step(l, challenge, len): The server has said so.
 * relay_login_end(l, is_right, remote): It is over.  Return whether a login that
 * the server has let pass counts. */
void relay_login_begin(struct relay_login *l,
    const struct relay_login_offer *offer);
void relay_login_step(struct relay_login *l, const char *challenge,
    size_t len);
bool relay_login_end(struct relay_login *l, bool is_right, const char *remote);

/* relay_login_refused(l, has_other, is_verified): The server has refused, before
 * relay_login_end().  Return whether to begin another one: where it may be the binding
 * that the server does not know, with the next one, if the connection ${has_other}; a
 * server that is verified may be told after the last that there is none.  l->nrefused
 * are not to be offered again. */
bool relay_login_refused(struct relay_login *l, bool has_other,
    bool is_verified);

/* --- relay_conn.c: one connection ------------------------------------------- */

/* Whom to connect to, and how.  All texts are kept. */
struct relay_conn_target {
	struct relay_told	*told;		/* takes it; NULL: nothing is told of the connection */
	const struct route_addr	*addr;
	union addr		 source;	/* AF_UNSPEC: the system chooses it */
	const char		*route;		/* the same as text: sessions of TLS are kept for it */
	struct smtp_client_options options;
	struct tls_client_ctx	*tls;		/* NULL: no TLS */
	bool			 is_blind;	/* relay_tls_is_blind() */
	const struct relay_policy *policy;	/* what the server has to show */
	struct relay_logins	*logins;	/* options.login is made there; ... */
	size_t			 domain, value;	/* ... for this value of Route of this Domain section */
	unsigned int		 nrefused;	/* channel bindings that are not offered: the server did not know them before */
};

enum relay_conn_state {
	CONN_OPENING,		/* has not asked for a message yet */
	CONN_IDLE,
	CONN_WOKEN,		/* is about to ask for one */
	CONN_BUSY,		/* has one */
	CONN_LEAVING,		/* says QUIT, or is told to */
	NCONN_STATES
};

/* What bounds their number (relay_bound_int.h) */
enum relay_bound_kind {
	BOUND_TARGET,		/* its own, whatever its mail needs */
	BOUND_HOST,		/* the address of an MX host */
	BOUND_SOURCE,		/* an address of this machine */
	NBOUNDS
};

struct relay_conn;
struct relay_bound;

/* What becomes of it.  ${closure} is relay_conn_open()'s. */
struct relay_conn_ops {
	/* next(closure, conn): A loaded mail, or NULL: none now; the connection
	 * is then in CONN_IDLE or CONN_LEAVING */
	struct relay_mail *(*next)(void *closure, struct relay_conn *conn);
	ssize_t	(*read)(void *closure, struct relay_mail *m, uint64_t offset,
		    char *buf, size_t size);
	void	(*rcpt)(void *closure, struct relay_conn *conn, size_t i,
		    const struct smtp_result *result);
	void	(*done)(void *closure, struct relay_conn *conn);
	/* tls(closure, conn, result, reason): What its TLS has come to, of one
	 * that has ${told}: once at most */
	void	(*tls)(void *closure, struct relay_conn *conn,
		    enum relay_result result, const char *reason);
	/* connected(closure, conn): Its socket is.
	 * late(closure, conn): It is not yet after RELAY_HEAD_START_MS */
	void	(*connected)(void *closure, struct relay_conn *conn);
	void	(*late)(void *closure, struct relay_conn *conn);
	/* leaving(closure, conn): It says QUIT, and takes no mail any more */
	void	(*leaving)(void *closure, struct relay_conn *conn);
	/* ended(closure, conn, why): It is over; ${why} says why, if it had been
	 * CONN_OPENING.  The last call: relay_conn_free() it */
	void	(*ended)(void *closure, struct relay_conn *conn,
		    const struct job_error *why, int errnum);
};

struct relay_conn {
	TAILQ_ENTRY(relay_conn)	 link;		/* its next hop's */
	TAILQ_ENTRY(relay_conn)	 idle;		/* all that are idle, the longest first */
	const struct relay_conn_ops *ops;
	void			*closure;
	Event			*event;
	struct smtp_client	*client;
	struct tls_client	*tls;		/* NULL: there is none */
	struct relay_told	*told;		/* until it has come to something; NULL: nothing is told */
	struct relay_login	 login;
	bool			 is_tls_failed;	/* the handshake: why it has ended */
	enum relay_level	 level;		/* of its policy, as the next two */
	enum relay_source	 source;
	bool			 is_sure;
	bool			 is_testing;
	bool			 wants_tls;	/* if the server offers it */
	bool			 is_blind;	/* without TLSA records this process can verify nobody */
	bool			 is_lmtp;
	const char		*helo;		/* kept, as of the target */
	union addr		 from;		/* its source, as of the target */
	struct relay_mail	*mail;		/* with CONN_BUSY */
	enum relay_conn_state	 state;		/* assigned by relay_hop.c, relay_hop_open.c; with since_ms */
	uint64_t		 place;		/* number of its address (relay_way_int.h) */
	struct relay_bound	*bounds[NBOUNDS]; /* for which it counts; NULL: for none of that kind */
	bool			 is_connected;
	bool			 is_late;	/* it was not connected in time */
	bool			 is_beaten;	/* another one of its next hop was faster */
	uint64_t		 since_ms;	/* it is in that state */
	uint64_t		 end_ms;	/* it takes no message any more */
	char			 remote[JOB_REMOTE];
};
TAILQ_HEAD(relay_conns, relay_conn);

/* relay_conn_stop(conn): End it soon: with CONN_BUSY, its mail has the outcome
 * SMTP_WHY_STOPPED.
 * relay_conn_open(target, ops, closure): Connect.  NULL with errno.
 * relay_conn_wake(conn): Have it ask for a message, or leave.
 * relay_conn_kill(conn): End it now, whatever it is in; ended() is called inside
 * the call.  Not from its own functions.
 * relay_conn_give_up(conn, why): The same of one that takes too long to be ready for
 * mail.  If it is its TLS that does, tls() is told that, with ${why} in words.
 * relay_conn_free(conn): One that has ended. */
struct relay_conn *relay_conn_open(const struct relay_conn_target *target,
    const struct relay_conn_ops *ops, void *closure);
void relay_conn_wake(struct relay_conn *conn);
void relay_conn_stop(struct relay_conn *conn);
void relay_conn_kill(struct relay_conn *conn);
void relay_conn_give_up(struct relay_conn *conn, const char *why);
void relay_conn_free(struct relay_conn *conn);

/* --- relay_hops.c, relay_hop.c, relay_hop_open.c: next hops, their connections,
 * what waits for them -------------------------------------------------------- */

struct relay_hops;
struct relay_hop;

/* What is told of the jobs; the error of a job comes before its result. */
struct relay_ops {
	void	(*error)(void *closure, const struct job_error *je);
	void	(*done)(void *closure, const struct job_result *results,
		    unsigned int n);
	/* idle(closure): no connection has a mail, and none waits */
	void	(*idle)(void *closure);
};

/* What the process has for all next hops, whatever the queue process. */
struct relay_env {
	const struct settings	*settings;
	const struct relay_tls	*tls;
	struct relay_logins	*logins;
	struct lookup		*lookup;	/* where names are looked up */
	struct sts		*sts;		/* and policies of MTA-STS */
	struct relay_tell	*tell;		/* NULL: nobody wants to know what TLS comes to */
	const struct mx_self	*self;
	size_t			 max;		/* connections in all */
};

/* relay_hops_new(env, sources, ops, closure): All is kept.  NULL: ENOMEM.
 * relay_hops_free(h): End all connections; nothing more is told. */
struct relay_hops *relay_hops_new(const struct relay_env *env,
    struct spool_sources *sources, const struct relay_ops *ops,
    void *closure);
void relay_hops_free(struct relay_hops *h);

/* relay_hop_find(h, route, is_tls_report): Where ${route} leads, for a report of TLS
 * or for other mail.  It may free another one for which there is nothing to do: no
 * connection of ${h} may be in a callback.  NULL: ENOMEM.
 * relay_hop_add(hop, job, batch): One more recipient that waits; those of one
 * ${batch} for one message go together.  Return 0, or -1 (ENOMEM).
 * relay_hops_go(h): Connect, and have connections send, as far as there is
 * something to send. */
struct relay_hop *relay_hop_find(struct relay_hops *h, struct route *route,
    bool is_tls_report);
int relay_hop_add(struct relay_hop *hop, const struct job *job,
    uint64_t batch);
void relay_hops_go(struct relay_hops *h);

/* relay_hops_stop(h): Give back what waits, and what has not been sent to its end:
 * its result is ESTALE, for the queue to give it out again.  Connections end, but
 * for those whose server may have a message: they end when it has answered.
 * relay_hops_drain(h): Forget what waits, and tell nothing of it; connections end
 * when they have sent what they have.
 * relay_hops_is_idle(h): No connection has a mail, and none waits. */
void relay_hops_stop(struct relay_hops *h);
void relay_hops_drain(struct relay_hops *h);
bool relay_hops_is_idle(const struct relay_hops *h);

#endif
