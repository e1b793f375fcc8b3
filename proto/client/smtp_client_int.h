/* What the files of the client share: the connection and its transaction.
 *
 * Ownership: a client has at most one transaction, which is a member of it, and
 * one buffer of output, which it has while there is something in it.  Nothing
 * inside a step frees the client: what goes wrong is noted with smtp_end(), and
 * smtp_client_event() ends the connection when the step is over. */

#ifndef PROTO_CLIENT_SMTP_CLIENT_INT_H
#define PROTO_CLIENT_SMTP_CLIENT_INT_H

#include "proto/base/moment.h"
#include "proto/client/smtp_client.h"
#include "proto/client/smtp_dots.h"
#include "proto/client/smtp_reply.h"

enum smtp_state {
#define SMTP_STATE(id, command, name, seconds, reply, next) id,
#include "proto/client/smtp_state.def"
#undef SMTP_STATE
	SMTP_NSTATES
};

/* How far a recipient is. */
enum smtp_of {
	SR_NEW,		/* RCPT is to be sent */
	SR_OWED,	/* its reply is due */
	SR_ACCEPTED,	/* by RCPT: the outcome is that of the message */
	SR_TOLD		/* the host has its outcome */
};

struct smtp_txn {
	struct smtp_message	 m;
	uint8_t			*of;		/* enum smtp_of of each recipient; NULL: there is no transaction */
	size_t			 nsent;		/* no recipient before this one is SR_NEW */
	size_t			 nheard;	/* none before it is SR_OWED; in SS_DOT, none is SR_ACCEPTED */
	size_t			 nowed;		/* replies to RCPT that are due */
	size_t			 naccepted;	/* by RCPT */
	size_t			 nchunks;	/* whose replies are due, without the last of the message */
	int64_t			 since;		/* MAIL; in SS_DOT, the end of the body */
	uint64_t		 offset;	/* of the message: what is read of it */
	struct smtp_dots	 dots;
	struct smtp_convert	*convert;	/* with is_converted, while the body is sent; else NULL */
	bool			 is_mail_sent, is_mail_heard;
	bool			 is_data_sent;
	bool			 is_bdat;	/* the message goes in chunks */
	bool			 is_converted;	/* since the server does not take it as it is */
	bool			 is_8bit, is_binary; /* as it is sent */
	bool			 is_failed;	/* no more is sent of it, replies that are due are awaited */
	bool			 is_void;	/* 354 without a recipient: only the dot is sent */
	bool			 is_whole;	/* all of the body, with its end, was put into the output ... */
	bool			 is_sent;	/* ... and that is written */
};

/* Why the connection ends. */
struct smtp_end {
	struct smtp_result	 result;	/* the first reason that was noted: for ended() */
	char			 enhanced[ESMTP_ENHANCED_MAX];
	char			*words;		/* malloced, or NULL */
	bool			 is_noted;
	enum smtp_why		 last;		/* of smtp_end(): for what has no outcome yet; SMTP_NWHYS: not called */
	int			 errnum;
};

struct smtp_client {
	struct smtp_client_options	 options;
	const struct smtp_client_ops	*ops;
	void				*host;
	Event				*event;		/* NULL: before the first call */
	int64_t				 now;		/* of the call */
	int64_t				 trigger;	/* of the event, as it was set */
	int64_t				 since;		/* when the time of the state began */
	uint8_t				 state;
	uint8_t				 need_read, need_write; /* masks of the opset */
	uint8_t				 tls_mask;	/* of the handshake */
	size_t				 owed;		/* replies that are due */
	size_t				 rest;		/* octets that came behind the reply being taken */
	uint32_t			 ntxns;		/* MAIL commands so far */
	struct smtp_ehlo		 ehlo;
	struct smtp_reader		 reader;
	struct smtp_txn			 txn;
	struct smtp_end			 end;
	char				*out;		/* NULL: none */
	size_t				 out_at, out_len; /* to be written: from, to */
	char				*initial;	/* of AUTH, base64: to be sent after 334 */
	char				*domain;	/* LIMITS: the one whose recipients this session has; NULL: none yet */
	int				 write_errno;	/* nothing can be written any more: EPIPE, ... */
	bool				 may_read, may_ask;
	bool				 is_tls, is_logged_in;
	bool				 is_in_login;	/* between auth_start() and auth_end() */
	bool				 is_cancelled;	/* "*" was sent */
	bool				 is_working;	/* the host, on the answer to a challenge */
	bool				 has_clear;	/* STARTTLS was refused, and may be */
	bool				 is_answered;	/* by the host: the time of the state begins */
	bool				 is_open;	/* the server has a transaction that RSET would end */
	bool				 is_secret;	/* the output has what must not stay in memory */
	bool				 is_leaving;	/* the server has said 421: no more messages */
	bool				 is_hasty;	/* the step was long enough, there is more to do */
	bool				 is_stopped;
	bool				 is_ending;
};

/* A function that takes a reply: c->reader.reply. */
typedef void smtp_reply_func(struct smtp_client *c);

/* smtp_state.c
 * smtp_state_row(c): The row of its state.
 * smtp_set_state(c, state): Its time begins now.
 * smtp_enter(c, state): The same, unless it is in it already.
 * smtp_ready(c): Messages can be sent now. */
struct smtp_state_row {
	const char	*command;
	const char	*name;
	unsigned int	 seconds;
	smtp_reply_func	*reply;
	unsigned int	 next;
};
extern const struct smtp_state_row smtp_state_rows[SMTP_NSTATES];

static inline const struct smtp_state_row *
smtp_state_row(const struct smtp_client *c)
{
	return &smtp_state_rows[c->state];
}

void smtp_set_state(struct smtp_client *c, enum smtp_state state);
void smtp_enter(struct smtp_client *c, enum smtp_state state);
void smtp_ready(struct smtp_client *c);

/* smtp_time.c
 * smtp_deadline(c): When it has waited long enough.
 * smtp_follow_clock(c, event, now): A step begins: set c->now.  All times move
 * with the clock, if that was set. */
int64_t smtp_deadline(const struct smtp_client *c);
void smtp_follow_clock(struct smtp_client *c, const Event *event,
    const struct timeval *now);

/* smtp_result.c
 * smtp_result_said(c, r): What the reply c->reader.reply means; a code of 3xx
 * is SMTP_WHY_CODE.
 * smtp_result_why(c, why, errnum, r): An outcome without a reply.
 * smtp_tell(c, i, r): The host gets the outcome of recipient ${i}.
 * smtp_tell_all(c, r): ... of all that have none; if the message was sent and
 * ${r} is no reply, that is SMTP_UNCERTAIN.
 * smtp_end(c, why, errnum), smtp_end_said(c): The connection ends after this
 * step; the second: since the server says so, and all recipients were told.
 * smtp_note_end(c, r): Why it will end, unless that is known. */
void smtp_result_said(const struct smtp_client *c, struct smtp_result *r);
void smtp_result_why(const struct smtp_client *c, enum smtp_why why, int errnum,
    struct smtp_result *r);
void smtp_tell(struct smtp_client *c, size_t i, const struct smtp_result *r);
void smtp_tell_all(struct smtp_client *c, const struct smtp_result *r);
void smtp_note_end(struct smtp_client *c, const struct smtp_result *r);
void smtp_end(struct smtp_client *c, enum smtp_why why, int errnum);
void smtp_end_said(struct smtp_client *c);

/* smtp_output.c
 * smtp_room(c, len): Room for ${len} octets behind what is to be written; NULL:
 * it has to be written first, or there is no memory, and the connection ends.
 * smtp_put(c, text...): Those texts, up to a NULL, as one command; its CRLF is
 * added.
 * smtp_flush(c): Write.  Return whether anything was written.
 * smtp_is_flushed(c): Is all written?
 * smtp_output_free(c): Forget what is not; overwrite what is secret. */
char *smtp_room(struct smtp_client *c, size_t len);
void smtp_put(struct smtp_client *c, const char *text, ...)
    __attribute__((sentinel));
bool smtp_flush(struct smtp_client *c);
void smtp_output_free(struct smtp_client *c);

static inline bool
smtp_is_flushed(const struct smtp_client *c)
{
	return c->out_at == c->out_len;
}

/* smtp_command.c
 * smtp_mail(c, buf, size), smtp_rcpt(c, i, buf, size): Write MAIL, RCPT with
 * what the envelope says and the server knows, with CRLF.  Return octets; or 0
 * with errno: EINVAL, it does not fit, or the address is none; EBADMSG, ENVID or
 * ORCPT has octets that none has, or too many; ENOMEM.
 * smtp_lacks(c): What the message needs and the server does not have;
 * SMTP_NWHYS: nothing.
 * smtp_lacks_of_rcpt(c, i): The same of one recipient.
 * smtp_lacks_of_body(c): The same of the octets of the message: it may be converted.
 * smtp_is_verified(c): Inside TLS with the server that it should be? */
bool smtp_is_verified(const struct smtp_client *c);
size_t smtp_mail(const struct smtp_client *c, char *buf, size_t size);
size_t smtp_rcpt(const struct smtp_client *c, size_t i, char *buf,
    size_t size);
enum smtp_why smtp_lacks(const struct smtp_client *c);
enum smtp_why smtp_lacks_of_rcpt(const struct smtp_client *c, size_t i);
enum smtp_why smtp_lacks_of_body(const struct smtp_client *c);

/* smtp_leave.c
 * smtp_quit(c): Say QUIT: all is done, or it is noted why not.
 * smtp_leave_why(c, why), smtp_leave_said(c): The server is not to get a
 * message, because of ${why}, or of its reply: note that, and say QUIT (RFC
 * 5321 3.8). */
void smtp_quit(struct smtp_client *c);
void smtp_leave_why(struct smtp_client *c, enum smtp_why why);
void smtp_leave_said(struct smtp_client *c);

/* smtp_hello.c: from the banner to where messages can be sent
 * smtp_begin(c): The first call.
 * smtp_tls_step(c): In SS_TLS. */
void smtp_begin(struct smtp_client *c);
void smtp_tls_step(struct smtp_client *c);

/* smtp_login.c
 * smtp_login_may(is_tls, is_shown_good): The mechanisms that may be used, as in
 * struct smtp_ehlo: without TLS none that binds to it, and those that show a
 * password or a token only if ${is_shown_good}.
 * smtp_login_mechanisms(c): Those of them that the server offers.
 * smtp_login_begin(c, mechanisms): Ask the host.
 * smtp_login_go_on(c): A step begins: let the host work on.
 * smtp_login_end(c): The connection is over: tell the host, too. */
unsigned int smtp_login_may(bool is_tls, bool is_shown_good);
unsigned int smtp_login_mechanisms(const struct smtp_client *c);
void smtp_login_begin(struct smtp_client *c, unsigned int mechanisms);
void smtp_login_go_on(struct smtp_client *c);
void smtp_login_end(struct smtp_client *c);

/* smtp_txn.c
 * smtp_txn_begin(c, m): The host has given ${m}: RSET or MAIL is next, unless
 * it is over already.
 * smtp_txn_send(c): Put what may be sent of the envelope into the output.
 * Return whether there was anything.
 * smtp_txn_give_up(c): A chunk was refused, and all output is written: wait for
 * the replies that are due.  Return false if none was.
 * smtp_on_421(c): The server is about to close. */
void smtp_txn_begin(struct smtp_client *c, const struct smtp_message *m);
bool smtp_txn_send(struct smtp_client *c);
bool smtp_txn_give_up(struct smtp_client *c);
void smtp_on_421(struct smtp_client *c);

/* smtp_convert.c
 * smtp_convert_begin(c): The message is converted; its body is next.  Without memory
 * for that the connection ends.
 * smtp_convert_read(c, buf, size): As smtp_client_ops.read(), what it is converted to,
 * from where the last call has ended on; ${size} is MIME_CONVERT_ROOM or more.  If it
 * cannot be converted, all recipients are told, and the connection ends: -1.
 * smtp_convert_end(c): The transaction is over. */
void smtp_convert_begin(struct smtp_client *c);
ssize_t smtp_convert_read(struct smtp_client *c, char *buf, size_t size);
void smtp_convert_end(struct smtp_client *c);

/* smtp_body.c
 * smtp_body_begin(c): Enter SS_BODY.
 * smtp_body_send(c): Put more of the body into the output, which is empty.
 * Return whether there was any.
 * smtp_body_flushed(c): The output is written: if that was the end of the body,
 * the message is sent; if no chunk before it waits for its reply, enter
 * SS_DOT. */
void smtp_body_begin(struct smtp_client *c);
void smtp_body_flushed(struct smtp_client *c);
bool smtp_body_send(struct smtp_client *c);

/* the functions that smtp_state.def names */
smtp_reply_func smtp_on_banner, smtp_on_ehlo, smtp_on_helo, smtp_on_starttls,
    smtp_on_auth, smtp_on_rset, smtp_on_mail, smtp_on_rcpt, smtp_on_data,
    smtp_on_early, smtp_on_dot, smtp_on_quit;

/* smtp_class(c): The first digit of the reply's code. */
static inline int
smtp_class(const struct smtp_client *c)
{
	return c->reader.reply.code / 100;
}

#endif
