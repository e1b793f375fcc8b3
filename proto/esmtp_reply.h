/* Replies: the table of all that this server says, by id.
 * Knows nothing of sessions. */

#ifndef PROTO_ESMTP_REPLY_H
#define PROTO_ESMTP_REPLY_H

#include <stddef.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

enum esmtp_reply_id {
#define ESMTP_REPLY(id, code, enhanced, text) id,
#include <mailmill/esmtp_reply.def>
#undef ESMTP_REPLY
	ESMTP_NREPLIES
};

/* esmtp_reply_row_format(id, buf, buflen): The line, with its enhanced code and
 * CRLF, as it is sent to a client that has no session yet.  Return octets
 * written, 0 if ${buflen} is too small. */
size_t esmtp_reply_row_format(enum esmtp_reply_id id, char *buf,
    size_t buflen);

MAILMILL_END

#endif
