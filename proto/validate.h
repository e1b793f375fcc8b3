/* Policy: which mail a session accepts is decided by modules, in phases.
 * A module is one struct with a callback for each phase that it wants; NULL for
 * the others.  Modules run in the order of their registration.  Those of
 * proto/policy/ use nothing but this interface.
 * Owns: the order of the phases, what a module may know, the dictionaries that
 * modules leave for each other. */

#ifndef PROTO_VALIDATE_H
#define PROTO_VALIDATE_H

#include <sys/socket.h>

#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/esmtp_factory.h>
#include <mailmill/esmtp_reply.h>
#include <mailmill/mailaddr.h>

MAILMILL_BEGIN

/* results of a callback */
#define VALIDATE_CONT	0	/* go on with the next module */
#define VALIDATE_AGAIN	1	/* suspended: to be called again after E_ASYNC */
#define VALIDATE_DONE	2	/* decided: refused with what was set, else accepted */

/* phases, in the order they happen */
enum validate_phase {
	VALIDATE_PHASE_ACCEPT,		/* before a PROXY header and TLS */
	VALIDATE_PHASE_CONNECT,
	VALIDATE_PHASE_EHLO,
	VALIDATE_PHASE_AUTH,
	VALIDATE_PHASE_MAILFROM,
	VALIDATE_PHASE_RCPTTO,
	VALIDATE_PHASE_RCPTTO_LIST,	/* after it, the recipient is in the list */
	VALIDATE_PHASE_RCPTTO_LIST_FINAL, /* at DATA, the list is complete */
	VALIDATE_PHASE_DATA,		/* behind that, before 354 */
	VALIDATE_PHASE_DATA_SPOOL,	/* message complete, before the commit */
	VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT, /* behind that, for each recipient */
	VALIDATE_NPHASES
};

typedef struct validate_context validate_context;

/* A callback.  ${str} is the phase's text: the argument of EHLO, the login of
 * AUTH, else NULL.  ${addr} is the sender of MAILFROM, the recipient of RCPTTO,
 * RCPTTO_LIST and DATA_SPOOL_EACH_RCPT, else NULL.  Neither may be kept.  ${ac}
 * is the connection; whatever a module needs to know of it, ${vctx} answers.
 * In ACCEPT the client's address is that of the connection, behind a proxy the
 * proxy's.  A client that is refused there gets no reply where TLS or a PROXY
 * header comes first.
 * A refusal in RCPTTO_LIST is of the recipient, which is taken out of the list
 * again.  A refusal in DATA_SPOOL_EACH_RCPT is of the message, since there is
 * one reply for all recipients. Before it returns VALIDATE_AGAIN it has
 * arranged that somebody dispatches E_ASYNC to ac->event.  It may be called
 * again for other reasons before that, and then returns VALIDATE_AGAIN
 * again. */
typedef int (*validate_func)(const char *str, const struct mailaddr *addr,
    accept_construct *ac, validate_context *vctx, void *closure);

struct validate_module {
	size_t		 size;		/* sizeof(struct validate_module) */
	const char	*name;
	void		*closure;
	validate_func	 phase[VALIDATE_NPHASES];	/* NULL: none */
};

/* validate_module_register(m): Append a module, behind our own
 * (limits, senders, relaying, recipients); ${m} is copied, its name and its
 * closure are kept.  Before the first session of the process.  Return 0 or -1
 * (ENOMEM; EEXIST for a name taken; EINVAL: it has no size or no name; EBUSY: a
 * session has begun). */
int validate_module_register(const struct validate_module *m);

/* --- refusing ------------------------------------------------------------- */

/* validate_refuse(vctx, id): Refuse with a row of esmtp_reply.def whose code is
 * 4xx or 5xx (421 closes the session); any other ${id} refuses with 451.
 * Return VALIDATE_DONE, for a callback to return in turn. */
int validate_refuse(validate_context *vctx, enum esmtp_reply_id id);

/* validate_context_set_code(vctx, code, str): The reply to send when the phase
 * ends with VALIDATE_DONE: ${code} 4xx or 5xx rejects (421 closes), 2xx (or no
 * code set) accepts; ${str} is "x.y.z text" or text, copied; NULL or "":
 * words of our own.  Return 1, or 0
 * for a code out of range (200 to 299, 400 to 599), or without memory: then
 * the reply of VALIDATE_DONE is 451.  What is set is forgotten at the end of
 * the phase. */
int validate_context_set_code(validate_context *vctx, int code,
    const char *str);

/* --- what is known -------------------------------------------------------- */

/* All of these may be asked in any phase, and point to what the session owns:
 * do not keep it longer than the callback.
 * _peer: the client's address; behind a proxy, what its PROXY header said;
 * after XCLIENT or XREMOTEIP, what that said (AF_UNSPEC: it is not known).
 * AF_UNIX: it has come through a Unix socket, and has no address.
 * _via: after XCLIENT or XREMOTEIP, the address of the client that has sent it,
 * to which the certificate of TLS belongs; else NULL.
 * _options: what holds for this listener and this client.
 * _tls: of the finished handshake, NULL without TLS.
 * _helo: the argument of the last EHLO or HELO that was accepted, NULL: none.
 * In VALIDATE_PHASE_EHLO that is the one before.
 * _login: the user that the client has logged in as; NULL: it has not.  In
 * VALIDATE_PHASE_AUTH it is NULL still, and ${str} is the login. */
const struct sockaddr *validate_context_peer(const validate_context *vctx);
const struct sockaddr *validate_context_via(const validate_context *vctx);
const struct esmtp_options *validate_context_options(
    const validate_context *vctx);
const struct esmtp_tls *validate_context_tls(const validate_context *vctx);
const char *validate_context_helo(const validate_context *vctx);
const char *validate_context_login(const validate_context *vctx);

/* The envelope, once MAIL was accepted.
 * _sender: the sender; the null reverse-path has no local part.
 * _rcpt: recipient number ${pos}, from 0, of those that were accepted.
 * Return 1 with *${addr_r}, in the form of mailaddr_split(), or 0: there is
 * none.  A recipient's address is good until one is added or removed. */
int validate_context_sender(const validate_context *vctx,
    struct mailaddr *addr_r);
int validate_context_rcpt(const validate_context *vctx, size_t pos,
    struct mailaddr *addr_r);

/* validate_context_count(vctx, which): How many so far.  What is counted of a
 * message is 0 outside of a transaction. */
enum validate_count {
	VALIDATE_COUNT_SESSION_MESSAGES, /* accepted in this session */
	VALIDATE_COUNT_SESSION_RCPTS,	/* accepted in this session */
	VALIDATE_COUNT_RCPTS,		/* of this message */
	VALIDATE_COUNT_OCTETS,		/* of this message, as received */
	VALIDATE_COUNT_RECEIVED		/* its Received header fields */
};
uint64_t validate_context_count(const validate_context *vctx,
    enum validate_count which);

/* What the host says, by its functions in esmtp_host.h.
 * _lookup_rcpt: is ${addr} a mailbox of ours?  The host is asked once about the
 * recipient of a RCPT command, however many modules want to know.  Without an
 * address: ESMTP_RCPT_LATER.  So it is while the host has asked somebody: then
 * whatever the callback returns does not count, and it is called again, from its
 * begin, when the answer has come.
 * _may_send: may the client, with the login that it has, use ${addr} as a
 * sender?  Return 1 or 0; 1 without a login. */
enum esmtp_rcpt_status validate_context_lookup_rcpt(validate_context *vctx,
    const struct mailaddr *addr);
int validate_context_may_send(validate_context *vctx,
    const struct mailaddr *addr);

/* --- dictionaries --------------------------------------------------------- */

#define VCTX_CONN	0	/* lives as long as the connection */
#define VCTX_MESS	1	/* lives as long as the message */

/* ${which} is VCTX_CONN or VCTX_MESS.  set copies key and value; get returns
 * "" if there is none, never NULL.  exists_and_get returns 1 with *value, or 0
 * and leaves it.  What is returned is valid until the key is set or deleted.
 * Keys and values are bounded (LIM_VCTX_*).  set returns 0 or -1 (ENOMEM,
 * E2BIG; EINVAL: one of the two is NULL).  No pair has NULL as its key. */
int validate_context_set(validate_context *vctx, int which, const char *key,
    const char *value);
const char *validate_context_get(validate_context *vctx, int which,
    const char *key);
int validate_context_exists(validate_context *vctx, int which,
    const char *key);
int validate_context_exists_and_get(validate_context *vctx, int which,
    const char *key, const char **value);
void validate_context_delete(validate_context *vctx, int which,
    const char *key);

/* validate_context_set_data(vctx, which, key, data, destroy): Keep ${data}, which is
 * not NULL, for ${key}, in the place of a text; validate_context_get() does not
 * see it.  ${destroy}, unless it is NULL, is called with it when the key is set
 * again or deleted, at the end of the message or the connection, and where a session
 * forgets what its client has said (STARTTLS, XCLIENT); it calls nothing of this
 * header.  Return 0; or -1 with errno, as validate_context_set(), and ${data} is
 * the caller's still.
 * validate_context_data(vctx, which, key): That, or NULL. */
int validate_context_set_data(validate_context *vctx, int which,
    const char *key, void *data, void (*destroy)(void *data));
void *validate_context_data(validate_context *vctx, int which,
    const char *key);

/* --- changing the recipients ---------------------------------------------- */

/* The recipients of the message, for RCPTTO_LIST and the phases behind it, by
 * their positions from 0.  One that is added in DATA_SPOOL_EACH_RCPT is not asked
 * about.
 * iterate: point *addr at recipient number ${pos}, valid until one is added or
 * removed, or set it to NULL if there are not so many; return the next
 * position, or -1 if there is none behind it:
 *
 *	for (pos = 0; pos != -1; ) {
 *		pos = validate_context_iterate_rcpt(ctx, pos, &addr);
 *		if (addr != NULL)
 *			...
 *	}
 *
 * add: local@domain as it is to be delivered, which may be UTF-8 if the client has
 * said SMTPUTF8 (a domain alone: always); with ${uniq} not a second time,
 * in any case of its letters.  Return its position, which is the last one, or
 * -1 with errno (EEXIST: it is there; EPERM: not now; ENOMEM; EINVAL: no such
 * address).
 * remove: the first one that is the same in any case of its letters; return
 * the position that it had, or -1: there is none, or not now.
 * remove_all: return 1, or 0: not now.
 * can_modify: 1 from MAIL until the commit, else 0. */
int validate_context_iterate_rcpt(validate_context *ctx, int pos, char **addr);
int validate_context_add_rcpt(validate_context *ctx, const char *addr,
    int uniq);
int validate_context_remove_rcpt(validate_context *ctx, const char *addr);
int validate_context_remove_all_rcpts(validate_context *ctx);
int validate_context_can_modify_rcpts(validate_context *ctx);

/* --- adding to the header ------------------------------------------------- */

/* validate_context_add_header(vctx, name, value): A header field for the message,
 * behind our Received field and in front of what the client sends; from RCPTTO to
 * DATA, where the message has not begun.  Fields are added in the order of the
 * calls, an equal one not a second time.  ${value} is one line, of printable ASCII
 * and tabs, or visible UTF-8 if the client has said SMTPUTF8.  Return 0 or -1
 * with errno: EINVAL, no such field, or longer than a line may be (RFC 5322 2.1.1:
 * 998 octets); EPERM, not now; E2BIG, LIM_VCTX_FIELDS; ENOMEM. */
int validate_context_add_header(validate_context *vctx, const char *name,
    const char *value);

/* --- jobs ----------------------------------------------------------------- */

/* ec_async_wake_validation_module(job, ctx): When ${job}, an ec_async_job or
 * something that begins with one, is completed, the callback is called again:
 * before ec_queue_async_job() (ec_thread_pool.h), which the callback calls before
 * it returns VALIDATE_AGAIN.  The session must be on a scheduler of scheduler.h.
 * If it ends meanwhile, the job is done, and nobody is called. */
void ec_async_wake_validation_module(void *job, validate_context *ctx);

/* Return 1 with the session, or 0. */
int validate_context_find_message_construct(validate_context *vctx,
    message_construct **mc);

MAILMILL_END

#endif
