/* Header scanner: counts the Received fields of a message that streams by.
 * Owns: where the header section ends, what starts a field.
 * Buffers nothing. */

#ifndef PROTO_PARSE_ESMTP_HEADER_H
#define PROTO_PARSE_ESMTP_HEADER_H

#include <stddef.h>

struct esmtp_header {
	unsigned int	nreceived;
	unsigned char	matched;	/* octets of "received:" seen in this line; 255: another field */
	unsigned char	column;		/* 0, or 1: something of this line was seen */
	unsigned char	is_body;	/* the empty line was seen */
};

/* esmtp_header_scan(h, buf, len): The next octets of the message; ${h} starts
 * zeroed.  A line ends at LF, as it does for the agent that delivers the
 * message. */
void esmtp_header_scan(struct esmtp_header *h, const char *buf, size_t len);

#endif
