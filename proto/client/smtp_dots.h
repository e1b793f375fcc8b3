/* A message on its way to a next hop: what DATA and BDAT make of its octets.
 * Owns: dot-stuffing (RFC 5321 4.5.2), the end of the data, lines that end in
 * CRLF and nothing else.
 * Knows nothing of sessions.  Any fragmentation of the input gives the same
 * octets.
 *
 * RFC 5321 2.3.8: CR and LF stand together, or not at all.  A server on the way
 * that takes one of them for the end of a line would see a dot alone where we
 * see none, and what follows as commands.  So each CR or LF that stands alone
 * becomes CRLF; a message for BINARYMIME, whose length is told, is not read
 * here at all. */

#ifndef PROTO_CLIENT_SMTP_DOTS_H
#define PROTO_CLIENT_SMTP_DOTS_H

#include <stdbool.h>
#include <stddef.h>

struct smtp_dots {
	bool	 has_cr;	/* an octet CR is read and not written */
	bool	 is_in_line;	/* something of the line is written */
	bool	 is_chunk;	/* for BDAT: without dots */
};

#define SMTP_DOTS_GROWTH	2	/* an octet becomes at most so many ... */
#define SMTP_DOTS_MORE		7	/* ... and at the end of one call, or of all, so many come to that */

/* smtp_dots_next(d, in, len, out): Write ${len} octets of the message to
 * ${out}, which has room for SMTP_DOTS_GROWTH * ${len} + SMTP_DOTS_MORE.  ${d}
 * starts zeroed, but for is_chunk.  Return octets written.
 * smtp_dots_end(d, out): The end of the message: CRLF where its last line has
 * none, and for DATA the line with the dot; at most SMTP_DOTS_MORE octets. */
size_t smtp_dots_next(struct smtp_dots *d, const char *in, size_t len,
    char *out);
size_t smtp_dots_end(struct smtp_dots *d, char *out);

#endif
