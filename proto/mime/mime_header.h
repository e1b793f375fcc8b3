/* The header of a message or of a part of one: what it says of the content (RFC 2045).
 * Owns: the grammar of the fields Content-Type and Content-Transfer-Encoding, comments,
 * quotes and folding in them.
 * Knows nothing of bodies.  What can be read in two ways is not read: such a part is
 * one that stays as it is. */

#ifndef PROTO_MIME_MIME_HEADER_H
#define PROTO_MIME_MIME_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"

enum mime_kind {
	MIME_TEXT,
	MIME_OTHER,	/* octets */
	MIME_MULTIPART,
	MIME_MESSAGE,	/* a header and a body, as the whole */
	MIME_FIXED	/* must not be changed, or cannot be read */
};

enum mime_encoding {
	MIME_7BIT,	/* or nothing is said */
	MIME_8BIT,
	MIME_BINARY,
	MIME_ENCODED	/* quoted-printable, base64, or what is not known */
};

struct mime_header {
	enum mime_kind		 kind;
	enum mime_encoding	 encoding;
	bool			 has_version, has_type, has_encoding;
	bool			 is_digest;	/* of MIME_MULTIPART: its parts are messages, if they do not say what they are */
	size_t			 encoding_at, encoding_end; /* that field, with its CRLF */
	size_t			 end;		/* where the empty line begins */
	uint8_t			 boundary_len;	/* of MIME_MULTIPART; of MIME_FIXED, if it is a multipart with one; else 0 */
	char			 boundary[LIM_MIME_BOUNDARY];
};

/* mime_header_read(s, len, is_message, h_r): Read the ${len} octets of a header, whose
 * lines, and the empty line behind them, end in CRLF.  ${is_message}: without a field
 * Content-Type it is message/rfc822 (RFC 2046 5.1.5). */
void mime_header_read(const char *s, size_t len, bool is_message,
    struct mime_header *h_r);

#endif
