/* A message that streams by, converted for a next hop that does not take it as it is:
 * into 7-bit MIME (RFC 6152 3), or a binary one into 8-bit text (RFC 3030 3).
 * Owns: the structure of the message (RFC 2046), and which part is changed how.
 * Knows nothing of sessions.  Any fragmentation of the input gives the same octets.
 *
 *  - Text becomes quoted-printable, other content and what is declared as binary base64.
 *    The field Content-Transfer-Encoding says so, in its place; where there is none, it
 *    is added.  A multipart or message that was declared as 8bit or binary is declared as
 *    what it has become.
 *  - What is declared as 7bit, or not at all, is changed if it is not: the begin of each
 *    such part is held back until that is known, up to a bound.  Behind that, what is
 *    declared as 7bit stays as it is: most of it is so, and has a signature perhaps; what
 *    is not declared is encoded.  Text without the fields of MIME gets
 *    them, with the character set unknown-8bit (RFC 1428 3).
 *  - What is ignored, before the first and behind the last part of a multipart, has "?"
 *    for each octet that may not be sent; but not if there is no part.
 *  - What must not be changed (multipart/signed, message/partial), what is encoded
 *    already and what cannot be read stays as it is, to the octet.  If it has octets that
 *    may not be sent, the message cannot be converted; neither can one whose header
 *    fields have some.
 *
 * The memory is bounded (LIM_MIME_HELD, LIM_MIME_DEPTH), the time is proportional to the
 * length, whatever the message is. */

#ifndef PROTO_MIME_MIME_CONVERT_H
#define PROTO_MIME_MIME_CONVERT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

struct mime_convert;

struct mime_convert_options {
	bool	is_binary;	/* CR and LF may stand alone, NUL and lines of any length may be there (BODY=BINARYMIME); else CR or LF alone is the end of a line */
	bool	takes_8bit;	/* the next hop does: only what is binary is changed */
	bool	takes_utf8;	/* it takes 8-bit octets in header fields (SMTPUTF8) */
};

/* Why a message cannot be converted. */
enum mime_why {
	MIME_WHY_NOT,		/* it can, so far */
	MIME_WHY_HEADER,	/* a header field has octets that may not be sent */
	MIME_WHY_FIXED,		/* ... or a part that has to stay as it is */
	MIME_WHY_LATE,		/* ... or one that is said to be 7bit, behind so many that may be that its header has been given out */
	MIME_WHY_MEMORY
};

#define MIME_CONVERT_ROOM	4096	/* octets of the shortest output */

/* mime_convert_new(options): NULL: ENOMEM.
 * mime_convert_free(m): NULL does nothing. */
struct mime_convert *mime_convert_new(const struct mime_convert_options *options);
void mime_convert_free(struct mime_convert *m);

/* mime_convert_next(m, in, len, is_last, used_r, out, size): The next ${len} octets of the
 * message; ${is_last}: it ends with them.  Write at most ${size} octets, which are
 * MIME_CONVERT_ROOM or more, to ${out}, and set *${used_r} to how many of ${in} were
 * read; the others are to be given again.  Return octets written, perhaps 0; after the
 * last ones, 0 says that this was all.  -1: it cannot be converted.
 * mime_convert_why(m): Why it cannot.
 * mime_convert_is_binary(m): Then: are the octets that may not be sent binary data (NUL,
 * CR or LF alone, a line that is too long), not 8-bit text? */
ssize_t mime_convert_next(struct mime_convert *m, const char *in, size_t len,
    bool is_last, size_t *used_r, char *out, size_t size);
enum mime_why mime_convert_why(const struct mime_convert *m);
bool mime_convert_is_binary(const struct mime_convert *m);

#endif
