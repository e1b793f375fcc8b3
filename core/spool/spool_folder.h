/* A writer's files in the spool's folder "incoming", which this process may
 * write to.
 * Owns: the choice between a free segment and a new one, the quota, the mark of
 * the writer's ids. */

#ifndef CORE_SPOOL_SPOOL_FOLDER_H
#define CORE_SPOOL_SPOOL_FOLDER_H

#include "core/spool/spool_files.h"
#include "core/spool/spool_id.h"

struct spool_folder {
	int		 dirfd;		/* kept, not owned */
	uint64_t	 quota_octets;	/* of all segments in use and bodies; 0: none */
	bool		 is_synced;
	struct spool_id_source ids;	/* holds the writer's number; .fd -1: none */
};

extern const struct spool_files_ops spool_folder_ops; /* closure: struct spool_folder * */

/* spool_folder_open(f, number): Hold that number.  Return 0, or -1 with errno as
 * spool_id_open().  spool_folder_close(f). */
int spool_folder_open(struct spool_folder *f, unsigned int number);
void spool_folder_close(struct spool_folder *f);

/* spool_folder_take(f, octets, segment_r): A free segment, taken.
 * spool_folder_make(f, octets, segment_r): When there is none: an empty new.*
 * (header.generation is 0), whose id follows all of this writer.
 * The caller flushes the folder.  Return 0, or -1 with errno: ENOENT, there is
 * no free one; ENOSPC, EDQUOT ... */
int spool_folder_take(struct spool_folder *f, uint64_t octets,
    struct spool_segment *segment_r);
int spool_folder_make(struct spool_folder *f, uint64_t octets,
    struct spool_segment *segment_r);

/* spool_folder_room(f, more, left_r): See struct spool_files_ops.  It measures
 * only; idle files are given up for a segment. */
int spool_folder_room(struct spool_folder *f, uint64_t more,
    uint64_t *left_r);

#endif
