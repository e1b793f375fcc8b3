/* Room that is kept back on the file system of the spool.
 * Owns: the files reserve.0 to reserve.7 of the spool's "incoming" folder.
 * To record that a message was delivered takes some room, and only then can the
 * room that the message takes be used again.  So the queue process keeps a
 * reserve, in blocks and inodes, and gives it up when nothing else is left.
 * Meanwhile spoold gives workers no file that needs room.
 *
 * reserve.0 tells it: it is empty while the reserve is given up.  Otherwise it
 * begins with the octets that the spool holds outside of this folder, which
 * spoold cannot see, but counts for the quota. */

#ifndef CORE_SPOOL_SPOOL_RESERVE_H
#define CORE_SPOOL_SPOOL_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_RESERVE_FILES	8	/* as many inodes */
#define SPOOL_RESERVE_OCTETS	(8U << 20) /* of all of them; the log and the rows of some 10,000 recipients */
#define SPOOL_RESERVE_PART	32	/* of the file system at most, if that is less */

/* spool_reserve_octets(dirfd): What the reserve of that file system takes. */
uint64_t spool_reserve_octets(int dirfd);

/* spool_reserve_make(dirfd): Make what is missing of it.  Return 0, or -1 with
 * errno: ENOSPC or EDQUOT, and it is given up; another, and what there is of
 * it stays. */
int spool_reserve_make(int dirfd);

/* spool_reserve_give_up(dirfd): Return whether that has made room. */
bool spool_reserve_give_up(int dirfd);

/* spool_reserve_is_given_up(dirfd): No, too, where nobody has made one. */
bool spool_reserve_is_given_up(int dirfd);

/* spool_reserve_tell(dirfd, octets), spool_reserve_told(dirfd): The octets held
 * elsewhere; 0 while it is given up. */
void spool_reserve_tell(int dirfd, uint64_t octets);
uint64_t spool_reserve_told(int dirfd);

#endif
