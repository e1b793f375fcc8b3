/* Replies: the table, and the one place that writes a reply line.
 * Owns: the form of a reply (RFC 5321 4.2), what may not stand in it.
 * Knows nothing of sessions. */

#ifndef PROTO_SERVER_ESMTP_REPLY_H
#define PROTO_SERVER_ESMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

enum esmtp_reply_id {
#define ESMTP_REPLY(id, code, enhanced, text) id,
#include "proto/server/esmtp_reply.def"
#undef ESMTP_REPLY
	ESMTP_NREPLIES
};

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
};

/* esmtp_reply_format(line, buf, buflen): Write ${line} with its CRLF, cut to
 * LIM_REPLY_LINE octets; controls and 8-bit octets become '?', so that nothing
 * a client sent can end the line.  Return octets written, 0 if ${buflen} is
 * smaller than what there is to write. */
size_t esmtp_reply_format(const struct esmtp_reply_line *line, char *buf,
    size_t buflen);

/* esmtp_reply_row_format(id, buf, buflen): The same for a row of the table, as
 * a client that has no session yet gets it: with its enhanced code. */
size_t esmtp_reply_row_format(enum esmtp_reply_id id, char *buf,
    size_t buflen);

/* esmtp_reply_split(str, code, &text_r, enhanced_r): ${str} is "x.y.z text" or
 * text: put the status into ${enhanced_r} (the default for ${code} if it has
 * none that fits the class), and point *text_r at the rest. */
#define ESMTP_ENHANCED_MAX	12	/* "5.999.999" and a NUL */
void esmtp_reply_split(const char *str, int code, const char **text_r,
    char enhanced_r[ESMTP_ENHANCED_MAX]);

#endif
