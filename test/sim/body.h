/* Message bodies, made by a seed.
 * Owns: the octets of a message, how they look on the wire (RFC 5321 4.5.2),
 * and how they must be stored: computed here, from the RFC, without the code
 * under test. */

#ifndef TEST_SIM_BODY_H
#define TEST_SIM_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "test/lib/simrand.h"

struct body {
	char	*raw;		/* the message */
	size_t	 raw_len;
	char	*wire;		/* dots added, with the final dot line */
	size_t	 wire_len;
	char	*stored;	/* what the spool must hold */
	size_t	 stored_len;
	bool	 has_lone;	/* a CR or LF stands alone */
	size_t	 size;		/* of the buffers */
};

/* body_make(b, r, max, may_be_lone, is_fix, is_cut): A new body in ${b}, whose
 * buffers are used again.  It ends with CRLF, or anywhere if ${is_cut}: that can
 * be sent by BDAT alone. */
void body_make(struct body *b, struct simrand *r, size_t max, bool may_be_lone,
    bool is_fix, bool is_cut);
void body_free(struct body *b);

#endif
