/* What a session asks of the process it lives in: one table of functions.
 * cmd/mailmilld/worker/host.c fills it in for the server; tests, the simulator
 * and embedders fill in their own.  No call blocks. */

#ifndef PROTO_ESMTP_HOST_H
#define PROTO_ESMTP_HOST_H

#include <sys/socket.h>
#include <sys/time.h>

#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/spool.h>
#include <mailmill/mailaddr.h>

MAILMILL_BEGIN

struct _accept_construct;
struct esmtp_step;

/* answers of lookup_rcpt */
enum esmtp_rcpt_status {
	ESMTP_RCPT_OK,		/* deliverable */
	ESMTP_RCPT_UNKNOWN,	/* our domain, no such mailbox */
	ESMTP_RCPT_FOREIGN,	/* not a domain of ours: relaying decides */
	ESMTP_RCPT_LATER	/* not known now: the client is to try again */
};

/* What happened, for log and counters. */
enum esmtp_report_kind {
	ESMTP_REPORT_CONNECT,	/* session started */
	ESMTP_REPORT_ACCEPTED,	/* a message, before its 250 is sent: id, octets, nrcpts, sender */
	ESMTP_REPORT_REJECTED,	/* a 4xx or 5xx reply: code, enhanced, verb, detail */
	ESMTP_REPORT_TIMEOUT,	/* which timer: detail */
	ESMTP_REPORT_ABORT,	/* the peer vanished: detail is the state's name, errnum */
	ESMTP_REPORT_TLS,	/* handshake done: ac->tls */
	ESMTP_REPORT_TLS_FAILED, /* the handshake failed: detail is the host's ac->tls_failure, or another reason */
	ESMTP_REPORT_AUTH,	/* logged in: detail is the mechanism; esmtp_session_login() */
	ESMTP_REPORT_AUTH_FAILED, /* code, detail is the mechanism or "", arg the name that was tried or "", reason */
	ESMTP_REPORT_END	/* session over (after any of the above) */
};

struct esmtp_report {
	enum esmtp_report_kind	 kind;
	int			 code;		/* reply code or 0 */
	int			 is_drain;	/* REJECTED: because the host drains */
	const char		*enhanced;	/* "5.7.1" or "" */
	const char		*verb;		/* the command answered, or "" */
	const char		*arg;		/* REJECTED: its argument (the line of an unknown one), cut, as received */
	const char		*detail;	/* free text, may hold client bytes: the log escapes */
	const char		*reason;	/* AUTH_FAILED: the host's ac->auth_failure, or another */
	const char		*id;		/* message id or "" */
	const char		*sender;	/* or NULL */
	const char		*rcpt;		/* first accepted recipient or NULL */
	uint64_t		 octets;
	size_t			 nrcpts;
	unsigned int		 nmessages;	/* END: accepted in the session */
	unsigned int		 nrejected;	/* reports of REJECTED in the session, with this one */
	unsigned int		 nauth_failed;	/* reports of AUTH_FAILED, likewise */
	int			 errnum;	/* errno or 0 */
	struct timeval		 now;
	struct timeval		 elapsed;	/* since the session (END) or the message (ACCEPTED) began */
};

/* What a host can tell of its users, by what mechanisms need of it. */
#define ESMTP_CAN_NAME		0x01	/* may this user log in? EXTERNAL */
#define ESMTP_CAN_PASSWORD	0x02	/* is it right? PLAIN, LOGIN */
#define ESMTP_CAN_TOKEN		0x04	/* is it right? OAUTHBEARER, XOAUTH2 */
#define ESMTP_CAN_KEYS		0x08	/* what are they? SCRAM */
#define ESMTP_CAN_CLEARTEXT	0x10	/* the password itself: CRAM-MD5 */
#define ESMTP_CAN_BIND		0x20	/* check a binding: -PLUS (RFC 5056) */
struct esmtp_auth_can {
	unsigned int	all;
	unsigned int	usual;	/* what is offered without being named */
};

/* A session between two commands, as another process needs it to go on with it:
 * without TLS, login and transaction. */
#define ESMTP_MOVED_HELO	256
struct esmtp_moved {
	uint32_t	 nmessages, nrcpts, nerrors; /* so far */
	uint8_t		 has_helo, is_esmtp;
	char		 helo[ESMTP_MOVED_HELO];
	char		 id[20];
};

struct esmtp_host_ops {
	/* report(host, ac, report): NULL: nobody wants to know */
	void	(*report)(void *host, struct _accept_construct *ac,
		    const struct esmtp_report *report);
	/* lookup_rcpt(host, ac, addr): is it a mailbox of ours?  NULL: every
	 * address is (an embedder that takes all) */
	enum esmtp_rcpt_status (*lookup_rcpt)(void *host,
		    struct _accept_construct *ac, const struct mailaddr *addr);
	/* TLS; all NULL: STARTTLS is not offered.
	 * tls_start(host, ac): put TLS under ac->event, whose first octets from
	 * now on are a ClientHello.  0, or -1 with errno (nothing changed).
	 * tls_handshake(host, ac, &needmask): go on with the handshake.  1:
	 * done, ac->tls is set; 0: call again when *needmask (E_READ, E_WRITE,
	 * or E_ASYNC alone) came true; -1: it failed, ac->tls_failure says
	 * why; errno 0 when the peer has closed. */
	int	(*tls_start)(void *host, struct _accept_construct *ac);
	int	(*tls_handshake)(void *host, struct _accept_construct *ac,
		    int *needmask);
	/* AUTH; all NULL: it is not offered.
	 * auth_start(host, ac, mechanism, initial, len): begin an exchange;
	 * ${mechanism} in capitals, one of Auth_Mechanisms; ${initial} is the
	 * decoded initial response, NULL: there was none.
	 * auth_step(host, ac, response, len): the client's answer to a
	 * challenge.  Both: 0, and esmtp_auth_done(), once, later or inside the
	 * call; or -1 with errno: no verdict can be had, and an answer that was
	 * given inside the call does not count.
	 * auth_cancel(host, ac): the exchange is over, whatever it waits for
	 * (and also when auth_step() has failed); esmtp_auth_done() will not
	 * be called. */
	int	(*auth_start)(void *host, struct _accept_construct *ac,
		    const char *mechanism, const char *initial, size_t len);
	int	(*auth_step)(void *host, struct _accept_construct *ac,
		    const char *response, size_t len);
	void	(*auth_cancel)(void *host, struct _accept_construct *ac);
	/* auth_can(host, ac): which mechanisms can be done, which are offered
	 * where Auth_Mechanisms is empty; static.  NULL: all, and PLAIN, LOGIN,
	 * SCRAM-SHA-256 */
	const struct esmtp_auth_can *(*auth_can)(void *host,
		    struct _accept_construct *ac);
	/* may_send_as(host, ac, login, sender): may ${login} use this address
	 * in MAIL (Sender_Login)?  1 or 0; NULL: always */
	int	(*may_send_as)(void *host, struct _accept_construct *ac,
		    const char *login, const struct mailaddr *sender);
	/* postmaster_domain(host, ac, own): the domain whose postmaster is the
	 * mailbox <postmaster> (RFC 5321 4.5.1); with ${own}, an address, only
	 * if the client is connected to it: postmaster@[${own}].  NULL, or its
	 * result NULL: the recipient stays as the client wrote it */
	const char *(*postmaster_domain)(void *host,
		    struct _accept_construct *ac, const struct sockaddr *own);
	/* peer_changed(host, ac): there was a PROXY header, and ac->remote_addr is the
	 * client's address now (the proxy's own for LOCAL and UNKNOWN): set
	 * ac->options anew.  1: go on; 0: esmtp_peer_done() comes, once, later
	 * or inside the call.  NULL: the options stay, go on */
	int	(*peer_changed)(void *host, struct _accept_construct *ac);
	/* session_move(host, ac, moved): the service is configured anew, and
	 * the session could go on elsewhere (esmtp_session_resume()).  0: it
	 * does; nothing more is said or reported, the descriptor is closed
	 * here, session_end() called.  -1: no.  NULL: none can */
	int	(*session_move)(void *host, struct _accept_construct *ac,
		    const struct esmtp_moved *moved);
	/* session_end(host, ac): the last call for ${ac}: the descriptor is
	 * closed, the message_construct gone; the host frees ${ac}.  NULL: the
	 * host finds out from the factory's return of 0 */
	void	(*session_end)(void *host, struct _accept_construct *ac);
};

struct esmtp_host {
	const struct esmtp_host_ops	*ops;
	void				*closure;	/* first argument of ops */
	const struct spool_ops		*spool;
	void				*spool_closure;
	char				*scratch;	/* one input buffer for all sessions of the loop */
	size_t				 scratch_octets; /* at least LIM_COMMAND_READ */
	char				*output;	/* one reply buffer for all sessions of the loop */
	size_t				 output_octets;	/* at least LIM_OUTPUT_LEAST; LIM_OUTPUT has room for any challenge of AUTH */
	size_t				 held_octets;	/* the factory's: memory that the recipients of all sessions take */
	size_t				 held_max;	/* where a session that has more than LIM_RCPTS_SHARE gets no further ones (452 4.3.1); 0: no bound */
	int				 is_draining;	/* shutting down: idle sessions get 421 at once, others after their message */
	int				 is_held;	/* what is accepted would not be delivered for long: MAIL gets 451 */
	int				 is_reconfigured; /* with is_draining: say Reconfig_Message */
	struct esmtp_step		*step;		/* the factory's: the call in progress */
};

MAILMILL_END

#endif
