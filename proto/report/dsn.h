/* Delivery status notifications: what a sender is told of its message (RFC 3461,
 * RFC 3464, RFC 6522; RFC 6533 for addresses in UTF-8).
 * Owns: how such a report looks.  Whether there is one the caller decides.
 * Pure: the time comes from the caller, and what is told of a message or was said
 * by a next hop may be any octets. */

#ifndef PROTO_REPORT_DSN_H
#define PROTO_REPORT_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 3464 2.3.3 */
enum dsn_action {
	DSN_FAILED,
	DSN_DELAYED,
	DSN_DELIVERED,
	DSN_RELAYED,
	DSN_EXPANDED,
	DSN_ACTIONS
};

/* Why a recipient that has failed was given up, or is delayed */
enum dsn_why {
	DSN_REFUSED,		/* it was refused: for good, or for now */
	DSN_EXPIRED,		/* it was tried for as long as it may wait */
	DSN_LATE		/* the time is over by which the sender wanted it delivered, RFC 2852 */
};

struct dsn_rcpt {
	const char	*rcpt;		/* as in the envelope */
	const char	*orcpt;		/* "type;address", its xtext decoded; NULL: not said */
	enum dsn_action	 action;
	enum dsn_why	 why;		/* of DSN_FAILED and DSN_DELAYED */
	/* of the last attempt */
	unsigned int	 code;		/* of the next hop's reply; 0: it has not replied */
	const char	*enhanced;	/* RFC 3463; "": not said */
	const char	*remote;	/* name, "[address]" or "name[address]" of the next hop, or a path; "": none was asked */
	const char	*text;		/* the reply's words, or ours; "": none */
	int64_t		 last_attempt;	/* unix seconds; 0: not known */
	int64_t		 retry_until;	/* of DSN_DELAYED; 0: not told */
};

struct dsn {
	const char	*hostname;	/* of this server: Reporting-MTA */
	const char	*id;		/* of the report: [0-9A-Z]+ */
	int64_t		 now;		/* unix seconds */
	const char	*to;		/* whom to tell: the sender, or the postmaster instead */
	/* of the message that is reported */
	const char	*of;		/* its id, as in the log */
	const char	*sender;	/* "": it had none, being a report itself */
	const char	*envid;		/* ENVID, its xtext decoded; NULL: not said */
	int64_t		 arrival;	/* unix seconds */
	bool		 is_utf8;	/* SMTPUTF8 was said */
	const char	*text;		/* the message, or as much of it as there is */
	size_t		 len;
	bool		 is_whole;	/* ${text} is all of it, and is to be returned; else its header is */
	const struct dsn_rcpt *rcpts;	/* grouped by their actions in the report */
	size_t		 nrcpts;	/* at least 1 */
};

/* What a report asks of its way */
#define DSN_NEEDS_8BITMIME	0x01
#define DSN_NEEDS_SMTPUTF8	0x02	/* ${to} is not ASCII */

/* dsn_compose(d, len_r, needs_r): The report, header and body, with lines of at
 * most 998 octets that end in CRLF.  Its envelope has the null sender.  A whole
 * message of which a line is longer, or that has other octets than such a body may
 * have, is returned as its header; so is one that could not be converted for a next hop
 * without 8BITMIME.  Return the text, to be freed, with DSN_NEEDS_*
 * in *needs_r; NULL: ENOMEM. */
char *dsn_compose(const struct dsn *d, size_t *len_r, unsigned int *needs_r);

#endif
