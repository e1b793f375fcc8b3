/* Where a spool writer gets its files from: one table of functions.
 * core/spool/spool_folder.h is the folder itself; a worker, which may open no
 * file, asks another process.
 * All may block for a bounded time, and are called on the writer's threads
 * alone: the maker, but for drop() and cancel().  Functions that return int
 * return 0, or -1 with errno, unless they say otherwise: ETIMEDOUT, another
 * process does not answer; ECANCELED. */

#ifndef CORE_SPOOL_SPOOL_FILES_H
#define CORE_SPOOL_SPOOL_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/spool/spool_segment.h"

struct spool_files_ops {
	/* number(files, is_waiting, number_r, lowest_us_r): The number of this
	 * writer, and behind which time its ids begin.  EAGAIN: not known yet;
	 * with ${is_waiting} it has been waited for.  Also called by the one
	 * who opens the writer. */
	int	 (*number)(void *files, bool is_waiting,
		    unsigned int *number_r, uint64_t *lowest_us_r);
	/* mark(files, us): Ids have gone that far.  For their next writer. */
	void	 (*mark)(void *files, uint64_t us);

	/* segment(files, octets, segment_r, is_recycled_r): A segment to write
	 * to: locked, empty, durable under its name.  EAGAIN and others as for
	 * a full disk: asked again later.
	 * untake(files, segment): It was not written to; take it back. */
	int	 (*segment)(void *files, uint64_t octets,
		    struct spool_segment *segment_r, bool *is_recycled_r);
	void	 (*untake)(void *files, struct spool_segment *segment);

	/* body(files, id): The file of a large body, empty and locked.  Return
	 * a descriptor.
	 * drop(files, id, fd): No record will name it: remove it, and close
	 * ${fd}.  From any thread, without waiting.
	 * flush(files): The names of all bodies so far are durable. */
	int	 (*body)(void *files, uint64_t id);
	void	 (*drop)(void *files, uint64_t id, int fd);
	int	 (*flush)(void *files);

	/* room(files, more, left_r): May ${more} octets be written?  ENOSPC,
	 * EDQUOT.  *left_r: how many could be; UINT64_MAX: not known.
	 * reserve(files): May anything more be written?  ENOSPC: the queue uses
	 * its reserve of room now.  Asked for each block of a body. */
	int	 (*room)(void *files, uint64_t more, uint64_t *left_r);
	int	 (*reserve)(void *files);

	/* cancel(files): The writer is being closed: who waits for another
	 * process, now or later, fails with ECANCELED.  From any thread,
	 * without waiting.  NULL: nobody waits. */
	void	 (*cancel)(void *files);
};

#endif
