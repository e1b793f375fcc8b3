/* The argument of BDAT: how many octets follow the line, and whether they are
 * the last of the message.
 * Owns: the grammar of RFC 3030 2.
 * Knows nothing of what the octets are. */

#ifndef PROTO_PARSE_ESMTP_CHUNK_H
#define PROTO_PARSE_ESMTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct esmtp_chunk {
	uint64_t	octets;
	bool		is_last;
};

enum esmtp_chunk_error {
	ESMTP_CHUNK_OK,
	ESMTP_CHUNK_SYNTAX,
	ESMTP_CHUNK_HUGE	/* the number is over UINT64_MAX */
};

/* esmtp_chunk_parse(s, len, chunk_r): Parse ${len} octets, what follows "BDAT"
 * and its spaces, without spaces at the end: chunk-size [ SP "LAST" ], in any
 * case, perhaps with more than one space.  *chunk_r is set for ESMTP_CHUNK_OK
 * alone: where a chunk with another argument ends, nobody knows. */
enum esmtp_chunk_error esmtp_chunk_parse(const char *s, size_t len,
    struct esmtp_chunk *chunk_r);

#endif
