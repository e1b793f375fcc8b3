/* A client of SMTP and LMTP (RFC 5321, 2033): a connection to a server, over which
 * any number of messages is sent, on the scheduler of the thread or on a loop of
 * the program.  See mailmill_client(3). */

#ifndef PROTO_MAILMILL_CLIENT_H
#define PROTO_MAILMILL_CLIENT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/event.h>
#include <mailmill/spool.h>

MAILMILL_BEGIN

struct mailmill_client;		/* a connection, or what one will be made of */
struct mailmill_message;	/* what is sent, and to whom */

/* What has become of a recipient. */
enum mailmill_client_outcome {
	MAILMILL_CLIENT_ACCEPTED,	/* 2xx: the message is the server's now */
	MAILMILL_CLIENT_DEFERRED,	/* 4xx, or this server lacks what may come back: try later */
	MAILMILL_CLIENT_REFUSED,	/* 5xx, or this server cannot take it: no use to ask it again */
	MAILMILL_CLIENT_UNSENT,		/* the server has not got the message, and has not said no: another connection may be tried at once */
	MAILMILL_CLIENT_UNCERTAIN	/* the message was sent to its end, and the answer is lost: if it is sent again it may come twice */
};

/* The library makes it, and it lives until the function that gets it returns; a
 * newer library may know more members, behind these.  Texts are UTF-8 without
 * controls. */
struct mailmill_client_result {
	enum mailmill_client_outcome outcome;
	int		 code;		/* of the reply; without one, what would fit; 0: none would */
	const char	*enhanced;	/* "5.1.1", of the reply, or what would fit; "": none */
	const char	*words;		/* the server's own; without a reply, why there is none */
	const char	*command;	/* that the reply is to, or that had none; "": the connection */
	int		 errnum;	/* of a connection or a body that has failed; else 0 */
	bool		 is_reply;	/* the server has said so */
};

/* --- connections ---------------------------------------------------------- */

/* The connection of ${client} is over, or has never come to be: the server's
 * words, or why.  code 0: QUIT was said, and all went well.  Each message that
 * was given to it is done by then. */
typedef void (*mailmill_client_ended)(void *closure,
    struct mailmill_client *client,
    const struct mailmill_client_result *result);

/* mailmill_client_new(helo, ended, closure): A client that calls itself ${helo},
 * a domain or an address literal, which is copied.  ${ended} may be NULL.  NULL
 * with errno: EINVAL, ${helo} is empty or has octets that no name has; ENOMEM.
 * mailmill_client_free(client): Its connection, if there is one, is cut, and what
 * has no outcome yet gets it before this returns.  Of its functions and those of
 * its messages, ${ended} alone may call this; else that ends the process.  NULL
 * does nothing. */
struct mailmill_client *mailmill_client_new(const char *helo,
    mailmill_client_ended ended, void *closure);
void mailmill_client_free(struct mailmill_client *client);

enum mailmill_client_option {
	MAILMILL_CLIENT_LMTP,		/* 1: LMTP, RFC 2033; 0 */
	MAILMILL_CLIENT_BDAT,		/* 1: BDAT, also where DATA would do; 0 */
	MAILMILL_CLIENT_TLS,		/* enum mailmill_client_tls; NEVER */
	MAILMILL_CLIENT_LOGIN,		/* enum mailmill_client_login; NEVER */
	MAILMILL_CLIENT_LOGIN_CLEAR,	/* 1: passwords and tokens are told without TLS, and to a server that is not verified; 0 */
	MAILMILL_CLIENT_CONNECT_SECONDS, /* how long to wait for the connection; 30 */
	MAILMILL_CLIENT_REPLY_SECONDS,	/* the most that is waited for a reply; 0: what RFC 5321 4.5.3.2 has, which also bounds it */
	MAILMILL_CLIENT_IDLE_SECONDS,	/* without a message for so long: QUIT; 0: 240, which also bounds it */
	MAILMILL_CLIENT_CONVERT		/* 1: a message with SPOOL_ENV_8BITMIME or SPOOL_ENV_BINARYMIME is converted for a server without these, RFC 6152 3, 3030 3; 0: it is refused */
};

enum mailmill_client_tls {
	MAILMILL_CLIENT_TLS_NEVER,
	MAILMILL_CLIENT_TLS_MAY,	/* if the server offers STARTTLS; a handshake that fails ends the connection */
	MAILMILL_CLIENT_TLS_MUST,	/* or nothing is sent */
	MAILMILL_CLIENT_TLS_FIRST	/* before the banner, RFC 8314 3.3 */
};

enum mailmill_client_login {
	MAILMILL_CLIENT_LOGIN_NEVER,
	MAILMILL_CLIENT_LOGIN_MAY,	/* if the server offers a mechanism */
	MAILMILL_CLIENT_LOGIN_MUST	/* or nothing is sent */
};

/* mailmill_client_set(client, option, value): While there is no connection.
 * Return 0, or -1 with errno: EINVAL, no such option or value; EISCONN. */
int mailmill_client_set(struct mailmill_client *client,
    enum mailmill_client_option option, long value);

/* mailmill_client_connect(client, address): Begin to connect to "192.0.2.1:25",
 * "[2001:db8::1]:25" or "unix:/path", on the scheduler of the thread.  Names are
 * not looked up, since that would block.  That nobody is there is told to
 * ${ended}.
 * mailmill_client_open(client, fd): The same with ${fd}, a socket that is
 * connected and does not block; it is the client's then.
 * mailmill_client_attach(client, fd): The same for a loop of the program: it
 * calls the callback of the event that is returned with its mask and at its
 * trigger, the first time at once, and frees the event when that returns 0.
 * After mailmill_client_send(), _quit(), _stop() and mailmill_message_ready(),
 * it calls it with E_ASYNC, too.
 * Each: 0, or the event; or -1, or NULL, with errno, and ${fd} is the caller's:
 * EINVAL, no address, or no scheduler; EISCONN, there is a connection; what
 * socket(2) and schedule_event() have; ENOMEM. */
int mailmill_client_connect(struct mailmill_client *client,
    const char *address);
int mailmill_client_open(struct mailmill_client *client, int fd);
Event *mailmill_client_attach(struct mailmill_client *client, int fd);

/* mailmill_client_send(client, message): Send it when those before it are sent,
 * and there is a connection.  ${message}, and what it points to, is the client's
 * until it is done.  Return 0, or -1 with errno: EINVAL, it has no recipient or
 * no body; EBUSY, it is being sent; ESHUTDOWN, the connection is about to end:
 * the next one may take it.
 * mailmill_client_quit(client): Say QUIT after the messages that it has.
 * mailmill_client_stop(client): End the connection without a word; what has no
 * outcome yet is UNSENT or UNCERTAIN.  Without a connection that is: the messages
 * that wait for one. */
int mailmill_client_send(struct mailmill_client *client,
    struct mailmill_message *message);
void mailmill_client_quit(struct mailmill_client *client);
void mailmill_client_stop(struct mailmill_client *client);

/* mailmill_client_state(client): What it waits for, for a log; "": there is no
 * connection.
 * mailmill_client_offers(client, keyword): Has the server offered ${keyword}
 * (SIZE, 8BITMIME, SMTPUTF8, PIPELINING, ENHANCEDSTATUSCODES, CHUNKING,
 * BINARYMIME, DSN, STARTTLS, AUTH, LIMITS, REQUIRETLS, MT-PRIORITY, DELIVERBY)?
 * Whoever accepts a message without DSN notifies nobody (RFC 3461 5.2.2).
 * mailmill_client_is_tls(client), mailmill_client_is_verified(client),
 * mailmill_client_is_logged_in(client): Is the connection inside TLS, with the
 * server that it should be, and is it logged in? */
const char *mailmill_client_state(const struct mailmill_client *client);
bool mailmill_client_offers(const struct mailmill_client *client,
    const char *keyword);
bool mailmill_client_is_tls(const struct mailmill_client *client);
bool mailmill_client_is_verified(const struct mailmill_client *client);
bool mailmill_client_is_logged_in(const struct mailmill_client *client);

/* --- messages ------------------------------------------------------------- */

/* The outcome of recipient ${i}, once. */
typedef void (*mailmill_message_rcpt)(void *closure,
    struct mailmill_message *message, size_t i,
    const struct mailmill_client_result *result);

/* All recipients have theirs: the message is the program's, to be freed or sent
 * again. */
typedef void (*mailmill_message_done)(void *closure,
    struct mailmill_message *message);

/* Write the octets of the message from ${offset} on to ${buf}.  Return their
 * number, 0 at its end, -1 with errno: EAGAIN, and mailmill_message_ready() is
 * called when there are some; else the message is not sent.  Offsets go up, and
 * begin again at 0 when it is sent again. */
typedef ssize_t (*mailmill_message_read)(void *closure,
    struct mailmill_message *message, uint64_t offset, char *buf, size_t size);

/* mailmill_message_new(sender, rcpt, done, closure): "" is the null sender;
 * addresses are local@domain, and are copied.  ${done} may be NULL.  NULL with
 * errno: EINVAL without ${rcpt}; ENOMEM.
 * mailmill_message_free(message): Not while a client has it, which ends the
 * process.  NULL does nothing. */
struct mailmill_message *mailmill_message_new(const char *sender,
    mailmill_message_rcpt rcpt, mailmill_message_done done, void *closure);
void mailmill_message_free(struct mailmill_message *message);

/* mailmill_message_add(message, address, notify, orcpt): One more recipient;
 * ${notify} is 0 or of SPOOL_NOTIFY_*, ${orcpt} NULL or "type;address" (RFC
 * 3461).  Return 0, or -1 with errno: EBUSY, a client has the message; ENOMEM.
 * mailmill_message_address(message, i): Of recipient ${i}, from 0; NULL behind
 * the last. */
int mailmill_message_add(struct mailmill_message *message,
    const char *address, unsigned int notify, const char *orcpt);
const char *mailmill_message_address(const struct mailmill_message *message,
    size_t i);

/* Its octets, with a header, and lines that end in CRLF; dots are doubled here.
 * A CR or LF alone is sent as CRLF, but in a message with
 * SPOOL_ENV_BINARYMIME.
 * mailmill_message_body(message, body, len): Those; they are not copied.
 * mailmill_message_source(message, read, octets): Those of ${read}; ${octets} is
 * what SIZE says, 0: not known.
 * mailmill_message_ready(message): After EAGAIN. */
void mailmill_message_body(struct mailmill_message *message,
    const void *body, size_t len);
void mailmill_message_source(struct mailmill_message *message,
    mailmill_message_read read, uint64_t octets);
void mailmill_message_ready(struct mailmill_message *message);

/* What the message needs of each server, or with MAILMILL_CLIENT_CONVERT is, and
 * asks of it.
 * mailmill_message_flags(message, flags): SPOOL_ENV_8BITMIME, _BINARYMIME,
 * _SMTPUTF8, _REQUIRETLS, _RET_FULL, _RET_HDRS, _BY_RETURN, _BY_TRACE.
 * mailmill_message_envid(message, envid): ENVID; copied.  Return 0, or -1 with
 * errno ENOMEM.
 * mailmill_message_priority(message, priority): MT-PRIORITY, -9 to 9.
 * mailmill_message_deliver_by(message, seconds): BY, as unix seconds. */
void mailmill_message_flags(struct mailmill_message *message,
    unsigned int flags);
int mailmill_message_envid(struct mailmill_message *message,
    const char *envid);
void mailmill_message_priority(struct mailmill_message *message,
    int priority);
void mailmill_message_deliver_by(struct mailmill_message *message,
    int64_t seconds);

/* --- TLS and logins ------------------------------------------------------- */

/* What does TLS: mailmill_tls_client_use() sets it. */
struct mailmill_client_tls_ops {
	size_t	  size;		/* sizeof(struct mailmill_client_tls_ops) */
	/* start(closure, client, event): Put TLS under ${event}, as its client:
	 * what stands for it, or NULL with errno */
	void	*(*start)(void *closure, struct mailmill_client *client,
		    Event *event);
	/* handshake(tls, &needmask): Go on with it.  1: done; 0: call again when
	 * *needmask has come true (E_READ, E_WRITE); -1 with errno: failed */
	int	 (*handshake)(void *tls, int *needmask_r);
	/* is_verified(tls): Is the server who it should be? */
	bool	 (*is_verified)(void *tls);
	/* binding(tls, &type, octets): What a login can be bound to (RFC 5056):
	 * "tls-exporter" (RFC 9266); at most MAILMILL_CLIENT_BINDING octets.
	 * Return their number; 0: nothing.  NULL: nothing */
	size_t	 (*binding)(void *tls, const char **type_r, uint8_t *octets_r);
	/* why(tls): Why a handshake has failed, "": not known; valid until end().
	 * NULL: nobody knows */
	const char *(*why)(void *tls);
	/* end(tls): The connection is closed; maybe after forget() */
	void	 (*end)(void *tls);
	/* forget(closure): The client is freed, or has another.  NULL: no need
	 * to know */
	void	 (*forget)(void *closure);
};

#define MAILMILL_CLIENT_BINDING	64

/* What a login is made with: the library makes it, a newer one may know more
 * members, behind these. */
struct mailmill_client_login_offer {
	const char	*mechanisms;	/* of the server that may be used: "PLAIN LOGIN" */
	bool		 has_plus;	/* the server offers a mechanism that binds (RFC 5802 6) */
	bool		 is_tls, is_verified;
	const char	*binding_type;	/* NULL: there is nothing to bind to */
	const uint8_t	*binding;
	size_t		 binding_len;
};

/* What logs in: mailmill_sasl_client_use() sets it.  Octets in *out are
 * malloced; they are overwritten and freed here. */
struct mailmill_client_login_ops {
	size_t	  size;		/* sizeof(struct mailmill_client_login_ops) */
	/* begin(closure, client, offer, &mechanism, &out, &len): An exchange
	 * with *mechanism, a text that lives as long as it; *out is the initial
	 * response, NULL: there is none.  NULL: no login can be made */
	void	*(*begin)(void *closure, struct mailmill_client *client,
		    const struct mailmill_client_login_offer *offer,
		    const char **mechanism_r, char **out_r, size_t *len_r);
	/* step(exchange, challenge, len, &out, &len): The answer to ${challenge}:
	 * 0; 1: go_on() makes it, after other events had their turn; -1: the
	 * exchange is given up.
	 * go_on(exchange, &out, &len): The same.  NULL: step() never returns 1 */
	int	 (*step)(void *exchange, const char *challenge, size_t len,
		    char **out_r, size_t *len_r);
	int	 (*go_on)(void *exchange, char **out_r, size_t *len_r);
	/* end(exchange, is_right): It is over, and freed.  Return whether a login
	 * that the server has let pass counts: a mechanism may have to know the
	 * server, too */
	bool	 (*end)(void *exchange, bool is_right);
	/* forget(closure): As above */
	void	 (*forget)(void *closure);
};

/* mailmill_client_set_tls(client, ops, closure),
 * mailmill_client_set_login(client, ops, closure): While there is no connection;
 * ${ops} are copied; NULL: none.  The options MAILMILL_CLIENT_TLS and _LOGIN say
 * when they are used.  Return 0, or -1 with errno: EINVAL, ${ops} have no size or
 * lack a function; EISCONN. */
int mailmill_client_set_tls(struct mailmill_client *client,
    const struct mailmill_client_tls_ops *ops, void *closure);
int mailmill_client_set_login(struct mailmill_client *client,
    const struct mailmill_client_login_ops *ops, void *closure);

MAILMILL_END

#endif
