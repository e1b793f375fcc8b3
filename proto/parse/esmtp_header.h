/* The header of a message that streams by.
 * Takes out Return-Path fields (RFC 5321 4.4: the delivery writes the only one).
 * Puts an empty line before a first line that is no field, which would become
 * part of the field that the server has put before it.  Counts Received fields.
 * Says whether there was a field, and whether all lines were of fields.
 * Finds out whether TLS-Required says No (RFC 8689).
 * Owns: where the header ends, what starts a field, which octets stay.
 * Looks at no octet more than twice, and holds back no more than a name. */

#ifndef PROTO_PARSE_ESMTP_HEADER_H
#define PROTO_PARSE_ESMTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* octets up to the colon: a first line with more is no field */
#define ESMTP_HEADER_NAME	128

struct esmtp_header {
	unsigned int	nreceived;
	bool		is_body : 1;	/* what follows stays as it is */
	bool		is_begun : 1;	/* a line has been passed on */
	bool		is_checked : 1;	/* each line is read to its colon, for has_bad */
	bool		has_field : 1;	/* there was one */
	bool		has_bad : 1;	/* a line that is no field, and of none */
	bool		marks_end : 1;	/* set before the first octet: is_end is wanted */
	bool		is_end : 1;	/* the header ends where the last piece begins: fields that are to be added to it go before that piece */
	bool		is_tls_optional : 1; /* TLS-Required: No; known at the end */
	uint8_t		tls;		/* of the line that is, or may go on, that field */
	uint8_t		state;
	/* of the line that begins with what may be a name */
	uint8_t		len, name_len;	/* octets of it, and of the name */
	uint8_t		ruled_out;	/* the names that it cannot be, a bit each */
	uint8_t		nheld;
	char		held[ESMTP_HEADER_NAME]; /* not passed on yet */
};

/* esmtp_header_next(h, buf, len, &piece_r, &piece_len_r): Read from ${buf}
 * (${len} > 0) and point *piece_r at the next octets that stay (*piece_len_r may
 * be 0); they lie in ${buf}, in ${h}, or are constant.  ${h} starts zeroed.
 * Return octets used, perhaps 0; to be repeated until all is used or
 * ${h}->is_body.  A line ends at LF, as it does for the agent that delivers the
 * message. */
size_t esmtp_header_next(struct esmtp_header *h, const char *buf, size_t len,
    const char **piece_r, size_t *piece_len_r);

/* esmtp_header_end(h, piece_r): The message ends here, perhaps within a line of
 * the header: point *piece_r at what was held back.  Return its octets; to be
 * repeated until that is 0. */
size_t esmtp_header_end(struct esmtp_header *h, const char **piece_r);

/* esmtp_header_is_in_line(h): When esmtp_header_end() has returned 0: does the
 * message end within a line of its header? */
bool esmtp_header_is_in_line(const struct esmtp_header *h);

#endif
