/* The ESMTP server state machine: the public interface.
 * See esmtp_message_factory(3); names as in the documented Momentum 3 API. */

#ifndef PROTO_ESMTP_FACTORY_H
#define PROTO_ESMTP_FACTORY_H

#include <sys/socket.h>
#include <sys/time.h>

#include <sys/un.h>

#include <netinet/in.h>

#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/event.h>
#include <mailmill/esmtp_host.h>
#include <mailmill/esmtp_options.h>
#include <mailmill/message_id.h>

MAILMILL_BEGIN

typedef struct _message_construct message_construct;	/* the ESMTP session; opaque */

typedef union ec_sockaddr {
	struct sockaddr		sa;
	struct sockaddr_in	sin;
	struct sockaddr_in6	sin6;
	struct sockaddr_un	unixaddr;
} ec_sockaddr;

#define P_ESMTP	1	/* accept_construct.protocol */

/* What a finished handshake has brought. */
struct esmtp_tls {
	size_t		 size;		/* sizeof(struct esmtp_tls) */
	char		 protocol[12];	/* "TLSv1.3" */
	char		 cipher[64];	/* "TLS_AES_256_GCM_SHA384" */
	int		 bits;		/* of its key */
	unsigned int	 is_resumed : 1;
	unsigned int	 is_verified : 1; /* the client's certificate */
	char		*peer_name;	/* of the verified certificate: its mail
					 * address, DNS name or common name;
					 * else NULL */
	char		*server_name;	/* SNI; NULL: none */
};

/* What esmtp_auth_done() says. */
enum esmtp_auth_status {
	ESMTP_AUTH_CHALLENGE,	/* octets for the client */
	ESMTP_AUTH_OK,		/* text: the login */
	ESMTP_AUTH_FAILED,	/* 535 5.7.8; text: the name that was tried, or none */
	ESMTP_AUTH_LATER,	/* 454 4.7.0: the back end gives no answer */
	ESMTP_AUTH_BLOCKED,	/* 454 4.7.0: too many failures; text: the name */
	ESMTP_AUTH_MALFORMED	/* 501 5.5.2: not a message of the mechanism */
};

/* One accepted connection.  esmtp_session_new() makes one, or a netlistener; how
 * large it is, no program has to know.  The documented members are here for those
 * that use them by name, and those that the host's functions set; there is a
 * function for each of the others. */
typedef struct _accept_construct {
	Event			*event;		/* the session's */
	struct esmtp_host	*host;
	const struct esmtp_options *options;	/* lives longer than the session */
	uint64_t		 handle;	/* names the session to spool and process */
	message_id		 conn_id;	/* ec_generate_connection_id(), or all zero */
	struct _netlistener_instance *inst;	/* NULL: none */
	Event			*death;		/* the host's, or NULL: the deadline is that of event */
	void			*context;	/* the host's: esmtp_session_context() */
	/* the host's: set by tls_handshake(), freed after session_end() */
	struct esmtp_tls	*tls;		/* NULL: no TLS (yet) */
	/* the host's: why there is no TLS, or no login, for the log.  Set before
	 * a -1 of tls_handshake(), auth_start() or auth_step(), and before
	 * esmtp_auth_done() */
	const char		*failure;	/* static text, or NULL */
	void			*host_auth;	/* of no meaning to the factory */
	/* the factory's */
	union _accept_construct_closure {
		void	*vptr;			/* the message_construct */
	} accept_construct_closure;
	char			 id[20];	/* session id for logs, NUL terminated */
	uint32_t		 questions;	/* tickets that are not answered, or the answer not used */
	uint16_t		 listener;	/* the host's number for it */
	uint8_t			 protocol;	/* P_ESMTP; of a listener's from the first step on, 0 before */
	unsigned int		 is_async_done : 1; /* what the session waits for has come */
	unsigned int		 is_refused : 1; /* set by esmtp_peer_done() */
	unsigned int		 is_proxied : 1; /* another client was named: a PROXY header, XCLIENT */
	unsigned int		 is_ended : 1;	/* the session is over: calls of the factory do nothing */
	unsigned int		 is_left : 1;	/* with a step that returns 0: the loop frees the event */
	unsigned int		 host_tls : 3;	/* the host's, of no meaning to the factory */
	/* the host's: the client's address; the last member, see below */
	ec_sockaddr		 remote_addr;
} accept_construct;

/* The address by the names that it had before. */
#if defined(EC_COMPAT_2_2_SOURCE) || defined(EC_COMPAT_2_1_SOURCE)
#define remote_address		remote_addr.sa
#define remote_address_in	remote_addr.sin
#define remote_address_in6	remote_addr.sin6
#define remote_address_un	remote_addr.unixaddr
#define remote_address_union	remote_addr
#endif

/* What there is of one whose client has an internet address: neither the host
 * nor its modules use remote_addr.unixaddr then, or copy the struct. */
#define ACCEPT_CONSTRUCT_INET \
	(offsetof(accept_construct, remote_addr) + sizeof(struct sockaddr_in6))

/* What a client that speaks for another one says of it. */
enum esmtp_attribute {
	ESMTP_CLIENT_NAME,	/* XCLIENT: its name in the DNS */
	ESMTP_CLIENT_PROTO,	/* "SMTP" or "ESMTP" */
	ESMTP_CLIENT_HELO,
	ESMTP_CLIENT_DESTADDR,	/* where it has connected to */
	ESMTP_CLIENT_DESTPORT,
	ESMTP_FORWARD_NAME,	/* XFORWARD, of the message in progress or the next one */
	ESMTP_FORWARD_ADDR,
	ESMTP_FORWARD_PORT,
	ESMTP_FORWARD_PROTO,
	ESMTP_FORWARD_HELO,
	ESMTP_FORWARD_IDENT,	/* the id of the message there */
	ESMTP_FORWARD_SOURCE,	/* "LOCAL" or "REMOTE" */
	ESMTP_NATTRIBUTES
};

/* esmtp_session_new(host, options, fd, peer, context): The session of the
 * connection ${fd}, which does not block, with a client at ${peer} (copied; NULL
 * or no internet address: a local one).  ${options} lives longer than the session.
 * ${context} is the program's: esmtp_session_context().
 * The session's event waits for E_READ | E_WRITE; its callback is
 * esmtp_message_factory(), its closure the session.  The program schedules it, or
 * dispatches it in a loop of its own: the first call sends the banner.
 * NULL with errno: EINVAL, no host or options; ENOMEM. */
accept_construct *esmtp_session_new(struct esmtp_host *host,
    const struct esmtp_options *options, int fd, const struct sockaddr *peer,
    void *context);

/* esmtp_session_free(ac): Free a session that esmtp_session_new() has made, or a
 * listener, behind netlistener_clean_accept_construct(): in session_end(), or
 * after the factory has returned 0; the event is the loop's then, which frees it
 * as any whose callback returns 0.  One that has not ended
 * ends without a word to its client: what it has in progress is aborted, its
 * end reported, its descriptor closed, its event freed; session_end() is not
 * called.  Not inside a step of the session.  NULL does nothing. */
void esmtp_session_free(accept_construct *ac);

/* esmtp_session_close(ac, code, text): Have the session end.  The client is told
 * ${code}, of 4xx or 5xx, and ${text}, "x.y.z text" or text; or nothing with
 * ${code} 0, and where it would not understand: in a handshake, or while a
 * message is being committed or, in LMTP, has replies that are still to be written.
 * Follow it with an E_ASYNC dispatch of the event:
 * the session ends in that step.  Inside a step of the session it ends with that
 * step, and what would have been answered is not.
 * Return 0, or -1 with errno: EINVAL, another code, a CR or LF in ${text}, or the
 * session has had no step yet or has ended; ENOMEM. */
int esmtp_session_close(accept_construct *ac, int code, const char *text);

/* What is known of a session.  What these return is valid in the call of the
 * host or module that asks, and between two steps of the session until the
 * next.
 * _context: what esmtp_session_new() was given, or _set_context() since.
 * _event: to be scheduled or dispatched.
 * _id: for logs; unless _set_id() (1 to 19 printable characters, no spaces; 0, or -1 with
 * errno EINVAL) was called before the first step, a number that is another one
 * for each session of the host.
 * _options; _set_options(): for a function of the host that finds others for this
 * client (peer_changed()), or before the first step.
 * _peer: the client's address; behind a proxy, what its PROXY header said;
 * after XCLIENT or XREMOTEIP, what that said (AF_UNSPEC: it is not known).
 * _via: after XCLIENT or XREMOTEIP, the client that has sent it; else NULL.
 * _attribute: what XCLIENT and XFORWARD have said beside, NULL: nothing, or
 * that it is not available.
 * _tls: of the finished handshake; NULL without TLS.  _set_tls(): for
 * tls_handshake(); what it is given stays the host's, until session_end().
 * _helo: the argument of EHLO or HELO; NULL: none yet.
 * _sender: of the message in progress, "" is the null reverse-path; NULL: there
 * is none.  _rcpt: its recipient number ${i}, from 0, until one is added or
 * removed; NULL behind the last.
 * _login: the user that the client has logged in as; NULL: it has not.
 * esmtp_session_of(mc): The session of what verbs and modules are given. */
void *esmtp_session_context(const accept_construct *ac);
void esmtp_session_set_context(accept_construct *ac, void *context);
Event *esmtp_session_event(const accept_construct *ac);
const char *esmtp_session_id(const accept_construct *ac);
int esmtp_session_set_id(accept_construct *ac, const char *id);
const struct esmtp_options *esmtp_session_options(const accept_construct *ac);
void esmtp_session_set_options(accept_construct *ac,
    const struct esmtp_options *options);
const struct sockaddr *esmtp_session_peer(const accept_construct *ac);
const struct sockaddr *esmtp_session_via(const accept_construct *ac);
const char *esmtp_session_attribute(const accept_construct *ac,
    enum esmtp_attribute what);
const struct esmtp_tls *esmtp_session_tls(const accept_construct *ac);
void esmtp_session_set_tls(accept_construct *ac, struct esmtp_tls *tls);
const char *esmtp_session_helo(const accept_construct *ac);
const char *esmtp_session_sender(const accept_construct *ac);
const char *esmtp_session_rcpt(const accept_construct *ac, size_t i);
const char *esmtp_session_login(const accept_construct *ac);
accept_construct *esmtp_session_of(const message_construct *mc);

/* esmtp_message_factory(event, eventtype, vclosure, now): One step of the
 * session ${vclosure} (an accept_construct).  Return the mask to wait for
 * (with E_TIMEOUT, event->trigger is the deadline), or 0 when the session is
 * over: the descriptor has been closed with event_close(), the
 * message_construct destroyed, session_end() called; the caller frees the
 * Event.  Reads no clock but ${now}. */
int esmtp_message_factory(Event *event, int eventtype, void *vclosure,
    struct timeval *now);

/* esmtp_ticket_new(ac): The name of the answer that the function of the host that
 * calls this is asked for, and which will come later: lookup_rcpt(), which then
 * returns ESMTP_RCPT_ASKED; auth_start(), auth_step() and peer_changed(), which
 * return 0; a verb, which returns ESMTP_VERB_LATER.  commit() has its ticket in
 * the envelope.  0 with errno: EINVAL, not inside one of these, or for the
 * second time; ENOMEM. */
esmtp_ticket esmtp_ticket_new(accept_construct *ac);

/* The answers; from any thread, and also inside the call that asks.  A session
 * that has got one goes on in its next step: see esmtp_answered().
 * esmtp_answer(host, ticket, value): lookup_rcpt(): an enum esmtp_rcpt_status;
 * commit(): 0, the message is durable, or an errno; peer_changed(): 1, the client
 * is welcome, or 0; a verb: ESMTP_VERB_DONE, _SYNTAX or _BUILTIN.
 * esmtp_answer_reply(host, ticket, code, enhanced, text): commit(), a verb: the
 * reply in the program's words, ${enhanced} "x.y.z" or NULL.  A commit with a
 * code of 2xx has succeeded.
 * esmtp_answer_rcpts(host, ticket, codes, texts, n): commit(): what has become of
 * each of the ${n} recipients of the envelope, in its order: ${codes[i]} is 0,
 * it has the message, or the code of a reply (but 421), ${texts[i]} its text,
 * which may begin with an enhanced code "x.y.z" (NULL, also for ${texts}: the
 * usual one).  In LMTP each recipient gets that reply; in SMTP, which has one for
 * all, it is that of the first whose code is 4xx or 5xx.
 * esmtp_answer_auth(host, ticket, status, octets, len): auth_start(), auth_step();
 * a verb, as esmtp_verb_login(); ${octets} are copied.
 * Return 0; or -1 with errno: ENOENT, nobody waits for it any more, or it was
 * answered; EINVAL, no answer to that question, a code but 2xx, 4xx and 5xx, or
 * a CR or LF: it can still be answered; ENOMEM, likewise. */
int esmtp_answer(struct esmtp_host *host, esmtp_ticket ticket, int value);
int esmtp_answer_reply(struct esmtp_host *host, esmtp_ticket ticket, int code,
    const char *enhanced, const char *text);
int esmtp_answer_rcpts(struct esmtp_host *host, esmtp_ticket ticket,
    const int *codes, const char *const *texts, size_t n);
int esmtp_answer_auth(struct esmtp_host *host, esmtp_ticket ticket,
    enum esmtp_auth_status status, const char *octets, size_t len);

/* esmtp_answered(host): The next session that has got an answer, to whose event
 * E_ASYNC is to be dispatched; NULL: there is none.  By the thread of the loop,
 * when wake() has told it:
 *	while ((ac = esmtp_answered(host)) != NULL)
 *		schedule_event_and_dispatch(esmtp_session_event(ac), E_ASYNC); */
accept_construct *esmtp_answered(struct esmtp_host *host);

/* esmtp_auth_done(ac, status, octets, len): The answer to auth_start() or
 * auth_step(); ${octets} are copied.  Follow it with an E_ASYNC dispatch of
 * ac->event, unless it is called inside one of those.  Ignored when the session
 * waits for none: the first answer counts. */
void esmtp_auth_done(accept_construct *ac, enum esmtp_auth_status status,
    const char *octets, size_t len);

/* esmtp_peer_done(ac, is_welcome): The answer to peer_changed(): may this client
 * have one more session?  Follow it with an E_ASYNC dispatch of ac->event,
 * unless it is called inside peer_changed().  Ignored when the session waits for
 * none: the first answer counts. */
void esmtp_peer_done(accept_construct *ac, bool is_welcome);
/* esmtp_session_resume(ac, moved, now): ${ac}, which has had no step yet, goes on
 * with what session_move() was given in another process: it sends no banner.
 * Return 0, or -1 with errno (EINVAL: no session is like that, or the options
 * want TLS or a PROXY header first; ENOMEM). */
int esmtp_session_resume(accept_construct *ac, const struct esmtp_moved *moved,
    const struct timeval *now);

/* The documented states of a session, by number; the last two are in no
 * session. */
enum {
	MC_STATE_START,
	MC_STATE_START_RESPONSE,
	MC_STATE_EHLO,
	MC_STATE_EHLO_RESPONSE,
	MC_STATE_MAILFROM,
	MC_STATE_MAILFROM_RESPONSE,
	MC_STATE_RCPTTO,
	MC_STATE_RCPTTO_RESPONSE,
	MC_STATE_DATA,
	MC_STATE_BODY,
	MC_STATE_BODY_RESPONSE,
	MC_STATE_ASYNC_BODY_RESPONSE,
	MC_STATE_OK,
	MC_STATE_RELAYING_DENIED,
	MC_STATE_EXTENSION_1,
	MC_STATE_EXTENSION_2,
	MC_STATE_EXTENSION_3,
	MC_STATE_EXTENSION_4,
	MC_STATE_CONCURRENCY_LIMIT,
	MC_STATE_RCPTTO_LIST_RESPONSE,
	MC_STATE_RCPTTO_LIST_FINAL_RESPONSE,
	MC_STATE_SETUP,
	MC_STATE_MCMT_FIXUP,
	MC_STATE_COUNT
};

/* esmtp_message_factory_state(state): The documented name of a state number,
 * "unknown" out of range. */
const char *esmtp_message_factory_state(int state);

/* esmtp_session_state(ac): The state number a session is in. */
int esmtp_session_state(const accept_construct *ac);

/* accept_construct_get_message_construct(ac): The session of a connection, or
 * NULL before its first step. */
message_construct *accept_construct_get_message_construct(
    accept_construct *ac);

/* esmtp_destroy_message_construct(info): End the session.  NULL does nothing.
 * From outside its step: abort what it has in progress, report its end, free it;
 * the descriptor, the Event and the accept_construct stay the caller's.
 * Inside its step (by a verb, a module, a report, a function of the host or the
 * spool): it ends with the step, as if the peer were gone: the factory closes the
 * descriptor, calls session_end() and returns 0. */
void esmtp_destroy_message_construct(message_construct *info);

typedef int (*ESMTPExtensionSetup)(char *arg, message_construct *mc,
    void *closure);
typedef int (*ESMTPExtensionFunc)(char *arg, Event *e, message_construct *mc,
    void *closure);

/* What the function of a verb returns. */
enum {
	ESMTP_VERB_SYNTAX,	/* 501, unless it has answered */
	ESMTP_VERB_DONE,	/* it has answered, or the answer is 250 */
	ESMTP_VERB_BUILTIN,	/* of esmtp_verb_replace(): the built-in verb is to act */
	ESMTP_VERB_LATER,	/* the answer comes, by the ticket of esmtp_ticket_new() */
	ESMTP_VERB_MORE		/* of esmtp_verb_read_*(): it reads, and goes on reading */
};

/* esmtp_extensions_register(command, s, f, closure): Add the verb ${command}
 * to the server.  ${s} (may be NULL) is called at EHLO with a buffer for what
 * to advertise after the verb; it returns 1 to be advertised, 0 not.  ${f} is
 * called with the argument of the command; it answers with
 * esmtp_extension_reply() and returns ESMTP_VERB_*.  NULL ${f}: ${command}
 * is a keyword that EHLO advertises, and no verb.  To be called before
 * the first session; the table is const afterwards.
 * The reference declares it void but documents a result: it returns 1, or 0
 * when the verb exists, is no atom of at most 16 octets (or NULL), there are
 * LIM_EXTENSIONS already, or a session has begun. */
int esmtp_extensions_register(const char *command, ESMTPExtensionSetup s,
    ESMTPExtensionFunc f, void *closure);

/* esmtp_verb_replace(command, f, closure): Have ${f} called in place of the
 * built-in verb ${command}, where that may be said: the state of the session,
 * the argument, TLS and login have been checked.  NOOP, VRFY, EXPN and HELP are
 * what ${f} makes of them.  EHLO, HELO, STARTTLS, MAIL, RCPT, DATA and AUTH are
 * refused by ${f}, with 4xx or 5xx, or left to the built-in verb, with
 * ESMTP_VERB_BUILTIN; AUTH may also end with esmtp_verb_login().  To be called
 * before the first session.  Return 1; or 0: it is another verb, or replaced
 * already, there is no ${f}, or a session has begun. */
int esmtp_verb_replace(const char *command, ESMTPExtensionFunc f,
    void *closure);

/* esmtp_verb_has_input(command): Lines or octets follow ${command}, a verb
 * that was registered with a function, or NOOP, VRFY, EXPN or HELP that was
 * replaced.  When it is refused, by its function or before, what its client
 * sends next is treated as a message behind a DATA that was refused: it is not
 * run as commands.  To be called before the first session.  Return 1; or 0: it
 * is another verb, or a session has begun. */
int esmtp_verb_has_input(const char *command);

/* esmtp_extension_reply(mc, code, enhanced, text): The answer of a verb, in its
 * function or in the one that it reads with; controls in ${text} are replaced,
 * and it is cut where the line would be too long.  Return 0 or -1 (EINVAL: not
 * inside such a function, answered already, no answer to that verb, or ${text}
 * of 3xx has more than ESMTP_QUESTION_MAX octets). */
#define ESMTP_QUESTION_MAX	506
int esmtp_extension_reply(message_construct *mc, int code,
    const char *enhanced, const char *text);

/* In the function of a verb, or in the one that it reads with; each returns 0,
 * or -1 with errno, which is EINVAL outside of these.
 *
 * esmtp_verb_read_lines(mc, line_max, max, f, closure),
 * esmtp_verb_read_octets(mc, n, f, closure): The verb returns ESMTP_VERB_MORE,
 * and what the client sends next is for ${f}: lines of at most ${line_max}
 * octets (1 to ESMTP_VERB_LINE_MAX) without their CRLF, and of ${max} octets
 * together, with it; or ${n} octets, in pieces as they come.  The verb answers
 * first what the client waits for, say 354.
 * ${f} gets a line, or some octets, which it does not keep, and returns
 * ESMTP_VERB_MORE, or what a verb may return: then that line was the last.
 * Octets are always read to the last one, behind which MORE is DONE; after
 * another result ${f} (may be NULL: they are thrown away) gets no more of them.
 * A verb and what it reads have one answer together, before which may be others
 * of 3xx.
 * When ${f} gets NULL for the octets, it is called for the last time: the
 * session ends, the verb has not returned MORE, or the client has broken a
 * bound, and was told.
 * EINVAL: a bound of 0, a line_max above its own, no ${f} for lines, or the
 * verb cannot read; EBUSY: it does; ENOMEM.
 *
 * esmtp_verb_reset(mc): The transaction is over, as with RSET.
 *
 * esmtp_verb_login(mc, status, login): The client is ${login} (ESMTP_AUTH_OK),
 * or not (${login} is the name that was tried, or NULL).  When the function
 * returns ESMTP_VERB_DONE, policy is asked, and the client gets the reply of
 * AUTH: the function does not answer.  EALREADY: it has logged in; EBUSY: there
 * is a transaction; EINVAL: no login, a challenge, or the verb cannot log in;
 * ENOMEM. */
typedef int (*esmtp_read_func)(message_construct *mc, const char *octets,
    size_t len, void *closure);
#define ESMTP_VERB_LINE_MAX	12286
int esmtp_verb_read_lines(message_construct *mc, size_t line_max, uint64_t max,
    esmtp_read_func f, void *closure);
int esmtp_verb_read_octets(message_construct *mc, uint64_t n,
    esmtp_read_func f, void *closure);
int esmtp_verb_reset(message_construct *mc);
int esmtp_verb_login(message_construct *mc, enum esmtp_auth_status status,
    const char *login);

#define ESMTP_EXTENSION_ARG_MAX	128	/* octets of the buffer ${s} gets */

MAILMILL_END

#endif
