/* A client of SMTP and LMTP (RFC 5321, 2033): one connection to a next hop,
 * over which any number of messages is sent.
 * Owns: what is said on the connection, and when; what became of each
 * recipient.
 * Knows nothing of routes, queues and retries; opens no socket, and has no
 * clock but that of the loop.  Calls neither block nor wait.
 *
 * The program makes an Event of a connected descriptor, with the function
 * smtp_client_event() and the client as its closure, and schedules it.  From
 * then on the client asks its host, through struct smtp_client_ops: for the
 * next message, when it can take one; for the octets of the message; for TLS
 * and logins.  It tells the outcome of each recipient, once, and last that the
 * connection has ended.
 *
 * The next hop is hostile until what it says is parsed.  Whatever it does, each
 * recipient gets an outcome within a bounded time, in bounded memory. */

#ifndef PROTO_CLIENT_SMTP_CLIENT_H
#define PROTO_CLIENT_SMTP_CLIENT_H

#include <sys/time.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"
#include "core/spool.h"
#include "proto/client/smtp_ehlo.h"

struct smtp_client;

/* What became of a recipient. */
enum smtp_outcome {
	SMTP_ACCEPTED,	/* 2xx: the message is the next hop's now */
	SMTP_DEFERRED,	/* 4xx, or this next hop lacks what may come back: try later */
	SMTP_REFUSED,	/* 5xx, or this next hop cannot take it: no use to ask it again */
	SMTP_UNSENT,	/* the next hop has not got the message, and has not said no: another connection may be tried at once */
	SMTP_UNCERTAIN	/* the message was sent to its end, and the answer is lost: the next hop may have it, and if it is sent again it may come twice */
};

/* Why: SMTP_WHY_SAID, the server has said so; or one of the others. */
enum smtp_why {
#define SMTP_WHY(id, outcome, code, enhanced, words) SMTP_WHY_##id,
#include "proto/client/smtp_why.def"
#undef SMTP_WHY
	SMTP_NWHYS
};

/* Texts are NUL terminated, valid during the call, UTF-8 without controls. */
struct smtp_result {
	enum smtp_outcome	 outcome;
	enum smtp_why		 why;
	int			 code;		/* of the reply; without one, what would fit; 0: none would */
	const char		*enhanced;	/* of the reply, or what would fit; "": none */
	const char		*words;		/* the server's own, at most LIM_CLIENT_WORDS octets; without a reply, ours */
	const char		*command;	/* that the reply is to, or that had none; "": the connection */
	int			 errnum;	/* of SMTP_WHY_IO and SOURCE; else 0 */
};

/* What is to be sent.  ${env} and what it points to are the host's, and stay as
 * they are until done() is called for it.  Of the envelope count: sender,
 * rcpts, flags (SPOOL_ENV_8BITMIME, BINARYMIME, SMTPUTF8: what the message
 * needs of each server, or for the first two, with the option may_convert, what it is;
 * clear what it does not), envid, deliver_by, priority,
 * notify, orcpts.  Addresses are as mailaddr_format() writes them. */
struct smtp_message {
	const struct spool_envelope	*env;
	uint64_t			 octets;	/* of the message, for SIZE; 0: not known */
};

/* When TLS is used. */
enum smtp_tls_use {
	SMTP_TLS_NEVER,
	SMTP_TLS_MAY,		/* if the server offers STARTTLS; if the handshake fails, the connection ends with SMTP_WHY_TLS_FAILED, and the host may make another one without */
	SMTP_TLS_MUST,		/* or nothing is sent */
	SMTP_TLS_FIRST		/* before the banner, RFC 8314 3.3 */
};

/* When a login is made. */
enum smtp_login_use {
	SMTP_LOGIN_NEVER,
	SMTP_LOGIN_MAY,		/* if the server offers a mechanism */
	SMTP_LOGIN_MUST		/* or nothing is sent */
};

struct smtp_client_options {
	const char		*helo;		/* who we are: a domain, or an address literal; copied */
	bool			 is_lmtp;
	bool			 is_bdat_preferred; /* BDAT also for messages that DATA could send, if the server has CHUNKING */
	bool			 may_convert;	/* a message that needs 8BITMIME or BINARYMIME is converted for a server without them (proto/mime/mime_convert.h); else it is refused */
	bool			 may_login_clear; /* passwords and tokens are told without TLS, too, and to a server that is not verified; else only mechanisms that do not show them are used there */
	enum smtp_tls_use	 tls;
	enum smtp_login_use	 login;
	unsigned int		 reply_seconds;	/* the most that is waited for a reply, or for a piece of the body to be taken; 0: what smtp_state.def has, which also bounds it */
	unsigned int		 idle_seconds;	/* without a message for so long: QUIT; 0: SS_IDLE's of smtp_state.def, which also bounds it */
};

/* What the host says to next(). */
enum smtp_next {
	SMTP_NEXT_MESSAGE,	/* here is one */
	SMTP_NEXT_NONE,		/* not now; it dispatches E_ASYNC to the event when there is one, or nothing more to wait for */
	SMTP_NEXT_QUIT		/* say QUIT and end */
};

/* The first arguments of each are the host of smtp_client_new() and the client.
 * A function must not free the client. */
struct smtp_client_ops {
	/* next(host, c, m_r): the connection can take a message */
	enum smtp_next	(*next)(void *host, struct smtp_client *c,
			    struct smtp_message *m_r);
	/* read(host, c, offset, buf, size): write the octets of the message
	 * from ${offset} on to ${buf}.  Return their number, 0 at its end, -1
	 * with errno: EAGAIN, and E_ASYNC is dispatched to the event when there
	 * are some; else the message is not sent (SMTP_WHY_SOURCE).  Offsets go
	 * up */
	ssize_t		(*read)(void *host, struct smtp_client *c,
			    uint64_t offset, char *buf, size_t size);
	/* rcpt(host, c, i, result): the outcome of recipient ${i}, once.
	 * smtp_client_ehlo() tells whether the server has DSN: one that has not
	 * does not notify anybody of what it accepts (RFC 3461 5.2.2) */
	void		(*rcpt)(void *host, struct smtp_client *c, size_t i,
			    const struct smtp_result *result);
	/* done(host, c): all recipients have theirs, the message is the host's
	 * again */
	void		(*done)(void *host, struct smtp_client *c);
	/* leaving(host, c): QUIT is being said, so that there is no next() any
	 * more: of itself (an idle time, LIMITS MAILMAX), or since the host or
	 * the server wanted it; the reply, or the end, may take a minute.
	 * NULL: the host need not know */
	void		(*leaving)(void *host, struct smtp_client *c);
	/* ended(host, c, result): the connection is over, the descriptor
	 * closed; ${c} is freed after this.  Why, and the server's words, if it
	 * has refused us before a message; SMTP_WHY_QUIT: all went well */
	void		(*ended)(void *host, struct smtp_client *c,
			    const struct smtp_result *result);
	/* TLS; NULL: there is none.
	 * tls_start(host, c, event): put TLS under ${event}, as its client: 0,
	 * or -1 with errno.
	 * tls_handshake(host, c, event, needmask_r): go on with it.  1: done;
	 * 0: call again when *needmask_r has come true (E_READ, E_WRITE, or
	 * E_ASYNC alone); -1: it has failed.
	 * tls_is_verified(host, c): is the server who it should be?  Asked for
	 * REQUIRETLS, and before a password or token is told; NULL: no */
	int		(*tls_start)(void *host, struct smtp_client *c,
			    Event *event);
	int		(*tls_handshake)(void *host, struct smtp_client *c,
			    Event *event, int *needmask_r);
	bool		(*tls_is_verified)(void *host, struct smtp_client *c);
	/* Logins; NULL: there are none.  proto/sasl/sasl_client.h does the
	 * mechanisms.
	 * auth_start(host, c, mechanisms): the server offers these (bits, as in
	 * struct smtp_ehlo), as far as they may be used: have
	 * smtp_client_login() called, once, inside the call or later, with
	 * E_ASYNC for the event.
	 * auth_step(host, c, challenge, len): likewise smtp_client_respond().
	 * auth_go_on(host, c): the same, after smtp_client_again(); NULL: that
	 * is never called.
	 * auth_refused(host, c): the server has refused the login for good, or
	 * the exchange was given up.  Return whether another one is to be
	 * made: auth_end() and auth_start() follow.  NULL: none is.
	 * auth_end(host, c, is_right): the exchange is over.  Return whether a
	 * login that the server has let pass counts: a mechanism may have to
	 * know the server, too (SCRAM) */
	void		(*auth_start)(void *host, struct smtp_client *c,
			    unsigned int mechanisms);
	void		(*auth_step)(void *host, struct smtp_client *c,
			    const char *challenge, size_t len);
	void		(*auth_go_on)(void *host, struct smtp_client *c);
	bool		(*auth_refused)(void *host, struct smtp_client *c);
	bool		(*auth_end)(void *host, struct smtp_client *c,
			    bool is_right);
};

/* smtp_client_new(options, ops, host): A client without a connection;
 * ${options} are copied, ${ops} is kept.  NULL with errno: EINVAL,
 * ${options->helo} is empty or has octets that no name has; ENOMEM.
 * smtp_client_free(c): One that has never had an event.  NULL does nothing. */
struct smtp_client *smtp_client_new(const struct smtp_client_options *options,
    const struct smtp_client_ops *ops, void *host);
void smtp_client_free(struct smtp_client *c);

/* smtp_client_event(event, eventtype, closure, now): The EventFunc, ${closure}
 * is the client.  The event begins with the mask E_READ | E_WRITE, or E_ASYNC
 * with
 * schedule_event_and_dispatch(): the first call is at once, since the time for
 * the banner begins with it. */
int smtp_client_event(Event *event, int eventtype, void *closure,
    struct timeval *now);

/* smtp_client_login(c, mechanism, initial, len): Begin with ${mechanism}, in
 * capitals; ${initial} NULL: without an initial response.  ${mechanism} NULL:
 * no login can be made: with SMTP_LOGIN_MUST the connection ends with
 * SMTP_WHY_AUTH_UNABLE, with SMTP_LOGIN_MAY it goes on without one.
 * smtp_client_respond(c, response, len): The answer to a challenge; ${response}
 * NULL: the exchange is given up (RFC 4954 4: "*"), and the connection ends
 * with SMTP_WHY_AUTH_BROKEN. Both copy, and overwrite what they have copied
 * when it is sent.  Outside of the functions of the host, E_ASYNC is to be
 * dispatched to the event. */
void smtp_client_login(struct smtp_client *c, const char *mechanism,
    const char *initial, size_t len);
void smtp_client_respond(struct smtp_client *c, const char *response,
    size_t len);

/* smtp_client_again(c): The answer takes more work (sasl_client_go_on()):
 * auth_go_on() is called in the next step, when other events have had their
 * turn.  In auth_start(), auth_step() or auth_go_on(). */
void smtp_client_again(struct smtp_client *c);

/* smtp_client_stop(c): End the connection at the next call, whatever it is in;
 * what has no outcome yet is SMTP_UNSENT or SMTP_UNCERTAIN, with
 * SMTP_WHY_STOPPED.  Outside of the functions of the host, E_ASYNC is to be
 * dispatched to the event. */
void smtp_client_stop(struct smtp_client *c);

/* smtp_client_ehlo(c): What the server offers now.
 * smtp_client_is_tls(c), smtp_client_is_logged_in(c): Is the connection inside
 * TLS; is it logged in?
 * smtp_client_keeps_tls(c): Can it take messages with SPOOL_ENV_REQUIRETLS?
 * smtp_client_converts(c): Into what is the message of this transaction converted?
 * "": it is sent as it is; "7-bit", "8-bit".  In rcpt(), for the log.
 * smtp_client_state(c): What it waits for, for the log. */
const struct smtp_ehlo *smtp_client_ehlo(const struct smtp_client *c);
bool smtp_client_is_tls(const struct smtp_client *c);
bool smtp_client_is_logged_in(const struct smtp_client *c);
bool smtp_client_keeps_tls(const struct smtp_client *c);
const char *smtp_client_converts(const struct smtp_client *c);
const char *smtp_client_state(const struct smtp_client *c);

#endif
