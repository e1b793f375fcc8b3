/* What a session asks of a spool.
 * struct spool_ops is the interface between the ESMTP factory and the store of
 * mail: the segments (core/spool/spool_writer.h), an embedder's own store, the
 * simulator's.  All calls are made on the loop's thread and none blocks. */

#ifndef CORE_SPOOL_H
#define CORE_SPOOL_H

#include <sys/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

struct spool_msg;		/* one message in progress; the spool's own */

/* What MAIL, or the header, said of the message */
#define SPOOL_ENV_8BITMIME	0x01	/* BODY=8BITMIME */
#define SPOOL_ENV_BINARYMIME	0x02	/* BODY=BINARYMIME, RFC 3030 */
#define SPOOL_ENV_SMTPUTF8	0x04	/* SMTPUTF8, RFC 6531 */
#define SPOOL_ENV_REQUIRETLS	0x08	/* REQUIRETLS, RFC 8689 */
#define SPOOL_ENV_RET_FULL	0x10	/* RET=FULL, RFC 3461 */
#define SPOOL_ENV_RET_HDRS	0x20	/* RET=HDRS */
#define SPOOL_ENV_BY_RETURN	0x40	/* the mode of BY= is R: undelivered by then, it goes back; else N, RFC 2852 */
#define SPOOL_ENV_BY_TRACE	0x80	/* BY= asked for a trace */
#define SPOOL_ENV_HOLD_FOR	0x100	/* hold_until is the end of an interval (HOLDFOR=), no time of day (HOLDUNTIL=) */
#define SPOOL_ENV_TLS_OPTIONAL	0x200	/* the header has "TLS-Required: No", and MAIL no REQUIRETLS: it is relayed whatever the recipient's domain demands of TLS, RFC 8689 */

/* What NOTIFY said of a recipient, RFC 3461 */
#define SPOOL_NOTIFY_NEVER	0x01
#define SPOOL_NOTIFY_SUCCESS	0x02
#define SPOOL_NOTIFY_FAILURE	0x04
#define SPOOL_NOTIFY_DELAY	0x08

/* The envelope of one message.  All strings are NUL terminated, hold no
 * control characters, and stay the caller's.  Addresses are ASCII, or with
 * SPOOL_ENV_SMTPUTF8 UTF-8 in their local parts: domains have A-labels.  The library makes it: a newer one
 * may know more members, behind these.  Whoever keeps the message keeps what
 * the parameters say, too. */
struct spool_envelope {
	const char		*sender;	/* "" is the null reverse-path */
	const char *const	*rcpts;		/* local-part@domain each, or
						 * postmaster alone */
	size_t			 nrcpts;	/* at least 1 */
	const char		*session;	/* session id, for logs */
	const char		*client;	/* peer address as text */
	const char		*helo;
	struct timeval		 received;	/* worker clock, wall time */
	unsigned int		 flags;		/* SPOOL_ENV_* */
	uint64_t		 ticket;	/* names this commit: esmtp_answer() */
	void			*context;	/* of the session: what the program has given it */
	const char		*id;		/* of the message: see id() below */

	/* Of the message; NULL or 0: not said */
	const char		*envid;		/* ENVID=, its xtext decoded, RFC 3461 */
	const char		*solicit;	/* SOLICIT=, RFC 3865 */
	int64_t			 hold_until;	/* HOLDFOR= or HOLDUNTIL=: no delivery before, unix seconds, RFC 4865 */
	int64_t			 deliver_by;	/* BY=: unix seconds, RFC 2852 */
	int			 priority;	/* MT-PRIORITY=: -9 to 9, RFC 6710 */
	/* Of each recipient, ${nrcpts} of them; NULL: nothing was said of any */
	const uint8_t		*notify;	/* SPOOL_NOTIFY_*; 0: not said */
	const char *const	*orcpts;	/* ORCPT=, "type;address", its xtext decoded; NULL: not said */
	const char		*login;		/* who has logged in; NULL: nobody */
	bool			 is_lmtp;	/* each recipient has a reply of its own: esmtp_answer_rcpts() */
};

struct spool_ops {
	size_t	  size;		/* sizeof(struct spool_ops) */

	/* begin(spool, handle, now, &msg_r): Start a message for the session
	 * named ${handle}.  Return 0, or -1: ENOMEM, ENOSPC (disk full),
	 * EDQUOT (a quota is used up). */
	int	 (*begin)(void *spool, uint64_t handle,
		    const struct timeval *now, struct spool_msg **msg_r);

	/* id(msg): the message's id, [0-9A-Z]+, at most SPOOL_ID_MAX octets,
	 * unique for the life of the spool; valid while the msg is.  NULL: the
	 * library makes one, of time, a number and chance. */
	const char *(*id)(const struct spool_msg *msg);

	/* room(spool, handle): How many octets may be appended now.  0: the
	 * bound on buffered bodies is reached; the session named ${handle} is
	 * dispatched with E_ASYNC when there is room.  NULL: there is no
	 * bound. */
	size_t	 (*room)(void *spool, uint64_t handle);

	/* append(msg, buf, len): Add octets (copied).  Return 0, or -1:
	 * ENOMEM, ENOSPC, EDQUOT, EIO: the message is lost, abort() it. */
	int	 (*append)(struct spool_msg *msg, const char *buf, size_t len);

	/* commit(msg, env): Make it durable.  Return 0: the spool took
	 * ${msg}, and when it is safe (or has failed) calls esmtp_answer(),
	 * esmtp_answer_reply() or esmtp_answer_rcpts() with ${env}->ticket:
	 * inside this call, or later from any thread.  ${env} and what it
	 * points to are valid during this call.  Return -1 with errno: nothing
	 * was taken, abort() it. */
	int	 (*commit)(struct spool_msg *msg,
		    const struct spool_envelope *env);

	/* abort(msg): Forget it, without a trace.  ${msg} is not NULL. */
	void	 (*abort)(struct spool_msg *msg);

	/* Which promises to its sender are kept of a message, whatever way it
	 * takes from here: SPOOL_ENV_REQUIRETLS (it is not relayed without TLS
	 * to a server that is verified), SPOOL_ENV_SMTPUTF8 (its addresses and
	 * header fields may be UTF-8; it is not relayed to a server without
	 * SMTPUTF8); or 0.  What is not promised here is not offered, SMTPUTF8
	 * only if SMTP_Extensions names it. */
	unsigned int keeps;
};

#define SPOOL_ID_MAX	31

MAILMILL_END

#endif
