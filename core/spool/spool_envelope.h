/* The envelope of a record as octets.
 * Owns: its layout, its validation.  mailmill-spool(5) is the same in prose. */

#ifndef CORE_SPOOL_SPOOL_ENVELOPE_H
#define CORE_SPOOL_SPOOL_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"
#include "core/spool.h"

#define SPOOL_ENVELOPE_MAX	LIM_ENVELOPE

/* Flags beside those of core/spool.h, which no session sets: the queue has written
 * the message.
 * EXPANDED: For those who get the mail of an alias: they are not looked for among the
 * aliases again.
 * TLS_REPORT: It is a report of TLS: what TLS comes to on its way is not counted for
 * the next one (RFC 8460 3). */
#define SPOOL_ENV_EXPANDED	0x400
#define SPOOL_ENV_TLS_REPORT	0x800

/* What is said of the message or of a recipient, beyond the addresses, is a
 * list of items behind the recipients.  The numbers are on disk. */
enum spool_tag {
	SPOOL_TAG_ENVID = 1,		/* text */
	SPOOL_TAG_SOLICIT = 2,		/* text */
	SPOOL_TAG_HOLD_UNTIL = 3,	/* seconds */
	SPOOL_TAG_DELIVER_BY = 4,	/* seconds */
	SPOOL_TAG_PRIORITY = 5,		/* one octet, signed */
	SPOOL_TAG_HOLDER = 6,		/* text */
	SPOOL_TAG_NOTIFY = 256,		/* of a recipient: one octet */
	SPOOL_TAG_ORCPT = 257		/* of a recipient: text */
};

struct spool_item {
	uint32_t	 owner;		/* 0: the message; else the number of the recipient, from 1 */
	uint16_t	 tag;		/* enum spool_tag, or one that is not known here */
	uint16_t	 len;		/* octets of the value, a NUL follows */
	const char	*value;
};

/* An envelope in place: strings point into the octets decoded. */
struct spool_envelope_view {
	const char	*envelope;	/* as it was encoded */
	const char	*sender;
	const char	*session;
	const char	*client;
	const char	*helo;
	unsigned int	 flags;		/* SPOOL_ENV_* */
	uint32_t	 nrcpts;	/* at least 1 */
	const char	*rcpts;		/* for spool_envelope_rcpt_next() */
	const char	*rcpts_end;	/* and the items, up to ... */
	const char	*end;
	/* the items of the message, as in struct spool_envelope */
	const char	*envid;
	const char	*solicit;
	int64_t		 hold_until;
	int64_t		 deliver_by;
	int		 priority;
	const char	*holder;	/* the login that has it held; NULL: it is not held, or nobody */
};

/* What the items of one recipient say */
struct spool_envelope_rcpt {
	unsigned int	 notify;	/* SPOOL_NOTIFY_* */
	const char	*orcpt;		/* NULL: not said */
};

/* spool_envelope_octets(env): Octets of its encoding; 0 with errno E2BIG when
 * over SPOOL_ENVELOPE_MAX, EINVAL when it has no recipient, a string that is
 * too long, or a number out of its range. */
size_t spool_envelope_octets(const struct spool_envelope *env);

/* spool_envelope_encode(env, buf): Write exactly that many. */
void spool_envelope_encode(const struct spool_envelope *env, char *buf);

/* spool_envelope_decode(buf, len, view_r): Return 0, or -1 (EBADMSG): a length
 * that does not add up, a missing NUL, a control character, no recipient, items
 * that are not in order, one with a value that its tag does not have.  An item
 * with a tag that is not known may have any value. */
int spool_envelope_decode(const char *buf, size_t len,
    struct spool_envelope_view *view_r);

/* spool_envelope_rcpt_next(view, cursor): The recipients in order, NULL after
 * the last; *cursor starts as NULL.  spool_envelope_rcpt(view, i): the i-th
 * from 0, or NULL. */
const char *spool_envelope_rcpt_next(const struct spool_envelope_view *view,
    const char **cursor);
const char *spool_envelope_rcpt(const struct spool_envelope_view *view,
    uint32_t i);

/* spool_envelope_item_next(view, cursor, item_r): The items in order: those of
 * the message, then those of each recipient.  Return 1, or 0 after the last;
 * *cursor starts as NULL.
 * spool_envelope_said(view, i, cursor, said_r): What is said of the i-th
 * recipient.  *cursor starts as NULL, and ${i} only grows with it. */
int spool_envelope_item_next(const struct spool_envelope_view *view,
    const char **cursor, struct spool_item *item_r);
void spool_envelope_said(const struct spool_envelope_view *view, uint32_t i,
    const char **cursor, struct spool_envelope_rcpt *said_r);

#endif
