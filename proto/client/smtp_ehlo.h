/* What a next hop has said that it can do: its reply to EHLO or LHLO (RFC 5321
 * 4.1.1.1), line by line.
 * Owns: the keywords (smtp_keyword.def) and the grammar of their parameters.
 * Knows nothing of sessions.  What it does not know, or cannot read, is not
 * there: nothing that a next hop says is an error. */

#ifndef PROTO_CLIENT_SMTP_EHLO_H
#define PROTO_CLIENT_SMTP_EHLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smtp_keyword {
#define SMTP_KEYWORD(id, keyword, parameters) SMTP_KEYWORD_##id,
#include "proto/client/smtp_keyword.def"
#undef SMTP_KEYWORD
	SMTP_NKEYWORDS
};

struct smtp_ehlo {
	unsigned int	has;		/* SMTP_HAS() of each keyword */
	unsigned int	mechanisms;	/* of AUTH: 1 << their place in esmtp_auth_mech.def */
	uint64_t	size_max;	/* SIZE: octets; 0: no limit is told */
	int64_t		by_min;		/* DELIVERBY: seconds, the least of BY in mode R; 0: no limit is told */
	/* LIMITS; 0: not told */
	uint32_t	mail_max;	/* transactions in a session */
	uint32_t	rcpt_max;	/* recipients of a transaction */
	uint32_t	domain_max;	/* domains of the recipients of a session */
};

#define SMTP_HAS(id)	(1u << SMTP_KEYWORD_##id)

/* smtp_ehlo_has(e, bit): Is SMTP_HAS(...) ${bit} there? */
static inline bool
smtp_ehlo_has(const struct smtp_ehlo *e, unsigned int bit)
{
	return (e->has & bit) != 0;
}

/* smtp_ehlo_line(e, s, len): Take a line of the reply, but not its first one,
 * without the code; NUL terminated.  ${e} starts zeroed.
 * smtp_keyword_name(id): As it is in the reply.
 * smtp_ehlo_text(e, buf): All that is known of ${e} in one line, for the log: the
 * keywords in the order of the table, with what has been read of their parameters,
 * as in "SIZE=1000 PIPELINING AUTH=PLAIN,LOGIN"; "": nothing.  Return ${buf}. */
#define SMTP_EHLO_TEXT	512
void smtp_ehlo_line(struct smtp_ehlo *e, const char *s, size_t len);
const char *smtp_ehlo_text(const struct smtp_ehlo *e,
    char buf[SMTP_EHLO_TEXT]);
const char *smtp_keyword_name(enum smtp_keyword id);

#endif
