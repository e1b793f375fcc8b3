/* The length of the lines of a message that streams by (RFC 5322 2.1.1: at most
 * 998 octets without CRLF).
 * Owns: what a line that is too long becomes.
 * Looks at no octet more than twice, and holds back none.  Any fragmentation of
 * the input gives the same message. */

#ifndef PROTO_PARSE_ESMTP_LINE_H
#define PROTO_PARSE_ESMTP_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ESMTP_LINE_MAX		998	/* octets */
#define ESMTP_LINE_BREAK	"\r\n "	/* in a header, this folds the field (RFC 5322 2.2.3) */

struct esmtp_line {
	uint16_t	column;		/* octets of the line so far */
	uint8_t		policy;		/* ESMTP_LINE_*: esmtp_options.h */
	bool		has_cr;		/* and then a CR, which may be of its end */
	bool		is_long;	/* there was a line of more octets */
	bool		is_due;		/* it is broken before the next octet that is no blank, if that is of the line */
	bool		is_broken;	/* the next piece is the break */
};

/* esmtp_line_next(l, buf, len, &piece_r, &piece_len_r): Read from ${buf}
 * (${len} > 0) and point *piece_r at the next octets of the message, which lie in
 * ${buf} or are ESMTP_LINE_BREAK.  ${l} starts zeroed but for the policy.  Return
 * octets used, 0 for the break; to be repeated until all is used.
 * A line ends at LF, as it does for the agent that delivers the message.  With
 * ESMTP_LINE_FIX a break is put before the octet that would make the line too
 * long, and not within a character of UTF-8.  Blanks there are left out: behind
 * a break, those at the end of a line would be a line of blanks alone, which
 * some take for the end of a header. */
size_t esmtp_line_next(struct esmtp_line *l, const char *buf, size_t len,
    const char **piece_r, size_t *piece_len_r);

#endif
