/* The header of a message that a program on this host sends.
 * Owns: where the header ends, which fields name recipients (RFC 5322 3.6.3,
 * 3.6.6), which fields are taken out, and which are added (RFC 5322 3.6).
 * Knows nothing of files; has no clock. */

#ifndef CMD_SENDMAIL_SEND_HEADER_H
#define CMD_SENDMAIL_SEND_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cmd/sendmail/send_address.h"

/* send_header_find(s, len, at, is_all, body_r): Where the header ends that ${s}
 * begins with: lines that end in CRLF.  *${at}, 0 at first, is where the search goes
 * on when there is more in ${s}; ${is_all}: there will not be more.  Return true:
 * the header has *${at} octets, and the body begins at *${body_r}: behind an empty
 * line, or at a line that is no field; false: it has not ended yet. */
bool send_header_find(const char *s, size_t len, size_t *at, bool is_all,
    size_t *body_r);

struct send_header_want {
	bool		 takes_rcpts;	/* the recipients are wanted */
	const char	*domain;	/* of those without one; NULL: they have one */
	/* values of fields, for a header without them */
	const char	*from, *date, *message_id;
};

/* send_header_make(s, len, want, out, rcpts): Write the header ${s}, of ${len} octets,
 * to ${out}, without the fields Bcc and Resent-Bcc and without a line "From " of a
 * mailbox file before it; behind it what ${want} has and is missing; and the empty
 * line.  Recipients are appended to ${rcpts}: those of To, Cc and Bcc; or, if it
 * has a field Resent-*, those of Resent-To, Resent-Cc and Resent-Bcc.
 * Return 0; or -1: ENOMEM; EINVAL, ${bad} is the first address that is none, cut. */
int send_header_make(const char *s, size_t len,
    const struct send_header_want *want, FILE *out, struct send_list *rcpts,
    char bad[SEND_ADDRESS_MAX]);

/* send_header_from(name, address, out): The value of a From field: the address, with
 * the name, which may be "" or any octets: what is not ASCII is encoded (RFC 2047),
 * if it is UTF-8; else, and if it holds controls, it is left out; so are its last
 * characters if it is too long. */
#define SEND_FROM_MAX	(SEND_ADDRESS_MAX + 512)
void send_header_from(const char *name, const char *address,
    char out[SEND_FROM_MAX]);

#endif
