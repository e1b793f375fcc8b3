/* What the files of the ESMTP engine share: the session, the transaction, one
 * call of the factory.  No other file includes it.
 *
 * Ownership: an accept_construct has one message_construct, that has at most
 * one transaction, that has at most one message in the spool.  Nothing inside a
 * step destroys the session: handlers answer, or set is_closing, what they call
 * may set is_dropped, and the factory ends it after they have returned. */

#ifndef PROTO_SERVER_ESMTP_INT_H
#define PROTO_SERVER_ESMTP_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"
#include "core/util/addr.h"
#include "proto/base/esmtp_begun.h"
#include "proto/base/moment.h"
#include "proto/base/reply_line.h"
#include "proto/esmtp_factory.h"
#include "proto/esmtp_reply.h"
#include "proto/options/options.h"
#include "proto/parse/esmtp_chunk.h"
#include "proto/parse/esmtp_data.h"
#include "proto/parse/esmtp_header.h"
#include "proto/parse/esmtp_line.h"
#include "proto/server/esmtp_host_struct.h"
#include "proto/validate/validate_context.h"

enum esmtp_state {
#define ESMTP_STATE(id, name, next) id,
#include "proto/server/esmtp_state.def"
#undef ESMTP_STATE
	ES_NSTATES
};

/* What a step of the session leads to. */
enum esmtp_want {
	W_GO,		/* go on with the input at hand */
	W_REFUSED,	/* of esmtp_phase(): answered with the module's reply */
	W_READ,		/* input is used up */
	W_WRITE,	/* the peer must take replies first */
	W_WAIT,		/* for mc->wait */
	W_CLOSE,	/* write what there is and close */
	W_END		/* the peer is gone */
};

/* What a session waits for.  The first of them is where each one starts. */
enum esmtp_wait {
#define ESMTP_WAIT(id, events, since, limit, name, reply, flags, resume) \
	WAIT_##id,
#include "proto/server/esmtp_wait.def"
#undef ESMTP_WAIT
	ESMTP_NWAITS
};

/* What the host or the spool is being asked: what a ticket is for. */
enum esmtp_ask {
	ASK_NONE,
	ASK_RCPT,	/* lookup_rcpt() */
	ASK_COMMIT,
	ASK_AUTH,	/* auth_start(), auth_step() */
	ASK_PEER,	/* peer_changed() */
	ASK_VERB	/* a verb of the program */
};

/* The way to TLS. */
enum esmtp_tls_stage {
	TLS_IDLE,	/* not asked for, or done: ac->tls */
	TLS_GO_AHEAD,	/* the 220 is to be written, below TLS */
	TLS_HANDSHAKE
};

/* Largest reply to one command: room for it is made before the command. */
#define ESMTP_REPLY_MAX		LIM_OUTPUT_LEAST

struct esmtp_auth;
struct esmtp_lmtp;
struct esmtp_submit;
struct esmtp_reader;

/* What XCLIENT and XFORWARD have said of a client: only where there was one. */
struct esmtp_told {
	ec_sockaddr	 via;		/* the client that has named another ... */
	bool		 is_named;	/* ... with XCLIENT or XREMOTEIP */
	bool		 is_greeted;	/* at ES_SETUP: 250 in place of a banner (XREMOTEIP) */
	char		*text[ESMTP_NATTRIBUTES]; /* NULL: nothing */
};

/* The recipients accepted so far: one block of text, and 8 octets for each. */
struct esmtp_rcpts {
	char		*text;		/* each with its NUL, one behind the other */
	uint32_t	*at;		/* where each begins, in the order of RCPT */
	uint32_t	*sorted;	/* the same, by address in any case: finds a repeated one, whatever a client chooses */
	uint32_t	*said;		/* of each, where in the text its parameters are; 0: it has none; NULL: no one has */
	size_t		 n, len;	/* of them; of the text */
	size_t		 text_size, at_size, sorted_size, said_size;
	size_t		*held;		/* the host's sum of what is allocated */
	struct esmtp_client *client;	/* that it counts for, too; NULL: none yet */
};

/* How far the phase for each recipient has come.  Its modules may change the
 * list. */
struct esmtp_each {
	size_t	 at, end;	/* the recipient, and behind the last one */
	char	*rcpt;		/* a copy of it; NULL: none is asked about */
	bool	 is_gone;	/* from the list, and another has its number */
};

/* One mail transaction: from MAIL to the reply after the data. */
struct esmtp_txn {
	struct esmtp_rcpts	 rcpts;
	struct esmtp_each	 each;
	struct spool_msg	*msg;		/* NULL before DATA, and when the spool has taken or lost it */
	uint64_t		 octets;	/* of the message so far */
	int64_t			 started;	/* moment.h */
	int64_t			 data_since;	/* DATA, the first BDAT */
	struct esmtp_data	 data;
	struct esmtp_header	 header;
	struct esmtp_line	 line;
	int			 failure;	/* reply that must follow the data; -1: none yet */
	unsigned int		 env_flags;	/* SPOOL_ENV_* */
	int			 priority;	/* what MAIL has said, as in struct spool_envelope */
	int64_t			 hold_until;
	int64_t			 deliver_by;
	char			*envid;		/* NULL: not said */
	char			*solicit;	/* NULL: not said */
	struct esmtp_lmtp	*lmtp;		/* NULL: it is SMTP */
	struct esmtp_submit	*submit;	/* NULL: the header is not looked at */
	unsigned int		 is_in_body : 1; /* octets of the message come */
	unsigned int		 is_chunked : 1; /* by BDAT, and LAST has not come */
	unsigned int		 has_priority : 1; /* MAIL has said one */
	unsigned int		 is_noted : 1;	/* a CR or LF that stood alone is to be logged */
	unsigned int		 is_rcpt_new : 1; /* the last RCPT has added one to the list */
	unsigned int		 is_answering : 1; /* it is over, but replies of LMTP are left to be written */
	char			 id[SPOOL_ID_MAX + 1];
	char			 sender[];	/* "" for the null reverse-path */
};

/* Octets that a session keeps from one step to the next. */
struct esmtp_kept {
	uint32_t	 size;		/* room for so many */
	uint32_t	 len;
	uint32_t	 at;		/* how far they are done with */
	char		 octets[];
};

/* The session.  Small, for there are many that idle. */
struct _message_construct {
	/* the first member of the context is the same pointer */
	union {
		accept_construct	*ac;
		struct validate_context	 vctx;
	};
	struct esmtp_step	*step;		/* the call in progress */
	struct esmtp_txn	*txn;
	char			*helo;		/* NULL: not greeted */
	struct esmtp_reader	*reader;	/* of a verb: esmtp_own.h; NULL: none */
	struct esmtp_auth	*auth;		/* an exchange: esmtp_auth.h; NULL: none */
	char			*login;		/* NULL: not logged in */
	struct esmtp_told	*told;		/* NULL: nothing */
	struct esmtp_kept	*in;		/* input not processed yet; at: octets of it that hold no LF */
	struct esmtp_kept	*out;		/* replies not written yet; at: octets that are */
	/* times, in one number each: moment.h */
	int64_t			 started;
	int64_t			 idle_since;	/* last octet in or out */
	int64_t			 wait_since;	/* last reply, or begin of a wait */
	int64_t			 seen;		/* the time of the last call */
	int64_t			 trigger;	/* which it has left in the event, 0 for none: esmtp_follow_clock() */
	const event_io_opset	*opset;		/* at TLS_GO_AHEAD: TLS, ... */
	union {
		void	*io_data;	/* ... which is to be the event's */
		uint64_t chunk;		/* in one: octets that are still to come */
	};
	char			*refusal;	/* of this chunk, and of the message's others: a reply line; NULL: none */
	uint32_t		 nmessages;	/* accepted */
	uint32_t		 nrcpts;	/* accepted */
	uint32_t		 nerrors;	/* since the last accepted message */
	uint32_t		 nrejected;	/* reported */
	uint32_t		 nauth_failed;	/* reported, but for the host's own verdicts */
	uint32_t		 extensions;	/* enabled: bit = row of esmtp_exts */
	uint8_t			 verb;		/* the last that was not unknown: esmtp_last_verb() */
	unsigned int		 state : 7;	/* enum esmtp_state */
	unsigned int		 has_dest : 1;	/* a proxy connects, and may say what its client has connected to */
	uint8_t			 need_read;	/* mask a read waits for */
	uint8_t			 need_write;
	uint8_t			 wait;		/* enum esmtp_wait; esmtp_wait_for() */
	uint8_t			 missed;	/* E_* of calls that could not be served: esmtp_call.c */
	unsigned int		 tls_stage : 2;	/* enum esmtp_tls_stage */
	unsigned int		 own : 2;	/* enum esmtp_own: esmtp_own.h */
	unsigned int		 is_esmtp : 1;	/* greeted with EHLO */
	unsigned int		 is_body_refused : 1; /* a verb with VF_BODY was; nothing else has been said since */
	unsigned int		 is_in_chunk : 1; /* BDAT was said: what comes is no command */
	unsigned int		 is_last_chunk : 1;
	unsigned int		 is_chunk_answered : 1; /* nothing is said when all of it has come, but for the refusal */
	unsigned int		 is_swallowing : 1; /* up to the next CRLF */
	unsigned int		 was_cr : 1;	/* the last octet swallowed */
	unsigned int		 is_closing : 1; /* after what is to be written */
	unsigned int		 is_resumed : 1; /* another process has greeted it; policies have not seen it here */
	unsigned int		 is_announced : 1; /* the command at hand, to post_smtp_command; it may be run again */
	unsigned int		 is_hasty : 1;	/* after one attempt to write it: do not wait for the peer */
	unsigned int		 is_dropped : 1; /* esmtp_destroy_message_construct() was called in a step: the peer hears no more */
	union addr		 dest[];	/* if has_dest, one: what the client has connected to, or AF_UNSPEC */
};

/* Has the client that is connected named another one (XCLIENT)?  Then the TLS
 * certificate does not belong to the client that policies ask about. */
static inline bool
esmtp_is_claimed(const message_construct *mc)
{
	return mc->told != NULL && mc->told->is_named;
}

static inline bool
esmtp_is_in_body(const message_construct *mc)
{
	return mc->txn != NULL && mc->txn->is_in_body;
}

static inline bool
esmtp_is_answering(const message_construct *mc)
{
	return mc->txn != NULL && mc->txn->is_answering;
}

/* Do octets come that are no commands? */
static inline bool
esmtp_is_in_data(const message_construct *mc)
{
	return mc->is_in_chunk || esmtp_is_in_body(mc);
}

/* One call of the factory; lives on its stack. */
struct esmtp_step {
	message_construct	*mc;
	accept_construct	*ac;
	Event			*event;
	struct timeval		 now;
	int			 eventtype;
	bool			 may_read;
	bool			 has_more;	/* input follows the command */
	unsigned int		 nreads;
	char			*scratch;	/* host->scratch, or the step's own */
	size_t			 scratch_size;
	size_t			 scratch_used;	/* octets that input was read into */
	char			*in;		/* what is left of the input, in scratch */
	size_t			 in_len;
	size_t			 in_seen;	/* octets of it that hold no LF */
	char			*out;		/* host->output, or the step's own */
	size_t			 out_len;
	size_t			 out_size;
	size_t			 out_line;	/* where the last line begins */
	const char		*verb;		/* being answered, for reports */
	const char		*arg;		/* its argument, in the input */
	size_t			 arg_len;
	unsigned int		 nreplies;	/* to that verb */
	int			 code;		/* of the last reply */
	const char		*line;		/* post_smtp_command is called for it; else NULL */
	size_t			 line_len;
	bool			 is_utf8;	/* SMTPUTF8 was said: the replies may be UTF-8 */
	bool			 is_drain;	/* it is given because the host drains */
	bool			 is_secret;	/* the line may hold a password */
	bool			 was_secret;	/* so may what is left in scratch */
	const struct mailaddr	*addr;		/* of the phase that is run */
	int			 rcpt_status;	/* enum esmtp_rcpt_status of it; -1: not looked up */
	enum esmtp_ask		 asking;	/* while that is called: what a ticket would be for */
	const struct mailaddr	*ask_addr;	/* RCPT: about which */
	bool			 is_in_phase;	/* a module is called */
	bool			 is_asked;	/* a look-up of that module is not answered yet */
};

typedef enum esmtp_want esmtp_handler(struct esmtp_step *st, const char *arg,
    size_t len);
typedef enum esmtp_want esmtp_resume(struct esmtp_step *st);

/* esmtp_ask.c: esmtp_hear(mc): If what the session waits for was answered by a
 * ticket, let it go on. */
void esmtp_hear(message_construct *mc);

/* esmtp_state.c
 * esmtp_enter(mc, state): The same, unless it is there already: a command is run
 * again when one of its phases was suspended.
 * esmtp_settle(mc): A reply has been written, or the next command is at hand:
 * what is awaited now? */
void esmtp_set_state(message_construct *mc, enum esmtp_state state);
void esmtp_enter(message_construct *mc, enum esmtp_state state);
void esmtp_settle(message_construct *mc);

/* esmtp_output.c: answers.  A reply of 4xx or 5xx is counted and reported, 421
 * closes the session after it. */
void esmtp_answering(struct esmtp_step *st, const char *verb, const char *arg,
    size_t len);
/* esmtp_answering_last(st): It is about the last verb still. */
void esmtp_answering_last(struct esmtp_step *st);
void esmtp_reply(struct esmtp_step *st, enum esmtp_reply_id id);
void esmtp_reply_with(struct esmtp_step *st, enum esmtp_reply_id id,
    const char *extra, size_t len);
void esmtp_reply_code(struct esmtp_step *st, int code, const char *str);
void esmtp_reply_line(struct esmtp_step *st, int code, bool is_last,
    const char *text, const char *extra);
/* esmtp_reply_last_words(mc, code, str, buf): Format the reply ${code} of 4xx or
 * 5xx with "x.y.z text" or text.  Return its octets. */
size_t esmtp_reply_last_words(const message_construct *mc, int code,
    const char *str, char buf[LIM_REPLY_LINE]);
/* esmtp_reply_end(st): The line that was written last is the reply's last. */
void esmtp_reply_end(struct esmtp_step *st);
/* esmtp_reply_take_back(st, mark): Take the reply of one line away that is in
 * st->out from ${mark} on.  Return the line, which is the caller's to free, or
 * NULL (ENOMEM): it is lost.
 * esmtp_reply_give_back(st, line): Write it: it was counted and reported
 * before. */
char *esmtp_reply_take_back(struct esmtp_step *st, size_t mark);
void esmtp_reply_give_back(struct esmtp_step *st, const char *line);
int esmtp_errno_reply(int errnum);
void esmtp_report(struct esmtp_step *st, struct esmtp_report *r);
void esmtp_bye(struct esmtp_step *st);
enum esmtp_want esmtp_gone(struct esmtp_step *st, int errnum);

/* esmtp_flush(st): Write replies.  Return W_GO: all are written, W_WRITE: some
 * are kept, W_END: the peer is gone. */
enum esmtp_want esmtp_flush(struct esmtp_step *st);

/* esmtp_input.c */
enum esmtp_want esmtp_fill(struct esmtp_step *st);
enum esmtp_want esmtp_consume(struct esmtp_step *st);
esmtp_resume esmtp_room_resume;
void esmtp_load_input(struct esmtp_step *st);
int esmtp_save_input(struct esmtp_step *st);
void esmtp_drop_input(message_construct *mc);

/* esmtp_command.c
 * esmtp_command(st, line, len, has_more): One line without its CRLF;
 * ${has_more}: input follows it.
 * esmtp_input_refused(st, flags): What was refused may be a verb behind which
 * data come, by ${flags} (VF_CHUNK, VF_BODY; 0: it is none): they are not run.
 */
enum esmtp_want esmtp_command(struct esmtp_step *st, const char *line,
    size_t len, bool has_more);
void esmtp_input_refused(struct esmtp_step *st, unsigned int flags);

/* esmtp_body.c
 * esmtp_body(st): Octets after 354.
 * esmtp_body_begin(st, id_r): DATA or the first BDAT of a message: its phases,
 * then the message in the spool.  Return W_GO with RPL_DATA or the refusal in
 * *id_r; W_REFUSED (a module's reply is given), W_WAIT.
 * esmtp_body_end(st): It is complete; its last phases, the commit, the reply.
 * esmtp_body_finish(st): The same again, when a phase was suspended. */
enum esmtp_want esmtp_body(struct esmtp_step *st);
enum esmtp_want esmtp_body_begin(struct esmtp_step *st,
    enum esmtp_reply_id *id_r);
enum esmtp_want esmtp_body_end(struct esmtp_step *st);
enum esmtp_want esmtp_body_finish(struct esmtp_step *st);

/* esmtp_text.c
 * esmtp_text_begin(st): Before the first octet of the message; its transaction
 * has is_chunked, if it comes by BDAT.
 * esmtp_text_room(st): How many octets of it may be taken now; SIZE_MAX: any.
 * esmtp_text(st, buf, len): Take some of the next octets (${len} > 0).  Return
 * their number, which is not 0; to be repeated until all are taken or the end of
 * DATA was among them.
 * esmtp_text_fail(mc, reply): The message cannot be accepted any more: ${reply}
 * answers its end.
 * esmtp_text_end(st): It is complete: the failure of the transaction says whether
 * the options refuse it. */
void esmtp_text_begin(struct esmtp_step *st);
size_t esmtp_text_room(struct esmtp_step *st);
size_t esmtp_text(struct esmtp_step *st, const char *buf, size_t len);
void esmtp_text_fail(message_construct *mc, int reply);
void esmtp_text_end(struct esmtp_step *st);
esmtp_resume esmtp_commit_resume;

/* esmtp_submit.c: what is done to the header.
 * esmtp_submit_begin(st): The message begins: if something is, get what it needs.
 * 0, or -1: ENOMEM.
 * esmtp_submit_piece(st, piece, len): What esmtp_header_next() has returned, before
 * it is passed on: fields may be added before it.
 * esmtp_submit_end(st): There is no more of it.  Both: RPL_OK, or the refusal of
 * the message. */
int esmtp_submit_begin(struct esmtp_step *st);
enum esmtp_reply_id esmtp_submit_piece(struct esmtp_step *st,
    const char *piece, size_t len);
enum esmtp_reply_id esmtp_submit_end(struct esmtp_step *st);

/* esmtp_lmtp.c: LMTP.
 * esmtp_lmtp_begin(st, t): ${t} begins: in a session of LMTP, get what it needs.
 * 0, or -1: ENOMEM.
 * esmtp_lmtp_free(l): NULL does nothing.
 * esmtp_lmtp_octets(l): The memory its recipients take; 0 for NULL.
 * esmtp_lmtp_count_for(l, client): From now on it counts for ${client}, as the
 * recipients of the transaction do.  NULL, of either, does nothing.
 * esmtp_lmtp_count(l): How many RCPT were accepted; 0 for NULL.
 * esmtp_lmtp_accept(l, addr): RCPT is accepted: there will be a reply for it
 * behind the message.  NULL does nothing.  -1: ENOMEM.
 * esmtp_lmtp_refuse(st, mark, rcpt): The reply that is in st->out from ${mark} on
 * is for ${rcpt} alone.  1: it is given with those for the others; 0: no RCPT has
 * named ${rcpt}, which a policy has added, and the reply is still there; -1,
 * ENOMEM: it is lost.
 * esmtp_lmtp_is_complete(l): Has each RCPT that was accepted a reply of its own?
 * False for NULL.
 * esmtp_lmtp_answer(st, mark): The reply that is in st->out from ${mark} on
 * answers the message; there may be none where the list is complete.  True: it is for each recipient that has none of its own,
 * esmtp_lmtp_next() writes them, and the transaction ends with the last one.
 * False: it is SMTP, or the session ends.
 * esmtp_lmtp_next(st): Write the next one.  Return whether there are more. */
int esmtp_lmtp_begin(struct esmtp_step *st, struct esmtp_txn *t);
void esmtp_lmtp_free(struct esmtp_lmtp *l);
size_t esmtp_lmtp_octets(const struct esmtp_lmtp *l);
void esmtp_lmtp_count_for(struct esmtp_lmtp *l, struct esmtp_client *client);
size_t esmtp_lmtp_count(const struct esmtp_lmtp *l);
int esmtp_lmtp_accept(struct esmtp_lmtp *l, const char *addr);
int esmtp_lmtp_refuse(struct esmtp_step *st, size_t mark, const char *rcpt);
bool esmtp_lmtp_is_complete(const struct esmtp_lmtp *l);
bool esmtp_lmtp_answer(struct esmtp_step *st, size_t mark);
bool esmtp_lmtp_next(struct esmtp_step *st);

/* esmtp_bdat.c
 * esmtp_chunk_begin(st, mark, arg, len): BDAT with the argument ${arg} was
 * dispatched; its reply, if there is one yet, is in st->out from ${mark} on.  What
 * comes next is its chunk.
 * esmtp_chunk(st): Octets of it. */
void esmtp_chunk_begin(struct esmtp_step *st, size_t mark, const char *arg,
    size_t len);
enum esmtp_want esmtp_chunk(struct esmtp_step *st);

/* esmtp_move.c: esmtp_move(st): The service is configured anew, and the session
 * is between two commands: does the host have it go on elsewhere? */
bool esmtp_move(struct esmtp_step *st);

/* esmtp_session.c
 * esmtp_session_begin(ac, now): Its first step.  NULL: ENOMEM.
 * esmtp_session_end(st): Close, report the end, free the session.
 * esmtp_session_end_here(st): It goes on elsewhere: that is no end to report.
 * esmtp_session_refuse(st): There is no memory for a session: say so, unless TLS
 * or a PROXY header would come first, and close.
 * These three always return 0, and leave session_end() to the caller. */
message_construct *esmtp_session_begin(accept_construct *ac,
    const struct timeval *now);
int esmtp_session_end(struct esmtp_step *st);
int esmtp_session_end_here(struct esmtp_step *st);
int esmtp_session_refuse(struct esmtp_step *st);

/* esmtp_factory.c
 * esmtp_run_step(st): One step of the session.  Return the mask to wait for, or
 * 0: it is over. */
int esmtp_run_step(struct esmtp_step *st);
esmtp_resume esmtp_setup_resume, esmtp_policy_resume, esmtp_rcpt_resume;

#define WF_IDLE		0x01	/* Idle_Time holds as well: it is the client's turn */

/* esmtp_wait.c: the rows of esmtp_wait.def, which explains the columns. */
struct esmtp_wait_row {
	int			 events;
	enum { SINCE_BEGIN, SINCE_REPLY, SINCE_OCTET } since;
	size_t			 option;	/* the limit: its offset; 0: ${seconds} */
	int64_t			 seconds;	/* 0: no limit */
	const char		*name;
	enum esmtp_reply_id	 reply;		/* ESMTP_NREPLIES: none */
	unsigned int		 flags;		/* WF_* */
	esmtp_resume		*resume;
};

extern const struct esmtp_wait_row esmtp_wait_rows[ESMTP_NWAITS];

/* esmtp_wait_for(st, what): The session waits for ${what} now; its time begins,
 * unless it waited for that before.  WAIT_WRITE: for nothing, but that the
 * client takes what replies there are.  Return W_WAIT. */
enum esmtp_want esmtp_wait_for(struct esmtp_step *st, enum esmtp_wait what);

/* esmtp_is_in_phase(mc): Is a phase suspended?
 * esmtp_is_waiting(mc): Is there an answer of the host or of a module that has
 * not come yet?
 * esmtp_wait_row(mc): The row that holds now: that of mc->wait, or of
 * WAIT_WRITE while the client is to take replies and no such answer is
 * awaited. */
static inline bool
esmtp_is_in_phase(const message_construct *mc)
{
	return mc->wait == WAIT_POLICY || mc->wait == WAIT_RCPT;
}

bool esmtp_is_waiting(const message_construct *mc);
const struct esmtp_wait_row *esmtp_wait_row(const message_construct *mc);

/* esmtp_wait_mask(mc): What the factory returns.
 * esmtp_deadline(mc, when_r, which_r): When the nearest limit passes, and its
 * name.  esmtp_is_expired(mc, now, which_r): Has it? */
int esmtp_wait_mask(const message_construct *mc);
void esmtp_deadline(const message_construct *mc, struct timeval *when_r,
    const char **which_r);
bool esmtp_is_expired(const message_construct *mc, const struct timeval *now,
    const char **which_r);

/* esmtp_follow_clock(mc, event, now): A call of the factory begins.  If the
 * caller's clock was set since the last one, the session's times move along, so
 * that no limit passes early or late:  the owner of the clock has moved the
 * trigger of the event, as the scheduler does.  If not, a time before that of the
 * last call tells as much. */
void esmtp_follow_clock(message_construct *mc, const Event *event,
    const struct timeval *now);

/* esmtp_tls.c
 * esmtp_forget(mc): Forget what the client has said (RFC 3207 4.2). */
void esmtp_forget(message_construct *mc);
/* esmtp_tls_may_start(mc): RPL_OK, or how STARTTLS is refused. */
enum esmtp_reply_id esmtp_tls_may_start(const message_construct *mc);
/* esmtp_tls_begin(st): Implicit TLS.  esmtp_tls_step(st): Go on, when
 * mc->tls_stage is not TLS_IDLE.  Return W_GO (ac->tls is set, what the client
 * said before is forgotten), W_WAIT, W_WRITE, W_END. */
enum esmtp_want esmtp_tls_begin(struct esmtp_step *st);
enum esmtp_want esmtp_tls_step(struct esmtp_step *st);
/* esmtp_tls_failed(st, why, errnum): Report it; always W_END. */
enum esmtp_want esmtp_tls_failed(struct esmtp_step *st, const char *why,
    int errnum);
/* esmtp_tls_end(ac): The session is over: the host frees what it has kept. */
void esmtp_tls_end(accept_construct *ac);
/* esmtp_tls_raise(mc): At TLS_GO_AHEAD, give the event its TLS. */
void esmtp_tls_raise(message_construct *mc);

/* esmtp_proxy.c: esmtp_proxy_hear(mc): Take an answer to peer_changed() by its
 * ticket.  _proxy, _judged: read the PROXY header; then hear whether the host
 * lets the client in.  W_GO, W_WAIT, W_CLOSE, W_END.
 * esmtp_peer_claim(st, peer): The client speaks for another one, at ${peer},
 * NULL: at the address that it has: the session goes back to its set-up, and
 * its counts begin anew. */
void esmtp_peer_claim(struct esmtp_step *st, const struct sockaddr *peer);
void esmtp_proxy_hear(message_construct *mc);
enum esmtp_want esmtp_proxy(struct esmtp_step *st);
enum esmtp_want esmtp_proxy_judged(struct esmtp_step *st);

/* esmtp_txn.c */
struct esmtp_txn *esmtp_txn_new(struct esmtp_host *host,
    const struct mailaddr *sender, const struct timeval *now);
void esmtp_txn_reset(message_construct *mc);
/* esmtp_txn_end(st, mark): The reply that is in st->out from ${mark} on answers the
 * message: the transaction is over; in LMTP, with the replies that are left. */
void esmtp_txn_end(struct esmtp_step *st, size_t mark);
/* esmtp_txn_is_late(t, now): Has the time passed after which it is to go back,
 * and not to be delivered?  RFC 2852 4. */
bool esmtp_txn_is_late(const struct esmtp_txn *t, const struct timeval *now);
/* esmtp_txn_commit(st): Give the message to the spool, which answers later.
 * Return 0, or -1 with errno. */
int esmtp_txn_commit(struct esmtp_step *st);
/* esmtp_told_clear(told, from, to): Forget those attributes; NULL does nothing. */
void esmtp_told_clear(struct esmtp_told *told, enum esmtp_attribute from,
    enum esmtp_attribute to);

/* esmtp_rcpts.c
 * esmtp_rcpts_get(r, i): Recipient number ${i}, valid until the next change.
 * esmtp_rcpts_octets(r): The memory they take.
 * esmtp_rcpts_add(r, addr, is_unique): Return 1 when added, 0 when it was there
 * (with ${is_unique}), -1: ENOMEM.
 * esmtp_rcpts_remove(r, addr): Remove the first one that is ${addr} in any case
 * of its letters; return its old number, or -1 with errno ENOENT: there is none,
 * or ENOMEM: it is not known (one that is written as ${addr} is removed in any
 * case).
 * esmtp_rcpts_find(r, addr, first_r, end_r): Those that are ${addr} in any case of
 * its letters: 1, and in the order of addresses they are *${first_r} to before
 * *${end_r}; 0: there is none; -1: ENOMEM.
 * esmtp_rcpts_number(r, i): The number of the one that is at ${i} in the order of
 * addresses.
 * esmtp_rcpts_say(r, notify, orcpt): Note what RCPT has said of the one that was
 * added last; ${orcpt} is "" when it was not said.  0, or -1: ENOMEM.
 * esmtp_rcpts_said(r, i, orcpt_r): Return SPOOL_NOTIFY_* of number ${i}, 0: not
 * said; *orcpt_r is NULL or valid until the next change. */
static inline char *
esmtp_rcpts_get(const struct esmtp_rcpts *r, size_t i)
{
	return r->text + r->at[i];
}

size_t esmtp_rcpts_octets(const struct esmtp_rcpts *r);
int esmtp_rcpts_add(struct esmtp_rcpts *r, const char *addr, bool is_unique);
int esmtp_rcpts_remove(struct esmtp_rcpts *r, const char *addr);
int esmtp_rcpts_find(const struct esmtp_rcpts *r, const char *addr,
    size_t *first_r, size_t *end_r);
size_t esmtp_rcpts_number(const struct esmtp_rcpts *r, size_t i);
void esmtp_rcpts_clear(struct esmtp_rcpts *r);
int esmtp_rcpts_say(struct esmtp_rcpts *r, unsigned int notify,
    const char *orcpt);
unsigned int esmtp_rcpts_said(const struct esmtp_rcpts *r, size_t i,
    const char **orcpt_r);

/* esmtp_client.c
 * esmtp_client_has_room(mc): Does the share of the client allow that the
 * recipients of this transaction become more?  From the first call on they count
 * for it.
 * esmtp_client_leave(host, r): ${r}, which was cleared, counts no more. */
bool esmtp_client_has_room(message_construct *mc);
void esmtp_client_leave(struct esmtp_host *host, struct esmtp_rcpts *r);

/* esmtp_phase.c
 * esmtp_phase(st, phase, str, addr): Run the modules.  Return W_GO, W_REFUSED (the reply is given) or W_WAIT (call again when it is over).
 * A command with several phases is run again as a whole when one of them was
 * suspended: for those before it, which are over, this is W_GO.
 * esmtp_phase_in(st, state, phase, addr): The same in a state of its own, if any
 * module wants the phase.
 * esmtp_phase_is_wanted(phase): Does any?
 * esmtp_is_suspended(mc, phase): Is the command run again because of it?
 * esmtp_phase_end(st): It is over, or given up.
 * esmtp_hook_end(st, is_done): A hook of a phase was called: W_GO, or W_REFUSED,
 * with ${is_done} by the code that it has set, and if it has ended the session. */
static inline bool
esmtp_is_suspended(const message_construct *mc, enum validate_phase phase)
{
	return mc->vctx.suspended == phase + 1;
}

void esmtp_phase_end(struct esmtp_step *st);
bool esmtp_phase_is_wanted(enum validate_phase phase);
enum esmtp_want esmtp_hook_end(struct esmtp_step *st, bool is_done);
enum esmtp_want esmtp_phase_in(struct esmtp_step *st, enum esmtp_state state,
    enum validate_phase phase, const struct mailaddr *addr);
enum esmtp_want esmtp_phase(struct esmtp_step *st, enum validate_phase phase,
    const char *str, const struct mailaddr *addr);

/* esmtp_names.c: what Banner_Hostname and Received_Hostname say, or the host's */
const char *esmtp_banner_hostname(const struct esmtp_options *o);
const char *esmtp_received_hostname(const struct esmtp_options *o);

#endif
