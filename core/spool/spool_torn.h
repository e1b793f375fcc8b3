/* torn.N.G: segments whose last batch is not whole, kept for a while.
 * Owns: how long they are kept, and their removal when room is needed.
 * A power cut leaves such a batch, so nobody has to look at it.  But a batch
 * that was acknowledged and damaged later looks the same on disk; therefore the
 * file is kept.
 * Its time counts from when it was set aside, by the wall clock, since no other
 * clock goes on over a restart. */

#ifndef CORE_SPOOL_SPOOL_TORN_H
#define CORE_SPOOL_SPOOL_TORN_H

#include <stdint.h>

#define SPOOL_TORN_KEEP_S	(7 * 24 * 60 * 60)

/* spool_torn_keep(dirfd, segment, generation): Rename seg.${segment} to
 * torn.${segment}.${generation}.  Return 0, or -1 with errno.
 * spool_torn_expire(dirfd): Remove those that have been kept for long enough.
 * Return 0, or -1 with errno: the folder could not be read.
 * spool_torn_remove(dirfd): Remove one to make room.  Return 0, or -1 with
 * errno: ENOENT, there is none. */
int spool_torn_keep(int dirfd, uint64_t segment, uint64_t generation);
int spool_torn_expire(int dirfd);
int spool_torn_remove(int dirfd);

#endif
