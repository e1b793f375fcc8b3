/* A reply as octets: the rows of esmtp_reply.def, and a line made of one.
 * Knows nothing of sessions. */

#ifndef PROTO_BASE_REPLY_LINE_H
#define PROTO_BASE_REPLY_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/esmtp_reply.h"

struct esmtp_reply_row {
	int		 code;
	const char	*enhanced;	/* "" or x.y.z */
	const char	*text;
	size_t		 text_len;
};

extern const struct esmtp_reply_row esmtp_reply_rows[ESMTP_NREPLIES];

/* One reply line as it is to be written. */
struct esmtp_reply_line {
	int		 code;		/* 200 to 599 */
	bool		 is_last;	/* false: another line of the reply follows */
	const char	*enhanced;	/* NULL or "": none */
	const char	*text;
	size_t		 text_len;
	const char	*extra;		/* NULL, or appended after a space */
	size_t		 extra_len;
	bool		 is_utf8;	/* the client has said SMTPUTF8 */
};

/* esmtp_reply_format(line, buf, buflen): Write ${line} with its CRLF, cut to
 * LIM_REPLY_LINE octets; controls and 8-bit octets become '?', so that nothing
 * a client sent can end the line, but for visible characters of UTF-8 where the
 * client has asked for them.  Return octets written, 0 if ${buflen} is
 * smaller than what there is to write. */
size_t esmtp_reply_format(const struct esmtp_reply_line *line, char *buf,
    size_t buflen);

/* esmtp_reply_enhanced(s, class): Octets of the enhanced code "x.y.z" that the
 * NUL terminated ${s} begins with, whose class is ${class}; 0: there is none. */
size_t esmtp_reply_enhanced(const char *s, int class);

/* esmtp_reply_split(str, code, &text_r, enhanced_r): ${str} is "x.y.z text" or
 * text: put the status into ${enhanced_r} (the default for ${code} if it has
 * none that fits the class), and point *text_r at the rest. */
#define ESMTP_ENHANCED_MAX	12	/* "5.999.999" and a NUL */
void esmtp_reply_split(const char *str, int code, const char **text_r,
    char enhanced_r[ESMTP_ENHANCED_MAX]);

#endif
