/* A count of sessions, and how many of them each worker has.
 * Owns: the parts.
 * Knows nothing of what is counted, nor of limits. */

#ifndef CMD_MAILMILLD_MASTER_STATE_TALLY_H
#define CMD_MAILMILLD_MASTER_STATE_TALLY_H

#include <sys/queue.h>

struct book;
struct part;			/* the sessions of one worker in one tally */

/* Sessions of one listener, one service or one client; the caller's memory, zero
 * at first, which must outlive them. */
struct tally {
	unsigned int			n;
	SLIST_HEAD(tally_parts, part)	parts;
};

/* tally_enter(t, b): One more, of ${b}.  NULL: ENOMEM.
 * tally_leave(part): One less.  Return its tally. */
struct part *tally_enter(struct tally *t, const struct book *b);
struct tally *tally_leave(struct part *part);

/* part_tally(part): What it is a part of.
 * tally_of(t, b): How many of them ${b} has; ${t} NULL: none.
 * tally_bounded(t, max): All of them, but no more than ${max} of each worker. */
struct tally *part_tally(const struct part *part);
unsigned int tally_of(const struct tally *t, const struct book *b);
unsigned int tally_bounded(const struct tally *t, unsigned int max);

#endif
