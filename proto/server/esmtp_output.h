/* Answers: the replies of a session on their way to the client.
 * Owns: their form, the report of a refusal. */

#ifndef PROTO_SERVER_ESMTP_OUTPUT_H
#define PROTO_SERVER_ESMTP_OUTPUT_H

#include "proto/base/reply_line.h"
#include "proto/server/esmtp_state.h"

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

/* esmtp_names.c: what Banner_Hostname and Received_Hostname say, or the host's */
const char *esmtp_banner_hostname(const struct esmtp_options *o);
const char *esmtp_received_hostname(const struct esmtp_options *o);

#endif
