/* What a stored message must look like.
 * Owns: taking the trace header of our own off a body. */

#ifndef TEST_LIB_SIMMSG_H
#define TEST_LIB_SIMMSG_H

#include <stddef.h>

#include "test/lib/simspool.h"

/* simmsg_strip_received(m, &why_r): Octets of the one Received header, of
 * CRLF lines, naming the message's id, at the start of the body; 0 and a
 * reason if there is none such. */
size_t simmsg_strip_received(const struct spool_msg *m, const char **why_r);

#endif
