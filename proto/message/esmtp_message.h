/* The octets of a message: DATA and BDAT, up to the reply behind them.
 * Knows nothing of what else is read. */

#ifndef PROTO_MESSAGE_ESMTP_MESSAGE_H
#define PROTO_MESSAGE_ESMTP_MESSAGE_H

#include "proto/server/esmtp_state.h"

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

/* esmtp_bdat.c
 * esmtp_chunk_begin(st, mark, arg, len): BDAT with the argument ${arg} was
 * dispatched; its reply, if there is one yet, is in st->out from ${mark} on.  What
 * comes next is its chunk.
 * esmtp_chunk(st): Octets of it. */
void esmtp_chunk_begin(struct esmtp_step *st, size_t mark, const char *arg,
    size_t len);
enum esmtp_want esmtp_chunk(struct esmtp_step *st);

/* esmtp_text.c: esmtp_text_room(st): How many octets of the message may be taken
 * now; SIZE_MAX: any. */
size_t esmtp_text_room(struct esmtp_step *st);

#endif
