/* Verbs of the program: registered ones, and its functions in the place of
 * built-in ones; what they read.
 * Owns: what becomes of what these functions return.
 * Knows nothing of the checks before them: esmtp_command.c. */

#ifndef PROTO_COMMAND_ESMTP_OWN_H
#define PROTO_COMMAND_ESMTP_OWN_H

#include "proto/server/esmtp_verb.h"

/* How far the program's function for the command at hand has come, which may be
 * run again. */
enum esmtp_own {
	OWN_NONE,	/* it was not called */
	OWN_LATER,	/* its answer comes by a ticket */
	OWN_BUILTIN	/* the built-in verb is to act */
};

/* esmtp_own_run(st, e, arg, len, &want_r): Call the function of ${e} for the
 * command at hand, or take the answer that it has given later.  False: the
 * command was answered, or *want_r says what is waited for; true: the built-in
 * verb is to act.
 * esmtp_own_returned(st, result): What the verb has read has come to ${result}.
 * esmtp_own_stop(mc): It reads no more, and is told.
 * esmtp_own_lines_left(st): The client will send what is no command, and nobody
 * knows how much: the session ends.
 * esmtp_own_has_answered(st): Has the verb said in this call what the client
 * waits for?  A reply of 3xx asks for more. */
bool esmtp_own_run(struct esmtp_step *st, const struct esmtp_extension *e,
    const char *arg, size_t len, enum esmtp_want *want_r);
enum esmtp_want esmtp_own_returned(struct esmtp_step *st, int result);
void esmtp_own_stop(message_construct *mc);
void esmtp_own_lines_left(struct esmtp_step *st);
bool esmtp_own_has_answered(const struct esmtp_step *st);

/* What a function may do now: answer with ${code}; read; log in: RPL_OK,
 * RPL_AUTH_AGAIN, RPL_BAD_SEQUENCE (there is a transaction), or another:
 * never. */
bool esmtp_own_may_reply(const message_construct *mc, int code);
bool esmtp_own_may_read(const message_construct *mc);
enum esmtp_reply_id esmtp_own_may_log_in(const message_construct *mc);

/* esmtp_read.c: esmtp_read(st): Pass input on to the verb that reads it.
 * esmtp_read_size(st): How much may be read now. */
enum esmtp_want esmtp_read(struct esmtp_step *st);
size_t esmtp_read_size(const struct esmtp_step *st);

#endif
