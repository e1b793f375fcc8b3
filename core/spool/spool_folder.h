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
	struct spool_id_source ids;	/* has the writer's number locked; .fd -1: not */
};

extern const struct spool_files_ops spool_folder_ops; /* closure: struct spool_folder * */

/* spool_folder_open(f, number): Lock the number of the writer.  Return 0, or -1
 * with errno as spool_id_open().  spool_folder_close(f): Unlock it. */
int spool_folder_open(struct spool_folder *f, unsigned int number);
void spool_folder_close(struct spool_folder *f);

/* spool_folder_take(f, octets, segment_r): Take a free segment of the writer.
 * spool_folder_make(f, octets, segment_r): Where there is none, make an empty
 * new.* (header.generation is 0), whose id follows all ids of the writer.
 * The caller flushes the folder.  Return 0, or -1 with errno: ENOENT, there is
 * no free segment; ENOSPC, EDQUOT ... */
int spool_folder_take(struct spool_folder *f, uint64_t octets,
    struct spool_segment *segment_r);
int spool_folder_make(struct spool_folder *f, uint64_t octets,
    struct spool_segment *segment_r);

/* spool_folder_room(f, more, left_r): See room() of struct spool_files_ops.  It
 * only measures; the two functions above remove free and torn segments. */
int spool_folder_room(struct spool_folder *f, uint64_t more,
    uint64_t *left_r);

#endif
