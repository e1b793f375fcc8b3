/* Connections that relay will tell of: those that are alike are one entry, until
 * they are sent.
 * Owns: how many there can be.
 * Knows nothing of when and where they are sent.
 * Pure: no allocation, no system call. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_TALLY_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_TALLY_H

#include "cmd/mailmilld/tlsrpt/tlsrpt_said.h"

/* All 0, at first, and after it has been sent. */
struct tlsrpt_tally {
	size_t		 len;			/* octets, as tlsrpt_said_next() reads them */
	uint64_t	 nlost;			/* connections for which there was no room */
	char		 octets[LIM_TLSRPT_TOLD];
};

/* tlsrpt_tally_add(t, said): Add ${said}.  Return 0, or -1 with errno: ENOSPC, it
 * is one of nlost; EINVAL, as tlsrpt_said_put(). */
int tlsrpt_tally_add(struct tlsrpt_tally *t, const struct tlsrpt_said *said);

#endif
