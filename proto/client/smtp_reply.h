/* Replies of a next hop, read as they come (RFC 5321 4.2).
 * Owns: what a reply is, and what is no reply; the words in it, made harmless.
 * Knows nothing of what was asked.
 *
 * The octets are hostile.  A reader takes LIM_CLIENT_LINE octets of a line and
 * LIM_CLIENT_WORDS of a reply, and gives a reply up that is longer than
 * LIM_CLIENT_REPLY; how long one may take is for its caller to bound.
 * Any fragmentation of the input gives the same replies. */

#ifndef PROTO_CLIENT_SMTP_REPLY_H
#define PROTO_CLIENT_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/lim.h"
#include "proto/base/reply_line.h"

struct smtp_reply {
	int		 code;		/* 200 to 599; 0: not known yet */
	char		 enhanced[ESMTP_ENHANCED_MAX]; /* of the first line that has one; "": none */
	char		 words[LIM_CLIENT_WORDS + 1]; /* of all lines, a space between two; UTF-8 without controls */
	size_t		 nwords;	/* octets */
	unsigned int	 nlines;
};

enum smtp_read {
	SMTP_READ_MORE,		/* all octets are used, the line goes on */
	SMTP_READ_LINE,		/* a line of the reply, not the last one */
	SMTP_READ_REPLY,	/* the last line: the reply is whole */
	SMTP_READ_BAD		/* this is no reply: smtp_reader_why() */
};

struct smtp_reader {
	struct smtp_reply	 reply;
	char			 line[LIM_CLIENT_LINE + 1]; /* without its end */
	size_t			 len;
	size_t			 octets;	/* of the reply so far */
	bool			 is_cut;	/* the line was longer */
	bool			 has_cr;	/* the last octet was CR */
	bool			 is_line_done;	/* the next octet begins another line ... */
	bool			 is_reply_done;	/* ... and another reply */
	const char		*why;
};

/* smtp_reader_init(r): Ready for the first reply.  No memory is allocated. */
void smtp_reader_init(struct smtp_reader *r);

/* smtp_reader_next(r, buf, len, used_r): Read from ${buf} (${len} > 0) to the
 * end of a line, or all of it; *${used_r} is the number of octets used.  After
 * SMTP_READ_LINE and SMTP_READ_REPLY the line and the reply are valid until the
 * next call; after SMTP_READ_BAD there must be none. Refused are: a line
 * without a code or with another one than the line before it (RFC 5321 4.2.1),
 * one that ends in LF or has CR alone (RFC 5321 2.3.8), NUL, and a reply that
 * is too long. */
enum smtp_read smtp_reader_next(struct smtp_reader *r, const char *buf,
    size_t len, size_t *used_r);

/* smtp_reader_text(r, len_r): What the line says behind its code, as it was
 * sent, NUL terminated: a keyword of EHLO, a challenge of AUTH.
 * smtp_reader_why(r): What is wrong, after SMTP_READ_BAD. */
const char *smtp_reader_text(const struct smtp_reader *r, size_t *len_r);
const char *smtp_reader_why(const struct smtp_reader *r);

/* smtp_reader_is_empty(r): Has no octet of another reply come yet? */
bool smtp_reader_is_empty(const struct smtp_reader *r);

#endif
