/* The envelope of a record as octets.
 * Owns: its layout, its validation.  mailmill-spool(5) is the same in prose. */

#ifndef CORE_SPOOL_SPOOL_ENVELOPE_H
#define CORE_SPOOL_SPOOL_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "core/spool.h"

#define SPOOL_ENVELOPE_MAX	(1U << 20) /* octets: some 4,000 recipients of full length, 25,000 usual ones */

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
	const char	*rcpts_end;
};

/* spool_envelope_octets(env): Octets of its encoding; 0 with errno E2BIG when
 * over SPOOL_ENVELOPE_MAX, EINVAL when it has no recipient or a string that is
 * too long. */
size_t spool_envelope_octets(const struct spool_envelope *env);

/* spool_envelope_encode(env, buf): Write exactly that many. */
void spool_envelope_encode(const struct spool_envelope *env, char *buf);

/* spool_envelope_decode(buf, len, view_r): Return 0, or -1 (EBADMSG): a length
 * that does not add up, a missing NUL, a control character, no recipient. */
int spool_envelope_decode(const char *buf, size_t len,
    struct spool_envelope_view *view_r);

/* spool_envelope_rcpt_next(view, cursor): The recipients in order, NULL after
 * the last; *cursor starts as NULL.  spool_envelope_rcpt(view, i): the i-th
 * from 0, or NULL. */
const char *spool_envelope_rcpt_next(const struct spool_envelope_view *view,
    const char **cursor);
const char *spool_envelope_rcpt(const struct spool_envelope_view *view,
    uint32_t i);

#endif
