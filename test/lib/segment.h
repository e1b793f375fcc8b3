/* Segments of a spool, for tests that have no writer. */

#ifndef TEST_LIB_SEGMENT_H
#define TEST_LIB_SEGMENT_H

#include "core/spool/spool_segment.h"

/* segment_create(dirfd, id, size_octets, is_synced, segment_r): A new segment,
 * locked; ${is_synced}: flushed, and the folder, too.  Return 0, or -1 with
 * errno, and nothing is left behind. */
int segment_create(int dirfd, uint64_t id, uint64_t size_octets,
    bool is_synced, struct spool_segment *segment_r);

#endif
