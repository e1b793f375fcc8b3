/* Room that is kept back on the file system of the spool.
 * Owns: the files reserve.0 to reserve.7 of the spool's "incoming" folder.
 * The record that a message was delivered takes some room, and only after that
 * record can the room of the message be used again.  So the queue process keeps
 * a reserve of blocks and inodes, and removes it when nothing else is left.
 * Until it has made the reserve again, spoold gives workers no file that needs
 * room.
 *
 * reserve.0 is empty while the reserve is given up.  Otherwise its first 8
 * octets are the number of octets that the spool has outside of this folder:
 * spoold cannot look there, but counts them for the quota. */

#ifndef CORE_SPOOL_SPOOL_RESERVE_H
#define CORE_SPOOL_SPOOL_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_RESERVE_FILES	8	/* as many inodes */
#define SPOOL_RESERVE_OCTETS	(8U << 20) /* of all files together: room for the log and the rows of some 10,000 recipients */
#define SPOOL_RESERVE_PART	32	/* at most this part of the file system */

/* spool_reserve_octets(dirfd): How large a complete reserve is on this file
 * system. */
uint64_t spool_reserve_octets(int dirfd);

/* spool_reserve_make(dirfd): Make the files of it that are missing.  Return 0,
 * or -1 with errno.  After ENOSPC and EDQUOT the reserve is given up; after
 * other errors the files that are there stay. */
int spool_reserve_make(int dirfd);

/* spool_reserve_give_up(dirfd): Remove the reserve.  Return whether that has
 * made room. */
bool spool_reserve_give_up(int dirfd);

/* spool_reserve_is_given_up(dirfd): False also where no reserve was ever
 * made. */
bool spool_reserve_is_given_up(int dirfd);

/* spool_reserve_tell(dirfd, octets): Write the number of octets that the spool
 * has outside of this folder, if it is another one than is there; does nothing
 * while the reserve is given up.
 * spool_reserve_told(dirfd): Read it; 0 while the reserve is given up. */
void spool_reserve_tell(int dirfd, uint64_t octets);
uint64_t spool_reserve_told(int dirfd);

#endif
