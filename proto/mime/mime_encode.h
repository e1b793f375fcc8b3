/* The content of a part in 7-bit lines: quoted-printable and base64 (RFC 2045 6.7,
 * 6.8), octet by octet.
 * Owns: the length of lines, white space at their ends, which CRLF is content.
 * Knows nothing of parts and boundaries.  No line of quoted-printable begins with
 * "-": what is encoded can be no boundary. */

#ifndef PROTO_MIME_MIME_ENCODE_H
#define PROTO_MIME_MIME_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mime_encoder {
	bool		is_base64;
	bool		has_cr, has_lf;	/* read and not written: CR, or CRLF */
	char		space;		/* the same: a blank or tab; 0: none */
	uint8_t		column;		/* octets of the line that are written */
	uint8_t		n;		/* of base64, octets of ... */
	unsigned char	three[3];
};

#define MIME_ENCODE_MORE	32	/* octets that one call writes, at most */

/* mime_encode(e, c, out): The next octet of the content.  ${e} starts zeroed, but for
 * is_base64.  Return octets written to ${out}.
 * mime_encode_end(e, is_delimited, out): It is over.  ${is_delimited}: by the line of a
 * boundary, to which the CRLF before it belongs (RFC 2046 5.1.1); that is written, too. */
size_t mime_encode(struct mime_encoder *e, unsigned char c, char *out);
size_t mime_encode_end(struct mime_encoder *e, bool is_delimited, char *out);

#endif
