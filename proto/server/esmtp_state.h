/* A session and what it consists of; one call of the factory.
 * Owns: the only assignment of a session's state.
 *
 * Ownership: an accept_construct has one message_construct, that has at most
 * one transaction, that has at most one message in the spool.  Nothing inside a
 * step destroys the session: handlers answer, or set is_closing, what they call
 * may set is_dropped, and the factory ends it after they have returned. */

#ifndef PROTO_SERVER_ESMTP_STATE_H
#define PROTO_SERVER_ESMTP_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"
#include "core/util/addr.h"
#include "proto/base/esmtp_begun.h"
#include "proto/base/moment.h"
#include "proto/esmtp_factory.h"
#include "proto/esmtp_reply.h"
#include "proto/options/options.h"
#include "proto/server/esmtp_host_struct.h"
#include "proto/server/esmtp_txn.h"
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

/* What XCLIENT and XFORWARD have said of a client: only where there was one. */
struct esmtp_told {
	ec_sockaddr	 via;		/* the client that has named another ... */
	bool		 is_named;	/* ... with XCLIENT or XREMOTEIP */
	bool		 is_greeted;	/* at ES_SETUP: 250 in place of a banner (XREMOTEIP) */
	char		*text[ESMTP_NATTRIBUTES]; /* NULL: nothing */
};

/* What a verb of the program reads; only while it does. */
struct esmtp_reader {
	esmtp_read_func	 func;		/* NULL: the octets are thrown away */
	void		*closure;
	const char	*name;		/* of the verb */
	size_t		 line_max;	/* 0: octets, not lines */
	uint64_t	 left;		/* octets that may still come */
	int64_t		 since;
	int		 result;	/* ESMTP_VERB_MORE: func goes on */
	bool		 is_answered;	/* the command */
	bool		 is_over;	/* all is read; the answer comes later */
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
	unsigned int		 wait : 7;	/* enum esmtp_wait; esmtp_wait_for() */
	unsigned int		 is_timed : 1;	/* wait_since: the first wait of the command at hand, SINCE_COMMAND */
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

/* esmtp_session_in(ac): The session of ${ac}; NULL: it has had no step yet, and
 * what a listener has put there is the program's, or it is over. */
static inline message_construct *
esmtp_session_in(const accept_construct *ac)
{
	return ac != NULL && ac->protocol == P_ESMTP ?
	    ac->accept_construct_closure.vptr : NULL;
}

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

static inline bool
esmtp_is_reading(const message_construct *mc)
{
	return mc->reader != NULL && !mc->reader->is_over;
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
	bool			 is_overdue;	/* the module that has suspended a phase has not answered in time */
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

/* esmtp_told_clear(told, from, to): Forget those attributes; NULL does nothing. */
void esmtp_told_clear(struct esmtp_told *told, enum esmtp_attribute from,
    enum esmtp_attribute to);

#endif
