/* Waiting: what a session waits for, and how long. */

#ifndef PROTO_SERVER_ESMTP_WAIT_H
#define PROTO_SERVER_ESMTP_WAIT_H

#include "proto/server/esmtp_state.h"

#define WF_IDLE		0x01	/* Idle_Time holds as well: it is the client's turn */

/* esmtp_wait.c: the rows of esmtp_wait.def, which explains the columns. */
struct esmtp_wait_row {
	int			 events;
	enum { SINCE_BEGIN, SINCE_COMMAND, SINCE_REPLY, SINCE_OCTET,
	    SINCE_DATA } since;
	size_t			 option;	/* the limit: its offset; 0: ${seconds} */
	int64_t			 seconds;	/* 0: no limit */
	const char		*name;
	enum esmtp_reply_id	 reply;		/* ESMTP_NREPLIES: none */
	unsigned int		 flags;		/* WF_* */
	esmtp_resume		*resume;
};

extern const struct esmtp_wait_row esmtp_wait_rows[ESMTP_NWAITS];

/* esmtp_wait_for(st, what): The session waits for ${what} now; its time begins,
 * unless it waited for that before, or, with SINCE_COMMAND, for anything such in
 * this command.  WAIT_WRITE: for nothing, but that the client takes what replies
 * there are.  Return W_WAIT.
 * esmtp_wait_over(mc): The command at hand, or the exchange, has ended. */
enum esmtp_want esmtp_wait_for(struct esmtp_step *st, enum esmtp_wait what);
static inline void
esmtp_wait_over(message_construct *mc)
{
	mc->is_timed = 0;
}

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

/* esmtp_is_answer_late(mc, now): Are modules asked about a message that had come in
 * full LIM_MESSAGE_SECONDS before ${now} (moment.h) or earlier?  Its client is about
 * to give up (RFC 5321 4.5.3.2.6), and would send again what is accepted later. */
bool esmtp_is_answer_late(const message_construct *mc, int64_t now);

/* esmtp_is_command_late(mc, now): Has the command at hand waited for modules, and
 * for what they look up, for LIM_POLICY_SECONDS?  It waits no more then. */
bool esmtp_is_command_late(const message_construct *mc, int64_t now);

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

/* What goes on, by esmtp_wait.def, is everywhere.
 * esmtp_auth_resume(st): An exchange is in progress: go on with what the host
 * or policy has said.  W_GO, or W_WAIT while they have not. */
esmtp_resume esmtp_setup_resume, esmtp_policy_resume, esmtp_rcpt_resume,
    esmtp_own_resume, esmtp_auth_resume, esmtp_commit_resume, esmtp_room_resume;

#endif
