/* What the files that take a message share. */

#ifndef PROTO_MESSAGE_ESMTP_MESSAGE_INT_H
#define PROTO_MESSAGE_ESMTP_MESSAGE_INT_H

#include "proto/message/esmtp_message.h"

/* esmtp_text.c
 * esmtp_text_begin(st): Before the first octet of the message; its transaction
 * has is_chunked, if it comes by BDAT.
 * esmtp_text(st, buf, len): Take some of the next octets (${len} > 0).  Return
 * their number, which is not 0; to be repeated until all are taken or the end of
 * DATA was among them.
 * esmtp_text_fail(mc, reply): The message cannot be accepted any more: ${reply}
 * answers its end.
 * esmtp_text_end(st): It is complete: the failure of the transaction says whether
 * the options refuse it. */
void esmtp_text_begin(struct esmtp_step *st);
size_t esmtp_text(struct esmtp_step *st, const char *buf, size_t len);
void esmtp_text_fail(message_construct *mc, int reply);
void esmtp_text_end(struct esmtp_step *st);

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

#endif
