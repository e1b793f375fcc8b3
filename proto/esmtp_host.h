/* What a session asks of the process it lives in: one table of functions.
 * cmd/mailmilld/worker/host.c fills it in for the server; tests, the simulator
 * and embedders fill in their own.  No call blocks.
 *
 * A table that a program makes begins with its size, as the program was
 * compiled.  The library knows by it which members there are: those that it has
 * got since are NULL. */

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

/* answers of lookup_rcpt */
enum esmtp_rcpt_status {
	ESMTP_RCPT_OK,		/* deliverable */
	ESMTP_RCPT_UNKNOWN,	/* our domain, no such mailbox */
	ESMTP_RCPT_FOREIGN,	/* not a domain of ours: relaying decides */
	ESMTP_RCPT_LATER,	/* not known now: the client is to try again */
	ESMTP_RCPT_ASKED,	/* of lookup_rcpt() alone: the answer comes, by the ticket of esmtp_ticket_new() */
	ESMTP_RCPT_RELAY	/* as FOREIGN, but where relaying is allowed it can be delivered */
};

/* answers of start_queue */
enum esmtp_start_status {
	ESMTP_START_OK,		/* it begins; what waits is not known: 250 */
	ESMTP_START_NONE,	/* nothing waits: 251 */
	ESMTP_START_PENDING,	/* it begins, and something waits: 252 */
	ESMTP_START_LATER,	/* not now: 458 */
	ESMTP_START_REFUSED	/* not for this client: 459 */
};

/* What happened, for log and counters. */
enum esmtp_report_kind {
	ESMTP_REPORT_CONNECT,	/* session started */
	ESMTP_REPORT_ACCEPTED,	/* a message, before its 250 is sent: id, octets, nrcpts, sender, priority */
	ESMTP_REPORT_REJECTED,	/* a 4xx or 5xx reply: code, enhanced, verb, detail */
	ESMTP_REPORT_TIMEOUT,	/* which timer: detail */
	ESMTP_REPORT_ABORT,	/* the peer vanished: detail is the state's name, errnum */
	ESMTP_REPORT_TLS,	/* handshake done: ac->tls */
	ESMTP_REPORT_TLS_FAILED, /* the handshake failed: detail is the host's ac->failure, or another reason */
	ESMTP_REPORT_AUTH,	/* logged in: detail is the mechanism; esmtp_session_login() */
	ESMTP_REPORT_AUTH_FAILED, /* code, detail is the mechanism or "", arg the name that was tried or "", reason */
	ESMTP_REPORT_END,	/* session over (after any of the above) */
	ESMTP_REPORT_CLIENT,	/* the client has said that it speaks for another one (XCLIENT, XREMOTEIP): verb; esmtp_session_via() */
	ESMTP_REPORT_LONE_LF	/* a CR or LF stood alone in a message, and is CRLF now: id, sender */
};

struct esmtp_report {
	enum esmtp_report_kind	 kind;
	int			 code;		/* reply code or 0 */
	int			 is_drain;	/* REJECTED: because the host drains */
	int			 is_verdict;	/* AUTH_FAILED: the host has found the login wrong, and said why: reason is its ac->failure */
	const char		*enhanced;	/* "5.7.1" or "" */
	const char		*verb;		/* the command answered, or "" */
	const char		*arg;		/* REJECTED: its argument (the line of an unknown one), cut, as received */
	const char		*detail;	/* free text, may hold client bytes: the log escapes */
	const char		*reason;	/* AUTH_FAILED: the host's ac->failure, or another */
	const char		*id;		/* message id or "" */
	const char		*sender;	/* or NULL */
	const char		*rcpt;		/* first accepted recipient or NULL */
	uint64_t		 octets;
	size_t			 nrcpts;
	unsigned int		 nmessages;	/* END: accepted in the session */
	unsigned int		 nrejected;	/* reports of REJECTED in the session, with this one */
	unsigned int		 nauth_failed;	/* reports of AUTH_FAILED, likewise, but for those with is_verdict */
	int			 errnum;	/* errno or 0 */
	struct timeval		 now;
	struct timeval		 elapsed;	/* since the session (END) or the message (ACCEPTED) began */
	int			 priority;	/* ACCEPTED: as in struct spool_envelope */
};

/* What a host can tell of its users, by what mechanisms need of it. */
#define ESMTP_CAN_NAME		0x01	/* may this user log in? EXTERNAL */
#define ESMTP_CAN_PASSWORD	0x02	/* is it right? PLAIN, LOGIN */
#define ESMTP_CAN_TOKEN		0x04	/* is it right? OAUTHBEARER, XOAUTH2 */
#define ESMTP_CAN_KEYS		0x08	/* what are they? SCRAM-SHA-256 */
#define ESMTP_CAN_CLEARTEXT	0x10	/* the password itself: CRAM-MD5 */
#define ESMTP_CAN_BIND		0x20	/* check a binding: -PLUS (RFC 5056) */
#define ESMTP_CAN_SHA1_KEYS	0x48	/* and those of SCRAM-SHA-1 */
#define ESMTP_CAN_KNOWN_ONLY	0x80	/* of no others than these mechanisms */
struct esmtp_auth_can {
	unsigned int	all;
	unsigned int	usual;	/* what is offered without being named */
};

/* A session between two commands, as another process needs it to go on with it:
 * without TLS, login and transaction. */
#define ESMTP_MOVED_HELO	256
struct esmtp_moved {
	uint32_t	 size;		/* of this */
	uint32_t	 nmessages, nrcpts, nerrors; /* so far */
	uint8_t		 has_helo, is_esmtp;
	char		 helo[ESMTP_MOVED_HELO];
	char		 id[20];
	/* since LMTP: a ${size} that does not cover it is of SMTP */
	uint32_t	 kind;		/* ESMTP_KIND_* (Kind) */
};

struct esmtp_host_ops {
	size_t	size;		/* sizeof(struct esmtp_host_ops) */
	/* report(host, ac, report): NULL: nobody wants to know */
	void	(*report)(void *host, struct _accept_construct *ac,
		    const struct esmtp_report *report);
	/* lookup_rcpt(host, ac, addr): is it a mailbox of ours?  Or it asks
	 * somebody, with a ticket, and returns ESMTP_RCPT_ASKED.  NULL: every
	 * address is (an embedder that takes all) */
	enum esmtp_rcpt_status (*lookup_rcpt)(void *host,
		    struct _accept_construct *ac, const struct mailaddr *addr);
	/* TLS; all NULL: STARTTLS is not offered.
	 * tls_start(host, ac): put TLS under ac->event, whose first octets from
	 * now on are a ClientHello.  0, or -1 with errno (nothing changed).
	 * tls_handshake(host, ac, &needmask): go on with the handshake.  1:
	 * done, ac->tls is set; 0: call again when *needmask (E_READ, E_WRITE,
	 * or E_ASYNC alone) came true; -1: it failed, ac->failure says
	 * why; errno 0 when the peer has closed. */
	int	(*tls_start)(void *host, struct _accept_construct *ac);
	int	(*tls_handshake)(void *host, struct _accept_construct *ac,
		    int *needmask);
	/* tls_end(host, ac): the session is over: free what the two have left in
	 * ${ac}.  NULL: session_end() does that */
	void	(*tls_end)(void *host, struct _accept_construct *ac);
	/* the first argument of these three, and that there is a certificate,
	 * whatever TLS_Certificate says; NULL: the host's closure */
	void	*tls_closure;
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
	/* the first argument of these four, and that logins can be checked,
	 * whatever Auth_Backend says; NULL: the host's closure */
	void	*auth_closure;
	/* may_send_as(host, ac, login, sender): may ${login} use this address
	 * in MAIL (Sender_Login; 0: 553 5.7.1), or, with Header_From_Login, in
	 * the From field of its message (each address there; 0: 550 5.7.1)?  1
	 * or 0; NULL: always */
	int	(*may_send_as)(void *host, struct _accept_construct *ac,
		    const char *login, const struct mailaddr *sender);
	/* postmaster_domain(host, ac, own): the domain whose postmaster is the
	 * mailbox <postmaster> (RFC 5321 4.5.1); with ${own}, an address, only
	 * if the client is connected to it: postmaster@[${own}].  NULL, or its
	 * result NULL: the recipient stays as the client wrote it */
	const char *(*postmaster_domain)(void *host,
		    struct _accept_construct *ac, const struct sockaddr *own);
	/* peer_changed(host, ac): there was a PROXY header, and
	 * ac->remote_addr is the client's address now (the proxy's own for
	 * LOCAL and UNKNOWN); or XCLIENT or XREMOTEIP, where Allow_XCLIENT is
	 * set, any number of times (AF_UNSPEC: the address is not known): set
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
	/* wake(host): esmtp_answer() was called, in this thread, which may be any:
	 * have the thread of the loop call esmtp_answered().  It holds no lock,
	 * and may be called inside another function of the host.  NULL: whoever
	 * answers sees to it */
	void	(*wake)(void *host);
	/* may_hold(host, ac, login, octets, nrcpts): may ${login} have one more
	 * message held (HOLDFOR, HOLDUNTIL)?  Asked twice: at MAIL, ${octets}
	 * what SIZE says and ${nrcpts} 0; and when it is complete, right before
	 * its commit, ${octets} long and for ${nrcpts}.  1, or 0: 552 5.7.16;
	 * NULL: always */
	int	(*may_hold)(void *host, struct _accept_construct *ac,
		    const char *login, uint64_t octets, size_t nrcpts);
	/* start_queue(host, ac, domain, has_subdomains): ETRN, of a domain that
	 * ETRN_Domains allows: let what waits for ${domain}, in lower case, be
	 * tried again now; with ${has_subdomains} also what waits for domains
	 * that end with "." and it.  NULL: ETRN is not offered */
	enum esmtp_start_status (*start_queue)(void *host,
		    struct _accept_construct *ac, const char *domain,
		    int has_subdomains);
};

/* Names something that a session waits for, once: another answer to it, or one
 * that comes when the session has ended or waits no longer, finds nobody. */
typedef uint64_t esmtp_ticket;

/* The sessions of one loop: what they share. */
struct esmtp_host;

/* esmtp_host_new(ops, closure, spool, spool_closure): A host for the sessions of
 * one loop.  ${ops} (NULL: none of them) and ${spool} are copied; ${closure} is
 * the first argument of the functions of ${ops}, ${spool_closure} of those of
 * ${spool}.  NULL with errno: EINVAL, without a size, or without begin, append,
 * commit and abort of a spool; ENOMEM.
 * esmtp_host_free(host): After the end of its last session: earlier, or inside a
 * step of one, it ends the process.  A session has ended when its step has
 * returned 0, or esmtp_session_free() has ended it.  In a child of fork(2) a host
 * of the parent may be freed whatever sessions it has: none of them may be used
 * there afterwards.  NULL does nothing. */
struct esmtp_host *esmtp_host_new(const struct esmtp_host_ops *ops,
    void *closure, const struct spool_ops *spool, void *spool_closure);
void esmtp_host_free(struct esmtp_host *host);

/* esmtp_host_set(host, what, value): What holds for all its sessions from their
 * next step on; a session that waits has one when E_ASYNC is dispatched to its
 * event.  All are 0 at first.  Return 0, or -1 with errno EINVAL. */
enum esmtp_host_setting {
	ESMTP_HOST_DRAINING,	/* shutting down: idle sessions get 421 at once, others after their message */
	ESMTP_HOST_RECONFIGURED, /* with it: say Reconfig_Message */
	ESMTP_HOST_HELD,	/* what is accepted would not be delivered for long: MAIL gets 451 */
	ESMTP_HOST_RCPTS_MAX,	/* octets that the recipients of all sessions may take before one that has more than its share gets no further ones (452 4.3.1); 0: no bound */
	ESMTP_HOST_CLIENT_RCPTS_MAX /* the same for all sessions of one client: an IPv4 address, an IPv6 network of 64 bits; behind a proxy the one that it names */
};
int esmtp_host_set(struct esmtp_host *host, enum esmtp_host_setting what,
    uint64_t value);

MAILMILL_END

#endif
