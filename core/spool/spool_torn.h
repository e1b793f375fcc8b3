/* Segments whose last batch is not whole, torn.N.G: kept for a while.
 * Owns: how long, and that they make room at once when it is needed.
 * A power cut leaves such a batch, so nobody has to look at them; but on disk it
 * is the same as an acknowledged batch that was damaged later.
 * Their time counts from when they were set aside, by the wall clock: that is
 * the only one which goes on over a restart. */

#ifndef CORE_SPOOL_SPOOL_TORN_H
#define CORE_SPOOL_SPOOL_TORN_H

#include <stdint.h>

#define SPOOL_TORN_KEEP_S	(7 * 24 * 60 * 60)

/* spool_torn_keep(dirfd, segment, generation): Rename seg.${segment} to
 * torn.${segment}.${generation}.  Return 0, or -1 with errno.
 * spool_torn_expire(dirfd): Remove those that have been kept for long enough.
 * Return 0, or -1 with errno: the folder could not be read.
 * spool_torn_remove(dirfd): Remove one to make room.  Return 0, or -1 with
 * errno, ENOENT: there is none. */
int spool_torn_keep(int dirfd, uint64_t segment, uint64_t generation);
int spool_torn_expire(int dirfd);
int spool_torn_remove(int dirfd);

#endif
