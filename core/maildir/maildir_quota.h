/* The quota of a Maildir, as Maildir++ has it, shared with Courier's and Dovecot's:
 * what is in the Maildir and its folders is in the file maildirsize, in one line
 * when it was counted, and in one more for each change since.
 * Owns: that file, when the messages are counted again.
 * Knows nothing of what becomes of a message for which there is no room.
 *
 * Its owner may write whatever he likes into maildirsize, or put something else in its
 * place: then it is as if there were none.  As with all programs that use it, some
 * messages more than fit may get in while several deliver at the same time. */

#ifndef CORE_MAILDIR_MAILDIR_QUOTA_H
#define CORE_MAILDIR_MAILDIR_QUOTA_H

#include <stdint.h>

#include "core/maildir/maildir.h"

#define MAILDIR_QUOTA_FILE_MAX	5120		/* octets: a longer file is counted again */
#define MAILDIR_QUOTA_OLD_S	(15 * 60)	/* nobody is refused for a count as old */
#define MAILDIR_QUOTA_COUNT_MS	(60 * 1000)	/* not more often is one Maildir counted */
#define MAILDIR_QUOTA_ENTRIES	2000000		/* not more of them are counted */

/* A new file, in tmp/, by the pid of who writes it: a name that maildir_sweep() knows */
#define MAILDIR_QUOTA_TMP	"0.maildirsize00R0.%ld"

struct maildir_size {
	uint64_t	octets, messages;
};

/* What this process knows of an open Maildir; all 0 at first */
struct maildir_quota {
	uint64_t	counted_ms;	/* monotonic_ms(); 0: never */
	struct maildir_size size;	/* then, and with what was delivered since */
};

/* maildir_quota_has_room(md, q, limit, more): Is there room for ${more} below ${limit},
 * of which a 0 is no limit?  1 or 0; -1 with errno: that is not known now.
 * maildir_quota_add(md, q, octets): A message of ${octets} has been added. */
int maildir_quota_has_room(const struct maildir *md, struct maildir_quota *q,
    const struct maildir_size *limit, const struct maildir_size *more);
void maildir_quota_add(const struct maildir *md, struct maildir_quota *q,
    uint64_t octets);

#endif
