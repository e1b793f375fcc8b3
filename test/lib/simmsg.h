/* What a stored message must look like.
 * Owns: taking the trace header of our own off a body, what becomes of the
 * client's header: computed here, from the RFC, without the code under test. */

#ifndef TEST_LIB_SIMMSG_H
#define TEST_LIB_SIMMSG_H

#include <stddef.h>

#include "test/lib/simspool.h"

/* simmsg_strip_received(m, &why_r): Octets of the one Received header, of
 * CRLF lines, naming the message's id, at the start of the body; 0 and a
 * reason if there is none such. */
size_t simmsg_strip_received(const struct spool_msg *m, const char **why_r);

/* simmsg_expect(in, len, out): The octets that are stored of a message
 * ${in}, behind the Received header, in ${out}, which has room for two more.
 * No Return-Path field is in its header (RFC 5321 4.4); a first line that is no
 * field comes behind an empty line (RFC 5322 3.6.7: the trace fields are the
 * server's).  Return how many. */
size_t simmsg_expect(const char *in, size_t len, char *out);

/* Fields that a server adds at the end of a header which has none of the name (RFC
 * 6409 8.2, 8.3), each a line with its CRLF.  simmsg_expect_added() sets date_at:
 * where ${date} begins in what it has written, SIZE_MAX: it was not needed.  There
 * has to be room for both, and four octets more. */
struct simmsg_added {
	const char	*date, *message_id;
	size_t		 date_at;
};
size_t simmsg_expect_added(const char *in, size_t len,
    struct simmsg_added *added, char *out);

#endif
